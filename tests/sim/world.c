/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/shrink.h"
#include "sim/world.h"

#include "base/limits.h"
#include "wal/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct figures *figures;

static const struct world *current;

const struct world *world_current(void)
{
	return current;
}

struct world *world_new(struct world *parent)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	w->parent = parent;
	if (parent) {
		parent->child = w;
		parent->seen = seen_new();
	}
	w->disk = disk_new(parent ? parent->disk : NULL);
	w->disk->arg = w;
	w->ledger = &w->own;
	w->drill = -1;
	return w;
}

void world_free(struct world *w)
{
	ledger_fini(&w->own);
	crash_fini(&w->crash);
	seen_free(w->seen);
	disk_free(w->disk);
	if (w->parent)
		w->parent->child = NULL;
	free(w);
}

/* From the first world down: where each is at. */
static size_t where(const struct world *w, char *out, size_t n)
{
	const struct world *chain[8];
	size_t depth = 0, at = 0;

	for (; w && depth < 8; w = w->parent)
		chain[depth++] = w;
	for (size_t i = depth; i-- > 0 && at < n;) {
		const struct world *x = chain[i];
		int m;

		if (x->parent)
			m = snprintf(out + at, n - at, " > event %llu state %llu (%s), step %llu",
				     (unsigned long long)x->at_event,
				     (unsigned long long)x->at_state, crash_name(x->kind),
				     (unsigned long long)x->op);
		else
			m = snprintf(out + at, n - at, "step %llu", (unsigned long long)x->op);
		at += m > 0 ? (size_t)m : 0;
	}
	return at < n ? at : n - 1;
}

size_t world_note(const struct world *w, const char *text, char *out, size_t n)
{
	const struct world *top = w, *first = NULL;
	char place[500], at[100] = "";

	for (; top->parent; top = top->parent)
		first = top;
	(void)where(w, place, sizeof(place));
	if (first)
		(void)snprintf(at, sizeof(at), ".%llu.%llu", (unsigned long long)first->at_event,
			       (unsigned long long)first->at_state);
	(void)snprintf(failure->text, sizeof(failure->text), "%s", text);
	failure->seed = options.seed;
	failure->step = top->op;
	failure->crash = first != NULL;
	failure->event = first ? first->at_event : 0;
	failure->state = first ? first->at_state : 0;
	failure->failed = true;
	if (top->drill >= 0) {
		(void)snprintf(out, n,
			       "not ok 1 - %s\n# at %s\n# repeat: sim --seed %llu --length %u "
			       "--thorough %u "
			       "--nested %u --drill %d:%s --at 0%s\n",
			       text, place, (unsigned long long)options.seed, options.length,
			       options.thorough, options.nested, top->drill, top->path, at);
		failure->step = 0;
		return strlen(out);
	}
	(void)snprintf(out, n,
		       "not ok 1 - %s\n# at %s\n# repeat: sim --seed %llu --ops %llu --at %llu%s\n"
		       "# log: %llu units, %llu acknowledged, %llu must survive\n",
		       text, place, (unsigned long long)options.seed,
		       (unsigned long long)options.ops, (unsigned long long)top->op, at,
		       (unsigned long long)ledger_end(w->ledger),
		       (unsigned long long)w->ledger->acked, (unsigned long long)w->ledger->floor);
	return strlen(out);
}

void world_fail(const struct world *w, const char *fmt, ...)
{
	char text[600], line[1600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)world_note(w, text, line, sizeof(line));
	(void)fputs(line, stdout);
	(void)fflush(stdout);
	_exit(1);
}

/* ---- beginning, opening, dying ---- */

