/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/trigger.h"

#include <errno.h>
#include <string.h>

static bool is_one(const char *value, size_t n)
{
	return (n == 1 && value[0] == '1') || (n == 2 && memcmp(value, "1\n", 2) == 0);
}

int cid_trigger_sync(struct cid_control *c, const struct cid_ctl_node *node, const char *value,
		     size_t n)
{
	(void)node;
	return is_one(value, n) ? cid_ctl_errno(cidstore_sync(c->store)) : -EINVAL;
}

int cid_trigger_checkpoint(struct cid_control *c, const struct cid_ctl_node *node,
			   const char *value, size_t n)
{
	(void)node;
	return is_one(value, n) ? cid_ctl_errno(cidstore_checkpoint(c->store)) : -EINVAL;
}

int cid_trigger_job(struct cid_control *c, const struct cid_ctl_node *node, const char *value,
		    size_t n)
{
	return is_one(value, n) ? cid_job_start(&c->job[node->job]) : -EINVAL;
}

int cid_trigger_verify(struct cid_control *c, const struct cid_ctl_node *node, const char *value,
		       size_t n)
{
	(void)node;
	return is_one(value, n) ? cid_ctl_errno(cid_store_verify_start(c->store)) : -EINVAL;
}

int cid_show_job(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		 struct cid_text *out)
{
	struct cid_job_state state;
	struct cidstore_stats s;

	(void)name;
	cid_job_state(&c->job[node->job], &state);
	cidstore_stats(c->store, &s);
	cid_text_row(out, "running", state.running);
	cid_text_row(out, "done", state.done);
	cid_text_row(out, "failed", state.failed);
	cid_text_printf(out, "last %s\n", state.done == 0 ? "none" : cidstore_strerror(state.code));
	if (node->job == CID_JOB_COMPACT) {
		cid_text_row(out, "runs", s.runs);
		cid_text_row(out, "run_entries", s.run_entries);
	} else {
		cid_text_row(out, "gc_pending", s.gc_pending);
		cid_text_row(out, "gc_freed_bytes", s.gc_freed_bytes);
	}
	cid_text_row(out, "pending_bytes", s.pending_bytes);
	return 0;
}

int cid_show_verify(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		    struct cid_text *out)
{
	struct cid_verify_state v;
	unsigned permille;

	(void)node;
	(void)name;
	cid_store_verify_state(c->store, &v);
	permille = v.progress > 0 ? (unsigned)((v.progress < 1 ? v.progress : 1) * 1000) : 0;
	cid_text_row(out, "running", v.running != 0);
	cid_text_printf(out, "progress %u.%03u\n", permille / 1000, permille % 1000);
	cid_text_row(out, "keys", v.report.keys);
	cid_text_row(out, "values", v.report.values);
	cid_text_row(out, "buckets", v.report.buckets);
	cid_text_row(out, "runs", v.report.runs);
	cid_text_row(out, "log_records", v.report.log_records);
	cid_text_row(out, "units", v.report.units);
	cid_text_row(out, "bytes", v.report.bytes);
	cid_text_row(out, "errors", v.report.errors);
	cid_text_row(out, "corrected", v.report.corrected);
	cid_text_row(out, "leaked_bytes", v.report.leaked_bytes);
	return 0;
}
