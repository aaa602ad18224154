/* SPDX-License-Identifier: BSD-2-Clause */
/* tune.c - the tuner on windows of a made-up machine, and in a store with a made-up clock */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/tap.h"
#include "os/io.h"
#include "store/engine.h"

#define MS 1000000ull
#define S  1000000000ull

/* ---- a machine ---- */

/*
 * A bulk writer whose pieces take 50 ns an operation, single writers beside it,
 * and callers who ask for syncs. It answers as the engine does: the larger the
 * pieces, the more single changes wait; callers share every other sync, or every
 * one when they wait for each other.
 */
struct machine {
	bool bulk;
	unsigned singles; /* a window */
	bool stuck;	  /* half of them wait, whatever the pieces */
	unsigned callers;
	uint64_t sync_us; /* a sync takes */
	uint64_t wait_us; /* callers lose so much more for each us of waiting, in percent */
	unsigned failed;
	uint64_t p99;
};

static struct cid_tuner tuner;
static uint64_t now;
static unsigned decisions, trips;
static struct cid_tune_decision last;

static struct cid_gauge_window window(const struct machine *m)
{
	struct cid_gauge_window w = { .now = now, .ns = 100 * MS };
	uint64_t interval = tuner.value[CID_TUNE_INTERVAL];

	if (m->bulk)
		w.turns[1] = 100 * 1000 * 1000 / 50 / tuner.value[CID_TUNE_BATCH];
	w.turns[0] = m->singles;
	if (m->bulk)
		w.waited[0] =
			m->stuck ? m->singles / 2 : m->singles * tuner.value[CID_TUNE_BATCH] / 2048;
	if (m->callers) {
		uint64_t round =
			m->sync_us + (interval ? interval + interval * m->wait_us / 100 : 0);
		uint64_t each = m->callers == 1 ? 1 : interval ? m->callers : (m->callers + 1) / 2;

		w.n.syncs = 100000 / round;
		w.n.sync_ns = w.n.syncs * m->sync_us * 1000;
		w.sync_calls = w.n.syncs * each;
		w.sync_call_ns = m->callers * w.ns;
	}
	w.failed = m->failed;
	w.p99[CID_GAUGE_CHANGE] = m->p99;
	return w;
}

/* Runs for so many windows; the number of decisions. */
static unsigned run(const struct machine *m, unsigned windows)
{
	unsigned made = 0;

	for (unsigned i = 0; i < windows; i++) {
		struct cid_tune_decision d[CID_TUNE_DECISIONS];
		struct cid_gauge_window w;
		unsigned n;

		now += 100 * MS;
		w = window(m);
		n = cid_tuner_step(&tuner, &w, d);
		for (unsigned k = 0; k < n; k++) {
			last = d[k];
			trips += d[k].reason == CID_TUNE_TRIPPED;
		}
		made += n;
	}
	decisions += made;
	return made;
}

static void begin(uint64_t batch, uint64_t interval)
{
	now = 1000 * S;
	decisions = trips = 0;
	cid_tuner_init(&tuner, batch, interval);
}

static uint64_t batch(void)
{
	return tuner.value[CID_TUNE_BATCH];
}

static uint64_t interval(void)
{
	return tuner.value[CID_TUNE_INTERVAL];
}

static void test_convergence(void)
{
	const struct machine mixed = {
		.bulk = true, .singles = 200, .callers = 8, .sync_us = 1500
	};
	const struct machine alone = { .bulk = true };
	const struct machine quick = { .singles = 500, .callers = 8, .sync_us = 120 };
	const struct machine idle = { 0 };

	begin(1024, 0);
	tap_int(run(&idle, 100), 0, "at rest nothing is decided");
	run(&mixed, 20);
	tap_int(batch(), 128, "pieces shrink until single changes pass");
	tap_int(interval(), 150, "several callers and slow syncs: a tenth of a sync");
	tap_int(run(&mixed, 300), 0, "and stay so while the load does");
	run(&quick, 20);
	tap_int(interval(), 0, "quick syncs are not waited for");
	run(&alone, 200);
	tap_int(batch(), 1024, "bulk alone gets the large pieces again");
	tap_int(run(&alone, 300), 0, "and no larger ones");
	tap_int(trips, 0, "the breaker stayed closed");
}

