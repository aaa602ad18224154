/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * copy.c - a store as it is at one moment, as another store
 *
 * The newest root is pinned; what it refers to is copied meanwhile, page by
 * page as its space maps tell, and nothing else, so that the copy is as sparse
 * as it can be. No pin keeps the log's records and the deletion log's pages:
 * they are read into memory, and count if the root is still the newest then.
 * All the log held at that moment is in the copy, and behind it nothing.
 *
 * The copy is made under a temporary name, its main.h5 too. When all is synced
 * the directory gets its name, and main.h5 last: before, it is no store.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"
#include "store/follow.h"

#define PIECE	 (16u << 20) /* between two looks at the clock */
#define BUFFER	 (1u << 20)
#define MAIN_TMP CID_H5_MAIN_NAME ".tmp"

struct copy {
	struct cidstore *s;
	const struct cid_io *io;
	struct cid_hold hold;
	struct cid_root root;
	uint8_t *log; /* records from root.log_first up to, not including, `end` */
	uint64_t end;
	uint8_t *deletions; /* pages from the tail up to the head */
	uint8_t *buf;
	char *parent, *path;				  /* of the temporary directory */
	char name[NAME_MAX + 1], temporary[NAME_MAX + 1]; /* in the parent */
	int parentfd, dirfd;
	bool made, named; /* the directory is there; under its name */
	bool no_share, no_copy;
	uint64_t done, all, shared;
	int (*more)(void *arg, uint64_t done, uint64_t all);
	void *arg;
	struct cidstore_error *err;
};

static int failed(struct copy *c, const char *name, int error)
{
	return cid_err_set(c->err, cid_err_from_errno(error), "%s: %s", name, strerror(-error));
}

/* ---- what no pin keeps ---- */

static int read_log(struct copy *c)
{
	const struct cid_follow *f = c->s->follow;
	const struct cid_root *r = &c->root;
	uint64_t lsn = r->log_first, n;
	uint8_t *to;
	int rc = 0;

	c->end = f->replay.begin ? f->replay.begin : f->next;
	if (c->end - lsn > r->log_records)
		return CIDSTORE_EAGAIN;
	free(c->log);
	c->log = to = malloc((size_t)(c->end - lsn) * CID_RECORD_BYTES + 1);
	if (!to)
		return CIDSTORE_ENOMEM;
	for (; rc == 0 && lsn < c->end; lsn += n, to += n * CID_RECORD_BYTES) {
		uint64_t slot = lsn & (r->log_records - 1);

		n = r->log_records - slot < c->end - lsn ? r->log_records - slot : c->end - lsn;
		rc = cid_io_read_full(c->io, c->s->walfd, to, (size_t)n * CID_RECORD_BYTES,
				      r->data_offset[3] + slot * CID_RECORD_BYTES);
	}
	return rc ? failed(c, "wal-0.h5", rc) : 0;
}

static int read_deletions(struct copy *c)
{
	const struct cid_root *r = &c->root;
	uint64_t pages = r->deletion_head - r->deletion_tail;
	int rc = 0;

	free(c->deletions);
	c->deletions = malloc((size_t)pages * CID_PAGE + 1);
	if (!c->deletions)
		return CIDSTORE_ENOMEM;
	for (uint64_t i = 0; rc == 0 && i < pages; i++)
		rc = cid_io_read_full(c->io, c->s->delfd, c->deletions + i * CID_PAGE, CID_PAGE,
				      r->data_offset[4] + (r->deletion_tail + i) %
								  r->deletion_pages * CID_PAGE);
	return rc ? failed(c, "deletions-0.h5", rc) : 0;
}

static int take(void *arg)
{
	struct copy *c = arg;
	int rc;

	c->root = c->s->root;
	rc = read_log(c);
	if (rc == 0)
		rc = read_deletions(c);
	return rc == 0 && !cid_follow_same(c->s, &c->hold.mark) ? CIDSTORE_EAGAIN : rc;
}

