/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair_tree.c - the directory and the runs, from what verifies
 *
 * Pages of the directory that verify, or do with one bit put right, are taken
 * as they are. For hash ranges that no page tells of, the pool of parts is
 * searched for footers: a footer verifies by itself and tells the place, the
 * generation and the range of its part. Parts whose pages are free or freed do
 * not count (they are old ones), nor those that another part has; of several
 * for one range the newest is taken.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "store/repair.h"

struct bucket {
	struct cid_slot slot;
	uint64_t prefix;
};

struct found {
	struct cid_slot slot;
	struct cid_footer f;
};

struct tree {
	struct cidstore *s;
	struct cid_repair *r;
	struct bucket *b; /* by prefix, without overlap */
	size_t nb, cap_b;
	struct found *f;  /* by generation, newest first */
	size_t nf, cap_f;
	bool searched;
	struct cid_space space; /* as the root has it, where it can be read */
	bool maps;
};

static uint64_t width(uint64_t depth)
{
	return 1ull << (CID_HASH_BITS - depth);
}

/* ---- footers in the pool ---- */

/* Is any page of it free, freed, or another's? */
static bool stale(const struct tree *t, uint64_t pos, uint64_t pages)
{
	for (uint64_t p = pos / CID_PAGE; t->maps && p < pos / CID_PAGE + pages; p++)
		if (!cid_space_used(&t->space, CID_POOL_PARTS, p))
			return true;
	for (size_t i = 0; i < t->space.nretired; i++) {
		const struct cid_freed *f = &t->space.retired[i].f;

		if (f->pool == CID_POOL_PARTS && f->pos < pos + pages * CID_PAGE &&
		    pos < f->pos + f->pages * (uint64_t)CID_PAGE)
			return true;
	}
	for (size_t i = 0; i < t->nb; i++) {
		const struct cid_slot *b = &t->b[i].slot;

		if (b->pos && b->pos < pos + pages * CID_PAGE &&
		    pos < b->pos + b->pages * (uint64_t)CID_PAGE)
			return true;
	}
	return false;
}

static int look_at(struct tree *t, uint64_t end)
{
	const struct cid_pool *parts = &t->s->pool[CID_POOL_PARTS];
	struct cid_footer f, zeroed;
	uint64_t seed, pages;
	struct cid_slot slot;
	int rc = cid_pool_read(parts, end - sizeof(f), &f, sizeof(f));

	if (rc)
		return rc == CIDSTORE_EIO ? 0 : rc;
	if (f.magic != CID_PART_MAGIC || f.pos >= end || f.pos % CID_PAGE || f.pos == 0 ||
	    f.depth > 40)
		return 0;
	pages = (end - f.pos) / CID_PAGE;
	seed = cid_part_seed(t->s->root.hash_seed, f.generation);
	zeroed = f;
	memset(&zeroed.own, 0, sizeof(zeroed.own));
	if (!cid_sum_eq(cid_sum_of(&zeroed, sizeof(zeroed), seed), f.own) ||
	    pages > UINT32_MAX || !cid_pool_holds(parts, f.pos, pages * CID_PAGE) ||
	    f.generation >= t->s->root.next_generation || stale(t, f.pos, pages))
		return 0;
	slot = (struct cid_slot){
		.pos = f.pos,
		.entries = f.entries,
		.pages = (uint32_t)pages,
		.generation = f.generation,
		.depth = f.kind == CID_PART_BUCKET ? f.depth : 0,
		.keys = f.kind == CID_PART_BUCKET ? f.keys : 0,
		.values = f.kind == CID_PART_BUCKET ? f.values : 0,
		.sum = cid_sum_of(&f, sizeof(f), seed),
	};
	rc = cid_array_room((void **)&t->f, t->nf, &t->cap_f, sizeof(*t->f));
	if (rc == 0)
		t->f[t->nf++] = (struct found){ slot, f };
	return rc;
}

static int newer(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return (x->f.generation < y->f.generation) - (x->f.generation > y->f.generation);
}

