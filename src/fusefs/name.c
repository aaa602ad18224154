/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/name.h"

#include <errno.h>
#include <string.h>
#include "fusefs/ctl.h"

enum cid_name_kind cid_name_classify(const struct cid_node *dir, const char *name,
				     struct cidstore_id *out)
{
	size_t len = strnlen(name, CID_NAME_MAX + 1);

	if (len > CID_NAME_MAX)
		return CID_NAME_TOO_LONG;
	if (dir->kind == CID_NODE_ROOT && !strcmp(name, CID_CTL_NAME))
		return CID_NAME_CTL;
	if (dir->kind != CID_NODE_CTL && !cidstore_id_parse(name, len, out))
		return CID_NAME_ID;
	return CID_NAME_OTHER;
}

int cid_name_exists(struct cid_fusefs *f, const struct cid_node *dir, const char *name)
{
	struct cidstore_id id;
	uint64_t count;

	switch (cid_name_classify(dir, name, &id)) {
	case CID_NAME_TOO_LONG:
		return ENAMETOOLONG;
	case CID_NAME_CTL:
		return 0;
	case CID_NAME_OTHER:
		return dir->kind == CID_NODE_CTL ? cid_ctl_exists(f, dir->path, name) : ENOENT;
	case CID_NAME_ID:
		break;
	}
	if (dir->kind == CID_NODE_ROOT)
		return cid_fs_errno(cidstore_count(f->store, id, &count));
	if (dir->kind == CID_NODE_KEY)
		return cid_fs_errno(cidstore_contains(f->store, dir->key, id));
	return ENOENT;
}

int cid_name_refuse(struct cid_fusefs *f, const struct cid_node *dir, const char *name)
{
	struct cidstore_id id;
	int error = cid_name_exists(f, dir, name);

	if (!error)
		return EEXIST;
	if (error != ENOENT)
		return error;
	if (dir->kind != CID_NODE_CTL && cid_name_classify(dir, name, &id) == CID_NAME_OTHER)
		return EINVAL;
	return EPERM;
}
