/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire.h - identifiers as they leave the store: 16 bytes, big-endian, high
 * before low; a pair is 32 bytes, the key before the value. Inlined for the
 * bulk streams; no alignment is asked for.
 */
#ifndef CID_BASE_WIRE_H
#define CID_BASE_WIRE_H

#include <endian.h>
#include <string.h>
#include "cidstore/cidstore.h"

#define CID_WIRE_ID   16u
#define CID_WIRE_PAIR 32u

static inline struct cidstore_id cid_wire_get_id(const uint8_t *in)
{
	uint64_t w[2];

	memcpy(w, in, sizeof(w));
	return (struct cidstore_id){ be64toh(w[0]), be64toh(w[1]) };
}

static inline void cid_wire_put_id(uint8_t *out, struct cidstore_id id)
{
	uint64_t w[2] = { htobe64(id.high), htobe64(id.low) };

	memcpy(out, w, sizeof(w));
}

static inline struct cidstore_pair cid_wire_get_pair(const uint8_t *in)
{
	return (struct cidstore_pair){ cid_wire_get_id(in), cid_wire_get_id(in + CID_WIRE_ID) };
}

static inline void cid_wire_put_pair(uint8_t *out, struct cidstore_pair p)
{
	cid_wire_put_id(out, p.key);
	cid_wire_put_id(out + CID_WIRE_ID, p.value);
}

#endif
