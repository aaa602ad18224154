/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/attr.h"

#include <errno.h>
#include <unistd.h>
#include "base/hash.h"
#include "fusefs/ctl.h"
#include "store/store.h"

#define ENTRY_BYTES 64u
#define INLINE_VALUES 2u

void cid_attr_init(struct cid_fusefs *f)
{
	struct cidstore_stats s;
	struct timespec t;
	struct stat st = { .st_nlink = 1, .st_uid = f->opt.uid, .st_gid = f->opt.gid,
			   .st_blksize = 4096 };

	cidstore_stats(f->store, &s);
	t.tv_sec = (time_t)(s.created_ns / 1000000000u);
	t.tv_nsec = (long)(s.created_ns % 1000000000u);
	st.st_atim = st.st_mtim = st.st_ctim = t;
	f->key_stat = f->value_stat = st;
	f->key_stat.st_mode = S_IFDIR | (0777 & ~f->opt.umask);
	f->key_stat.st_blocks = (ENTRY_BYTES + 511) / 512;
	f->value_stat.st_mode = S_IFREG | (0666 & ~f->opt.umask);
}

ino_t cid_attr_ino(const struct cid_node *n)
{
	struct cidstore_id both[2] = { n->key, n->value };
	uint64_t h;

	if (n->kind == CID_NODE_ROOT)
		return CID_ROOT;
	h = XXH3_64bits(both, n->kind == CID_NODE_VALUE ? sizeof(both) : sizeof(both[0]));
	return h < CID_INO_RESERVED ? h + CID_INO_RESERVED : h;
}

void cid_attr_empty(struct cid_fusefs *f, const struct cid_node *n, struct stat *out)
{
	*out = n->kind == CID_NODE_VALUE ? f->value_stat : f->key_stat;
	out->st_ino = cid_attr_ino(n);
	if (n->gone)
		out->st_nlink = 0;
}

int cid_attr_key_counted(struct cid_fusefs *f, struct cidstore_id key, uint64_t count,
			 struct stat *out)
{
	struct cid_node n = { .kind = CID_NODE_KEY, .key = key };

	if (count > INLINE_VALUES)
		return cid_attr_get(f, &n, out);
	cid_attr_empty(f, &n, out);
	out->st_size = (off_t)count;
	return 0;
}

static int key_get(struct cid_fusefs *f, const struct cid_node *n, struct stat *out)
{
	struct cid_key_info info;
	int rc = cid_store_key_info(f->store, n->key, &info);

	if (rc)
		return rc;
	cid_attr_empty(f, n, out);
	out->st_size = (off_t)info.count;
	out->st_blocks = (blkcnt_t)((info.disk_bytes + 511) / 512);
	return 0;
}

int cid_attr_get(struct cid_fusefs *f, const struct cid_node *n, struct stat *out)
{
	int rc = 0;

	switch (n->kind) {
	case CID_NODE_ROOT:
		/* No size: tar(1) takes one that grows for a directory that was
		 * changed while it was read, and the counts of bulk loads lag. */
		cid_attr_empty(f, n, out);
		break;
	case CID_NODE_KEY:
		rc = key_get(f, n, out);
		break;
	case CID_NODE_VALUE:
		rc = cidstore_contains(f->store, n->key, n->value);
		if (!rc)
			cid_attr_empty(f, n, out);
		break;
	case CID_NODE_CTL:
	case CID_NODE_NONE:
		rc = CIDSTORE_ENOENT;
		break;
	}
	return rc;
}

/* ---- requests ---- */

/* Attributes for a reply the kernel will keep; 0 or an errno. ESTALE: it went
 * by another way, the kernel should look its path up again. */
static int current(struct cid_fusefs *f, fuse_ino_t ino, const struct cid_node *n,
		   struct stat *out, double *timeout)
{
	int rc;

	*timeout = cid_fs_timeout(f);
	if (n->kind == CID_NODE_CTL) {
		*timeout = 0;
		return cid_ctl_attr(f, n->path, out);
	}
	if (n->gone) {
		cid_attr_empty(f, n, out);
		return 0;
	}
	if (n->kind == CID_NODE_ROOT)
		*timeout = *timeout < 1 ? *timeout : 1;
	else if (n->kind == CID_NODE_KEY)
		cid_nodes_grant(f->nodes, ino);
	rc = cid_attr_get(f, n, out);
	return rc == CIDSTORE_ENOENT ? ESTALE : cid_fs_errno(rc);
}

static void reply_current(fuse_req_t req, fuse_ino_t ino, const struct cid_node *n, bool open)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node gone = *n;
	struct stat st;
	double timeout;
	int error = current(f, ino, n, &st, &timeout);

	if (error == ESTALE && open) {
		gone.gone = true;
		error = current(f, ino, &gone, &st, &timeout);
	}
	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_attr(req, &st, timeout);
}

void cid_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct cid_node n;

	if (cid_fs_node(req, ino, true, &n))
		reply_current(req, ino, &n, fi != NULL);
}

/* 0 or EPERM. `st` holds what the object has now. */
static int check_owner_and_mode(const struct cid_fusefs *f, const struct stat *st,
				const struct stat *attr, int to_set)
{
	if (f->opt.quiet)
		return 0;
	if ((to_set & FUSE_SET_ATTR_MODE) && ((attr->st_mode ^ st->st_mode) & 07777))
		return EPERM;
	if ((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != st->st_uid)
		return EPERM;
	if ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != st->st_gid)
		return EPERM;
	return 0;
}

void cid_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *fi)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cid_node n;
	struct stat st;
	int error = 0;

	if (!cid_fs_node(req, ino, true, &n))
		return;
	if (f->opt.readonly)
		error = EROFS;
	else if (n.kind == CID_NODE_CTL)
		error = cid_ctl_attr(f, n.path, &st);
	else
		cid_attr_empty(f, &n, &st);
	if (!error)
		error = check_owner_and_mode(f, &st, attr, to_set);
	/* The size of a control file is whatever the shell's `>` says. */
	if (!error && (to_set & FUSE_SET_ATTR_SIZE) && attr->st_size && n.kind != CID_NODE_CTL)
		error = EPERM;
	if (error)
		fuse_reply_err(req, error);
	else
		reply_current(req, ino, &n, fi != NULL);
}

/* Asked by access(2) and chdir(2) where the kernel does not check by itself. */
void cid_op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct cid_fusefs *f = cid_fs(req);
	const struct fuse_ctx *who = fuse_req_ctx(req);
	struct cid_node n;
	struct stat st;
	mode_t granted;
	int error = 0;

	if (!cid_fs_node(req, ino, true, &n))
		return;
	if (n.kind == CID_NODE_CTL)
		error = cid_ctl_attr(f, n.path, &st);
	else
		cid_attr_empty(f, &n, &st);
	if (!error && f->opt.readonly && (mask & W_OK))
		error = EROFS;
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	if (who->uid == st.st_uid)
		granted = st.st_mode >> 6;
	else if (who->gid == st.st_gid)
		granted = st.st_mode >> 3;
	else
		granted = st.st_mode;
	if (who->uid == 0)
		granted |= R_OK | W_OK | (S_ISDIR(st.st_mode) || (st.st_mode & 0111) ? X_OK : 0);
	fuse_reply_err(req, ((mode_t)mask & ~granted & 7) ? EACCES : 0);
}
