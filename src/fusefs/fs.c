/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/fs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "fusefs/kernel.h"

int cid_fs_errno(int code)
{
	return code ? cidstore_errno(code) : 0;
}

void cid_fs_reply_code(fuse_req_t req, int code)
{
	fuse_reply_err(req, cid_fs_errno(code));
}

bool cid_fs_node(fuse_req_t req, fuse_ino_t ino, bool gone, struct cid_node *out)
{
	if (!cid_nodes_get(cid_fs(req)->nodes, ino, out) && (gone || !out->gone))
		return true;
	fuse_reply_err(req, ESTALE);
	return false;
}

/* All ways of change are known or announced: the kernel may cache for long. */
#define LONG_TIMEOUT 3600.0

double cid_fs_timeout(struct cid_fusefs *f)
{
	double seconds = LONG_TIMEOUT;
	uint64_t ms = 0;

	if (f->opt.foreign_writer &&
	    cidstore_config_get(f->store, "refresh_interval_ms", &ms) == 0)
		seconds = (double)ms / 1000;
	return seconds < LONG_TIMEOUT ? seconds : LONG_TIMEOUT;
}

void cid_fs_changed(struct cid_fusefs *f, fuse_ino_t dir)
{
	atomic_fetch_add(&f->changes, 1);
	if (dir != CID_ROOT && cid_nodes_changed(f->nodes, dir)) {
		cid_kernel_drop_attr(f->session, dir);
		cid_nodes_told(f->nodes, dir);
	}
}
