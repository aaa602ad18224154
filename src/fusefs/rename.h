/* SPDX-License-Identifier: BSD-2-Clause */
/* rename.h - moving names, and the kinds of names there cannot be. */
#ifndef CID_FUSEFS_RENAME_H
#define CID_FUSEFS_RENAME_H

#include "fusefs/fs.h"

void cid_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		   const char *newname, unsigned int flags);
void cid_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);
void cid_op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);

#endif