static void test_bounds(void)
{
	const struct machine crowd = {
		.bulk = true, .singles = 100000, .stuck = true, .callers = 50, .sync_us = 90000
	};
	const struct machine alone = { .bulk = true, .callers = 1, .sync_us = 90000 };
	bool held = true;

	begin(4096, 5000);
	for (int i = 0; i < 600; i++) {
		run(i / 50 % 2 ? &alone : &crowd, 1);
		held = held && batch() >= CID_TUNE_BATCH_LEAST && batch() <= 4096 &&
		       interval() <= 5000;
	}
	tap_ok(held, "no value leaves its bounds, whatever the load");
	begin(100, 0);
	run(&crowd, 50);
	tap_ok(batch() == CID_TUNE_BATCH_LEAST, "from an odd value down to the least");
	tap_ok(interval() == CID_TUNE_INTERVAL_MOST, "the longest wait for the slowest disk");
	begin(64, 0);
	run(&alone, 400);
	tap_int(batch(), CID_TUNE_BATCH_MOST, "a small setting grows up to the usual one");
}

static void test_hysteresis(void)
{
	const struct machine a = { .bulk = true, .singles = 200, .callers = 4, .sync_us = 900 };
	const struct machine b = { .bulk = true, .callers = 4, .sync_us = 200 };
	struct machine edge = { .bulk = true, .singles = 200, .callers = 4 };
	unsigned early, late;

	/* From window to window between two loads that ask for opposite things. */
	begin(1024, 0);
	for (int i = 0; i < 600; i++)
		run(i % 2 ? &a : &b, 1);
	tap_ok(decisions == 0, "a load that changes with each window decides nothing");
	/* Around a threshold. */
	begin(256, 0);
	for (int i = 0; i < 600; i++) {
		edge.sync_us = i % 7 < 4 ? 780 : 820;
		run(&edge, 1);
	}
	tap_ok(decisions <= 2, "one around a threshold decides hardly anything (%u)", decisions);
	/* A load that turns as soon as the tuner has. */
	begin(1024, 0);
	for (int i = 0; i < 300; i++)
		run(batch() < 1024 ? &b : &a, 1);
	early = decisions;
	for (int i = 0; i < 300; i++)
		run(batch() < 1024 ? &b : &a, 1);
	late = decisions - early;
	tap_ok(late < early && early < 40, "one that chases the tuner tires it: %u, then %u",
	       early, late);
}

static void test_trial(void)
{
	/* Waiting costs four times what it should: it does not pay. */
	const struct machine bad = { .callers = 6, .sync_us = 1000, .wait_us = 2000 };
	unsigned begun = 0;

	begin(1024, 0);
	run(&bad, 4);
	tap_int(interval(), 100, "waiting is tried");
	run(&bad, 12);
	tap_int(interval(), 0, "and taken back where it does not pay");
	tap_int(last.reason, CID_TUNE_WORSE, "for that reason");
	tap_int(run(&bad, 80), 0, "not at once tried again");
	for (int i = 0; i < 1200; i++) { /* two minutes */
		uint64_t v = interval();

		run(&bad, 1);
		begun += v == 0 && interval() > 0;
	}
	tap_ok(begun >= 1 && begun <= 4, "but later, and ever later: %u times in two minutes",
	       begun);
	tap_ok(trips <= 1, "the breaker opened at most once");
}

static void test_breaker(void)
{
	struct machine m = { .bulk = true, .singles = 200, .callers = 8, .sync_us = 1500 };
	uint64_t opened;

	begin(512, 20);
	run(&m, 20);
	tap_ok(batch() == 256 || batch() == 128, "tuned");
	m.failed = 50;
	run(&m, 1);
	tap_int(last.reason, CID_TUNE_TRIPPED, "failures trip the breaker");
	tap_int(last.why, CID_TUNE_ERRORS, "and it says why");
	tap_ok(batch() == 512 && interval() == 20, "what the user set holds again");
	m.failed = 0;
	tap_int(run(&m, 98), 0, "for ten seconds nothing is decided");
	run(&m, 20);
	tap_ok(batch() < 512, "then it goes on");
	m.failed = 50;
	run(&m, 1);
	opened = now;
	m.failed = 0;
	for (int i = 0; i < 1000 && run(&m, 1) == 0; i++)
		;
	tap_int((now - opened) / S, 20, "the second time it stays open twice as long");
	tap_int(trips, 2, "both were counted");
	run(&m, 20);
	m.p99 = 2 * S;
	run(&m, 2);
	tap_int(trips, 2, "two slow windows are chance");
	run(&m, 1);
	tap_int(trips, 3, "three are not");
	tap_int(last.why, CID_TUNE_SLOW, "and it says why");
	begin(1024, 0);
	m = (struct machine){ .p99 = 5 * S };
	tap_int(run(&m, 100), 0, "a slow disk alone is no reason");
	/* One failure in a hundred thousand calls. */
	m = (struct machine){ .singles = 100000, .failed = 1 };
	tap_int(run(&m, 10), 0, "nor is a failure now and then");
}

