/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tree.h - the table of nodes, for the files of this room
 *
 * A node shows text, stores a value, or is a stream: what it can do are the
 * functions in its row, and what it lets be done is its mode. A node whose
 * mode lets nobody but its owner write is a setting or a trigger or takes data
 * in bulk, and wants uid 0 or the owner.
 */
#ifndef CID_CONTROL_TREE_H
#define CID_CONTROL_TREE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "control/control.h"
#include "control/import.h"
#include "control/job.h"
#include "control/text.h"
#include "store/store.h"

struct cid_ctl_node;

/* Writes what reading the node gives. `name` is the last part of the path. 0 or
 * a negative errno. */
typedef int cid_ctl_show(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
			 struct cid_text *out);
/* Takes one whole value, n > 0. 0 or a negative errno, nothing changed then. */
typedef int cid_ctl_store(struct cid_control *c, const struct cid_ctl_node *node, const char *value,
			  size_t n);

/* One open stream; calls as in control.h. Where read or write is missing the
 * stream has no such direction. Where there is `ready`, reading gives EAGAIN
 * until there is something; ready tells whether there is. */
struct cid_ctl_stream {
	bool light; /* takes a few kilobytes: does not count among the streams */
	int (*open)(struct cid_control *c, void **out);
	ssize_t (*read)(void *stream, void *buf, size_t n);
	ssize_t (*write)(void *stream, const void *buf, size_t n);
	bool (*ready)(void *stream);
	int (*flush)(void *stream);
	void (*release)(void *stream);
};

struct cid_ctl_node {
	const char *path; /* ends in "/?": any one name there, made on demand */
	mode_t mode;
	bool changes; /* writing to it changes the store: EROFS where that is read-only */
	cid_ctl_show *show;
	cid_ctl_store *store;
	const struct cid_ctl_stream *stream;
	const struct cid_setting *setting; /* of config/ */
	enum cid_job_kind job;		   /* of a trigger with a job */
};

/* What the streams did, since the start. Shown in stats. */
struct cid_ctl_totals {
	_Atomic uint64_t ingest_records, ingest_torn;
	_Atomic uint64_t batch_commits, batch_ops, batch_errors, batch_dropped;
	_Atomic uint64_t lookup_keys;
	_Atomic uint64_t export_pairs, export_keys;
	_Atomic uint64_t import_pairs, import_keys, import_blocks, import_errors;
	_Atomic uint64_t open_files;
};

static inline void cid_ctl_count(_Atomic uint64_t *total, uint64_t n)
{
	atomic_fetch_add_explicit(total, n, memory_order_relaxed);
}

struct cid_control {
	struct cidstore *store;
	uid_t owner;
	struct cid_ctl_node *node; /* the rows of the table, then one per setting */
	size_t nodes;
	struct cid_ctl_totals total;
	_Atomic uint64_t streams; /* open now */
	struct cid_job job[CID_JOBS];
	struct cid_import_status import;
};

/* Fills c->node. */
int cid_tree_init(struct cid_control *c);
void cid_tree_fini(struct cid_control *c);
/* The node of a path and, in *name, its last part; NULL: there is none. */
const struct cid_ctl_node *cid_tree_find(const struct cid_control *c, const char *path,
					 const char **name);
/* The index-th listed child of a directory, NULL past the end. */
const struct cid_ctl_node *cid_tree_child(const struct cid_control *c, const char *dir,
					  size_t index, const char **name);
bool cid_tree_on_demand(const struct cid_ctl_node *node);
uint32_t cid_tree_number(const struct cid_control *c, const struct cid_ctl_node *node,
			 const char *path);

/* A code of the library as a negative errno, the only place that translates. */
static inline int cid_ctl_errno(int code)
{
	return code == 0 ? 0 : -cidstore_errno(code);
}

#endif
