/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * export.c - the export stream: everything in the store at the moment of the
 * open, keys without values included, framed as base/frame.h has it
 *
 * The state is that of a snapshot, whatever is written meanwhile. A read that
 * fails ends the stream for good; without its end block no importer takes it
 * for whole.
 */
#include "control/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/frame.h"
#include "base/hash.h"
#include "base/wire.h"
#include "control/tree.h"

enum phase { AT_HEADER, AT_ITEMS, AT_LAST_KEYS, AT_END, AT_EOF };

/* Two blocks grow side by side; the one that is full is read before any other
 * item is looked at. */
struct block {
	uint32_t count;
	uint8_t bytes[CID_FRAME_BLOCK_MAX];
};

struct exporter {
	struct cid_control *c;
	struct cidstore_snapshot *snapshot;
	struct cid_frame_encoder encoder;
	enum phase phase;
	int failed; /* negative errno */

	const uint8_t *out; /* sealed bytes to be read */
	size_t out_n;
	struct block pairs, keys;
	uint8_t edge[CID_FRAME_END_BYTES]; /* header, end block */
	struct cidstore_pair pair[CID_FRAME_PAIRS_MAX]; /* as they come from the store */
	struct cidstore_id key[CID_FRAME_KEYS_MAX];
};

static_assert(CID_FRAME_HEADER <= CID_FRAME_END_BYTES, "edge holds the header too");

static int export_open(struct cid_control *c, void **out)
{
	struct exporter *x = malloc(sizeof(*x));
	struct cidstore_stats s;
	int rc;

	if (x == NULL)
		return -ENOMEM;
	x->phase = AT_HEADER;
	x->failed = 0;
	x->out_n = 0;
	x->pairs.count = x->keys.count = 0;
	x->c = c;
	rc = cidstore_snapshot_open(c->store, &x->snapshot);
	if (rc != 0) {
		free(x);
		return cid_ctl_errno(rc);
	}
	/* Streams of different stores and states have different seeds. */
	cidstore_stats(c->store, &s);
	cid_frame_start(&x->encoder, cid_mix(s.created_ns, s.epoch ^ s.last_seq << 20), x->edge);
	*out = x;
	return 0;
}

static void seal(struct exporter *x, enum cid_frame_kind kind, struct block *b)
{
	struct cid_ctl_totals *t = &x->c->total;

	x->out = b->bytes;
	x->out_n = cid_frame_seal(&x->encoder, kind, b->count, b->bytes);
	cid_ctl_count(kind == CID_FRAME_PAIRS ? &t->export_pairs : &t->export_keys, b->count);
	b->count = 0;
}

/* Collects items until a block is full, or all are there. */
static int fill(struct exporter *x)
{
	struct block *p = &x->pairs, *k = &x->keys;
	size_t pairs, keys;

	for (;;) {
		uint8_t *to = p->bytes + CID_FRAME_LEAD + p->count * CID_WIRE_PAIR;
		int rc = cidstore_snapshot_read(x->snapshot, x->pair, CID_FRAME_PAIRS_MAX - p->count,
						&pairs, x->key, CID_FRAME_KEYS_MAX - k->count,
						&keys);

		if (rc != 0)
			return cid_ctl_errno(rc);
		for (size_t i = 0; i < pairs; i++, to += CID_WIRE_PAIR)
			cid_wire_put_pair(to, x->pair[i]);
		p->count += (uint32_t)pairs;
		to = k->bytes + CID_FRAME_LEAD + k->count * CID_WIRE_ID;
		for (size_t i = 0; i < keys; i++, to += CID_WIRE_ID)
			cid_wire_put_id(to, x->key[i]);
		k->count += (uint32_t)keys;
		if (p->count == CID_FRAME_PAIRS_MAX) {
			seal(x, CID_FRAME_PAIRS, p);
			return 0;
		}
		if (k->count == CID_FRAME_KEYS_MAX) {
			seal(x, CID_FRAME_KEYS, k);
			return 0;
		}
		if (pairs == 0 && keys == 0) {
			x->phase = AT_LAST_KEYS;
			if (p->count > 0)
				seal(x, CID_FRAME_PAIRS, p);
			return 0;
		}
	}
}

/* Gets more bytes to be read, or reaches AT_EOF. */
static int advance(struct exporter *x)
{
	switch (x->phase) {
	case AT_HEADER:
		x->out = x->edge;
		x->out_n = CID_FRAME_HEADER;
		x->phase = AT_ITEMS;
		return 0;
	case AT_ITEMS:
		return fill(x);
	case AT_LAST_KEYS:
		x->phase = AT_END;
		if (x->keys.count > 0)
			seal(x, CID_FRAME_KEYS, &x->keys);
		return 0;
	case AT_END:
		x->out = x->edge;
		x->out_n = cid_frame_finish(&x->encoder, x->edge);
		x->phase = AT_EOF;
		/* A reader that sits on the file keeps no space. */
		cidstore_snapshot_close(x->snapshot);
		x->snapshot = NULL;
		return 0;
	case AT_EOF:
		return 0;
	}
	return -EINVAL;
}

static ssize_t export_read(void *stream, void *buf, size_t n)
{
	struct exporter *x = stream;
	uint8_t *to = buf;
	size_t done = 0, part;

	while (done < n && x->failed == 0) {
		if (x->out_n == 0) {
			if (x->phase == AT_EOF)
				break;
			x->failed = advance(x);
			continue;
		}
		part = x->out_n < n - done ? x->out_n : n - done;
		memcpy(to + done, x->out, part);
		x->out += part;
		x->out_n -= part;
		done += part;
	}
	return done > 0 ? (ssize_t)done : x->failed;
}

static void export_release(void *stream)
{
	struct exporter *x = stream;

	if (x->snapshot != NULL)
		cidstore_snapshot_close(x->snapshot);
	free(x);
}

const struct cid_ctl_stream cid_stream_export = {
	.open = export_open,
	.read = export_read,
	.release = export_release,
};
