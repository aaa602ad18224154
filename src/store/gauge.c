/* SPDX-License-Identifier: BSD-2-Clause */
/* gauge.c - counters into windows and figures */
#include "store/gauge.h"

#include <string.h>

/* An eighth fades with each window. */
static void fade(uint64_t *recent, uint64_t now)
{
	*recent = *recent * 7 / 8 + now * 16;
}

static uint64_t p99(const uint64_t count[CID_GAUGE_CLASSES])
{
	uint64_t all = 0, seen = 0;

	for (unsigned c = 0; c < CID_GAUGE_CLASSES; c++)
		all += count[c];
	for (unsigned c = 0; c < CID_GAUGE_CLASSES; c++) {
		seen += count[c];
		if (all && seen * 100 >= all * 99)
			return cid_gauge_value(c);
	}
	return 0;
}

static uint64_t since(uint64_t *then, uint64_t now)
{
	uint64_t d = now - *then;

	*then = now;
	return d;
}

/* New counts of a kind, summed over the blocks in which they stand. */
static void take_spread(struct cid_gauge_taker *t, enum cid_gauge_kind k,
			const struct cid_spread *s, unsigned blocks, uint64_t out[])
{
	for (unsigned c = 0; c < CID_GAUGE_CLASSES; c++) {
		uint32_t now = 0;

		for (unsigned i = 0; i < blocks; i++)
			now += atomic_load_explicit(&s[i].count[c], memory_order_relaxed);
		out[c] = (uint32_t)(now - t->count[k][c]);
		t->count[k][c] = now;
	}
}

static void take_latencies(struct cid_gauge_taker *t, const struct cid_gauge *g,
			   struct cid_gauge_window *w, struct cid_gauge_figures *f)
{
	uint64_t now[CID_GAUGE_CLASSES], all[CID_GAUGE_CLASSES] = { 0 };

	for (int k = 0; k < CID_GAUGE_KINDS; k++) {
		take_spread(t, (enum cid_gauge_kind)k,
			    k == CID_GAUGE_CHANGE ? &g->change
			    : k == CID_GAUGE_SYNC ? &g->sync
						  : g->read,
			    k == CID_GAUGE_READ ? CID_GAUGE_BLOCKS : 1, now);
		w->p99[k] = p99(now);
		for (unsigned c = 0; c < CID_GAUGE_CLASSES; c++) {
			fade(&t->recent[k][c], now[c]);
			all[c] += t->recent[k][c];
		}
		f->p99[k] = p99(t->recent[k]);
	}
	f->p99_all = p99(all);
}

static uint64_t millionths(uint64_t part, uint64_t all)
{
	return all ? (uint64_t)((unsigned __int128)part * 1000000 / all) : 0;
}

void cid_gauge_take(struct cid_gauge_taker *t, const struct cid_gauge *g,
		    const struct cid_gauge_totals *n, uint64_t now, struct cid_gauge_window *w,
		    struct cid_gauge_figures *f)
{
	w->now = now;
	w->ns = since(&t->at, now);
	w->n.changes = since(&t->then.changes, n->changes);
	w->n.reads = since(&t->then.reads, n->reads);
	w->n.syncs = since(&t->then.syncs, n->syncs);
	w->n.sync_ns = since(&t->then.sync_ns, n->sync_ns);
	w->n.errors = since(&t->then.errors, n->errors);
	for (int i = 0; i < 2; i++) {
		w->turns[i] = since(&t->turns[i], g->turns[i]);
		w->waited[i] = since(&t->waited[i], g->waited[i]);
	}
	w->failed = since(&t->failed, g->failed);
	w->sync_calls = since(&t->sync_calls, g->sync_calls);
	w->sync_call_ns = since(&t->sync_call_ns, g->sync_call_ns);
	take_latencies(t, g, w, f);
	fade(&t->recent_ns, w->ns);
	fade(&t->recent_ops, w->n.changes + w->n.reads);
	fade(&t->recent_turns, w->turns[0] + w->turns[1]);
	fade(&t->recent_waited, w->waited[0] + w->waited[1]);
	fade(&t->recent_calls, w->turns[0] + w->turns[1] + w->n.reads + w->sync_calls);
	fade(&t->recent_failed, w->failed + w->n.errors);
	f->ops = t->recent_ns
			 ? (uint64_t)((unsigned __int128)t->recent_ops * 1000000000 / t->recent_ns)
			 : 0;
	f->contention = millionths(t->recent_waited, t->recent_turns);
	/* Maintenance fails without a call. */
	f->errors =
		millionths(t->recent_failed,
			   t->recent_calls > t->recent_failed ? t->recent_calls : t->recent_failed);
}
