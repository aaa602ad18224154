/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "control/tree.h"

/* Open at once: all files, and the streams among them, which take up to some
 * megabytes each. */
#define FILES_MAX   1024u
#define STREAMS_MAX 128u
/* No setting or trigger takes more. */
#define VALUE_MAX 4096u

struct cid_ctl_file {
	struct cid_control *c;
	const struct cid_ctl_node *node;
	bool reads, writes;
	struct cid_text text; /* what reading gives, unless the stream does */
	void *stream;
};

int cid_control_new(struct cidstore *s, uid_t owner, struct cid_control **out)
{
	struct cid_control *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->store = s;
	c->owner = owner;
	if (cid_tree_init(c) != 0) {
		free(c);
		return -ENOMEM;
	}
	cid_job_init(&c->job[CID_JOB_COMPACT], s, cidstore_compact);
	cid_job_init(&c->job[CID_JOB_GC], s, cidstore_gc);
	cid_import_status_init(&c->import);
	*out = c;
	return 0;
}

void cid_control_free(struct cid_control *c)
{
	if (c == NULL)
		return;
	cid_store_cancel(c->store, 1);
	for (int i = 0; i < CID_JOBS; i++)
		cid_job_fini(&c->job[i]);
	cid_store_cancel(c->store, 0);
	cid_import_status_fini(&c->import);
	cid_tree_fini(c);
	free(c);
}

static void fill(const struct cid_control *c, const struct cid_ctl_node *node, const char *path,
		 struct cid_ctl_stat *out)
{
	*out = (struct cid_ctl_stat){
		.mode = node->mode,
		.number = cid_tree_number(c, node, path),
		.stream = node->stream != NULL,
	};
}

/* A node made on demand is there where it has something to show. */
static int is_there(struct cid_control *c, const struct cid_ctl_node *node, const char *name)
{
	struct cid_text text = { 0 };
	int rc;

	if (!cid_tree_on_demand(node))
		return 0;
	rc = node->show(c, node, name, &text);
	cid_text_fini(&text);
	return rc;
}

int cid_control_stat(struct cid_control *c, const char *path, struct cid_ctl_stat *out)
{
	const char *name = NULL;
	const struct cid_ctl_node *node = cid_tree_find(c, path, &name);
	int rc = node != NULL ? is_there(c, node, name) : -ENOENT;

	if (rc == 0)
		fill(c, node, path, out);
	return rc;
}

int cid_control_child(struct cid_control *c, const char *path, size_t index, const char **name,
		      struct cid_ctl_stat *out)
{
	const struct cid_ctl_node *node = cid_tree_child(c, path, index, name);

	if (node == NULL)
		return -ENOENT;
	fill(c, node, node->path, out);
	return 0;
}

static int may_open(const struct cid_control *c, const struct cid_ctl_node *node, bool reads,
		    bool writes, const struct cid_ctl_caller *who)
{
	if (S_ISDIR(node->mode))
		return -EISDIR;
	if ((reads && (node->mode & 0444) == 0) || (writes && (node->mode & 0222) == 0))
		return -EACCES;
	if (!writes)
		return 0;
	if ((node->mode & 0022) == 0 && who->uid != 0 && who->uid != c->owner)
		return -EPERM;
	return node->changes && cid_store_readonly(c->store) ? -EROFS : 0;
}

/* A stream is opened for what it can do; text is shown for the rest. */
static bool wants_stream(const struct cid_ctl_file *f)
{
	const struct cid_ctl_stream *stream = f->node->stream;

	return stream != NULL &&
	       ((f->writes && stream->write != NULL) || (f->reads && stream->read != NULL));
}

static bool enter(_Atomic uint64_t *open, uint64_t most)
{
	if (atomic_fetch_add(open, 1) < most)
		return true;
	atomic_fetch_sub(open, 1);
	return false;
}

static void leave_stream(struct cid_ctl_file *f)
{
	if (!f->node->stream->light)
		atomic_fetch_sub(&f->c->streams, 1);
}

static int open_stream(struct cid_ctl_file *f)
{
	int rc;

	if (!f->node->stream->light && !enter(&f->c->streams, STREAMS_MAX))
		return -ENFILE;
	rc = f->node->stream->open(f->c, &f->stream);
	if (rc != 0)
		leave_stream(f);
	return rc;
}

