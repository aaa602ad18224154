/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/result.h"

#include <stdlib.h>
#include <string.h>
#include "base/array.h"

void cid_result_add(struct cid_result *r, const char *name, double value, const char *unit)
{
	struct cid_figure f = { .value = value };

	if (cid_array_room((void **)&r->figure, r->figures, &r->cap, sizeof(*r->figure))) {
		r->failed = 1;
		return;
	}
	snprintf(f.name, sizeof(f.name), "%s", name);
	snprintf(f.unit, sizeof(f.unit), "%s", unit);
	r->figure[r->figures++] = f;
}

void cid_result_bar(struct cid_result *r, char sense, double bar)
{
	if (r->figures == 0)
		return;
	r->figure[r->figures - 1].sense = sense;
	r->figure[r->figures - 1].bar = bar;
}

void cid_result_hist(struct cid_result *r, const char *name, const struct cid_hist *h, double div,
		     const char *unit)
{
	static const struct {
		const char *name;
		double q;
	} part[] = { { "p50", .5 }, { "p99", .99 }, { "p999", .999 } };
	char s[48];

	snprintf(s, sizeof(s), "%s_mean", name);
	cid_result_add(r, s, cid_hist_mean(h) / div, unit);
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		snprintf(s, sizeof(s), "%s_%s", name, part[i].name);
		cid_result_add(r, s, cid_hist_at(h, part[i].q) / div, unit);
	}
	snprintf(s, sizeof(s), "%s_max", name);
	cid_result_add(r, s, h->max / div, unit);
}

void cid_result_samples(struct cid_result *r, struct cid_watch *w)
{
	free(r->sample);
	r->sample = w->sample;
	r->samples = w->n;
	w->sample = NULL;
	w->n = w->cap = 0;
}

void cid_result_free(struct cid_result *r)
{
	free(r->figure);
	free(r->sample);
	memset(r, 0, sizeof(*r));
}
