/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep.c - merging runs into buckets
 *
 * A sweep takes the runs of one moment and goes through the buckets in hash
 * order. A step reads one bucket and its share of each run, writes the merged
 * bucket (or, where it grew too large, the buckets of the next depths) and
 * points the directory at it. When all buckets are done the runs leave the
 * view. Commits may come between any two steps: each bucket remembers the
 * newest run in it, and a sweep that was cut off starts anew and passes over
 * the buckets that are done.
 */
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "store/engine.h"
#include "store/merge.h"

/* No bucket is split further than this. */
enum { DEEPEST = CID_HASH_BITS - 18 };

static int retire_block(void *arg, const struct cid_tree_block *b)
{
	return cid_space_retire(arg, CID_POOL_VALUES, b->pos, cid_pages(b->bytes));
}

/* A large set to which changes come: only the blocks they touch are written. */
static int update_tree(struct cidstore *s, struct cid_builder *b, struct cid_key *k)
{
	const struct cid_found *base = &k->layer[k->n - 1].add;
	struct cid_list_ref old = cid_entry_list(&base->e), ref;
	struct cid_stream st;
	struct cid_changes ch = { .next = cid_stream_next, .arg = &st };
	struct cid_entry e = { .key = k->key };
	int rc = cid_stream_open(&st, k, &s->t, 0, k->n - 1, false);

	if (rc == 0)
		rc = cid_tree_update(&s->lists, &old, &ch, &ref);
	if (rc)
		return rc;
	if (ref.count > b->threshold / 2) {
		cid_entry_set_list(&e, &ref);
		return cid_builder_entry(b, &e, k->hash, CID_EXTENT);
	}
	/* It shrank: back among the packed sets, or inline. */
	s->c.demotions++;
	if (ref.count) {
		struct cid_cursor c;

		cid_entry_set_list(&e, &ref);
		rc = cid_cursor_entry(&c, s->t.values, s->t.seed, &e, CID_EXTENT);
		while (rc == 0 && !c.done) {
			rc = cid_builder_value(b, c.hash, cid_cursor_id(&c));
			if (rc == 0)
				rc = cid_cursor_next(&c);
		}
		if (rc == 0 && !CID_PLANT(26))
			rc = cid_tree_walk(s->t.values, &ref, retire_block, &s->space);
	}
	return rc ? rc : cid_builder_list(b, k->key, k->hash, CID_ROLE_FULL);
}

/* A key that at least one run speaks of, and perhaps the bucket. */
static int merge_key(struct cidstore *s, struct cid_builder *b, struct cid_key *k,
		     const struct cid_input *base)
{
	struct cid_stream st;
	struct cid_change c;
	bool hidden = k->layer[k->n - 1].hides;
	int rc = 0;

	if (base && !hidden) {
		struct cid_found f = { base->e, base->state };

		rc = cid_key_push(k, &f, 1);
		if (rc)
			return rc;
		if (base->state == CID_EXTENT)
			return update_tree(s, b, k);
	} else if (base && base->state == CID_EXTENT) {
		struct cid_list_ref ref = cid_entry_list(&base->e);

		rc = cid_collect_note(s, k->key, &ref);
		if (rc)
			return rc;
	}
	if (!cid_key_exists(k))
		return 0;
	rc = cid_stream_open(&st, k, &s->t, 0, k->n, true);
	while (rc == 0 && (rc = cid_stream_next(&st, &c)) == 1)
		rc = cid_builder_value(b, c.hash, c.id);
	return rc ? rc : cid_builder_list(b, k->key, k->hash, CID_ROLE_FULL);
}

/* Merges everything below `end` that the bucket and the runs have. */
static int merge_range(struct cidstore *s, struct cid_builder *b, struct cid_input *base,
		       struct cid_merge *runs, uint64_t end)
{
	int rc = 0;

