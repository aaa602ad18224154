/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_sets.c - cidctl bench sets: whole sets of sizes from 1 to 10 million */
#include <stdio.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

/* Keys of each size; they are numbered behind the single ones. */
static const struct {
	uint64_t values, keys, reads;
} class[] = {
	{ 2, 1000, 20000 }, { 10, 1000, 20000 }, { 1000, 100, 2000 },
	{ 100000, 3, 60 },  { 10000000, 1, 3 },
};

#define CLASSES 5u

static uint64_t number(unsigned c, uint64_t j)
{
	return 1ull << 36 | (uint64_t)c << 32 | j;
}

struct stream {
	const struct cid_bench *b;
	unsigned classes;
	uint64_t sets; /* pairs of the classes */
};

/* One pair of the sets, in no order, for each of the keys around them. */
static struct cidstore_pair pair(const void *arg, uint64_t i)
{
	const struct stream *x = arg;
	uint64_t all = x->sets + x->b->keys, p = cid_shuffled(i, all);

	for (unsigned c = 0; c < x->classes; c++) {
		uint64_t n = class[c].values * class[c].keys;

		if (p < n)
			return cid_data_pair(&x->b->data, number(c, p % class[c].keys),
					     p / class[c].keys);
		p -= n;
	}
	return cid_data_pair(&x->b->data, p, 0);
}

static int read_class(const struct cid_bench *b, struct cidstore *s, unsigned c,
		      struct cidstore_id *v, struct cid_result *r)
{
	struct cid_hist *h = calloc(1, sizeof(*h));
	struct cid_draw draw = { b->seed };
	double ns = cid_tick_ns(), begin = cid_seconds();
	uint64_t total, tick;
	char name[48];
	int rc = h == NULL ? cid_bench_check(CIDSTORE_ENOMEM, "sets") : 0;

	/* The first half warms. */
	for (uint64_t i = 0; rc == 0 && i < class[c].reads * 2; i++) {
		struct cidstore_id k =
			cid_data_key(&b->data, number(c, cid_draw_below(&draw, class[c].keys)));

		if (i > class[c].reads + 1 && cid_seconds() - begin > 2 * b->seconds)
			break;
		tick = cid_ticks();
		rc = cid_bench_check(cidstore_get(s, k, v, (size_t) class[c].values, &total),
				     "get");
		tick = cid_ticks() - tick;
		if (rc == 0 && total != class[c].values) {
			cid_report("a set of %llu values has %llu",
				   (unsigned long long)class[c].values, (unsigned long long)total);
			rc = -1;
		}
		if (i >= class[c].reads)
			cid_hist_add(h, (double)tick * ns);
	}
	if (rc == 0) {
		snprintf(name, sizeof(name), "set_%llu_p50", (unsigned long long)class[c].values);
		cid_result_add(r, name, cid_hist_at(h, .5) / 1e3, "us");
		snprintf(name, sizeof(name), "set_%llu_mean", (unsigned long long)class[c].values);
		cid_result_add(r, name, cid_hist_mean(h) / 1e3, "us");
		snprintf(name, sizeof(name), "set_%llu_each", (unsigned long long)class[c].values);
		cid_result_add(r, name, cid_hist_at(h, .5) / (double)class[c].values, "ns/value");
	}
	free(h);
	return rc;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	/* The largest sets only where the store is meant to be large. */
	struct stream x = { b, b->keys >= 10000000 ? CLASSES : b->keys >= 100000 ? 4u : 3u, 0 };
	struct cid_load *l = calloc(1, sizeof(*l));
	struct cidstore_id *v = NULL;
	struct cidstore *s;
	int rc;

	for (unsigned c = 0; c < x.classes; c++)
		x.sets += class[c].values * class[c].keys;
	v = malloc((size_t) class[x.classes - 1].values * sizeof(*v));
	if (l == NULL || v == NULL || cid_bench_open(b, true, &s) != 0) {
		free(l);
		free(v);
		return -1;
	}
	l->pair = pair;
	l->arg = &x;
	l->n = x.sets + b->keys;
	rc = cid_bench_load(b, s, l);
	if (rc == 0)
		rc = cid_bench_idle(s, NULL);
	if (rc == 0)
		cid_result_add(r, "rate", (double)l->done / l->seconds, "pairs/s");
	for (unsigned c = 0; rc == 0 && c < x.classes; c++)
		rc = read_class(b, s, c, v, r);
	free(l);
	free(v);
	return cid_bench_close(s) != 0 ? -1 : rc;
}

const struct cid_bench_run cid_bench_sets = {
	"sets",	 "sets of 2 to 100,000 values read whole, of 10 M too beside 10 M keys",
	2000000, 1,
	0,	 run
};
