/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int put(const char *dir, const char *file, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int put(const char *dir, const char *file, const char *fmt, ...)
{
	char path[512], text[64];
	va_list ap;
	int fd, n, rc;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = write(fd, text, (size_t)n) == n ? 0 : -1;
	close(fd);
	return rc;
}

static int take(const char *dir, const char *file, char *text, size_t cap)
{
	char path[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, cap - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n >= 0 ? 0 : -1;
}

/* The root of the hierarchy that has the memory controller; its version, or 0. */
static int hierarchy(char root[192])
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], at[192], type[32], options[512], have[512];
	int version = 0;

	while (f != NULL && version == 0 && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%*s %191s %31s %511s", at, type, options) != 3)
			continue;
		if (strcmp(type, "cgroup") == 0 && strstr(options, "memory") != NULL)
			version = 1;
		else if (strcmp(type, "cgroup2") == 0 &&
			 take(at, "cgroup.controllers", have, sizeof(have)) == 0 &&
			 strstr(have, "memory") != NULL)
			version = 2;
		if (version != 0)
			memcpy(root, at, sizeof(at));
	}
	if (f != NULL)
		fclose(f);
	return version;
}

/* Where this process is in that hierarchy: "N:memory:/PATH" or "0::/PATH". */
static void find_home(struct cid_cgroup *g, const char *root)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	const char *want = g->version == 1 ? ":memory:" : "0::";
	char line[512], *p;

	snprintf(g->home, sizeof(g->home), "%s", root);
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		p = strstr(line, want);
		if (p == NULL || (g->version == 2 && p != line))
			continue;
		p += strlen(want);
		p[strcspn(p, "\n")] = '\0';
		if (strlen(root) + strlen(p) < sizeof(g->home)) {
			strcpy(g->home, root);
			strcat(g->home, p);
		}
		break;
	}
	if (f != NULL)
		fclose(f);
}

int cid_cgroup_enter(struct cid_cgroup *g, uint64_t bytes, char *why, size_t cap)
{
	char root[192];

	memset(g, 0, sizeof(*g));
	if (geteuid() != 0) {
		snprintf(why, cap, "a memory cgroup can be made by root only");
		return -1;
	}
	g->version = hierarchy(root);
	if (g->version == 0) {
		snprintf(why, cap, "no cgroup hierarchy with a memory controller is mounted");
		return -1;
	}
	find_home(g, root);
	snprintf(g->path, sizeof(g->path), "%s/cidstore-bench.%d", root, (int)getpid());
	if (g->version == 2)
		(void)put(root, "cgroup.subtree_control", "+memory");
	if (mkdir(g->path, 0755) != 0 && errno != EEXIST)
		goto failed;
	if (put(g->path, g->version == 1 ? "memory.limit_in_bytes" : "memory.max", "%" PRIu64,
		bytes) != 0 ||
	    put(g->path, "cgroup.procs", "%d", (int)getpid()) != 0)
		goto failed;
	return 0;
failed:
	snprintf(why, cap, "%s: %s", g->path, strerror(errno));
	rmdir(g->path);
	g->version = 0;
	return -1;
}

uint64_t cid_cgroup_peak(const struct cid_cgroup *g)
{
	char text[64];

	if (g->version == 0 ||
	    take(g->path, g->version == 1 ? "memory.max_usage_in_bytes" : "memory.peak", text,
		 sizeof(text)) != 0)
		return 0;
	return strtoull(text, NULL, 10);
}

void cid_cgroup_leave(struct cid_cgroup *g)
{
	if (g->version == 0)
		return;
	put(g->home, "cgroup.procs", "%d", (int)getpid());
	rmdir(g->path);
	g->version = 0;
}
