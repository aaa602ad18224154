/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/reach.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int damaged(struct cid_reach *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int damaged(struct cid_reach *w, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (!w->damage)
		return CIDSTORE_ECORRUPT;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->damage(w->arg, text);
	return 0;
}

static int extent(struct cid_reach *w, enum cid_pool_kind k, uint64_t pos, uint64_t pages)
{
	w->units++;
	w->bytes += pages * CID_PAGE;
	if (pos == 0 || pages == 0)
		return 0;
	if (pos % CID_PAGE || !cid_pool_holds(&w->pool[k], pos, pages * CID_PAGE))
		return damaged(w, "pool %d: extent %" PRIu64 "+%" PRIu64 " lies outside", (int)k,
			       pos, pages);
	return w->extent ? w->extent(w->arg, k, pos, pages) : 0;
}

/* ---- lists ---- */

struct blocks {
	struct cid_reach *w;
	uint64_t values;
	uint64_t last_hash;
	struct cidstore_id last;
	bool begun, disorder;
};

static void order(struct blocks *b, const struct cidstore_id *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t h = cid_hash(v[i], b->w->root->hash_seed);

		if (b->begun && cid_value_cmp(b->last_hash, b->last, h, v[i]) >= 0)
			b->disorder = true;
		b->begun = true;
		b->last_hash = h;
		b->last = v[i];
	}
	b->values += n;
}

static int tree_block(void *arg, const struct cid_tree_block *t)
{
	struct blocks *b = arg;
	size_t n = t->bytes / sizeof(struct cidstore_id);

	if (t->level == 0 && b->w->deep)
		order(b, t->data, n);
	else if (t->level == 0)
		b->values += n;
	return extent(b->w, CID_POOL_VALUES, t->pos, cid_pages(t->bytes));
}

/* Damage, as against what keeps us from looking. */
static bool unreadable(int rc)
{
	return rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO;
}

static int packed_list(struct blocks *b, const struct cid_list_ref *ref)
{
	size_t n = ref->count <= CID_LEAF_MAX ? (size_t)ref->count : 0;
	struct cidstore_id *v = malloc(n * sizeof(*v) + 1);
	int rc = v ? cid_list_load(&b->w->pool[CID_POOL_VALUES], ref->pos, n * sizeof(*v),
				   ref->sum, v) :
		     CIDSTORE_ENOMEM;

	if (rc == 0)
		order(b, v, n);
	free(v);
	return rc;
}

static int check_list(struct cid_reach *w, const struct cid_footer *f, const struct cid_entry *e,
		      enum cid_state st, uint64_t i)
{
	const struct cid_pool *values = &w->pool[CID_POOL_VALUES];
	struct cid_list_ref ref = cid_entry_list(e);
	struct blocks b = { .w = w };
	int rc;

	if (cid_state_table[st].form == CID_FORM_TREE) {
		rc = cid_tree_walk(values, &ref, tree_block, &b);
		if (unreadable(rc))
			return w->damage ? damaged(w, "part %" PRIu64 " entry %" PRIu64 ": a block "
						      "of its set does not verify", f->pos, i) :
					   rc;
	} else if (w->deep) {
		if (ref.pos < f->packed_pos ||
		    ref.pos + ref.count * 16 > f->packed_pos + f->packed_bytes)
			return damaged(w, "part %" PRIu64 " entry %" PRIu64 ": packed set outside "
					  "the part's extent", f->pos, i);
		rc = packed_list(&b, &ref);
		if (unreadable(rc) && w->damage)
			return damaged(w, "part %" PRIu64 " entry %" PRIu64 ": packed set does not "
					  "verify", f->pos, i);
		if (rc)
			return rc;
		w->units++;
	} else {
		return 0;
	}
	if (rc == 0 && (b.disorder || b.values != ref.count))
		return damaged(w, "part %" PRIu64 " entry %" PRIu64 ": set out of order or count "
				  "wrong (%" PRIu64 " of %" PRIu64 ")",
			       f->pos, i, b.values, ref.count);
	return rc;
}

