/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work.c - random operations, with the answers the model expects
 *
 * Phases lean towards growing, mixing, shrinking and resting, so that splits
 * and joins, promotions and demotions, full logs and long sweeps all come up.
 */
#include <stdio.h>
#include <string.h>

#include "sim/world.h"
#include "store/engine.h"
#include "wal/record.h"

enum { MS = 1000000, KINDS = 12 };

static struct call *call_of(struct world *w)
{
	return &w->call[w->inner];
}

void work_record(void *arg, const uint8_t *rec)
{
	struct world *w = arg;
	struct call *c = call_of(w);
	struct cid_record r;

	if (!cid_record_unpack(rec, &r))
		world_fail(w, "a record that does not verify");
	if (!w->parent)
		figures->opcode[r.opcode & 15]++;
	if (r.opcode == CID_OP_BEGIN)
		w->batch_lap = r.lsn / LOG_RECORDS;
	w->batch_wrapped |= r.opcode == CID_OP_COMMIT && r.lsn / LOG_RECORDS > w->batch_lap;
	w->special = r.opcode > CID_OP_COMMIT ? 2 : r.opcode >= CID_OP_BEGIN;
	switch (r.opcode) {
	case CID_OP_BEGIN:
		c->in_group = true;
		break;
	case CID_OP_COMMIT:
		if (!c->grouped || c->done)
			world_fail(w, "a transaction nobody asked for");
		ledger_apply(&w->own, c->todo, c->todos, r.lsn);
		c->done = c->todos;
		c->in_group = false;
		figures->units++;
		break;
	case CID_OP_INSERT:
	case CID_OP_DELETE:
	case CID_OP_MKKEY:
	case CID_OP_RMKEY:
		if (c->in_group)
			break;
		if (c->grouped || c->done == c->todos)
			world_fail(w, "a record nobody asked for");
		ledger_apply(&w->own, &c->todo[c->done++], 1, r.lsn);
		figures->units++;
		break;
	default:
		break;
	}
}

static void plan(struct world *w, enum cidstore_verb verb, unsigned k, unsigned v)
{
	struct call *c = call_of(w);

	if (c->todos < WORLD_TODO)
		c->todo[c->todos++] = (struct todo){ verb, (uint16_t)k, (uint16_t)v };
}

/* Calls that answer a question are not interrupted: others must not change it. */
static void begin(struct world *w, bool grouped, bool blind)
{
	struct call *c = call_of(w);

	c->todos = c->done = 0;
	c->grouped = grouped;
	c->in_group = false;
	w->may_interleave = blind && w->inner == 0;
	if (w->inner == 0)
		w->betweens = 0;
	w->had_failed = w->disk->failed;
}

void work_forget(struct world *w)
{
	w->inner = 0;
	begin(w, false, false);
}

/* An operation returned: were its records written, and its answer right? */
static void finish(struct world *w, const char *what, int got, int want)
{
	bool want_refusal = strcmp(what, "sync") == 0;
	struct ledger *l = w->ledger;
	struct call *c = call_of(w);
	uint64_t durable;

	w->may_interleave = false;
	if (w->disk->dead)
		return;
	if (got == CIDSTORE_ENOSPC && w->disk->capacity) {
		figures->full++;
		w->full |= w->inner == 0;
		c->todos = c->done;
		want = got;
	}
	if (w->disk->failed) {
		/* Whether the call that met it failed is its own affair; later
		 * ones are refused. */
		if (w->had_failed && got == 0 && (c->todos || want_refusal))
			world_fail(w, "%s: accepted after a failed sync", what);
		if (got == CIDSTORE_EFAILED || got == CIDSTORE_EIO) {
			if (w->had_failed && c->done)
				world_fail(w, "%s: refused and yet recorded", what);
			c->todos = c->done = 0;
			return;
		}
	}
	if (got != want)
		world_fail(w, "%s: %s, expected %s", what, cidstore_strerror(got),
			   cidstore_strerror(want));
	if (got == 0 && c->done != c->todos)
		world_fail(w, "%s: acknowledged without a record", what);
	if (got != 0 && got != CIDSTORE_ENOSPC && c->done)
		world_fail(w, "%s: failed and yet recorded", what);
	c->todos = c->done = 0;
	l->acked = ledger_end(l);
	durable = ledger_find(l, cidstore_durable_seq(w->s));
	if (durable > l->floor)
		l->floor = durable;
	ledger_trim(l);
}