/* The pages that the root refers to, in s->space. */
static int read_maps(struct copy *c)
{
	const struct cid_keep nobody = { UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, 0, false };
	struct cid_space *sp = &c->s->space;
	int rc = cid_space_load_readonly(c->s);

	if (rc)
		return cid_err_set(c->err, rc, "the space maps cannot be read: %s",
				   cidstore_strerror(rc));
	cid_space_reclaim(sp, UINT64_MAX, UINT64_MAX, &nobody);
	for (int k = 0; k < CID_POOLS; k++)
		c->all += sp->p[k].in_use * CID_PAGE;
	c->all += c->root.log_records * CID_RECORD_BYTES +
		  (c->root.deletion_head - c->root.deletion_tail) * CID_PAGE;
	return 0;
}

/* ---- bytes ---- */

/* Called between pieces. */
static int go_on(struct copy *c, uint64_t n)
{
	c->done += n;
	if (!cid_follow_held(c->s, &c->hold))
		return cid_err_set(
			c->err, CIDSTORE_EEXPIRED,
			c->s->reader_pins.held
				? "the copy took longer than the writer keeps what it "
				  "deletes; set its reader_pin_ms higher"
				: "the writer could not be asked to keep what it deletes; "
				  "the file `readers` in the store must be writable");
	return c->more ? c->more(c->arg, c->done, c->all) : 0;
}

static int by_buffer(struct copy *c, int from, int to, uint64_t off, uint64_t n)
{
	int rc = 0;

	while (rc == 0 && n) {
		size_t part = n < BUFFER ? (size_t)n : BUFFER;

		rc = cid_io_read_full(c->io, from, c->buf, part, off);
		if (rc == 0)
			rc = cid_io_write_full(c->io, to, c->buf, part, off);
		off += part;
		n -= part;
	}
	return rc;
}

/* By the cheapest way there is, which is found out once. */
static int one_piece(struct copy *c, int from, int to, uint64_t off, uint64_t n)
{
	const struct cid_io *io = c->io;

	if (!c->no_share) {
		if (io->share && io->share(io->self, from, to, off, n) == 0) {
			c->shared += n;
			return 0;
		}
		c->no_share = true;
	}
	while (!c->no_copy && n) {
		ssize_t r = io->copy ? io->copy(io->self, from, to, off, n) : -ENOSYS;

		if (r == -EINTR)
			continue;
		if (r <= 0) {
			c->no_copy = true;
			break;
		}
		off += (uint64_t)r;
		n -= (uint64_t)r;
	}
	return by_buffer(c, from, to, off, n);
}

static int copy_range(struct copy *c, const char *name, int from, int to, uint64_t off, uint64_t n)
{
	int rc = 0;

	while (rc == 0 && n) {
		uint64_t part = n < PIECE ? n : PIECE;

		rc = one_piece(c, from, to, off, part);
		if (rc)
			return failed(c, name, rc);
		c->io->writeback(c->io->self, to, off, part);
		rc = go_on(c, part);
		off += part;
		n -= part;
	}
	return rc;
}

/* ---- files ---- */

