/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * many.c - many lookups at once
 *
 * A lookup waits for memory four times, each time for an address that the wait
 * before brought: the handle of its bucket, the bin, the tags, the entry. A
 * group of keys goes through these stages side by side, and waits once for all.
 *
 * Where entries are not in memory the same holds for the disk, whose reads are
 * slower by a factor of a thousand. Asking the kernel ahead costs a system call
 * a key, so it is done only when a group took so long that it must have read.
 */
#include "os/mapped.h"
#include "store/follow.h"

/* What waits for memory stays in the nearest caches; what waits for the disk
 * keeps it busy, and the end of a group does not. */
enum { WARM_GROUP = 128, COLD_GROUP = 256, GROUP = COLD_GROUP };

/* A group that waits for the disk takes longer than what its keys need by
 * themselves and one read; a group that was asked for ahead and whose pages
 * were all there takes less. */
#define COLD_NS(n) (50000 + 500 * (uint64_t)(n))
#define WARM_NS(n) (2000 * (uint64_t)(n))

struct group {
	unsigned n;
	const struct cidstore_id *key;
	uint64_t hash[GROUP];
	struct cid_part *part[GROUP];
	struct cid_part_index *x[GROUP]; /* its index; NULL without entries */
	uint32_t at[GROUP];		 /* first candidate in the bucket */
	int rc[GROUP];
	uint64_t newest[GROUP];
	uint64_t maybe[GROUP][CID_RUN_WORDS];
};

/* What may be of the key in its bucket: the place of a candidate, or NULL. */
static const struct cid_entry *candidate(const struct group *g, unsigned i)
{
	const struct cid_part *p = g->part[i];

	return g->x[i] && g->at[i] < p->entries ? &p->entry[g->at[i]] : NULL;
}

static void locate(struct cidstore *s, const struct cid_view *v, struct group *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		g->hash[i] = cid_hash(g->key[i], s->t.seed);
		__builtin_prefetch((const void *)&v->dir->slot[cid_dir_index(v->dir, g->hash[i])]);
		if (v->active)
			cid_mem_prefetch(v->active, g->hash[i]);
		if (v->frozen)
			cid_mem_prefetch(v->frozen, g->hash[i]);
		if (v->older)
			cid_mem_prefetch(v->older, g->hash[i]);
	}
	for (unsigned i = 0; i < g->n; i++) {
		g->part[i] = cid_dir_get(v->dir, g->hash[i]);
		__builtin_prefetch(g->part[i]);
	}
	for (unsigned i = 0; i < g->n; i++) {
		struct cid_part *p = g->part[i];
		struct cid_index f;

		g->x[i] = NULL;
		g->at[i] = 0;
		g->rc[i] = p->entry ? cid_part_index(s->t.parts, p, &g->x[i]) : 0;
		g->newest[i] = __atomic_load_n(&p->newest_run, __ATOMIC_RELAXED);
		if (!g->x[i])
			continue;
		f = cid_part_fences(p, g->x[i]);
		cid_index_prefetch_bin(&f, g->hash[i]);
	}
	for (unsigned i = 0; i < g->n; i++) {
		struct cid_index f;

		if (!g->x[i])
			continue;
		f = cid_part_fences(g->part[i], g->x[i]);
		cid_index_prefetch_tags(&f, g->hash[i]);
	}
	for (unsigned i = 0; i < g->n; i++) {
		struct cid_part *p = g->part[i];

		if (!g->x[i])
			continue;
		g->at[i] = cid_part_candidate(p, g->x[i], g->hash[i], 0);
		if (g->at[i] < p->entries)
			__builtin_prefetch(&p->entry[g->at[i]]);
	}
}

/* Lists that follow the entries, likewise. */
static void locate_lists(struct cidstore *s, struct group *g, bool cold)
{
	for (unsigned i = 0; i < g->n; i++) {
		const struct cid_entry *at = candidate(g, i);
		struct cid_entry e; /* unverified: good for a hint */
		struct cid_list_ref ref;
		const uint8_t *p;
		size_t bytes;
		int state;

		if (!at || !cid_mapped_line(&e, at))
			continue;
		state = cid_state_decode((uint8_t)(e.check_high >> 56));
		if (state < 0 || cid_state_table[state].form == CID_FORM_INLINE)
			continue;
		ref = cid_entry_list(&e);
		bytes = cid_block_bytes(ref.level, ref.children);
		p = cid_pool_at(s->t.values, ref.pos, bytes);
		if (!p)
			continue;
		if (cold)
			cid_pool_prefetch(s->t.values, ref.pos, bytes);
		else
			for (size_t k = 0; k < bytes && k < 256; k += 64)
				__builtin_prefetch(p + k);
	}
}

