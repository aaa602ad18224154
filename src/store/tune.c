/* SPDX-License-Identifier: BSD-2-Clause */
/* tune.c - decisions out of windows */
#include "store/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define S  1000000000ull
#define MS 1000000ull
#define US 1000ull

enum {
	ENOUGH = 8,    /* events in a window that say anything */
	CROWDED = 200, /* of a thousand single changes wait: pieces are too large */
	CLEAR = 50,    /* so few: they may grow */
	CROWDED_WINDOWS = 2,
	CLEAR_WINDOWS = 16,
	SHARE_CALLERS = 25, /* callers at once, in tenths, from which sharing helps */
	ALONE_CALLERS = 15,
	SHARE_WINDOWS = 2,
	ALONE_WINDOWS = 2,
	SHARE_PART = 10, /* of the time of a sync is waited for others */
	TRIAL_WINDOWS = 8,
	TRIAL_PERCENT = 75, /* less than so much of the rate before is a failure */
	NEED_MOST = 32,
	SLOW_WINDOWS = 3,
	WRONG_MOST = 3,	 /* in WRONG_NS */
	MOVES_MOST = 12, /* in MOVES_NS */
	ERRORS_PERMILLE = 1
};

#define SHARE_NS   (800 * US) /* a sync that takes so long is worth sharing */
#define QUICK_NS   (500 * US) /* one that takes less is not */
#define SLOW_NS	   (1 * S)    /* no call should take so long */
#define CALM_NS	   (30 * S)   /* a value that kept for so long moves as soon as at first */
#define WRONG_NS   (120 * S)
#define MOVES_NS   (10 * S)
#define PAUSE_NS   (10 * S)
#define PAUSE_MOST (600 * S)

void cid_tuner_init(struct cid_tuner *t, uint64_t batch, uint64_t interval)
{
	memset(t, 0, sizeof(*t));
	t->user[CID_TUNE_BATCH] = t->value[CID_TUNE_BATCH] = batch;
	t->user[CID_TUNE_INTERVAL] = t->value[CID_TUNE_INTERVAL] = interval;
	for (int k = 0; k < CID_TUNE_KNOBS; k++)
		t->course[k].need = 1;
	t->trial.pause = t->breaker.pause = PAUSE_NS;
}

/* A step's decisions. */
struct list {
	struct cid_tune_decision *d;
	unsigned n;
};

static struct cid_tune_decision *decide(struct list *l, enum cid_tune_reason reason)
{
	struct cid_tune_decision *d = &l->d[l->n++];

	memset(d, 0, sizeof(*d));
	d->reason = reason;
	return d;
}

static void move(struct cid_tuner *t, struct list *l, uint64_t now, enum cid_tune_knob k,
		 uint64_t to, enum cid_tune_reason reason, uint64_t figure)
{
	struct cid_tune_course *c = &t->course[k];
	struct cid_tune_decision *d;
	int way = to > t->value[k] ? 1 : -1;

	if (now - c->moved >= CALM_NS)
		c->need = 1;
	else if (c->last && c->last != way && c->need < NEED_MOST)
		c->need *= 2;
	c->last = way;
	c->moved = now;
	c->up = c->down = 0;
	d = decide(l, reason);
	d->knob = k;
	d->from = t->value[k];
	d->to = t->value[k] = to;
	d->figure = figure;
	if (now - t->breaker.moves_at >= MOVES_NS) {
		t->breaker.moves_at = now;
		t->breaker.moves = 0;
	}
	t->breaker.moves++;
}

/* Counts windows in a row; true where there are enough. */
static bool insists(unsigned *run, bool asks, unsigned windows, const struct cid_tune_course *c)
{
	*run = asks ? *run + 1 : 0;
	return *run >= windows * c->need;
}

/* ---- batch_size ---- */

