/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel.h - the notifications a FUSE kernel understands. Of one thread, but for
 * cid_kernel_drop_attr(). */
#ifndef CID_FUSEFS_KERNEL_H
#define CID_FUSEFS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuse_session;

struct cid_kernel {
	struct fuse_session *session;
	bool has_epoch, has_prune; /* until the kernel says otherwise */
};

void cid_kernel_init(struct cid_kernel *k, struct fuse_session *session);

/* Outdates replies on their way, too. Takes no lock in the kernel: any thread may,
 * one that has a request to answer as well. */
void cid_kernel_drop_attr(struct fuse_session *session, uint64_t node);
/* Takes the lock of the directory: may wait for a request to be answered. */
void cid_kernel_drop_name(struct cid_kernel *k, uint64_t dir, const char *name);
/* Outdates all names; false: this kernel cannot. */
bool cid_kernel_new_epoch(struct cid_kernel *k);
/* Lets go of those nodes that are not in use; false: this kernel cannot. */
bool cid_kernel_prune(struct cid_kernel *k, const uint64_t *node, size_t count);

#endif