static int answer(struct cidstore *s, const struct cid_view *v, const struct group *g, unsigned i,
		  struct cidstore_id *out, size_t cap, uint64_t *count)
{
	struct cid_found full;
	struct cid_key k;
	int rc;

	cid_key_init(&k, g->key[i], g->hash[i]);
	rc = cid_key_collect_tables(&k, v);
	if (rc == 0 && !cid_key_hidden(&k)) {
		rc = g->rc[i];
		if (rc == 0)
			rc = cid_key_find_probed(&k, &s->t, v, v->nruns ? g->maybe[i] : NULL,
						 g->part[i], g->x[i], g->at[i], &full);
		else if (rc == CIDSTORE_ECORRUPT)
			s->t.corrupt++;
	}
	if (rc == 1)
		rc = cid_full_copy(&full, &s->t, out, cap, count);
	else if (rc == 0 && !cid_key_exists(&k))
		*count = CIDSTORE_ABSENT;
	else if (rc == 0)
		rc = cid_key_copy(&k, &s->t, out, cap, count);
	cid_key_fini(&k);
	if (rc)
		*count = CIDSTORE_UNREADABLE;
	return rc;
}

/* The first error; each key it is true of is marked. */
static int get_group(struct cidstore *s, const struct cid_view *v, struct group *g, bool cold,
		     struct cidstore_id *out, size_t per_key, uint64_t *counts)
{
	int first = 0, rc = 0;

	locate(s, v, g);
	if (v->nruns)
		rc = cid_probe(&s->t, v, v->nruns, g->hash, g->newest, g->n, g->maybe);
	for (unsigned i = 0; rc && i < g->n; i++)
		g->rc[i] = rc;
	for (unsigned i = 0; cold && i < g->n; i++)
		if (candidate(g, i))
			cid_pool_prefetch(s->t.parts, cid_part_entry_pos(g->part[i], g->at[i]),
					  CID_ENTRY_BYTES);
	if (per_key)
		locate_lists(s, g, cold);
	for (unsigned i = 0; i < g->n; i++) {
		rc = answer(s, v, g, i, out ? out + i * per_key : NULL, per_key, &counts[i]);
		if (rc && first == 0)
			first = rc;
	}
	return first;
}

int cidstore_get_many(struct cidstore *s, const struct cidstore_id *keys, size_t n,
		      struct cidstore_id *out, size_t per_key, uint64_t *counts)
{
	unsigned tries = 0;
	struct group g;
	int first = 0;

	for (size_t at = 0; at < n; at += g.n) {
		bool cold, was, again;
		unsigned most;
		int rc;

		most = atomic_load_explicit(&s->cold, memory_order_relaxed) ? COLD_GROUP :
									      WARM_GROUP;
		g.n = n - at < most ? (unsigned)(n - at) : most;
		g.key = keys + at;
		cid_follow_enter(s);
		do {
			unsigned slot = cid_ebr_enter(&s->ebr);
			const struct cid_view *v = cid_view_now(s);
			uint64_t began = s->io->monotonic(s->io->self), took;

			was = cold = atomic_load_explicit(&s->cold, memory_order_relaxed);
			rc = get_group(s, v, &g, cold, out ? out + at * per_key : NULL, per_key,
				       counts + at);
			again = s->follow && !cid_follow_holds(s, v);
			cid_ebr_leave(&s->ebr, slot);
			took = s->io->monotonic(s->io->self) - began;
			cid_gauge_read(&s->gauge, slot, took, 1);
			cold = took > (cold ? WARM_NS(g.n) : COLD_NS(g.n));
			if (cold != was)
				atomic_store_explicit(&s->cold, cold, memory_order_relaxed);
		} while (again && cid_follow_again(s, &tries, &rc));
		/* A view that did not hold to the end vouches for no key. */
		for (unsigned i = 0; again && i < g.n; i++)
			counts[at + i] = CIDSTORE_UNREADABLE;
		if (rc && first == 0)
			first = rc;
	}
	return first;
}
