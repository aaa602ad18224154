/* SPDX-License-Identifier: BSD-2-Clause */
/* value.h - values: files of 0 bytes, and the directory entries they are. */
#ifndef CID_FUSEFS_VALUE_H
#define CID_FUSEFS_VALUE_H

#include "fusefs/fs.h"

void cid_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *fi);
void cid_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void cid_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);

/* Of a value's node; control files have their own. */
void cid_value_open(fuse_req_t req, const struct cid_node *n, struct fuse_file_info *fi);

#endif
