/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * result.h - what a run found: figures, and samples over its life
 *
 * A file of results is JSON, written whole: date, machine, version, commit and
 * command, then each run of each repetition as it was.
 */
#ifndef CID_BENCH_RESULT_H
#define CID_BENCH_RESULT_H

#include <stdio.h>
#include "bench/hist.h"
#include "bench/machine.h"
#include "bench/watch.h"

struct cid_figure {
	char name[48], unit[16];
	double value;
	double bar; /* what it should be at most ('<') or at least ('>') */
	char sense; /* 0: no bar */
};

struct cid_result {
	const char *run; /* not copied */
	unsigned round;	 /* from 1 */
	uint64_t keys, values;
	double seconds;
	struct cid_figure *figure;
	size_t figures, cap;
	struct cid_sample *sample; /* of malloc */
	size_t samples;
	int failed; /* memory ran out while figures were added */
};

/* What stands above the results of one command. */
struct cid_result_head {
	struct cid_machine machine;
	const char *version, *commit;
	int argc;
	char **argv;
};

void cid_result_add(struct cid_result *r, const char *name, double value, const char *unit);
/* The last one added should be at most ('<') or at least ('>') `bar`. */
void cid_result_bar(struct cid_result *r, char sense, double bar);
/* NAME_mean, _p50, _p99, _p999, _max, divided by `div`. */
void cid_result_hist(struct cid_result *r, const char *name, const struct cid_hist *h, double div,
		     const char *unit);
/* Takes the watch's samples over. */
void cid_result_samples(struct cid_result *r, struct cid_watch *w);
void cid_result_free(struct cid_result *r);

void cid_result_json(FILE *f, const struct cid_result_head *h, const struct cid_result *r,
		     size_t n);
/* Medians over the rounds of each run. */
void cid_result_table(FILE *f, const struct cid_result_head *h, const struct cid_result *r,
		      size_t n);
/* A script for gnuplot, data included, that draws `picture`: rate, latency,
 * memory and disk over time, of each result with samples. The number of such. */
size_t cid_result_plot(FILE *f, const char *picture, const struct cid_result *r, size_t n);

#endif