static int search(struct tree *t)
{
	const struct cid_pool *parts = &t->s->pool[CID_POOL_PARTS];
	uint64_t end = (uint64_t)atomic_load(&parts->segments) << parts->shift;
	int rc = 0;

	if (t->searched)
		return 0;
	t->searched = true;
	cid_repair_say(t->r, "searching the buckets for parts");
	for (uint64_t at = 2 * CID_PAGE; rc == 0 && at <= end; at += CID_PAGE)
		rc = look_at(t, at);
	if (t->nf)
		qsort(t->f, t->nf, sizeof(*t->f), newer);
	return rc;
}

/* ---- the directory ---- */

static int add_bucket(struct tree *t, const struct cid_slot *slot, uint64_t prefix)
{
	int rc = cid_array_room((void **)&t->b, t->nb, &t->cap_b, sizeof(*t->b));

	if (rc == 0)
		t->b[t->nb++] = (struct bucket){ *slot, prefix };
	return rc;
}

static int by_prefix(const void *a, const void *b)
{
	const struct bucket *x = a, *y = b;

	return (x->prefix > y->prefix) - (x->prefix < y->prefix);
}

/* Buckets of the pages that verify. */
static int read_pages(struct tree *t)
{
	const struct cid_root *r = &t->s->root;
	const struct cid_pool *meta = &t->s->pool[CID_POOL_META];
	uint64_t n = 1ull << r->global_depth, pages = n > 64 ? n / 64 : 1, next = 0;
	size_t bytes = (size_t)pages * sizeof(struct cid_page_ref);
	struct cid_page_ref *ref;
	unsigned bits;
	int rc;

	if (r->global_depth > 40 || r->directory.bytes != bytes)
		return 0;
	ref = malloc(bytes);
	if (!ref)
		return CIDSTORE_ENOMEM;
	rc = cid_block_read(meta, r->directory.pos, ref, bytes, 0, r->directory.sum, &bits);
	if (rc == 0 && bits)
		cid_repair_say(t->r, "the table of the directory has a flipped bit");
	for (uint64_t p = 0; rc == 0 && p < pages; p++) {
		struct cid_slot slot[64];

		rc = cid_block_read(meta, ref[p].pos, slot, sizeof(slot), ref[p].generation,
				    ref[p].sum, &bits);
		if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) {
			cid_repair_say(t->r, "page %llu of the directory does not verify",
				       (unsigned long long)p);
			rc = 0;
			continue;
		}
		if (rc == 0 && bits)
			cid_repair_say(t->r, "page %llu of the directory has a flipped bit",
				       (unsigned long long)p);
		for (uint64_t i = p * 64; rc == 0 && i < n && i < (p + 1) * 64; i++) {
			const struct cid_slot *s = &slot[i % 64];
			uint64_t span;

			if (i < next || s->depth > r->global_depth)
				continue;
			span = 1ull << (r->global_depth - s->depth);
			if (i % span)
				continue; /* it began in a page that is lost */
			next = i + span;
			rc = add_bucket(t, s, r->global_depth ? i * width(r->global_depth) : 0);
		}
	}
	free(ref);
	return rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO ? 0 : rc;
}

/* Does a range touch one of the buckets? */
static bool taken(const struct tree *t, uint64_t prefix, uint64_t depth)
{
	size_t lo = 0, hi = t->nb;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->b[mid].prefix + width(t->b[mid].slot.depth) <= prefix)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->nb && t->b[lo].prefix < prefix + width(depth);
}

/* Empty buckets where nothing was found, as large as they may be. */
static int fill_gap(struct tree *t, uint64_t from, uint64_t to)
{
	int rc = 0;

	while (rc == 0 && from < to) {
		uint64_t depth = 0;

		while (from % width(depth) || from + width(depth) > to)
			depth++;
		rc = add_bucket(t, &(struct cid_slot){ .depth = depth }, from);
		if (rc == 0)
			rc = cid_repair_lost(t->r, "all keys with hashes from %016llx to %016llx, if "
						   "there were any",
					     (unsigned long long)from,
					     (unsigned long long)(from + width(depth) - 1));
		from += width(depth);
	}
	return rc;
}

