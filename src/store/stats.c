/* SPDX-License-Identifier: BSD-2-Clause */
/* stats.c - numbers and descriptions for reports */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/follow.h"

static uint64_t at_least_zero(int64_t n)
{
	return n < 0 ? 0 : (uint64_t)n;
}

static uint64_t table_memory(const struct cid_mem *m, const struct cid_mem_face *f)
{
	return m->op ? (uint64_t)f->count * sizeof(*m->op) +
			       (f->keys ? cid_mem_slots(m) * 8ull : 0) +
			       (f->pairs ? ((uint64_t)m->pair_mask + 1) * 8 : 0) :
		       0;
}

static uint64_t millionths(uint64_t part, uint64_t all)
{
	uint64_t m = all ? part * 1000000 / all : 0;

	return m < 1000000 ? m : 1000000;
}

/* `tables`: how full they are, in millionths. Writers wait where they or the
 * log are full. */
static void measured(struct cidstore *s, uint64_t tables, struct cidstore_stats *o)
{
	uint64_t log = millionths(o->log_used, o->log_records);
	struct cid_gauge_figures f;

	cid_tune_figures(s, &f);
	o->latency_p99 = f.p99_all;
	o->change_latency_p99 = f.p99[CID_GAUGE_CHANGE];
	o->lookup_latency_p99 = f.p99[CID_GAUGE_READ];
	o->sync_latency_p99 = f.p99[CID_GAUGE_SYNC];
	o->throughput_ops = f.ops;
	o->buffer_occupancy = tables > log ? tables : log;
	o->flush_duration = s->c.flush_last_ns;
	o->lock_contention_ratio = f.contention;
	o->error_rate = f.errors;
	o->tune_decisions = s->tune.decisions;
	o->tune_trips = s->tune.trips;
	o->tuned_batch_size = cid_tuned(s, CID_TUNE_BATCH);
	o->tuned_flush_interval_us = cid_tuned(s, CID_TUNE_INTERVAL);
}

void cidstore_stats(struct cidstore *s, struct cidstore_stats *out)
{
	struct cidstore_stats o;
	int64_t keys, values;
	uint64_t ops = 0, cap = 0;
	unsigned slot;
	const struct cid_mem *mem[CID_VIEW_TABLES];
	struct cid_view *v;

	cid_follow_enter(s);
	slot = cid_ebr_enter(&s->ebr);
	memset(&o, 0, sizeof(o));
	keys = (int64_t)atomic_load(&s->base_keys) + atomic_load(&s->run_keys);
	values = (int64_t)atomic_load(&s->base_values) + atomic_load(&s->run_values);
	/* The tables' sums are the writers'. */
	pthread_mutex_lock(&s->write);
	v = cid_view_now(s);
	mem[0] = v->active;
	mem[1] = v->frozen;
	mem[2] = v->older;
	for (int i = 0; i < CID_VIEW_TABLES; i++)
		if (mem[i]) {
			struct cid_mem_face f;

			cid_mem_sums(mem[i], &f);
			keys += f.net_keys;
			values += f.net_values + f.unknown;
			o.uncertain += f.unknown;
			/* Of those that are lent the writer tells. */
			if (!v->lent)
				o.memory_bytes += table_memory(mem[i], &f);
			ops += f.count;
			cap = mem[i]->cap; /* room for two, as half of one makes a flush due */
		}
	pthread_mutex_unlock(&s->write);
	for (uint32_t i = 0; i < v->nruns; i++) {
		const struct cid_part *p = v->run[i];

		o.run_entries += p->slot.entries;
		if (!(p->slot.depth & CID_SLOT_COUNTED))
			o.uncertain += p->slot.entries;
		o.memory_bytes += cid_part_memory(p);
	}
	o.runs = v->nruns;
	o.global_depth = v->dir->depth;
	o.memory_bytes += sizeof(void *) << v->dir->depth;
	for (uint64_t i = 0; i < 1ull << v->dir->depth; i++) {
		const struct cid_part *p = atomic_load(&v->dir->slot[i]);

		if (i == 0 || p != atomic_load(&v->dir->slot[i - 1]))
			o.memory_bytes += cid_part_memory(p);
	}
	cid_ebr_leave(&s->ebr, slot);
	o.keys = at_least_zero(keys);
	o.values = at_least_zero(values);
	o.last_seq = cidstore_last_seq(s);
	o.durable_seq = cidstore_durable_seq(s);
	o.epoch = atomic_load(&s->epoch);
	o.created_ns = s->params.created_ns;
	o.buckets = atomic_load(&s->nbuckets);
	o.log_records = s->wal.records;
	o.log_used = o.last_seq + 1 - atomic_load(&s->wal.first);
	o.inserts = s->c.inserts;
	o.deletes = s->c.deletes;
	o.mkkeys = s->c.mkkeys;
	o.rmkeys = s->c.rmkeys;
	o.txns = s->c.txns;
	o.lookups = cid_ebr_entered(&s->ebr);
	o.syncs = s->wal.syncs;
	o.sync_ns = s->wal.sync_ns;
	o.sync_max_ns = s->wal.sync_max_ns;
	o.checkpoints = s->c.checkpoints;
	o.checkpoint_ns = s->c.checkpoint_ns;
	o.flushes = s->c.flushes;
	o.flush_ns = s->c.flush_ns;
	o.sweeps = s->c.sweeps;
	o.run_merges = s->c.run_merges;
	o.bucket_merges = s->c.bucket_merges;
	o.splits = s->c.splits;
	o.merges = s->c.merges;
	o.promotions = s->c.promotions;
	o.demotions = s->c.demotions;
	o.gc_records = s->c.gc_records;
	o.gc_pending = atomic_load(&s->gc_pending);
	o.gc_freed_bytes = s->c.gc_freed_bytes;
	o.corrected_bits = s->t.corrected;
	o.corrupt_units = s->t.corrupt;
	o.scrub_permille = atomic_load(&s->scrub.at) / ((1ull << CID_HASH_BITS) / 1000);
	o.scrub_rounds = s->scrub.rounds;
	o.scrub_bytes = s->scrub.bytes;
	o.scrub_rewritten = s->scrub.rewritten;
	o.scrub_errors = s->scrub.errors;
	for (int k = 0; k < CID_POOLS; k++)
		o.alloc_bytes += atomic_load(&s->space.p[k].in_use) * CID_PAGE;
	o.pending_bytes = atomic_load(&s->space.retired_pages) * CID_PAGE;
	(void)s->io->space(s->io->self, s->dirfd, &o.free_bytes);
	o.stall_ns = s->c.stall_ns;
	o.errors = s->c.errors;
	pthread_mutex_lock(&s->wake_lock);
	o.maintaining = s->busy;
	pthread_mutex_unlock(&s->wake_lock);
	o.failed = atomic_load(&s->broken) || atomic_load(&s->wal.failed);
	measured(s, millionths(ops, cap), &o);
	if (s->follow) {
		o.following = 1;
		o.reader_epoch = o.epoch;
		o.lag_ms = cid_follow_lag_ms(s);
		o.pinned = atomic_load(&s->reader_pins.held);
		o.refreshes = s->c.refreshes;
		o.retries = s->c.retries;
	}
	*out = o;
}

