/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_tune.c - cidctl bench tune: autotune beside fixed settings, on a load
 * that changes
 *
 * Three phases follow each other, twice, on a store of its own for each setting:
 *
 *   burst    the run's keys in large batches, as fast as they are taken, beside
 *            eight clients that make each pair durable before the next
 *   steady   these clients, beside a feed of batches at a modest pace
 *   read     readers, one operation in a hundred a pair made durable
 *
 * Four rates are taken of them: pairs a second of the burst (`bulk`), durable
 * pairs a second beside it (`beside`) and in the second phase (`steady`),
 * operations a second in the third (`read`). A setting's share of a rate is its
 * rate relative to that of the fixed setting which is best at it; its score is
 * the geometric mean of the shares. Each round begins with another setting.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

enum { CYCLES = 2, CLIENTS = 8, READS_A_WRITE = 99, FEED_BATCH = 16384, FEED_US = 25000 };

enum rate { BULK, BESIDE, STEADY, READ, RATES };
static const char *const rate_name[RATES] = { "bulk", "beside", "steady", "read" };

static const struct setting {
	const char *name;
	uint64_t autotune, batch_size, flush_interval_us;
} settings[] = {
	{ "auto", 1, 1024, 0 },	      { "default", 0, 1024, 0 }, { "1024_100", 0, 1024, 100 },
	{ "1024_500", 0, 1024, 500 }, { "256_0", 0, 256, 0 },	 { "256_100", 0, 256, 100 },
	{ "64_0", 0, 64, 0 },	      { "64_100", 0, 64, 100 },	 { "64_500", 0, 64, 500 },
	{ "4096_0", 0, 4096, 0 },
};
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

/* Pairs that no other phase and no other thread has. */
static uint64_t first_of(unsigned phase, unsigned thread)
{
	return 1ull << 40 | (uint64_t)phase << 36 | (uint64_t)thread << 30;
}

/* What all threads of a phase share. */
struct scene {
	const struct cid_bench *b;
	struct cidstore *s;
	uint64_t keys;	 /* that can be asked for */
	double until;	 /* seconds */
	atomic_bool end; /* or when this is set */
};

struct client {
	struct scene *scene;
	pthread_t thread;
	struct cid_draw draw;
	uint64_t next, ops; /* `next`: its next new pair */
	int rc;
};

static bool goes_on(const struct client *c)
{
	return c->rc == 0 && !atomic_load(&c->scene->end) && cid_seconds() < c->scene->until;
}

static int put_durable(struct client *c)
{
	struct cidstore_pair p = cid_data_pair(&c->scene->b->data, c->next++, 0);
	int rc = cidstore_insert(c->scene->s, &p, 1, NULL);

	return rc != 0 ? rc : cidstore_sync(c->scene->s);
}

static void *write_steadily(void *arg)
{
	struct client *c = arg;

	while (goes_on(c)) {
		c->rc = put_durable(c);
		c->ops += c->rc == 0;
	}
	return NULL;
}

static void *feed(void *arg)
{
	struct client *c = arg;
	struct cidstore_pair *p = malloc(FEED_BATCH * sizeof(*p));
	double due = cid_seconds();

	c->rc = p == NULL ? CIDSTORE_ENOMEM : 0;
	while (goes_on(c)) {
		double now = cid_seconds();

		if (now < due)
			usleep((useconds_t)((due - now) * 1e6));
		for (size_t i = 0; i < FEED_BATCH; i++)
			p[i] = cid_data_pair(&c->scene->b->data, c->next++, 0);
		c->rc = cidstore_insert(c->scene->s, p, FEED_BATCH, NULL);
		due += FEED_US / 1e6;
	}
	free(p);
	return NULL;
}

static void *read_mostly(void *arg)
{
	struct client *c = arg;
	uint64_t n;

	while (goes_on(c)) {
		for (int i = 0; c->rc == 0 && i < READS_A_WRITE; i++) {
			uint64_t k = cid_draw_below(&c->draw, c->scene->keys);

			c->rc = cidstore_count(c->scene->s, cid_data_key(&c->scene->b->data, k),
					       &n);
		}
		if (c->rc == 0)
			c->rc = put_durable(c);
		c->ops += c->rc == 0 ? READS_A_WRITE + 1 : 0;
	}
	return NULL;
}

static unsigned begin(struct scene *x, struct client *c, unsigned n, unsigned phase,
		      void *(*work)(void *))
{
	for (unsigned i = 0; i < n; i++) {
		c[i] = (struct client){ .scene = x,
					.draw = { x->b->seed + i },
					.next = first_of(phase, i) };
		if (pthread_create(&c[i].thread, NULL, work, &c[i]) != 0)
			return i;
	}
	return n;
}

/* Waits for n clients; all they did. */
static uint64_t end(struct client *c, unsigned n, int *rc)
{
	uint64_t ops = 0;

	for (unsigned i = 0; i < n; i++) {
		pthread_join(c[i].thread, NULL);
		ops += c[i].ops;
		if (*rc == 0)
			*rc = cid_bench_check(c[i].rc, "a client");
	}
	return ops;
}

