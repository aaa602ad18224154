/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/losses.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 100 };

struct cid_losses {
	FILE *file;
	char *path;
	size_t stem; /* length of the path without a number */
};

struct cid_losses *cid_losses_new(const char *store, const char *path)
{
	struct cid_losses *l = calloc(1, sizeof(*l));
	const char *from = path != NULL ? path : store;
	size_t n = strlen(from);

	if (l == NULL)
		return NULL;
	while (path == NULL && n > 1 && from[n - 1] == '/')
		n--;
	l->path = malloc(n + 16);
	if (l->path == NULL) {
		free(l);
		return NULL;
	}
	memcpy(l->path, from, n);
	strcpy(l->path + n, path != NULL ? "" : ".lost");
	l->stem = strlen(l->path);
	return l;
}

void cid_losses_free(struct cid_losses *l)
{
	if (l->file != NULL)
		(void)fclose(l->file);
	free(l->path);
	free(l);
}

static int make(struct cid_losses *l)
{
	int fd = -1;

	for (int i = 0; fd < 0 && i < NAMES; i++) {
		if (i > 0)
			(void)snprintf(l->path + l->stem, 11, ".%d", i);
		fd = open(l->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -errno;
	}
	l->file = fd < 0 ? NULL : fdopen(fd, "w");
	return l->file != NULL ? 0 : -errno;
}

/* The file's name is durable with its directory. */
static int sync_parent(const struct cid_losses *l)
{
	const char *slash = strrchr(l->path, '/');
	char *dir = slash != NULL ? strndup(l->path, (size_t)(slash - l->path) + 1) : strdup(".");
	int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, rc = 0;

	if (fd < 0 || fsync(fd))
		rc = dir != NULL ? -errno : -ENOMEM;
	if (fd >= 0)
		(void)close(fd);
	free(dir);
	return rc;
}

int cid_losses_add(struct cid_losses *l, const char *line)
{
	if (line != NULL) {
		int rc = l->file == NULL ? make(l) : 0;

		if (rc)
			return rc;
		return fprintf(l->file, "%s\n", line) < 0 ? -errno : 0;
	}
	if (l->file == NULL)
		return 0;
	if (fflush(l->file) || fsync(fileno(l->file)))
		return -errno;
	return sync_parent(l);
}

const char *cid_losses_path(const struct cid_losses *l)
{
	return l->path;
}