static unsigned some_key(struct rng *r)
{
	switch (rng_below(r, 4)) {
	case 0:
		return (unsigned)rng_below(r, MODEL_WIDE);
	case 1:
		return (unsigned)rng_below(r, MODEL_MIDDLE);
	}
	return (unsigned)rng_below(r, MODEL_KEYS);
}

static unsigned some_value(struct rng *r, unsigned k)
{
	unsigned n = model_width(k);

	return (unsigned)(rng_one_in(r, 3) ? rng_below(r, n) : rng_below(r, n < 6 ? n : 6));
}

static uint64_t any_size(struct rng *r)
{
	switch (rng_below(r, 16)) {
	case 0:
		return rng_below(r, LOG_RECORDS * 2 < WORLD_TODO ? LOG_RECORDS * 2 : WORLD_TODO - 1) + 1;
	case 1:
	case 2:
	case 3:
		return rng_below(r, BULK) + 1;
	}
	return rng_below(r, BULK < 12 ? BULK : 12) + 1;
}

/* How many: a call between others must find room without waiting. */
static uint64_t some_size(const struct world *w, struct rng *r)
{
	return w->inner ? rng_below(r, INNER) + 1 : any_size(r);
}

static void pairs(struct world *w, struct rng *r, enum cidstore_verb verb)
{
	struct cidstore_pair *p = call_of(w)->pair;
	uint64_t n = some_size(w, r);
	unsigned k = some_key(r), from = (unsigned)rng_below(r, MODEL_WIDE_VALUES);
	bool one = rng_one_in(r, 2);
	size_t done = 0;
	int rc;

	begin(w, false, true);
	for (uint64_t i = 0; i < n; i++) {
		unsigned key = one ? k : some_key(r);
		unsigned v = one ? (unsigned)(from + i) % model_width(k) : some_value(r, key);

		plan(w, verb, key, v);
		p[i] = (struct cidstore_pair){ model_key(key), model_value(v) };
	}
	rc = verb == CIDSTORE_OP_INSERT ? cidstore_insert(w->s, p, (size_t)n, &done) :
					  cidstore_delete(w->s, p, (size_t)n, &done);
	if (!w->disk->dead && done != call_of(w)->done)
		world_fail(w, "bulk: %zu done, %zu recorded", done, call_of(w)->done);
	finish(w, verb == CIDSTORE_OP_INSERT ? "insert" : "delete", rc, 0);
}

static void keys(struct world *w, struct rng *r, enum cidstore_verb verb)
{
	struct cidstore_id id[BULK];
	uint64_t n = rng_one_in(r, 4) && !w->inner ? rng_below(r, BULK) + 1 : rng_below(r, 4) + 1;
	unsigned from = (unsigned)rng_below(r, MODEL_KEYS);
	bool row = rng_one_in(r, 2);
	int rc;

	begin(w, false, true);
	for (uint64_t i = 0; i < n; i++) {
		unsigned k = row ? (unsigned)(from + i) % MODEL_KEYS : some_key(r);

		plan(w, verb, k, 0);
		id[i] = model_key(k);
	}
	rc = verb == CIDSTORE_OP_MKKEY ? cidstore_make_keys(w->s, id, (size_t)n, NULL) :
					 cidstore_delete_keys(w->s, id, (size_t)n, NULL);
	finish(w, "keys", rc, 0);
}

/* Fills many keys with a few values each: splits and packed sets. */
static void spread(struct world *w, struct rng *r)
{
	struct cidstore_pair *p = call_of(w)->pair;
	unsigned each = (unsigned)rng_below(r, MODEL_NARROW_VALUES) + 1;
	unsigned from = (unsigned)rng_below(r, MODEL_KEYS), n = 0;
	unsigned count = (unsigned)rng_below(r, BULK) + 1;

	begin(w, false, true);
	for (unsigned i = 0; i < count; i++)
		for (unsigned v = 0; v < each; v++, n++) {
			unsigned k = (from + i) % MODEL_KEYS;

			plan(w, CIDSTORE_OP_INSERT, k, v);
			p[n] = (struct cidstore_pair){ model_key(k), model_value(v) };
		}
	finish(w, "insert", cidstore_insert(w->s, p, n, NULL), 0);
}

