/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * count.c - what a run of blind changes did to the number of keys and values
 *
 * Bulk changes do not look, so a run made of them knows only what it would add
 * if all of it were new. At rest its entries are held against what is older,
 * some thousand a step, and the run's counts become exact.
 */
#include "store/engine.h"

enum { PER_STEP = CID_COUNT_STEP };

/* The changes of one run to one key, against the layers below it. */
static int effect(struct cidstore *s, struct cid_key *old, struct cid_key *now, int64_t *keys,
		  int64_t *values)
{
	const struct cid_layer *l = &now->layer[0];
	bool existed = cid_key_exists(old), exists = l->exists || (existed && !l->hides);
	struct cid_stream st;
	struct cid_change c;
	uint64_t n = 0;
	int rc;

	*keys += exists - existed;
	if (l->hides) {
		rc = existed ? cid_key_count(old, &s->t, &n) : 0;
		*values -= (int64_t)n;
		n = 0;
		if (rc == 0)
			rc = cid_key_count(now, &s->t, &n);
		*values += (int64_t)n;
		return rc;
	}
	rc = cid_stream_open(&st, now, &s->t, 0, 1, false);
	while (rc == 0 && (rc = cid_stream_next(&st, &c)) == 1) {
		int had = existed ? cid_key_has(old, &s->t, c.id) : 0;

		if (had < 0)
			return had;
		*values += c.present - had;
		rc = 0;
	}
	return rc;
}

static struct cid_part *next_uncounted(const struct cid_view *v, uint32_t *index)
{
	for (uint32_t i = 0; i < v->nruns; i++)
		if (!(v->run[i]->slot.depth & CID_SLOT_COUNTED)) {
			*index = i;
			return v->run[i];
		}
	return NULL;
}

bool cid_count_due(struct cidstore *s)
{
	uint32_t i;

	return !s->sweep_blocked && next_uncounted(cid_view_now(s), &i) != NULL;
}

int cid_count_step(struct cidstore *s)
{
	struct cid_view *v = cid_view_now(s);
	uint32_t index;
	struct cid_part *run = next_uncounted(v, &index);
	int rc = 0;

	if (!run)
		return 0;
	if (s->count.generation != run->slot.generation) {
		s->count.generation = run->slot.generation;
		s->count.at = 0;
		s->count.keys = s->count.values = 0;
	}
	for (int i = 0; rc == 0 && i < PER_STEP && s->count.at < run->slot.entries; i++) {
		struct cid_found f[2];
		struct cid_key old, now;
		uint64_t hash;
		int n = 1;

		rc = cid_part_entry_deep(run, s->count.at, &f[0].e, &f[0].state, &s->t.corrected);
		if (rc == 0 && s->count.at + 1 < run->slot.entries) {
			rc = cid_part_entry_deep(run, s->count.at + 1, &f[1].e, &f[1].state,
					    &s->t.corrected);
			n += rc == 0 && cid_id_eq(f[0].e.key, f[1].e.key);
		}
		if (rc)
			break;
		hash = cid_hash(f[0].e.key, s->t.seed);
		cid_key_init(&old, f[0].e.key, hash);
		cid_key_init(&now, f[0].e.key, hash);
		rc = cid_key_collect_below(&old, &s->t, v, index);
		if (rc == 0)
			rc = cid_key_push(&now, f, n);
		if (rc == 0)
			rc = effect(s, &old, &now, &s->count.keys, &s->count.values);
		cid_key_fini(&old);
		cid_key_fini(&now);
		s->count.at += (uint64_t)n;
	}
	if (rc)
		return rc;
	if (s->count.at >= run->slot.entries) {
		s->run_keys += s->count.keys - (int64_t)run->slot.keys;
		s->run_values += s->count.values - (int64_t)run->slot.values;
		__atomic_store_n(&run->slot.keys, (uint64_t)s->count.keys, __ATOMIC_RELAXED);
		__atomic_store_n(&run->slot.values, (uint64_t)s->count.values, __ATOMIC_RELAXED);
		__atomic_store_n(&run->slot.depth, run->slot.depth | CID_SLOT_COUNTED,
				 __ATOMIC_RELAXED);
		s->changed = true;
	}
	return 0;
}
