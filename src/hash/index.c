/* SPDX-License-Identifier: BSD-2-Clause */
#include "hash/index.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

uint32_t cid_index_bins_log2(uint64_t entries)
{
	uint32_t b = 1;

	while (b < 31 && ((uint64_t)CID_INDEX_PER_BIN << b) < entries)
		b++;
	return b;
}

uint32_t cid_index_find(const struct cid_index *x, uint64_t hash, uint32_t from)
{
	uint32_t bin = cid_index_bin(hash, x->depth, x->bins_log2);
	uint16_t tag = cid_index_tag(hash, x->depth, x->bins_log2);
	uint32_t i = x->start[bin], end = x->start[bin + 1];

	if (from > i)
		i = from;
#ifdef __SSE2__
	const __m128i want = _mm_set1_epi16((short)tag);

	for (; i + 8 <= end; i += 8) {
		__m128i have = _mm_loadu_si128((const __m128i *)(const void *)(x->tag + i));
		int m = _mm_movemask_epi8(_mm_cmpeq_epi16(have, want));

		if (m)
			return i + (uint32_t)__builtin_ctz((unsigned)m) / 2;
	}
#endif
	for (; i < end; i++)
		if (x->tag[i] == tag)
			return i;
	return x->entries;
}

bool cid_index_valid(const struct cid_index *x)
{
	uint32_t bins = 1u << x->bins_log2;

	if (x->start[0] != 0 || x->start[bins] != x->entries)
		return false;
	for (uint32_t i = 0; i < bins; i++)
		if (x->start[i] > x->start[i + 1])
			return false;
	return true;
}
