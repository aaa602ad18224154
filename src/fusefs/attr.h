/* SPDX-License-Identifier: BSD-2-Clause */
/* attr.h - stat of keys and values, and the requests about it. */
#ifndef CID_FUSEFS_ATTR_H
#define CID_FUSEFS_ATTR_H

#include <sys/stat.h>
#include "fusefs/fs.h"

/* Below this, inode numbers are the root's and the control tree's. */
#define CID_INO_RESERVED (1ull << 32)

/* Fills in what all keys and all values share; times are the store's creation. */
void cid_attr_init(struct cid_fusefs *f);

/* Inode numbers are functions of the identifiers alone. */
ino_t cid_attr_ino(const struct cid_node *n);

/* A key of which only the number of values is known. Small sets lie in the
 * entry itself; of larger ones the space is looked up. */
int cid_attr_key_counted(struct cid_fusefs *f, struct cidstore_id key, uint64_t count,
			 struct stat *out);
/* Reads the store. CIDSTORE_ENOENT where the object is not there. */
int cid_attr_get(struct cid_fusefs *f, const struct cid_node *n, struct stat *out);
/* An object whose existence is known, or was (nlink 0). Reads nothing. */
void cid_attr_empty(struct cid_fusefs *f, const struct cid_node *n, struct stat *out);

void cid_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cid_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *fi);
void cid_op_access(fuse_req_t req, fuse_ino_t ino, int mask);

#endif
