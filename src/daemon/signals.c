/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/signals.h"

#include <signal.h>
#include <stddef.h>

/* Ends the thread itself. */
#define STOP_SIGNAL SIGUSR1

static sigset_t waited_for(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, STOP_SIGNAL);
	return set;
}

void cid_signals_block(void)
{
	sigset_t set = waited_for();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void *signals_main(void *arg)
{
	const struct cid_signals *s = arg;
	sigset_t set = waited_for();
	int sig;

	while (!sigwait(&set, &sig) && sig != STOP_SIGNAL) {
		if (sig == SIGHUP)
			s->reload(s->arg);
		else
			s->end(s->arg);
	}
	return NULL;
}

int cid_signals_start(struct cid_signals *s)
{
	return pthread_create(&s->thread, NULL, signals_main, s);
}

void cid_signals_stop(struct cid_signals *s)
{
	pthread_kill(s->thread, STOP_SIGNAL);
	pthread_join(s->thread, NULL);
}