static void tune_batch(struct cid_tuner *t, const struct cid_gauge_window *w, struct list *l)
{
	struct cid_tune_course *c = &t->course[CID_TUNE_BATCH];
	uint64_t v = t->value[CID_TUNE_BATCH], user = t->user[CID_TUNE_BATCH];
	uint64_t most = user > CID_TUNE_BATCH_MOST ? user : CID_TUNE_BATCH_MOST;
	bool single = w->turns[0] >= ENOUGH;
	uint64_t share = w->turns[0] ? w->waited[0] * 1000 / w->turns[0] : 0;
	bool less, more;

	/* Without bulk a window says nothing. */
	if (w->turns[1] < ENOUGH)
		return;
	less = insists(&c->down, single && share >= CROWDED, CROWDED_WINDOWS, c);
	more = insists(&c->up, !single || share < CLEAR, CLEAR_WINDOWS, c);
	if (less && v > CID_TUNE_BATCH_LEAST) {
		v = v / 16 > CID_TUNE_BATCH_LEAST ? v / 16 : CID_TUNE_BATCH_LEAST;
		move(t, l, w->now, CID_TUNE_BATCH, v, CID_TUNE_CROWDED, share);
	} else if (more && v < most) {
		v = v * 2 < most ? v * 2 : most;
		move(t, l, w->now, CID_TUNE_BATCH, v, CID_TUNE_CLEAR, share);
	}
}

/* ---- flush_interval_us ---- */

static void begin_trial(struct cid_tuner *t, uint64_t from)
{
	t->trial.left = TRIAL_WINDOWS;
	t->trial.before = t->asking.calls * S / (t->asking.ns + 1);
	t->trial.calls = t->trial.ns = 0;
	t->trial.from = from;
}

/* True where it is over and failed. */
static bool judge_trial(struct cid_tuner *t, const struct cid_gauge_window *w, uint64_t callers)
{
	if (!t->trial.left)
		return false;
	/* Who left makes nothing worse. */
	if (callers < SHARE_CALLERS) {
		t->trial.left = 0;
		return false;
	}
	t->trial.calls += w->sync_calls;
	t->trial.ns += w->ns;
	if (--t->trial.left)
		return false;
	return t->trial.calls * S / (t->trial.ns + 1) * 100 < t->trial.before * TRIAL_PERCENT;
}

static void count_wrong(struct cid_tuner *t, uint64_t now)
{
	t->trial.not_until = now + t->trial.pause;
	t->trial.pause = t->trial.pause * 2 < PAUSE_MOST ? t->trial.pause * 2 : PAUSE_MOST;
	if (now - t->breaker.wrong_at >= WRONG_NS) {
		t->breaker.wrong_at = now;
		t->breaker.wrong = 0;
	}
	t->breaker.wrong++;
}

static uint64_t clamp(uint64_t v, uint64_t least, uint64_t most)
{
	return v < least ? least : v > most ? most : v;
}

static void tune_interval(struct cid_tuner *t, const struct cid_gauge_window *w, struct list *l)
{
	struct cid_tune_course *c = &t->course[CID_TUNE_INTERVAL];
	uint64_t v = t->value[CID_TUNE_INTERVAL], to;
	uint64_t callers = w->ns ? w->sync_call_ns * 10 / w->ns : 0;
	uint64_t each = w->n.syncs ? w->n.sync_ns / w->n.syncs : 0;
	bool known = w->sync_calls >= ENOUGH && w->n.syncs;
	bool alone = known && (callers < ALONE_CALLERS || each < QUICK_NS);
	bool share = known && callers >= SHARE_CALLERS && each >= SHARE_NS &&
		     w->now >= t->trial.not_until;
	bool less, more;

	to = clamp(each / SHARE_PART / US, CID_TUNE_INTERVAL_LEAST, CID_TUNE_INTERVAL_MOST);
	/* Within a factor of two it is good enough. */
	share = share && (to > v * 2 || v > to * 2);
	less = insists(&c->down, alone && v > 0, ALONE_WINDOWS, c);
	more = insists(&c->up, share, SHARE_WINDOWS, c);
	t->asking.calls = share ? t->asking.calls + w->sync_calls : 0;
	t->asking.ns = share ? t->asking.ns + w->ns : 0;
	if (judge_trial(t, w, callers)) {
		move(t, l, w->now, CID_TUNE_INTERVAL, t->trial.from, CID_TUNE_WORSE,
		     t->trial.before);
		count_wrong(t, w->now);
	} else if (less) {
		t->trial.left = 0;
		move(t, l, w->now, CID_TUNE_INTERVAL, 0, CID_TUNE_ALONE, callers);
	} else if (more && !t->trial.left) {
		begin_trial(t, v);
		move(t, l, w->now, CID_TUNE_INTERVAL, to, CID_TUNE_SHARE, each / US);
	}
}

