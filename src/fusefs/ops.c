/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.c - which request goes where
 *
 * A handler that is missing is answered by libfuse with ENOSYS, and the kernel
 * remembers that. This is right for
 *
 *	setxattr, removexattr	EOPNOTSUPP from then on
 *	fallocate		EOPNOTSUPP
 *	copy_file_range		the kernel copies by itself
 *	lseek			the kernel seeks by itself
 *	getlk, setlk, flock	not asked for: the kernel locks locally
 *	bmap			needs a block device
 *
 * and wrong for all others: access, flush, fsync, fsyncdir and opendir would
 * count as done for ever, link, symlink, ioctl would hand ENOSYS to the user.
 */
#include "fusefs/ops.h"

#include <errno.h>
#include <poll.h>
#include <sys/statvfs.h>
#include "fusefs/attr.h"
#include "fusefs/ctl.h"
#include "fusefs/dir.h"
#include "fusefs/key.h"
#include "fusefs/lookup.h"
#include "fusefs/name.h"
#include "fusefs/rename.h"
#include "fusefs/value.h"
#include "fusefs/xattr.h"
#include "store/store.h"

#define PAIR_BYTES 64u /* what a further pair takes, roughly */

static void op_init(void *arg, struct fuse_conn_info *conn)
{
	/* O_TRUNC arrives with open, not as a truncation before it. Lookups and
	 * listings of one directory run side by side. Attributes come with
	 * listings when the kernel thinks that they will be asked for. */
	unsigned want = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
			FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_IOCTL_DIR | FUSE_CAP_HANDLE_KILLPRIV |
			FUSE_CAP_ASYNC_READ;

	(void)arg;
	/* No splicing: what is written is parsed from memory. No writeback
	 * cache: control files want their bytes as they come. */
	conn->want = conn->capable & want;
	conn->max_background = 64; /* releases are sent in the background */
	conn->congestion_threshold = 48;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct cid_node n;

	if (!cid_fs_node(req, ino, true, &n))
		return;
	if (n.kind == CID_NODE_CTL)
		cid_ctl_open(req, &n, fi);
	else if (n.kind == CID_NODE_VALUE)
		cid_value_open(req, &n, fi);
	else
		fuse_reply_err(req, EISDIR);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)ino;
	if (fi->fh)
		cid_ctl_read(req, size, off, fi);
	else
		fuse_reply_buf(req, NULL, 0);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)ino;
	if (fi->fh)
		cid_ctl_write(req, buf, size, off, fi);
	else
		fuse_reply_err(req, EPERM);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (fi->fh)
		cid_ctl_flush(req, fi);
	else
		fuse_reply_err(req, 0);
}

static void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
		    struct fuse_pollhandle *ph)
{
	(void)ino;
	if (fi->fh) {
		cid_ctl_poll(req, fi, ph);
		return;
	}
	if (ph)
		fuse_pollhandle_destroy(ph);
	fuse_reply_poll(req, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (fi->fh)
		cid_ctl_release(req, fi);
	else
		fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	if (fi && fi->fh)
		cid_ctl_fsync(req, fi);
	else
		cid_fs_reply_code(req, cidstore_sync(cid_fs(req)->store));
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi; /* a directory's handle is not a control file's */
	cid_fs_reply_code(req, cidstore_sync(cid_fs(req)->store));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct cid_fusefs *f = cid_fs(req);
	struct cidstore_stats s;
	struct statvfs v;

	(void)ino;
	if (statvfs(cid_store_path(f->store), &v)) {
		fuse_reply_err(req, errno);
		return;
	}
	cidstore_stats(f->store, &s);
	v.f_ffree = v.f_favail = v.f_bavail * v.f_frsize / PAIR_BYTES;
	v.f_files = s.keys + s.values + v.f_ffree;
	v.f_namemax = CID_NAME_MAX;
	fuse_reply_statfs(req, &v);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		     struct fuse_file_info *fi, unsigned flags, const void *in_buf, size_t in_size,
		     size_t out_size)
{
	(void)ino;
	(void)cmd;
	(void)arg;
	(void)fi;
	(void)flags;
	(void)in_buf;
	(void)in_size;
	(void)out_size;
	fuse_reply_err(req, ENOTTY);
}

const struct fuse_lowlevel_ops cid_ops = {
	.init = op_init,
	.lookup = cid_op_lookup,
	.forget = cid_op_forget,
	.forget_multi = cid_op_forget_multi,
	.getattr = cid_op_getattr,
	.setattr = cid_op_setattr,
	.access = cid_op_access,
	.mkdir = cid_op_mkdir,
	.rmdir = cid_op_rmdir,
	.create = cid_op_create,
	.mknod = cid_op_mknod,
	.unlink = cid_op_unlink,
	.rename = cid_op_rename,
	.link = cid_op_link,
	.symlink = cid_op_symlink,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.poll = op_poll,
	.fsync = op_fsync,
	.opendir = cid_op_opendir,
	.readdir = cid_op_readdir,
	.readdirplus = cid_op_readdirplus,
	.releasedir = cid_op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.getxattr = cid_op_getxattr,
	.listxattr = cid_op_listxattr,
	.ioctl = op_ioctl,
};
