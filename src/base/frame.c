/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/frame.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include "base/err.h"
#include "base/hash.h"
#include "base/wire.h"

static const uint8_t magic[4] = { 'C', 'I', 'D', 'X' };

static_assert(CID_FRAME_PAIRS_MAX * CID_WIRE_PAIR == CID_FRAME_PAYLOAD_MAX, "pairs fill a block");
static_assert(CID_FRAME_KEYS_MAX * CID_WIRE_ID == CID_FRAME_PAYLOAD_MAX, "keys fill a block");

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* The checksum of the n bytes at p stands behind them. */
static void put_sum(uint8_t *p, size_t n, uint64_t seed)
{
	struct cid_sum sum = cid_sum_of(p, n, seed);

	put64(p + n, sum.low);
	put64(p + n + 8, sum.high);
}

static bool sum_holds(const uint8_t *p, size_t n, uint64_t seed)
{
	struct cid_sum got = { get64(p + n), get64(p + n + 8) };

	return cid_sum_eq(got, cid_sum_of(p, n, seed));
}

/* Bytes of a payload; 0: no such block. */
static size_t payload_bytes(uint32_t kind, uint32_t count)
{
	switch (kind) {
	case CID_FRAME_PAIRS:
		return count <= CID_FRAME_PAIRS_MAX ? count * CID_WIRE_PAIR : 0;
	case CID_FRAME_KEYS:
		return count <= CID_FRAME_KEYS_MAX ? count * CID_WIRE_ID : 0;
	case CID_FRAME_END:
		return count == 1 ? 32 : 0;
	}
	return 0;
}

void cid_frame_start(struct cid_frame_encoder *e, uint64_t seed, uint8_t out[CID_FRAME_HEADER])
{
	*e = (struct cid_frame_encoder){ .seed = seed };
	memcpy(out, magic, sizeof(magic));
	put16(out + 4, CID_FRAME_VERSION);
	put16(out + 6, CID_FRAME_HEADER);
	put64(out + 8, seed);
	put_sum(out, 16, 0);
}

size_t cid_frame_seal(struct cid_frame_encoder *e, enum cid_frame_kind kind, uint32_t count,
		      uint8_t *block)
{
	size_t n = CID_FRAME_LEAD + payload_bytes(kind, count);

	assert(n > CID_FRAME_LEAD);
	put32(block, kind);
	put32(block + 4, count);
	put64(block + 8, e->sequence++);
	put_sum(block, n, e->seed);
	if (kind == CID_FRAME_PAIRS)
		e->pairs += count;
	else if (kind == CID_FRAME_KEYS)
		e->keys += count;
	return n + CID_FRAME_SUM;
}

size_t cid_frame_finish(struct cid_frame_encoder *e, uint8_t out[CID_FRAME_END_BYTES])
{
	uint8_t *totals = out + CID_FRAME_LEAD;

	put64(totals, e->pairs);
	put64(totals + 8, e->keys);
	put64(totals + 16, e->sequence);
	put64(totals + 24, 0);
	return cid_frame_seal(e, CID_FRAME_END, 1, out);
}

void cid_frame_decoder_init(struct cid_frame_decoder *d)
{
	d->state = CID_FRAME_AT_HEADER;
	d->code = 0;
	d->seed = d->offset = 0;
	d->blocks = d->pairs = d->keys = 0;
	d->have = 0;
}

static int broken(struct cid_frame_decoder *d, struct cidstore_error *err, int code,
		  const char *what)
{
	d->state = CID_FRAME_BROKEN;
	d->code = code;
	return cid_err_set(err, code, "at byte %" PRIu64 ", block %" PRIu64 ": %s", d->offset,
			   d->blocks, what);
}

/* The next unit, `need` bytes of it: in the input where it is whole there, else
 * gathered in buf. NULL: more is needed. */
static const uint8_t *gather(struct cid_frame_decoder *d, const uint8_t *p, size_t n, size_t need)
{
	if (d->have == 0 && n >= need)
		return p;
	if (n > need - d->have)
		n = need - d->have;
	memcpy(d->buf + d->have, p, n);
	return d->have + n == need ? d->buf : NULL;
}

