/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history.h - what clients did before a cut, and what must be there after it
 *
 * The journal of each client (kill/journal.h) is the marks of its number in a
 * trace. So of any two operations it is known whether one was acknowledged
 * before the other began, and which were before the start of an fsync that
 * returned 0 before the cut.
 *
 * A *unit* is what happens wholly or not at all: an operation, or one record of
 * an ingest stream. What a store holds is right if for each client some first
 * units of it explain its keys exactly, such that
 *   - all that was acknowledged before such an fsync began is among them;
 *   - all that was acknowledged, to whomever, before one of them began is too.
 */
#ifndef POWER_HISTORY_H
#define POWER_HISTORY_H

#include "kill/traffic.h"
#include "power/trace.h"

enum { HISTORY_CLIENTS = 16 };
#define HISTORY_NEVER SIZE_MAX

struct history_unit {
	size_t begin, ack; /* records of the trace; HISTORY_NEVER */
	uint64_t acked_ns;
	size_t step, steps;
};

struct history_client {
	struct history_unit *unit;
	size_t n, room;
	struct kill_step *step;
	size_t nsteps, step_room;
	struct kill_state *state; /* of all that began */
	size_t synced;		  /* units that must be there */
};

struct history {
	struct history_client client[HISTORY_CLIENTS];
	unsigned clients;
	size_t syncs;	   /* that returned 0 */
	size_t sync_begin; /* the last of them */
	uint64_t cut_ns;
};

struct history_verdict {
	size_t units, synced; /* begun; below an fsync */
	size_t kept;	      /* explain what is there */
	size_t unsynced_lost; /* acknowledged and not there */
	uint64_t loss_ns;     /* how old the oldest of those was */
};

/* Of the first `to` records of a trace. Returns 0 or a negative errno. */
int history_read(const struct trace *t, size_t to, struct history *out);
void history_free(struct history *h);

/* Whether `seen`, a state for each client, is right; `say` is told why not. */
bool history_judge(const struct history *h, const struct kill_state *seen,
		   void (*say)(void *arg, const char *text), void *arg,
		   struct history_verdict *out);

#endif
