/* SPDX-License-Identifier: BSD-2-Clause */
/* figures.h - every number of stats and metrics, in one table */
#ifndef CID_CONTROL_FIGURES_H
#define CID_CONTROL_FIGURES_H

#include <stddef.h>
#include "control/tree.h"

/* One moment's numbers; nothing but uint64_t. */
struct cid_figures {
	struct cidstore_stats store;
	struct {
		uint64_t ingest_records, ingest_torn;
		uint64_t batch_commits, batch_ops, batch_errors, batch_dropped;
		uint64_t lookup_keys;
		uint64_t export_pairs, export_keys;
		uint64_t import_pairs, import_keys, import_blocks, import_errors;
		uint64_t open_files;
	} control;
};

enum cid_figure_kind {
	CID_FIGURE_GAUGE,
	CID_FIGURE_COUNTER,
	CID_FIGURE_GAUGE_NS, /* nanoseconds; seconds in metrics */
	CID_FIGURE_COUNTER_NS,
	CID_FIGURE_GAUGE_US,
	CID_FIGURE_GAUGE_MS,
	CID_FIGURE_GAUGE_RATIO /* millionths; from 0 to 1 in metrics */
};

struct cid_figure {
	const char *name; /* in stats */
	size_t offset;	  /* in struct cid_figures */
	enum cid_figure_kind kind;
	const char *metric; /* behind "cidstore_" */
	const char *help;
};

extern const struct cid_figure cid_figures[];
extern const size_t cid_figures_count;

void cid_figures_take(struct cid_control *c, struct cid_figures *out);
static inline uint64_t cid_figure_value(const struct cid_figure *row, const struct cid_figures *f)
{
	return *(const uint64_t *)(const void *)((const char *)f + row->offset);
}

#endif
