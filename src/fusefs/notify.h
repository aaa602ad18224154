/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notify.h - telling the kernel what it should no longer cache
 *
 * One helper thread sends these notifications. Request threads never do: some
 * take the lock of a directory, which a process may hold while it waits for a
 * request of its own.
 *
 * What changed by another way. Where the change is known to the key, its node
 * (if the kernel knows it at all) is told; where too much changed, everything
 * is. Attributes are dropped by INVAL_INODE. Names: kernels from 6.16 on have a
 * connection-wide epoch that outdates all cached names at once, replies under
 * way included, without taking a lock; before that, each name is dropped by
 * INVAL_ENTRY, and a name may be seen for a moment longer.
 *
 * An over-full table. Kernels from 6.18 on can be asked to let unused inodes
 * go by number (PRUNE), again without a lock; before that, INVAL_ENTRY.
 */
#ifndef CID_FUSEFS_NOTIFY_H
#define CID_FUSEFS_NOTIFY_H

#include "fusefs/fs.h"

struct cid_notify;

int cid_notify_new(struct cid_fusefs *f, struct cid_notify **out);
/* Between the mount's first and last request. */
int cid_notify_start(struct cid_notify *n);
void cid_notify_stop(struct cid_notify *n);
void cid_notify_free(struct cid_notify *n);

/* The node table grew by one. */
void cid_notify_grown(struct cid_notify *n);
/* The store's hook: `arg` is the mount. */
void cid_notify_foreign(void *arg, const struct cidstore_id *key, const struct cidstore_id *value);
/* Waits until the kernel was told of all foreign changes so far. Returns at
 * once where there were none that concern it. */
void cid_notify_settle(struct cid_notify *n);

#endif