/* ---- the breaker ---- */

static bool trips(struct cid_tuner *t, const struct cid_gauge_window *w, enum cid_tune_why *why)
{
	uint64_t failed = w->failed + w->n.errors;
	uint64_t calls = w->turns[0] + w->turns[1] + w->sync_calls;
	bool slow = w->p99[CID_GAUGE_CHANGE] >= SLOW_NS || w->p99[CID_GAUGE_SYNC] >= SLOW_NS;
	bool moved = false;

	for (int k = 0; k < CID_TUNE_KNOBS; k++)
		moved |= t->value[k] != t->user[k];
	/* A slow disk alone is no reason. */
	t->breaker.slow = slow && moved ? t->breaker.slow + 1 : 0;
	if (failed && failed * 1000 >= (calls + failed) * ERRORS_PERMILLE)
		*why = CID_TUNE_ERRORS;
	else if (t->breaker.slow >= SLOW_WINDOWS)
		*why = CID_TUNE_SLOW;
	else if (t->breaker.wrong >= WRONG_MOST)
		*why = CID_TUNE_WRONG;
	else if (t->breaker.moves >= MOVES_MOST)
		*why = CID_TUNE_RESTLESS;
	else
		return false;
	return true;
}

static void trip(struct cid_tuner *t, uint64_t now, enum cid_tune_why why, struct list *l)
{
	l->n = 0; /* what this window gave reason for does not happen */
	decide(l, CID_TUNE_TRIPPED)->why = why;
	for (int k = 0; k < CID_TUNE_KNOBS; k++) {
		t->value[k] = t->user[k];
		t->course[k] = (struct cid_tune_course){ .need = 1 };
	}
	t->trial.left = 0;
	t->breaker.slow = t->breaker.wrong = t->breaker.moves = 0;
	/* One that stayed closed for long begins anew. */
	if (now - t->breaker.opened >= 2 * PAUSE_MOST)
		t->breaker.pause = PAUSE_NS;
	t->breaker.open = true;
	t->breaker.opened = now;
	t->breaker.until = now + t->breaker.pause;
	t->breaker.pause = t->breaker.pause * 2 < PAUSE_MOST ? t->breaker.pause * 2 : PAUSE_MOST;
}

unsigned cid_tuner_step(struct cid_tuner *t, const struct cid_gauge_window *w,
			struct cid_tune_decision out[CID_TUNE_DECISIONS])
{
	struct list l = { out, 0 };
	enum cid_tune_why why;

	if (t->breaker.open) {
		if (w->now < t->breaker.until)
			return 0;
		t->breaker.open = false;
		decide(&l, CID_TUNE_CLOSED);
	}
	if (trips(t, w, &why)) {
		trip(t, w->now, why, &l);
		return l.n;
	}
	tune_batch(t, w, &l);
	tune_interval(t, w, &l);
	return l.n;
}

/* ---- words ---- */

static const char *const knob_name[] = {
	[CID_TUNE_BATCH] = "batch_size",
	[CID_TUNE_INTERVAL] = "flush_interval_us",
};

static const char *const why_text[] = {
	[CID_TUNE_ERRORS] = "calls failed",
	[CID_TUNE_SLOW] = "calls took longer than a second",
	[CID_TUNE_WRONG] = "too many decisions were taken back",
	[CID_TUNE_RESTLESS] = "too many decisions in a short time",
};

