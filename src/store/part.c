/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/part.h"

#include <stdlib.h>
#include <string.h>

static uint64_t extent_bytes(const struct cid_slot *s)
{
	return (uint64_t)s->pages * CID_PAGE;
}

static uint64_t index_offset(const struct cid_slot *s)
{
	return (uint64_t)s->entries * CID_ENTRY_BYTES;
}

int cid_part_new(const struct cid_pool *parts, uint64_t store_seed, const struct cid_slot *slot,
		 uint64_t prefix, struct cid_part **out)
{
	struct cid_part *p = calloc(1, sizeof(*p));

	if (!p)
		return CIDSTORE_ENOMEM;
	p->slot = *slot;
	p->prefix = prefix;
	p->seed = cid_part_seed(store_seed, slot->generation);
	if (slot->pos) {
		uint64_t bytes = extent_bytes(slot);

		if (bytes < index_offset(slot) + sizeof(struct cid_footer) ||
		    slot->pos % CID_PAGE || !cid_pool_holds(parts, slot->pos, bytes)) {
			free(p);
			return CIDSTORE_ECORRUPT;
		}
		p->entry = cid_pool_at(parts, slot->pos, bytes);
	} else {
		p->newest_run = slot->generation;
	}
	*out = p;
	return 0;
}

void cid_part_free(struct cid_part *p)
{
	if (!p)
		return;
	free(atomic_load(&p->index));
	free(p);
}

size_t cid_part_memory(const struct cid_part *p)
{
	const struct cid_part_index *x = atomic_load(&p->index);

	return sizeof(*p) + (x ? x->bytes : 0);
}

/* Judges a footer against the slot that led to it. */
static bool footer_fits(const struct cid_footer *f, const struct cid_part *p)
{
	const struct cid_slot *s = &p->slot;

	return f->magic == CID_PART_MAGIC && f->version == CID_FORMAT_VERSION && f->pos == s->pos &&
	       f->generation == s->generation && f->entries == s->entries && f->bins_log2 >= 1 &&
	       f->bins_log2 < 32 && f->depth + f->bins_log2 + 16u <= CID_HASH_BITS &&
	       index_offset(s) + cid_index_bytes(f->entries, f->bins_log2) +
			       sizeof(struct cid_footer) <=
		       extent_bytes(s);
}

int cid_part_load(const struct cid_pool *parts, struct cid_part *p, struct cid_part_index **out)
{
	const struct cid_slot *s = &p->slot;
	struct cid_part_index *x, *old = NULL;
	struct cid_footer f;
	size_t bytes;
	int rc = cid_pool_read(parts, s->pos + extent_bytes(s) - sizeof(f), &f, sizeof(f));

	if (rc)
		return rc;
	if (!cid_sum_eq(cid_sum_of(&f, sizeof(f), p->seed), s->sum) || !footer_fits(&f, p))
		return CIDSTORE_ECORRUPT;
	bytes = cid_index_bytes(f.entries, f.bins_log2);
	x = aligned_alloc(64, (sizeof(*x) + bytes + 63) / 64 * 64);
	if (!x)
		return CIDSTORE_ENOMEM;
	x->footer = f;
	x->bytes = sizeof(*x) + bytes;
	rc = cid_pool_read(parts, s->pos + index_offset(s), x->data, bytes);
	if (rc == 0 && !cid_sum_eq(cid_sum_of(x->data, bytes, p->seed), f.index_sum))
		rc = CIDSTORE_ECORRUPT;
	x->x = (struct cid_index){
		.bins_log2 = f.bins_log2,
		.depth = f.depth,
		.entries = f.entries,
		.start = (const uint32_t *)(const void *)x->data,
		.tag = (const uint16_t *)(const void *)(x->data +
							(((size_t)1 << f.bins_log2) + 1) * 4),
	};
	if (rc == 0 && !cid_index_valid(&x->x))
		rc = CIDSTORE_ECORRUPT;
	if (rc) {
		free(x);
		return rc;
	}
	/* All loaders write the same number. */
	__atomic_store_n(&p->newest_run, f.last_run, __ATOMIC_RELAXED);
	if (!atomic_compare_exchange_strong(&p->index, &old, x)) {
		free(x);
		x = old;
	}
	*out = x;
	return 0;
}