static void group(struct world *w, struct rng *r)
{
	struct cidstore_op *op = call_of(w)->batch;
	uint64_t n = !w->inner && rng_one_in(r, 30) ?
			     LOG_RECORDS / 4 - 20 + rng_below(r, 30) :
			     rng_below(r, w->inner ? INNER : 30) + 1;
	int want = n > LOG_RECORDS / 4 ? CIDSTORE_ETOOBIG : 0, rc = 0;

	begin(w, true, true);
	for (uint64_t i = 0; i < n; i++) {
		enum cidstore_verb verb = (enum cidstore_verb)(rng_below(r, 4) + 1);
		unsigned k = some_key(r), v = some_value(r, k);

		if (verb == CIDSTORE_OP_RMKEY && !rng_one_in(r, 4))
			verb = CIDSTORE_OP_INSERT;
		plan(w, verb, k, v);
		op[i] = (struct cidstore_op){ verb, model_key(k), model_value(v) };
	}
	if (rng_one_in(r, 2)) {
		rc = cidstore_apply(w->s, op, (size_t)n);
	} else {
		struct cidstore_txn *t;

		rc = cidstore_txn_begin(w->s, &t);
		for (uint64_t i = 0; i < n && rc == 0; i++)
			rc = cidstore_txn_op(t, op[i].verb, op[i].key, op[i].value);
		if (rc == 0)
			rc = cidstore_txn_commit(t);
		else
			cidstore_txn_abort(t);
	}
	finish(w, "apply", rc, want);
}

static void single(struct world *w, struct rng *r)
{
	const struct model *m = &w->own.now;
	unsigned k = some_key(r), v = some_value(r, k), k2, v2;
	bool there = m->have[model_at(k, v)], noreplace = rng_one_in(r, 2);
	struct cidstore_id key = model_key(k), value = model_value(v);
	int want;

	begin(w, false, false);
	switch (rng_below(r, 5)) {
	case 0:
		want = m->exists[k] ? CIDSTORE_EEXIST : 0;
		if (!want)
			plan(w, CIDSTORE_OP_MKKEY, k, 0);
		finish(w, "mkkey", cidstore_mkkey(w->s, key), want);
		break;
	case 1:
		want = !m->exists[k] ? CIDSTORE_ENOENT : m->count[k] ? CIDSTORE_ENOTEMPTY : 0;
		if (!want)
			plan(w, CIDSTORE_OP_RMKEY, k, 0);
		finish(w, "rmkey", cidstore_rmkey(w->s, key), want);
		break;
	case 2:
		want = !m->exists[k] ? CIDSTORE_ENOENT : there ? CIDSTORE_EEXIST : 0;
		if (!want)
			plan(w, CIDSTORE_OP_INSERT, k, v);
		finish(w, "add", cidstore_add(w->s, key, value), want);
		break;
	case 3:
		want = there ? 0 : CIDSTORE_ENOENT;
		if (!want)
			plan(w, CIDSTORE_OP_DELETE, k, v);
		finish(w, "remove", cidstore_remove(w->s, key, value), want);
		break;
	case 4:
		k2 = some_key(r);
		v2 = some_value(r, k2);
		if (!there || !m->exists[k2])
			want = CIDSTORE_ENOENT;
		else
			want = m->have[model_at(k2, v2)] && noreplace ? CIDSTORE_EEXIST : 0;
		if (!want && (k != k2 || v != v2)) {
			begin(w, true, false);
			plan(w, CIDSTORE_OP_DELETE, k, v);
			plan(w, CIDSTORE_OP_INSERT, k2, v2);
			w->moved = true;
		}
		finish(w, "move",
		       cidstore_move(w->s, key, value, model_key(k2), model_value(v2), noreplace),
		       want);
		break;
	}
}

static void sync_now(struct world *w)
{
	uint64_t acked = w->ledger->acked;
	int rc;

	begin(w, false, true);
	rc = cidstore_sync(w->s);
	if (rc == 0 && !w->disk->dead && acked > w->ledger->floor)
		w->ledger->floor = acked;
	finish(w, "sync", rc, 0);
}