static int burst(struct scene *x, unsigned cycle, double rate[RATES])
{
	struct cid_load *l = calloc(1, sizeof(*l));
	struct client c[CLIENTS];
	struct cid_bench b = *x->b;
	unsigned made;
	uint64_t ops;
	int rc;

	if (l == NULL)
		return cid_bench_check(CIDSTORE_ENOMEM, "load");
	/* One call is work for batch_size to cut up. */
	if (b.batch < FEED_BATCH)
		b.batch = FEED_BATCH;
	l->pair = cid_stream_new;
	l->arg = &b;
	l->from = b.keys * cycle;
	l->n = b.keys;
	x->until = INFINITY;
	made = begin(x, c, CLIENTS, cycle * 4, write_steadily);
	rc = cid_bench_load(&b, x->s, l);
	atomic_store(&x->end, true);
	ops = end(c, made, &rc);
	atomic_store(&x->end, false);
	rate[BULK] = (double)l->done / (l->seconds > 0 ? l->seconds : 1e-9);
	rate[BESIDE] = (double)ops / (l->seconds > 0 ? l->seconds : 1e-9);
	free(l);
	return made < CLIENTS ? cid_bench_check(CIDSTORE_ENOMEM, "thread") : rc;
}

static int for_a_time(struct scene *x, unsigned phase, unsigned clients, void *(*work)(void *),
		      bool fed, double *rate)
{
	double seconds = x->b->seconds / 5;
	struct client *c = calloc(clients + 1u, sizeof(*c));
	unsigned made = 0, feeds = 0;
	int rc = 0;

	if (c == NULL)
		return cid_bench_check(CIDSTORE_ENOMEM, "clients");
	x->until = cid_seconds() + seconds;
	if (fed)
		feeds = begin(x, &c[clients], 1, phase + 1, feed);
	made = begin(x, c, clients, phase, work);
	*rate = (double)end(c, made, &rc) / seconds;
	(void)end(&c[clients], feeds, &rc);
	free(c);
	return made < clients || feeds < fed ? cid_bench_check(CIDSTORE_ENOMEM, "thread") : rc;
}

static int cycle(struct scene *x, unsigned n, double rate[RATES])
{
	int rc = burst(x, n, rate);

	x->keys = x->b->keys * (n + 1);
	if (rc == 0)
		rc = for_a_time(x, n * 4 + 1, CLIENTS, write_steadily, true, &rate[STEADY]);
	if (rc == 0)
		rc = for_a_time(x, n * 4 + 3, x->b->threads, read_mostly, false, &rate[READ]);
	return rc;
}

struct tried {
	double rate[RATES]; /* of all cycles, the geometric mean */
	double score;
	struct cidstore_stats stats;
};

static int set(struct cidstore *s, const struct setting *x)
{
	int rc = cidstore_config_set(s, "batch_size", x->batch_size);

	if (rc == 0)
		rc = cidstore_config_set(s, "flush_interval_us", x->flush_interval_us);
	if (rc == 0)
		rc = cidstore_config_set(s, "autotune", x->autotune);
	return cid_bench_check(rc, x->name);
}

static int try(const struct cid_bench *b, const struct setting *set_to, struct tried *out)
{
	struct scene x = { .b = b };
	double rate[RATES];
	int rc;

	if (cid_bench_open(b, true, &x.s) != 0)
		return -1;
	rc = set(x.s, set_to);
	for (int i = 0; i < RATES; i++)
		out->rate[i] = 1;
	for (unsigned n = 0; rc == 0 && n < CYCLES; n++) {
		rc = cycle(&x, n, rate);
		for (int i = 0; rc == 0 && i < RATES; i++)
			out->rate[i] *= pow(rate[i], 1. / CYCLES);
	}
	cidstore_stats(x.s, &out->stats);
	return cid_bench_close(x.s) != 0 ? -1 : rc;
}

static void judge(struct tried *t, double *best_score)
{
	double best[RATES] = { 0 };

	for (int i = 0; i < SETTINGS; i++)
		for (int k = 0; k < RATES; k++)
			if (!settings[i].autotune && t[i].rate[k] > best[k])
				best[k] = t[i].rate[k];
	*best_score = 0;
	for (int i = 0; i < SETTINGS; i++) {
		t[i].score = 1;
		for (int k = 0; k < RATES; k++)
			t[i].score *= pow(t[i].rate[k] / best[k], 1. / RATES);
		if (!settings[i].autotune && t[i].score > *best_score)
			*best_score = t[i].score;
	}
}

static void tell(struct tried *t, struct cid_result *r)
{
	double best_score;
	char name[48];

	judge(t, &best_score);
	for (int i = 0; i < SETTINGS; i++) {
		for (int k = 0; k < RATES; k++) {
			snprintf(name, sizeof(name), "%s_%s", settings[i].name, rate_name[k]);
			cid_result_add(r, name, t[i].rate[k], k == READ ? "ops/s" : "pairs/s");
		}
		snprintf(name, sizeof(name), "%s_score", settings[i].name);
		cid_result_add(r, name, t[i].score, "");
	}
	cid_result_add(r, "auto_of_best_fixed", t[0].score / best_score, "");
	cid_result_bar(r, '>', 1);
	cid_result_add(r, "decisions", (double)t[0].stats.tune_decisions, "");
	cid_result_add(r, "trips", (double)t[0].stats.tune_trips, "");
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct tried *t = calloc(SETTINGS, sizeof(*t));
	int rc = t == NULL ? cid_bench_check(CIDSTORE_ENOMEM, "settings") : 0;

	for (unsigned i = 0; rc == 0 && i < SETTINGS; i++) {
		unsigned at = (i + (r->round - 1) * 3) % SETTINGS;

		rc = try(b, &settings[at], &t[at]);
	}
	if (rc == 0)
		tell(t, r);
	free(t);
	return rc;
}

const struct cid_bench_run cid_bench_tune = {
	"tune",	 "autotune beside fixed settings: bursts, durable changes, reads, in turns",
	6000000, 1,
	0,	 run
};