	if (!base->have)
		rc = cid_input_next(&s->t, base, end);
	else if (base->hash >= end)
		return CIDSTORE_ECORRUPT;
	if (rc == 0)
		rc = cid_merge_upto(runs, end);
	while (rc == 0) {
		const struct cid_input *first = cid_merge_first(runs);
		int order = !first ? -1 :
			    !base->have ?
				     1 :
				     cid_value_cmp(base->hash, base->e.key, first->hash, first->e.key);
		struct cid_key k;

		if (!first && !base->have)
			break;
		if (order < 0) {
			rc = cid_merge_copy(&s->t, b, &base->e, (enum cid_state)base->state,
					    base->hash);
		} else {
			rc = cid_merge_key(runs, &k);
			if (rc == 0)
				rc = merge_key(s, b, &k, order == 0 ? base : NULL);
			cid_key_fini(&k);
		}
		if (rc == 0 && order <= 0)
			rc = cid_input_next(&s->t, base, end);
	}
	return rc;
}

/* ---- a step ---- */

struct step {
	struct cid_part *old;
	uint32_t depth, child_depth;
	struct cid_input base;
	struct cid_merge runs;
	uint64_t packed; /* estimate of a child's packed bytes */
	struct cid_part **child;
	uint64_t nchild;
};

static uint64_t range_end(uint64_t prefix, uint32_t depth)
{
	return prefix + (1ull << (CID_HASH_BITS - depth));
}

static int by_hash(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The number of keys among `entries` of the inputs: a key that all runs speak
 * of is still one, and splitting a bucket for it would never end. */
static int count_keys(struct cidstore *s, const struct step *st, uint64_t entries, uint64_t *keys)
{
	uint64_t *hash = malloc(entries * sizeof(*hash)), n = 0, k = 0;
	int rc = hash ? 0 : CIDSTORE_ENOMEM;

	for (uint32_t i = 0; rc == 0 && i <= st->runs.n; i++) {
		const struct cid_input *in = i < st->runs.n ? &st->runs.in[i] : &st->base;

		for (uint64_t at = in->at; rc == 0 && at < in->end; at++) {
			struct cid_entry e;
			int state;

			rc = cid_part_entry(in->p, at, &e, &state, &s->t.corrected);
			if (rc == 0)
				hash[n++] = cid_hash(e.key, s->t.seed);
		}
	}
	if (rc == 0)
		qsort(hash, n, sizeof(*hash), by_hash);
	for (uint64_t i = 0; i < n; i++)
		k += i == 0 || hash[i] != hash[i - 1];
	free(hash);
	*keys = k;
	return rc;
}

/* Opens the inputs of a bucket and decides how far to split it. */
static int plan(struct cidstore *s, struct step *st, const struct cid_view *v, uint64_t end)
{
	struct cid_part *p = st->old;
	struct cid_part_index *x = NULL;
	uint64_t bytes = 0, packed = 0, entries = 0, max = s->root.bucket_bytes;
	uint64_t one = 2 * cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD) * sizeof(struct cidstore_id);
	uint64_t large = 1ull << s->pool[CID_POOL_PARTS].shift >> 1;
	uint32_t deepest = DEEPEST;
	int rc = 0;

	rc = cid_merge_init(&st->runs, &s->t, s->sweep.nruns);
	if (rc)
		return rc;
	st->base = (struct cid_input){ .p = p, .end = p->slot.entries };
	if (p->slot.pos) {
		rc = cid_part_index(&s->pool[CID_POOL_PARTS], p, &x);
		if (rc)
			return rc;
		packed = x->footer.packed_bytes;
		bytes = (uint64_t)p->slot.entries * (CID_ENTRY_BYTES + 3) + packed;
		entries = p->slot.entries;
	}
	for (uint32_t i = 0; i < st->runs.n; i++) {
		struct cid_input *in = &st->runs.in[i];
		uint64_t share;

		in->p = v->run[i];
		in->at = s->sweep.run_at[i];
		rc = cid_part_bound(&s->pool[CID_POOL_PARTS], in->p, s->t.seed, end,
				    (struct cidstore_id){ 0, 0 }, &in->end, &s->t.corrected);
		if (rc)
			return rc;
		rc = cid_part_index(&s->pool[CID_POOL_PARTS], in->p, &x);
		if (rc)
			return rc;
		share = in->end - in->at;
		entries += share;
		bytes += share * (CID_ENTRY_BYTES + 3);
		if (x->footer.packed_bytes) {
			uint64_t pb = x->footer.packed_bytes / x->footer.entries * share;

			packed += pb;
			bytes += pb;
		}
	}
	st->child_depth = st->depth;
	/* A full disk may not have room for a much larger directory, but what is
	 * larger than a segment has none anywhere. */
	if (atomic_load(&s->nospace)) {
		deepest = v->dir->depth;
		while (sizeof(struct cid_slot) << (deepest + 1) <= CID_SPACE_RESERVE / 8)
			deepest++;
	}
	/* A set that is too large for a bucket is not made smaller by splitting. */
	if (max < one)
		max = one;
	if (large < max)
		large = max;
	if (bytes > max && entries > 1 && entries <= 4 * (st->runs.n + 1ull))
		rc = count_keys(s, st, entries, &entries);
	while (st->child_depth < DEEPEST && entries >> (st->child_depth - st->depth) > 1 &&
	       bytes >> (st->child_depth - st->depth) > (st->child_depth < deepest ? max : large))
		st->child_depth++;
	st->packed = (packed >> (st->child_depth - st->depth)) * 2 + CID_PAGE;
	return rc;
}

