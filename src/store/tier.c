/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tier.c - merging runs with each other
 *
 * When CID_TIER_FAN runs of one size stand next to each other at the young end
 * they become one. A pair is so rewritten once for each power of CID_TIER_FAN
 * by which the runs outgrow a table, there are never many runs to look into,
 * and a sweep finds few and long inputs.
 *
 * A merge reads and writes in sequence, some thousand keys a step; commits,
 * flushes and steps of a sweep come between. What it has written belongs to
 * nobody until the end (space.h): a crash frees it. At the end the
 * new run takes the place of its inputs in the view, and the next commit makes
 * that durable. Nothing a deletion says may be lost, as older data lies below:
 * tombstones stay, and of the words on one value the newest stays.
 */
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "store/engine.h"
#include "store/reach.h"

enum { MOST = 2 * CID_TIER_FAN };

uint64_t cid_run_bytes(struct cidstore *s, struct cid_part *p)
{
	uint64_t packed = __atomic_load_n(&p->packed_pages, __ATOMIC_RELAXED);
	struct cid_part_index *x;

	if (packed == UINT64_MAX)
		packed = cid_part_index(&s->pool[CID_POOL_PARTS], p, &x) == 0 ?
				 x->footer.packed_pages :
				 0;
	return (p->slot.pages + packed) * CID_PAGE;
}

/* Runs of one level differ in size by a factor of CID_TIER_FAN at most, and a
 * full table is in the middle of one. */
static unsigned level(struct cidstore *s, struct cid_part *p)
{
	uint64_t bytes = cid_run_bytes(s, p), limit = s->root.log_records * CID_ENTRY_BYTES / 2;
	unsigned l = 4;

	for (limit = limit * 3 / 8; l > 0 && bytes <= limit / CID_TIER_FAN; l--)
		limit /= CID_TIER_FAN;
	for (; bytes > limit; l++)
		limit *= CID_TIER_FAN;
	return l;
}

/* Would these, merged, fit where they must lie in one piece? */
static bool fits(struct cidstore *s, uint64_t entries, uint64_t packed)
{
	uint64_t half = 1ull << (s->root.segment_shift - 1);
	uint64_t memory = cid_memory_limit(s) / 16;

	return entries * (CID_ENTRY_BYTES + 4) <= half && packed <= half &&
	       cid_index_bytes(entries, cid_index_bins_log2(entries)) <= memory;
}

/* Packed lists that may come of so many entries and the lists they have. */
static uint64_t packed_most(struct cid_part *p)
{
	return p->packed_pages * CID_PAGE + p->slot.entries * 2ull * sizeof(struct cidstore_id);
}

bool cid_tier_choose(struct cidstore *s, uint32_t *first, uint32_t *n)
{
	struct cid_view *v = cid_view_now(s);
	uint32_t low = s->sweep.upto ? s->sweep.nruns : 0, from = v->nruns;

	if (s->sweep_blocked || s->tier.m.n || atomic_load(&s->nospace))
		return false;
	for (unsigned l = 0; from > low; l++) {
		uint64_t entries = 0, packed = 0;
		uint32_t k = 0;

		while (from > low && level(s, v->run[from - 1]) <= l)
			from--;
		if (v->nruns - from < CID_TIER_FAN)
			continue;
		for (; k < MOST && from + k < v->nruns; k++) {
			struct cid_part *p = v->run[from + k];

			entries += p->slot.entries;
			packed += packed_most(p);
			if (!fits(s, entries, packed))
				break;
		}
		if (k >= 2) {
			*first = from;
			*n = k;
			return true;
		}
	}
	return false;
}