static int take_header(struct cid_frame_decoder *d, const uint8_t *h, struct cidstore_error *err)
{
	if (memcmp(h, magic, sizeof(magic)) != 0)
		return broken(d, err, CIDSTORE_EINVAL, "not an exported stream");
	if (!sum_holds(h, 16, 0))
		return broken(d, err, CIDSTORE_ECORRUPT, "the header is damaged");
	if (get16(h + 4) != CID_FRAME_VERSION || get16(h + 6) != CID_FRAME_HEADER)
		return broken(d, err, CIDSTORE_EVERSION, "written by a newer version");
	d->seed = get64(h + 8);
	d->state = CID_FRAME_AT_BLOCK;
	return 0;
}

static int take_block(struct cid_frame_decoder *d, const uint8_t *b, size_t payload,
		      struct cid_frame_block *out, struct cidstore_error *err)
{
	uint32_t kind = get32(b), count = get32(b + 4);
	const uint8_t *at = b + CID_FRAME_LEAD;

	if (!sum_holds(b, CID_FRAME_LEAD + payload, d->seed))
		return broken(d, err, CIDSTORE_ECORRUPT, "the checksum does not match");
	if (get64(b + 8) != d->blocks)
		return broken(d, err, CIDSTORE_ECORRUPT, "a block is missing or repeated");
	if (kind == CID_FRAME_END) {
		if (get64(at) != d->pairs || get64(at + 8) != d->keys ||
		    get64(at + 16) != d->blocks || get64(at + 24) != 0)
			return broken(d, err, CIDSTORE_ECORRUPT, "the totals do not match");
		d->state = CID_FRAME_ENDED;
	} else {
		d->blocks++;
		if (kind == CID_FRAME_PAIRS)
			d->pairs += count;
		else
			d->keys += count;
	}
	*out = (struct cid_frame_block){ (enum cid_frame_kind)kind, count, at };
	return 1;
}

int cid_frame_decode(struct cid_frame_decoder *d, const uint8_t **p, size_t *n,
		     struct cid_frame_block *out, struct cidstore_error *err)
{
	while (*n > 0) {
		const uint8_t *unit;
		size_t need, payload = 0, part;
		int rc;

		if (d->state == CID_FRAME_BROKEN)
			return cid_err_set(err, d->code, "the stream broke earlier");
		if (d->state == CID_FRAME_ENDED)
			return broken(d, err, CIDSTORE_EINVAL, "bytes after the end of the stream");
		/* A block's length is known with its lead. */
		need = d->state == CID_FRAME_AT_HEADER ? CID_FRAME_HEADER : CID_FRAME_LEAD;
		if (d->state == CID_FRAME_AT_HEADER || d->have < CID_FRAME_LEAD)
			unit = gather(d, *p, *n, need);
		else
			unit = d->buf;
		if (unit != NULL && d->state == CID_FRAME_AT_BLOCK) {
			payload = payload_bytes(get32(unit), get32(unit + 4));
			if (payload == 0)
				return broken(d, err, CIDSTORE_ECORRUPT,
					      "no block has this kind and count");
			need = CID_FRAME_LEAD + payload + CID_FRAME_SUM;
			unit = gather(d, *p, *n, need);
		}
		part = need - d->have;
		if (unit == NULL) {
			part = *n < part ? *n : part;
			d->have += part;
			*p += part;
			*n -= part;
			continue;
		}
		*p += part;
		*n -= part;
		d->have = 0;
		rc = d->state == CID_FRAME_AT_HEADER ? take_header(d, unit, err)
						     : take_block(d, unit, payload, out, err);
		if (rc < 0)
			return rc;
		d->offset += need;
		if (rc > 0)
			return rc;
	}
	return 0;
}

int cid_frame_decode_end(const struct cid_frame_decoder *d, struct cidstore_error *err)
{
	if (d->state == CID_FRAME_ENDED)
		return 0;
	if (d->state == CID_FRAME_BROKEN)
		return cid_err_set(err, d->code, "the stream broke at byte %" PRIu64, d->offset);
	return cid_err_set(err, CIDSTORE_EINVAL,
			   "the stream was cut off at byte %" PRIu64 ", block %" PRIu64,
			   d->offset + d->have, d->blocks);
}
