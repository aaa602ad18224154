/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/dir.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "fusefs/attr.h"
#include "fusefs/ctl.h"
#include "fusefs/listing.h"
#include "fusefs/lookup.h"
#include "fusefs/name.h"
#include "fusefs/opened.h"

#define COOKIE_DOT 1
#define COOKIE_DOTDOT 2
#define COOKIE_ITEMS 3
#define COOKIE_CTL ((off_t)1 << 62 | COOKIE_ITEMS)

struct dir {
	struct cid_opened opened; /* first */
	pthread_mutex_t lock; /* protects `listing` */
	struct cid_node node;
	struct cid_listing listing;
};

/* A reply being filled. */
struct fill {
	fuse_req_t req;
	struct cid_fusefs *fs;
	char *buf;
	size_t size, used;
	bool plus;
};

static bool add_plain(struct fill *r, const char *name, const struct stat *st, off_t cookie)
{
	size_t room = r->size - r->used, n;

	if (r->plus) {
		/* Without a node the kernel takes the name and type alone. */
		struct fuse_entry_param e = { .attr = *st };

		n = fuse_add_direntry_plus(r->req, r->buf + r->used, room, name, &e, cookie);
	} else {
		n = fuse_add_direntry(r->req, r->buf + r->used, room, name, st, cookie);
	}
	if (n > room)
		return false;
	r->used += n;
	return true;
}

static bool add_dots(struct fill *r, const struct stat *self, off_t *off)
{
	struct stat parent = { .st_mode = S_IFDIR, .st_ino = CID_ROOT };

	if (*off < COOKIE_DOT) {
		if (!add_plain(r, ".", self, COOKIE_DOT))
			return false;
		*off = COOKIE_DOT;
	}
	if (*off < COOKIE_DOTDOT) {
		if (!add_plain(r, "..", &parent, COOKIE_DOTDOT))
			return false;
		*off = COOKIE_DOTDOT;
	}
	return true;
}

static struct cid_node item_node(const struct dir *d, const struct cidstore_item *item)
{
	struct cid_node n = { .kind = CID_NODE_KEY, .key = item->id };

	if (d->node.kind == CID_NODE_KEY) {
		n.kind = CID_NODE_VALUE;
		n.key = d->node.key;
		n.value = item->id;
	}
	return n;
}

/*
 * An item with its node and attributes. What was read ahead may be out of date;
 * the node is marked first, and if anything changed since the batch was read
 * the item goes out by name only.
 */
static bool add_with_node(struct fill *r, struct dir *d, const struct cidstore_item *item,
			  const struct cid_node *n, const char *name, off_t cookie)
{
	struct cid_fusefs *f = r->fs;
	struct fuse_entry_param e;
	size_t room = r->size - r->used, need;
	double age = cid_listing_age(&d->listing);

	if (cid_nodes_excess(f->nodes) || cid_entry_listed(f, n, item->count, &e))
		return false;
	/* The kernel counts from now; the items are older. */
	e.entry_timeout -= age;
	e.attr_timeout -= age;
	if (atomic_load(&f->changes) != d->listing.changes || e.attr_timeout < 0) {
		cid_entry_drop(f, &e);
		return false;
	}
	need = fuse_add_direntry_plus(r->req, r->buf + r->used, room, name, &e, cookie);
	if (need > room) {
		cid_entry_drop(f, &e);
		return false;
	}
	r->used += need;
	return true;
}

/* One group of items; the caller made sure that there is room. */
static void add_group(struct fill *r, struct dir *d, const struct cidstore_item *item, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cid_node node = item_node(d, &item[i]);
		struct stat st = { .st_mode = node.kind == CID_NODE_KEY ? S_IFDIR : S_IFREG };
		off_t cookie = (off_t)item[i].hash + COOKIE_ITEMS;
		char name[CID_NAME_MAX + 1];

		cidstore_id_format(item[i].id, name);
		name[CID_NAME_MAX] = '\0';
		if (r->plus && add_with_node(r, d, &item[i], &node, name, cookie))
			continue;
		st.st_ino = cid_attr_ino(&node);
		if (!add_plain(r, name, &st, cookie))
			return;
	}
}

