/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The number behind `name` at the start of a line; 0 where there is none. */
static uint64_t field(const char *text, const char *name)
{
	size_t len = strlen(name);

	while (text != NULL) {
		if (strncmp(text, name, len) == 0)
			return strtoull(text + len, NULL, 10);
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return 0;
}

static int slurp(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, cap - 1) : -1;

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? 0 : -1;
}

void cid_meter_memory(struct cid_memory *out)
{
	char text[4096];

	slurp("/proc/self/status", text, sizeof(text));
	out->anon = field(text, "RssAnon:") * 1024;
	out->shmem = field(text, "RssShmem:") * 1024;
}

void cid_meter_io(const char *dir, struct cid_io_count *out)
{
	char text[1024], path[64];
	uint64_t v[8] = { 0 };
	struct rusage u;
	struct stat st;

	memset(out, 0, sizeof(*out));
	slurp("/proc/self/io", text, sizeof(text));
	out->read_bytes = field(text, "read_bytes:");
	out->written_bytes = field(text, "write_bytes:");
	if (getrusage(RUSAGE_SELF, &u) == 0)
		out->faults = (uint64_t)u.ru_majflt;
	if (stat(dir, &st) != 0)
		return;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(st.st_dev),
		 minor(st.st_dev));
	if (slurp(path, text, sizeof(text)) != 0)
		return;
	sscanf(text, "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64,
	       &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]);
	out->device_reads = v[0];
	out->device_read_bytes = v[2] * 512;
	out->device_writes = v[4];
	out->device_written_bytes = v[6] * 512;
}

static uint64_t walk(const char *dir, int evict)
{
	char path[4096];
	struct dirent *e;
	struct stat st;
	uint64_t sum = 0;
	DIR *d = opendir(dir);
	int fd;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= sizeof(path) ||
		    lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			sum += walk(path, evict);
			continue;
		}
		sum += (uint64_t)st.st_blocks * 512;
		if (!evict || !S_ISREG(st.st_mode))
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			fdatasync(fd);
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
			close(fd);
		}
	}
	closedir(d);
	return sum;
}

uint64_t cid_meter_disk(const char *dir)
{
	return walk(dir, 0);
}

void cid_meter_evict(const char *dir)
{
	walk(dir, 1);
}
