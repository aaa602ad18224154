/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/xattr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "store/store.h"

#define PREFIX "user.cidstore."

static const char listing[] = PREFIX "values\0" PREFIX "state\0" PREFIX "bucket";

/* size 0 asks for the length. */
static void reply_bytes(fuse_req_t req, const char *p, size_t len, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, len);
	else if (size < len)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, p, len);
}

void cid_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct cid_node n;
	struct cid_key_info info;
	char text[32];
	int len, rc;

	if (!cid_fs_node(req, ino, true, &n))
		return;
	/* For whoever wonders about memory; not listed. */
	if (n.kind == CID_NODE_ROOT && !strcmp(name, PREFIX "nodes")) {
		len = snprintf(text, sizeof(text), "%zu", cid_nodes_count(cid_fs(req)->nodes));
		reply_bytes(req, text, (size_t)len, size);
		return;
	}
	if (n.kind != CID_NODE_KEY || n.gone || strncmp(name, PREFIX, strlen(PREFIX)) != 0) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	rc = cid_store_key_info(cid_fs(req)->store, n.key, &info);
	if (rc) {
		fuse_reply_err(req, rc == CIDSTORE_ENOENT ? ESTALE : cid_fs_errno(rc));
		return;
	}
	name += strlen(PREFIX);
	if (!strcmp(name, "values"))
		len = snprintf(text, sizeof(text), "%" PRIu64, info.count);
	else if (!strcmp(name, "state"))
		len = snprintf(text, sizeof(text), "%s", info.state);
	else if (!strcmp(name, "bucket"))
		len = snprintf(text, sizeof(text), "%" PRIu64, info.bucket);
	else
		len = -1;
	if (len < 0)
		fuse_reply_err(req, ENODATA);
	else
		reply_bytes(req, text, (size_t)len, size);
}

void cid_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct cid_node n;

	if (cid_fs_node(req, ino, true, &n))
		reply_bytes(req, listing, n.kind == CID_NODE_KEY ? sizeof(listing) : 0, size);
}