static uint64_t count_below(struct cidstore *s, const struct cid_input *in, uint64_t end, bool last, int *rc)
{
	uint64_t bound = in->end;

	if (in->p->slot.pos == 0)
		return 0;
	if (!last && *rc == 0)
		*rc = cid_part_bound(&s->pool[CID_POOL_PARTS], in->p, s->t.seed, end,
				     (struct cidstore_id){ 0, 0 }, &bound, &s->t.corrected);
	return bound - in->at + in->have;
}

static int build_child(struct cidstore *s, struct step *st, uint64_t c)
{
	struct cid_builder *b = &s->builder;
	uint64_t prefix = st->old->prefix + (c << (CID_HASH_BITS - st->child_depth));
	uint64_t end = range_end(prefix, st->child_depth), entries = 0;
	bool last = c + 1 == st->nchild;
	int rc = 0;

	entries = count_below(s, &st->base, end, last, &rc);
	for (uint32_t i = 0; rc == 0 && i < st->runs.n; i++)
		entries += count_below(s, &st->runs.in[i], end, last, &rc);
	if (rc)
		return rc;
	rc = cid_builder_begin(b, &s->pool[CID_POOL_PARTS], &s->lists, s->t.seed,
			       s->root.next_generation + c,
			       (uint32_t)cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD), CID_PART_BUCKET,
			       st->child_depth, prefix, entries,
			       entries ? st->packed + entries * 48 : 0);
	if (rc)
		return rc;
	b->footer.last_run = s->sweep.upto + CID_PLANT(38);
	rc = merge_range(s, b, &st->base, &st->runs, end);
	if (rc == 0)
		return cid_builder_end(b, &st->child[c]);
	cid_builder_abort(b);
	return rc;
}

/* Points the directory at the children; nothing fails any more after it. */
static int link_children(struct cidstore *s, struct step *st)
{
	struct cid_view *v;
	struct cid_dir *dir;
	int rc = 0;

	pthread_mutex_lock(&s->publish);
	v = cid_view_now(s);
	dir = v->dir;
	if (st->child_depth > dir->depth) {
		rc = cid_dir_change_depth(s, st->child_depth);
		dir = cid_view_now(s)->dir;
	}
	if (rc == 0)
		for (uint64_t c = 0; c < st->nchild; c++)
			cid_dir_replace(s, dir, st->child[c], st->child_depth);
	pthread_mutex_unlock(&s->publish);
	return rc;
}

int cid_part_space_retire(struct cidstore *s, struct cid_part *p)
{
	struct cid_part_index *x;
	int rc;

	if (p->slot.pos == 0)
		return 0;
	rc = cid_part_index(&s->pool[CID_POOL_PARTS], p, &x);
	if (rc == 0)
		rc = cid_space_retire(&s->space, CID_POOL_PARTS, p->slot.pos, p->slot.pages);
	if (rc == 0 && x->footer.packed_pos)
		rc = cid_space_retire(&s->space, CID_POOL_VALUES, x->footer.packed_pos,
				      x->footer.packed_pages);
	return rc;
}