static int complete(struct tree *t)
{
	uint64_t at = 0, end = 1ull << CID_HASH_BITS;
	size_t known;
	bool whole;
	int rc = 0;

	for (size_t i = 0; i < t->nb && t->b[i].prefix == at; i++)
		at += width(t->b[i].slot.depth);
	whole = at == end;
	if (whole)
		return 0;
	rc = search(t);
	for (size_t i = 0; rc == 0 && i < t->nf; i++) {
		const struct found *f = &t->f[i];

		if (f->f.kind != CID_PART_BUCKET || f->f.prefix % width(f->f.depth) ||
		    f->f.prefix + width(f->f.depth) > end || taken(t, f->f.prefix, f->f.depth))
			continue;
		rc = add_bucket(t, &f->slot, f->f.prefix);
		qsort(t->b, t->nb, sizeof(*t->b), by_prefix);
		cid_repair_say(t->r, "found the bucket of hashes from %016llx on at %llu",
			       (unsigned long long)f->f.prefix, (unsigned long long)f->f.pos);
	}
	known = t->nb;
	at = 0;
	for (size_t i = 0; rc == 0 && i < known; i++) {
		rc = fill_gap(t, at, t->b[i].prefix);
		at = t->b[i].prefix + width(t->b[i].slot.depth);
	}
	if (rc == 0)
		rc = fill_gap(t, at, end);
	if (t->nb)
		qsort(t->b, t->nb, sizeof(*t->b), by_prefix);
	return rc;
}

static int make_dir(struct tree *t, struct cid_dir **out)
{
	struct cidstore *s = t->s;
	uint64_t depth = 0;
	struct cid_dir *d;
	int rc = 0;

	for (size_t i = 0; i < t->nb; i++)
		depth = t->b[i].slot.depth > depth ? t->b[i].slot.depth : depth;
	d = cid_dir_new((uint32_t)depth);
	if (!d)
		return CIDSTORE_ENOMEM;
	for (uint64_t i = 0; i < 1ull << depth; i++)
		atomic_store(&d->slot[i], NULL);
	s->root.keys = s->root.values = 0;
	for (size_t i = 0; rc == 0 && i < t->nb; i++) {
		struct cid_slot slot = t->b[i].slot;
		struct cid_part *p;

		rc = cid_part_new(&s->pool[CID_POOL_PARTS], s->root.hash_seed, &slot,
				  t->b[i].prefix, &p);
		if (rc == CIDSTORE_ECORRUPT) {
			/* Its extent cannot be: of a segment that is gone. */
			rc = cid_repair_lost(t->r, "a bucket of %u keys at %llu", slot.entries,
					     (unsigned long long)slot.pos);
			slot = (struct cid_slot){ .depth = slot.depth };
			if (rc == 0)
				rc = cid_part_new(&s->pool[CID_POOL_PARTS], s->root.hash_seed, &slot,
						  t->b[i].prefix, &p);
		}
		if (rc)
			break;
		s->root.keys += slot.keys;
		s->root.values += slot.values;
		cid_dir_set(d, p, (uint32_t)slot.depth);
	}
	if (rc == 0)
		*out = d;
	else
		cid_dir_free_all(d);
	return rc;
}

/* ---- the runs ---- */

static int by_run(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->f.first_run != y->f.first_run)
		return x->f.first_run < y->f.first_run ? -1 : 1;
	return newer(a, b);
}

/* Runs in the pool, oldest first; the list of them is lost. */
static int find_runs(struct tree *t, struct cid_slot *slot, uint64_t *n)
{
	uint64_t last = 0;
	size_t runs = 0;
	int rc = search(t);

	*n = 0;
	if (rc)
		return rc;
	for (size_t i = 0; i < t->nf; i++)
		if (t->f[i].f.kind == CID_PART_RUN && !stale(t, t->f[i].slot.pos,
							     t->f[i].slot.pages))
			t->f[runs++] = t->f[i];
	t->nf = runs;
	t->searched = false;
	if (runs)
		qsort(t->f, runs, sizeof(*t->f), by_run);
	for (size_t i = 0; i < runs && *n < CID_MAX_RUNS; i++) {
		/* One that others were merged into stands for them. */
		if (t->f[i].f.last_run <= last)
			continue;
		last = t->f[i].f.last_run;
		slot[(*n)++] = t->f[i].slot;
	}
	return cid_repair_lost(t->r, "the list of %llu runs; %llu were found",
			       (unsigned long long)(t->s->root.runs.bytes / sizeof(*slot)),
			       (unsigned long long)*n);
}

