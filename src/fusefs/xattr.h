/* SPDX-License-Identifier: BSD-2-Clause */
/* xattr.h - what keys tell about themselves; read only. */
#ifndef CID_FUSEFS_XATTR_H
#define CID_FUSEFS_XATTR_H

#include "fusefs/fs.h"

void cid_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void cid_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