int cid_tier_start(struct cidstore *s, uint32_t first, uint32_t n)
{
	struct cid_view *v = cid_view_now(s);
	struct cid_tier *t = &s->tier;
	uint64_t entries = 0, packed = 0, first_run = 0, last_run = 0;
	int rc = cid_merge_init(&t->m, &s->t, n);

	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		struct cid_part *p = v->run[first + i];
		struct cid_part_index *x;

		rc = cid_part_index(&s->pool[CID_POOL_PARTS], p, &x);
		if (rc)
			break;
		t->m.in[i] = (struct cid_input){ .p = p, .end = p->slot.entries };
		entries += p->slot.entries;
		packed += packed_most(p);
		if (i == 0)
			first_run = x->footer.first_run;
		last_run = x->footer.last_run;
	}
	if (rc)
		goto fail;
	cid_space_begin(&s->space);
	rc = cid_builder_begin(&t->b, &s->pool[CID_POOL_PARTS], &s->lists, s->t.seed,
			       s->root.next_generation,
			       (uint32_t)cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD), CID_PART_RUN, 0, 0,
			       entries, packed);
	if (rc == 0)
		rc = cid_space_keep(&s->space);
	if (rc) {
		cid_space_end(&s->space, false);
		goto fail;
	}
	s->root.next_generation++;
	t->b.footer.first_run = first_run;
	t->b.footer.last_run = last_run;
	rc = cid_merge_upto(&t->m, 1ull << CID_HASH_BITS);
	if (rc)
		cid_tier_drop(s);
	return rc;
fail:
	cid_merge_fini(&t->m);
	return rc;
}

void cid_tier_drop(struct cidstore *s)
{
	if (!s->tier.m.n)
		return;
	cid_builder_abort(&s->tier.b);
	cid_merge_fini(&s->tier.m);
	cid_space_drop(&s->space);
}

/* ---- one key ---- */

static int copy(struct cidstore *s, struct cid_builder *b, const struct cid_key *k)
{
	const struct cid_layer *l = &k->layer[0];
	struct cid_entry tomb = { .key = k->key };
	int rc = 0;

	if (l->has_add)
		rc = cid_merge_copy(&s->t, b, &l->add.e, (enum cid_state)l->add.state, k->hash);
	else if (l->hides)
		rc = cid_builder_entry(b, &tomb, k->hash, CID_TOMB);
	if (rc == 0 && l->has_del && !l->hides)
		rc = cid_merge_copy(&s->t, b, &l->del.e, (enum cid_state)l->del.state, k->hash);
	return rc;
}

/* The values that the layers leave present, or absent, as one list. */
static int fold(struct cidstore *s, struct cid_builder *b, struct cid_key *k, bool present,
		bool *others)
{
	struct cid_stream st;
	struct cid_change c;
	int rc = cid_stream_open(&st, k, &s->t, 0, k->n, false);

	while (rc == 0 && (rc = cid_stream_next(&st, &c)) == 1) {
		rc = 0;
		if (c.present == present)
			rc = cid_builder_value(b, c.hash, c.id);
		else
			*others = true;
	}
	return rc;
}

static int merge_key(struct cidstore *s, struct cid_builder *b, struct cid_key *k)
{
	bool full = k->layer[k->n - 1].hides, others = false;
	struct cid_entry tomb = { .key = k->key };
	int rc;

	if (k->n == 1)
		return copy(s, b, k);
	if (cid_key_exists(k)) {
		rc = fold(s, b, k, true, &others);
		if (rc == 0)
			rc = cid_builder_list(b, k->key, k->hash,
					      full ? CID_ROLE_FULL : CID_ROLE_ADD);
		if (rc || full || !others)
			return rc;
	} else if (full) {
		if (CID_PLANT(41))
			return 0;
		return cid_builder_entry(b, &tomb, k->hash, CID_TOMB);
	}
	rc = fold(s, b, k, false, &others);
	return rc ? rc : cid_builder_list(b, k->key, k->hash, CID_ROLE_DEL);
}

/* ---- the end ---- */

