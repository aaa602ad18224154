/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/watch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/array.h"
#include "bench/clock.h"

#define PERIOD_NS 100000000

static void note(struct cid_watch *w, const struct cid_hist *h, uint64_t ops)
{
	struct cid_io_count io;
	struct cid_memory m;
	struct cid_sample s = { .seconds = cid_seconds() - w->start, .ops = ops };

	cid_meter_memory(&m);
	s.memory = m.anon + m.shmem;
	if (s.memory > w->memory_max)
		w->memory_max = s.memory;
	if (cid_array_room((void **)&w->sample, w->n, &w->cap, sizeof(*w->sample)))
		return;
	cid_meter_io(w->dir, &io);
	s.disk = cid_meter_disk(w->dir);
	s.written = io.device_written_bytes - w->begin.device_written_bytes;
	s.p50 = cid_hist_at(h, .5);
	s.p99 = cid_hist_at(h, .99);
	s.p999 = cid_hist_at(h, .999);
	s.max = h->max;
	w->sample[w->n++] = s;
}

static void *watch(void *arg)
{
	struct cid_watch *w = arg;
	struct cid_hist h;
	struct timespec until;
	uint64_t ops;
	bool end;

	clock_gettime(CLOCK_MONOTONIC, &until);
	do {
		until.tv_nsec += PERIOD_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_mutex_lock(&w->lock);
		while (!w->end && pthread_cond_timedwait(&w->ended, &w->lock, &until) == 0)
			;
		end = w->end;
		ops = w->ops;
		h = w->interval;
		cid_hist_merge(&w->all, &h);
		memset(&w->interval, 0, sizeof(w->interval));
		pthread_mutex_unlock(&w->lock);
		note(w, &h, ops);
	} while (!end);
	return NULL;
}

int cid_watch_begin(struct cid_watch *w, const char *dir)
{
	pthread_condattr_t attr;
	struct cid_hist none = { 0 };

	memset(w, 0, sizeof(*w));
	w->dir = dir;
	w->start = cid_seconds();
	cid_meter_io(dir, &w->begin);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->ended, &attr);
	pthread_condattr_destroy(&attr);
	note(w, &none, 0);
	return pthread_create(&w->thread, NULL, watch, w) == 0 ? 0 : -1;
}

void cid_watch_batch(struct cid_watch *w, uint64_t ops, double ns)
{
	pthread_mutex_lock(&w->lock);
	w->ops += ops;
	cid_hist_add(&w->interval, ns);
	pthread_mutex_unlock(&w->lock);
}

void cid_watch_end(struct cid_watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->end = true;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
}

void cid_watch_free(struct cid_watch *w)
{
	free(w->sample);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->ended);
}
