/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - a thread that notes how a run gets on, ten times a second
 *
 * The run tells it of each batch. Memory is what matters most here: its maximum
 * over the whole run counts, not what is left at the end.
 */
#ifndef CID_BENCH_WATCH_H
#define CID_BENCH_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include "bench/hist.h"
#include "bench/meter.h"

struct cid_sample {
	double seconds; /* since the start */
	uint64_t ops;
	double p50, p99, p999, max; /* ns, batches since the sample before */
	uint64_t memory;	    /* RssAnon + RssShmem */
	uint64_t disk;		    /* below dir */
	uint64_t written;	    /* by the device since the start */
};

struct cid_watch {
	const char *dir;
	double start;
	struct cid_io_count begin;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	/* protected by lock */
	bool end;
	uint64_t ops;
	struct cid_hist interval, all;
	/* the thread's; the caller's after cid_watch_end() */
	struct cid_sample *sample;
	size_t n, cap;
	uint64_t memory_max;
};

/* `dir` is not copied. 0, or -1 where no thread could be made. */
int cid_watch_begin(struct cid_watch *w, const char *dir);
void cid_watch_batch(struct cid_watch *w, uint64_t ops, double ns);
void cid_watch_end(struct cid_watch *w);
void cid_watch_free(struct cid_watch *w);

#endif
