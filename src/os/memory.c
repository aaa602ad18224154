/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - how much memory this process may use
 *
 * The machine's, or less where a memory cgroup says so: the lowest limit on the
 * way from its own group up to the root, in either version of the interface
 * (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux),
 * mounted where systemd and container runtimes mount it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "os/io.h"

static uint64_t number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long n;
	uint64_t limit = UINT64_MAX; /* also what "max" means */

	if (!f)
		return limit;
	if (fscanf(f, "%llu", &n) == 1)
		limit = n;
	(void)fclose(f);
	return limit;
}

/* The lowest of `file` in root/group and all groups above it. */
static uint64_t lowest(const char *root, char *group, const char *file)
{
	uint64_t least = UINT64_MAX;
	char path[4400];

	for (;;) {
		char *last = strrchr(group, '/');
		uint64_t n;

		if ((size_t)snprintf(path, sizeof(path), "%s%s/%s", root, group, file) <
		    sizeof(path)) {
			n = number_in(path);
			least = n < least ? n : least;
		}
		if (!last)
			return least;
		*last = '\0';
	}
}

uint64_t cid_os_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t least = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[4200];

	/* Lines are number:controllers:/group; version 2 names no controller. */
	while (f && fgets(line, sizeof(line), f)) {
		char *kind = strchr(line, ':'), *group = kind ? strchr(kind + 1, ':') : NULL;
		uint64_t n = UINT64_MAX;

		if (!group)
			continue;
		*kind++ = *group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (strcmp(group, "/") == 0)
			*group = '\0';
		if (!*kind)
			n = lowest("/sys/fs/cgroup", group, "memory.max");
		else if (strcmp(kind, "memory") == 0)
			n = lowest("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
		least = n < least ? n : least;
	}
	if (f)
		(void)fclose(f);
	return least;
}
