/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signals.h - signals as events of one thread
 *
 * cid_signals_block() comes before any other thread is made, so that all of
 * them leave the signals alone.
 */
#ifndef CID_DAEMON_SIGNALS_H
#define CID_DAEMON_SIGNALS_H

#include <pthread.h>

struct cid_signals {
	pthread_t thread;
	void (*end)(void *arg);	   /* SIGTERM, SIGINT */
	void (*reload)(void *arg); /* SIGHUP */
	void *arg;
};

void cid_signals_block(void);
int cid_signals_start(struct cid_signals *s);
void cid_signals_stop(struct cid_signals *s);

#endif
