/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_read.c - cidctl bench: random lookups, each answer checked */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

#define CAP	4u /* values asked for */
#define THREADS 64u
#define AT_ONCE 4096u

struct reader {
	const struct cid_bench *b;
	struct cidstore *s;
	struct cid_draw draw;
	bool absent;
	uint64_t n;
	double limit;
	int rc;
	struct cid_reads got;
};

/* Each reader of each call draws keys of its own: none may find in the cache
 * what another has just looked up. */
static void seed(struct reader *r)
{
	static _Atomic uint64_t calls;

	r->draw.state = cid_mix(r->b->seed ^ cid_mix(++calls) ^ cid_ticks());
}

static bool wrong(const struct reader *r, uint64_t i, uint64_t count, const struct cidstore_id *v)
{
	struct cidstore_id want;

	if (count != r->b->values)
		return true;
	if (count != 1)
		return false;
	want = cid_data_value(&r->b->data, i, 0);
	return v->high != want.high || v->low != want.low;
}

static void *read_keys(void *arg)
{
	struct reader *r = arg;
	struct cidstore_id v[CAP];
	double ns = cid_tick_ns(), begin = cid_seconds();
	uint64_t tick = cid_ticks(), next, total;

	for (uint64_t i = 0; i < r->n; i++) {
		uint64_t k = cid_draw_below(&r->draw, r->b->keys);

		r->rc = cidstore_get(r->s,
				     r->absent ? cid_data_absent(&r->b->data, k)
					       : cid_data_key(&r->b->data, k),
				     v, CAP, &total);
		if (r->rc == 0 && !r->absent)
			r->got.wrong += wrong(r, k, total, v);
		else if (r->rc == CIDSTORE_ENOENT || r->rc == 0)
			r->got.wrong += !r->absent || r->rc == 0;
		else
			break;
		r->rc = 0;
		r->got.n++;
		next = cid_ticks();
		cid_hist_add(&r->got.hist, (double)(next - tick) * ns);
		tick = next;
		if (r->got.n % 256 == 0) {
			if (cid_seconds() - begin > r->limit)
				break;
			tick = cid_ticks();
		}
	}
	r->got.seconds = cid_seconds() - begin;
	return NULL;
}

static int sum_up(struct reader *r, unsigned threads, struct cid_reads *out)
{
	int rc = 0;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < threads; i++) {
		const struct cid_reads *g = &r[i].got;

		if (cid_bench_check(r[i].rc, "lookup") != 0)
			rc = -1;
		cid_hist_merge(&out->hist, &g->hist);
		out->n += g->n;
		out->wrong += g->wrong;
		out->rate += (double)g->n / (g->seconds > 0 ? g->seconds : 1e-9);
		if (g->seconds > out->seconds)
			out->seconds = g->seconds;
	}
	if (rc == 0 && out->wrong > 0) {
		cid_report("%llu lookups of %llu gave a wrong answer",
			   (unsigned long long)out->wrong, (unsigned long long)out->n);
		rc = -1;
	}
	return rc;
}

int cid_bench_read(const struct cid_bench *b, struct cidstore *s, bool absent, unsigned threads,
		   uint64_t n, double limit, struct cid_reads *out)
{
	pthread_t thread[THREADS];
	unsigned made = 0;
	struct reader *r;
	int rc;

	if (threads > THREADS)
		threads = THREADS;
	r = calloc(threads, sizeof(*r));
	if (r == NULL)
		return cid_bench_check(CIDSTORE_ENOMEM, "lookup");
	for (unsigned i = 0; i < threads; i++) {
		r[i] = (struct reader){ .b = b, .s = s, .absent = absent, .n = n, .limit = limit };
		seed(&r[i]);
	}
	for (unsigned i = 1; i < threads; i++)
		made += pthread_create(&thread[made], NULL, read_keys, &r[i]) == 0;
	read_keys(&r[0]);
	for (unsigned i = 0; i < made; i++)
		pthread_join(thread[i], NULL);
	rc = sum_up(r, threads, out);
	free(r);
	return rc;
}

struct batch {
	struct cidstore_id key[AT_ONCE], value[AT_ONCE];
	uint64_t index[AT_ONCE], count[AT_ONCE];
};

static void check_batch(struct reader *r, const struct batch *x, size_t n)
{
	for (size_t j = 0; j < n; j++)
		if (r->absent)
			r->got.wrong += x->count[j] != UINT64_MAX;
		else
			r->got.wrong += wrong(r, x->index[j], x->count[j], &x->value[j]);
	r->got.n += n;
}

static void read_batches(struct reader *r, struct batch *x, size_t n)
{
	double ns = cid_tick_ns(), begin = cid_seconds();
	uint64_t tick, took = 0;

	while (r->got.n < r->n && cid_seconds() - begin < r->limit) {
		for (size_t j = 0; j < n; j++) {
			x->index[j] = cid_draw_below(&r->draw, r->b->keys);
			x->key[j] = r->absent ? cid_data_absent(&r->b->data, x->index[j])
					      : cid_data_key(&r->b->data, x->index[j]);
		}
		tick = cid_ticks();
		r->rc = cidstore_get_many(r->s, x->key, n, x->value, 1, x->count);
		tick = cid_ticks() - tick;
		if (r->rc != 0)
			break;
		took += tick;
		cid_hist_add(&r->got.hist, (double)tick * ns);
		check_batch(r, x, n);
	}
	r->got.seconds = (double)took * ns * 1e-9;
}

int cid_bench_read_many(const struct cid_bench *b, struct cidstore *s, bool absent, size_t at_once,
			uint64_t n, double limit, struct cid_reads *out)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct batch *x = malloc(sizeof(*x));
	int rc = -1;

	if (r == NULL || x == NULL || at_once > AT_ONCE) {
		cid_bench_check(CIDSTORE_ENOMEM, "get_many");
	} else {
		*r = (struct reader){ .b = b, .s = s, .absent = absent, .n = n, .limit = limit };
		seed(r);
		read_batches(r, x, at_once);
		rc = sum_up(r, 1, out);
	}
	free(r);
	free(x);
	return rc;
}