void world_begin(struct world *w, struct rng *r)
{
	static const uint32_t threshold[] = { 4, 8, 8, 16 }, bucket[] = { 1, 2, 3, 8 };
	struct cidstore_geometry geo = {
		.log_bytes = LOG_RECORDS * CID_RECORD_BYTES,
		.segment_bytes = CID_SEGMENT_BYTES_MIN,
		.bucket_bytes = CID_BUCKET_BYTES_MIN * bucket[rng_below(r, 4)],
		.promotion_threshold = threshold[rng_below(r, 4)],
		.hash_seed = rng_next(r) | 1,
	};
	struct cidstore_error err = { 0, "" };
	char message[500];

	world_goes_on();
	disk_reset(w->disk, rng_next(r));
	ledger_init(&w->own);
	w->ledger = &w->own;
	w->seed = options.seed;
	w->op = w->op_events = 0;
	w->dying = 0;
	w->full = w->observing = false;
	w->thorough = 0;
	work_forget(w);
	world_forget(w);
	w->disk->short_writes = true;
	w->disk->event = w->drill < 0 ? oracle_event : NULL;
	w->disk->record = work_record;
	w->creating = true;
	if (cid_store_create_io(&w->disk->io, DISK_PATH, &geo, &err))
		world_fail(w, "create: %s", err.message);
	w->creating = false;
	if (world_open(w, 0, message, sizeof(message)))
		world_fail(w, "open: %s", message);
	(void)observe(w, true);
}

int world_open(struct world *w, unsigned flags, char *message, size_t n)
{
	struct cidstore_error err = { 0, "" };
	int rc;

	current = w;
	figures->opens++;
	rc = cid_store_open_io(&w->disk->io, DISK_PATH, CIDSTORE_MANUAL | flags, &w->s, &err);
	if (rc)
		w->s = NULL;
	(void)snprintf(message, n, "%s", err.message);
	if (rc && !w->disk->dead && w->disk->fds_open)
		world_fail(w, "a failed open left a file open (%s)", err.message);
	return rc;
}

void world_forget(struct world *w)
{
	for (; w; w = w->child)
		if (w->seen)
			seen_forget(w->seen);
}

void world_count(struct world *w)
{
	struct cidstore_stats st;

	if (!w->s)
		return;
	cidstore_stats(w->s, &st);
	figures->splits += st.splits;
	figures->merges += st.merges;
	figures->promotions += st.promotions;
	figures->demotions += st.demotions;
	figures->run_merges += st.run_merges;
	figures->sweeps += st.sweeps;
	figures->flushes += st.flushes;
	figures->gc_records += st.gc_records;
	figures->commits += st.checkpoints;
}

void world_close_snapshot(struct world *w)
{
	if (w->snap)
		cidstore_snapshot_close(w->snap);
	w->snap = NULL;
}

void world_kill(struct world *w)
{
	bool was = w->disk->dead;

	if (!w->s)
		return;
	w->disk->dead = true;
	world_close_snapshot(w);
	(void)cidstore_close(w->s);
	w->s = NULL;
	if (w->disk->fds_open)
		world_fail(w, "closing left a file open");
	w->disk->dead = was;
	disk_release(w->disk);
}

/* ---- judging ---- */

/* Says what differs between the store and the state it should have. */
static void explain(struct world *w, uint64_t at)
{
	struct ledger *l = calloc(1, sizeof(*l));
	struct digest d;

	if (!l)
		abort();
	ledger_fork(l, w->ledger, at);
	for (unsigned k = 0; k < MODEL_KEYS; k++) {
		struct cidstore_id key = model_key(k);
		static struct cidstore_id out[MODEL_WIDE_VALUES + 10];
		uint64_t total = 0, found = 0;
		int rc = cidstore_get(w->s, key, out, MODEL_WIDE_VALUES + 10, &total);
		static uint8_t got[MODEL_WIDE_VALUES];

		if (rc && rc != CIDSTORE_ENOENT)
			world_fail(w, "key %u cannot be read: %s", k, cidstore_strerror(rc));
		if ((rc == 0) != l->now.exists[k])
			printf("# key %u %s\n", k, rc ? "is missing" : "is there again");
		memset(got, 0, sizeof(got));
		for (uint64_t i = 0; i < total && rc == 0; i++) {
			int v = model_value_number(out[i]);

			if (v < 0 || (unsigned)v >= model_width(k))
				printf("# key %u has a value nobody gave it\n", k);
			else
				got[v]++;
		}
		for (unsigned v = 0; v < model_width(k); v++)
			if (got[v] != l->now.have[model_at(k, v)] && found++ < 10)
				printf("# key %u value %u: %u, should be %u\n", k, v, got[v],
				       l->now.have[model_at(k, v)]);
	}
	d = l->now.digest;
	for (uint64_t i = w->ledger->base; i <= ledger_end(w->ledger); i++)
		if (i != at && digest_equal(ledger_digest(w->ledger, i), d))
			printf("# (the same as after %llu units)\n", (unsigned long long)i);
	ledger_fini(l);
	free(l);
}

