/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * index.h - fences and filter of a part, in one
 *
 * The entries of a part are sorted by hash. The hash range of the part is cut
 * into 2^b equal bins of some 32 entries each; `start` tells where each bin
 * begins, and `tag` holds, per entry, the 16 bits of its hash that follow the
 * bin's. A lookup reads the two starts of its bin, compares the bin's tags at
 * once, and touches an entry only where a tag is equal: the one it looks for,
 * or, with 32 tags of 16 bits, a wrong one in 0.05 % of the misses.
 *
 * On disk: u32 start[2^b + 1], then u16 tag[entries]; covered by the XXH3-128
 * in the part's footer, verified when it is loaded.
 */
#ifndef CID_HASH_INDEX_H
#define CID_HASH_INDEX_H

#include <stddef.h>
#include "base/hash.h"
#include "base/limits.h"

struct cid_index {
	uint32_t bins_log2;
	uint32_t depth; /* hash bits that all entries of the part share */
	uint32_t entries;
	const uint32_t *start;
	const uint16_t *tag;
};

/* b for a number of entries: at least 1. */
uint32_t cid_index_bins_log2(uint64_t entries);

static inline size_t cid_index_bytes(uint64_t entries, uint32_t bins_log2)
{
	return (((size_t)1 << bins_log2) + 1) * 4 + (size_t)entries * 2;
}

static inline uint32_t cid_index_bin(uint64_t hash, uint32_t depth, uint32_t bins_log2)
{
	return (uint32_t)((hash << 2 << depth) >> (64 - bins_log2));
}

static inline uint16_t cid_index_tag(uint64_t hash, uint32_t depth, uint32_t bins_log2)
{
	return (uint16_t)((hash << 2 << depth << bins_log2) >> 48);
}

/* About where entries of this hash lie. */
static inline uint32_t cid_index_guess(const struct cid_index *x, uint64_t hash)
{
	return (uint32_t)(((hash << 2 << x->depth) >> 32) * x->entries >> 32);
}

/* The bin's line; and, once that is there, the lines of its tags. */
static inline void cid_index_prefetch_bin(const struct cid_index *x, uint64_t hash)
{
	__builtin_prefetch(&x->start[cid_index_bin(hash, x->depth, x->bins_log2)]);
}
static inline void cid_index_prefetch_tags(const struct cid_index *x, uint64_t hash)
{
	const uint16_t *t = &x->tag[x->start[cid_index_bin(hash, x->depth, x->bins_log2)]];

	__builtin_prefetch(t);
	__builtin_prefetch(t + 31);
}

/* The first candidate at or after `from` (start with 0), or entries. */
uint32_t cid_index_find(const struct cid_index *x, uint64_t hash, uint32_t from);

/* True where start[] ascends from 0 to entries. Required after loading. */
bool cid_index_valid(const struct cid_index *x);

#endif
