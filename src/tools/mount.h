/* SPDX-License-Identifier: BSD-2-Clause */
/* mount.h - a mounted root: what its reading and its changing share */
#ifndef CID_TOOLS_MOUNT_H
#define CID_TOOLS_MOUNT_H

#include <stddef.h>
#include "tools/target.h"

struct cid_mount {
	struct cid_target t; /* first */
	int root;	     /* the mounted root */
	int ingest;	     /* -1: not open yet */
	int lookup;
	int import;
	char *buf;
	size_t cap;
};

static inline struct cid_mount *cid_mount(struct cid_target *t)
{
	return (struct cid_mount *)t;
}

/* The message for a failed call on `file` below the root; `error` an errno. */
int cid_mount_fail(struct cid_target *t, const char *file, int error);
/* Makes cap at least n. */
int cid_mount_reserve(struct cid_target *t, size_t n);
/* Opens a control file unless *fd, -1 at first, is open already. */
int cid_mount_control(struct cid_target *t, const char *file, int flags, int *fd);
/* All n bytes, or a failure. */
int cid_mount_put(struct cid_target *t, int fd, const char *file, const void *bytes, size_t n);
int cid_mount_take(struct cid_target *t, int fd, const char *file, void *bytes, size_t n);

/* Rows of the table of target.h. */
int cid_mount_count(struct cid_target *t, struct cidstore_id key, uint64_t *out);
int cid_mount_values(struct cid_target *t, struct cidstore_id key, uint64_t limit,
		     cid_values_fn *fn, void *arg);
int cid_mount_cursor_open(struct cid_target *t, struct cidstore_id key, struct cid_cursor *out);
int cid_mount_cursor_fill(struct cid_target *t, struct cid_cursor *c, uint64_t hash);
int cid_mount_dump(struct cid_target *t, const struct cid_sink *sink);
int cid_mount_stats(struct cid_target *t, cid_stat_fn *fn, void *arg);
int cid_mount_compact(struct cid_target *t, void (*progress)(double part));

#endif
