/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fusefs.h - the store as a file system: the room's face
 *
 * A mount is made over an open store and its control table, both of which
 * outlive it. Order of a life: new, loop (blocks until the mount ends), free.
 */
#ifndef CID_FUSEFS_FUSEFS_H
#define CID_FUSEFS_FUSEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "cidstore/cidstore.h"

struct cid_control;
struct cid_fusefs;

struct cid_fusefs_options {
	uid_t uid;		/* owner of everything shown */
	gid_t gid;
	mode_t umask;		/* taken off 0777 and 0666 */
	bool ctl_visible;	/* list /.cidstore in the root */
	bool quiet;		/* chmod and chown pretend */
	bool readonly;
	bool foreign_writer;	/* another process writes the store: cache briefly */
	bool debug;		/* libfuse's trace on stderr */
	size_t max_nodes;	/* ask the kernel to forget above this many */
	unsigned max_threads;
	unsigned idle_threads;
	const char *mount_options; /* further ones for libfuse, comma-separated */
	const char *source;	   /* shown as the mounted device */
};

/* Fills in the defaults. */
void cid_fusefs_defaults(struct cid_fusefs_options *o);

/* Mounts. `path` is absolute. On failure libfuse's own words are in err. */
int cid_fusefs_new(struct cidstore *s, struct cid_control *c, const char *path,
		   const struct cid_fusefs_options *o, struct cid_fusefs **out,
		   struct cidstore_error *err);

/* Serves until the mount ends. `ready` is called from another thread as soon as
 * the mount was seen to answer, or with the errno that it gave. 0: ended by
 * cid_fusefs_stop() or by umount(8). */
int cid_fusefs_loop(struct cid_fusefs *f, void (*ready)(void *arg, int error), void *arg);

/* Makes the loop end. From any thread, not from a signal handler. */
void cid_fusefs_stop(struct cid_fusefs *f);

/* Unmounts if that has not happened yet, and frees. */
void cid_fusefs_free(struct cid_fusefs *f);

#endif
