/* SPDX-License-Identifier: BSD-2-Clause */
/* mountpoint.h - the place of a mount, and what an earlier daemon left there. */
#ifndef CID_DAEMON_MOUNTPOINT_H
#define CID_DAEMON_MOUNTPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include "cidstore/cidstore.h"

/* The absolute path, without asking the directory itself, which may be the root
 * of a dead mount. The caller's to free; NULL with a message in err. */
char *cid_mountpoint_resolve(const char *path, struct cidstore_error *err);

/* Takes away mounts of ours whose daemon is dead, and checks that what remains
 * is a directory. 0 or -1 with a message. */
int cid_mountpoint_prepare(const char *path, struct cidstore_error *err);

/* Where a live mount shows the store; false: nowhere. */
bool cid_mountpoint_of_store(const char *store, char *out, size_t cap);

#endif
