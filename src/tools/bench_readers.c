/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_readers.c - cidctl bench readers: what readers in other processes cost,
 * the writer and themselves
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

enum { READERS = 8, TURNS = 3, STARTS = 40 };
#define FIRST_NEW (1ull << 40) /* keys that only the writer's load knows */

/* What the readers are to do. Idle: a pin is held, nothing asked. Paced: some
 * 15,000 lookups a second each. Busy: without a pause, so that eight of them on
 * a few processors leave a writer the share of time that the scheduler gives to
 * each; what they cost it besides is its rate in a second of its own time. */
enum phase { AWAY, IDLE, PACED, BUSY, GONE, PHASES };
enum { MEASURED = BUSY + 1 };

struct shared {
	_Atomic int phase;
	_Atomic unsigned there; /* readers that are in it */
	_Atomic uint64_t lookups, wrong;
};

/* ---- the readers: processes of their own ---- */

static void pause_us(long us)
{
	const struct timespec t = { 0, us * 1000 };

	(void)nanosleep(&t, NULL);
}

static void ask(const struct cid_bench *b, struct cidstore *s, struct shared *x,
		struct cid_draw *draw, unsigned n)
{
	uint64_t count;

	for (unsigned i = 0; i < n; i++)
		if (cidstore_count(s, cid_data_key(&b->data, cid_draw_below(draw, b->keys)),
				   &count) != 0 ||
		    count != b->values)
			x->wrong++;
	x->lookups += n;
}

static void be_reader(const struct cid_bench *b, struct shared *x, unsigned me)
{
	struct cid_draw draw = { b->seed + me };
	struct cidstore_error err;
	struct cidstore *s = NULL;
	int in = AWAY, phase;

	while ((phase = x->phase) != GONE) {
		if (phase != in) {
			if (s != NULL && phase == AWAY) {
				(void)cidstore_close(s);
				s = NULL;
			} else if (s == NULL &&
				   cidstore_open(b->store, CIDSTORE_RDONLY, &s, &err)) {
				x->wrong++;
				_exit(1);
			}
			if (s != NULL)
				ask(b, s, x, &draw, 1);
			in = phase;
			x->there++;
		}
		if (phase == BUSY)
			ask(b, s, x, &draw, 1000);
		else if (phase == PACED)
			ask(b, s, x, &draw, 20);
		if (phase != BUSY)
			pause_us(1000);
		if (getppid() == 1)
			break;
	}
	_exit(0);
}

static void enter(struct shared *x, enum phase p)
{
	if (x->phase == (int)p)
		return;
	x->there = 0;
	x->phase = p;
	while (p != GONE && x->there < READERS && x->wrong == 0)
		pause_us(1000);
}

/* ---- figures ---- */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[n / 2];
}

struct writing {
	struct cid_bench *b;
	struct cidstore *s;
	struct shared *x;
	const pid_t *reader;
	uint64_t from; /* the next new key */
	/* pairs a second, and that of the writer's processor time; the readers' */
	double rate[MEASURED][TURNS], own[MEASURED][TURNS], others[MEASURED][TURNS];
	double lookups[MEASURED][TURNS];
};

