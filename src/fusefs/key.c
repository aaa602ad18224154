/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/key.h"

#include <errno.h>
#include "fusefs/lookup.h"
#include "fusefs/name.h"

void cid_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node dir, id = { .kind = CID_NODE_KEY };
	struct fuse_entry_param e;
	uint64_t foreign = atomic_load(&f->foreign);
	int rc;

	(void)mode; /* -o umask decides */
	if (!cid_fs_node(req, parent, false, &dir))
		return;
	if (dir.kind != CID_NODE_ROOT || cid_name_classify(&dir, name, &id.key) != CID_NAME_ID) {
		fuse_reply_err(req, cid_name_refuse(f, &dir, name));
		return;
	}
	rc = cidstore_mkkey(f->store, id.key);
	if (!rc) {
		cid_fs_changed(f, parent);
		rc = cid_entry_made(f, &id, foreign, &e);
	}
	cid_entry_reply(req, rc, &e);
}

void cid_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node dir, id = { .kind = CID_NODE_KEY };
	enum cid_name_kind kind;
	int rc;

	if (!cid_fs_node(req, parent, false, &dir))
		return;
	kind = cid_name_classify(&dir, name, &id.key);
	if (dir.kind != CID_NODE_ROOT || kind != CID_NAME_ID) {
		int error = cid_name_exists(f, &dir, name);

		if (!error)
			error = dir.kind == CID_NODE_KEY ? ENOTDIR : EPERM;
		fuse_reply_err(req, error);
		return;
	}
	rc = cidstore_rmkey(f->store, id.key);
	if (!rc) {
		cid_fs_changed(f, parent);
		cid_nodes_remove(f->nodes, &id);
	}
	cid_fs_reply_code(req, rc);
}
