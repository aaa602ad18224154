/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.c - the framed stream of export and import
 *
 * The first byte tells the size of the pieces and, in its top bit, to put the
 * checksums right first, so that what lies behind them is reached.
 */
#include "base/frame.h"
#include "base/hash.h"
#include "fuzz/fuzz.h"

static void seal(uint8_t *p, size_t n, uint64_t seed)
{
	struct cid_sum sum = cid_sum_of(p, n, seed);

	memcpy(p + n, &sum, sizeof(sum));
}

static void seal_all(uint8_t *p, size_t n)
{
	uint64_t seed;

	if (n < CID_FRAME_HEADER)
		return;
	memcpy(&seed, p + 8, 8);
	seal(p, 16, 0);
	p += CID_FRAME_HEADER;
	n -= CID_FRAME_HEADER;
	while (n >= CID_FRAME_LEAD + CID_FRAME_SUM) {
		uint32_t kind, count;
		size_t payload;

		memcpy(&kind, p, 4);
		memcpy(&count, p + 4, 4);
		payload = kind == CID_FRAME_PAIRS ? count * 32ull :
			  kind == CID_FRAME_KEYS  ? count * 16ull :
						    32;
		if (payload > n - CID_FRAME_LEAD - CID_FRAME_SUM)
			return;
		seal(p, CID_FRAME_LEAD + payload, seed);
		p += CID_FRAME_LEAD + payload + CID_FRAME_SUM;
		n -= CID_FRAME_LEAD + payload + CID_FRAME_SUM;
	}
}

static int decode(const uint8_t *p, size_t n, size_t piece, struct cid_sum *content)
{
	struct cid_frame_decoder *d = malloc(sizeof(*d));
	struct cid_frame_block b;
	struct cidstore_error err;
	int rc = 0;

	*content = (struct cid_sum){ 0, 0 };
	if (!d)
		return 0;
	cid_frame_decoder_init(d);
	while (n > 0 && rc >= 0) {
		size_t part = n < piece ? n : piece, left = part;

		n -= part;
		while ((rc = cid_frame_decode(d, &p, &left, &b, &err)) > 0) {
			size_t bytes = b.kind == CID_FRAME_PAIRS ? b.count * 32u :
				       b.kind == CID_FRAME_KEYS	 ? b.count * 16u :
								   0;

			*content = cid_sum_of(b.payload, bytes, content->low + b.kind);
		}
		fuzz_must(rc < 0 || left == 0, "all bytes are taken");
	}
	fuzz_must(rc >= 0 || cid_frame_decode(d, &p, &(size_t){ 1 }, &b, &err) < 0,
		  "what is broken stays broken");
	if (rc >= 0)
		rc = cid_frame_decode_end(d, &err);
	free(d);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cid_sum whole, pieces;
	uint8_t *copy;
	int a, b;

	if (n < 2)
		return 0;
	copy = malloc(n - 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, n - 1);
	if (data[0] & 0x80)
		seal_all(copy, n - 1);
	a = decode(copy, n - 1, n, &whole);
	b = decode(copy, n - 1, (data[0] & 0x7f) + 1u, &pieces);
	fuzz_must(a == b && cid_sum_eq(whole, pieces), "pieces of any size give the same");
	free(copy);
	return 0;
}
