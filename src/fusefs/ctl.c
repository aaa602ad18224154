/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/control.h"
#include "fusefs/lookup.h"
#include "fusefs/notify.h"
#include "fusefs/wait.h"

#define PATH_BYTES 256
/* What stands below debug/ comes and goes with keys and buckets. */
#define CTL_TIMEOUT 1.0
#define SOON_NS 1000000

static bool join(char out[PATH_BYTES], const char *dir, const char *name)
{
	int n = snprintf(out, PATH_BYTES, "%s%s%s", dir, *dir ? "/" : "", name);

	return n >= 0 && n < PATH_BYTES;
}

static void fill(struct cid_fusefs *f, const struct cid_ctl_stat *c, struct stat *out)
{
	*out = f->value_stat;
	out->st_mode = c->mode;
	out->st_ino = c->number;
}

int cid_ctl_attr(struct cid_fusefs *f, const char *path, struct stat *out)
{
	struct cid_ctl_stat c;
	int rc = cid_control_stat(f->control, path, &c);

	if (!rc)
		fill(f, &c, out);
	return -rc;
}

int cid_ctl_exists(struct cid_fusefs *f, const char *dir, const char *name)
{
	struct cid_ctl_stat c;
	char path[PATH_BYTES];

	return join(path, dir, name) ? -cid_control_stat(f->control, path, &c) : ENOENT;
}

int cid_ctl_child(struct cid_fusefs *f, const char *dir, size_t index, const char **name,
		  struct stat *out)
{
	struct cid_ctl_stat c;
	int rc = cid_control_child(f->control, dir, index, name, &c);

	if (!rc)
		fill(f, &c, out);
	return -rc;
}

void cid_ctl_lookup(fuse_req_t req, const char *dir, const char *name)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node id = { .kind = CID_NODE_CTL };
	struct fuse_entry_param e;
	char path[PATH_BYTES] = "";
	bool known;
	int error = 0;

	memset(&e, 0, sizeof(e));
	if (dir && !join(path, dir, name))
		error = ENOENT;
	if (!error)
		error = cid_ctl_attr(f, path, &e.attr);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	id.key = cidstore_id_hash(path, strlen(path));
	id.path = path;
	e.entry_timeout = e.attr_timeout = CTL_TIMEOUT;
	cid_entry_reply(req, cid_nodes_ref(f->nodes, &id, &e.ino, &e.generation, &known), &e);
}

static struct cid_ctl_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct cid_ctl_handle *)(uintptr_t)fi->fh;
}

static void handle_free(struct cid_fusefs *f, struct cid_opened *o)
{
	struct cid_ctl_handle *h = (struct cid_ctl_handle *)o;

	cid_wait_forget(f->wait, h);
	cid_control_release(h->file);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void cid_ctl_open(fuse_req_t req, const struct cid_node *n, struct fuse_file_info *fi)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_ctl_caller who = { fuse_req_ctx(req)->uid };
	struct cid_ctl_stat c;
	struct cid_ctl_handle *h = calloc(1, sizeof(*h));
	int rc = h ? cid_control_stat(f->control, n->path, &c) : -ENOMEM;

	if (!rc)
		rc = cid_control_open(f->control, n->path, fi->flags & (O_ACCMODE | O_NONBLOCK),
				      &who, &h->file);
	if (rc) {
		free(h);
		fuse_reply_err(req, -rc);
		return;
	}
	pthread_mutex_init(&h->lock, NULL);
	h->writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	fi->fh = (uintptr_t)h;
	/* Contents have no length known before they are read. */
	fi->direct_io = 1;
	fi->nonseekable = c.stream != 0;
	fi->noflush = !h->writes;
	cid_opened_add(f, &h->opened, handle_free);
	if (fuse_reply_open(req, fi))
		cid_opened_close(f, &h->opened);
}

ssize_t cid_ctl_handle_read(struct cid_ctl_handle *h, void *buf, size_t size, off_t off)
{
	ssize_t n;

	pthread_mutex_lock(&h->lock);
	n = cid_control_read(h->file, buf, size, off);
	if (n >= 0) {
		h->little = (size_t)n < size / 2;
		clock_gettime(CLOCK_MONOTONIC, &h->when);
	}
	pthread_mutex_unlock(&h->lock);
	return n;
}

/* A reader that comes back at once for a few lines more waits for some. */
static bool too_soon(struct cid_ctl_handle *h)
{
	struct timespec now;
	bool soon;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&h->lock);
	soon = h->little && (now.tv_sec - h->when.tv_sec) * 1000000000 + now.tv_nsec -
					    h->when.tv_nsec < SOON_NS;
	pthread_mutex_unlock(&h->lock);
	return soon;
}

void cid_ctl_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct cid_ctl_handle *h = handle_of(fi);
	bool waits = cid_control_waits(h->file) && !(fi->flags & O_NONBLOCK);
	char *buf = NULL;
	ssize_t n = -EAGAIN;

	if (!waits || !too_soon(h)) {
		buf = malloc(size);
		n = buf ? cid_ctl_handle_read(h, buf, size, off) : -ENOMEM;
	}
	if (n == -EAGAIN && waits) {
		free(buf);
		if (!cid_wait_read(cid_fs(req)->wait, req, h, size))
			fuse_reply_err(req, ENOMEM);
		return;
	}
	/* Once it is answered another thread may release the handle. */
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
	free(buf);
}

void cid_ctl_write(fuse_req_t req, const char *buf, size_t size, off_t off,
		   struct fuse_file_info *fi)
{
	struct cid_ctl_handle *h = handle_of(fi);
	ssize_t n;

	pthread_mutex_lock(&h->lock);
	n = cid_control_write(h->file, buf, size, off);
	pthread_mutex_unlock(&h->lock);
	/* What this changed is out of the kernel's cache when write(2) returns. */
	cid_notify_settle(cid_fs(req)->notify);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

void cid_ctl_flush(fuse_req_t req, struct fuse_file_info *fi)
{
	struct cid_ctl_handle *h = handle_of(fi);
	int rc;

	pthread_mutex_lock(&h->lock);
	rc = cid_control_flush(h->file);
	pthread_mutex_unlock(&h->lock);
	fuse_reply_err(req, -rc);
}

void cid_ctl_fsync(fuse_req_t req, struct fuse_file_info *fi)
{
	struct cid_ctl_handle *h = handle_of(fi);
	int rc;

	pthread_mutex_lock(&h->lock);
	rc = cid_control_fsync(h->file);
	pthread_mutex_unlock(&h->lock);
	fuse_reply_err(req, -rc);
}

void cid_ctl_poll(fuse_req_t req, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct cid_ctl_handle *h = handle_of(fi);
	unsigned events = POLLOUT | POLLWRNORM;

	/* First the one, then the other: nothing falls between. */
	if (ph && cid_control_waits(h->file))
		cid_wait_poll(cid_fs(req)->wait, h, ph);
	else if (ph)
		fuse_pollhandle_destroy(ph);
	pthread_mutex_lock(&h->lock);
	if (cid_control_ready(h->file))
		events |= POLLIN | POLLRDNORM;
	pthread_mutex_unlock(&h->lock);
	fuse_reply_poll(req, events);
}

void cid_ctl_release(fuse_req_t req, struct fuse_file_info *fi)
{
	cid_opened_close(cid_fs(req), &handle_of(fi)->opened);
	fuse_reply_err(req, 0);
}
