/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - one table of knobs, reports and streams over an open store.
 *
 * Front ends show it: FUSE as files below /.cidstore, HTTP as paths. They know
 * names, modes and bytes; what a node means is known here alone. A node is
 * named by its path below the root, without a leading slash: "", "stats",
 * "config/batch_size", "debug/key/<32 digits>".
 *
 * All functions may be called by any number of threads; one open file is used
 * by one call at a time, except that release waits for nobody: the caller
 * orders it after the other calls. Errors are negative errno values (a front
 * end hands them on), because the conventions here are those of files.
 */
#ifndef CID_CONTROL_CONTROL_H
#define CID_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cidstore;
struct cid_control;
struct cid_ctl_file;

struct cid_ctl_stat {
	mode_t mode;	   /* S_IFDIR|0555, S_IFREG|0444, 0644, 0200 or 0666 */
	uint32_t number;   /* stable for static nodes, unique, from 2 up */
	int stream;	   /* not seekable; reads and writes ignore offsets */
};

/* Who asks; settings and triggers want uid 0 or `owner`. */
struct cid_ctl_caller {
	uid_t uid;
};

int cid_control_new(struct cidstore *s, uid_t owner, struct cid_control **out);
/* Ends what compact and gc started in the background. */
void cid_control_free(struct cid_control *c);

/* -ENOENT where there is no such node. */
int cid_control_stat(struct cid_control *c, const char *path,
		     struct cid_ctl_stat *out);
/* The index-th child of a directory in a fixed order; -ENOENT past the end.
 * Children made on demand (debug/key/<key>) are not listed. `name` points to
 * static storage. */
int cid_control_child(struct cid_control *c, const char *path, size_t index,
		      const char **name, struct cid_ctl_stat *out);

/* `flags` are those of open(2): the access mode and O_NONBLOCK count. A file
 * that shows text takes its snapshot here. -ENOENT; -EISDIR; -EACCES where the
 * mode has no such direction; -EPERM where the caller is neither uid 0 nor the
 * owner; -EROFS; -ENFILE beyond 1024 open files or 128 open streams, of which
 * events is none; -EOPNOTSUPP for events of a store another process writes. */
int cid_control_open(struct cid_control *c, const char *path, int flags,
		     const struct cid_ctl_caller *who,
		     struct cid_ctl_file **out);
/* Bytes read, 0 at the end, or a negative errno. For streams `off` is ignored. */
ssize_t cid_control_read(struct cid_ctl_file *f, void *buf, size_t n, off_t off);
/* Bytes taken or a negative errno. All bytes are taken, except by the lookup
 * streams, whose queue is bounded: they take what there is room for, -EAGAIN
 * where there is none. What a failure leaves behind is said with each stream. */
ssize_t cid_control_write(struct cid_ctl_file *f, const void *buf, size_t n,
			  off_t off);
/* A stream that may have nothing to read yet: reading gives -EAGAIN then, with
 * O_NONBLOCK or without. Whoever wants to wait looks at seen, then tries its
 * reads, then waits in await, which returns when there may be more than there
 * was at `seen`, or when another thread calls wake. One thread waits. */
bool cid_control_waits(const struct cid_ctl_file *f);
/* Whether reading would not give -EAGAIN now. */
bool cid_control_ready(struct cid_ctl_file *f);
uint64_t cid_control_seen(struct cid_control *c);
void cid_control_await(struct cid_control *c, uint64_t seen);
void cid_control_wake(struct cid_control *c);
/* A descriptor was closed: -EINVAL while a torn tail waits (kept), else 0. */
int cid_control_flush(struct cid_ctl_file *f);
int cid_control_fsync(struct cid_ctl_file *f);
/* Drops and counts a torn tail; frees. */
void cid_control_release(struct cid_ctl_file *f);

#endif
