/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_costs.c - cidctl bench costs: what one operation of each kind takes, alone */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

enum { OPENS = 3 };

/* scripts/scale-model predicts from these how a store of another size fares.
 * Nothing runs beside: the store has no threads, maintenance is called. */
struct costs {
	double write, sync, flush, sweep;	 /* seconds */
	double flush_bytes, sweep_bytes;	 /* written */
	uint64_t written, syncs, flushed, swept; /* pairs, calls, entries out */
};

static double written(const struct cid_bench *b)
{
	struct cid_io_count io;

	cid_meter_io(b->dir, &io);
	return (double)io.written_bytes;
}

/* Half a log of operations is what a table holds; a little less is written, so
 * that nothing waits. */
static int fill(const struct cid_bench *b, struct cidstore *s, uint64_t from, uint64_t n,
		struct costs *c)
{
	struct cidstore_pair *p = malloc(b->batch * sizeof(*p));
	int rc = p == NULL ? CIDSTORE_ENOMEM : 0;
	double t;

	for (uint64_t i = 0; rc == 0 && i < n; i += b->batch) {
		size_t m = n - i < b->batch ? (size_t)(n - i) : (size_t)b->batch;

		for (size_t j = 0; j < m; j++)
			p[j] = cid_data_pair(&b->data, from + i + j, 0);
		t = cid_seconds();
		rc = cidstore_insert(s, p, m, NULL);
		c->write += cid_seconds() - t;
		if (rc == 0 && (i / b->batch) % 64 == 63) {
			t = cid_seconds();
			rc = cidstore_sync(s);
			c->sync += cid_seconds() - t;
			c->syncs++;
		}
	}
	c->written += n;
	free(p);
	return cid_bench_check(rc, "insert");
}

static int flush(const struct cid_bench *b, struct cidstore *s, uint64_t n, struct costs *c)
{
	double bytes = written(b), t = cid_seconds();
	int rc = cid_bench_check(cidstore_checkpoint(s), "checkpoint");

	c->flush += cid_seconds() - t;
	c->flush_bytes += written(b) - bytes;
	c->flushed += n;
	return rc;
}

static int sweep(const struct cid_bench *b, struct cidstore *s, uint64_t all, struct costs *c)
{
	double bytes = written(b), t = cid_seconds();
	int rc = cid_bench_check(cidstore_compact(s), "compact");

	c->sweep += cid_seconds() - t;
	c->sweep_bytes += written(b) - bytes;
	c->swept += all;
	return rc;
}

/* By a child, which then dies: the log stays as full as it is. */
static void open_and_die(const struct cid_bench *b, int to)
{
	struct cidstore_error err = { 0 };
	struct cidstore *s;
	double t = cid_seconds();
	uint64_t n;

	if (cidstore_open(b->store, CIDSTORE_MANUAL, &s, &err) != 0)
		_exit(1);
	(void)cidstore_count(s, cid_data_key(&b->data, 0), &n);
	t = cid_seconds() - t;
	_exit(write(to, &t, sizeof(t)) == (ssize_t)sizeof(t) ? 0 : 1);
}

/* What opening the store and a first lookup take: the best of some. */
static int time_open(const struct cid_bench *b, double *out)
{
	double best = 1e9, t;
	int ends[2], status, rc = 0;

	for (int i = 0; i < OPENS && rc == 0; i++) {
		pid_t pid;

		if (pipe(ends) != 0)
			return cid_bench_check(CIDSTORE_ENOMEM, "pipe");
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			open_and_die(b, ends[1]);
		close(ends[1]);
		if (pid < 0 || read(ends[0], &t, sizeof(t)) != (ssize_t)sizeof(t))
			rc = -1;
		else if (t < best)
			best = t;
		close(ends[0]);
		if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
			rc = -1;
	}
	if (rc != 0)
		cid_report("the process that opens the store failed");
	*out = best;
	return rc;
}

/* A child leaves a log that is nearly half full, as a crash would. */
static int replay(const struct cid_bench *b, uint64_t from, uint64_t n, struct cid_result *r)
{
	struct cidstore_error err = { 0 };
	struct costs c = { 0 };
	struct cidstore *s;
	double empty, full;
	int status;
	pid_t pid;

	if (time_open(b, &empty) != 0)
		return -1;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (cidstore_open(b->store, CIDSTORE_MANUAL, &s, &err) != 0)
			_exit(1);
		_exit(fill(b, s, from, n, &c) == 0 ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		cid_report("the process that fills the log failed");
		return -1;
	}
	if (time_open(b, &full) != 0)
		return -1;
	cid_result_add(r, "open", empty * 1e3, "ms");
	cid_result_add(r, "replay", (full - empty) * 1e9 / (double)n, "ns/record");
	return 0;
}