static void test_words(void)
{
	struct cid_tune_decision d = { .reason = CID_TUNE_CROWDED,
				       .knob = CID_TUNE_BATCH,
				       .from = 1024,
				       .to = 256,
				       .figure = 321 };
	char text[200];
	bool all = true;

	cid_tune_describe(&d, text, sizeof(text));
	tap_str(text,
		"autotune: batch_size from 1024 to 256: 321 of 1000 single changes waited "
		"for bulk ones",
		"a decision in words");
	for (int r = CID_TUNE_CROWDED; r <= CID_TUNE_CLOSED; r++)
		for (int why = CID_TUNE_ERRORS; why <= CID_TUNE_RESTLESS; why++) {
			d.reason = (enum cid_tune_reason)r;
			d.why = (enum cid_tune_why)why;
			text[0] = 0;
			cid_tune_describe(&d, text, sizeof(text));
			all = all && strncmp(text, "autotune: ", 10) == 0 && strlen(text) > 15;
		}
	tap_ok(all, "each reason has words");
}

/* ---- figures ---- */

static void test_gauge(void)
{
	static struct cid_gauge g;
	static struct cid_gauge_taker t;
	struct cid_gauge_totals n = { 0 };
	struct cid_gauge_figures f;
	struct cid_gauge_window w;
	bool close = true;

	for (uint64_t ns = 64; ns < 100 * S; ns += ns / 7) {
		uint64_t v = cid_gauge_value(cid_gauge_class(ns));

		close = close && v >= ns && v < ns + ns / 4 + 1;
	}
	tap_ok(close, "a class is at most a quarter wide, and holds what is put into it");
	tap_ok(cid_gauge_class(0) == 0 && cid_gauge_class(UINT64_MAX) == CID_GAUGE_CLASSES - 1,
	       "and both ends are classes");
	t.at = 5 * S;
	for (int i = 0; i < 980; i++)
		cid_gauge_add_own(&g.change, 1000, 1);
	for (int i = 0; i < 20; i++)
		cid_gauge_add_own(&g.change, 1000000, 1);
	for (unsigned i = 0; i < 100; i++)
		cid_gauge_read(&g, i, 500, CID_GAUGE_READS);
	n.changes = 1000;
	n.reads = 25600;
	g.turns[0] = 900;
	g.waited[0] = 90;
	g.failed = 9;
	cid_gauge_take(&t, &g, &n, 5 * S + 100 * MS, &w, &f);
	tap_int(w.ns, 100 * MS, "a window is as long as it was");
	tap_ok(w.p99[CID_GAUGE_CHANGE] >= 1000000 && w.p99[CID_GAUGE_CHANGE] < 1250000,
	       "two in a hundred are the slow ones");
	tap_ok(f.p99_all >= 500 && f.p99_all < 1250, "of all calls they are fewer than one");
	tap_int(f.p99[CID_GAUGE_SYNC], 0, "no syncs, no latency");
	tap_int(f.ops, 266000, "changes and lookups a second");
	tap_int(f.contention, 100000, "a tenth waited");
	tap_ok(f.errors > 300 && f.errors < 400, "9 of 26,500 calls failed");
	for (int i = 2; i < 12; i++)
		cid_gauge_take(&t, &g, &n, 5 * S + (uint64_t)i * 100 * MS, &w, &f);
	tap_ok(w.p99[CID_GAUGE_CHANGE] == 0 && w.n.changes == 0, "an empty window is empty");
	tap_ok(f.ops > 0 && f.ops < 266000 / 8, "figures fade within a second");
	for (int i = 12; i < 300; i++)
		cid_gauge_take(&t, &g, &n, 5 * S + (uint64_t)i * 100 * MS, &w, &f);
	tap_ok(f.ops == 0 && f.p99_all == 0 && f.contention == 0, "and go in the end");
}

