/* SPDX-License-Identifier: BSD-2-Clause */
/* mounted.h - where a store is mounted */
#ifndef CID_TOOLS_MOUNTED_H
#define CID_TOOLS_MOUNTED_H

#include <stdbool.h>

/* The mount point that shows the store, of malloc; prefers one that writes.
 * NULL: none, or memory is short. */
char *cid_mounted_at(const char *store);
/* The store that is shown at a mount point, of malloc, or NULL. */
char *cid_mounted_from(const char *mountpoint);
/* A directory that is a store's, or a root that is mounted. */
bool cid_is_store(const char *path);
bool cid_is_mounted(const char *path);

#endif
