/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/mounted.h"

#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *cid_mounted_at(const char *store)
{
	char *path = realpath(store, NULL), *found = NULL;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	bool writes = false;
	struct mntent *m;

	while (path != NULL && mounts != NULL && (m = getmntent(mounts)) != NULL) {
		if (strcmp(m->mnt_type, "fuse.cidstore") != 0 || strcmp(m->mnt_fsname, path) != 0 ||
		    writes)
			continue;
		writes = hasmntopt(m, "rw") != NULL;
		free(found);
		found = strdup(m->mnt_dir);
	}
	if (mounts != NULL)
		endmntent(mounts);
	free(path);
	return found;
}

char *cid_mounted_from(const char *mountpoint)
{
	char *path = realpath(mountpoint, NULL), *found = NULL;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	/* The last one lies above the others. */
	while (path != NULL && mounts != NULL && (m = getmntent(mounts)) != NULL) {
		if (strcmp(m->mnt_dir, path) != 0)
			continue;
		free(found);
		found = strcmp(m->mnt_type, "fuse.cidstore") == 0 ? strdup(m->mnt_fsname) : NULL;
	}
	if (mounts != NULL)
		endmntent(mounts);
	free(path);
	return found;
}

static bool has(const char *path, const char *file)
{
	char *name = NULL;
	bool is = asprintf(&name, "%s/%s", path, file) >= 0 && access(name, F_OK) == 0;

	free(name);
	return is;
}

bool cid_is_store(const char *path)
{
	return has(path, "main.h5");
}

bool cid_is_mounted(const char *path)
{
	return has(path, ".cidstore/version");
}
