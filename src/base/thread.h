/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.h - threads that leave signals to those who wait for them */
#ifndef CID_BASE_THREAD_H
#define CID_BASE_THREAD_H

#include <pthread.h>

/* As pthread_create(3), with all signals blocked there but SIGBUS, which a bad
 * sector under a mapping of the store sends. 0 or a positive errno. */
int cid_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);

#endif
