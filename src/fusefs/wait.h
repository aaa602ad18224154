/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait.h - reads and polls of control files that have nothing to read yet
 *
 * Such a request is put aside, so that no thread of the loop waits with it; one
 * helper waits for all and answers. It goes round when something may have come,
 * a reader was interrupted, or the mount ends, and at most once in a
 * millisecond: a reader that keeps up gets what came since, not line by line.
 *
 * Locks: a file's own, then the helper's; neither is held while waiting.
 */
#ifndef CID_FUSEFS_WAIT_H
#define CID_FUSEFS_WAIT_H

#include "fusefs/fs.h"

struct cid_ctl_handle;
struct cid_wait;

int cid_wait_new(struct cid_fusefs *f, struct cid_wait **out);
int cid_wait_start(struct cid_wait *w);
/* Waiting reads get the end of the file, polls are told. */
void cid_wait_stop(struct cid_wait *w);
void cid_wait_free(struct cid_wait *w);

/* Takes the request of a read; false where memory is short. */
bool cid_wait_read(struct cid_wait *w, fuse_req_t req, struct cid_ctl_handle *h, size_t size);
/* Takes the handle of a poll; it is told of what comes after this call. */
void cid_wait_poll(struct cid_wait *w, struct cid_ctl_handle *h, struct fuse_pollhandle *ph);
/* The file is released. */
void cid_wait_forget(struct cid_wait *w, struct cid_ctl_handle *h);

#endif
