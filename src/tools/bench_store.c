/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_store.c - cidctl bench: stores and what fills them */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/progress.h"
#include "tools/report.h"

#define GROUP_OPS     65536u
#define GROUP_SECONDS 0.1
#define IDLE_POLL_US  20000

int cid_bench_check(int rc, const char *what)
{
	if (rc == 0)
		return 0;
	cid_report("%s: %s", what, cidstore_strerror(rc));
	return -1;
}

void cid_bench_remove(const char *path)
{
	char name[4096];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if ((size_t)snprintf(name, sizeof(name), "%s/%s", path, e->d_name) < sizeof(name) &&
		    unlink(name) != 0)
			cid_bench_remove(name);
	}
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

int cid_bench_open(const struct cid_bench *b, bool fresh, struct cidstore **out)
{
	struct cidstore_geometry geo = { .log_bytes = b->log_bytes };
	struct cidstore_error err = { 0 };
	struct cidstore *s;
	int rc;

	if (fresh) {
		cid_bench_remove(b->store);
		if (cidstore_create(b->store, &geo, &err) != 0) {
			cid_report("%s", err.message);
			return -1;
		}
	}
	if (cidstore_open(b->store, 0, &s, &err) != 0) {
		cid_report("%s", err.message);
		return -1;
	}
	for (unsigned i = 0; i < b->settings; i++) {
		rc = cidstore_config_set(s, b->setting[i].name, b->setting[i].value);
		if (rc != 0) {
			cid_bench_check(rc, b->setting[i].name);
			cidstore_close(s);
			return -1;
		}
	}
	*out = s;
	return 0;
}

int cid_bench_close(struct cidstore *s)
{
	return cid_bench_check(cidstore_close(s), "closing");
}

void cid_group_init(struct cid_group *g, struct cidstore *s)
{
	memset(g, 0, sizeof(*g));
	g->s = s;
	g->at = cid_seconds();
}

int cid_group_tick(struct cid_group *g, uint64_t ops, bool force)
{
	double now = cid_seconds();
	int rc;

	g->ops += ops;
	if (!force && g->ops < GROUP_OPS && now - g->at < GROUP_SECONDS)
		return 0;
	rc = cidstore_sync(g->s);
	g->at = cid_seconds();
	cid_hist_add(&g->sync, (g->at - now) * 1e9);
	g->ops = 0;
	return cid_bench_check(rc, "sync");
}

struct idle {
	struct cidstore *s;
	double last;
	atomic_bool end;
};

static uint64_t work_done(struct cidstore *s)
{
	struct cidstore_stats x;

	cidstore_stats(s, &x);
	return x.flushes + x.sweeps + x.bucket_merges + x.splits + x.merges;
}

static void *watch_work(void *arg)
{
	struct idle *w = arg;
	uint64_t seen = work_done(w->s), now;

	while (!atomic_load(&w->end)) {
		usleep(IDLE_POLL_US);
		now = work_done(w->s);
		if (now != seen)
			w->last = cid_seconds();
		seen = now;
	}
	return NULL;
}

int cid_bench_idle(struct cidstore *s, double *work)
{
	double begin = cid_seconds();
	struct idle w = { .s = s, .last = begin };
	pthread_t thread;
	int watched = pthread_create(&thread, NULL, watch_work, &w) == 0;
	int rc = cidstore_wait_idle(s);

	atomic_store(&w.end, true);
	if (watched)
		pthread_join(thread, NULL);
	if (work != NULL)
		*work = (watched ? w.last : cid_seconds()) - begin;
	return cid_bench_check(rc, "maintenance");
}

struct cidstore_pair cid_stream_pairs(const void *bench, uint64_t i)
{
	const struct cid_bench *b = bench;

	if (b->values == 1)
		return cid_data_pair(&b->data, i, 0);
	return b->spread ? cid_data_pair(&b->data, i % b->keys, i / b->keys)
			 : cid_data_pair(&b->data, i / b->values, i % b->values);
}

struct cidstore_pair cid_stream_new(const void *bench, uint64_t i)
{
	const struct cid_bench *b = bench;

	return cid_data_pair(&b->data, i, 0);
}

/* The end of what was just done, and the tenths that ended with it. */
static void mark(struct cid_load *l, double begin, unsigned *tenth)
{
	double now = cid_seconds() - begin;

	while (*tenth < 10 && l->done * 10 >= l->n * (*tenth + 1u))
		l->tenth[(*tenth)++] = now;
	l->seconds = now;
}

static int put_all(const struct cid_bench *b, struct cid_load *l, struct cidstore_pair *p,
		   struct cid_group *g)
{
	double begin = cid_seconds(), ns = cid_tick_ns();
	unsigned tenth = 0;

	while (l->done < l->n && (l->stop == NULL || !*l->stop) &&
	       (l->limit <= 0 || l->seconds < l->limit)) {
		size_t m = l->n - l->done < b->batch ? (size_t)(l->n - l->done) : (size_t)b->batch;
		uint64_t tick;
		double took;

		for (size_t j = 0; j < m; j++)
			p[j] = l->pair(l->arg, l->from + l->done + j);
		tick = cid_ticks();
		if (cid_bench_check(cidstore_insert(g->s, p, m, NULL), "insert") != 0)
			return -1;
		took = (double)(cid_ticks() - tick) * ns;
		cid_hist_add(&l->batch, took);
		l->done += m;
		if (l->watch != NULL)
			cid_watch_batch(l->watch, m, took);
		if (cid_group_tick(g, m, l->done == l->n) != 0)
			return -1;
		mark(l, begin, &tenth);
		cid_progress_set((double)l->done / (double)l->n, l->done);
	}
	if (l->done < l->n && cid_group_tick(g, 0, true) != 0)
		return -1;
	l->seconds = cid_seconds() - begin;
	return 0;
}

int cid_bench_load(const struct cid_bench *b, struct cidstore *s, struct cid_load *l)
{
	struct cidstore_pair *p = malloc(b->batch * sizeof(*p));
	struct cid_group g;
	int rc = -1;

	cid_group_init(&g, s);
	if (p == NULL)
		cid_report("out of memory; use a smaller --batch");
	else
		rc = put_all(b, l, p, &g);
	l->sync = g.sync;
	free(p);
	return rc;
}

static int holds(const struct cid_bench *b, struct cidstore *s)
{
	uint64_t n;

	return cidstore_count(s, cid_data_key(&b->data, 0), &n) == 0 && n == b->values &&
	       cidstore_count(s, cid_data_key(&b->data, b->keys - 1), &n) == 0 &&
	       cidstore_count(s, cid_data_key(&b->data, b->keys), &n) == CIDSTORE_ENOENT;
}

int cid_bench_loaded(const struct cid_bench *b, struct cidstore **out)
{
	struct cid_load *l;
	struct cidstore *s;
	int rc;

	if (b->reuse && access(b->store, F_OK) == 0) {
		if (cid_bench_open(b, false, &s) != 0)
			return -1;
		if (holds(b, s)) {
			*out = s;
			return 0;
		}
		cid_report("%s does not hold these keys; it is loaded anew", b->store);
		if (cid_bench_close(s) != 0)
			return -1;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL || cid_bench_open(b, true, &s) != 0) {
		free(l);
		return -1;
	}
	l->pair = cid_stream_pairs;
	l->arg = b;
	l->n = b->keys * b->values;
	rc = cid_bench_load(b, s, l);
	free(l);
	if (rc != 0 || cid_bench_idle(s, NULL) != 0) {
		cidstore_close(s);
		return -1;
	}
	*out = s;
	return 0;
}
