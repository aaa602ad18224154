/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/hist.h"

void cid_hist_merge(struct cid_hist *to, const struct cid_hist *from)
{
	for (unsigned i = 0; i < CID_HIST_CLASSES; i++)
		to->count[i] += from->count[i];
	to->n += from->n;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
}

double cid_hist_at(const struct cid_hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;

	for (unsigned i = 0; i < CID_HIST_CLASSES; i++) {
		double v = i;

		seen += h->count[i];
		if (seen <= want)
			continue;
		if (i >= 32) /* the middle of the class */
			v = (double)((32ull + i % 32) << (i / 32 - 1)) * 1.016;
		return v < h->max ? v : h->max;
	}
	return h->max;
}

double cid_hist_mean(const struct cid_hist *h)
{
	return h->n > 0 ? h->sum / (double)h->n : 0;
}
