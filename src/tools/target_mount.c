/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target_mount.c - a target that is the root of a mounted store
 *
 * Changes go through the control files: ingest takes 32-byte records, batch
 * takes text that ends with `commit`, import the framed stream.
 */
#include "tools/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/err.h"
#include "base/id.h"
#include "base/wire.h"

#define PAIRS_A_WRITE (32u << 10)
#define LINE	      80	  /* room for the longest line of a batch */
#define OPS_A_BATCH   (64u << 10) /* for changes that need not be one */

static int mount_insert(struct cid_target *t, const struct cidstore_pair *p, size_t n)
{
	static const char file[] = ".cidstore/ingest";
	struct cid_mount *x = cid_mount(t);
	size_t part;
	int rc = cid_mount_control(t, file, O_WRONLY, &x->ingest);

	if (rc == 0)
		rc = cid_mount_reserve(t, PAIRS_A_WRITE * CID_WIRE_PAIR);
	for (; rc == 0 && n > 0; p += part, n -= part) {
		part = n < PAIRS_A_WRITE ? n : PAIRS_A_WRITE;
		for (size_t i = 0; i < part; i++)
			cid_wire_put_pair((uint8_t *)x->buf + i * CID_WIRE_PAIR, p[i]);
		rc = cid_mount_put(t, x->ingest, file, x->buf, part * CID_WIRE_PAIR);
	}
	return rc;
}

static size_t batch_line(char *out, const struct cidstore_op *op)
{
	static const char *const verb[] = {
		[CIDSTORE_OP_INSERT] = "insert ",
		[CIDSTORE_OP_DELETE] = "delete ",
		[CIDSTORE_OP_MKKEY] = "mkkey ",
		[CIDSTORE_OP_RMKEY] = "delete ",
	};
	size_t n = strlen(verb[op->verb]);

	memcpy(out, verb[op->verb], n);
	cidstore_id_format(op->key, out + n);
	n += CID_ID_TEXT;
	if (op->verb == CIDSTORE_OP_INSERT || op->verb == CIDSTORE_OP_DELETE) {
		out[n++] = ' ';
		cidstore_id_format(op->value, out + n);
		n += CID_ID_TEXT;
	}
	out[n++] = '\n';
	return n;
}

static int mount_apply(struct cid_target *t, const struct cidstore_op *op, size_t n)
{
	static const char file[] = ".cidstore/batch", commit[] = "commit\n";
	struct cid_mount *x = cid_mount(t);
	size_t at = 0;
	int fd = -1, rc = cid_mount_reserve(t, (n + 1) * LINE);

	if (rc == 0)
		rc = cid_mount_control(t, file, O_WRONLY, &fd);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		at += batch_line(x->buf + at, &op[i]);
	memcpy(x->buf + at, commit, sizeof(commit) - 1);
	at += sizeof(commit) - 1;
	rc = cid_mount_put(t, fd, file, x->buf, at);
	if (close(fd) != 0 && rc == 0)
		rc = cid_mount_fail(t, file, errno);
	return rc;
}

static int mount_make_keys(struct cid_target *t, const struct cidstore_id *k, size_t n)
{
	size_t cap = n < OPS_A_BATCH ? n : OPS_A_BATCH, part;
	struct cidstore_op *op = calloc(cap > 0 ? cap : 1, sizeof(*op));
	int rc = 0;

	if (op == NULL)
		return cid_err_set(&t->err, CIDSTORE_ENOMEM, "%s: out of memory", t->path);
	for (; rc == 0 && n > 0; k += part, n -= part) {
		part = n < cap ? n : cap;
		for (size_t i = 0; i < part; i++) {
			op[i].verb = CIDSTORE_OP_MKKEY;
			op[i].key = k[i];
		}
		rc = mount_apply(t, op, part);
	}
	free(op);
	return rc;
}

static int mount_sync(struct cid_target *t)
{
	return fsync(cid_mount(t)->root) == 0 ? 0 : cid_mount_fail(t, "", errno);
}

static int mount_import(struct cid_target *t, const void *p, size_t n)
{
	static const char file[] = ".cidstore/import";
	struct cid_mount *x = cid_mount(t);
	int fd, rc = cid_mount_control(t, file, O_WRONLY, &x->import);

	if (rc != 0)
		return rc;
	if (n > 0)
		return cid_mount_put(t, x->import, file, p, n);
	fd = x->import;
	x->import = -1;
	return close(fd) == 0 ? mount_sync(t) : cid_mount_fail(t, file, errno);
}

static int close_one(struct cid_target *t, const char *file, int fd, int rc)
{
	if (fd >= 0 && close(fd) != 0 && rc == 0)
		return cid_mount_fail(t, file, errno);
	return rc;
}

static int mount_close(struct cid_target *t, struct cidstore_error *err)
{
	struct cid_mount *x = cid_mount(t);
	int rc = 0;

	rc = close_one(t, ".cidstore/ingest", x->ingest, rc);
	rc = close_one(t, ".cidstore/lookup", x->lookup, rc);
	if (x->import >= 0)
		close(x->import); /* an import that failed already */
	close(x->root);
	if (rc != 0)
		*err = t->err;
	free(x->buf);
	free(x);
	return rc;
}

static const struct cid_target_ops mount_ops = {
	.insert = mount_insert,
	.make_keys = mount_make_keys,
	.apply = mount_apply,
	.sync = mount_sync,
	.count = cid_mount_count,
	.values = cid_mount_values,
	.cursor_open = cid_mount_cursor_open,
	.cursor_fill = cid_mount_cursor_fill,
	.dump = cid_mount_dump,
	.import = mount_import,
	.stats = cid_mount_stats,
	.compact = cid_mount_compact,
	.close = mount_close,
};

int cid_target_open_mount(const char *path, bool change, struct cid_target **out,
			  struct cidstore_error *err)
{
	struct cid_mount *x = calloc(1, sizeof(*x));

	(void)change; /* the mount decides */
	if (x == NULL)
		return cid_err_set(err, CIDSTORE_ENOMEM, "%s: out of memory", path);
	x->t.ops = &mount_ops;
	x->t.path = path;
	x->ingest = -1;
	x->lookup = -1;
	x->import = -1;
	x->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->root < 0) {
		int code = cid_err_set(err, cid_err_from_errno(-errno), "%s: %s", path,
				       strerror(errno));

		free(x);
		return code;
	}
	*out = &x->t;
	return 0;
}
