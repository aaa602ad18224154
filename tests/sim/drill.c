/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill.c - all short sequences of operations around each structural event
 *
 * For each event a history is looked for in which it happens, and the step that
 * brings it about. On the brink of that step the process forks, and a child
 * tries every sequence of up to so many operations out of a short list, to
 * which the step itself belongs; each of them is a fork further. At every I/O of
 * the last operation of a sequence the power is cut in every way of crash.h, or
 * in some ways in turn; and the recoveries of some states are cut likewise at
 * every I/O of theirs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/shrink.h"
#include "sim/world.h"

/* Histories to look for an event in, and their length. */
enum { HISTORIES = 40, STEPS = 400 };

/* Where a history comes to an event; in shared memory. */
struct brink {
	uint64_t seed, step;
};

struct drill {
	struct brink at;
	unsigned length;  /* of sequences, at most */
	unsigned kinds;	  /* ways of crashing at each event */
	unsigned nested;  /* recovery is cut at every I/O in one of so many states */
	char path[64];	  /* what was done so far */
	const char *only; /* the path to repeat; NULL: all */
};

static void in_child_or_die(pid_t pid)
{
	int status;

	if (pid < 0)
		abort();
	/* The child has a clock of its own to say that it hangs. */
	(void)alarm(0);
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			abort();
	world_goes_on();
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		_exit(1);
}

/* Runs the history up to a step, not counting it, without crashes. With 0, to
 * the first step that brings one of `want`; its number, or 0. */
static uint64_t history(struct world *w, const struct brink *b, uint32_t want)
{
	struct rng r = { b->seed };

	world_begin(w, &r);
	w->disk->event = NULL;
	for (w->op = 1; w->op <= STEPS; w->op++) {
		struct rng o = { rng_mix(b->seed, w->op) };

		if (w->op == b->step)
			return w->op;
		w->op_events = w->disk->events;
		work_step(w, &o, (unsigned)(w->op / (STEPS / 8)) % WORK_PHASES);
		if (observe(w, w->maintained) & want)
			return w->op;
	}
	return 0;
}

/* In a process of its own, as it is thrown away. */
static bool find(struct world *w, int event, struct brink *shared)
{
	for (uint64_t i = 0; i < HISTORIES; i++) {
		struct brink b = { .seed = options.seed * 1000 + (uint64_t)event * 50 + i };
		pid_t pid;

		(void)fflush(stdout);
		pid = fork();
		if (pid == 0) {
			b.step = history(w, &b, 1u << event);
			*shared = b;
			_exit(0);
		}
		in_child_or_die(pid);
		if (shared->step)
			return true;
	}
	return false;
}

/* Each event gets its share of the states. */
static uint64_t limit;

static bool enough(void)
{
	return figures->recovered >= limit || world_seconds() > options.until;
}

/* Numbers: 0 is the step of the event, the others are work_drill()'s. */
static void sequences(struct world *w, struct drill *d, unsigned done)
{
	for (unsigned op = 0; op <= WORK_DRILLS; op++) {
		size_t end = strlen(d->path);
		pid_t pid;

		(void)snprintf(d->path + end, sizeof(d->path) - end, "%s%u", done ? "." : "", op);
		if ((d->only && strncmp(d->only, d->path, strlen(d->path)) != 0) ||
		    (!d->only && enough())) {
			d->path[end] = 0;
			continue;
		}
		(void)fflush(stdout);
		pid = fork();
		if (pid == 0) {
			struct rng o = { rng_mix(d->at.seed, op ? op + 1000 : d->at.step) };
			bool last = !d->only || strcmp(d->only, d->path) == 0;

			world_goes_on();
			w->thorough = last ? d->kinds : 0;
			w->thorough_nested = d->nested;
			w->disk->event = last ? oracle_event : NULL;
			w->op = d->at.step + done;
			w->op_events = w->disk->events;
			(void)snprintf(w->path, sizeof(w->path), "%s", d->path);
			if (op)
				work_drill(w, &o, op);
			else
				work_step(w, &o,
					  (unsigned)(d->at.step / (STEPS / 8)) % WORK_PHASES);
			w->disk->event = NULL;
			w->thorough = 0;
			(void)observe(w, w->maintained);
			figures->sequences++;
			if (done + 1 < d->length && w->s)
				sequences(w, d, done + 1);
			_exit(0);
		}
		in_child_or_die(pid);
		d->path[end] = 0;
	}
}

int drill_run(struct world *w, unsigned length, unsigned kinds, unsigned nested, const char *only)
{
	int from = 0, to = EVENTS - 1;

	if (only) {
		/* EVENT:PATH */
		from = to = atoi(only);
		only = strchr(only, ':');
		only = only ? only + 1 : NULL;
	}
	for (int e = from; e <= to && e < EVENTS; e++) {
		struct brink *b = (struct brink *)(void *)figures->scratch;
		uint64_t before = figures->recovered, states = figures->states + figures->nested;
		pid_t pid;

		w->drill = e;
		limit = options.recoveries <= before
				? before
				: before + (options.recoveries - before) / (uint64_t)(to + 1 - e);
		if (!find(w, e, b)) {
			printf("# drill %d: no history comes to %s\n", e, event_name(e));
			continue;
		}
		(void)fflush(stdout);
		pid = fork();
		if (pid == 0) {
			struct drill d = { .at = *b,
					   .length = length,
					   .kinds = kinds,
					   .nested = nested,
					   .only = only };

			(void)history(w, &d.at, 0);
			if (w->s)
				sequences(w, &d, 0);
			_exit(0);
		}
		in_child_or_die(pid);
		if (options.verbose)
			printf("# drill %d, %s: %llu states\n", e, event_name(e),
			       (unsigned long long)(figures->states + figures->nested - states));
	}
	return 0;
}
