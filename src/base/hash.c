/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/hash.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifdef HAVE_XXH3_128BITS_WITHSEED_DISPATCH
/* Of xxh_x86dispatch.h, which cannot be included beside XXH_INLINE_ALL. */
XXH128_hash_t XXH3_128bits_withSeed_dispatch(const void *p, size_t n, XXH64_hash_t seed);
#else
#define XXH3_128bits_withSeed_dispatch XXH3_128bits_withSeed
#endif

struct cid_sum cid_sum_long(const void *p, size_t n, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed_dispatch(p, n, seed);

	return (struct cid_sum){ h.low64, h.high64 };
}
