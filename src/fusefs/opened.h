/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * opened.h - the handles of open control files and directories
 *
 * A daemon that is told to end gets no RELEASE for what clients still hold open.
 * It closes that itself, before the store: a listing keeps memory, an export a
 * snapshot.
 */
#ifndef CID_FUSEFS_OPENED_H
#define CID_FUSEFS_OPENED_H

struct cid_fusefs;

struct cid_opened;
typedef void cid_opened_free(struct cid_fusefs *f, struct cid_opened *o);

/* In a handle. */
struct cid_opened {
	struct cid_opened *next, **at; /* protected by cid_fusefs.opened_lock */
	cid_opened_free *close;
};

void cid_opened_add(struct cid_fusefs *f, struct cid_opened *o, cid_opened_free *close);
/* Takes it out of the list and closes it. */
void cid_opened_close(struct cid_fusefs *f, struct cid_opened *o);
/* When no requests are served any more. */
void cid_opened_close_all(struct cid_fusefs *f);

#endif
