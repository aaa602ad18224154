/* SPDX-License-Identifier: BSD-2-Clause */
/* lookup.h - names to nodes: entries in replies, lookup, forget. */
#ifndef CID_FUSEFS_LOOKUP_H
#define CID_FUSEFS_LOOKUP_H

#include "fusefs/fs.h"

/* Looks an object up in the store and adds a lookup to its node. Returns 0 or
 * a library code. What the caller then fails to hand to the kernel it gives
 * back with cid_entry_drop(). */
int cid_entry_find(struct cid_fusefs *f, const struct cid_node *id, struct fuse_entry_param *e);
/* The same for an object that was made a moment ago and is empty. `foreign` is
 * the count of foreign changes from before it was made. */
int cid_entry_made(struct cid_fusefs *f, const struct cid_node *id, uint64_t foreign,
		   struct fuse_entry_param *e);
/* The same for an item of a listing, with its count from there. The node is
 * marked; the caller then checks that the listing is still current. */
int cid_entry_listed(struct cid_fusefs *f, const struct cid_node *id, uint64_t count,
		     struct fuse_entry_param *e);
void cid_entry_drop(struct cid_fusefs *f, const struct fuse_entry_param *e);
/* Answers with the entry, or with the errno of `code` when that is not 0. */
void cid_entry_reply(fuse_req_t req, int code, const struct fuse_entry_param *e);

void cid_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void cid_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void cid_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);

#endif
