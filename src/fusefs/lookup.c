/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/lookup.h"

#include <errno.h>
#include <string.h>
#include "fusefs/attr.h"
#include "fusefs/ctl.h"
#include "fusefs/name.h"
#include "fusefs/notify.h"

static int add_lookup(struct cid_fusefs *f, const struct cid_node *id, struct fuse_entry_param *e,
		      bool *known)
{
	int rc = cid_nodes_ref(f->nodes, id, &e->ino, &e->generation, known);

	if (!rc && !*known)
		cid_notify_grown(f->notify);
	e->entry_timeout = e->attr_timeout = cid_fs_timeout(f);
	return rc;
}

/*
 * A change between the read and the ref would not find the node and go unseen
 * by the kernel; so the read is repeated where one happened. Requests cannot
 * remove this name meanwhile (the kernel holds the directory), but they can
 * change the number of values of a key the kernel knows already.
 */
int cid_entry_find(struct cid_fusefs *f, const struct cid_node *id, struct fuse_entry_param *e)
{
	_Atomic uint64_t *counter = &f->foreign;
	uint64_t foreign = atomic_load(&f->foreign), changes = atomic_load(&f->changes), before;
	bool known;
	int rc;

	memset(e, 0, sizeof(*e));
	rc = cid_attr_get(f, id, &e->attr);
	if (!rc)
		rc = add_lookup(f, id, e, &known);
	if (rc)
		return rc;
	before = foreign;
	if (known && id->kind == CID_NODE_KEY) {
		counter = &f->changes;
		before = changes;
	}
	if (atomic_load(counter) != before) {
		rc = cid_attr_get(f, id, &e->attr);
		if (rc)
			cid_entry_drop(f, e);
	}
	return rc;
}

int cid_entry_made(struct cid_fusefs *f, const struct cid_node *id, uint64_t foreign,
		   struct fuse_entry_param *e)
{
	bool known;
	int rc;

	memset(e, 0, sizeof(*e));
	cid_attr_empty(f, id, &e->attr);
	rc = add_lookup(f, id, e, &known);
	if (!rc && atomic_load(&f->foreign) != foreign) {
		/* Gone already: it exists for this request and no longer. */
		if (cid_attr_get(f, id, &e->attr))
			e->entry_timeout = e->attr_timeout = 0;
	}
	return rc;
}

int cid_entry_listed(struct cid_fusefs *f, const struct cid_node *id, uint64_t count,
		     struct fuse_entry_param *e)
{
	bool known;
	int rc;

	memset(e, 0, sizeof(*e));
	rc = add_lookup(f, id, e, &known);
	if (rc)
		return rc;
	if (id->kind == CID_NODE_KEY) {
		/* Known or not: a lookup may reach the kernel first, and a change
		 * after it. */
		cid_nodes_grant(f->nodes, e->ino);
		rc = cid_attr_key_counted(f, id->key, count, &e->attr);
		if (rc)
			cid_entry_drop(f, e);
	} else {
		cid_attr_empty(f, id, &e->attr);
	}
	return rc;
}

void cid_entry_drop(struct cid_fusefs *f, const struct fuse_entry_param *e)
{
	cid_nodes_forget(f->nodes, e->ino, 1);
}

void cid_entry_reply(fuse_req_t req, int code, const struct fuse_entry_param *e)
{
	struct cid_fusefs *f = cid_fs(req);

	if (code)
		cid_fs_reply_code(req, code);
	else if (fuse_reply_entry(req, e))
		cid_entry_drop(f, e); /* the caller was interrupted */
}

void cid_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node dir, id = { .kind = CID_NODE_KEY };
	struct fuse_entry_param e;
	struct cidstore_id parsed;

	if (!cid_fs_node(req, parent, false, &dir))
		return;
	switch (cid_name_classify(&dir, name, &parsed)) {
	case CID_NAME_TOO_LONG:
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	case CID_NAME_CTL:
		cid_ctl_lookup(req, NULL, "");
		return;
	case CID_NAME_OTHER:
		if (dir.kind == CID_NODE_CTL)
			cid_ctl_lookup(req, dir.path, name);
		else
			fuse_reply_err(req, ENOENT);
		return;
	case CID_NAME_ID:
		break;
	}
	if (dir.kind == CID_NODE_VALUE) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (dir.kind == CID_NODE_ROOT) {
		id.key = parsed;
	} else {
		id.kind = CID_NODE_VALUE;
		id.key = dir.key;
		id.value = parsed;
	}
	cid_entry_reply(req, cid_entry_find(f, &id, &e), &e);
}

void cid_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	cid_nodes_forget(cid_fs(req)->nodes, ino, nlookup);
	fuse_reply_none(req);
}

void cid_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		cid_nodes_forget(cid_fs(req)->nodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}
