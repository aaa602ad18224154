/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/storecopy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tap.h"
#include "os/io.h"

const char *const store_file[STORE_FILES] = {
	[STORE_LOCK] = "LOCK",
	[STORE_MAIN] = "main.h5",
	[STORE_DIRECTORY] = "directory-0.h5",
	[STORE_BUCKETS] = "buckets-0.h5",
	[STORE_VALUES] = "values-0.h5",
	[STORE_WAL] = "wal-0.h5",
	[STORE_DELETIONS] = "deletions-0.h5",
};

void copy_file(const char *from, const char *to)
{
	static char buf[1 << 16];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	off_t end = lseek(in, 0, SEEK_END), at = 0;

	if (in < 0 || out < 0 || ftruncate(out, end))
		tap_bail("copying %s to %s: %s", from, to, strerror(errno));
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		off_t hole = lseek(in, at, SEEK_HOLE);

		while (at < hole) {
			size_t n = hole - at < (off_t)sizeof(buf) ? (size_t)(hole - at) :
								    sizeof(buf);

			if (pread(in, buf, n, at) != (ssize_t)n ||
			    pwrite(out, buf, n, at) != (ssize_t)n)
				tap_bail("copying %s: %s", from, strerror(errno));
			at += (off_t)n;
		}
	}
	close(in);
	close(out);
}

void copy_store(const char *from, const char *to)
{
	char a[300], b[300];

	if (mkdir(to, 0755))
		tap_bail("%s: %s", to, strerror(errno));
	for (int i = 0; i < STORE_FILES; i++) {
		(void)snprintf(a, sizeof(a), "%s/%s", from, store_file[i]);
		(void)snprintf(b, sizeof(b), "%s/%s", to, store_file[i]);
		copy_file(a, b);
	}
}

static int remove_name(void *arg, const char *name)
{
	int fd = *(int *)arg;

	return unlinkat(fd, name, 0) && unlinkat(fd, name, AT_REMOVEDIR) ? -errno : 0;
}

void remove_store(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return;
	if (cid_io_posix.list(NULL, fd, remove_name, &fd) || rmdir(path))
		tap_bail("%s: cannot be removed", path);
	close(fd);
}
