/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_insert.c - cidctl bench insert: new keys, durable, to the end of maintenance */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench.h"

struct insert {
	struct cid_load load;
	struct cid_watch watch;
	struct cid_io_count begin, end;
	struct cidstore_stats stats;
	double debt; /* seconds of flushing and merging after the last insert */
};

static void rates(struct cid_result *r, const struct cid_load *l)
{
	double last = 0;
	char name[32];

	cid_result_add(r, "rate", (double)l->done / l->seconds, "pairs/s");
	for (unsigned i = 0; i < 10; i++) {
		double took = l->tenth[i] - last;

		snprintf(name, sizeof(name), "rate_tenth_%u", i + 1);
		cid_result_add(r, name, (double)l->n / 10 / (took > 0 ? took : 1e-9), "pairs/s");
		last = l->tenth[i];
	}
	cid_result_add(r, "last_tenth_of_first", l->tenth[0] / (l->tenth[9] - l->tenth[8] + 1e-9),
		       "");
	cid_result_bar(r, '>', 0.7);
}

/* At least so many pairs, and space is no longer the log and the fixed part. */
#define LARGE 5000000u

static void bytes(const struct cid_bench *b, struct cid_result *r, const struct insert *x)
{
	double n = (double)x->load.done;
	double disk = (double)cid_meter_disk(b->store) - (double)x->stats.log_records * 64;

	cid_result_add(r, "device_written",
		       (double)(x->end.device_written_bytes - x->begin.device_written_bytes) / n,
		       "B/pair");
	if (b->values == 1 && n >= LARGE)
		cid_result_bar(r, '<', n > 5e7 ? 600 : n > 1e7 ? 440 : 300);
	cid_result_add(r, "process_written",
		       (double)(x->end.written_bytes - x->begin.written_bytes) / n, "B/pair");
	cid_result_add(r, "device_read",
		       (double)(x->end.device_read_bytes - x->begin.device_read_bytes) / n,
		       "B/pair");
	cid_result_add(r, "disk", disk / n, "B/pair");
	if (n >= LARGE && (b->values == 1 || b->values >= 100))
		cid_result_bar(r, '<', b->values == 1 ? 80 : 20);
	cid_result_add(r, "disk_with_log", (double)cid_meter_disk(b->store) / n, "B/pair");
}

static void tell(const struct cid_bench *b, struct cid_result *r, struct insert *x)
{
	uint64_t limit = 1ull << 30;

	for (unsigned i = 0; i < b->settings; i++)
		if (strcmp(b->setting[i].name, "memory_limit") == 0)
			limit = b->setting[i].value;
	rates(r, &x->load);
	cid_result_add(r, "rate_with_debt", (double)x->load.done / (x->load.seconds + x->debt),
		       "pairs/s");
	cid_result_add(r, "debt", x->debt, "s");
	cid_result_hist(r, "batch", &x->load.batch, 1e6, "ms");
	r->figure[r->figures - 2].sense = '<'; /* p99.9 */
	r->figure[r->figures - 2].bar = 50;
	cid_result_hist(r, "sync", &x->load.sync, 1e6, "ms");
	cid_result_add(r, "memory_max", (double)x->watch.memory_max / (1 << 20), "MiB");
	cid_result_bar(r, '<', (double)limit / (1 << 20));
	bytes(b, r, x);
	cid_result_add(r, "stalled", (double)x->stats.stall_ns / 1e9, "s");
	cid_result_add(r, "flushes", (double)x->stats.flushes, "");
	cid_result_add(r, "sweeps", (double)x->stats.sweeps, "");
	cid_result_add(r, "buckets", (double)x->stats.buckets, "");
	cid_result_add(r, "library_memory", (double)x->stats.memory_bytes / (1 << 20), "MiB");
}

static int measure(const struct cid_bench *b, struct cidstore *s, struct insert *x)
{
	int rc = cid_bench_load(b, s, &x->load);

	if (rc == 0)
		rc = cid_bench_idle(s, &x->debt);
	cidstore_stats(s, &x->stats);
	cid_meter_io(b->dir, &x->end);
	return rc;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct insert *x = calloc(1, sizeof(*x));
	struct cidstore *s;
	int rc;

	if (x == NULL || cid_bench_open(b, true, &s) != 0) {
		free(x);
		return -1;
	}
	x->load.pair = cid_stream_pairs;
	x->load.arg = b;
	x->load.n = b->keys * b->values;
	cid_meter_io(b->dir, &x->begin);
	rc = cid_watch_begin(&x->watch, b->store);
	if (rc == 0) {
		x->load.watch = &x->watch;
		rc = measure(b, s, x);
		cid_watch_end(&x->watch);
	}
	if (rc == 0)
		tell(b, r, x);
	cid_result_samples(r, &x->watch);
	cid_watch_free(&x->watch);
	free(x);
	return cid_bench_close(s) != 0 ? -1 : rc;
}

const struct cid_bench_run cid_bench_insert = {
	"insert", "new keys in batches, made durable in groups", 10000000, 1, 0, run
};