static void maintain(struct world *w, struct rng *r)
{
	uint64_t what = rng_below(r, 100);
	int more, rc = 0;

	w->maintained = true;

	begin(w, false, true);
	if (what < 84) {
		uint64_t n = rng_one_in(r, 4) ? rng_below(r, 40) + 1 : 1;

		bool rest = rng_one_in(r, 4);

		more = 1;
		while (n-- && more && rc == 0) {
			w->disk->clock += rest ? 400 * MS : 0;
			rc = cidstore_step(w->s, &more);
		}
	} else if (what < 93) {
		rc = cidstore_checkpoint(w->s);
	} else if (what < 96) {
		rc = cidstore_compact(w->s);
	} else if (what < 99) {
		rc = cidstore_gc(w->s);
	} else {
		rc = cidstore_config_set(w->s, "promotion_threshold", 4ull << rng_below(r, 3));
	}
	finish(w, "maintenance", rc, 0);
}

/* Fills the log to the brim, then empties it while others write. */
static void brim(struct world *w, struct rng *r)
{
	struct cidstore_stats st;

	for (int i = 0; i < 200 && !w->disk->dead && !w->disk->failed && !w->full; i++) {
		cidstore_stats(w->s, &st);
		if (st.log_used + BRIM > st.log_records)
			break;
		pairs(w, r, rng_one_in(r, 3) ? CIDSTORE_OP_DELETE : CIDSTORE_OP_INSERT);
	}
	if (w->disk->dead || w->disk->failed)
		return;
	begin(w, false, true);
	finish(w, "checkpoint", cidstore_checkpoint(w->s), 0);
}

/* A snapshot is taken, and later read and closed. */
static void snapshot(struct world *w)
{
	begin(w, false, false);
	if (w->snap) {
		world_compare_snapshot(w);
		world_close_snapshot(w);
		return;
	}
	finish(w, "snapshot", cidstore_snapshot_open(w->s, &w->snap), 0);
	w->snap_digest = ledger_digest(w->ledger, ledger_end(w->ledger));
}

/* A full disk can be emptied: deletions and merges find room. */
static void empty(struct world *w, struct rng *r)
{
	struct cidstore_id id[MODEL_KEYS];
	unsigned left = (unsigned)rng_below(r, MODEL_KEYS);

	w->full = false;
	world_close_snapshot(w);
	for (unsigned at = 0; at < MODEL_KEYS && !w->disk->dead && !w->full; at += 80) {
		unsigned n = 0;

		begin(w, false, true);
		for (unsigned k = at; k < at + 80 && k < MODEL_KEYS; k++) {
			if (k >= left && k < left + 20)
				continue;
			plan(w, CIDSTORE_OP_RMKEY, k, 0);
			id[n++] = model_key(k);
		}
		finish(w, "delete_keys", cidstore_delete_keys(w->s, id, n, NULL), 0);
	}
	if (w->disk->dead || w->disk->failed)
		return;
	if (w->full && w->scarce)
		return;
	if (w->full)
		world_fail(w, "a full disk refuses deletions");
	begin(w, false, true);
	finish(w, "compact", cidstore_compact(w->s), 0);
	if (!w->disk->dead && !w->disk->failed && w->full && !w->scarce)
		world_fail(w, "a full disk cannot be emptied");
	figures->emptied++;
	w->full = false;
}

static void reopen(struct world *w)
{
	char message[500];
	int rc;

	begin(w, false, false);
	world_count(w);
	world_close_snapshot(w);
	rc = cidstore_close(w->s);
	w->s = NULL;
	if (w->disk->dead)
		return;
	if (w->disk->failed) {
		/* The page cache is not to be believed; only the disk is. */
		if (rc == 0 && w->had_failed)
			world_fail(w, "close: says all is durable after a failed sync");
		w->disk->dead = true;
		return;
	}
	if (rc)
		world_fail(w, "close: %s", cidstore_strerror(rc));
	w->ledger->floor = w->ledger->acked;
	if (!w->parent)
		world_check(w);
	rc = world_open(w, 0, message, sizeof(message));
	if (rc && w->disk->failed)
		w->disk->dead = true;
	if (rc && !w->disk->dead)
		world_fail(w, "open after a clean close: %s", message);
	observe_again(w);
}

