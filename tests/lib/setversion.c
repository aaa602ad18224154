/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setversion.c - makes a store look as if another format had written it
 *
 *     setversion STORE VERSION
 *
 * Patches the version in all valid root copies and their checksums.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5/image.h"
#include "store/format.h"

static int fail(const char *what)
{
	(void)fprintf(stderr, "setversion: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	char path[500];
	unsigned patched = 0;
	int fd;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: setversion STORE VERSION\n");
		return 2;
	}
	(void)snprintf(path, sizeof(path), "%s/" CID_H5_MAIN_NAME, argv[1]);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return fail(path);
	for (int i = 0; i < CID_ROOT_COPIES; i++) {
		off_t at = CID_H5_ROOT_OFFSET + i * (off_t)CID_PAGE;
		struct cid_root r;

		if (pread(fd, &r, sizeof(r), at) != (ssize_t)sizeof(r))
			return fail(path);
		if (memcmp(r.magic, CID_ROOT_MAGIC, sizeof(r.magic)) != 0)
			continue;
		r.format_version = (uint32_t)strtoul(argv[2], NULL, 10);
		r.sum = cid_sum_of(&r, offsetof(struct cid_root, sum), 0);
		if (pwrite(fd, &r, sizeof(r), at) != (ssize_t)sizeof(r))
			return fail(path);
		patched++;
	}
	if (close(fd))
		return fail(path);
	printf("%u root copies patched\n", patched);
	return patched ? 0 : 1;
}