static int read_runs(struct tree *t, struct cid_part ***out)
{
	const struct cid_root *r = &t->s->root;
	uint64_t n = r->runs.bytes / sizeof(struct cid_slot);
	struct cid_slot *slot = calloc(CID_MAX_RUNS + 1, sizeof(*slot));
	struct cid_part **run = calloc(CID_MAX_RUNS + 1, sizeof(struct cid_part *));
	uint32_t kept = 0;
	unsigned bits = 0;
	int rc = slot && run ? 0 : CIDSTORE_ENOMEM;

	if (rc == 0 && r->runs.pos) {
		rc = n <= CID_MAX_RUNS ? cid_block_read(&t->s->pool[CID_POOL_META], r->runs.pos, slot,
							(size_t)r->runs.bytes, 0, r->runs.sum, &bits) :
					 CIDSTORE_ECORRUPT;
		if (rc == 0 && bits)
			cid_repair_say(t->r, "the list of runs has a flipped bit");
		if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO)
			rc = find_runs(t, slot, &n);
	} else {
		n = 0;
	}
	for (uint64_t i = 0; rc == 0 && i < n; i++) {
		rc = cid_part_new(&t->s->pool[CID_POOL_PARTS], r->hash_seed, &slot[i], 0,
				  &run[kept]);
		if (rc == CIDSTORE_ECORRUPT)
			rc = cid_repair_lost(t->r, "a run of %u entries at %llu", slot[i].entries,
					     (unsigned long long)slot[i].pos);
		else
			kept += rc == 0;
	}
	free(slot);
	if (rc == 0) {
		*out = run;
		return 0;
	}
	for (uint32_t i = 0; run && i < kept; i++)
		cid_part_free(run[i]);
	free(run);
	return rc;
}

/* ---- the whole ---- */

static void read_maps(struct tree *t)
{
	const struct cid_root *r = &t->s->root;
	const struct cid_pool *meta = &t->s->pool[CID_POOL_META];
	struct cid_page_ref *leaf = NULL;
	struct cid_freed *freed = NULL;
	int rc = cid_space_init(&t->space, t->s->pool, &t->s->ebr);

	if (rc == 0)
		rc = cid_load_block(meta, &r->space[CID_POOL_PARTS], (void **)&leaf);
	if (rc == 0 && leaf)
		rc = cid_space_load(&t->space, CID_POOL_PARTS, leaf,
				    r->space[CID_POOL_PARTS].bytes / sizeof(*leaf));
	t->maps = rc == 0;
	if (cid_load_block(meta, &r->freed, (void **)&freed) == 0 && freed)
		(void)cid_space_load_freed(&t->space, freed, r->freed.bytes / sizeof(*freed), 0);
	free(leaf);
	free(freed);
}

int cid_repair_tree(struct cidstore *s, struct cid_repair *r, struct cid_dir **dir,
		    struct cid_part ***run, struct cid_page_ref **dir_ref, uint64_t *buckets)
{
	struct tree t = { .s = s, .r = r };
	struct cid_page_ref *ref = NULL;
	struct cid_dir *d = NULL;
	uint64_t pages;
	int rc;

	read_maps(&t);
	rc = read_pages(&t);
	if (rc == 0)
		rc = complete(&t);
	if (rc == 0)
		rc = make_dir(&t, &d);
	if (rc == 0) {
		/* All pages are written anew. */
		pages = d->depth > 6 ? 1ull << (d->depth - 6) : 1;
		ref = calloc(pages, sizeof(*ref));
		rc = ref ? read_runs(&t, run) : CIDSTORE_ENOMEM;
	}
	if (rc == 0) {
		*dir = d;
		*dir_ref = ref;
		*buckets = t.nb;
		r->tree_mended = true;
		s->root.sweep_run = s->root.sweep_keys = s->root.sweep_values = 0;
	} else {
		cid_dir_free_all(d);
		free(ref);
	}
	cid_space_fini(&t.space);
	free(t.b);
	free(t.f);
	return rc;
}
