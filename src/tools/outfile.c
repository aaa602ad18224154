/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"

#define BUFFER (1u << 20)

struct cid_outfile {
	const char *path; /* for messages */
	char *temporary;  /* NULL: written directly */
	int fd;
	size_t n;
	char buf[BUFFER];
};

static int fail(struct cid_outfile *f, struct cidstore_error *err, int error)
{
	if (error == EPIPE) {
		cid_err_set(err, CIDSTORE_ESYSTEM, "%s", "");
		return CIDSTORE_ESYSTEM;
	}
	return cid_err_set(err, cid_err_from_errno(-error), "writing %s: %s", f->path,
			   strerror(error));
}

static int open_file(struct cid_outfile *f, const char *path)
{
	mode_t mask = umask(0);
	struct stat st;

	umask(mask);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		f->fd = open(path, O_WRONLY | O_CLOEXEC);
		return f->fd < 0 ? -errno : 0;
	}
	if (asprintf(&f->temporary, "%s.XXXXXX", path) < 0) {
		f->temporary = NULL;
		return -ENOMEM;
	}
	f->fd = mkostemp(f->temporary, O_CLOEXEC);
	if (f->fd < 0) {
		free(f->temporary);
		f->temporary = NULL;
		return -errno;
	}
	return fchmod(f->fd, 0666 & ~mask) == 0 ? 0 : -errno;
}

int cid_outfile_open(const char *path, struct cid_outfile **out, struct cidstore_error *err)
{
	struct cid_outfile *f = malloc(sizeof(*f));
	int rc = 0;

	if (f == NULL)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	f->temporary = NULL;
	f->n = 0;
	if (path == NULL || strcmp(path, "-") == 0) {
		f->path = "standard output";
		f->fd = STDOUT_FILENO;
	} else {
		f->path = path;
		rc = open_file(f, path);
	}
	if (rc != 0) {
		rc = fail(f, err, -rc);
		cid_outfile_abandon(f);
		return rc;
	}
	*out = f;
	return 0;
}

int cid_outfile_fd(const struct cid_outfile *f)
{
	return f->fd;
}

static int flush(struct cid_outfile *f, struct cidstore_error *err)
{
	const char *p = f->buf;
	ssize_t put;

	while (f->n > 0) {
		put = write(f->fd, p, f->n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail(f, err, errno);
		p += put;
		f->n -= (size_t)put;
	}
	return 0;
}

char *cid_outfile_room(struct cid_outfile *f, size_t n, struct cidstore_error *err)
{
	if (sizeof(f->buf) - f->n < n && flush(f, err) != 0)
		return NULL;
	return f->buf + f->n;
}

void cid_outfile_used(struct cid_outfile *f, size_t n)
{
	f->n += n;
}

int cid_outfile_put(struct cid_outfile *f, const void *p, size_t n, struct cidstore_error *err)
{
	const char *from = p;
	size_t part;
	int rc;

	while (n > 0) {
		part = sizeof(f->buf) - f->n;
		if (part > n)
			part = n;
		memcpy(f->buf + f->n, from, part);
		f->n += part;
		from += part;
		n -= part;
		if (f->n == sizeof(f->buf)) {
			rc = flush(f, err);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

static int sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash == NULL   ? strdup(".")
		       : slash == path ? strdup("/")
				       : strndup(path, (size_t)(slash - path));
	int fd, rc;

	if (parent == NULL)
		return -ENOMEM;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(parent);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) == 0 || errno == EINVAL ? 0 : -errno;
	close(fd);
	return rc;
}

int cid_outfile_commit(struct cid_outfile *f, struct cidstore_error *err)
{
	int rc = flush(f, err), fd = f->fd;

	if (rc == 0 && f->temporary != NULL) {
		if (fsync(fd) != 0)
			rc = fail(f, err, errno);
		f->fd = -1;
		if (close(fd) != 0 && rc == 0)
			rc = fail(f, err, errno);
		if (rc == 0 && rename(f->temporary, f->path) != 0)
			rc = fail(f, err, errno);
		if (rc == 0) {
			free(f->temporary);
			f->temporary = NULL;
			rc = sync_parent(f->path);
			if (rc != 0)
				rc = fail(f, err, -rc);
		}
	}
	cid_outfile_abandon(f);
	return rc;
}

void cid_outfile_abandon(struct cid_outfile *f)
{
	if (f == NULL)
		return;
	if (f->fd > STDERR_FILENO)
		close(f->fd);
	if (f->temporary != NULL)
		unlink(f->temporary);
	free(f->temporary);
	free(f);
}