void cid_tune_describe(const struct cid_tune_decision *d, char *out, size_t cap)
{
	char what[80];
	uint64_t f = d->figure;

	snprintf(what, sizeof(what), "autotune: %s from %" PRIu64 " to %" PRIu64,
		 knob_name[d->knob], d->from, d->to);
	switch (d->reason) {
	case CID_TUNE_CROWDED:
		snprintf(out, cap, "%s: %" PRIu64 " of 1000 single changes waited for bulk ones",
			 what, f);
		break;
	case CID_TUNE_CLEAR:
		snprintf(out, cap,
			 "%s: only %" PRIu64 " of 1000 single changes waited for bulk ones", what,
			 f);
		break;
	case CID_TUNE_SHARE:
		snprintf(out, cap, "%s: several wait for syncs that take %" PRIu64 " us", what, f);
		break;
	case CID_TUNE_ALONE:
		snprintf(out, cap,
			 "%s: %" PRIu64 ".%" PRIu64 " callers wait at once, or syncs are quick",
			 what, f / 10, f % 10);
		break;
	case CID_TUNE_WORSE:
		snprintf(out, cap,
			 "%s: fewer syncs were answered than before, %" PRIu64 " a second", what,
			 f);
		break;
	case CID_TUNE_TRIPPED:
		snprintf(out, cap, "autotune: back to what is set, as %s", why_text[d->why]);
		break;
	case CID_TUNE_CLOSED:
		snprintf(out, cap, "autotune: goes on");
		break;
	}
}

/* ---- in a store ---- */

void cid_tune_reset(struct cidstore *s)
{
	pthread_mutex_lock(&s->tune.lock);
	s->tune.on = false;
	for (int k = 0; k < CID_TUNE_KNOBS; k++)
		s->tune.value[k] = 0;
	pthread_mutex_unlock(&s->tune.lock);
}

static void decide_now(struct cidstore *s, const struct cid_gauge_window *w)
{
	struct cid_tune_decision d[CID_TUNE_DECISIONS];
	struct cid_tuner *t = &s->tune.tuner;
	unsigned n;
	char line[200];

	if (!s->tune.on) {
		cid_tuner_init(t, cid_cfg(s, CID_CFG_BATCH_SIZE),
			       cid_cfg(s, CID_CFG_FLUSH_INTERVAL_US));
		s->tune.on = true;
	}
	n = cid_tuner_step(t, w, d);
	for (int k = 0; k < CID_TUNE_KNOBS; k++)
		s->tune.value[k] = t->value[k] == t->user[k] ? 0 : t->value[k] + 1;
	for (unsigned i = 0; i < n; i++) {
		s->tune.decisions++;
		s->tune.trips += d[i].reason == CID_TUNE_TRIPPED;
		if (!s->tune.say)
			continue;
		cid_tune_describe(&d[i], line, sizeof(line));
		s->tune.say(s->tune.say_arg, line);
	}
}

static void totals(struct cidstore *s, struct cid_gauge_totals *n)
{
	n->changes = s->c.inserts + s->c.deletes + s->c.mkkeys + s->c.rmkeys;
	n->reads = cid_ebr_entered(&s->ebr);
	n->errors = s->c.errors + s->t.corrupt;
	pthread_mutex_lock(&s->wal.lock);
	n->syncs = s->wal.syncs;
	n->sync_ns = s->wal.sync_ns;
	pthread_mutex_unlock(&s->wal.lock);
}

void cid_tune_look(struct cidstore *s)
{
	struct cid_gauge_totals n;
	struct cid_gauge_window w;
	uint64_t now = s->io->monotonic(s->io->self);

	pthread_mutex_lock(&s->tune.lock);
	/* Another may have come meanwhile, with a later time. */
	if (s->wal.map && now >= s->tune.taker.at + CID_TUNE_WINDOW_MS * MS) {
		totals(s, &n);
		cid_gauge_take(&s->tune.taker, &s->gauge, &n, now, &w, &s->tune.figures);
		if (cid_cfg(s, CID_CFG_AUTOTUNE) && !s->readonly)
			decide_now(s, &w);
	}
	pthread_mutex_unlock(&s->tune.lock);
}

void cid_tune_figures(struct cidstore *s, struct cid_gauge_figures *out)
{
	if (!s->threads)
		cid_tune_look(s);
	pthread_mutex_lock(&s->tune.lock);
	*out = s->tune.figures;
	pthread_mutex_unlock(&s->tune.lock);
}

void cidstore_log(struct cidstore *s, void (*say)(void *arg, const char *line), void *arg)
{
	pthread_mutex_lock(&s->tune.lock);
	s->tune.say = say;
	s->tune.say_arg = arg;
	pthread_mutex_unlock(&s->tune.lock);
}
