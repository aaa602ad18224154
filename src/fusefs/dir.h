/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir.h - listings
 *
 * Cookies: "." is 1 and ".." is 2; an item is its 62-bit hash plus 3; in the
 * root, the control tree where it is listed comes last, at 2^62 + 3. A cookie
 * names the place behind all items of its hash, so that a reply must not end
 * between two that share one. Control directories count their entries instead.
 */
#ifndef CID_FUSEFS_DIR_H
#define CID_FUSEFS_DIR_H

#include "fusefs/fs.h"

void cid_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void cid_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void cid_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi);
void cid_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
