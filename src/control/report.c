/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/report.h"

#include <inttypes.h>
#include "control/figures.h"


int cid_show_version(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		     struct cid_text *out)
{
	(void)c;
	(void)node;
	(void)name;
	cid_text_printf(out, "%s\n", cidstore_version());
	return 0;
}

int cid_show_health(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		    struct cid_text *out)
{
	struct cidstore_stats s;

	(void)node;
	(void)name;
	cidstore_stats(c->store, &s);
	cid_text_printf(out, "%s\n", s.failed ? "failed" : s.corrupt_units ? "damaged" : "ok");
	return 0;
}

int cid_show_ready(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		   struct cid_text *out)
{
	struct cidstore_stats s;

	(void)node;
	(void)name;
	cidstore_stats(c->store, &s);
	cid_text_printf(out, "%d\n", !s.failed);
	return 0;
}

int cid_show_durable_seq(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
			 struct cid_text *out)
{
	(void)node;
	(void)name;
	cid_text_printf(out, "%" PRIu64 "\n", cidstore_durable_seq(c->store));
	return 0;
}

int cid_show_last_seq(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		      struct cid_text *out)
{
	(void)node;
	(void)name;
	cid_text_printf(out, "%" PRIu64 "\n", cidstore_last_seq(c->store));
	return 0;
}

int cid_show_stats(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		   struct cid_text *out)
{
	struct cid_figures f;

	(void)node;
	(void)name;
	cid_figures_take(c, &f);
	for (size_t i = 0; i < cid_figures_count; i++)
		cid_text_row(out, cid_figures[i].name, cid_figure_value(&cid_figures[i], &f));
	return 0;
}

static void describe(struct cid_text *out, const char *metric, const char *type, const char *help)
{
	cid_text_printf(out, "# HELP cidstore_%s %s\n# TYPE cidstore_%s %s\n", metric, help, metric,
			type);
}

/* Metrics have seconds, and ratios from 0 to 1. */
static int decimals(enum cid_figure_kind kind)
{
	switch (kind) {
	case CID_FIGURE_GAUGE_NS:
	case CID_FIGURE_COUNTER_NS:
		return 9;
	case CID_FIGURE_GAUGE_US:
	case CID_FIGURE_GAUGE_RATIO:
		return 6;
	case CID_FIGURE_GAUGE_MS:
		return 3;
	case CID_FIGURE_GAUGE:
	case CID_FIGURE_COUNTER:
		break;
	}
	return 0;
}

/* The Prometheus text format, version 0.0.4. */
int cid_show_metrics(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		     struct cid_text *out)
{
	struct cid_figures f;

	(void)node;
	(void)name;
	cid_figures_take(c, &f);
	describe(out, "build_info", "gauge", "1, labelled with the version.");
	cid_text_printf(out, "cidstore_build_info{version=\"%s\"} 1\n", cidstore_version());
	for (size_t i = 0; i < cid_figures_count; i++) {
		const struct cid_figure *row = &cid_figures[i];
		bool counter =
			row->kind == CID_FIGURE_COUNTER || row->kind == CID_FIGURE_COUNTER_NS;
		uint64_t v = cid_figure_value(row, &f), unit = 1;
		int digits = decimals(row->kind);

		for (int k = 0; k < digits; k++)
			unit *= 10;
		describe(out, row->metric, counter ? "counter" : "gauge", row->help);
		if (digits)
			cid_text_printf(out, "cidstore_%s %" PRIu64 ".%0*" PRIu64 "\n", row->metric,
					v / unit, digits, v % unit);
		else
			cid_text_printf(out, "cidstore_%s %" PRIu64 "\n", row->metric, v);
	}
	return 0;
}