void cid_base_count(struct cidstore *s, const struct cid_part *p, int sign)
{
	uint64_t packed = p->packed_pages == UINT64_MAX ? 0 : p->packed_pages;

	s->base_pages += sign > 0 ? p->slot.pages : 0ull - p->slot.pages;
	s->base_packed += sign > 0 ? packed : 0ull - packed;
}

static int sweep_bucket(struct cidstore *s, struct step *st, const struct cid_view *v, uint64_t end)
{
	int64_t keys = -(int64_t)st->old->slot.keys, values = -(int64_t)st->old->slot.values;
	size_t notes = s->ndel;
	uint64_t promotions = s->builder.promotions;
	int rc;

	cid_space_begin(&s->space);
	rc = plan(s, st, v, end);
	st->nchild = 1ull << (st->child_depth - st->depth);
	if (rc == 0) {
		st->child = calloc(st->nchild, sizeof(struct cid_part *));
		rc = st->child ? 0 : CIDSTORE_ENOMEM;
	}
	for (uint64_t c = 0; rc == 0 && c < st->nchild; c++) {
		rc = build_child(s, st, c);
		if (rc == 0) {
			keys += (int64_t)st->child[c]->slot.keys;
			values += (int64_t)st->child[c]->slot.values;
		}
	}
	if (rc == 0)
		rc = cid_part_space_retire(s, st->old);
	if (rc == 0)
		rc = link_children(s, st);
	cid_space_end(&s->space, rc == 0);
	if (rc) {
		for (uint64_t c = 0; st->child && c < st->nchild; c++)
			cid_part_free(st->child[c]);
		s->ndel = notes;
		return rc;
	}
	cid_base_count(s, st->old, -1);
	for (uint64_t c = 0; c < st->nchild; c++)
		cid_base_count(s, st->child[c], 1);
	cid_part_retire(s, st->old);
	s->root.next_generation += st->nchild;
	s->root.sweep_keys += (uint64_t)keys;
	s->root.sweep_values += (uint64_t)values;
	for (uint32_t i = 0; i < st->runs.n; i++)
		s->sweep.run_at[i] = st->runs.in[i].end;
	s->c.bucket_merges++;
	s->c.promotions += s->builder.promotions - promotions;
	if (st->nchild > 1) {
		s->c.splits += st->nchild - 1;
		s->nbuckets += st->nchild - 1;
		cid_write_note(s, CID_OP_SPLIT,
			       (struct cidstore_id){ st->old->prefix, st->depth },
			       (struct cidstore_id){ 0, st->child_depth });
	}
	return 0;
}

int cid_sweep_step(struct cidstore *s)
{
	struct cid_view *v = cid_view_now(s);
	struct cid_part *p;
	struct step st = { 0 };
	uint64_t end;
	int rc = 0;

	if (s->sweep.at >> CID_HASH_BITS)
		return cid_sweep_finish(s);
	p = cid_dir_get(v->dir, s->sweep.at);
	st.old = p;
	st.depth = st.child_depth = (uint32_t)p->slot.depth;
	end = range_end(p->prefix, st.depth);
	if (p->slot.pos) {
		struct cid_part_index *x;

		rc = cid_part_index(&s->pool[CID_POOL_PARTS], p, &x);
		if (rc)
			return rc;
	}
	if (!(end >> CID_HASH_BITS)) {
		const struct cid_slot *next = &cid_dir_get(v->dir, end)->slot;

		cid_pool_prefetch(&s->pool[CID_POOL_PARTS], next->pos, next->pages * 4096ull);
	}
	if (p->newest_run < s->sweep.upto) {
		rc = sweep_bucket(s, &st, v, end);
		cid_merge_fini(&st.runs);
		free(st.child);
	} else {
		for (uint32_t i = 0; rc == 0 && i < s->sweep.nruns; i++)
			rc = cid_part_bound(&s->pool[CID_POOL_PARTS], v->run[i], s->t.seed, end,
					    (struct cidstore_id){ 0, 0 }, &s->sweep.run_at[i],
					    &s->t.corrected);
	}
	if (rc == 0) {
		s->sweep.at = end;
		s->changed = true;
	}
	return rc;
}

