/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_zipf.c - cidctl bench zipf: pairs on few keys, some of which come twice */
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench.h"
#include "tools/report.h"

#define PAIRS_PER_KEY 20u
#define EXPONENT      0.9

static struct cidstore_pair pair(const void *zipf, uint64_t i)
{
	return cid_zipf_pair(zipf, i);
}

/* The values that key 0 of the law must have are those it was given. */
static int check(const struct cid_bench *b, struct cidstore *s, const struct cid_zipf *z,
		 uint64_t pairs)
{
	struct cidstore_id top = cid_data_key(&b->data, 0);
	uint64_t asked = 0;

	for (uint64_t i = 0; i < pairs && asked < 1000; i++) {
		struct cidstore_pair p = cid_zipf_pair(z, i);

		if (p.key.high != top.high || p.key.low != top.low)
			continue;
		asked++;
		if (cid_bench_check(cidstore_contains(s, p.key, p.value), "a value inserted") != 0)
			return -1;
	}
	return 0;
}

static int measure(const struct cid_bench *b, struct cidstore *s, struct cid_load *l,
		   struct cid_result *r)
{
	struct cid_io_count begin, end;
	struct cidstore_stats stats;
	double debt;

	cid_meter_io(b->dir, &begin);
	if (cid_bench_load(b, s, l) != 0 || cid_bench_idle(s, &debt) != 0)
		return -1;
	cid_meter_io(b->dir, &end);
	cidstore_stats(s, &stats);
	cid_result_add(r, "pairs", (double)l->done, "");
	cid_result_add(r, "rate", (double)l->done / l->seconds, "pairs/s");
	cid_result_add(r, "rate_with_debt", (double)l->done / (l->seconds + debt), "pairs/s");
	cid_result_add(r, "values", (double)stats.values, "");
	cid_result_hist(r, "batch", &l->batch, 1e6, "ms");
	cid_result_add(r, "device_written",
		       (double)(end.device_written_bytes - begin.device_written_bytes) /
			       (double)l->done,
		       "B/pair");
	cid_result_add(r, "disk",
		       ((double)cid_meter_disk(b->store) - (double)stats.log_records * 64) /
			       (double)stats.values,
		       "B/value");
	return check(b, s, l->arg, l->done);
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct cid_zipf *z = cid_zipf_new(&b->data, b->keys, EXPONENT);
	struct cid_load *l = calloc(1, sizeof(*l));
	struct cid_watch *w = calloc(1, sizeof(*w));
	struct cidstore *s = NULL;
	int rc = -1;

	if (z == NULL || l == NULL || w == NULL) {
		cid_report("out of memory");
	} else if (cid_bench_open(b, true, &s) == 0 && cid_watch_begin(w, b->store) == 0) {
		l->pair = pair;
		l->arg = z;
		l->n = b->keys * PAIRS_PER_KEY;
		l->watch = w;
		rc = measure(b, s, l, r);
		cid_watch_end(w);
		if (rc == 0)
			cid_result_add(r, "memory_max", (double)w->memory_max / (1 << 20), "MiB");
		cid_result_samples(r, w);
		cid_watch_free(w);
	}
	if (s != NULL && cid_bench_close(s) != 0)
		rc = -1;
	cid_zipf_free(z);
	free(l);
	free(w);
	return rc;
}

const struct cid_bench_run cid_bench_zipf = {
	"zipf", "20 pairs a key by Zipf's law, one in ten a duplicate", 1000000, 1, 0, run
};
