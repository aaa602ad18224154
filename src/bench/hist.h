/* SPDX-License-Identifier: BSD-2-Clause */
/* hist.h - latencies: 32 classes for each power of two, so 3 % wide at most */
#ifndef CID_BENCH_HIST_H
#define CID_BENCH_HIST_H

#include <stdint.h>

#define CID_HIST_CLASSES 2048u

struct cid_hist {
	uint64_t count[CID_HIST_CLASSES];
	uint64_t n;
	double sum, max; /* ns */
};

static inline void cid_hist_add(struct cid_hist *h, double ns)
{
	uint64_t x = ns > 0 ? (uint64_t)ns : 0;
	unsigned e;

	h->n++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
	if (x < 32) {
		h->count[x]++;
		return;
	}
	e = 63u - (unsigned)__builtin_clzll(x);
	h->count[(e - 4) * 32 + (x >> (e - 5) & 31)]++;
}

void cid_hist_merge(struct cid_hist *to, const struct cid_hist *from);
/* The value below which a part q of all lies; 0 when there are none. */
double cid_hist_at(const struct cid_hist *h, double q);
double cid_hist_mean(const struct cid_hist *h);

#endif