/* ---- in a store ---- */

static uint64_t clock_ns;

static uint64_t fake_clock(void *self)
{
	(void)self;
	return clock_ns;
}

static uint64_t setting(struct cidstore *s, const char *name)
{
	uint64_t v = 0;

	cidstore_config_get(s, name, &v);
	return v;
}

static unsigned lines;

static void on_line(void *arg, const char *line)
{
	*(unsigned *)arg += strncmp(line, "autotune: ", 10) == 0;
}

/* A window in which half of the single changes waited for bulk ones. */
static void crowd(struct cidstore *s)
{
	int more;

	s->gauge.turns[0] += 100;
	s->gauge.waited[0] += 50;
	s->gauge.turns[1] += 100;
	clock_ns += 100 * MS;
	cidstore_step(s, &more);
}

static struct cidstore *open_at(const char *path, const struct cid_io *io)
{
	struct cidstore_error err;
	struct cidstore *s = NULL;

	if (cid_store_open_io(io, path, CIDSTORE_MANUAL | CIDSTORE_CREATE, &s, &err))
		tap_bail("%s", err.message);
	return s;
}

static void test_store(void)
{
	char dir[] = "/tmp/cidstore-tune.XXXXXX", path[100], cmd[140];
	struct cid_io io = cid_io_posix;
	struct cidstore_stats st;
	struct cidstore *s;
	struct cid_root r;
	unsigned bad;

	io.monotonic = fake_clock;
	clock_ns = 77 * S;
	if (!mkdtemp(dir))
		tap_bail("mkdtemp");
	snprintf(path, sizeof(path), "%s/s", dir);
	s = open_at(path, &io);
	for (int i = 0; i < 10; i++)
		crowd(s);
	cidstore_stats(s, &st);
	tap_ok(st.tune_decisions == 0 && st.tuned_batch_size == setting(s, "batch_size"),
	       "off: nothing is decided");
	tap_ok(st.lock_contention_ratio > 200000 && st.lock_contention_ratio < 300000,
	       "and measured all the same");
	cidstore_log(s, on_line, &lines);
	tap_int(cidstore_config_set(s, "autotune", 1), 0, "switched on");
	for (int i = 0; i < 10; i++)
		crowd(s);
	cidstore_stats(s, &st);
	tap_ok(st.tuned_batch_size < 1024, "it moves what is used");
	tap_int(setting(s, "batch_size"), 1024, "not what is set");
	tap_ok(st.tune_decisions > 0 && lines == st.tune_decisions, "each decision is told");
	tap_int(cidstore_config_set(s, "batch_size", 2048), 0, "the user sets another value");
	cidstore_stats(s, &st);
	tap_int(st.tuned_batch_size, 2048, "which holds at once");
	for (int i = 0; i < 10; i++)
		crowd(s);
	cidstore_stats(s, &st);
	tap_ok(st.tuned_batch_size < 2048, "and is where tuning goes on from");
	lines = 0;
	cidstore_log(s, NULL, NULL);
	tap_int(cidstore_checkpoint(s), 0, "a commit while it is on");
	tap_int(cid_root_read(s->io, s->mainfd, &r, &bad, NULL), 0, "the root is read");
	tap_ok(r.config[CID_CFG_BATCH_SIZE] == 0 && r.config[CID_CFG_FLUSH_INTERVAL_US] == 0 &&
		       r.config[CID_CFG_AUTOTUNE] == 0,
	       "none of it is in the root");
	tap_int(cidstore_config_set(s, "autotune", 0), 0, "switched off");
	cidstore_stats(s, &st);
	tap_int(st.tuned_batch_size, 2048, "what the user set holds again");
	tap_int(cidstore_close(s), 0, "closed");
	s = open_at(path, &io);
	cidstore_stats(s, &st);
	tap_ok(st.tuned_batch_size == 1024 && setting(s, "autotune") == 0 && st.tune_decisions == 0,
	       "opened anew it starts from the defaults");
	tap_int(cidstore_close(s), 0, "closed");
	tap_int(lines, 0, "nobody was told after the end");
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	tap_int(system(cmd), 0, "removed");
}

int main(void)
{
	test_convergence();
	test_bounds();
	test_hysteresis();
	test_trial();
	test_breaker();
	test_words();
	test_gauge();
	test_store();
	return tap_done();
}
