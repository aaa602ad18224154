/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "bench/clock.h"

#define PIECE  (1u << 20)
#define RECORD 64u

static void look_cpu(struct cid_machine *m)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(m->cpu, sizeof(m->cpu), "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL) {
			char *v = strchr(line, ':') + 1;

			v += strspn(v, " ");
			v[strcspn(v, "\n")] = '\0';
			snprintf(m->cpu, sizeof(m->cpu), "%.127s", v);
			break;
		}
	if (f != NULL)
		fclose(f);
}

/* The line of mountinfo with the device: "ID PARENT MAJ:MIN ROOT AT OPTIONS
 * [TAGS] - TYPE SOURCE ..." */
static void look_filesystem(struct cid_machine *m)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024], dev[32];

	snprintf(m->filesystem, sizeof(m->filesystem), "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *dash = strstr(line, " - ");

		if (dash == NULL || sscanf(line, "%*s %*s %31s", dev) != 1 ||
		    strcmp(dev, m->device) != 0)
			continue;
		dash[3 + strcspn(dash + 3, " ")] = '\0';
		snprintf(m->filesystem, sizeof(m->filesystem), "%.63s", dash + 3);
		break;
	}
	if (f != NULL)
		fclose(f);
}

void cid_machine_look(const char *dir, struct cid_machine *out)
{
	time_t now = time(NULL);
	struct utsname u;
	struct stat st;
	struct tm tm;

	memset(out, 0, sizeof(*out));
	gmtime_r(&now, &tm);
	strftime(out->date, sizeof(out->date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (uname(&u) == 0) {
		snprintf(out->name, sizeof(out->name), "%s", u.nodename);
		snprintf(out->kernel, sizeof(out->kernel), "%.32s %.64s %.24s", u.sysname,
			 u.release, u.machine);
	}
	out->cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	out->memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	if (stat(dir, &st) == 0)
		snprintf(out->device, sizeof(out->device), "%u:%u", major(st.st_dev),
			 minor(st.st_dev));
	look_cpu(out);
	look_filesystem(out);
}

/* A file that has no name any more. */
static int scratch(const char *dir)
{
	char path[4096];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/raw.XXXXXX", dir) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int write_all(int fd, const char *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t w = pwrite(fd, p, n, at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? errno : EIO;
		p += w;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

static int fill(int fd, uint64_t bytes)
{
	char *piece = calloc(1, PIECE);
	int rc = piece == NULL ? ENOMEM : 0;

	for (uint64_t at = 0; rc == 0 && at < bytes; at += PIECE)
		rc = write_all(fd, piece, PIECE, (off_t)at);
	free(piece);
	return rc == 0 && fdatasync(fd) != 0 ? errno : rc;
}

int cid_machine_write(const char *dir, uint64_t bytes, double *per_second)
{
	int fd = scratch(dir), rc;
	double begin = cid_seconds();

	if (fd < 0)
		return errno;
	rc = fill(fd, bytes);
	if (rc == 0)
		*per_second = (double)bytes / (cid_seconds() - begin);
	close(fd);
	return rc;
}

int cid_machine_sync(const char *dir, unsigned syncs, double *us)
{
	char record[RECORD] = { 1 };
	int fd = scratch(dir), rc;
	double begin;

	if (fd < 0)
		return errno;
	rc = fill(fd, PIECE);
	begin = cid_seconds();
	for (unsigned i = 0; rc == 0 && i < syncs; i++) {
		rc = write_all(fd, record, RECORD, (off_t)(i * RECORD % PIECE));
		if (rc == 0 && fdatasync(fd) != 0)
			rc = errno;
	}
	if (rc == 0)
		*us = (cid_seconds() - begin) * 1e6 / syncs;
	close(fd);
	return rc;
}
