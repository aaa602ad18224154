/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * data.h - pairs out of numbers: the same for the same seed on every machine
 *
 * Key i, value j of key i, and keys that are never inserted are functions of a
 * seed, so that nothing is stored of what was inserted and each lookup can be
 * checked. Arithmetic is cheap beside a store's work (some 10 ns a pair).
 */
#ifndef CID_BENCH_DATA_H
#define CID_BENCH_DATA_H

#include <stdint.h>
#include "cidstore/cidstore.h"

static inline uint64_t cid_mix(uint64_t z)
{
	z += 0x9E3779B97F4A7C15ull;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ z >> 27) * 0x94D049BB133111EBull;
	return z ^ z >> 31;
}

struct cid_data {
	uint64_t key, absent, value; /* seeds of three families */
};

static inline void cid_data_init(struct cid_data *d, uint64_t seed)
{
	d->key = cid_mix(seed);
	d->absent = cid_mix(seed + 77);
	d->value = cid_mix(seed + 5);
}

static inline struct cidstore_id cid_data_key(const struct cid_data *d, uint64_t i)
{
	uint64_t a = cid_mix(d->key ^ i * 2);

	return (struct cidstore_id){ a, cid_mix(a + 1) };
}

static inline struct cidstore_id cid_data_absent(const struct cid_data *d, uint64_t i)
{
	uint64_t a = cid_mix(d->absent ^ i * 2);

	return (struct cidstore_id){ a, cid_mix(a + 1) };
}

static inline struct cidstore_id cid_data_value(const struct cid_data *d, uint64_t i, uint64_t j)
{
	uint64_t a = cid_mix(d->value ^ i << 24 ^ (j * 2 | 1));

	return (struct cidstore_id){ a, cid_mix(a + 3) };
}

static inline struct cidstore_pair cid_data_pair(const struct cid_data *d, uint64_t i, uint64_t j)
{
	return (struct cidstore_pair){ cid_data_key(d, i), cid_data_value(d, i, j) };
}

/* Pseudo-random numbers below n. */
struct cid_draw {
	uint64_t state;
};

static inline uint64_t cid_draw_below(struct cid_draw *r, uint64_t n)
{
	uint64_t x = cid_mix(r->state++ * 0x2545F4914F6CDD1Dull);

	return (uint64_t)((unsigned __int128)x * n >> 64);
}

/* A permutation of 0 .. n-1, for n that is no multiple of the prime. */
static inline uint64_t cid_shuffled(uint64_t i, uint64_t n)
{
	return (uint64_t)((unsigned __int128)i * 7368787u % n);
}

/* Pairs whose keys follow Zipf's law, one in ten a pair that was there before.
 * Memory: 8 bytes a key. */
struct cid_zipf;
/* NULL without memory. */
struct cid_zipf *cid_zipf_new(const struct cid_data *d, uint64_t keys, double exponent);
struct cidstore_pair cid_zipf_pair(const struct cid_zipf *z, uint64_t i);
void cid_zipf_free(struct cid_zipf *z);

#endif
