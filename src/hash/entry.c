/* SPDX-License-Identifier: BSD-2-Clause */
#include "hash/entry.h"

const struct cid_state_info cid_state_table[CID_STATES] = {
	[CID_UNUSED] = { "unused", CID_ROLE_NONE, CID_FORM_INLINE, 0 },
	[CID_EMPTY] = { "empty", CID_ROLE_FULL, CID_FORM_INLINE, 0 },
	[CID_ONE] = { "inline", CID_ROLE_FULL, CID_FORM_INLINE, 1 },
	[CID_TWO] = { "inline", CID_ROLE_FULL, CID_FORM_INLINE, 2 },
	[CID_PACKED] = { "packed", CID_ROLE_FULL, CID_FORM_PACKED, 0 },
	[CID_EXTENT] = { "extents", CID_ROLE_FULL, CID_FORM_TREE, 0 },
	[CID_TOMB] = { "tombstone", CID_ROLE_TOMB, CID_FORM_INLINE, 0 },
	[CID_TOUCH] = { "touch", CID_ROLE_ADD, CID_FORM_INLINE, 0 },
	[CID_ADD1] = { "add", CID_ROLE_ADD, CID_FORM_INLINE, 1 },
	[CID_ADD2] = { "add", CID_ROLE_ADD, CID_FORM_INLINE, 2 },
	[CID_ADDP] = { "add packed", CID_ROLE_ADD, CID_FORM_PACKED, 0 },
	[CID_ADDX] = { "add extents", CID_ROLE_ADD, CID_FORM_TREE, 0 },
	[CID_DEL1] = { "delete", CID_ROLE_DEL, CID_FORM_INLINE, 1 },
	[CID_DEL2] = { "delete", CID_ROLE_DEL, CID_FORM_INLINE, 2 },
	[CID_DELP] = { "delete packed", CID_ROLE_DEL, CID_FORM_PACKED, 0 },
	[CID_DELX] = { "delete extents", CID_ROLE_DEL, CID_FORM_TREE, 0 },
};

const uint8_t cid_state_code[CID_STATES] = {
	0x00, 0xe1, 0xd2, 0x33, 0xb4, 0x55, 0x66, 0x87,
	0x78, 0x99, 0xaa, 0x4b, 0xcc, 0x2d, 0x1e, 0xff,
};

int cid_state_decode_flipped(uint8_t code)
{
	for (int s = 0; s < CID_STATES; s++)
		if (__builtin_popcount((unsigned)(cid_state_code[s] ^ code)) <= 1)
			return s;
	return -1;
}

/* Bits 0 .. 503 are all but the state byte, which correct() tries whole. */
enum { BITS = 504 };

static void flip(struct cid_entry *e, int bit)
{
	((uint8_t *)e)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* Distance of the stored from the computed check, both without the state. */
static int check_distance(const struct cid_entry *e, struct cid_sum h)
{
	return __builtin_popcountll(h.low ^ e->check_low) +
	       __builtin_popcountll((h.high ^ e->check_high) & 0x00ffffffffffffffull);
}

/* With state s, is there a way to make it verify that costs `budget` bits? */
static bool try_state(struct cid_entry *e, enum cid_state s, uint64_t part_seed, uint64_t pos,
		      int budget, int *used)
{
	struct cid_sum h = cid_entry_sum(e, s, part_seed, pos);
	int d = check_distance(e, h);

	if (d <= budget) {
		*used = d;
		return true;
	}
	for (int i = 0; budget >= 1 && i < 384; i++) {
		flip(e, i);
		h = cid_entry_sum(e, s, part_seed, pos);
		d = check_distance(e, h);
		if (d <= budget - 1) {
			*used = d + 1;
			return true;
		}
		for (int j = i + 1; budget >= 2 && j < 384; j++) {
			flip(e, j);
			h = cid_entry_sum(e, s, part_seed, pos);
			if (check_distance(e, h) == 0) {
				*used = 2;
				return true;
			}
			flip(e, j);
		}
		flip(e, i);
	}
	return false;
}

int cid_entry_correct(struct cid_entry *e, uint64_t part_seed, uint64_t pos, int bits,
		      int *flipped)
{
	struct cid_entry best;
	uint8_t code = (uint8_t)(e->check_high >> 56);
	int state = -1;

	for (int budget = 0; budget <= bits; budget++)
		for (int s = 0; s < CID_STATES; s++) {
			int in_code = __builtin_popcount((unsigned)(cid_state_code[s] ^ code)), used;

			if (in_code > budget)
				continue;
			best = *e;
			if (!try_state(&best, (enum cid_state)s, part_seed, pos, budget - in_code,
				       &used))
				continue;
			state = s;
			cid_entry_seal(&best, (enum cid_state)s, part_seed, pos);
			*flipped = in_code + used;
			*e = best;
			return state;
		}
	return -1;
}

struct cid_list_ref cid_entry_list(const struct cid_entry *e)
{
	struct cid_list_ref r = {
		.pos = e->slot[0].high,
		.count = e->slot[0].low & ((1ull << 48) - 1),
		.children = (uint32_t)(e->slot[0].low >> 48) & 0xfff,
		.level = (uint32_t)(e->slot[0].low >> 60),
		.sum = { e->slot[1].low, e->slot[1].high },
	};

	if (r.level == 0)
		r.children = r.count > UINT32_MAX ? 0 : (uint32_t)r.count;
	return r;
}

void cid_entry_set_list(struct cid_entry *e, const struct cid_list_ref *ref)
{
	e->slot[0].high = ref->pos;
	e->slot[0].low = ref->count | (uint64_t)ref->level << 60 |
			 (ref->level ? (uint64_t)ref->children << 48 : 0);
	e->slot[1].low = ref->sum.low;
	e->slot[1].high = ref->sum.high;
}
