/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traffic.h - what the clients of a kill test do, and what must be there then
 *
 * A client owns the keys of its number, so nobody else changes what it sees
 * and its *state* in memory is exact. It does one operation after another. An
 * operation is a list of steps, made again from its seed whenever wanted; of
 * all but the ingest stream either every step happens or none, of that one the
 * first so many.
 */
#ifndef KILL_TRAFFIC_H
#define KILL_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"

enum { KILL_KEYS = 96, KILL_BIG_KEYS = 6, KILL_VALUES = 2048, KILL_STEPS = 4096 };

enum kill_verb {
	KILL_MKDIR = 1,
	KILL_CREATE,
	KILL_UNLINK,
	KILL_RMDIR,
	KILL_RENAME,
	KILL_RENAME_NEW, /* the target must not exist */
	KILL_INGEST,
	KILL_BATCH,
	KILL_FSYNC,
	KILL_MAINTAIN,
	KILL_VERBS
};
extern const char *const kill_verb_name[KILL_VERBS];

struct kill_op {
	uint32_t verb;
	uint32_t key, value, to_key, to_value;
	uint32_t steps; /* of ingest and batch */
	uint64_t seed;	/* of their steps */
};

/* What an operation KILL_MAINTAIN writes to: kill_trigger[seed % KILL_TRIGGERS]. */
enum { KILL_TRIGGERS = 5 };
extern const char *const kill_trigger[KILL_TRIGGERS];

struct kill_step {
	enum cidstore_verb verb;
	uint32_t key, value;
};

struct kill_state {
	uint8_t exists[KILL_KEYS];
	uint8_t have[KILL_KEYS][KILL_VALUES];
	uint32_t count[KILL_KEYS];
};

uint64_t kill_random(uint64_t *rng);

struct cidstore_id kill_key(unsigned client, uint32_t key);
struct cidstore_id kill_value(uint32_t value);
/* The numbers behind an identifier; false where it is none of these. */
bool kill_key_number(struct cidstore_id id, unsigned clients, unsigned *client, uint32_t *key);
bool kill_value_number(struct cidstore_id id, uint32_t *value);

/* A random operation, and its steps; at most KILL_STEPS. */
void kill_choose(uint64_t *rng, const struct kill_state *s, struct kill_op *out);
size_t kill_expand(const struct kill_op *op, struct kill_step *out);

/* The errno an operation must give in this state; 0: it happens. */
int kill_expect(const struct kill_state *s, const struct kill_op *op);

/* Does an operation that succeeded make durable all that was acknowledged
 * before it began? */
bool kill_is_sync(const struct kill_op *op);

/* How many names differ between two states. */
uint64_t kill_differences(const struct kill_state *a, const struct kill_state *b);
void kill_apply(struct kill_state *s, const struct kill_step *step);
/* The same, and by how much the differences from `seen` are more. */
int64_t kill_advance(struct kill_state *s, const struct kill_state *seen,
		     const struct kill_step *step);

/* What a store that was killed lost and brought back. */
struct kill_verdict {
	uint64_t lost, resurrected;
	size_t steps, done; /* of the operation that was under way */
};

/* Compares `seen` with `s` and the operation under way (NULL: none), of which
 * at least `acked` steps were acknowledged. Where they agree `s` becomes what
 * was seen. `say` is called for each name that is wrong, a few of them. */
bool kill_judge(struct kill_state *s, const struct kill_state *seen, const struct kill_op *op,
		size_t acked, void (*say)(void *arg, const char *text), void *arg,
		struct kill_verdict *out);

#endif