/* ---- a sweep's start and end ---- */

static int begin(struct cidstore *s, uint64_t upto, uint32_t nruns)
{
	s->sweep.run_at = calloc(nruns + 1, sizeof(uint64_t));
	if (!s->sweep.run_at)
		return CIDSTORE_ENOMEM;
	s->sweep.upto = upto;
	s->sweep.at = 0;
	s->sweep.nruns = nruns;
	return 0;
}

void cid_sweep_drop(struct cidstore *s)
{
	free(s->sweep.run_at);
	memset(&s->sweep, 0, sizeof(s->sweep));
}

void cid_sweep_give_up(struct cidstore *s)
{
	/* Buckets that were rewritten have other counts now. Their share of the
	 * runs counts twice until these go. */
	s->base_keys += s->root.sweep_keys;
	s->base_values += s->root.sweep_values;
	s->root.sweep_keys = s->root.sweep_values = 0;
	cid_sweep_drop(s);
}

int cid_sweep_start(struct cidstore *s)
{
	struct cid_view *v = cid_view_now(s);
	uint32_t n = v->nruns;
	struct cid_part_index *x;
	int rc;

	/* Runs that are being merged with each other wait for the next one. */
	if (s->tier.m.n)
		for (n = 0; v->run[n] != s->tier.m.in[0].p; n++)
			;
	if (s->sweep.upto || n == 0)
		return 0;
	rc = cid_part_index(&s->pool[CID_POOL_PARTS], v->run[n - 1], &x);
	if (rc)
		return rc;
	return begin(s, x->footer.last_run, n);
}

int cid_sweep_resume(struct cidstore *s)
{
	struct cid_view *v = cid_view_now(s);
	uint32_t n = 0;

	if (s->root.sweep_run == 0)
		return 0;
	for (; n < v->nruns; n++) {
		struct cid_part_index *x;
		int rc = cid_part_index(&s->pool[CID_POOL_PARTS], v->run[n], &x);

		if (rc)
			return rc;
		if (x->footer.last_run > s->root.sweep_run)
			break;
	}
	return begin(s, s->root.sweep_run, n);
}

int cid_sweep_finish(struct cidstore *s)
{
	struct cid_view *v = cid_view_now(s);
	uint32_t n = s->sweep.nruns;
	struct cid_part **gone = malloc((n + 1) * sizeof(struct cid_part *));
	size_t notes = s->ndel;
	int rc = 0;

	if (!gone)
		return CIDSTORE_ENOMEM;
	memcpy(gone, v->run, n * sizeof(struct cid_part *));
	cid_space_begin(&s->space);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		rc = cid_run_note_trees(s, gone[i], NULL);
		if (rc == 0)
			rc = cid_part_space_retire(s, gone[i]);
	}
	if (rc == 0) {
		pthread_mutex_lock(&s->publish);
		v = cid_view_now(s);
		rc = cid_view_publish(s, v->active, v->frozen, v->dir, v->run + n, v->nruns - n);
		pthread_mutex_unlock(&s->publish);
	}
	cid_space_end(&s->space, rc == 0);
	if (rc) {
		s->ndel = notes;
		free(gone);
		return rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		s->run_keys -= (int64_t)gone[i]->slot.keys;
		s->run_values -= (int64_t)gone[i]->slot.values;
		cid_part_retire(s, gone[i]);
	}
	free(gone);
	s->base_keys += CID_PLANT(31) ? 0 : s->root.sweep_keys;
	s->base_values += s->root.sweep_values;
	s->root.sweep_keys = s->root.sweep_values = 0;
	cid_sweep_drop(s);
	s->buddy_at = 0;
	s->changed = true;
	s->c.sweeps++;
	return 0;
}
