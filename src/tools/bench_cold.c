/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_cold.c - cidctl bench cold-lookup, cold-insert: with less memory than data */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

#define MIB 1048576.0

/* The store, loaded outside the group and not in memory any more, opened within. */
static int enter(const struct cid_bench *b, struct cid_cgroup *g, struct cidstore **s)
{
	char why[256];

	if (cid_bench_loaded(b, s) != 0 || cid_bench_close(*s) != 0)
		return -1;
	cid_meter_evict(b->store);
	malloc_trim(0);
	if (cid_cgroup_enter(g, b->cgroup, why, sizeof(why)) != 0) {
		cid_report("%s", why);
		return -1;
	}
	if (cid_bench_open(b, false, s) != 0) {
		cid_cgroup_leave(g);
		return -1;
	}
	return 0;
}

static int leave(struct cidstore *s, struct cid_cgroup *g, struct cid_result *r, int rc)
{
	struct cid_memory m;

	cid_meter_memory(&m);
	cid_result_add(r, "memory", (double)(m.anon + m.shmem) / MIB, "MiB");
	cid_result_add(r, "cgroup_peak", (double)cid_cgroup_peak(g) / MIB, "MiB");
	if (cid_bench_close(s) != 0)
		rc = -1;
	cid_cgroup_leave(g);
	return rc;
}

/* Reads by the device and by this process between two counts, a lookup. */
static void reads(struct cid_result *r, const char *kind, const struct cid_io_count *a,
		  const struct cid_io_count *b, uint64_t n)
{
	char name[48];

	snprintf(name, sizeof(name), "%s_disk_reads", kind);
	cid_result_add(r, name, (double)(b->device_reads - a->device_reads) / (double)n, "/lookup");
	snprintf(name, sizeof(name), "%s_read_bytes", kind);
	cid_result_add(r, name, (double)(b->read_bytes - a->read_bytes) / (double)n, "B/lookup");
}

static int one_by_one(const struct cid_bench *b, struct cidstore *s, struct cid_reads *x,
		      struct cid_result *r, double *rate)
{
	static const char *const kind[] = { "hit", "miss" };
	struct cid_io_count begin, end;
	size_t first;
	char name[32];

	for (int absent = 0; absent < 2; absent++) {
		/* Indexes are read at the first use of each bucket. */
		if (cid_bench_read(b, s, absent, 1, UINT64_MAX, b->seconds / 2, x) != 0)
			return -1;
		cid_meter_io(b->dir, &begin);
		if (cid_bench_read(b, s, absent, 1, UINT64_MAX, b->seconds, x) != 0)
			return -1;
		cid_meter_io(b->dir, &end);
		first = r->figures;
		snprintf(name, sizeof(name), "cold_%s", kind[absent]);
		cid_result_hist(r, name, &x->hist, 1e3, "us");
		if (absent) {
			r->figure[first].sense = '<';
			r->figure[first].bar = 2;
		}
		reads(r, kind[absent], &begin, &end, x->n);
		r->figure[r->figures - 2].sense = '<';
		r->figure[r->figures - 2].bar = absent ? 0.005 : 1.05;
		if (!absent)
			*rate = x->rate;
		snprintf(name, sizeof(name), "cold_%s_rate", kind[absent]);
		cid_result_add(r, name, x->rate, "/s");
	}
	return 0;
}

static int look_up(const struct cid_bench *b, struct cidstore *s, struct cid_result *r)
{
	struct cid_reads *x = malloc(sizeof(*x));
	struct cid_io_count begin, end;
	double rate = 1;
	int rc = x == NULL ? cid_bench_check(CIDSTORE_ENOMEM, "lookup") : 0;

	if (rc == 0)
		rc = one_by_one(b, s, x, r, &rate);
	if (rc == 0) {
		cid_meter_io(b->dir, &begin);
		rc = cid_bench_read_many(b, s, false, 1024, UINT64_MAX, b->seconds, x);
		cid_meter_io(b->dir, &end);
	}
	if (rc == 0) {
		cid_result_add(r, "cold_many_rate", x->rate, "/s");
		reads(r, "many", &begin, &end, x->n);
		cid_result_add(r, "cold_many_of_single", x->rate / rate, "");
		cid_result_bar(r, '>', 6);
	}
	free(x);
	return rc;
}

static int run_lookup(struct cid_bench *b, struct cid_result *r)
{
	struct cid_cgroup g = { 0 };
	struct cidstore *s;

	if (enter(b, &g, &s) != 0)
		return -1;
	return leave(s, &g, r, look_up(b, s, r));
}

static int insert(const struct cid_bench *b, struct cidstore *s, struct cid_load *l,
		  struct cid_result *r)
{
	struct cid_io_count begin, end;
	double debt;

	cid_meter_io(b->dir, &begin);
	if (cid_bench_load(b, s, l) != 0 || cid_bench_idle(s, &debt) != 0)
		return -1;
	cid_meter_io(b->dir, &end);
	cid_result_add(r, "inserted", (double)l->done, "pairs");
	cid_result_add(r, "rate", (double)l->done / l->seconds, "pairs/s");
	cid_result_add(r, "rate_with_debt", (double)l->done / (l->seconds + debt), "pairs/s");
	cid_result_add(r, "debt", debt, "s");
	cid_result_hist(r, "batch", &l->batch, 1e6, "ms");
	cid_result_add(r, "device_written",
		       (double)(end.device_written_bytes - begin.device_written_bytes) /
			       (double)l->done,
		       "B/pair");
	cid_result_add(r, "device_read",
		       (double)(end.device_read_bytes - begin.device_read_bytes) / (double)l->done,
		       "B/pair");
	return 0;
}

static int run_insert(struct cid_bench *b, struct cid_result *r)
{
	struct cid_load *l = calloc(1, sizeof(*l));
	struct cid_watch *w = calloc(1, sizeof(*w));
	struct cid_cgroup g = { 0 };
	struct cidstore *s;
	int rc = -1;

	if (l != NULL && w != NULL && enter(b, &g, &s) == 0) {
		rc = cid_watch_begin(w, b->store);
		if (rc == 0) {
			l->pair = cid_stream_new;
			l->arg = b;
			l->from = 1ull << 40;
			l->n = 1ull << 40;
			l->limit = b->seconds * 6;
			l->watch = w;
			rc = insert(b, s, l, r);
			cid_watch_end(w);
			cid_result_samples(r, w);
			cid_watch_free(w);
		}
		rc = leave(s, &g, r, rc);
	}
	free(l);
	free(w);
	return rc;
}

const struct cid_bench_run cid_bench_cold_lookup = {
	"cold-lookup", "lookups in a memory cgroup of 640 MiB; disk reads counted",
	50000000,      1,
	640u << 20,    run_lookup
};
const struct cid_bench_run cid_bench_cold_insert = {
	"cold-insert", "inserts there for six times --seconds, and until merging is done",
	50000000,      1,
	640u << 20,    run_insert
};
