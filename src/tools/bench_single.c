/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_single.c - cidctl bench single: one insert, durable or not, beside the bare disk */
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

#define TURNS	5u
#define SYNCS	1000u
#define INSERTS 500000u
#define FROM	(1ull << 40)

static int put(struct cidstore *s, const struct cid_bench *b, uint64_t i)
{
	struct cidstore_pair p = cid_data_pair(&b->data, FROM + i, 0);

	return cid_bench_check(cidstore_insert(s, &p, 1, NULL), "insert");
}

static int durable(const struct cid_bench *b, struct cidstore *s, uint64_t *at, struct cid_hist *h)
{
	for (unsigned i = 0; i < SYNCS; i++) {
		double begin = cid_seconds();

		if (put(s, b, (*at)++) != 0 || cid_bench_check(cidstore_sync(s), "sync") != 0)
			return -1;
		cid_hist_add(h, (cid_seconds() - begin) * 1e9);
	}
	return 0;
}

/* In turns with the bare disk, whose speed drifts. */
static int both(const struct cid_bench *b, struct cidstore *s, uint64_t *at, struct cid_result *r)
{
	struct cid_hist h = { 0 };
	double us, bare = 0;
	int rc;

	for (unsigned t = 0; t < TURNS; t++) {
		rc = cid_machine_sync(b->dir, SYNCS, &us);
		if (rc != 0) {
			cid_report("%s: %s", b->dir, strerror(rc));
			return -1;
		}
		bare += us / TURNS;
		if (durable(b, s, at, &h) != 0)
			return -1;
	}
	cid_result_hist(r, "durable", &h, 1e3, "us");
	cid_result_add(r, "bare_append", bare, "us");
	cid_result_add(r, "durable_of_bare", cid_hist_mean(&h) / 1e3 / bare, "");
	cid_result_bar(r, '<', 1.15);
	return 0;
}

static int blind(const struct cid_bench *b, struct cidstore *s, uint64_t *at, struct cid_result *r)
{
	struct cid_hist h = { 0 };
	double ns = cid_tick_ns(), begin = cid_seconds();

	for (unsigned i = 0; i < INSERTS; i++) {
		uint64_t tick = cid_ticks();

		if (put(s, b, (*at)++) != 0)
			return -1;
		cid_hist_add(&h, (double)(cid_ticks() - tick) * ns);
		if (i % 256 == 0 && cid_seconds() - begin > b->seconds)
			break;
	}
	cid_result_hist(r, "not_durable", &h, 1e3, "us");
	r->figure[r->figures - 5].sense = '<'; /* the mean */
	r->figure[r->figures - 5].bar = 1;
	return 0;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct cidstore *s;
	uint64_t at = 0;
	int rc;

	if (cid_bench_loaded(b, &s) != 0)
		return -1;
	rc = both(b, s, &at, r);
	if (rc == 0)
		rc = blind(b, s, &at, r);
	return cid_bench_close(s) != 0 ? -1 : rc;
}

const struct cid_bench_run cid_bench_single = {
	"single", "one insert, durable and not, beside a bare append", 1000000, 1, 0, run
};
