/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * directory.c - the shape of the directory: doubling, halving, small buckets
 *
 * After a sweep the buckets are walked once more; two that differ in their last
 * bit only and fill less than half a bucket together become one, and when no
 * bucket needs the last bit of the directory, it is halved.
 */
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "store/engine.h"

int cid_dir_change_depth(struct cidstore *s, uint32_t depth)
{
	struct cid_view *v = cid_view_now(s);
	uint64_t pages = depth > 6 ? 1ull << (depth - 6) : 1;
	struct cid_dir *d = cid_dir_resize(v->dir, depth);
	uint8_t *dirty;
	int rc;

	if (!d)
		return CIDSTORE_ENOMEM;
	dirty = malloc(pages > s->dir_pages ? pages : s->dir_pages);
	rc = dirty ? cid_view_publish(s, v->active, v->frozen, d, v->run, v->nruns) :
		     CIDSTORE_ENOMEM;
	if (rc) {
		free(dirty);
		free(d);
		return rc;
	}
	/* Between two commits the directory may grow and shrink back. */
	memset(dirty, 1, pages > s->dir_pages ? pages : s->dir_pages);
	free(s->dir_dirty);
	s->dir_dirty = dirty;
	return 0;
}

void cid_dir_replace(struct cidstore *s, struct cid_dir *d, struct cid_part *bucket,
		     uint32_t local_depth)
{
	uint64_t i = cid_dir_index(d, bucket->prefix), n = 1ull << (d->depth - local_depth);

	cid_dir_set(d, bucket, local_depth);
	for (uint64_t p = i / 64; p <= (i + n - 1) / 64; p++)
		s->dir_dirty[p] = !CID_PLANT(27) || p == 0;
}

static uint64_t weight(const struct cid_part *p, struct cid_part_index *x)
{
	return p->slot.entries * (CID_ENTRY_BYTES + 3ull) + (x ? x->footer.packed_bytes : 0);
}

static int copy_all(struct cidstore *s, struct cid_builder *b, struct cid_part *p)
{
	for (uint64_t i = 0; i < p->slot.entries; i++) {
		struct cid_entry e;
		int st, rc = cid_part_entry_deep(p, i, &e, &st, &s->t.corrected);
		uint64_t hash = cid_hash(e.key, s->t.seed);

		if (rc == 0 && cid_state_table[st].form == CID_FORM_PACKED) {
			struct cid_list_ref ref = cid_entry_list(&e);

			rc = cid_builder_packed(b, s->t.values, &ref);
			if (rc == 0)
				rc = cid_builder_list(b, e.key, hash, CID_ROLE_FULL);
		} else if (rc == 0) {
			rc = cid_builder_entry(b, &e, hash, (enum cid_state)st);
		}
		if (rc)
			return rc;
	}
	return 0;
}

static int join(struct cidstore *s, struct cid_part *a, struct cid_part *z, uint64_t packed)
{
	struct cid_builder *b = &s->builder;
	uint32_t depth = (uint32_t)a->slot.depth - 1;
	struct cid_part *sum = NULL;
	int rc;

	cid_space_begin(&s->space);
	rc = cid_builder_begin(b, &s->pool[CID_POOL_PARTS], &s->lists, s->t.seed,
			       s->root.next_generation,
			       (uint32_t)cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD), CID_PART_BUCKET,
			       depth, a->prefix, a->slot.entries + z->slot.entries, packed);
	if (rc == 0) {
		b->footer.last_run = a->newest_run;
		rc = copy_all(s, b, a);
		if (rc == 0)
			rc = copy_all(s, b, z);
		if (rc == 0)
			rc = cid_builder_end(b, &sum);
		else
			cid_builder_abort(b);
	}
	if (rc == 0)
		rc = cid_part_space_retire(s, a);
	if (rc == 0 && !CID_PLANT(28))
		rc = cid_part_space_retire(s, z);
	if (rc == 0) {
		pthread_mutex_lock(&s->publish);
		cid_dir_replace(s, cid_view_now(s)->dir, sum, depth);
		pthread_mutex_unlock(&s->publish);
	} else {
		cid_part_free(sum);
	}
	cid_space_end(&s->space, rc == 0);
	if (rc)
		return rc;
	cid_base_count(s, a, -1);
	cid_base_count(s, z, -1);
	cid_base_count(s, sum, 1);
	cid_part_retire(s, a);
	cid_part_retire(s, z);
	s->root.next_generation++;
	s->nbuckets--;
	s->c.merges++;
	s->changed = true;
	cid_write_note(s, CID_OP_MERGE, (struct cidstore_id){ sum->prefix, depth },
		       (struct cidstore_id){ 0, depth + 1 });
	return 0;
}

