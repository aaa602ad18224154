/* SPDX-License-Identifier: BSD-2-Clause */
/* key.h - making and removing keys, which are directories of the root. */
#ifndef CID_FUSEFS_KEY_H
#define CID_FUSEFS_KEY_H

#include "fusefs/fs.h"

void cid_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void cid_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

#endif
