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

#define KEYS_A_PAGE   512u
#define VALUES_A_PAGE 1024u

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

	struct cidstore_pos key_pos;
	size_t key_at, key_n;
	struct cidstore_item key[KEYS_A_PAGE];

	uint64_t left; /* values of the key before key_at still to come */
	struct cidstore_pos value_pos;
	size_t value_at, value_n;
	struct cidstore_item value[VALUES_A_PAGE];

	const uint8_t *out; /* sealed bytes to be read */
	size_t out_n;
	struct block pairs, keys;
	uint8_t edge[CID_FRAME_END_BYTES]; /* header, end block */
};

static_assert(CID_FRAME_HEADER <= CID_FRAME_END_BYTES, "edge holds the header too");

static int export_open(struct cid_control *c, void **out)
{
	struct exporter *x = malloc(sizeof(*x));
	struct cidstore_stats s;
	int rc;

	if (x == NULL)
		return -ENOMEM;
	memset(x, 0, offsetof(struct exporter, key));
	x->left = 0;
	x->value_at = x->value_n = 0;
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

/* Moves values of the key under way into the block of pairs. 1, or an errno. */
static int add_values(struct exporter *x)
{
	struct cidstore_id key = x->key[x->key_at - 1].id;
	uint8_t *to = x->pairs.bytes + CID_FRAME_LEAD + x->pairs.count * CID_WIRE_PAIR;

	if (x->value_at == x->value_n) {
		size_t want = x->left < VALUES_A_PAGE ? (size_t)x->left : VALUES_A_PAGE;
		int rc = cidstore_snapshot_values(x->snapshot, key, &x->value_pos, x->value, want,
						  &x->value_n);

		x->value_at = 0;
		if (rc == 0 && x->value_n == 0)
			rc = CIDSTORE_ECORRUPT; /* fewer than the key counts */
		if (rc != 0) {
			x->value_n = 0;
			return cid_ctl_errno(rc);
		}
	}
	while (x->value_at < x->value_n && x->pairs.count < CID_FRAME_PAIRS_MAX) {
		cid_wire_put_pair(to, (struct cidstore_pair){ key, x->value[x->value_at].id });
		to += CID_WIRE_PAIR;
		x->value_at++;
		x->pairs.count++;
		x->left--;
	}
	return 1;
}

/* Turns to the next key: 1, 0 at the end, or an errno. */
static int next_key(struct exporter *x)
{
	const struct cidstore_item *k;

	if (x->key_at == x->key_n) {
		int rc = cidstore_snapshot_keys(x->snapshot, &x->key_pos, x->key, KEYS_A_PAGE,
						&x->key_n);

		x->key_at = 0;
		if (rc != 0)
			x->key_n = 0;
		if (rc != 0 || x->key_n == 0)
			return cid_ctl_errno(rc);
	}
	k = &x->key[x->key_at++];
	x->left = k->count;
	x->value_pos = (struct cidstore_pos){ 0 };
	x->value_at = x->value_n = 0;
	if (k->count == 0)
		cid_wire_put_id(x->keys.bytes + CID_FRAME_LEAD + x->keys.count++ * CID_WIRE_ID,
				k->id);
	return 1;
}

/* Collects items until a block is full, or all are there. */
static int fill(struct exporter *x)
{
	int rc;

	for (;;) {
		rc = x->left > 0 ? add_values(x) : next_key(x);
		if (rc < 0)
			return rc;
		if (x->pairs.count == CID_FRAME_PAIRS_MAX) {
			seal(x, CID_FRAME_PAIRS, &x->pairs);
			return 0;
		}
		if (x->keys.count == CID_FRAME_KEYS_MAX) {
			seal(x, CID_FRAME_KEYS, &x->keys);
			return 0;
		}
		if (rc == 0) {
			x->phase = AT_LAST_KEYS;
			if (x->pairs.count > 0)
				seal(x, CID_FRAME_PAIRS, &x->pairs);
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