uint64_t cidstore_last_seq(struct cidstore *s)
{
	if (s->follow)
		cid_borrow_reached(s);
	return atomic_load(&s->wal.appended);
}

uint64_t cidstore_durable_seq(struct cidstore *s)
{
	if (s->follow)
		cid_borrow_reached(s);
	return atomic_load(&s->wal.durable);
}

const char *cid_store_path(struct cidstore *s)
{
	return s->path;
}

int cid_store_readonly(struct cidstore *s)
{
	return s->readonly;
}

void cid_store_on_change(struct cidstore *s, cid_store_hook *hook, void *arg)
{
	s->hook_arg = arg;
	s->hook = hook;
}

/* ---- text ---- */

struct text {
	char *buf;
	size_t cap, len;
};

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->len < t->cap ? t->buf + t->len : NULL, t->len < t->cap ? t->cap - t->len : 0,
		      fmt, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
}

long cid_store_describe_bucket(struct cidstore *s, uint64_t id, char *buf, size_t cap)
{
	struct text t = { buf, cap, 0 };
	unsigned slot = cid_ebr_enter(&s->ebr);
	struct cid_view *v = cid_view_now(s);
	struct cid_part_index *x = NULL;
	struct cid_part *p;
	int rc = 0;

	if (id >> v->dir->depth) {
		cid_ebr_leave(&s->ebr, slot);
		return CIDSTORE_ENOENT;
	}
	p = atomic_load(&v->dir->slot[id]);
	if (p->slot.pos)
		rc = cid_part_index(&s->pool[CID_POOL_PARTS], p, &x);
	if (rc == 0) {
		uint64_t pending = 0;

		for (uint32_t i = 0; i < v->nruns && rc == 0; i++) {
			uint64_t a = 0, z = 0, end = p->prefix + (1ull << (62 - p->slot.depth));
			struct cid_part_index *rx;

			rc = cid_part_index(&s->pool[CID_POOL_PARTS], v->run[i], &rx);
			if (rc || rx->footer.last_run <= p->newest_run)
				continue;
			rc = cid_part_bound(&s->pool[CID_POOL_PARTS], v->run[i], s->t.seed, p->prefix,
					    (struct cidstore_id){ 0, 0 }, &a, &s->t.corrected);
			if (rc == 0)
				rc = cid_part_bound(&s->pool[CID_POOL_PARTS], v->run[i], s->t.seed, end,
						    (struct cidstore_id){ 0, 0 }, &z,
						    &s->t.corrected);
			pending += z - a;
		}
		say(&t, "slot %" PRIu64 "\nlocal_depth %" PRIu64 "\nglobal_depth %u\n", id,
		    p->slot.depth, v->dir->depth);
		say(&t, "prefix %016" PRIx64 "\nposition %" PRIu64 "\npages %u\n", p->prefix,
		    p->slot.pos, p->slot.pages);
		say(&t, "generation %" PRIu64 "\nsorted_count %u\nunsorted_count %" PRIu64 "\n",
		    p->slot.generation, p->slot.entries, pending);
		say(&t, "keys %" PRIu64 "\nvalues %" PRIu64 "\nnewest_run %" PRIu64 "\n",
		    p->slot.keys, p->slot.values, p->newest_run);
		say(&t, "packed_bytes %" PRIu64 "\nlarge_sets %" PRIu64 "\n",
		    x ? x->footer.packed_bytes : 0, x ? x->footer.trees : 0);
	}
	cid_ebr_leave(&s->ebr, slot);
	return rc ? rc : (long)t.len;
}

long cid_store_describe_key(struct cidstore *s, struct cidstore_id key, char *buf, size_t cap)
{
	struct text t = { buf, cap, 0 };
	struct cid_key_info i;
	int rc = cid_store_key_info(s, key, &i);

	if (rc)
		return rc;
	say(&t, "hash %016" PRIx64 "\nbucket %" PRIu64 "\nstate %s\nvalues %" PRIu64 "\n",
	    cid_store_hash(s, key), i.bucket, i.state, i.count);
	say(&t, "pending %d\ndisk_bytes %" PRIu64 "\n", i.pending, i.disk_bytes);
	return (long)t.len;
}
