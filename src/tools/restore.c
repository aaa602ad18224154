/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/restore.h"

#include <stdlib.h>
#include "base/err.h"
#include "base/frame.h"
#include "base/wire.h"

/* Blocks are gathered: a sink takes a few large pieces better than many small
 * ones. */
#define PAIRS (16u * CID_FRAME_PAIRS_MAX)

struct cid_restore {
	struct cid_sink sink;
	struct cid_frame_decoder decoder;
	size_t n;
	struct cidstore_pair pair[PAIRS];
	struct cidstore_id key[CID_FRAME_KEYS_MAX];
};

int cid_restore_new(const struct cid_sink *sink, struct cid_restore **out)
{
	struct cid_restore *r = malloc(sizeof(*r));

	if (r == NULL)
		return CIDSTORE_ENOMEM;
	r->sink = *sink;
	r->n = 0;
	cid_frame_decoder_init(&r->decoder);
	*out = r;
	return 0;
}

void cid_restore_free(struct cid_restore *r)
{
	free(r);
}

static int flush(struct cid_restore *r)
{
	int rc = r->n > 0 ? r->sink.pairs(r->sink.arg, r->pair, r->n) : 0;

	r->n = 0;
	return rc;
}

static int take_pairs(struct cid_restore *r, const struct cid_frame_block *b)
{
	const uint8_t *p = b->payload;
	int rc = r->n + b->count > PAIRS ? flush(r) : 0;

	for (uint32_t i = 0; i < b->count && rc == 0; i++, p += CID_WIRE_PAIR)
		r->pair[r->n++] = cid_wire_get_pair(p);
	return rc;
}

static int take_keys(struct cid_restore *r, const struct cid_frame_block *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		r->key[i] = cid_wire_get_id(b->payload + i * CID_WIRE_ID);
	return r->sink.keys(r->sink.arg, r->key, b->count);
}

int cid_restore_feed(struct cid_restore *r, const void *p, size_t n, struct cidstore_error *err)
{
	struct cid_frame_block b;
	const uint8_t *at = p;
	int rc;

	for (;;) {
		rc = cid_frame_decode(&r->decoder, &at, &n, &b, err);
		if (rc <= 0)
			return rc;
		rc = 0;
		if (b.kind == CID_FRAME_PAIRS)
			rc = take_pairs(r, &b);
		else if (b.kind == CID_FRAME_KEYS)
			rc = take_keys(r, &b);
		if (rc != 0)
			return rc;
	}
}

int cid_restore_end(struct cid_restore *r, struct cidstore_error *err)
{
	int rc = cid_frame_decode_end(&r->decoder, err);

	return rc == 0 ? flush(r) : rc;
}
