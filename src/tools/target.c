/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/err.h"

int cid_target_open(const char *path, bool change, struct cid_target **out,
		    struct cidstore_error *err)
{
	char *version = NULL;
	struct stat st;
	int found;

	if (stat(path, &st) != 0)
		return cid_err_set(err, cid_err_from_errno(-errno), "%s: %s", path,
				   strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return cid_err_set(err, CIDSTORE_ENOTSTORE,
				   "%s is neither a store's directory nor a mounted root", path);
	if (asprintf(&version, "%s/.cidstore/version", path) < 0)
		return cid_err_set(err, CIDSTORE_ENOMEM, "%s: out of memory", path);
	found = stat(version, &st) == 0;
	free(version);
	return found ? cid_target_open_mount(path, change, out, err)
		     : cid_target_open_store(path, change, out, err);
}
