/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batch.c - the batch stream: operations as text, up to `commit`, applied all
 * or not at all; the lines are in batch_parse.h
 *
 * One batch may follow another. What ends in a line that is none (EINVAL), in
 * more than batch_limit operations (EFBIG) or in a failure of the store is
 * refused up to its `commit`, and nothing of it is applied. Every write takes
 * all its bytes, whatever it returns: the first error among the batches it
 * touched. A refused batch does not keep those after it from being applied;
 * who wants to stop there writes one batch at a time.
 *
 * What has no `commit` when a descriptor is closed is EINVAL there, and is
 * dropped and counted when the file is.
 */
#include "control/stream.h"

#include <errno.h>
#include <stdlib.h>
#include "control/batch_parse.h"
#include "control/lines.h"
#include "control/tree.h"

#define FIRST_OPS 1024u

struct batch {
	struct cid_control *c;
	struct cid_lines lines;
	struct cidstore_op *op;
	size_t n, cap;
	int refused; /* negative errno: the rest of this batch is passed over */
};

static int batch_open(struct cid_control *c, void **out)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	b->c = c;
	*out = b;
	return 0;
}

static int push(struct batch *b, const struct cidstore_op *op, uint64_t limit)
{
	struct cidstore_op *more;
	size_t cap;

	if (b->n >= limit)
		return -EFBIG;
	if (b->n == b->cap) {
		cap = b->cap > 0 ? b->cap * 2 : FIRST_OPS;
		if (cap > limit)
			cap = limit;
		more = reallocarray(b->op, cap, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		b->op = more;
		b->cap = cap;
	}
	b->op[b->n++] = *op;
	return 0;
}

/* The batch is over; 0 or why nothing of it was applied. */
static int commit(struct batch *b)
{
	struct cid_ctl_totals *t = &b->c->total;
	int rc = b->refused;

	if (rc == 0 && b->n > 0)
		rc = cid_ctl_errno(cidstore_apply(b->c->store, b->op, b->n));
	if (rc == 0) {
		cid_ctl_count(&t->batch_commits, 1);
		cid_ctl_count(&t->batch_ops, b->n);
	} else {
		cid_ctl_count(&t->batch_errors, 1);
	}
	b->refused = 0;
	b->n = 0;
	return rc;
}

static int take_line(struct batch *b, const struct cid_line *line, uint64_t limit)
{
	struct cidstore_op op;
	enum cid_batch_line what =
		line->over ? CID_BATCH_BAD : cid_batch_parse(line->text, line->n, &op);

	if (what == CID_BATCH_COMMIT)
		return commit(b);
	if (b->refused != 0 || what == CID_BATCH_EMPTY)
		return b->refused;
	b->refused = what == CID_BATCH_BAD ? -EINVAL : push(b, &op, limit);
	if (b->refused != 0)
		b->n = 0;
	return b->refused;
}

static ssize_t batch_write(void *stream, const void *buf, size_t n)
{
	struct batch *b = stream;
	const char *p = buf;
	size_t left = n;
	struct cid_line line;
	uint64_t limit;
	int rc, first = b->refused;

	rc = cidstore_config_get(b->c->store, "batch_limit", &limit);
	if (rc != 0)
		return cid_ctl_errno(rc);
	while (cid_lines_next(&b->lines, &p, &left, &line)) {
		rc = take_line(b, &line, limit);
		if (first == 0)
			first = rc;
	}
	return first != 0 ? first : (ssize_t)n;
}

static int batch_flush(void *stream)
{
	const struct batch *b = stream;

	if (b->refused != 0)
		return b->refused;
	return b->n > 0 || cid_lines_begun(&b->lines) ? -EINVAL : 0;
}

static void batch_release(void *stream)
{
	struct batch *b = stream;
	struct cid_ctl_totals *t = &b->c->total;

	if (b->refused != 0)
		cid_ctl_count(&t->batch_errors, 1);
	cid_ctl_count(&t->batch_dropped, b->n + (cid_lines_begun(&b->lines) ? 1 : 0));
	free(b->op);
	free(b);
}

const struct cid_ctl_stream cid_stream_batch = {
	.open = batch_open,
	.write = batch_write,
	.flush = batch_flush,
	.release = batch_release,
};