/* `fixed`: bytes of memory before there were any keys. */
static int read_all(const struct cid_bench *b, struct cidstore *s, uint64_t fixed,
		    struct cid_result *r)
{
	struct cid_reads *x = malloc(sizeof(*x));
	struct cidstore_stats all;
	int rc = x == NULL ? cid_bench_check(CIDSTORE_ENOMEM, "lookup") : 0;

	if (rc == 0)
		rc = cid_bench_read(b, s, false, 1, b->keys, b->seconds, x);
	cidstore_stats(s, &all);
	if (rc == 0)
		rc = cid_bench_read(b, s, false, 1, b->lookups, b->seconds, x);
	if (rc == 0)
		cid_result_add(r, "hit", cid_hist_mean(&x->hist), "ns");
	if (rc == 0)
		rc = cid_bench_read(b, s, true, 1, b->lookups, b->seconds, x);
	if (rc == 0)
		cid_result_add(r, "miss", cid_hist_mean(&x->hist), "ns");
	cid_result_add(r, "memory_fixed", (double)fixed / (1 << 20), "MiB");
	cid_result_add(r, "memory_index",
		       ((double)all.memory_bytes - (double)fixed) / (double)b->keys, "B/key");
	free(x);
	return rc;
}

static void tell(const struct cid_bench *b, const struct costs *c, double disk,
		 struct cid_result *r)
{
	double write_rate = 0, sync_us = 0;

	cid_result_add(r, "write", c->write * 1e9 / (double)c->written, "ns/pair");
	cid_result_add(r, "sync", c->sync * 1e3 / (double)(c->syncs > 0 ? c->syncs : 1), "ms");
	cid_result_add(r, "flush", c->flush * 1e9 / (double)c->flushed, "ns/entry");
	cid_result_add(r, "flush_bytes", c->flush_bytes / (double)c->flushed, "B/entry");
	cid_result_add(r, "sweep", c->sweep * 1e9 / (double)c->swept, "ns/entry");
	cid_result_add(r, "sweep_bytes", c->sweep_bytes / (double)c->swept, "B/entry");
	cid_result_add(r, "disk", disk, "B/key");
	if (cid_machine_write(b->dir, 256u << 20, &write_rate) == 0 &&
	    cid_machine_sync(b->dir, 500, &sync_us) == 0) {
		cid_result_add(r, "raw_write", write_rate / 1e6, "MB/s");
		cid_result_add(r, "raw_sync", sync_us, "us");
	}
}

static int measure(const struct cid_bench *b, struct cidstore *s, struct costs *c,
		   struct cid_result *r)
{
	struct cidstore_stats stats;
	uint64_t table, fixed, at = 0;
	int rc = 0;

	cidstore_stats(s, &stats);
	fixed = stats.memory_bytes;
	table = stats.log_records / 2 - stats.log_records / 16;
	/* Twice: the second sweep rewrites what the first has made. */
	for (unsigned turn = 1; rc == 0 && turn <= 2; turn++) {
		while (rc == 0 && at < b->keys * turn / 2) {
			uint64_t n = b->keys * turn / 2 - at;

			n = n < table ? n : table;
			rc = fill(b, s, at, n, c);
			if (rc == 0)
				rc = flush(b, s, n, c);
			at += n;
		}
		if (rc == 0)
			rc = sweep(b, s, at, c);
	}
	if (rc == 0)
		rc = read_all(b, s, fixed, r);
	cidstore_stats(s, &stats);
	if (rc == 0)
		tell(b, c, ((double)stats.alloc_bytes) / (double)b->keys, r);
	return rc;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct cidstore_error err = { 0 };
	struct cidstore_stats stats;
	struct costs c = { 0 };
	struct cidstore *s;
	int rc;

	if (cid_bench_open(b, true, &s) != 0 || cid_bench_close(s) != 0)
		return -1;
	if (cidstore_open(b->store, CIDSTORE_MANUAL, &s, &err) != 0) {
		cid_report("%s", err.message);
		return -1;
	}
	rc = measure(b, s, &c, r);
	cidstore_stats(s, &stats);
	cid_result_add(r, "log", (double)stats.log_records, "records");
	if (cid_bench_close(s) != 0)
		rc = -1;
	return rc != 0 ? rc : replay(b, b->keys, stats.log_records / 2 - stats.log_records / 16, r);
}

const struct cid_bench_run cid_bench_costs = {
	"costs", "what a write, flush, sweep, lookup, replay takes alone: for scripts/scale-model",
	4000000, 1,
	0,	 run
};
