/* SPDX-License-Identifier: BSD-2-Clause */
/* follow_tree.c - the next root's tree, with what the last one had */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "store/follow.h"

static int make_part(struct cidstore *s, const struct cid_slot *slot, uint64_t prefix,
		     struct cid_follow_tree *t, struct cid_part **out)
{
	int rc = cid_array_room((void **)&t->made, t->nmade, &t->cap, sizeof(struct cid_part *));

	if (rc == 0)
		rc = cid_part_new(&s->pool[CID_POOL_PARTS], s->t.seed, slot, prefix, out);
	if (rc == 0)
		t->made[t->nmade++] = *out;
	return rc;
}

static int read_page(struct cidstore *s, const struct cid_page_ref *ref, struct cid_slot slot[64])
{
	int rc = cid_pool_read(&s->pool[CID_POOL_META], ref->pos, slot, 64 * sizeof(*slot));

	if (rc == 0 && !cid_sum_eq(cid_sum_of(slot, 64 * sizeof(*slot), ref->generation), ref->sum))
		rc = CIDSTORE_ECORRUPT;
	return rc;
}

static int load_dir(struct cidstore *s, const struct cid_view *old, struct cid_follow_tree *t)
{
	struct cid_slot slot[64];
	struct cid_dir *d = t->dir;
	uint64_t n = 1ull << d->depth, loaded = UINT64_MAX, span;
	bool alike = old && old->dir->depth == d->depth && s->dir_pages == t->pages;

	for (uint64_t i = 0; i < n; i += span) {
		uint64_t page = i / 64, prefix = d->depth ? i << (CID_HASH_BITS - d->depth) : 0;
		struct cid_part *p = old ? cid_dir_get(old->dir, prefix) : NULL;
		int rc;

		if (!alike || memcmp(&s->dir_ref[page], &t->ref[page], sizeof(t->ref[page])) != 0) {
			const struct cid_slot *sl = &slot[i % 64];

			if (page != loaded) {
				rc = read_page(s, &t->ref[page], slot);
				if (rc)
					return rc;
				loaded = page;
			}
			if (!p || p->prefix != prefix || memcmp(&p->slot, sl, sizeof(*sl)) != 0) {
				if (sl->depth > d->depth)
					return CIDSTORE_ECORRUPT;
				rc = make_part(s, sl, prefix, t, &p);
				if (rc)
					return rc;
			}
		}
		span = 1ull << (d->depth - p->slot.depth);
		if (i % span)
			return CIDSTORE_ECORRUPT;
		cid_dir_set(d, p, (uint32_t)p->slot.depth);
		t->buckets++;
	}
	return 0;
}

static struct cid_part *same_run(const struct cid_view *old, const struct cid_slot *slot)
{
	for (uint32_t i = 0; old && i < old->nruns; i++)
		if (memcmp(&old->run[i]->slot, slot, sizeof(*slot)) == 0)
			return old->run[i];
	return NULL;
}

static int load_runs(struct cidstore *s, const struct cid_root *r, const struct cid_view *old,
		     struct cid_follow_tree *t)
{
	uint64_t n = r->runs.bytes / sizeof(struct cid_slot);
	struct cid_slot *slot;
	int rc;

	if (n > CID_MAX_RUNS)
		return CIDSTORE_ECORRUPT;
	rc = cid_load_block(&s->pool[CID_POOL_META], &r->runs, (void **)&slot);
	if (rc)
		return rc;
	t->run = calloc(n + 1, sizeof(struct cid_part *));
	if (!t->run)
		rc = CIDSTORE_ENOMEM;
	for (uint64_t i = 0; rc == 0 && slot && i < n; i++) {
		t->run[i] = same_run(old, &slot[i]);
		if (!t->run[i])
			rc = make_part(s, &slot[i], 0, t, &t->run[i]);
		t->nruns = (uint32_t)i + 1;
	}
	free(slot);
	return rc;
}

int cid_follow_load(struct cidstore *s, const struct cid_root *r, const struct cid_view *old,
		    struct cid_follow_tree *t)
{
	int rc;

	memset(t, 0, sizeof(*t));
	if (r->global_depth > 40)
		return CIDSTORE_ECORRUPT;
	t->pages = r->global_depth > 6 ? 1ull << (r->global_depth - 6) : 1;
	if (r->directory.bytes != t->pages * sizeof(*t->ref))
		return CIDSTORE_ECORRUPT;
	rc = load_runs(s, r, old, t);
	if (rc == 0 && old && old->dir->depth == r->global_depth &&
	    memcmp(&r->directory, &s->root.directory, sizeof(r->directory)) == 0) {
		t->same_dir = true;
		t->dir = old->dir;
		t->ref = s->dir_ref;
		t->buckets = atomic_load(&s->nbuckets);
	} else if (rc == 0) {
		rc = cid_load_block(&s->pool[CID_POOL_META], &r->directory, (void **)&t->ref);
		if (rc == 0)
			t->dir = cid_dir_new(r->global_depth);
		if (rc == 0)
			rc = t->dir && t->ref ? load_dir(s, old, t) : CIDSTORE_ENOMEM;
	}
	if (rc)
		cid_follow_unload(t, true);
	return rc;
}

void cid_follow_unload(struct cid_follow_tree *t, bool all)
{
	if (all) {
		for (size_t i = 0; i < t->nmade; i++)
			cid_part_free(t->made[i]);
		if (!t->same_dir) {
			free(t->dir);
			free(t->ref);
		}
	}
	free(t->made);
	free(t->run);
	memset(t, 0, sizeof(*t));
}

void cid_follow_retire(struct cidstore *s, const struct cid_view *old,
		       const struct cid_follow_tree *t)
{
	const struct cid_dir *d = old->dir;

	for (uint64_t i = 0; !t->same_dir && i < 1ull << d->depth; i++) {
		struct cid_part *p = atomic_load_explicit(&d->slot[i], memory_order_relaxed);

		if ((i == 0 || p != atomic_load_explicit(&d->slot[i - 1], memory_order_relaxed)) &&
		    cid_dir_get(t->dir, p->prefix) != p)
			cid_part_retire(s, p);
	}
	for (uint32_t i = 0; i < old->nruns; i++) {
		bool kept = false;

		for (uint32_t j = 0; j < t->nruns; j++)
			kept |= t->run[j] == old->run[i];
		if (!kept)
			cid_part_retire(s, old->run[i]);
	}
}