/* ---- parts ---- */

static bool role_fits(const struct cid_footer *f, enum cid_state st)
{
	int role = cid_state_table[st].role;

	return f->kind == CID_PART_BUCKET ? role == CID_ROLE_FULL : role != CID_ROLE_NONE;
}

static int check_entries(struct cid_reach *w, struct cid_part *p, struct cid_part_index *x)
{
	const struct cid_footer *f = &x->footer;
	uint64_t seed = w->root->hash_seed, keys = 0, values = 0, last = 0;
	struct cidstore_id last_key = { 0, 0 };
	_Atomic uint64_t corrected = 0;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < f->entries; i++) {
		struct cid_entry e;
		uint64_t h;
		int st, cmp;

		rc = cid_part_entry_deep(p, i, &e, &st, &corrected);
		if (rc && !w->damage)
			break;
		if (rc) {
			rc = damaged(w, "part %" PRIu64 " entry %" PRIu64 ": %s", f->pos, i,
				     rc == CIDSTORE_EIO ? "cannot be read" : "beyond correction");
			continue;
		}
		h = cid_hash(e.key, seed);
		cmp = i ? cid_value_cmp(last, last_key, h, e.key) : -1;
		if (w->deep) {
			w->units++;
			if (cmp > 0 || (cmp == 0 && f->kind == CID_PART_BUCKET))
				rc = damaged(w, "part %" PRIu64 " entry %" PRIu64 ": out of order",
					     f->pos, i);
			if (rc == 0 && f->depth &&
			    (h ^ f->prefix) >> (CID_HASH_BITS - f->depth) != 0)
				rc = damaged(w, "part %" PRIu64 " entry %" PRIu64 ": in the wrong "
						"bucket", f->pos, i);
			if (rc == 0 && !role_fits(f, (enum cid_state)st))
				rc = damaged(w, "part %" PRIu64 " entry %" PRIu64 ": state %s does "
						"not belong here", f->pos, i,
					     cid_state_table[st].name);
			if (rc == 0 && (i < x->x.start[cid_index_bin(h, f->depth, f->bins_log2)] ||
					i >= x->x.start[cid_index_bin(h, f->depth, f->bins_log2) + 1] ||
					x->x.tag[i] != cid_index_tag(h, f->depth, f->bins_log2)))
				rc = damaged(w, "part %" PRIu64 " entry %" PRIu64 ": the index does "
						"not lead to it", f->pos, i);
		}
		if (rc == 0 && cid_state_table[st].form != CID_FORM_INLINE)
			rc = check_list(w, f, &e, (enum cid_state)st, i);
		if (cid_state_table[st].role == CID_ROLE_FULL) {
			keys++;
			values += cid_entry_count(&e, (enum cid_state)st);
		}
		last = h;
		last_key = e.key;
	}
	w->corrected += corrected;
	if (rc == 0 && w->deep && f->kind == CID_PART_BUCKET &&
	    (keys != f->keys || values != f->values))
		rc = damaged(w, "part %" PRIu64 ": counts in its footer are wrong", f->pos);
	return rc;
}

