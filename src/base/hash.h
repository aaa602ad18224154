/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hash.h - the two hashes of the store, in one place
 *
 * Order and placement: XXH3-64 of the 16 bytes of an identifier as they lie in
 * the files (little-endian high, then low) with the store's seed, shifted right
 * by two, so that 62 bits remain; directory cookies must stay below 2^63.
 * Integrity: XXH3-128 with a seed of the caller's. (xxHash 0.8, Y. Collet.)
 */
#ifndef CID_BASE_HASH_H
#define CID_BASE_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>
#include "base/id.h"

#define CID_HASH_BITS 62

struct cid_sum {
	uint64_t low;
	uint64_t high;
};

static inline uint64_t cid_hash(struct cidstore_id id, uint64_t seed)
{
	return XXH3_64bits_withSeed(&id, sizeof(id), seed) >> 2;
}

/* The same of a long block, by the widest instructions of the processor. */
#define CID_SUM_LONG 512
struct cid_sum cid_sum_long(const void *p, size_t n, uint64_t seed);

static inline struct cid_sum cid_sum_of(const void *p, size_t n, uint64_t seed)
{
	XXH128_hash_t h;

	if (n >= CID_SUM_LONG)
		return cid_sum_long(p, n, seed);
	h = XXH3_128bits_withSeed(p, n, seed);
	return (struct cid_sum){ h.low64, h.high64 };
}

static inline bool cid_sum_eq(struct cid_sum a, struct cid_sum b)
{
	return a.low == b.low && a.high == b.high;
}

/* Mixes two words into a seed (the finalizer of SplitMix64). */
static inline uint64_t cid_mix(uint64_t a, uint64_t b)
{
	uint64_t z = a + b * 0x9E3779B97F4A7C15ull;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ z >> 27) * 0x94D049BB133111EBull;
	return z ^ z >> 31;
}

#endif
