/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - the framed stream of export and import
 *
 * A stream is a header, blocks and an end block. Integers are little-endian,
 * identifiers 16 bytes big-endian as everywhere outside the store.
 *
 *     header, 32 bytes; the same in all versions
 *        0   4  magic "CIDX"
 *        4   2  version: 1
 *        6   2  bytes of this header: 32
 *        8   8  seed of this stream's checksums
 *       16  16  XXH3-128 of bytes 0..15, seed 0
 *
 *     block, 32 bytes and its payload
 *        0   4  kind: 1 pairs, 2 keys without values, 3 end
 *        4   4  count of items: 1..2048 pairs, 1..4096 keys, 1 end
 *        8   8  sequence: 0 for the first block, one more for each
 *       16   n  payload: count x (key, value); count x key; or the end's totals:
 *               u64 pairs, u64 keys without values, u64 blocks before the end,
 *               u64 zero
 *     16+n  16  XXH3-128 of bytes 0..16+n-1 with the stream's seed
 *
 * An XXH3-128 is written low word first. A payload is at most 64 KiB. Nothing
 * follows the end block. A stream without it was cut off. The seed differs
 * from stream to stream and the sequence from block to block, so that a block
 * that was lost, repeated or taken from elsewhere is noticed. The order of
 * items means nothing, and blocks of both kinds may alternate; taking the same
 * block in twice is harmless.
 */
#ifndef CID_BASE_FRAME_H
#define CID_BASE_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"

#define CID_FRAME_VERSION     1
#define CID_FRAME_HEADER      32u
#define CID_FRAME_LEAD	      16u /* of a block, before its payload */
#define CID_FRAME_SUM	      16u /* after it */
#define CID_FRAME_PAYLOAD_MAX 65536u
#define CID_FRAME_BLOCK_MAX   (CID_FRAME_LEAD + CID_FRAME_PAYLOAD_MAX + CID_FRAME_SUM)
#define CID_FRAME_PAIRS_MAX   2048u
#define CID_FRAME_KEYS_MAX    4096u

enum cid_frame_kind { CID_FRAME_PAIRS = 1, CID_FRAME_KEYS = 2, CID_FRAME_END = 3 };

/* ---- writing ---- */

struct cid_frame_encoder {
	uint64_t seed, sequence, pairs, keys;
};

/* Writes the header. */
void cid_frame_start(struct cid_frame_encoder *e, uint64_t seed, uint8_t out[CID_FRAME_HEADER]);
/* Completes a block whose payload, `count` pairs or keys (not none, and no more
 * than fit), stands at block + CID_FRAME_LEAD. The block's length. */
size_t cid_frame_seal(struct cid_frame_encoder *e, enum cid_frame_kind kind, uint32_t count,
		      uint8_t *block);
/* Writes the end block. Its length, at most CID_FRAME_END_BYTES. */
#define CID_FRAME_END_BYTES 64u
size_t cid_frame_finish(struct cid_frame_encoder *e, uint8_t out[CID_FRAME_END_BYTES]);

/* ---- reading ---- */

struct cid_frame_block {
	enum cid_frame_kind kind;
	uint32_t count;
	const uint8_t *payload; /* verified; valid until the next call or the input goes */
};

enum cid_frame_state { CID_FRAME_AT_HEADER, CID_FRAME_AT_BLOCK, CID_FRAME_ENDED, CID_FRAME_BROKEN };

/* Some 64 KiB; for the heap. */
struct cid_frame_decoder {
	enum cid_frame_state state;
	int code; /* of CID_FRAME_BROKEN */
	uint64_t seed;
	uint64_t offset;	      /* bytes of the stream decoded: header and whole blocks */
	uint64_t blocks, pairs, keys; /* verified */
	size_t have;		      /* bytes of the next unit in buf */
	uint8_t buf[CID_FRAME_BLOCK_MAX];
};

void cid_frame_decoder_init(struct cid_frame_decoder *d);

/* Takes bytes from *p, in pieces of any size, up to the end of one block, and
 * moves *p and *n on. 1: a block, verified, in *out (also the end block); 0:
 * all bytes were taken and more are needed. CIDSTORE_EINVAL: not such a stream,
 * or bytes after its end; CIDSTORE_EVERSION; CIDSTORE_ECORRUPT. After a failure
 * every call fails. `err` may be NULL. */
int cid_frame_decode(struct cid_frame_decoder *d, const uint8_t **p, size_t *n,
		     struct cid_frame_block *out, struct cidstore_error *err);

/* The input is over: 0 where the stream is, CIDSTORE_EINVAL where it was cut
 * off, the code of the failure where there was one. */
int cid_frame_decode_end(const struct cid_frame_decoder *d, struct cidstore_error *err);

#endif