int cid_reach_part(struct cid_reach *w, const struct cid_slot *slot, uint64_t prefix,
		   uint8_t kind)
{
	struct cid_pool *parts = &w->pool[CID_POOL_PARTS];
	struct cid_part_index *x;
	struct cid_part *p;
	int rc = cid_part_new(parts, w->root->hash_seed, slot, prefix, &p);

	if (rc == CIDSTORE_ECORRUPT)
		return damaged(w, "a slot refers to an extent that cannot be (%" PRIu64 ")",
			       slot->pos);
	if (rc)
		return rc;
	if (slot->pos == 0)
		goto out;
	rc = extent(w, CID_POOL_PARTS, slot->pos, slot->pages);
	if (rc)
		goto out;
	rc = cid_part_load(parts, p, &x);
	if (rc) {
		if (unreadable(rc) && w->damage)
			rc = damaged(w, "part %" PRIu64 ": footer or index does not verify; its "
					"%u keys are out of reach", slot->pos, slot->entries);
		goto out;
	}
	if (w->deep && (x->footer.kind != kind || x->footer.prefix != prefix))
		rc = damaged(w, "part %" PRIu64 ": not the part its slot expects", slot->pos);
	if (rc == 0 && x->footer.packed_pos)
		rc = extent(w, CID_POOL_VALUES, x->footer.packed_pos, x->footer.packed_pages);
	if (rc == 0 && (w->deep || x->footer.trees))
		rc = check_entries(w, p, x);
	w->entries += slot->entries;
	if (kind == CID_PART_BUCKET) {
		w->keys += x->footer.keys;
		w->values += x->footer.values;
	}
out:
	cid_part_free(p);
	return rc;
}

/* ---- the tree from the root ---- */

static int load_block(struct cid_reach *w, const struct cid_block_ref *ref, const char *what,
		      void **out)
{
	const struct cid_pool *meta = &w->pool[CID_POOL_META];
	int rc;

	*out = NULL;
	if (ref->pos == 0)
		return 0;
	rc = extent(w, CID_POOL_META, ref->pos, cid_pages(ref->bytes));
	if (rc)
		return rc;
	if (!cid_pool_holds(meta, ref->pos, ref->bytes))
		return damaged(w, "%s lies outside its pool", what);
	*out = malloc((size_t)ref->bytes);
	if (!*out)
		return CIDSTORE_ENOMEM;
	rc = cid_pool_read(meta, ref->pos, *out, (size_t)ref->bytes);
	if (rc == 0 && !cid_sum_eq(cid_sum_of(*out, (size_t)ref->bytes, 0), ref->sum))
		rc = CIDSTORE_ECORRUPT;
	if (rc) {
		free(*out);
		*out = NULL;
		return unreadable(rc) && w->damage ? damaged(w, "%s does not verify", what) : rc;
	}
	return 0;
}

static int walk_directory(struct cid_reach *w)
{
	const struct cid_root *r = w->root;
	uint64_t n = 1ull << r->global_depth, pages = n > 64 ? n / 64 : 1, skip = 0;
	struct cid_page_ref *ref;
	struct cid_slot slot[64];
	int rc;

	if (r->global_depth > 40 || r->directory.bytes != pages * sizeof(*ref))
		return damaged(w, "the root's directory has an impossible size");
	rc = load_block(w, &r->directory, "directory table", (void **)&ref);
	for (uint64_t p = 0; rc == 0 && ref && p < pages; p++) {
		if (w->progress && p % 8 == 0) {
			rc = w->progress(w->arg, (double)p / (double)pages);
			if (rc)
				break;
		}
		rc = extent(w, CID_POOL_META, ref[p].pos, 1);
		if (rc)
			break;
		rc = cid_pool_read(&w->pool[CID_POOL_META], ref[p].pos, slot, sizeof(slot));
		if (rc == 0 &&
		    !cid_sum_eq(cid_sum_of(slot, sizeof(slot), ref[p].generation), ref[p].sum))
			rc = CIDSTORE_ECORRUPT;
		if (unreadable(rc) && w->damage) {
			rc = damaged(w, "directory page %" PRIu64 " does not verify", p);
			skip = (p + 1) * 64;
			continue;
		}
		for (uint64_t i = p * 64; rc == 0 && i < n && i < (p + 1) * 64; i++) {
			const struct cid_slot *s = &slot[i % 64];

			if (i < skip)
				continue;
			if (s->depth > r->global_depth ||
			    i % (1ull << (r->global_depth - s->depth))) {
				rc = damaged(w, "directory slot %" PRIu64 " has an impossible depth",
					     i);
				continue;
			}
			skip = i + (1ull << (r->global_depth - s->depth));
			w->buckets++;
			rc = cid_reach_part(w, s,
					r->global_depth ? i << (CID_HASH_BITS - r->global_depth) : 0,
					CID_PART_BUCKET);
		}
	}
	free(ref);
	return rc;
}