static int prepare(struct cid_ctl_file *f, const char *name)
{
	int rc = 0;

	if (f->reads && f->node->show != NULL) {
		rc = f->node->show(f->c, f->node, name, &f->text);
		if (rc == 0 && f->text.failed)
			rc = -ENOMEM;
	}
	if (rc == 0 && wants_stream(f))
		rc = open_stream(f);
	return rc;
}

int cid_control_open(struct cid_control *c, const char *path, int flags,
		     const struct cid_ctl_caller *who, struct cid_ctl_file **out)
{
	const char *name = NULL;
	const struct cid_ctl_node *node = cid_tree_find(c, path, &name);
	bool reads = (flags & O_ACCMODE) != O_WRONLY, writes = (flags & O_ACCMODE) != O_RDONLY;
	struct cid_ctl_file *f;
	int rc = node != NULL ? may_open(c, node, reads, writes, who) : -ENOENT;

	if (rc != 0)
		return rc;
	if (!enter(&c->total.open_files, FILES_MAX))
		return -ENFILE;
	f = calloc(1, sizeof(*f));
	if (f != NULL) {
		*f = (struct cid_ctl_file){ c, node, reads, writes, .stream = NULL };
		rc = prepare(f, name);
	}
	if (f == NULL || rc != 0) {
		if (f != NULL)
			cid_text_fini(&f->text);
		free(f);
		atomic_fetch_sub(&c->total.open_files, 1);
		return f == NULL ? -ENOMEM : rc;
	}
	*out = f;
	return 0;
}

ssize_t cid_control_read(struct cid_ctl_file *f, void *buf, size_t n, off_t off)
{
	size_t left;

	if (!f->reads)
		return -EBADF;
	if (n > SSIZE_MAX)
		n = SSIZE_MAX;
	if (f->stream != NULL && f->node->stream->read != NULL)
		return f->node->stream->read(f->stream, buf, n);
	if (off < 0)
		return -EINVAL;
	if ((uint64_t)off >= f->text.n)
		return 0;
	left = f->text.n - (size_t)off;
	if (n > left)
		n = left;
	memcpy(buf, f->text.p + off, n);
	return (ssize_t)n;
}

ssize_t cid_control_write(struct cid_ctl_file *f, const void *buf, size_t n, off_t off)
{
	int rc;

	(void)off;
	if (!f->writes)
		return -EBADF;
	if (n > SSIZE_MAX)
		return -EINVAL;
	if (n == 0)
		return 0;
	if (f->stream != NULL)
		return f->node->stream->write(f->stream, buf, n);
	if (n > VALUE_MAX)
		return -EINVAL;
	rc = f->node->store(f->c, f->node, buf, n);
	return rc == 0 ? (ssize_t)n : rc;
}

bool cid_control_waits(const struct cid_ctl_file *f)
{
	return f->reads && f->stream != NULL && f->node->stream->ready != NULL;
}

bool cid_control_ready(struct cid_ctl_file *f)
{
	return !cid_control_waits(f) || f->node->stream->ready(f->stream);
}

uint64_t cid_control_seen(struct cid_control *c)
{
	return cidstore_last_seq(c->store);
}

void cid_control_await(struct cid_control *c, uint64_t seen)
{
	cid_store_feed_await(c->store, seen);
}

void cid_control_wake(struct cid_control *c)
{
	cid_store_feed_wake(c->store);
}

int cid_control_flush(struct cid_ctl_file *f)
{
	if (f->stream == NULL || f->node->stream->flush == NULL)
		return 0;
	return f->node->stream->flush(f->stream);
}

int cid_control_fsync(struct cid_ctl_file *f)
{
	return cid_ctl_errno(cidstore_sync(f->c->store));
}

void cid_control_release(struct cid_ctl_file *f)
{
	if (f == NULL)
		return;
	if (f->stream != NULL) {
		f->node->stream->release(f->stream);
		leave_stream(f);
	}
	cid_text_fini(&f->text);
	atomic_fetch_sub(&f->c->total.open_files, 1);
	free(f);
}
