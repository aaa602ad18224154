/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/value.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "fusefs/lookup.h"
#include "fusefs/name.h"

/* No state is kept for an open value, its one page is never read, and closing
 * it has nothing to say: no flush request. */
static void open_flags(struct fuse_file_info *fi)
{
	fi->fh = 0;
	fi->keep_cache = 1;
	fi->noflush = 1;
}

/* Adds a value; with `shared` one that exists is as good. */
static int add(struct cid_fusefs *f, fuse_ino_t parent, const struct cid_node *id, bool shared,
	       struct fuse_entry_param *e)
{
	uint64_t foreign = atomic_load(&f->foreign);
	int rc = cidstore_add(f->store, id->key, id->value);

	if (!rc)
		cid_fs_changed(f, parent);
	if (!rc || (shared && rc == CIDSTORE_EEXIST))
		rc = cid_entry_made(f, id, foreign, e);
	return rc;
}

void cid_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *fi)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node dir, id = { .kind = CID_NODE_VALUE };
	struct fuse_entry_param e;
	int rc;

	(void)mode;
	if (!cid_fs_node(req, parent, false, &dir))
		return;
	if (dir.kind != CID_NODE_KEY || cid_name_classify(&dir, name, &id.value) != CID_NAME_ID) {
		fuse_reply_err(req, cid_name_refuse(f, &dir, name));
		return;
	}
	id.key = dir.key;
	rc = add(f, parent, &id, !(fi->flags & O_EXCL), &e);
	if (rc) {
		cid_fs_reply_code(req, rc);
		return;
	}
	open_flags(fi);
	if (fuse_reply_create(req, &e, fi))
		cid_entry_drop(f, &e);
}

void cid_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node dir, id = { .kind = CID_NODE_VALUE };
	struct fuse_entry_param e;

	(void)rdev;
	if (!cid_fs_node(req, parent, false, &dir))
		return;
	if (!S_ISREG(mode) || dir.kind != CID_NODE_KEY ||
	    cid_name_classify(&dir, name, &id.value) != CID_NAME_ID) {
		fuse_reply_err(req, cid_name_refuse(f, &dir, name));
		return;
	}
	id.key = dir.key;
	cid_entry_reply(req, add(f, parent, &id, false, &e), &e);
}

void cid_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node dir, id = { .kind = CID_NODE_VALUE };
	int rc;

	if (!cid_fs_node(req, parent, false, &dir))
		return;
	if (dir.kind != CID_NODE_KEY || cid_name_classify(&dir, name, &id.value) != CID_NAME_ID) {
		int error = cid_name_exists(f, &dir, name);

		if (!error)
			error = dir.kind == CID_NODE_ROOT ? EISDIR : EPERM;
		fuse_reply_err(req, error);
		return;
	}
	id.key = dir.key;
	rc = cidstore_remove(f->store, id.key, id.value);
	if (!rc) {
		cid_fs_changed(f, parent);
		cid_nodes_remove(f->nodes, &id);
	}
	cid_fs_reply_code(req, rc);
}

void cid_value_open(fuse_req_t req, const struct cid_node *n, struct fuse_file_info *fi)
{
	int rc = n->gone ? 0 : cidstore_contains(cid_fs(req)->store, n->key, n->value);

	/* Removed by another way: ESTALE has the kernel look the path up again. */
	if (rc == CIDSTORE_ENOENT) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (rc) {
		cid_fs_reply_code(req, rc);
		return;
	}
	open_flags(fi);
	fuse_reply_open(req, fi);
}
