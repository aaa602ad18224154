/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * name.h - what a name in a directory means, and which error comes first
 *
 * Names reach a daemon at up to 4,095 bytes; nothing here copies one.
 */
#ifndef CID_FUSEFS_NAME_H
#define CID_FUSEFS_NAME_H

#include <stdbool.h>
#include "cidstore/cidstore.h"
#include "fusefs/fs.h"

#define CID_NAME_MAX 32
#define CID_CTL_NAME ".cidstore"

enum cid_name_kind {
	CID_NAME_ID,	   /* 32 lowercase hexadecimal digits */
	CID_NAME_CTL,	   /* the control tree, in the root */
	CID_NAME_OTHER,	   /* cannot exist */
	CID_NAME_TOO_LONG
};

enum cid_name_kind cid_name_classify(const struct cid_node *dir, const char *name,
				     struct cidstore_id *out);

/* 0: there is such a name in the directory; ENOENT; or why that is unknown. */
int cid_name_exists(struct cid_fusefs *f, const struct cid_node *dir, const char *name);

/* The errno for making something that cannot be made there: ENAMETOOLONG, then
 * EEXIST, then EINVAL, then EPERM. */
int cid_name_refuse(struct cid_fusefs *f, const struct cid_node *dir, const char *name);

#endif
