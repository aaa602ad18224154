/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * emptyfs.c - a FUSE daemon that keeps nothing and invents what it is asked, to
 * compare a real one with: the same cache timeouts, threads and replies.
 *
 *	emptyfs [-k KEYS] [-v VALUES] [-i IDLE_THREADS] [-o OPTIONS] MOUNTPOINT
 *
 * Names in the root are directories, names in those are files of 0 bytes; node
 * ids are made from the names. Which names exist is told with mkdir(2) in the
 * root: `.mode=KV` with K and V 0 or 1 for names in the root and below it. Every
 * change succeeds. A listing of the root has KEYS entries, one of a directory
 * VALUES. Prints "ready" when it is mounted, and ends when it is unmounted.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "fusefs/device.h"
#include "fusefs/lowlevel.h"

#define TIMEOUT 3600.0
#define ROOT 1u
#define FILE_BIT (1ull << 62) /* of the node id of a file */

static _Atomic int keys_exist = 1, values_exist = 1;
static uint64_t keys, values;

static uint64_t hash(uint64_t seed, const char *name)
{
	uint64_t h = seed ^ 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ull;
	return h & (FILE_BIT - 1);
}

static void fill(uint64_t node, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = node;
	st->st_nlink = 1;
	st->st_uid = getuid();
	st->st_gid = getgid();
	st->st_mode = node & FILE_BIT ? S_IFREG | 0644 : S_IFDIR | 0755;
}

static struct fuse_entry_param entry(fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .entry_timeout = TIMEOUT, .attr_timeout = TIMEOUT };

	e.generation = 1;
	e.ino = hash(parent, name) | 2 | (parent == ROOT ? 0 : FILE_BIT);
	fill(e.ino, &e.attr);
	return e;
}

static void op_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->want = conn->capable &
		     (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
		      FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_IOCTL_DIR | FUSE_CAP_HANDLE_KILLPRIV |
		      FUSE_CAP_ASYNC_READ);
	conn->max_background = 64;
	conn->congestion_threshold = 48;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;

	if (*name == '.' || !atomic_load(parent == ROOT ? &keys_exist : &values_exist)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	e = entry(parent, name);
	fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	fill(ino, &st);
	fuse_reply_attr(req, &st, TIMEOUT);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set;
	op_getattr(req, ino, fi);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_entry_param e;

	(void)mode;
	if (!strncmp(name, ".mode=", 6) && strlen(name) == 8) {
		atomic_store(&keys_exist, name[6] == '1');
		atomic_store(&values_exist, name[7] == '1');
		fuse_reply_err(req, EINVAL); /* nothing was made */
		return;
	}
	e = entry(parent, name);
	fuse_reply_entry(req, &e);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct fuse_entry_param e = entry(parent, name);

	(void)mode;
	fi->keep_cache = fi->noflush = 1;
	fuse_reply_create(req, &e, fi);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fuse_entry_param e = entry(parent, name);

	(void)mode;
	(void)rdev;
	fuse_reply_entry(req, &e);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	fuse_reply_err(req, 0);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fuse_reply_open(req, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* Takes what is written and drops it. */
static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)ino;
	(void)buf;
	(void)off;
	(void)fi;
	fuse_reply_write(req, size);
}

static void invent(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, int plus)
{
	uint64_t end = ino == ROOT ? keys : values;
	char *buf = malloc(size);
	size_t used = 0;

	for (uint64_t i = (uint64_t)off; buf && i < end; i++) {
		char name[40];
		struct fuse_entry_param e;
		size_t n;

		snprintf(name, sizeof(name), "%032llx", (unsigned long long)i);
		e = entry(ino, name);
		n = plus ? fuse_add_direntry_plus(req, buf + used, size - used, name, &e,
						  (off_t)i + 1) :
			   fuse_add_direntry(req, buf + used, size - used, name, &e.attr,
					     (off_t)i + 1);
		if (n > size - used)
			break;
		used += n;
	}
	fuse_reply_buf(req, buf, used);
	free(buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	invent(req, ino, size, off, 0);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	(void)fi;
	invent(req, ino, size, off, 1);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs v = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = 32 };

	(void)ino;
	fuse_reply_statfs(req, &v);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.mkdir = op_mkdir,
	.rmdir = op_remove,
	.create = op_create,
	.mknod = op_mknod,
	.unlink = op_remove,
	.open = op_open,
	.write = op_write,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_release,
	.statfs = op_statfs,
};

static int serve(const char *options, const char *mountpoint, unsigned idle)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	struct fuse_session *se = NULL;
	int rc = -1;

	if (!fuse_opt_add_arg(&args, "emptyfs") && !fuse_opt_add_arg(&args, "-o") &&
	    !fuse_opt_add_arg(&args, options))
		se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (se && cfg && !fuse_session_mount(se, mountpoint)) {
		cid_device_attach(se);
		fuse_set_signal_handlers(se);
		fuse_loop_cfg_set_clone_fd(cfg, 1);
		fuse_loop_cfg_set_idle_threads(cfg, idle);
		fuse_loop_cfg_set_max_threads(cfg, 64);
		puts("ready");
		fflush(stdout);
		rc = fuse_session_loop_mt(se, cfg);
		fuse_session_unmount(se);
	}
	if (se)
		fuse_session_destroy(se);
	if (cfg)
		fuse_loop_cfg_destroy(cfg);
	fuse_opt_free_args(&args);
	return rc;
}

int main(int argc, char **argv)
{
	const char *options = "fsname=empty,subtype=emptyfs";
	unsigned idle = 10;
	int c;

	while ((c = getopt(argc, argv, "k:v:i:o:")) >= 0) {
		switch (c) {
		case 'k':
			keys = strtoull(optarg, NULL, 10);
			break;
		case 'v':
			values = strtoull(optarg, NULL, 10);
			break;
		case 'i':
			idle = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'o':
			options = optarg;
			break;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: emptyfs [-k KEYS] [-v VALUES] [-i N] MOUNTPOINT\n");
		return 2;
	}
	return serve(options, argv[optind], idle) ? 1 : 0;
}
