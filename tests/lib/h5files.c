/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/h5files.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tap.h"

const struct cid_h5_params params = {
	.segment_bytes = 4u << 20,
	.log_bytes = 256u << 10,
	.created_ns = 1700000000000000001u,
	.hash_seed = 0xfedcba9876543210u,
	.uuid_high = 0x0123456789abcdefu,
	.uuid_low = 0xfedcba9876543210u,
	.format_version = 1,
	.promotion_threshold = 128,
	.bucket_bytes = 512u << 10,
	.version_string = "1.2.3",
};

static char dir[] = "/tmp/cidstore-h5-XXXXXX";

const char *path_of(enum cid_h5_kind kind, uint32_t number)
{
	static char path[CID_H5_KINDS][4][128];
	char *out = path[kind][number % 4];
	char name[64];

	if (!cid_h5_file_name(kind, number, name, sizeof(name)))
		tap_bail("no name for kind %d", (int)kind);
	(void)snprintf(out, sizeof(path[0][0]), "%s/%s", dir, name);
	return out;
}

void put(int fd, const void *p, size_t n, uint64_t off)
{
	if (pwrite(fd, p, n, (off_t)off) != (ssize_t)n)
		tap_bail("pwrite");
}

/* Writes a file as the store does. */
void write_file(enum cid_h5_kind kind, const struct cid_h5_params *p)
{
	const char *path = path_of(kind, p->segment_number);
	struct cidstore_error err = { 0 };
	struct cid_h5_image im;
	int fd;

	if (cid_h5_image_make(kind, p, &im, &err))
		tap_bail("image: %s", err.message);
	(void)unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)im.file_len))
		tap_bail("%s", path);
	put(fd, im.head, im.head_len, 0);
	if (im.tail_len)
		put(fd, im.tail, im.tail_len, im.data_offset + im.data_len);
	(void)close(fd);
	cid_h5_image_free(&im);
}

int check(enum cid_h5_kind kind, uint32_t number, const struct cid_h5_params *p,
	  struct cidstore_error *err)
{
	struct cid_h5_params q = *p;

	q.segment_number = number;
	memset(err, 0, sizeof(*err));
	return cid_h5_check_file(path_of(kind, number), kind, &q, err);
}

struct census take_census(void)
{
	struct census c = { .handles = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) };
	DIR *d = opendir("/proc/self/fd");

	while (d && readdir(d))
		c.fds++;
	if (d)
		(void)closedir(d);
	c.bytes = mallinfo2().uordblks;
	return c;
}

void files_begin(void)
{
	if (!mkdtemp(dir))
		tap_bail("mkdtemp");
}

void files_end(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}
