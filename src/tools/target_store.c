/* SPDX-License-Identifier: BSD-2-Clause */
/* target_store.c - a target that is a store's directory */
#include "tools/target.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/err.h"
#include "tools/restore.h"

#define ITEMS	 4096
#define WATCH_NS 100000000

struct store_target {
	struct cid_target t; /* first */
	struct cidstore *s;
	struct cid_restore *restore; /* while an import runs */
};

static struct store_target *self(struct cid_target *t)
{
	return (struct store_target *)t;
}

static int fail(struct cid_target *t, int code)
{
	const char *remedy = "";

	switch (code) {
	case CIDSTORE_ENOSPC:
		remedy = "; free some space there, or delete keys and compact";
		break;
	case CIDSTORE_ECORRUPT:
		remedy = "; run fsck.cidstore on it";
		break;
	case CIDSTORE_EFAILED:
		remedy = "; check the device, then run the command again";
		break;
	default:
		break;
	}
	return cid_err_set(&t->err, code, "%s: %s%s", t->path, cidstore_strerror(code), remedy);
}

static int answer(struct cid_target *t, int code)
{
	return code == 0 ? 0 : fail(t, code);
}

static int store_insert(struct cid_target *t, const struct cidstore_pair *p, size_t n)
{
	return answer(t, cidstore_insert(self(t)->s, p, n, NULL));
}

static int store_make_keys(struct cid_target *t, const struct cidstore_id *k, size_t n)
{
	return answer(t, cidstore_make_keys(self(t)->s, k, n, NULL));
}

static int store_apply(struct cid_target *t, const struct cidstore_op *op, size_t n)
{
	return answer(t, cidstore_apply(self(t)->s, op, n));
}

static int store_sync(struct cid_target *t)
{
	return answer(t, cidstore_sync(self(t)->s));
}

static int store_count(struct cid_target *t, struct cidstore_id key, uint64_t *out)
{
	return answer(t, cidstore_count(self(t)->s, key, out));
}

static int store_values(struct cid_target *t, struct cidstore_id key, uint64_t limit,
			cid_values_fn *fn, void *arg)
{
	struct cidstore_pos pos = { 0 };
	struct cidstore_item *item;
	struct cidstore_id *id;
	size_t n;
	int rc;

	item = malloc(ITEMS * sizeof(*item));
	id = malloc(ITEMS * sizeof(*id));
	rc = item == NULL || id == NULL ? fail(t, CIDSTORE_ENOMEM) : 0;
	while (rc == 0 && limit > 0) {
		rc = answer(t, cidstore_scan_values(self(t)->s, key, &pos, item,
						    limit < ITEMS ? (size_t)limit : ITEMS, &n));
		if (rc != 0 || n == 0)
			break;
		for (size_t i = 0; i < n; i++)
			id[i] = item[i].id;
		rc = fn(arg, id, n);
		limit -= n;
	}
	free(item);
	free(id);
	return rc;
}

static int store_cursor_open(struct cid_target *t, struct cidstore_id key, struct cid_cursor *out)
{
	struct cid_cursor c = { .key = key };

	c.item = malloc(ITEMS * sizeof(*c.item));
	if (c.item == NULL)
		return fail(t, CIDSTORE_ENOMEM);
	*out = c;
	return 0;
}

static int store_cursor_fill(struct cid_target *t, struct cid_cursor *c, uint64_t hash)
{
	size_t n;
	int rc;

	/* Going on where the last call ended is a special case of seeking, but
	 * within a group of equal hashes it is the only right one. */
	if (!c->pos.begun || hash > c->pos.hash)
		cidstore_seek(hash, &c->pos);
	rc = cidstore_scan_values(self(t)->s, c->key, &c->pos, c->item, ITEMS, &n);
	if (rc != 0)
		return fail(t, rc);
	c->at = 0;
	c->n = n;
	return 0;
}

struct dump {
	struct cidstore_pair pair[ITEMS];
	struct cidstore_id key[ITEMS];
};

static int dump_all(struct cid_target *t, struct cidstore_snapshot *v, struct dump *d,
		    const struct cid_sink *sink)
{
	size_t pairs, keys;

	for (;;) {
		int rc = cidstore_snapshot_read(v, d->pair, ITEMS, &pairs, d->key, ITEMS, &keys);

		if (rc != 0)
			return fail(t, rc);
		if (pairs == 0 && keys == 0)
			return 0;
		rc = pairs > 0 ? sink->pairs(sink->arg, d->pair, pairs) : 0;
		if (rc == 0 && keys > 0)
			rc = sink->keys(sink->arg, d->key, keys);
		if (rc != 0)
			return rc;
	}
}

static int store_dump(struct cid_target *t, const struct cid_sink *sink)
{
	struct dump *d = malloc(sizeof(*d));
	struct cidstore_snapshot *v;
	int rc;

	if (d == NULL)
		return fail(t, CIDSTORE_ENOMEM);
	rc = cidstore_snapshot_open(self(t)->s, &v);
	if (rc == 0) {
		rc = dump_all(t, v, d, sink);
		cidstore_snapshot_close(v);
	} else {
		rc = fail(t, rc);
	}
	free(d);
	return rc;
}

static int restore_pairs(void *arg, const struct cidstore_pair *p, size_t n)
{
	return store_insert(arg, p, n);
}

static int restore_keys(void *arg, const struct cidstore_id *k, size_t n)
{
	return store_make_keys(arg, k, n);
}

