/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h - what the store should hold, and what it held after each operation
 *
 * The model is a set of pairs over a small domain of keys and values. A ledger
 * is a model with its history: one unit for each atomic operation, with the
 * number of the log record that completed it and a digest of the whole model
 * afterwards. So a recovered store is judged by its last record's number and
 * one pass over its content, and the model can be taken back to any unit.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"

enum {
#ifdef CID_SMALL
	MODEL_KEYS = 40,
	MODEL_WIDE = 2,
	MODEL_MIDDLE = 8,
	MODEL_WIDE_VALUES = 70,
	MODEL_MIDDLE_VALUES = 12,
	MODEL_NARROW_VALUES = 4,
#else
	MODEL_KEYS = 640,
	MODEL_WIDE = 6,	     /* keys with up to WIDE_VALUES */
	MODEL_MIDDLE = 60,   /* and, from there to this one, MIDDLE_VALUES */
	MODEL_WIDE_VALUES = 900,
	MODEL_MIDDLE_VALUES = 40,
	MODEL_NARROW_VALUES = 7,
#endif
	MODEL_PAIRS = MODEL_WIDE * MODEL_WIDE_VALUES +
		      (MODEL_MIDDLE - MODEL_WIDE) * MODEL_MIDDLE_VALUES +
		      (MODEL_KEYS - MODEL_MIDDLE) * MODEL_NARROW_VALUES,
};

/* A sum over what is in the set: the order does not matter. */
struct digest {
	uint64_t a, b;
};
void digest_key(struct digest *d, struct cidstore_id key, bool add);
void digest_pair(struct digest *d, struct cidstore_id key, struct cidstore_id value, bool add);
static inline bool digest_equal(struct digest x, struct digest y)
{
	return x.a == y.a && x.b == y.b;
}

struct model {
	struct digest digest;
	uint32_t keys, values;
	uint16_t count[MODEL_KEYS];
	uint8_t exists[MODEL_KEYS];
	uint8_t have[MODEL_PAIRS];
};

unsigned model_width(unsigned key);
unsigned model_at(unsigned key, unsigned value); /* index into have */
struct cidstore_id model_key(unsigned key);
struct cidstore_id model_value(unsigned value);
/* The number of an identifier, or -1. */
int model_key_number(struct cidstore_id id);
int model_value_number(struct cidstore_id id);

struct todo {
	enum cidstore_verb verb;
	uint16_t key, value;
};

struct unit {
	uint64_t lsn;
	size_t changes; /* number of changes up to and with this unit */
	struct digest after;
};

struct change {
	uint16_t key;
	int16_t value; /* -1: the key itself */
	bool on;
};

struct ledger {
	struct model now;
	uint64_t base;	    /* units forgotten: none of them can be undone any more */
	struct digest before; /* after the last of those */
	struct unit *unit;
	size_t units, cap_units;
	struct change *change;
	size_t changes, cap_changes;
	uint64_t acked;	    /* units whose callers were told */
	uint64_t floor;	    /* units that must survive any power cut */
};

void ledger_init(struct ledger *l);
void ledger_fini(struct ledger *l);
/* Starts a history at the state `from` had after `at` units. */
void ledger_fork(struct ledger *l, const struct ledger *from, uint64_t at);
static inline uint64_t ledger_end(const struct ledger *l)
{
	return l->base + l->units;
}
/* Carries out n operations as one unit. */
void ledger_apply(struct ledger *l, const struct todo *t, size_t n, uint64_t lsn);
/* Units completed by records up to lsn. */
uint64_t ledger_find(const struct ledger *l, uint64_t lsn);
struct digest ledger_digest(const struct ledger *l, uint64_t at);
/* Back to the state after `at` units; the rest never was. */
void ledger_rollback(struct ledger *l, uint64_t at);
/* Forgets what lies below the floor, now and then. */
void ledger_trim(struct ledger *l);

#endif