/* Large lists that go with a run, but for those its heir took over. */
int cid_run_note_trees(struct cidstore *s, struct cid_part *run, struct cid_part *heir)
{
	struct cid_pool *parts = &s->pool[CID_POOL_PARTS];
	struct cid_part_index *x;
	int rc = cid_part_index(parts, run, &x);
	uint64_t trees = rc ? 0 : x->footer.trees;

	for (uint64_t i = 0; rc == 0 && trees && i < run->slot.entries; i++) {
		struct cid_found f[2];
		struct cid_list_ref ref;
		struct cid_entry e;
		int st, n = 0;

		rc = cid_part_entry_deep(run, i, &e, &st, &s->t.corrected);
		if (rc || cid_state_table[st].form != CID_FORM_TREE)
			continue;
		trees--;
		ref = cid_entry_list(&e);
		if (heir)
			rc = cid_part_find(parts, heir, e.key, cid_hash(e.key, s->t.seed), f, &n,
					   &s->t.corrected);
		for (int j = 0; j < n; j++)
			if (cid_state_table[f[j].state].form == CID_FORM_TREE &&
			    cid_entry_list(&f[j].e).pos == ref.pos)
				ref.count = 0;
		if (rc == 0 && ref.count)
			rc = cid_collect_note(s, e.key, &ref);
	}
	return rc;
}

static int replace(struct cidstore *s, struct cid_part *sum)
{
	struct cid_merge *m = &s->tier.m;
	struct cid_view *v = cid_view_now(s);
	struct cid_part **list = malloc((v->nruns + 1) * sizeof(struct cid_part *));
	uint32_t at = 0, n = 0;
	int rc;

	if (!list)
		return CIDSTORE_ENOMEM;
	while (v->run[at] != m->in[0].p)
		at++;
	for (uint32_t i = 0; i < at; i++)
		list[n++] = v->run[i];
	list[n++] = sum;
	for (uint32_t i = at + m->n; i < v->nruns; i++)
		list[n++] = v->run[i];
	pthread_mutex_lock(&s->publish);
	v = cid_view_now(s);
	rc = cid_view_publish(s, v->active, v->frozen, v->dir, list, n);
	pthread_mutex_unlock(&s->publish);
	free(list);
	return rc;
}

static int finish(struct cidstore *s)
{
	struct cid_tier *t = &s->tier;
	struct cid_part *sum = NULL;
	size_t notes = s->ndel;
	bool counted = true;
	int rc;

	cid_space_begin(&s->space);
	for (uint32_t i = 0; i < t->m.n; i++) {
		const struct cid_slot *slot = &t->m.in[i].p->slot;

		/* What each did to the counts, given those before it. */
		t->b.slot.keys += slot->keys;
		t->b.slot.values += slot->values;
		counted = counted && (slot->depth & CID_SLOT_COUNTED);
	}
	t->b.slot.depth = counted ? CID_SLOT_COUNTED : 0;
	rc = cid_builder_end(&t->b, &sum);
	for (uint32_t i = 0; rc == 0 && i < t->m.n; i++) {
		rc = cid_run_note_trees(s, t->m.in[i].p, sum);
		if (rc == 0)
			rc = cid_part_space_retire(s, t->m.in[i].p);
	}
	if (rc == 0)
		rc = replace(s, sum);
	cid_space_end(&s->space, rc == 0);
	if (rc) {
		cid_part_free(sum);
		s->ndel = notes;
		return rc;
	}
	cid_space_made(&s->space);
	for (uint32_t i = 0; i < t->m.n; i++)
		cid_part_retire(s, t->m.in[i].p);
	cid_merge_fini(&t->m);
	s->changed = true;
	s->c.run_merges++;
	return 0;
}

int cid_tier_step(struct cidstore *s)
{
	struct cid_tier *t = &s->tier;
	int rc = 0;

	cid_space_begin(&s->space);
	for (int i = 0; rc == 0 && i < CID_TIER_STEP && cid_merge_first(&t->m); i++) {
		struct cid_key k;

		rc = cid_merge_key(&t->m, &k);
		if (rc == 0)
			rc = merge_key(s, &t->b, &k);
		cid_key_fini(&k);
	}
	if (rc == 0)
		rc = cid_space_keep(&s->space);
	if (rc)
		cid_space_end(&s->space, false);
	if (rc == 0 && !cid_merge_first(&t->m))
		rc = finish(s);
	if (rc)
		cid_tier_drop(s);
	return rc;
}
