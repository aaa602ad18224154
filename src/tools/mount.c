/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/err.h"

int cid_mount_fail(struct cid_target *t, const char *file, int error)
{
	const char *remedy = "";
	int code = cid_err_from_errno(-error);

	switch (error) {
	case ENOSPC:
		remedy = "; free some space where the store lies, or delete keys and compact";
		break;
	case EROFS:
		remedy = "; it is mounted read-only, mount it without -o ro";
		break;
	case EACCES:
	case EPERM:
		remedy = "; this is for root and the user who mounted the store";
		break;
	case EIO:
		remedy = "; see the daemon's log, or unmount and run fsck.cidstore on the store";
		break;
	case ENOTCONN:
		remedy = "; the daemon is gone, mount the store again";
		break;
	case EFBIG:
		remedy = " (more operations than config/batch_limit)";
		break;
	default:
		break;
	}
	return cid_err_set(&t->err, code, "%s/%s: %s%s", t->path, file, strerror(error), remedy);
}

int cid_mount_reserve(struct cid_target *t, size_t n)
{
	struct cid_mount *x = cid_mount(t);
	char *p;

	if (n <= x->cap)
		return 0;
	p = realloc(x->buf, n);
	if (p == NULL)
		return cid_err_set(&t->err, CIDSTORE_ENOMEM, "%s: out of memory", t->path);
	x->buf = p;
	x->cap = n;
	return 0;
}

int cid_mount_control(struct cid_target *t, const char *file, int flags, int *fd)
{
	if (*fd < 0)
		*fd = openat(cid_mount(t)->root, file, flags | O_CLOEXEC);
	return *fd < 0 ? cid_mount_fail(t, file, errno) : 0;
}

int cid_mount_put(struct cid_target *t, int fd, const char *file, const void *bytes, size_t n)
{
	const char *p = bytes;
	ssize_t put;

	while (n > 0) {
		put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return cid_mount_fail(t, file, errno);
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

int cid_mount_take(struct cid_target *t, int fd, const char *file, void *bytes, size_t n)
{
	char *p = bytes;
	ssize_t got;

	while (n > 0) {
		got = read(fd, p, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return cid_mount_fail(t, file, got < 0 ? errno : EIO);
		p += got;
		n -= (size_t)got;
	}
	return 0;
}
