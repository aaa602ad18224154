/* SPDX-License-Identifier: BSD-2-Clause */
/* look.h - what a store holds of the clients' keys, by the library */
#ifndef KILL_LOOK_H
#define KILL_LOOK_H

#include "kill/traffic.h"

/* Adds what is there to `seen`, zeroed, a state for each client. `say` is told
 * of whatever cannot be: names that nobody made, or twice, and counts that are
 * not those of the listing. Returns how often. */
unsigned kill_look(struct cidstore *s, unsigned clients, struct kill_state *seen,
		   void (*say)(void *arg, const char *text), void *arg);

#endif
