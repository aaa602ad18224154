/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.c - notifications, those that libfuse has no call for included. They
 * are written to the session's device as
 *
 *	u32 len, i32 code, u64 unique (0)	the header of every notification
 *	u32 count, u32 padding, u64 spare, u64 node[count]	of PRUNE alone
 *
 * and a kernel that does not know a code answers EINVAL.
 */
#include "fusefs/kernel.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/fuse.h>
#include "fusefs/lowlevel.h"

#define NOTIFY_INC_EPOCH 8 /* protocol 7.44 */
#define NOTIFY_PRUNE 9	   /* protocol 7.45 */

struct prune_out {
	uint32_t count, padding;
	uint64_t spare;
};

void cid_kernel_init(struct cid_kernel *k, struct fuse_session *session)
{
	k->session = session;
	k->has_epoch = k->has_prune = true;
}

void cid_kernel_drop_attr(struct fuse_session *session, uint64_t node)
{
	/* ENOENT: the kernel does not have it. An offset below 0 leaves data. */
	(void)fuse_lowlevel_notify_inval_inode(session, node, -1, 0);
}

void cid_kernel_drop_name(struct cid_kernel *k, uint64_t dir, const char *name)
{
	(void)fuse_lowlevel_notify_inval_entry(k->session, dir, name, strlen(name));
}

/* Whether the kernel knows the code. */
static bool notify(struct cid_kernel *k, int code, struct iovec *iov, int count)
{
	struct fuse_out_header header = { .len = sizeof(header), .error = code };

	iov[0] = (struct iovec){ &header, sizeof(header) };
	for (int i = 1; i < count; i++)
		header.len += (uint32_t)iov[i].iov_len;
	return writev(fuse_session_fd(k->session), iov, count) >= 0 || errno != EINVAL;
}

bool cid_kernel_new_epoch(struct cid_kernel *k)
{
	struct iovec iov[1];

	k->has_epoch = k->has_epoch && notify(k, NOTIFY_INC_EPOCH, iov, 1);
	return k->has_epoch;
}

bool cid_kernel_prune(struct cid_kernel *k, const uint64_t *node, size_t count)
{
	struct prune_out out = { .count = (uint32_t)count };
	struct iovec iov[3];

	iov[1] = (struct iovec){ &out, sizeof(out) };
	iov[2] = (struct iovec){ (void *)(uintptr_t)node, count * sizeof(*node) };
	k->has_prune = k->has_prune && notify(k, NOTIFY_PRUNE, iov, 3);
	return k->has_prune;
}
