/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl.h - the control table shown as files below /.cidstore. Errors here are
 * positive errno values, as the table's are (negated). */
#ifndef CID_FUSEFS_CTL_H
#define CID_FUSEFS_CTL_H

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include "fusefs/fs.h"
#include "fusefs/opened.h"

int cid_ctl_attr(struct cid_fusefs *f, const char *path, struct stat *out);
int cid_ctl_exists(struct cid_fusefs *f, const char *dir, const char *name);
/* The index-th entry of a directory; ENOENT past the end. */
int cid_ctl_child(struct cid_fusefs *f, const char *dir, size_t index, const char **name,
		  struct stat *out);

struct cid_ctl_handle {
	struct cid_opened opened; /* first */
	pthread_mutex_t lock; /* one call at a time; protects the next four */
	struct cid_ctl_file *file;
	bool writes;
	bool little;	      /* the last read had less than was asked for, */
	struct timespec when; /* at this time */
	/* Protected by the lock of wait.c. */
	struct fuse_pollhandle *poll;
	struct cid_ctl_handle *poll_next;
	uint64_t poll_seen;
};
/* As cid_control_read. */
ssize_t cid_ctl_handle_read(struct cid_ctl_handle *h, void *buf, size_t size, off_t off);

/* `dir` NULL: the tree itself. */
void cid_ctl_lookup(fuse_req_t req, const char *dir, const char *name);

/* Open control files have a handle in fi->fh; open values have 0 there. */
void cid_ctl_open(fuse_req_t req, const struct cid_node *n, struct fuse_file_info *fi);
void cid_ctl_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void cid_ctl_write(fuse_req_t req, const char *buf, size_t size, off_t off,
		   struct fuse_file_info *fi);
void cid_ctl_flush(fuse_req_t req, struct fuse_file_info *fi);
void cid_ctl_fsync(fuse_req_t req, struct fuse_file_info *fi);
void cid_ctl_poll(fuse_req_t req, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void cid_ctl_release(fuse_req_t req, struct fuse_file_info *fi);

#endif
