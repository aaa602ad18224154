/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oracle.c - judging crash states
 *
 * A crash state must open. What it then holds is exactly what the model held
 * after some number of units, and that number is at least what a sync, or the
 * store's own durable_seq, promised; after the mere death of the process it is
 * at least what was acknowledged. A unit is a whole operation or transaction,
 * so half of one is not a state. fsck finds nothing. Opening a second time
 * writes nothing and finds the same. Crashes during recovery lead to the same
 * number of units. The store then works on, and crashes of that are judged
 * alike.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/world.h"
#include "wal/record.h"

/* Chances, in 1/1024, that a moment is crashed. */
static const uint16_t chance[DISK_EVENTS] = {
	[DISK_RECORD] = 4,
	[DISK_WRITE] = 120,
	[DISK_SYNC] = 500,
	[DISK_SYNCED] = 300,
	[DISK_SYNCING_DIR] = 500,
	[DISK_SYNCED_DIR] = 300,
	[DISK_SIZE] = 300,
	[DISK_PUNCH] = 60,
	[DISK_NAMED] = 400,
};

static int depth_of(const struct world *w)
{
	int n = 0;

	for (; w->parent; w = w->parent)
		n++;
	return n;
}

static void second_use(struct world *b, uint64_t at, struct rng *r)
{
	char message[500];
	uint64_t steps = rng_below(r, 40) + 5;
	unsigned phase = (unsigned)rng_below(r, WORK_PHASES);
	struct cidstore_stats st;

	figures.uses++;
	b->disk->event = NULL;
	b->disk->record = work_record;
	if (world_open(b, 0, message, sizeof(message)))
		world_fail(b, "the third open fails: %s", message);
	ledger_fork(&b->own, b->ledger, at);
	b->ledger = &b->own;
	b->first_note = 0;
	work_forget(b);
	if (b->child && rng_one_in(r, 2))
		b->disk->event = oracle_event;
	b->seed = rng_next(r);
	for (b->op = 1; b->op <= steps; b->op++) {
		b->op_events = b->disk->events;
		work_step(b, r, phase);
		if (!b->s)
			return;
	}
	switch (rng_below(r, 6)) {
	case 0:
		if (cidstore_compact(b->s))
			world_fail(b, "compact fails");
		cidstore_stats(b->s, &st);
		if (st.keys != b->own.now.keys || st.values != b->own.now.values)
			world_fail(b, "idle, and the store counts %llu keys and %llu values; "
				      "there are %u and %u",
				   (unsigned long long)st.keys, (unsigned long long)st.values,
				   b->own.now.keys, b->own.now.values);
		break;
	case 1:
		if (cidstore_gc(b->s))
			world_fail(b, "gc fails");
		break;
	case 2:
		if (cidstore_checkpoint(b->s))
			world_fail(b, "checkpoint fails");
		break;
	}
	world_compare(b, ledger_end(b->ledger));
	b->disk->event = NULL;
	if (rng_one_in(r, 2)) {
		int rc = cidstore_close(b->s);

		b->s = NULL;
		if (rc)
			world_fail(b, "close fails: %s", cidstore_strerror(rc));
	} else {
		world_kill(b);
	}
	world_check(b);
	if (world_open(b, 0, message, sizeof(message)))
		world_fail(b, "the last open fails: %s", message);
	world_compare(b, ledger_end(b->ledger));
	world_kill(b);
}

/* Recovery may write notes. They take numbers that the lost tail had. */
static void count_note(void *arg, const uint8_t *rec)
{
	struct world *b = arg;
	struct cid_record r;

	if (!cid_record_unpack(rec, &r))
		world_fail(b, "a record that does not verify");
	if (!b->first_note)
		b->first_note = r.lsn;
}

/* What the log held when recovery began, in units. */
static uint64_t units_of(const struct world *b)
{
	uint64_t lsn = cidstore_last_seq(b->s);

	for (const struct world *x = b; x; x = x->parent)
		if (x->ledger == b->ledger && x->first_note && x->first_note <= lsn)
			lsn = x->first_note - 1;
	return ledger_find(b->ledger, lsn);
}