static double processor_seconds(pid_t pid)
{
	struct timespec t = { 0, 0 };
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) == 0)
		(void)clock_gettime(id, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double readers_seconds(const struct writing *w)
{
	double sum = 0;

	for (unsigned i = 0; i < READERS; i++)
		sum += processor_seconds(w->reader[i]);
	return sum;
}

static int write_beside(struct writing *w, enum phase p, int turn, struct cid_load *l)
{
	double own, others, lookups;

	*l = (struct cid_load){ .pair = cid_stream_new,
				.arg = w->b,
				.from = w->from,
				.n = 1ull << 36,
				.limit = w->b->seconds / TURNS };
	/* None begins with what the one before left to do. */
	if (cid_bench_check(cidstore_checkpoint(w->s), "checkpoint") != 0)
		return -1;
	enter(w->x, p);
	own = processor_seconds(0);
	others = readers_seconds(w);
	lookups = (double)w->x->lookups;
	if (cid_bench_load(w->b, w->s, l) != 0)
		return -1;
	w->from += l->done;
	w->rate[p][turn] = (double)l->done / l->seconds;
	w->own[p][turn] = (double)l->done / (processor_seconds(0) - own);
	w->others[p][turn] = (readers_seconds(w) - others) / l->seconds;
	w->lookups[p][turn] = ((double)w->x->lookups - lookups) / l->seconds;
	enter(w->x, AWAY);
	return 0;
}

static void tell_writing(struct writing *w, struct cid_result *r)
{
	static const char *const name[] = { "alone", "idle", "paced", "busy" };
	static const double bar[] = { 0, 0.95, 0.7, 0 };
	double alone = 0, own_alone = 0;
	char text[48];

	for (int p = AWAY; p <= BUSY; p++) {
		double m = median(w->rate[p], TURNS), own = median(w->own[p], TURNS);

		snprintf(text, sizeof(text), "writer_%s", name[p]);
		cid_result_add(r, text, m, "pairs/s");
		if (p == AWAY) {
			alone = m;
			own_alone = own;
			continue;
		}
		snprintf(text, sizeof(text), "writer_%s_of_alone", name[p]);
		cid_result_add(r, text, m / alone, "");
		if (bar[p] > 0)
			cid_result_bar(r, '>', bar[p]);
		snprintf(text, sizeof(text), "writer_%s_of_alone_its_time", name[p]);
		cid_result_add(r, text, own / own_alone, "");
		if (p == BUSY)
			cid_result_bar(r, '>', 0.7);
		snprintf(text, sizeof(text), "%s_readers", name[p]);
		cid_result_add(r, text, median(w->others[p], TURNS), "processors");
		if (p == IDLE)
			continue;
		snprintf(text, sizeof(text), "%s_lookups", name[p]);
		cid_result_add(r, text, median(w->lookups[p], TURNS), "/s");
	}
}

/* In turns, so that what else the machine does meets all of them. */
static int writing(struct cid_bench *b, struct cidstore *s, struct shared *x, const pid_t *reader,
		   struct cid_result *r)
{
	struct writing w = { .b = b, .s = s, .x = x, .reader = reader, .from = FIRST_NEW };
	struct cid_load *l = malloc(sizeof(*l));
	int rc = l == NULL ? cid_bench_check(CIDSTORE_ENOMEM, "load") : 0;

	for (int turn = 0; rc == 0 && turn < TURNS; turn++)
		for (int i = 0; rc == 0 && i < MEASURED; i++)
			rc = write_beside(&w, (enum phase)((i + turn) % MEASURED), turn, l);
	enter(x, AWAY);
	free(l);
	if (rc == 0)
		tell_writing(&w, r);
	return rc;
}

/* From opening to the first answer. */
static int starting(const struct cid_bench *b, struct cid_result *r, const char *name, double bar)
{
	double ms[STARTS], begin;
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t n;
	int rc;

	for (int i = 0; i < STARTS; i++) {
		begin = cid_seconds();
		if (cidstore_open(b->store, CIDSTORE_RDONLY, &s, &err) != 0) {
			cid_report("%s", err.message);
			return -1;
		}
		rc = cid_bench_check(
			cidstore_count(s, cid_data_key(&b->data, (uint64_t)i % b->keys), &n),
			"first lookup");
		ms[i] = (cid_seconds() - begin) * 1e3;
		if (cid_bench_close(s) != 0 || rc != 0)
			return -1;
	}
	cid_result_add(r, name, median(ms, STARTS), "ms");
	if (bar > 0)
		cid_result_bar(r, '<', bar);
	return 0;
}

/* The log as full as it gets before it is made a run. */
static int fill_log(const struct cid_bench *b, struct cidstore *s)
{
	struct cidstore_stats st;
	struct cid_load *l = calloc(1, sizeof(*l));
	int rc = -1;

	cidstore_stats(s, &st);
	if (l != NULL) {
		l->pair = cid_stream_new;
		l->arg = b;
		l->from = FIRST_NEW << 1;
		l->n = st.log_records / 2 - st.log_records / 16;
		rc = cid_bench_load(b, s, l);
	}
	free(l);
	return rc;
}

static int asking(struct cid_bench *b, struct cidstore *s, struct cid_result *r)
{
	double own[TURNS], other[TURNS], ratio[TURNS];
	struct cid_reads *g = calloc(1, sizeof(*g));
	struct cidstore_error err;
	struct cidstore *f;
	int rc = g == NULL ? -1 : cidstore_open(b->store, CIDSTORE_RDONLY, &f, &err);

	if (rc != 0) {
		cid_report("%s", g == NULL ? "out of memory" : err.message);
		free(g);
		return -1;
	}
	/* The first round warms both. */
	for (int turn = -1; rc == 0 && turn < TURNS; turn++) {
		int at = turn < 0 ? 0 : turn;

		rc = cid_bench_read(b, s, false, 1, b->lookups, b->seconds, g);
		own[at] = 1e9 / g->rate;
		if (rc == 0)
			rc = cid_bench_read(b, f, false, 1, b->lookups, b->seconds, g);
		other[at] = 1e9 / g->rate;
		ratio[at] = other[at] / own[at];
	}
	if (rc == 0) {
		cid_result_add(r, "writer_hit", median(own, TURNS), "ns");
		cid_result_add(r, "follower_hit", median(other, TURNS), "ns");
		cid_result_add(r, "follower_of_writer", median(ratio, TURNS), "");
		cid_result_bar(r, '<', 1.2);
	}
	free(g);
	return cid_bench_close(f) != 0 ? -1 : rc;
}

static int measure(struct cid_bench *b, struct shared *x, const pid_t *reader,
		   struct cid_result *r)
{
	struct cidstore *s;
	int rc;

	if (cid_bench_loaded(b, &s) != 0)
		return -1;
	rc = asking(b, s, r);
	if (rc == 0)
		rc = starting(b, r, "start", 5);
	/* From here on the store is changed. */
	if (rc == 0 && !b->reuse)
		rc = fill_log(b, s);
	if (rc == 0 && !b->reuse)
		rc = starting(b, r, "start_full_log", 0);
	if (rc == 0 && !b->reuse)
		rc = writing(b, s, x, reader, r);
	if (rc == 0 && x->wrong) {
		cid_report("%llu answers of readers were wrong", (unsigned long long)x->wrong);
		rc = -1;
	}
	return cid_bench_close(s) != 0 ? -1 : rc;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct shared *x =
		mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t reader[READERS] = { 0 };
	int rc = 0;

	if (x == MAP_FAILED)
		return cid_bench_check(CIDSTORE_ENOMEM, "shared page");
	/* Before this process has threads. */
	fflush(NULL);
	for (unsigned i = 0; i < READERS; i++) {
		reader[i] = fork();
		if (reader[i] == 0)
			be_reader(b, x, i);
		if (reader[i] < 0)
			rc = cid_bench_check(CIDSTORE_ENOMEM, "fork");
	}
	if (rc == 0)
		rc = measure(b, x, reader, r);
	enter(x, GONE);
	for (unsigned i = 0; i < READERS; i++)
		if (reader[i] > 0)
			(void)waitpid(reader[i], NULL, 0);
	munmap(x, sizeof(*x));
	return rc;
}

const struct cid_bench_run cid_bench_readers = {
	"readers", "readers in other processes: what they cost the writer, and themselves",
	10000000,  1,
	0,	   run
};
