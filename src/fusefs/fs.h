/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fs.h - one mount, as the request handlers see it
 *
 * Exact attributes under long kernel caching. The kernel drops a directory's
 * cached attributes by itself when a request through the mount changes it. Two
 * things remain, and both are settled by notifications:
 *
 *  - a reply with the old count that is overtaken by a change of the same key:
 *    whoever reads a count for the kernel first marks the node (a grant), and
 *    whoever changes the key looks for the mark afterwards and tells the kernel,
 *    before its own reply: who has that sees the change. The notification also
 *    outdates replies still on their way.
 *  - changes by other ways than requests: the store's hook has a helper thread
 *    tell.
 *
 * `changes` and `foreign` count them; a reader that finds its counter unmoved
 * since before its read, after having set the mark, has read what is current.
 *
 * Where another process writes, nobody tells: the kernel may keep what it is
 * given for refresh_interval_ms, as long as the store may be behind itself.
 *
 * Lock order: directory handle, then node table, then notifier; none of them
 * is held across a call into the store except the handle's own. Nothing is taken
 * while holding opened_lock.
 */
#ifndef CID_FUSEFS_FS_H
#define CID_FUSEFS_FS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "cidstore/cidstore.h"
#include "fusefs/fusefs.h"
#include "fusefs/lowlevel.h"
#include "fusefs/node.h"

struct cid_notify;
struct cid_opened;
struct cid_wait;

struct cid_fusefs {
	struct cidstore *store;
	struct cid_control *control;
	struct cid_nodes *nodes;
	struct cid_notify *notify;
	struct cid_wait *wait;
	struct fuse_session *session;
	struct cid_fusefs_options opt;
	struct stat key_stat, value_stat; /* what all keys and all values share */
	char *path;
	pthread_t loop_thread;
	_Atomic bool looping;
	pthread_mutex_t opened_lock;
	struct cid_opened *opened; /* protected by opened_lock */
	_Alignas(64) _Atomic uint64_t changes; /* of any way */
	_Atomic uint64_t foreign;	       /* by another way than a request */
};

static inline struct cid_fusefs *cid_fs(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The errno of a library code, positive. */
int cid_fs_errno(int code);
/* Answers with the errno of a library code. */
void cid_fs_reply_code(fuse_req_t req, int code);

/* The node behind an id. Where there is none, or (unless `gone` is wanted) its
 * name went, answers ESTALE, on which the kernel looks the path up again, and
 * returns false. */
bool cid_fs_node(fuse_req_t req, fuse_ino_t ino, bool gone, struct cid_node *out);

/* A change of the set behind a key's node, or of the root, was made through a
 * request. */
void cid_fs_changed(struct cid_fusefs *f, fuse_ino_t dir);

/* Seconds for which the kernel may keep names and attributes that were read
 * just now. */
double cid_fs_timeout(struct cid_fusefs *f);

#endif
