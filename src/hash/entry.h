/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.h - what a key looks like in a part of the store
 *
 * 64 bytes, one cache line, little-endian:
 *
 *     0  key      high, low
 *    16  slot[0]  high, low
 *    32  slot[1]  high, low
 *    48  check    120 bits of XXH3-128 and, in the top byte, the state as a
 *                 SECDED (8,4) code word (extended Hamming code)
 *
 * The hash covers key and slots; its seed is made of the state and of the
 * entry's place (store, generation of the part, byte position), so that an
 * entry that is stale, or came from elsewhere, does not verify. As it is 120
 * bits wide it also corrects: flipping the right one or two bits back makes it
 * verify again, and nothing else does.
 *
 * A key has one *full* entry (EMPTY .. EXTENT), or a tombstone, or up to two
 * *delta* entries, one that adds and one that deletes. A full entry or a
 * tombstone hides everything older; deltas apply to what is older.
 *
 *     state    slot[0]                     slot[1]
 *     EMPTY    -                           -               no value
 *     ONE      value                       -
 *     TWO      value                       value
 *     PACKED   list reference              its XXH3-128    3 .. 4096 values
 *     EXTENT   list reference              its XXH3-128    a tree, see values.h
 *     TOMB     -                           -               the key is gone
 *     TOUCH    -                           -               the key exists
 *     ADD1 ADD2 ADDP ADDX   as ONE TWO PACKED EXTENT: added; the key exists
 *     DEL1 DEL2 DELP DELX   as ONE TWO PACKED EXTENT: deleted
 */
#ifndef CID_HASH_ENTRY_H
#define CID_HASH_ENTRY_H

#include <assert.h>
#include "base/hash.h"
#include "base/plant.h"

#define CID_ENTRY_BYTES 64

enum cid_state {
	CID_UNUSED = 0,
	CID_EMPTY = 1,
	CID_ONE = 2,
	CID_TWO = 3,
	CID_PACKED = 4,
	CID_EXTENT = 5,
	CID_TOMB = 6,
	CID_TOUCH = 7,
	CID_ADD1 = 8,
	CID_ADD2 = 9,
	CID_ADDP = 10,
	CID_ADDX = 11,
	CID_DEL1 = 12,
	CID_DEL2 = 13,
	CID_DELP = 14,
	CID_DELX = 15,
	CID_STATES = 16
};

/* How many values, and where: one table for all states. */
enum cid_role { CID_ROLE_NONE, CID_ROLE_FULL, CID_ROLE_TOMB, CID_ROLE_ADD, CID_ROLE_DEL };
enum cid_form { CID_FORM_INLINE, CID_FORM_PACKED, CID_FORM_TREE };

static inline bool cid_role_hides(uint8_t role)
{
	return role == CID_ROLE_FULL || role == CID_ROLE_TOMB;
}

struct cid_state_info {
	const char *name;
	uint8_t role;
	uint8_t form;
	uint8_t inline_values;
};
extern const struct cid_state_info cid_state_table[CID_STATES];

struct cid_entry {
	struct cidstore_id key;
	struct cidstore_id slot[2];
	uint64_t check_low;
	uint64_t check_high; /* top byte: state code */
};
_Static_assert(sizeof(struct cid_entry) == CID_ENTRY_BYTES, "entry is one cache line");

/* A reference to a value list: slot[0] of PACKED and EXTENT states.
 *   high: position in the values pool
 *   low:  count (48 bits) | children of the root node (12) << 48 | level << 60
 * At level 0, as in packed lists, the children are the values: field 0. */
struct cid_list_ref {
	uint64_t pos;
	uint64_t count;
	uint32_t children;
	uint32_t level;
	struct cid_sum sum;
};

/* Code words: four data bits, which are the low nibble, three Hamming bits, one
 * overall parity bit. */
extern const uint8_t cid_state_code[CID_STATES];
static inline uint8_t cid_state_encode(enum cid_state s)
{
	return cid_state_code[s];
}
/* The state of a code word with at most one flipped bit, or -1. */
int cid_state_decode_flipped(uint8_t code);
static inline int cid_state_decode(uint8_t code)
{
	return cid_state_code[code & 15] == code ? code & 15 : cid_state_decode_flipped(code);
}

/* The seed of everything in a part. */
static inline uint64_t cid_part_seed(uint64_t store_seed, uint64_t generation)
{
	return cid_mix(store_seed, generation);
}

static inline struct cid_sum cid_entry_sum(const struct cid_entry *e, enum cid_state s,
					   uint64_t part_seed, uint64_t pos)
{
	return cid_sum_of(e, CID_PLANT(34) ? 32 : 48, part_seed + pos + (uint64_t)s * 0x9E3779B97F4A7C15ull);
}

/* Sets state and check; the entry will lie at byte `pos` of the pool. */
static inline void cid_entry_seal(struct cid_entry *e, enum cid_state s, uint64_t part_seed,
				  uint64_t pos)
{
	struct cid_sum h = cid_entry_sum(e, s, part_seed, pos);

	e->check_low = h.low;
	e->check_high = (h.high & 0x00ffffffffffffffull) | (uint64_t)cid_state_encode(s) << 56;
}

/* The state of an entry that verifies at this place, or -1. */
static inline int cid_entry_state(const struct cid_entry *e, uint64_t part_seed, uint64_t pos)
{
	int s = cid_state_decode((uint8_t)(e->check_high >> 56));
	struct cid_sum h;

	if (s < 0)
		return -1;
	h = cid_entry_sum(e, (enum cid_state)s, part_seed, pos);
	if (h.low != e->check_low || ((h.high ^ e->check_high) & 0x00ffffffffffffffull))
		return -1;
	return s;
}

/* Puts up to `bits` (1 or 2) flipped bits right. The state, or -1; *flipped is
 * the number of bits that were wrong. One bit costs some 5 us, two 2 ms. */
int cid_entry_correct(struct cid_entry *e, uint64_t part_seed, uint64_t pos, int bits,
		      int *flipped);

struct cid_list_ref cid_entry_list(const struct cid_entry *e);
void cid_entry_set_list(struct cid_entry *e, const struct cid_list_ref *ref);

static inline uint64_t cid_entry_count(const struct cid_entry *e, enum cid_state s)
{
	const struct cid_state_info *i = &cid_state_table[s];

	return i->form == CID_FORM_INLINE ? i->inline_values :
					    e->slot[0].low & ((1ull << 48) - 1);
}

#endif