static int list_keys(struct world *w, bool snap, struct cidstore_pos *pos,
		     struct cidstore_item *out, size_t cap, size_t *n)
{
	return snap ? cidstore_snapshot_keys(w->snap, pos, out, cap, n)
		    : cidstore_scan_keys(w->s, pos, out, cap, n);
}

static int list_values(struct world *w, bool snap, struct cidstore_id key, struct cidstore_pos *pos,
		       struct cidstore_item *out, size_t cap, size_t *n)
{
	return snap ? cidstore_snapshot_values(w->snap, key, pos, out, cap, n)
		    : cidstore_scan_values(w->s, key, pos, out, cap, n);
}

/* Lists everything there is. */
static struct digest digest_all(struct world *w, bool snap)
{
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[128], value[256];
	struct digest d = { 0, 0 };
	uint64_t last = 0;
	size_t n, m;

	current = w;
	do {
		int rc = list_keys(w, snap, &pos, item, 128, &n);

		if (rc)
			world_fail(w, "listing keys: %s", cidstore_strerror(rc));
		for (size_t i = 0; i < n; i++) {
			struct cidstore_pos at_value = { 0 };
			int key = model_key_number(item[i].id);
			uint64_t count = 0;

			if (item[i].hash < last)
				world_fail(w, "keys are listed out of order (key %d)", key);
			last = item[i].hash;
			digest_key(&d, item[i].id, true);
			do {
				rc = list_values(w, snap, item[i].id, &at_value, value, 256, &m);
				if (rc)
					world_fail(w, "listing values of key %d: %s", key,
						   cidstore_strerror(rc));
				for (size_t k = 0; k < m; k++)
					digest_pair(&d, item[i].id, value[k].id, true);
				count += m;
			} while (m);
			if (count != item[i].count)
				world_fail(w, "key %d: the count is not that of the listing", key);
		}
	} while (n);
	return d;
}

void world_compare(struct world *w, uint64_t at)
{
	if (digest_equal(digest_all(w, false), ledger_digest(w->ledger, at)))
		return;
	explain(w, at);
	world_fail(w, "the content is not that after %llu units", (unsigned long long)at);
}

void world_compare_snapshot(struct world *w)
{
	figures->snapshots++;
	if (!digest_equal(digest_all(w, true), w->snap_digest))
		world_fail(w, "a snapshot changed");
}

static void say(void *arg, const char *message, double progress)
{
	(void)progress;
	if (message)
		(void)snprintf(arg, 400, "%s", message);
}

void world_check(struct world *w)
{
	struct cidstore_report r;
	struct cidstore_error err = { 0, "" };
	char text[400] = "";
	uint64_t writes = w->disk->writes;
	int rc;

	current = w;
	figures->checks++;
	rc = cid_store_check_io(&w->disk->io, DISK_PATH, 0, say, text, &r, &err);
	if (rc)
		world_fail(w, "check fails: %s", err.message);
	if (r.errors)
		world_fail(w, "check finds %llu errors: %s", (unsigned long long)r.errors, text);
	if (w->disk->writes != writes)
		world_fail(w, "checking wrote to the store");
	if (w->disk->fds_open)
		world_fail(w, "checking left a file open");
}