static int halve(struct cidstore *s)
{
	struct cid_dir *d = cid_view_now(s)->dir;
	uint32_t deepest = 0;
	int rc = 0;

	for (uint64_t i = 0; i < 1ull << d->depth; i++) {
		const struct cid_part *p = atomic_load(&d->slot[i]);

		if (p->slot.depth > deepest)
			deepest = (uint32_t)p->slot.depth;
	}
	if (deepest < d->depth) {
		pthread_mutex_lock(&s->publish);
		rc = cid_dir_change_depth(s, deepest);
		pthread_mutex_unlock(&s->publish);
		s->changed = true;
	}
	return rc;
}

/* Buddies of which one cannot be read stay apart. */
static void pass_over(struct cidstore *s, const struct cid_part *a, uint64_t width)
{
	s->buddy_at = a->prefix + width;
	s->c.errors++;
}

int cid_bucket_merge_step(struct cidstore *s, bool *more)
{
	struct cid_dir *d = cid_view_now(s)->dir;

	*more = true;
	/* Some thousand slots a step, or one pair of buckets. */
	for (int budget = 4096; budget > 0; budget--) {
		struct cid_part *a, *z;
		struct cid_part_index *xa = NULL, *xz = NULL;
		uint64_t width, packed;
		int rc = 0;

		if (s->buddy_at >> CID_HASH_BITS) {
			s->buddy_at = UINT64_MAX;
			*more = false;
			return halve(s);
		}
		a = cid_dir_get(d, s->buddy_at);
		if (a->slot.depth == 0) {
			s->buddy_at = 1ull << CID_HASH_BITS;
			continue;
		}
		width = 1ull << (CID_HASH_BITS - a->slot.depth);
		if (a->prefix & width) {
			s->buddy_at = a->prefix + width;
			continue;
		}
		z = cid_dir_get(d, a->prefix + width);
		if (z->slot.depth != a->slot.depth ||
		    (a->slot.entries + z->slot.entries) * (CID_ENTRY_BYTES + 3ull) >
			    s->root.bucket_bytes / 2) {
			s->buddy_at = a->prefix + width;
			continue;
		}
		if (a->slot.pos)
			rc = cid_part_index(&s->pool[CID_POOL_PARTS], a, &xa);
		if (rc == 0 && z->slot.pos)
			rc = cid_part_index(&s->pool[CID_POOL_PARTS], z, &xz);
		if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) {
			pass_over(s, a, width);
			continue;
		}
		if (rc)
			return rc;
		packed = (xa ? xa->footer.packed_bytes : 0) + (xz ? xz->footer.packed_bytes : 0);
		if (a->newest_run != z->newest_run ||
		    weight(a, xa) + weight(z, xz) > s->root.bucket_bytes / 2) {
			s->buddy_at = a->prefix + width;
			continue;
		}
		rc = join(s, a, z, packed);
		if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) {
			pass_over(s, a, width);
			return 0;
		}
		if (rc)
			return rc;
		/* The sum may have a small buddy in turn; a left one is behind us. */
		if (a->slot.depth > 1)
			s->buddy_at = a->prefix & ~(width * 2);
		return 0;
	}
	return 0;
}
