/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_lookup.c - cidctl bench lookup: warm, alone, together, beside a writer */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"

#define WARM_MAX     4000000u
#define WARM_SECONDS 20.0

static int hit_and_miss(struct cid_bench *b, struct cidstore *s, struct cid_reads *g,
			struct cid_result *r)
{
	static const char *const kind[] = { "hit", "miss" };
	double one = 0;
	char name[32];

	for (int absent = 0; absent < 2; absent++) {
		for (unsigned t = 1; t <= b->threads; t++) {
			if (cid_bench_read(b, s, absent, t, b->lookups, b->seconds, g) != 0)
				return -1;
			snprintf(name, sizeof(name), "%s_%ut", kind[absent], t);
			cid_result_hist(r, name, &g->hist, 1, "ns");
			snprintf(name, sizeof(name), "%s_%ut_rate", kind[absent], t);
			cid_result_add(r, name, g->rate, "/s");
			if (t == 1) {
				one = g->rate;
				continue;
			}
			snprintf(name, sizeof(name), "%s_%ut_of_1t", kind[absent], t);
			cid_result_add(r, name, g->rate / one, "");
			if (t == 2)
				cid_result_bar(r, '>', 1.8);
		}
	}
	return 0;
}

static int many(struct cid_bench *b, struct cidstore *s, struct cid_reads *g, struct cid_result *r)
{
	static const size_t size[] = { 32, 256, 1024 };
	char name[32];

	for (int absent = 0; absent < 2; absent++)
		for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
			if (cid_bench_read_many(b, s, absent, size[i], b->lookups, b->seconds, g) !=
			    0)
				return -1;
			snprintf(name, sizeof(name), "%s_many_%zu", absent ? "miss" : "hit",
				 size[i]);
			cid_result_add(r, name, 1e9 / g->rate, "ns/key");
			if (!absent && size[i] == 1024)
				cid_result_bar(r, '<', 120);
		}
	return 0;
}

struct writer {
	const struct cid_bench *b;
	struct cidstore *s;
	struct cid_load load;
	atomic_bool stop, ended;
	int rc;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	w->rc = cid_bench_load(w->b, w->s, &w->load);
	atomic_store(&w->ended, true);
	return NULL;
}

/* The writer adds keys nobody looks up. */
static int beside_writer(struct cid_bench *b, struct cidstore *s, struct cid_reads *g,
			 struct cid_result *r)
{
	struct writer *w = calloc(1, sizeof(*w));
	pthread_t thread;
	int rc;

	if (w == NULL)
		return cid_bench_check(CIDSTORE_ENOMEM, "writer");
	w->b = b;
	w->s = s;
	w->load.pair = cid_stream_new;
	w->load.arg = b;
	w->load.from = 1ull << 40;
	w->load.n = 1ull << 40;
	w->load.stop = &w->stop;
	if (pthread_create(&thread, NULL, write_on, w) != 0) {
		free(w);
		return cid_bench_check(CIDSTORE_ENOMEM, "writer");
	}
	while (atomic_load(&w->load.done) == 0 && !atomic_load(&w->ended))
		usleep(100);
	rc = cid_bench_read(b, s, false, 1, b->lookups * 4, b->seconds, g);
	w->stop = true;
	pthread_join(thread, NULL);
	if (rc == 0 && w->rc == 0) {
		cid_result_hist(r, "beside_writer_hit", &g->hist, 1, "ns");
		r->figure[r->figures - 2].sense = '<'; /* p99.9 */
		r->figure[r->figures - 2].bar = 10000;
		cid_result_add(r, "beside_writer_rate", g->rate, "/s");
		cid_result_add(r, "writer_rate", (double)w->load.done / w->load.seconds, "pairs/s");
	}
	rc = rc != 0 ? rc : w->rc;
	free(w);
	return rc;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct cid_reads *g = calloc(1, sizeof(*g));
	struct cidstore_stats stats;
	struct cid_memory m;
	struct cidstore *s;
	uint64_t warm = b->keys < WARM_MAX ? b->keys : WARM_MAX;
	int rc;

	if (g == NULL || cid_bench_loaded(b, &s) != 0) {
		free(g);
		return -1;
	}
	rc = cid_bench_read(b, s, false, 1, warm, WARM_SECONDS, g);
	if (rc == 0)
		rc = hit_and_miss(b, s, g, r);
	if (rc == 0)
		rc = many(b, s, g, r);
	if (rc == 0) {
		cid_meter_memory(&m);
		cidstore_stats(s, &stats);
		cid_result_add(r, "memory", (double)(m.anon + m.shmem) / (1 << 20), "MiB");
		cid_result_add(r, "runs", (double)stats.runs, "");
	}
	/* Last: it changes the store. */
	if (rc == 0 && !b->reuse)
		rc = beside_writer(b, s, g, r);
	free(g);
	return cid_bench_close(s) != 0 ? -1 : rc;
}

const struct cid_bench_run cid_bench_lookup = {
	"lookup", "warm lookups: hits, misses, batches, threads, beside a writer", 10000000, 1, 0,
	run
};