int cid_part_entry(const struct cid_part *p, uint64_t i, struct cid_entry *out, int *state,
		   _Atomic uint64_t *corrected)
{
	uint64_t pos = cid_part_entry_pos(p, i);
	struct cid_entry e = p->entry[i];
	int flipped = 0, s = cid_entry_state(&e, p->seed, pos);

	if (s < 0) {
		s = cid_entry_correct(&e, p->seed, pos, 1, &flipped);
		if (s < 0)
			return CIDSTORE_ECORRUPT;
		if (corrected)
			*corrected += (uint64_t)flipped;
	}
	*out = e;
	*state = s;
	return 0;
}

int cid_part_find(const struct cid_pool *parts, struct cid_part *p, struct cidstore_id key,
		  uint64_t hash, struct cid_found out[2], int *n, _Atomic uint64_t *corrected)
{
	struct cid_part_index *x;
	int rc, k = 0;

	*n = 0;
	if (p->slot.pos == 0)
		return 0;
	rc = cid_part_index(parts, p, &x);
	if (rc)
		return rc;
	for (uint32_t i = cid_index_find(&x->x, hash, 0); i < x->x.entries && k < 2;
	     i = cid_index_find(&x->x, hash, i + 1)) {
		/* Verified before it is compared: a flipped bit in the key of the
		 * entry that is wanted must not make it another's. */
		rc = cid_part_entry(p, i, &out[k].e, &out[k].state, corrected);
		if (rc)
			return rc;
		if (cid_id_eq(out[k].e.key, key))
			k++;
	}
	*n = k;
	return 0;
}

void cid_part_prefetch(struct cid_part *p, uint64_t hash)
{
	const struct cid_part_index *x = atomic_load_explicit(&p->index, memory_order_acquire);

	if (x)
		__builtin_prefetch(
			&x->x.start[cid_index_bin(hash, x->x.depth, x->x.bins_log2)]);
}

void cid_part_prefetch_entry(struct cid_part *p, uint64_t hash)
{
	const struct cid_part_index *x = atomic_load_explicit(&p->index, memory_order_acquire);
	uint32_t i;

	if (!x)
		return;
	i = cid_index_find(&x->x, hash, 0);
	if (i < x->x.entries)
		__builtin_prefetch(&p->entry[i]);
}

int cid_part_bound(const struct cid_pool *parts, struct cid_part *p, uint64_t store_seed,
		   uint64_t hash, struct cidstore_id key, uint64_t *out,
		   _Atomic uint64_t *corrected)
{
	struct cid_part_index *x;
	uint64_t lo, hi;
	int rc;

	if (p->slot.pos == 0) {
		*out = 0;
		return 0;
	}
	rc = cid_part_index(parts, p, &x);
	if (rc)
		return rc;
	if (hash >> CID_HASH_BITS) { /* the end of all hashes */
		*out = x->x.entries;
		return 0;
	}
	if (x->x.depth && hash >> (CID_HASH_BITS - x->x.depth) !=
				  x->footer.prefix >> (CID_HASH_BITS - x->x.depth)) {
		*out = hash < x->footer.prefix ? 0 : x->x.entries;
		return 0;
	}
	lo = x->x.start[cid_index_bin(hash, x->x.depth, x->x.bins_log2)];
	hi = x->x.start[cid_index_bin(hash, x->x.depth, x->x.bins_log2) + 1];
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		struct cid_entry e;
		int s;

		rc = cid_part_entry(p, mid, &e, &s, corrected);
		if (rc)
			return rc;
		if (cid_value_cmp(cid_hash(e.key, store_seed), e.key, hash, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*out = lo;
	return 0;
}
