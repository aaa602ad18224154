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
#include "store/engine.h"
#include "wal/record.h"

/* So many crash states of a moment are looked at; those that are like others are
 * cheap. A kind that gave nothing new so often in a row is left out. One in
 * AUDIT of those that are like others is recovered all the same. */
enum { TRIES = 2000, TRIES_NESTED = 200, USELESS = 4, AUDIT = 4096 };

/* Chances, in 1/1024, that a moment is crashed. */
static const uint16_t chance[DISK_EVENTS] = {
	[DISK_RECORD] = 4,   [DISK_WRITE] = 120,       [DISK_SYNC] = 500,
	[DISK_SYNCED] = 300, [DISK_SYNCING_DIR] = 500, [DISK_SYNCED_DIR] = 300,
	[DISK_SIZE] = 300,   [DISK_PUNCH] = 60,	       [DISK_NAMED] = 400,
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

	figures->uses++;
	b->disk->event = NULL;
	b->disk->record = work_record;
	if (world_open(b, 0, message, sizeof(message)))
		world_fail(b, "the third open fails: %s", message);
	ledger_fork(&b->own, b->ledger, at);
	b->ledger = &b->own;
	world_forget(b);
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
			world_fail(b,
				   "idle, and the store counts %llu keys and %llu values; "
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
		int rc;

		world_close_snapshot(b);
		rc = cidstore_close(b->s);

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
void oracle_note(void *arg, const uint8_t *rec)
{
	struct world *b = arg;
	struct cid_record r;

	if (!cid_record_unpack(rec, &r))
		world_fail(b, "a record that does not verify");
	if (!b->first_note)
		b->first_note = r.lsn;
}

/* What the log held when recovery began, in units. */
uint64_t oracle_units(const struct world *b)
{
	uint64_t lsn = cidstore_last_seq(b->s);

	for (const struct world *x = b; x; x = x->parent)
		if (x->ledger == b->ledger && x->first_note && x->first_note <= lsn)
			lsn = x->first_note - 1;
	return ledger_find(b->ledger, lsn);
}

static void check_promises(struct world *b, uint64_t at, bool all)
{
	if (at < b->ledger->floor)
		world_fail(b, "durable operations are lost: %llu of %llu", (unsigned long long)at,
			   (unsigned long long)b->ledger->floor);
	if (all && at < b->ledger->acked)
		world_fail(b, "acknowledged operations are lost: %llu of %llu",
			   (unsigned long long)at, (unsigned long long)b->ledger->acked);
}

static void count_state(struct world *w, uint64_t at)
{
	int depth = depth_of(w);

	if (depth == 0)
		figures->states++;
	else
		figures->nested++;
	figures->deep += depth > 1;
	figures->trace = rng_mix(figures->trace ^ at, w->crash.sum);
	if (depth > 0 && w->nnested < WORLD_NESTED &&
	    (w->nnested == 0 || w->nested[w->nnested - 1] != at))
		w->nested[w->nnested++] = at;
}

/* Judges the crash state that w->crash is, and keeps the verdict. */
static uint64_t judge(struct world *w, bool all)
{
	struct world *b = w->child;
	struct rng r = { w->crash.seed ^ 0x5bd1e995 };
	char message[500];
	uint64_t at, lsn, writes, seen;
	int rc;

	world_goes_on();
	figures->recovered++;
	figures->kind[w->crash.kind]++;
	crash_build(b->disk, w->disk, &w->crash);
	b->kind = w->crash.kind;
	/* A crash leaves nothing that a check would call damage. */
	if (!w->creating && rng_one_in(&r, 8))
		world_check(b);
	disk_watch(b->disk);
	b->ledger = w->ledger;
	b->op = b->op_events = 0;
	b->nnested = 0;
	b->seed = rng_next(&r);
	b->dying = 0;
	b->first_note = 0;
	b->disk->record = oracle_note;
	b->thorough = w->thorough_nested && rng_one_in(&r, w->thorough_nested) ? CRASH_KINDS : 0;
	b->thorough_nested = 0;
	b->disk->event = b->child && (b->thorough || rng_one_in(&r, 4)) ? oracle_event : NULL;
	/* Who may only read sees what recovery would find. */
	seen = UINT64_MAX;
	if (!w->creating && rng_one_in(&r, 8)) {
		uint64_t was = b->disk->events;

		if (world_open(b, CIDSTORE_RDONLY, message, sizeof(message)))
			world_fail(b, "reading only, the store does not open: %s", message);
		seen = oracle_units(b);
		world_compare(b, seen);
		world_kill(b);
		if (b->disk->events != was)
			world_fail(b, "a reader wrote");
		figures->readonly++;
	}
	rc = world_open(b, 0, message, sizeof(message));
	b->disk->event = NULL;
	b->thorough = 0;
	figures->happened[EV_SPANS] += rc == 0 && b->s->merge_spans;
	if (w->creating && rc == CIDSTORE_ENOTSTORE)
		return 0;
	if (rc)
		world_fail(b, "the store does not open: %s", message);
	lsn = cidstore_last_seq(b->s);
	at = oracle_units(b);
	check_promises(b, at, all);
	if (seen != UINT64_MAX && seen != at)
		world_fail(b, "a reader saw %llu units, recovery finds %llu",
			   (unsigned long long)seen, (unsigned long long)at);
	world_compare(b, at);
	for (size_t i = 0; i < b->nnested; i++)
		if (b->nested[i] != at)
			world_fail(b, "recovery finds %llu units, and %llu after a crash of it",
				   (unsigned long long)at, (unsigned long long)b->nested[i]);
	count_state(w, at);
	figures->trace = rng_mix(figures->trace, b->disk->trace);
	world_kill(b);
	writes = b->disk->writes;
	if (world_open(b, 0, message, sizeof(message)))
		world_fail(b, "the second open fails: %s", message);
	if (b->disk->writes != writes)
		world_fail(b, "the second recovery writes");
	if (cidstore_last_seq(b->s) != lsn)
		world_fail(b, "the second recovery ends at record %llu, the first at %llu",
			   (unsigned long long)cidstore_last_seq(b->s), (unsigned long long)lsn);
	if (rng_one_in(&r, 8))
		world_compare(b, at);
	world_kill(b);
	world_check(b);
	if (w->seen)
		seen_add(w->seen, w->disk, &w->crash, b->disk, at);
	disk_unwatch(b->disk);
	if (depth_of(w) == 0 && rng_one_in(&r, 8)) {
		second_use(b, at, &r);
		world_forget(b);
	}
	return at;
}

uint64_t oracle_judge(struct world *w, enum crash_kind k, uint64_t seed, bool all)
{
	crash_choose(&w->crash, w->disk, k, seed);
	if (w->seen)
		seen_begin(w->seen, w->disk);
	return judge(w, all);
}

enum outcome { TWICE, ALIKE, RECOVERED, UNKNOWN };

/* One crash state of the moment that seen_begin() was told of. It is recovered
 * if need be and `may`. */
static enum outcome look_at(struct world *w, enum crash_kind k, uint64_t seed, bool all, bool may)
{
	uint64_t at, again;

	crash_choose(&w->crash, w->disk, k, seed);
	if (seen_twice(w->seen, &w->crash))
		return TWICE;
	if (!seen_alike(w->seen, w->disk, &w->crash, &at)) {
		if (!may)
			return UNKNOWN;
		(void)judge(w, all);
		return RECOVERED;
	}
	if (rng_mix(seed, 11) % AUDIT == 0) {
		again = judge(w, all);
		if (again != at)
			world_fail(w->child,
				   "recovery finds %llu units; one that looked at the same "
				   "found %llu",
				   (unsigned long long)again, (unsigned long long)at);
		figures->audits++;
		return ALIKE;
	}
	w->child->kind = k;
	w->child->ledger = w->ledger;
	check_promises(w->child, at, all);
	count_state(w, at);
	figures->alike++;
	return ALIKE;
}

/* Does the call under way hold no lock that another writer needs? */
static bool others_may_write(struct cidstore *s)
{
	if (pthread_mutex_trylock(&s->write))
		return false;
	if (pthread_mutex_trylock(&s->publish)) {
		pthread_mutex_unlock(&s->write);
		return false;
	}
	pthread_mutex_unlock(&s->publish);
	pthread_mutex_unlock(&s->write);
	return true;
}

static bool keeps_all(const struct world *w, enum disk_event e, enum crash_kind k)
{
	return w->ledger == &w->own &&
	       (k == CRASH_KEPT || (k == CRASH_LAST_TORN && e == DISK_RECORD));
}

/* In every way, or in some that change from event to event. */
static void thoroughly(struct world *w, enum disk_event e, uint64_t number, struct rng *r)
{
	unsigned n = crash_pending(w->disk) ? w->thorough : 1;
	uint64_t first = n == CRASH_KINDS ? 0 : rng_next(r);

	seen_begin(w->seen, w->disk);

	for (unsigned i = 0; i < n; i++) {
		enum crash_kind k = (enum crash_kind)((first + i) % CRASH_KINDS);
		uint64_t seed = rng_next(r);

		if (options.at_event >= 0 && !w->parent &&
		    ((int64_t)number != options.at_event ||
		     (options.at_state >= 0 && (int64_t)i != options.at_state)))
			continue;
		w->child->at_event = number;
		w->child->at_state = i;
		crash_verbose = options.at_event >= 0 && options.verbose;
		if (options.at_event >= 0 && !w->parent)
			(void)oracle_judge(w, k, seed, keeps_all(w, e, k));
		else
			(void)look_at(w, k, seed, keeps_all(w, e, k), true);
	}
}

/* How many states of a moment are recovered. */
static uint64_t share(const struct world *w, struct rng *r)
{
	return crash_pending(w->disk) ? rng_below(r, w->parent ? 2 : 5) + 1 : 1;
}

/* A state of a moment has a number, from which its kind and its seed follow. */
static uint64_t state_number(uint64_t i, enum crash_kind k)
{
	return i * 16 + (uint64_t)k;
}

static bool damaged(const struct world *w, uint64_t i, uint64_t states, uint64_t seed)
{
	return i < states && !w->parent && rng_mix(seed, 10) % 10 == 0;
}

/* Looks at states of all kinds until `states` were recovered, and then at more
 * of those kinds that still give new ones which are like others. */
static void sample(struct world *w, enum disk_event e, uint64_t number, struct rng *r)
{
	uint64_t states = share(w, r), tries = w->parent ? TRIES_NESTED : TRIES, recovered = 0;
	uint64_t salt = rng_next(r);
	enum crash_kind kind[CRASH_KINDS];
	unsigned useless[CRASH_KINDS] = { 0 }, kinds = CRASH_KINDS;

	for (unsigned i = 0; i < kinds; i++)
		kind[i] = (enum crash_kind)i;
	if (crash_pending(w->disk) == 0)
		tries = 1;
	seen_begin(w->seen, w->disk);
	for (uint64_t i = 0; i < tries && kinds; i++) {
		unsigned which = (unsigned)rng_below(r, kinds);
		enum crash_kind k = kind[which];
		uint64_t state = state_number(i, k), seed = rng_mix(salt, state);
		enum outcome o;

		w->child->at_event = number;
		w->child->at_state = state;
		if (damaged(w, i, states, seed)) {
			rot_judge(w, k, seed);
			recovered++;
			continue;
		}
		o = look_at(w, k, seed, keeps_all(w, e, k), recovered < states);
		recovered += o == RECOVERED;
		if (o == ALIKE || o == RECOVERED)
			useless[which] = 0;
		else if (++useless[which] > USELESS && recovered >= states) {
			kind[which] = kind[--kinds];
			useless[which] = useless[kinds];
		}
	}
}

/* One of these states, or some of a moment. */
static void repeat(struct world *w, enum disk_event e, uint64_t number, struct rng *r)
{
	uint64_t states = share(w, r), salt = rng_next(r);
	bool one = options.at_event >= 0;

	crash_verbose = one && options.verbose;
	for (uint64_t n = 0; n < (one ? 1 : 8); n++) {
		uint64_t state = one ? (uint64_t)options.at_state
				     : state_number(n, (enum crash_kind)rng_below(r, CRASH_KINDS));
		enum crash_kind k = (enum crash_kind)(state % 16);
		uint64_t seed = rng_mix(salt, state);

		w->child->at_event = number;
		w->child->at_state = state;
		if (k >= CRASH_KINDS)
			return;
		if (damaged(w, state / 16, states, seed))
			rot_judge(w, k, seed);
		else
			(void)oracle_judge(w, k, seed, keeps_all(w, e, k));
	}
	crash_verbose = false;
}

void oracle_event(void *arg, struct disk *d, enum disk_event e, int file)
{
	struct world *w = arg;
	uint64_t number = d->events - w->op_events, salt, drawn;
	unsigned likely;
	struct rng r = { 0 };
	bool only = options.at_op >= 0 && !w->parent && !w->thorough;

	(void)file;
	/* Between two events the clock may be asked several times. */
	salt = e == DISK_CLOCK ? d->clock : 0;
	r.s = rng_mix(rng_mix(w->seed, w->op) ^ salt, number);
	figures->event[e]++;
	if (e != DISK_CLOCK && w->dying && (e != DISK_RECORD || !w->dying_writes) &&
	    --w->dying == 0) {
		d->dead = true;
		return;
	}
	if (w->may_interleave && w->betweens < 8 && w->s && !d->failed && e != DISK_RECORD &&
	    rng_one_in(&r, e == DISK_CLOCK ? 20 : 5) && others_may_write(w->s)) {
		w->betweens++;
		work_between(w, &r);
		if (d->dead)
			return;
	}
	if (!w->child || e == DISK_CLOCK || world_enough())
		return;
	if (only && ((int64_t)w->op != options.at_op ||
		     (options.at_event >= 0 && (int64_t)number != options.at_event)))
		return;
	likely = chance[e];
	if (e == DISK_RECORD)
		likely = w->special == 2 ? 400 : w->special ? 40 : likely;
	if (w->parent)
		likely /= 6;
	if (w->thorough) {
		thoroughly(w, e, number, &r);
		return;
	}
	/* Whoever repeats draws, too: what follows is then the same. */
	drawn = rng_below(&r, 1024 * (w->parent ? 1 : w->every));
	if (only)
		repeat(w, e, number, &r);
	else if (drawn < likely)
		sample(w, e, number, &r);
}
