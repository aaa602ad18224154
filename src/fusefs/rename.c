/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/rename.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "fusefs/kernel.h"
#include "fusefs/name.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1u
#endif

static void reply_move(fuse_req_t req, fuse_ino_t parent, const struct cid_node *from,
		       fuse_ino_t newparent, const struct cid_node *to, bool noreplace)
{
	struct cid_fusefs *f = cid_fs(req);
	uint64_t moved;
	int rc = cidstore_move(f->store, from->key, from->value, to->key, to->value, noreplace);

	if (!rc) {
		cid_fs_changed(f, parent);
		cid_fs_changed(f, newparent);
		moved = cid_nodes_move(f->nodes, from, to);
		if (moved) /* its inode number is that of the new name now */
			cid_kernel_drop_attr(f->session, moved);
	}
	cid_fs_reply_code(req, rc);
}

/* What is wrong with the new name before the old one is looked at, or 0. */
static int check_target(struct cid_fusefs *f, const struct cid_node *to_dir, const char *newname,
			unsigned int flags)
{
	struct cidstore_id id;
	enum cid_name_kind kind = cid_name_classify(to_dir, newname, &id);
	int error;

	if (kind == CID_NAME_TOO_LONG)
		return ENAMETOOLONG;
	if (flags & ~(unsigned int)RENAME_NOREPLACE)
		return EINVAL;
	if (flags & RENAME_NOREPLACE) {
		error = cid_name_exists(f, to_dir, newname);
		if (error != ENOENT)
			return error ? error : EEXIST;
	}
	if (kind == CID_NAME_CTL || to_dir->kind == CID_NODE_CTL)
		return EPERM;
	return kind == CID_NAME_ID ? 0 : EINVAL;
}

void cid_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		   const char *newname, unsigned int flags)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node from_dir, to_dir;
	struct cid_node from = { .kind = CID_NODE_VALUE }, to = { .kind = CID_NODE_VALUE };
	enum cid_name_kind kind;
	int error;

	if (!cid_fs_node(req, parent, false, &from_dir) ||
	    !cid_fs_node(req, newparent, false, &to_dir))
		return;
	kind = cid_name_classify(&from_dir, name, &from.value);
	error = kind == CID_NAME_TOO_LONG ? ENAMETOOLONG :
					    check_target(f, &to_dir, newname, flags);
	if (!error && (kind == CID_NAME_CTL || from_dir.kind == CID_NODE_CTL))
		error = EPERM;
	if (!error && kind == CID_NAME_OTHER)
		error = ENOENT;
	if (!error && from_dir.kind != CID_NODE_KEY)
		/* A key: mv(1) then copies and removes, which works. */
		error = EXDEV;
	if (!error && to_dir.kind != CID_NODE_KEY)
		error = EPERM; /* a file at the root */
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	(void)cid_name_classify(&to_dir, newname, &to.value);
	from.key = from_dir.key;
	to.key = to_dir.key;
	reply_move(req, parent, &from, newparent, &to, flags & RENAME_NOREPLACE);
}

static void refuse(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct cid_node dir;

	if (cid_fs_node(req, parent, false, &dir))
		fuse_reply_err(req, cid_name_refuse(cid_fs(req), &dir, name));
}

void cid_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	(void)ino;
	refuse(req, newparent, newname);
}

void cid_op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link;
	refuse(req, parent, name);
}
