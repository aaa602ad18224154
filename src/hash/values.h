/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * values.h - sets of values: order, search, and the nodes of large ones
 *
 * Values are sorted by (62-bit hash, identifier) and lie as 16-byte ids.
 *
 * A set in own extents is a tree made of blocks of at most 64 KiB. A block of
 * level 0 holds values. One of a higher level holds references, each to a
 * block one level below, in order; `first` is the hash of that block's first
 * value when it was written, and all values of a block have hashes in
 * [first, first of the next block). Equal hashes never straddle two blocks.
 * A reference carries the XXH3-128 of what it refers to.
 */
#ifndef CID_HASH_VALUES_H
#define CID_HASH_VALUES_H

#include <stddef.h>
#include "base/limits.h"
#include "hash/entry.h"

#define CID_TREE_LEVELS 5

struct cid_node_ref {
	uint64_t first;
	uint64_t pos;
	uint64_t count;	   /* values below */
	uint32_t children; /* references in that block; of a leaf: its values */
	uint32_t level;
	struct cid_sum sum;
};
_Static_assert(sizeof(struct cid_node_ref) == 48, "three values long");

/* -1, 0, 1 by (hash, id). */
static inline int cid_value_cmp(uint64_t ha, struct cidstore_id a, uint64_t hb,
				struct cidstore_id b)
{
	if (ha != hb)
		return ha < hb ? -1 : 1;
	return cid_id_cmp(a, b);
}

/* The first of n sorted values that is not before (hash, id). */
size_t cid_values_bound(const struct cidstore_id *v, size_t n, uint64_t seed, uint64_t hash,
			struct cidstore_id id);
bool cid_values_have(const struct cidstore_id *v, size_t n, uint64_t seed, uint64_t hash,
		     struct cidstore_id id);
/* The child that covers `hash`. n > 0. */
size_t cid_node_child(const struct cid_node_ref *r, size_t n, uint64_t hash);

/* Bytes of the block a reference points to; 0 where the numbers cannot be. */
size_t cid_block_bytes(uint32_t level, uint32_t children);

#endif
