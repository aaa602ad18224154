/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - one record of the write-ahead log
 *
 * 64 bytes, little-endian, packed:
 *
 *     0  u8   version << 6 | opcode     version 1
 *     1  u8   flags                     reserved, 0
 *     2  u64  nanos                     Unix time, never decreases
 *    10  u32  seq                       place among records of equal nanos
 *    14  u32  shard                     0
 *    18  u64  key_high    26 u64 key_low
 *    34  u64  value_high  42 u64 value_low
 *    50  u32  crc32c                    of the 64 bytes with this field zero
 *    54  u48  lsn                       place in the order of all records, from 1
 *    60  u32  generation                of the log, see ring.h
 *
 * CRC-32C has Hamming distance 6 at this length, so it tells any two flipped
 * bits apart from any other two and both can be put right.
 */
#ifndef CID_WAL_RECORD_H
#define CID_WAL_RECORD_H

#include <stdbool.h>
#include <string.h>
#include "base/id.h"

#define CID_RECORD_BYTES 64
#define CID_RECORD_VERSION 1
#define CID_RECORD_KEY_AT 18
#define CID_RECORD_LSN_AT 54
#define CID_LSN_MAX ((1ull << 48) - 1)

enum cid_opcode {
	CID_OP_NONE = 0,
	CID_OP_INSERT = 1,
	CID_OP_DELETE = 2,     /* one value of a key */
	CID_OP_RMKEY = 3,      /* a key with all its values */
	CID_OP_MKKEY = 4,
	CID_OP_BEGIN = 5,      /* value.low: operations that follow */
	CID_OP_COMMIT = 6,     /* value.low: lsn of its BEGIN */
	CID_OP_SPLIT = 7,      /* notes of structural changes: replay */
	CID_OP_MERGE = 8,      /* passes over them. key.high: hash prefix, */
	CID_OP_PROMOTE = 9,    /* key.low: depth; of PROMOTE and DEMOTE: */
	CID_OP_DEMOTE = 10,    /* the key */
	CID_OP_CHECKPOINT = 11,/* value.high: epoch, value.low: first lsn kept */
	CID_OP_DURABLE = 12,   /* value.low: everything up to here was synced */
	CID_OP_LAST = 12
};

struct cid_record {
	uint8_t version;
	uint8_t opcode;
	uint32_t seq;
	uint32_t generation;
	uint64_t nanos;
	uint64_t lsn;
	struct cidstore_id key;
	struct cidstore_id value;
};

void cid_record_pack(const struct cid_record *r, uint8_t out[CID_RECORD_BYTES]);
/* False where the checksum does not hold. The fields are not judged. */
bool cid_record_unpack(const uint8_t in[CID_RECORD_BYTES], struct cid_record *out);
/* The key where a record stands, whether there is one or not. */
static inline struct cidstore_id cid_record_key(const uint8_t in[CID_RECORD_BYTES])
{
	struct cidstore_id key;

	memcpy(&key, in + CID_RECORD_KEY_AT, sizeof(key));
	return key;
}

/* Puts one or two flipped bits right; the number corrected, or -1. */
int cid_record_correct(uint8_t rec[CID_RECORD_BYTES]);

#endif