/* The room an entry takes; all names are equally long. */
static size_t entry_size(const struct fill *r)
{
	static const char name[] = "00000000000000000000000000000000";

	return r->plus ? fuse_add_direntry_plus(r->req, NULL, 0, name, NULL, 0) :
			 fuse_add_direntry(r->req, NULL, 0, name, NULL, 0);
}

static int fill_items(struct fill *r, struct dir *d, off_t off)
{
	size_t each = entry_size(r), n;
	const struct cidstore_item *item;
	struct stat st;

	if (off >= COOKIE_CTL)
		return 0;
	cid_listing_seek(&d->listing, off < COOKIE_ITEMS ? 0 : (uint64_t)(off - COOKIE_ITEMS) + 1,
			 off < COOKIE_ITEMS);
	for (;;) {
		int rc = cid_listing_group(&d->listing, &item, &n);

		if (rc)
			return cid_fs_errno(rc);
		if (!n)
			break;
		/* A group larger than any reply (never seen: it takes hundreds of
		 * equal hashes) is cut rather than ending the listing early. */
		if (r->used + n * each > r->size && (r->used || each > r->size))
			return 0;
		add_group(r, d, item, n);
		cid_listing_advance(&d->listing, n);
	}
	if (d->node.kind == CID_NODE_ROOT && r->fs->opt.ctl_visible &&
	    !cid_ctl_attr(r->fs, "", &st))
		add_plain(r, CID_CTL_NAME, &st, COOKIE_CTL);
	return 0;
}

static int fill_ctl(struct fill *r, const struct dir *d, off_t off)
{
	size_t i = off < COOKIE_ITEMS ? 0 : (size_t)(off - COOKIE_ITEMS) + 1;
	const char *name;
	struct stat st;

	while (!cid_ctl_child(r->fs, d->node.path, i, &name, &st) &&
	       add_plain(r, name, &st, (off_t)i + COOKIE_ITEMS))
		i++;
	return 0;
}

static int fill_reply(struct fill *r, struct dir *d, off_t off)
{
	struct stat self = { .st_mode = S_IFDIR };

	if (d->node.kind == CID_NODE_CTL)
		(void)cid_ctl_attr(r->fs, d->node.path, &self);
	else
		self.st_ino = cid_attr_ino(&d->node);
	if (!add_dots(r, &self, &off))
		return 0;
	return d->node.kind == CID_NODE_CTL ? fill_ctl(r, d, off) : fill_items(r, d, off);
}

static struct dir *dir_of(const struct fuse_file_info *fi)
{
	return (struct dir *)(uintptr_t)fi->fh;
}

static void read_entries(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi,
			 bool plus)
{
	struct dir *d = dir_of(fi);
	struct fill r = { .req = req, .fs = cid_fs(req), .size = size, .plus = plus };
	int error;

	r.buf = malloc(size);
	if (!r.buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_lock(&d->lock);
	error = fill_reply(&r, d, off);
	pthread_mutex_unlock(&d->lock);
	/* What was gathered before an error goes out; the next call meets it. */
	if (error && !r.used)
		fuse_reply_err(req, error);
	else
		fuse_reply_buf(req, r.buf, r.used);
	free(r.buf);
}

void cid_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)ino;
	read_entries(req, size, off, fi, false);
}

void cid_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi)
{
	(void)ino;
	read_entries(req, size, off, fi, true);
}

static void dir_free(struct cid_fusefs *f, struct cid_opened *o)
{
	struct dir *d = (struct dir *)o;

	(void)f;
	cid_listing_fini(&d->listing);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void cid_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct cid_fusefs *f = cid_fs(req); /* the request is gone with its answer */
	struct cid_node n;
	struct dir *d;

	if (!cid_fs_node(req, ino, true, &n))
		return;
	if (n.kind == CID_NODE_VALUE) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->node = n;
	cid_listing_init(&d->listing, f, n.kind == CID_NODE_KEY ? &n.key : NULL);
	fi->fh = (uintptr_t)d;
	cid_opened_add(f, &d->opened, dir_free);
	if (fuse_reply_open(req, fi))
		cid_opened_close(f, &d->opened);
}

void cid_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	cid_opened_close(cid_fs(req), &dir_of(fi)->opened);
	fuse_reply_err(req, 0);
}
