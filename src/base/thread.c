/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/thread.h"

#include <signal.h>

int cid_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	sigset_t every, old;
	int rc;

	sigfillset(&every);
	sigdelset(&every, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &every, &old);
	rc = pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}