uint64_t oracle_judge(struct world *w, enum crash_kind k, uint64_t seed, bool all)
{
	struct world *b = w->child;
	struct rng r = { seed ^ 0x5bd1e995 };
	char message[500];
	uint64_t at, lsn, writes, seen;
	int rc;

	(void)alarm(PATIENCE);
	figures.images++;
	figures.kind[k]++;
	crash_build(b->disk, w->disk, k, seed);
	b->kind = k;
	b->ledger = w->ledger;
	b->op = b->op_events = 0;
	b->nnested = 0;
	b->seed = rng_next(&r);
	b->dying = 0;
	b->first_note = 0;
	b->disk->record = count_note;
	b->disk->event = b->child && rng_one_in(&r, 4) ? oracle_event : NULL;
	/* Who may only read sees what recovery would find. */
	seen = UINT64_MAX;
	if (!w->creating && rng_one_in(&r, 8)) {
		uint64_t was = b->disk->events;

		if (world_open(b, CIDSTORE_RDONLY, message, sizeof(message)))
			world_fail(b, "reading only, the store does not open: %s", message);
		seen = units_of(b);
		world_compare(b, seen);
		world_kill(b);
		if (b->disk->events != was)
			world_fail(b, "a reader wrote");
		figures.readonly++;
	}
	rc = world_open(b, 0, message, sizeof(message));
	b->disk->event = NULL;
	if (w->creating && rc == CIDSTORE_ENOTSTORE)
		return 0;
	if (rc)
		world_fail(b, "the store does not open: %s", message);
	lsn = cidstore_last_seq(b->s);
	at = units_of(b);
	if (at < b->ledger->floor)
		world_fail(b, "durable operations are lost: %llu of %llu",
			   (unsigned long long)at, (unsigned long long)b->ledger->floor);
	if (all && at < b->ledger->acked)
		world_fail(b, "acknowledged operations are lost: %llu of %llu",
			   (unsigned long long)at, (unsigned long long)b->ledger->acked);
	if (seen != UINT64_MAX && seen != at)
		world_fail(b, "a reader saw %llu units, recovery finds %llu",
			   (unsigned long long)seen, (unsigned long long)at);
	world_compare(b, at);
	for (size_t i = 0; i < b->nnested; i++)
		if (b->nested[i] != at)
			world_fail(b, "recovery finds %llu units, and %llu after a crash of it",
				   (unsigned long long)at, (unsigned long long)b->nested[i]);
	if (depth_of(w) == 0)
		figures.states++;
	else
		figures.nested++;
	figures.trace = rng_mix(figures.trace ^ at, b->disk->trace);
	world_kill(b);
	if (depth_of(w) > 0 && w->nnested < WORLD_NESTED)
		w->nested[w->nnested++] = at;
	if (rng_one_in(&r, 2)) {
		writes = b->disk->writes;
		if (world_open(b, 0, message, sizeof(message)))
			world_fail(b, "the second open fails: %s", message);
		if (b->disk->writes != writes)
			world_fail(b, "the second recovery writes");
		if (cidstore_last_seq(b->s) != lsn)
			world_fail(b, "the second recovery ends at record %llu, the first at %llu",
				   (unsigned long long)cidstore_last_seq(b->s),
				   (unsigned long long)lsn);
		if (rng_one_in(&r, 8))
			world_compare(b, at);
		world_kill(b);
	}
	if (rng_one_in(&r, 2))
		world_check(b);
	if (depth_of(w) == 0 && rng_one_in(&r, 8))
		second_use(b, at, &r);
	return at;
}

void oracle_event(void *arg, struct disk *d, enum disk_event e, int file)
{
	struct world *w = arg;
	uint64_t number = d->events - w->op_events, states, pending;
	unsigned likely;
	bool dense;
	struct rng r = { rng_mix(rng_mix(w->seed, w->op), number) };
	bool only = options.at_op >= 0 && !w->parent;

	(void)file;
	figures.event[e]++;
	if (w->dying && (e != DISK_RECORD || !w->dying_writes) && --w->dying == 0) {
		d->dead = true;
		return;
	}
	if (w->may_interleave && w->betweens < 8 && w->s && e != DISK_RECORD && rng_one_in(&r, 5)) {
		w->betweens++;
		work_between(w, &r);
		if (d->dead)
			return;
	}
	if (!w->child || world_enough())
		return;
	if (only && ((int64_t)w->op != options.at_op ||
		     (options.at_event >= 0 && (int64_t)number != options.at_event)))
		return;
	dense = only && options.at_event < 0;
	pending = crash_pending(d);
	likely = chance[e];
	if (e == DISK_RECORD)
		likely = w->special == 2 ? 400 : w->special ? 40 : likely;
	if (w->parent)
		likely /= 6;
	if (rng_below(&r, 1024 * (w->parent ? 1 : options.every)) >= likely && !dense && !only)
		return;
	states = pending ? rng_below(&r, w->parent ? 2 : 5) + 1 : 1;
	if (dense)
		states = 8;
	for (uint64_t i = 0; i < states; i++) {
		uint64_t seed = rng_next(&r);
		enum crash_kind k = (enum crash_kind)rng_below(&r, CRASH_KINDS);

		if (only && !dense && (int64_t)i != options.at_state)
			continue;
		w->child->at_event = number;
		w->child->at_state = i;
		crash_verbose = only && options.verbose;
		(void)oracle_judge(w, k, seed,
				   w->ledger == &w->own &&
					   (k == CRASH_KEPT || (k == CRASH_LAST_TORN && e == DISK_RECORD)));
	}
}
