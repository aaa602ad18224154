/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_delete.c - cidctl bench delete: one value of two, keys, and the space they leave */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

#define SLACK (8u << 20)
#define STILL 3u /* looks a second apart that find the same size */

struct work {
	const struct cid_bench *b;
	struct cidstore *s;
	struct cid_group g;
	struct cidstore_pair *pair;
	struct cidstore_id *key;
};

/* The second value of keys [0, n), in no order. */
static int delete_values(struct work *w, uint64_t n, double *seconds)
{
	double begin = cid_seconds();

	for (uint64_t i = 0; i < n; i += w->b->batch) {
		size_t m = n - i < w->b->batch ? (size_t)(n - i) : (size_t)w->b->batch;

		for (size_t j = 0; j < m; j++)
			w->pair[j] = cid_data_pair(&w->b->data, cid_shuffled(i + j, n), 1);
		if (cid_bench_check(cidstore_delete(w->s, w->pair, m, NULL), "delete") != 0 ||
		    cid_group_tick(&w->g, m, i + m == n) != 0)
			return -1;
	}
	*seconds = cid_seconds() - begin;
	return 0;
}

/* Keys [from, to) of the shuffled order of all. */
static int delete_keys(struct work *w, uint64_t from, uint64_t to, double *seconds)
{
	double begin = cid_seconds();

	for (uint64_t i = from; i < to; i += w->b->batch) {
		size_t m = to - i < w->b->batch ? (size_t)(to - i) : (size_t)w->b->batch;

		for (size_t j = 0; j < m; j++)
			w->key[j] = cid_data_key(&w->b->data, cid_shuffled(i + j, w->b->keys));
		if (cid_bench_check(cidstore_delete_keys(w->s, w->key, m, NULL), "delete") != 0 ||
		    cid_group_tick(&w->g, m, i + m == to) != 0)
			return -1;
	}
	*seconds = cid_seconds() - begin;
	return 0;
}

/* Bytes on disk when nothing is freed any more: readers have had their grace. */
static int settle(struct work *w, double *bytes)
{
	uint64_t grace_ms = 0, size = 0, last;
	unsigned still = 0;
	double begin = cid_seconds();

	cidstore_config_get(w->s, "reader_grace_ms", &grace_ms);
	if (cid_bench_check(cidstore_gc(w->s), "gc") != 0)
		return -1;
	while (still < STILL || cid_seconds() - begin < (double)grace_ms / 1e3) {
		if (cid_bench_idle(w->s, NULL) != 0)
			return -1;
		last = size;
		size = cid_meter_disk(w->b->store);
		still = size == last ? still + 1 : 0;
		if (cid_seconds() - begin > 120)
			break;
		usleep(grace_ms > 0 ? 1000000 : 10000);
	}
	*bytes = (double)size;
	return 0;
}

/* Key i of the shuffled order has `want` values, or does not exist. */
static int check(const struct work *w, uint64_t from, uint64_t to, uint64_t want)
{
	uint64_t n = 0, step = (to - from) / 100000 + 1;

	for (uint64_t i = from; i < to; i += step) {
		int rc = cidstore_count(w->s,
					cid_data_key(&w->b->data, cid_shuffled(i, w->b->keys)), &n);

		if (want == 0 ? rc == CIDSTORE_ENOENT : rc == 0 && n == want)
			continue;
		cid_report("a key has not the values it should have (%s, %llu for %llu)",
			   cidstore_strerror(rc), (unsigned long long)n, (unsigned long long)want);
		return -1;
	}
	return 0;
}

static int measure(struct work *w, double fresh, double full, struct cid_result *r)
{
	struct cid_io_count begin, end;
	uint64_t half = w->b->keys / 2;
	double t[3], bytes[3], log;
	struct cidstore_stats stats;

	cidstore_stats(w->s, &stats);
	log = (double)stats.log_records * 64;
	cid_meter_io(w->b->dir, &begin);
	if (delete_values(w, w->b->keys, &t[0]) != 0 || check(w, 0, w->b->keys, 1) != 0 ||
	    settle(w, &bytes[0]) != 0 || delete_keys(w, 0, half, &t[1]) != 0 ||
	    check(w, 0, half, 0) != 0 || check(w, half, w->b->keys, 1) != 0 ||
	    settle(w, &bytes[1]) != 0 || delete_keys(w, half, w->b->keys, &t[2]) != 0 ||
	    check(w, 0, w->b->keys, 0) != 0 || settle(w, &bytes[2]) != 0)
		return -1;
	cid_meter_io(w->b->dir, &end);
	cid_result_add(r, "values_rate", (double)w->b->keys / t[0], "/s");
	cid_result_add(r, "keys_rate", (double)w->b->keys / (t[1] + t[2]), "/s");
	cid_result_add(r, "device_written",
		       (double)(end.device_written_bytes - begin.device_written_bytes) /
			       (2.0 * (double)w->b->keys),
		       "B/op");
	cid_result_add(r, "disk_fresh", fresh / 1e6, "MB");
	cid_result_add(r, "disk_full", full / 1e6, "MB");
	cid_result_add(r, "disk_one_of_two", bytes[0] / 1e6, "MB");
	cid_result_add(r, "disk_half", bytes[1] / 1e6, "MB");
	/* An entry of one value takes what one of two does. */
	cid_result_add(r, "disk_half_of_live", (bytes[1] - log) / ((full - log) / 2), "");
	cid_result_bar(r, '<', 1.3);
	cid_result_add(r, "disk_none", bytes[2] / 1e6, "MB");
	cid_result_bar(r, '<', (fresh + SLACK) / 1e6);
	return 0;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct work w = { .b = b };
	struct cid_load *l = calloc(1, sizeof(*l));
	double fresh, full;
	int rc = -1;

	b->values = 2;
	b->spread = true;
	w.pair = malloc(b->batch * sizeof(*w.pair));
	w.key = malloc(b->batch * sizeof(*w.key));
	if (l == NULL || w.pair == NULL || w.key == NULL || cid_bench_open(b, true, &w.s) != 0)
		goto out;
	fresh = (double)cid_meter_disk(b->store);
	l->pair = cid_stream_pairs;
	l->arg = b;
	l->n = b->keys * 2;
	rc = cid_bench_load(b, w.s, l);
	if (rc == 0)
		rc = settle(&w, &full);
	cid_group_init(&w.g, w.s);
	if (rc == 0)
		rc = measure(&w, fresh, full, r);
	if (cid_bench_close(w.s) != 0)
		rc = -1;
out:
	free(l);
	free(w.pair);
	free(w.key);
	return rc;
}

const struct cid_bench_run cid_bench_delete = {
	"delete", "one value of two, then keys; disk after half and after all", 2000000, 2, 0, run
};
