/* SPDX-License-Identifier: BSD-2-Clause */
/* ops.h - the table of request handlers. */
#ifndef CID_FUSEFS_OPS_H
#define CID_FUSEFS_OPS_H

#include "fusefs/lowlevel.h"

extern const struct fuse_lowlevel_ops cid_ops;

#endif
