/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target.h - what a command works on
 *
 * A TARGET is a store's directory, opened through the library, or the root of
 * a mounted one, reached through its control files and directories. Commands
 * know only this table, so that each is written once.
 *
 * Calls return 0 or a negative code; then t->err holds the code and a sentence
 * that names the path and the remedy. A callback that returns something else
 * than 0 ends the walk, and its answer is the call's. One thread.
 */
#ifndef CID_TOOLS_TARGET_H
#define CID_TOOLS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include "cidstore/cidstore.h"

struct cid_target;

typedef int cid_values_fn(void *arg, const struct cidstore_id *v, size_t n);
typedef int cid_stat_fn(void *arg, const char *name, const char *value);

/* Receives the content of a target: pairs, and keys without values. */
struct cid_sink {
	int (*pairs)(void *arg, const struct cidstore_pair *p, size_t n);
	int (*keys)(void *arg, const struct cidstore_id *k, size_t n);
	void *arg;
};

/* Walks the values of a key in an order that is the same for all keys of one
 * target: by (item.hash, item.id). item[at] up to item[n] are at hand. */
struct cid_cursor {
	struct cidstore_id key;
	struct cidstore_pos pos;
	struct cidstore_item *item; /* of malloc */
	size_t at, n;
};

struct cid_target_ops {
	/* Bulk changes: blind and idempotent; missing keys are made. */
	int (*insert)(struct cid_target *t, const struct cidstore_pair *p, size_t n);
	int (*make_keys)(struct cid_target *t, const struct cidstore_id *k, size_t n);
	/* All or nothing. */
	int (*apply)(struct cid_target *t, const struct cidstore_op *op, size_t n);
	/* Durable on return. */
	int (*sync)(struct cid_target *t);

	/* CIDSTORE_ENOENT: no such key. */
	int (*count)(struct cid_target *t, struct cidstore_id key, uint64_t *out);
	/* At most `limit` values, in batches. */
	int (*values)(struct cid_target *t, struct cidstore_id key, uint64_t limit,
		      cid_values_fn *fn, void *arg);
	int (*cursor_open)(struct cid_target *t, struct cidstore_id key, struct cid_cursor *out);
	/* The next items whose hash is >= `hash`; c->n 0 at the end. */
	int (*cursor_fill)(struct cid_target *t, struct cid_cursor *c, uint64_t hash);

	/* One consistent state of everything. */
	int (*dump)(struct cid_target *t, const struct cid_sink *sink);
	/* Takes a framed stream in pieces of any size; n 0 is its end, and only
	 * then is it known to be whole and durable. */
	int (*import)(struct cid_target *t, const void *p, size_t n);

	int (*stats)(struct cid_target *t, cid_stat_fn *fn, void *arg);
	/* Blocks until it is done. */
	int (*compact)(struct cid_target *t, void (*progress)(double part));
	/* Frees t. The first error of closing, with `err` filled. */
	int (*close)(struct cid_target *t, struct cidstore_error *err);
};

struct cid_target {
	const struct cid_target_ops *ops;
	const char *path; /* as given; the caller's */
	struct cidstore_error err;
};

/* Opens for reading, or for changes as well. */
int cid_target_open(const char *path, bool change, struct cid_target **out,
		    struct cidstore_error *err);

/* The two kinds; `err` is filled on failure. */
int cid_target_open_store(const char *path, bool change, struct cid_target **out,
			  struct cidstore_error *err);
int cid_target_open_mount(const char *path, bool change, struct cid_target **out,
			  struct cidstore_error *err);

#endif