void work_drill(struct world *w, struct rng *r, unsigned which)
{
	unsigned k = (unsigned)rng_below(r, MODEL_WIDE), v = some_value(r, k);
	struct cidstore_pair p = { model_key(k), model_value(v) };
	struct cidstore_id key = model_key(k);
	int more = 0, rc;

	w->maintained = which == 6 || which == 7;
	begin(w, false, true);
	switch (which) {
	case 1:
		plan(w, CIDSTORE_OP_INSERT, k, v);
		finish(w, "insert", cidstore_insert(w->s, &p, 1, NULL), 0);
		break;
	case 2:
		plan(w, CIDSTORE_OP_DELETE, k, v);
		finish(w, "delete", cidstore_delete(w->s, &p, 1, NULL), 0);
		break;
	case 3:
		plan(w, CIDSTORE_OP_RMKEY, k, 0);
		finish(w, "delete_keys", cidstore_delete_keys(w->s, &key, 1, NULL), 0);
		break;
	case 4:
		group(w, r);
		break;
	case 5:
		sync_now(w);
		break;
	case 6:
		rc = cidstore_step(w->s, &more);
		finish(w, "maintenance", rc, 0);
		break;
	case 7:
		rc = cidstore_checkpoint(w->s);
		finish(w, "checkpoint", rc, 0);
		break;
	case 8:
		spread(w, r);
		break;
	}
}

void work_between(struct world *w, struct rng *r)
{
	struct cidstore_stats st;
	const struct cid_mem *m;
	bool blind = w->may_interleave;

	w->may_interleave = false; /* it asks for the time, which is an event */
	cidstore_stats(w->s, &st);
	w->may_interleave = blind;
	m = cid_view_now(w->s)->active;
	/* It must not wait for maintenance, which waits for this. */
	if (st.log_used + 2 * INNER + BRIM > st.log_records || m->cap - m->count < 2 * INNER)
		return;
	figures->between += !w->parent;
	w->inner = 1;
	switch (rng_below(r, 5)) {
	case 0:
		pairs(w, r, CIDSTORE_OP_INSERT);
		break;
	case 1:
		pairs(w, r, CIDSTORE_OP_DELETE);
		break;
	case 2:
		keys(w, r, rng_one_in(r, 2) ? CIDSTORE_OP_MKKEY : CIDSTORE_OP_RMKEY);
		break;
	case 3:
		group(w, r);
		break;
	case 4:
		single(w, r);
		break;
	}
	w->inner = 0;
	w->may_interleave = blind;
}

void work_step(struct world *w, struct rng *r, unsigned phase)
{
	/* insert, delete, make keys, delete keys, spread, group, single, sync, step, reopen, brim,
	 * snapshot */
	static const uint16_t weight[WORK_PHASES][KINDS] = {
		{ 250, 20, 30, 0, 120, 60, 150, 40, 250, 2, 4, 6 },
		{ 150, 100, 20, 20, 20, 100, 250, 60, 250, 3, 2, 6 },
		{ 30, 150, 0, 120, 0, 40, 150, 40, 350, 3, 2, 6 },
		{ 20, 10, 5, 5, 0, 10, 50, 100, 700, 10, 2, 6 },
		{ 400, 200, 20, 10, 50, 200, 200, 10, 20, 1, 20, 6 },
	};
	uint64_t sum = 0, at;
	int what = 0;

	w->maintained = false;

	for (int i = 0; i < KINDS; i++)
		sum += weight[phase][i];
	at = rng_below(r, sum);
	while (at >= weight[phase][what])
		at -= weight[phase][what++];
	if (w->full && rng_one_in(r, 6)) {
		empty(w, r);
		return;
	}
	w->disk->clock += rng_below(r, rng_one_in(r, 10) ? 2000 : 20) * MS;
	if (phase == 3 && rng_one_in(r, 8))
		w->disk->clock += rng_below(r, 8000) * MS;
	switch (what) {
	case 0:
		pairs(w, r, CIDSTORE_OP_INSERT);
		break;
	case 1:
		pairs(w, r, CIDSTORE_OP_DELETE);
		break;
	case 2:
		keys(w, r, CIDSTORE_OP_MKKEY);
		break;
	case 3:
		keys(w, r, CIDSTORE_OP_RMKEY);
		break;
	case 4:
		spread(w, r);
		break;
	case 5:
		group(w, r);
		break;
	case 6:
		single(w, r);
		break;
	case 7:
		sync_now(w);
		break;
	case 8:
		maintain(w, r);
		break;
	case 9:
		reopen(w);
		break;
	case 10:
		if (!w->parent)
			brim(w, r);
		break;
	case 11:
		snapshot(w);
		break;
	}
}
