/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "cidstore/cidstore.h"

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

/* A sector of the store that cannot be read is an error of whoever reads it. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	/* What somebody sent is no fault. Returning runs into one again, now with
	 * the default action. */
	if (info->si_code <= 0 || !cidstore_sigbus(context))
		signal(sig, SIG_DFL);
}

void cid_signals_block(void)
{
	sigset_t set = waited_for();

	struct sigaction bus;

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	memset(&bus, 0, sizeof(bus));
	bus.sa_sigaction = on_sigbus;
	bus.sa_flags = SA_SIGINFO;
	sigaction(SIGBUS, &bus, NULL);
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