static int store_import(struct cid_target *t, const void *p, size_t n)
{
	struct store_target *x = self(t);
	struct cid_sink sink = { restore_pairs, restore_keys, t };
	int rc;

	if (x->restore == NULL) {
		rc = cid_restore_new(&sink, &x->restore);
		if (rc != 0)
			return fail(t, rc);
	}
	if (n > 0)
		return cid_restore_feed(x->restore, p, n, &t->err);
	rc = cid_restore_end(x->restore, &t->err);
	return rc != 0 ? rc : store_sync(t);
}

static int store_stats(struct cid_target *t, cid_stat_fn *fn, void *arg)
{
#define FIELD(name)                                          \
	{                                                    \
#name, offsetof(struct cidstore_stats, name) \
	}
	static const struct {
		const char *name;
		size_t offset;
	} field[] = {
		FIELD(keys),	      FIELD(values),	     FIELD(last_seq),
		FIELD(durable_seq),   FIELD(epoch),	     FIELD(created_ns),
		FIELD(uncertain),     FIELD(global_depth),   FIELD(buckets),
		FIELD(runs),	      FIELD(run_entries),    FIELD(log_records),
		FIELD(log_used),      FIELD(inserts),	     FIELD(deletes),
		FIELD(mkkeys),	      FIELD(rmkeys),	     FIELD(txns),
		FIELD(lookups),	      FIELD(syncs),	     FIELD(sync_ns),
		FIELD(sync_max_ns),   FIELD(checkpoints),    FIELD(checkpoint_ns),
		FIELD(flushes),	      FIELD(flush_ns),	     FIELD(run_merges),
		FIELD(sweeps),
		FIELD(bucket_merges), FIELD(splits),	     FIELD(merges),
		FIELD(promotions),    FIELD(demotions),	     FIELD(gc_records),
		FIELD(gc_pending),    FIELD(gc_freed_bytes), FIELD(corrected_bits),
		FIELD(corrupt_units), FIELD(alloc_bytes),    FIELD(pending_bytes),
		FIELD(scrub_permille), FIELD(scrub_rounds),  FIELD(scrub_bytes),
		FIELD(scrub_rewritten), FIELD(scrub_errors),
		FIELD(free_bytes),    FIELD(memory_bytes),   FIELD(stall_ns),
		FIELD(errors),	      FIELD(maintaining),    FIELD(failed),
		FIELD(following),     FIELD(reader_epoch),   FIELD(lag_ms),
		FIELD(pinned),	      FIELD(refreshes),	     FIELD(retries),
	};
#undef FIELD
	struct cidstore_stats stats = { 0 };
	char text[24];
	uint64_t v;
	int rc = 0;

	cidstore_stats(self(t)->s, &stats);
	for (size_t i = 0; rc == 0 && i < sizeof(field) / sizeof(field[0]); i++) {
		memcpy(&v, (const char *)&stats + field[i].offset, sizeof(v));
		snprintf(text, sizeof(text), "%" PRIu64, v);
		rc = fn(arg, field[i].name, text);
	}
	return rc;
}

/* Shows how a compaction that blocks the caller gets on: what waits in runs
 * becomes less. */
struct watch {
	struct cidstore *s;
	void (*progress)(double part);
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool end; /* protected by lock */
};

static void *watch_compaction(void *arg)
{
	struct watch *w = arg;
	struct cidstore_stats stats;
	struct timespec until;
	uint64_t most = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->end) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WATCH_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&w->ended, &w->lock, &until);
		cidstore_stats(w->s, &stats);
		if (stats.run_entries > most)
			most = stats.run_entries;
		w->progress(most > 0 ? 1 - (double)stats.run_entries / (double)most : -1);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static int store_compact(struct cid_target *t, void (*progress)(double part))
{
	struct watch w = { self(t)->s, progress, PTHREAD_MUTEX_INITIALIZER,
			   PTHREAD_COND_INITIALIZER, false };
	pthread_t thread;
	int watched = pthread_create(&thread, NULL, watch_compaction, &w) == 0;
	int rc = cidstore_compact(w.s);

	if (watched) {
		pthread_mutex_lock(&w.lock);
		w.end = true;
		pthread_cond_signal(&w.ended);
		pthread_mutex_unlock(&w.lock);
		pthread_join(thread, NULL);
	}
	return answer(t, rc);
}

static int store_close(struct cid_target *t, struct cidstore_error *err)
{
	struct store_target *x = self(t);
	int rc;

	cid_restore_free(x->restore);
	rc = cidstore_close(x->s);
	if (rc != 0)
		cid_err_set(err, rc, "closing %s: %s", t->path, cidstore_strerror(rc));
	free(x);
	return rc;
}

static const struct cid_target_ops store_ops = {
	.insert = store_insert,
	.make_keys = store_make_keys,
	.apply = store_apply,
	.sync = store_sync,
	.count = store_count,
	.values = store_values,
	.cursor_open = store_cursor_open,
	.cursor_fill = store_cursor_fill,
	.dump = store_dump,
	.import = store_import,
	.stats = store_stats,
	.compact = store_compact,
	.close = store_close,
};

int cid_target_open_store(const char *path, bool change, struct cid_target **out,
			  struct cidstore_error *err)
{
	struct store_target *x;
	char why[sizeof(err->message)];
	int rc;

	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return cid_err_set(err, CIDSTORE_ENOMEM, "%s: out of memory", path);
	rc = cidstore_open(path, change ? 0 : CIDSTORE_RDONLY, &x->s, err);
	if (rc != 0) {
		free(x);
		if (rc != CIDSTORE_EBUSY)
			return rc;
		memcpy(why, err->message, sizeof(why));
		return cid_err_set(err, rc,
				   "%.400s (if it is mounted, name the mount point "
				   "instead)",
				   why);
	}
	x->t.ops = &store_ops;
	x->t.path = path;
	*out = &x->t;
	return 0;
}