/* A file of the copy, with mode and size of the one it is made from. */
static int begin_file(struct copy *c, const char *name, int from, uint64_t head, int *fd)
{
	const struct cid_io *io = c->io;
	struct stat st;
	int rc = io->stat(io->self, from, &st), to;

	if (rc)
		return failed(c, name, rc);
	to = io->open(io->self, c->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (to < 0)
		return failed(c, name, to);
	rc = io->truncate(io->self, to, (uint64_t)st.st_size);
	if (rc == 0)
		rc = by_buffer(c, from, to, 0, head);
	if (rc == 0 && io->chmod)
		rc = io->chmod(io->self, to, st.st_mode & 0777);
	if (rc) {
		(void)io->close(io->self, to);
		return failed(c, name, rc);
	}
	*fd = to;
	return 0;
}

static int end_file(struct copy *c, const char *name, int fd, int rc)
{
	int bad = rc ? 0 : c->io->sync(c->io->self, fd), closed;

	closed = c->io->close(c->io->self, fd);
	if (rc)
		return rc;
	bad = bad ? bad : closed;
	return bad ? failed(c, name, bad) : 0;
}

static int copy_segment(struct copy *c, enum cid_pool_kind k, uint32_t n)
{
	const struct cid_pool *p = &c->s->pool[k];
	const struct cid_space *sp = &c->s->space;
	uint64_t pages = 1ull << p->shift >> 12, at = n * pages, end = at + pages, from;
	char name[32];
	int fd, rc;

	cid_pool_name(k, n, name);
	rc = begin_file(c, name, p->seg[n].fd, p->data_off, &fd);
	if (rc)
		return rc;
	while (rc == 0 && at < end) {
		for (; at < end && !cid_space_used(sp, k, at); at++)
			;
		for (from = at; at < end && cid_space_used(sp, k, at); at++)
			;
		rc = copy_range(c, name, p->seg[n].fd, fd,
				p->data_off + (from - n * pages) * CID_PAGE,
				(at - from) * CID_PAGE);
	}
	return end_file(c, name, fd, rc);
}

static int copy_log(struct copy *c)
{
	const struct cid_root *r = &c->root;
	const char *name = "wal-0.h5";
	const uint8_t *from = c->log;
	uint64_t n;
	int fd, rc = begin_file(c, name, c->s->walfd, r->data_offset[3], &fd);

	if (rc)
		return rc;
	rc = cid_wal_zero(c->io, fd, r->data_offset[3], r->log_records);
	if (rc)
		cid_err_set(c->err, rc, "%s: %s", name, cidstore_strerror(rc));
	for (uint64_t lsn = r->log_first; rc == 0 && lsn < c->end; lsn += n) {
		uint64_t slot = lsn & (r->log_records - 1);

		n = r->log_records - slot < c->end - lsn ? r->log_records - slot : c->end - lsn;
		rc = cid_io_write_full(c->io, fd, from, (size_t)n * CID_RECORD_BYTES,
				       r->data_offset[3] + slot * CID_RECORD_BYTES);
		if (rc)
			rc = failed(c, name, rc);
		from += n * CID_RECORD_BYTES;
	}
	if (rc == 0)
		rc = go_on(c, r->log_records * CID_RECORD_BYTES);
	return end_file(c, name, fd, rc);
}

static int copy_deletions(struct copy *c)
{
	const struct cid_root *r = &c->root;
	const char *name = "deletions-0.h5";
	uint64_t pages = r->deletion_head - r->deletion_tail;
	int fd, rc = begin_file(c, name, c->s->delfd, r->data_offset[4], &fd);

	if (rc)
		return rc;
	for (uint64_t i = 0; rc == 0 && i < pages; i++)
		rc = cid_io_write_full(c->io, fd, c->deletions + i * CID_PAGE, CID_PAGE,
				       r->data_offset[4] + (r->deletion_tail + i) %
								   r->deletion_pages * CID_PAGE);
	if (rc)
		rc = failed(c, name, rc);
	else
		rc = go_on(c, pages * CID_PAGE);
	return end_file(c, name, fd, rc);
}

/* All four copies are this root: the one before is not in the copy. */
static int copy_main(struct copy *c)
{
	struct cid_root *four = aligned_alloc(CID_PAGE, CID_ROOT_COPIES * sizeof(*four));
	int fd, rc;

	if (!four)
		return CIDSTORE_ENOMEM;
	for (int i = 0; i < CID_ROOT_COPIES; i++)
		four[i] = c->root;
	rc = begin_file(c, MAIN_TMP, c->s->mainfd, CID_H5_ROOT_OFFSET, &fd);
	if (rc == 0) {
		rc = cid_io_write_full(c->io, fd, four, CID_ROOT_COPIES * sizeof(*four),
				       CID_H5_ROOT_OFFSET);
		rc = end_file(c, MAIN_TMP, fd, rc ? failed(c, MAIN_TMP, rc) : 0);
	}
	free(four);
	return rc;
}

static int make_empty(struct copy *c, const char *name, mode_t mode)
{
	int fd = c->io->open(c->io->self, c->dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW, mode);

	return fd < 0 ? failed(c, name, fd) : end_file(c, name, fd, 0);
}

static int copy_files(struct copy *c)
{
	int rc = copy_deletions(c);

	for (int k = 0; k < CID_POOLS; k++)
		for (uint32_t n = 0; rc == 0 && n < c->root.segments[k]; n++)
			rc = copy_segment(c, (enum cid_pool_kind)k, n);
	if (rc == 0)
		rc = copy_log(c);
	if (rc == 0)
		rc = cid_readers_create(c->io, c->dirfd);
	if (rc == 0)
		rc = make_empty(c, CID_READERS_NAME, 0664); /* to sync it */
	if (rc == 0)
		rc = make_empty(c, "LOCK", 0644);
	return rc ? rc : copy_main(c);
}

/* ---- the directory ---- */

static int split(struct copy *c, const char *dest)
{
	const char *end = dest + strlen(dest), *last;
	uint32_t r;

	while (end > dest && end[-1] == '/')
		end--;
	for (last = end; last > dest && last[-1] != '/'; last--)
		;
	if (end - last > NAME_MAX - 16)
		return cid_err_set(c->err, CIDSTORE_ENAMETOOLONG, "the name is too long");
	(void)snprintf(c->name, sizeof(c->name), "%.*s", (int)(end - last), last);
	if (!*c->name || strcmp(c->name, ".") == 0 || strcmp(c->name, "..") == 0)
		return cid_err_set(c->err, CIDSTORE_EINVAL, "this is no name for a new directory");
	c->io->random(c->io->self, &r, sizeof(r));
	(void)snprintf(c->temporary, sizeof(c->temporary), "%.*s.%08x.tmp", NAME_MAX - 16, c->name,
		       r);
	c->parent = last == dest ? strdup(".") : strndup(dest, (size_t)(last - dest));
	c->path = c->parent ? malloc(strlen(c->parent) + sizeof(c->temporary) + 1) : NULL;
	if (!c->path)
		return CIDSTORE_ENOMEM;
	(void)sprintf(c->path, "%s/%s", c->parent, c->temporary);
	return 0;
}

static int any(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return 1;
}

/* Told before the work, not after it. */
static int check_place(struct copy *c)
{
	const struct cid_io *io = c->io;
	struct stat parent, store;
	int fd, rc;

	c->parentfd = io->open(io->self, -1, c->parent, O_RDONLY | O_DIRECTORY, 0);
	if (c->parentfd < 0)
		return failed(c, c->parent, c->parentfd);
	rc = io->stat(io->self, c->parentfd, &parent);
	if (rc == 0)
		rc = io->stat(io->self, c->s->dirfd, &store);
	if (rc)
		return failed(c, c->parent, rc);
	if (parent.st_dev == store.st_dev && parent.st_ino == store.st_ino)
		return cid_err_set(c->err, CIDSTORE_EINVAL, "a copy cannot lie in its store");
	fd = io->open(io->self, c->parentfd, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOENT)
		return 0;
	rc = fd < 0 ? 1 : io->list(io->self, fd, any, NULL);
	if (fd >= 0)
		(void)io->close(io->self, fd);
	if (rc < 0)
		return failed(c, c->name, rc);
	return rc ? cid_err_set(c->err, CIDSTORE_EEXIST,
				"it exists; name a new directory, or an empty one")
		  : 0;
}

static int make_directory(struct copy *c)
{
	const struct cid_io *io = c->io;
	int rc = io->mkdir(io->self, c->path, 0700);

	if (rc)
		return failed(c, c->temporary, rc);
	c->made = true;
	c->dirfd = io->open(io->self, c->parentfd, c->temporary,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return c->dirfd < 0 ? failed(c, c->temporary, c->dirfd) : 0;
}

static int give_name(struct copy *c)
{
	const struct cid_io *io = c->io;
	struct stat st;
	int rc = io->stat(io->self, c->s->dirfd, &st);

	if (rc == 0 && io->chmod)
		rc = io->chmod(io->self, c->dirfd, st.st_mode & 0777);
	if (rc == 0)
		rc = io->sync_dir(io->self, c->dirfd);
	/* Not over what has come there meanwhile, unless it is an empty directory. */
	if (rc == 0)
		rc = io->rename(io->self, c->parentfd, c->temporary, c->name);
	if (rc)
		return failed(c, c->name, rc);
	c->named = true;
	rc = io->sync_dir(io->self, c->parentfd);
	if (rc == 0)
		rc = io->rename(io->self, c->dirfd, MAIN_TMP, CID_H5_MAIN_NAME);
	if (rc == 0)
		rc = io->sync_dir(io->self, c->dirfd);
	return rc ? failed(c, c->name, rc) : 0;
}

static int find(void *arg, const char *name)
{
	(void)snprintf(arg, NAME_MAX + 1, "%s", name);
	return 1;
}

/* First what makes it a store. */
static void clean_up(struct copy *c)
{
	const struct cid_io *io = c->io;
	char name[NAME_MAX + 1];

	if (c->dirfd >= 0) {
		(void)io->unlink(io->self, c->dirfd, CID_H5_MAIN_NAME);
		while (io->list(io->self, c->dirfd, find, name) == 1)
			if (io->unlink(io->self, c->dirfd, name))
				break;
	}
	(void)io->rmdir(io->self, c->parentfd, c->named ? c->name : c->temporary);
}

/* ---- all of it ---- */

static int copy_store(struct copy *c, const char *dest)
{
	struct cidstore *s = c->s;
	int rc = split(c, dest);

	c->buf = aligned_alloc(CID_PAGE, BUFFER);
	if (rc == 0 && !c->buf)
		rc = CIDSTORE_ENOMEM;
	if (rc == 0)
		rc = check_place(c);
	if (rc)
		return rc;
	pthread_mutex_lock(&s->maint);
	rc = cid_follow_hold(s, &c->hold, take, c);
	pthread_mutex_unlock(&s->maint);
	if (rc)
		return rc;
	rc = read_maps(c);
	if (rc == 0)
		rc = make_directory(c);
	if (rc == 0)
		rc = copy_files(c);
	if (rc == 0)
		rc = go_on(c, 0);
	if (rc == 0)
		rc = give_name(c);
	if (rc && c->made)
		clean_up(c);
	cid_pin_drop(s, &c->hold.pin);
	return rc;
}

int cid_store_copy_io(const struct cid_io *io, const char *path, const char *dest,
		      int (*more)(void *, uint64_t, uint64_t), void *arg,
		      struct cidstore_copied *out, struct cidstore_error *err)
{
	struct cidstore_error why = { 0, "" };
	struct copy c = {
		.io = io, .parentfd = -1, .dirfd = -1, .more = more, .arg = arg, .err = &why
	};
	int rc = cid_store_open_io(io, path, CIDSTORE_RDONLY | CIDSTORE_MANUAL, &c.s, err);

	if (rc)
		return rc;
	rc = copy_store(&c, dest);
	if (c.dirfd >= 0)
		(void)io->close(io->self, c.dirfd);
	if (c.parentfd >= 0)
		(void)io->close(io->self, c.parentfd);
	if (rc == 0 && out)
		*out = (struct cidstore_copied){ .seq = c.end - 1,
						 .epoch = c.root.generation,
						 .bytes = c.done,
						 .shared = c.shared };
	if (rc)
		cid_err_set(err, rc, "copying %.150s to %.150s: %.180s", path, dest,
			    why.code == rc ? why.message : cidstore_strerror(rc));
	free(c.log);
	free(c.deletions);
	free(c.buf);
	free(c.parent);
	free(c.path);
	(void)cidstore_close(c.s);
	return rc;
}

int cidstore_snapshot_copy(const char *path, const char *dest,
			   int (*more)(void *, uint64_t, uint64_t), void *arg,
			   struct cidstore_copied *out, struct cidstore_error *err)
{
	return cid_store_copy_io(&cid_io_posix, path, dest, more, arg, out, err);
}