static int walk_runs(struct cid_reach *w)
{
	struct cid_slot *slot;
	uint64_t n = w->root->runs.bytes / sizeof(*slot);
	int rc = load_block(w, &w->root->runs, "run list", (void **)&slot);

	for (uint64_t i = 0; rc == 0 && slot && i < n; i++) {
		w->runs++;
		rc = cid_reach_part(w, &slot[i], 0, CID_PART_RUN);
	}
	free(slot);
	return rc;
}

static int walk_space(struct cid_reach *w)
{
	struct cid_freed *f;
	int rc = 0;

	for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
		const struct cid_block_ref *b = &w->root->space[k];
		struct cid_page_ref *ref;

		rc = load_block(w, b, "space map table", (void **)&ref);
		for (uint64_t i = 0; rc == 0 && ref && i < b->bytes / sizeof(*ref); i++)
			rc = extent(w, CID_POOL_META, ref[i].pos, ref[i].pos ? 1 : 0);
		free(ref);
	}
	if (rc == 0)
		rc = load_block(w, &w->root->freed, "list of freed extents", (void **)&f);
	else
		return rc;
	for (uint64_t i = 0; rc == 0 && f && i < w->root->freed.bytes / sizeof(*f); i++)
		rc = f[i].pool < CID_POOLS ?
			     extent(w, (enum cid_pool_kind)f[i].pool, f[i].pos, f[i].pages) :
			     damaged(w, "a freed extent names no pool");
	free(f);
	return rc;
}

int cid_group_walk(const struct cid_pool *values, uint64_t group,
		   int (*fn)(void *, const struct cid_tree_block *), void *arg)
{
	struct cid_list_ref r;
	size_t bytes;
	void *p;
	int rc;

	cid_group_unpack(group, &r);
	bytes = cid_block_bytes(r.level, r.children);
	if (bytes == 0)
		return CIDSTORE_ECORRUPT;
	p = malloc(bytes);
	rc = p ? cid_pool_read(values, r.pos, p, bytes) : CIDSTORE_ENOMEM;
	if (rc == 0)
		r.sum = cid_sum_of(p, bytes, 0);
	free(p);
	return rc ? rc : cid_tree_walk(values, &r, fn, arg);
}

static int walk_deletions(struct cid_reach *w)
{
	const struct cid_root *r = w->root;
	struct cid_deletion_page *p = aligned_alloc(CID_PAGE, sizeof(*p));
	int rc = p ? 0 : CIDSTORE_ENOMEM;

	for (uint64_t n = r->deletion_tail; rc == 0 && n < r->deletion_head; n++) {
		rc = cid_deletion_read(w->io, w->delfd, r, n, p);
		w->units++;
		if (unreadable(rc) && w->damage) {
			rc = damaged(w, "page %" PRIu64 " of the deletion log does not verify", n);
			continue;
		}
		for (uint32_t i = 0; rc == 0 && i < p->count; i++) {
			struct blocks b = { .w = w };
			bool deep = w->deep;

			/* Its trees are on their way out: only their extents count. */
			w->deep = false;
			rc = cid_group_walk(&w->pool[CID_POOL_VALUES], p->rec[i].value_group,
					    tree_block, &b);
			w->deep = deep;
			if (unreadable(rc) && w->damage)
				rc = damaged(w, "page %" PRIu64 " of the deletion log, record %u: a "
						"block of the set cannot be read (a mount finds "
						"its space)", n, i);
			else if (rc == CIDSTORE_ECORRUPT)
				rc = 0;
		}
	}
	free(p);
	return rc;
}

int cid_reach(struct cid_reach *w)
{
	int rc = walk_directory(w);

	if (rc == 0)
		rc = walk_runs(w);
	if (rc == 0)
		rc = walk_space(w);
	if (rc == 0)
		rc = walk_deletions(w);
	return rc;
}
