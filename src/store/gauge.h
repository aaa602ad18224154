/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gauge.h - what is measured of a store at work
 *
 * Paths that are taken a million times a second only add to numbers of their
 * own: writers under the lock they hold anyway, readers once in many lookups,
 * each to one of several blocks. A clock is asked once a bulk piece, once in
 * CID_GAUGE_FEW single changes and once in CID_GAUGE_READS lookups; whoever
 * finds the writers' lock taken is always timed. Who counts a share of the calls
 * gives each the weight of those it left out.
 *
 * Several times a second the numbers are taken (cid_gauge_take): the difference
 * to the time before is a window, from which figures for people and decisions
 * (tune.h) are made.
 */
#ifndef CID_STORE_GAUGE_H
#define CID_STORE_GAUGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CID_GAUGE_CLASSES = 128, /* four for each power of two, from 64 ns on */
	CID_GAUGE_BLOCKS = 16,
	CID_GAUGE_MANY = 64, /* changes in one go from which they are bulk */
	CID_GAUGE_FEW = 64,
	CID_GAUGE_READS = 256
};

/* Latencies; only differences between two moments mean something. */
struct cid_spread {
	_Alignas(64) _Atomic uint32_t count[CID_GAUGE_CLASSES];
};

struct cid_gauge {
	/* written under `write`, read by anyone; [1]: bulk pieces */
	_Atomic uint64_t turns[2];  /* the lock was taken for changes */
	_Atomic uint64_t waited[2]; /* and was not free */
	_Atomic uint64_t failed;    /* calls that the store had to refuse */
	struct cid_spread change;
	/* by those who sync */
	_Atomic uint64_t sync_calls, sync_call_ns; /* that had to wait for one */
	struct cid_spread sync;
	struct cid_spread read[CID_GAUGE_BLOCKS];
};

static inline unsigned cid_gauge_class(uint64_t ns)
{
	unsigned e, c;

	if (ns < 64)
		return 0;
	e = 63u - (unsigned)__builtin_clzll(ns);
	c = (e - 6) * 4 + (unsigned)(ns >> (e - 2) & 3);
	return c < CID_GAUGE_CLASSES ? c : CID_GAUGE_CLASSES - 1;
}

/* The largest latency of a class. */
static inline uint64_t cid_gauge_value(unsigned c)
{
	return ((4ull + (c & 3) + 1) << (c / 4 + 4)) - 1;
}

/* By one thread at a time; by any. */
static inline void cid_gauge_add_own(struct cid_spread *s, uint64_t ns, uint32_t weight)
{
	_Atomic uint32_t *p = &s->count[cid_gauge_class(ns)];

	atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + weight,
			      memory_order_relaxed);
}
static inline void cid_gauge_add(struct cid_spread *s, uint64_t ns, uint32_t weight)
{
	atomic_fetch_add_explicit(&s->count[cid_gauge_class(ns)], weight, memory_order_relaxed);
}
static inline void cid_gauge_read(struct cid_gauge *g, unsigned slot, uint64_t ns, uint32_t weight)
{
	cid_gauge_add(&g->read[slot % CID_GAUGE_BLOCKS], ns, weight);
}

/* ---- windows ---- */

enum cid_gauge_kind { CID_GAUGE_CHANGE, CID_GAUGE_SYNC, CID_GAUGE_READ, CID_GAUGE_KINDS };

/* What the store counts besides, since it was opened. */
struct cid_gauge_totals {
	uint64_t changes, reads, syncs, sync_ns, errors;
};

/* What happened in a time; the clock is monotonic. */
struct cid_gauge_window {
	uint64_t now, ns; /* its end, its length */
	struct cid_gauge_totals n;
	uint64_t turns[2], waited[2];
	uint64_t failed, sync_calls, sync_call_ns;
	uint64_t p99[CID_GAUGE_KINDS]; /* ns; 0: no calls */
};

/* Of the last second or so: recent windows count more. */
struct cid_gauge_figures {
	uint64_t p99[CID_GAUGE_KINDS], p99_all; /* ns */
	uint64_t ops;				/* a second */
	uint64_t contention, errors;		/* in millionths */
};

/* Who takes the numbers; one at a time. Zeroed, but for the time at which it
 * begins. */
struct cid_gauge_taker {
	uint64_t at; /* the last window's end */
	struct cid_gauge_totals then;
	uint64_t turns[2], waited[2], failed, sync_calls, sync_call_ns;
	uint32_t count[CID_GAUGE_KINDS][CID_GAUGE_CLASSES];
	/* sums that fade, in sixteenths */
	uint64_t recent[CID_GAUGE_KINDS][CID_GAUGE_CLASSES];
	uint64_t recent_ns, recent_ops, recent_turns, recent_waited, recent_calls, recent_failed;
};

void cid_gauge_take(struct cid_gauge_taker *t, const struct cid_gauge *g,
		    const struct cid_gauge_totals *n, uint64_t now, struct cid_gauge_window *w,
		    struct cid_gauge_figures *f);

#endif
