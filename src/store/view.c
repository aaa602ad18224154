/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/view.h"

#include <stdlib.h>

struct cid_dir *cid_dir_new(uint32_t depth)
{
	struct cid_dir *d = calloc(1, sizeof(*d) + (sizeof(d->slot[0]) << depth));

	if (d)
		d->depth = depth;
	return d;
}

void cid_dir_set(struct cid_dir *d, struct cid_part *bucket, uint32_t local_depth)
{
	uint64_t i = cid_dir_index(d, bucket->prefix), n = 1ull << (d->depth - local_depth);

	for (uint64_t j = i; j < i + n; j++)
		atomic_store_explicit(&d->slot[j], bucket, memory_order_release);
}

struct cid_dir *cid_dir_resize(const struct cid_dir *d, uint32_t depth)
{
	struct cid_dir *r = cid_dir_new(depth);

	if (!r)
		return NULL;
	for (uint64_t i = 0; i < 1ull << depth; i++) {
		uint64_t j = depth >= d->depth ? i >> (depth - d->depth) : i << (d->depth - depth);

		atomic_init(&r->slot[i], atomic_load(&d->slot[j]));
	}
	return r;
}
