/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.c - listings: the next items behind a position
 *
 * A call looks at the store as it is now; the position is all that lasts from
 * one call to the next. What is there throughout has a place in the order that
 * no change moves, so it is met exactly once.
 */
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"

enum {
	MEM_KEYS = CID_SCAN_KEYS,
	BUDGET_EVERY = 8,   /* items between two looks at the clock */
	BUDGET_NS = 2000000 /* a call ends after this, with what it has: what it
			     * reads from cannot be reused before it ends */
};

/* Candidates of one source, in order. */
struct source {
	uint64_t hash;
	struct cidstore_id key;
	bool have;
	/* a part */
	struct cid_part *part;
	uint64_t at;
	struct cid_entry e;
	int state;
	/* a table in memory */
	const struct cid_mem *mem;
	uint32_t visible;
	struct cid_mem_key *list;
	size_t n, next;
	bool whole;
};

struct scan {
	struct cid_tables *t;
	const struct cid_view *v;
	struct source *src; /* 0: the bucket, then runs, then tables */
	unsigned n;
	bool last_bucket;
};

static int load_part(struct scan *sc, struct source *s)
{
	int rc;

	s->have = false;
	if (s->at >= s->part->slot.entries || s->part->slot.pos == 0)
		return 0;
	rc = cid_part_entry(s->part, s->at, &s->e, &s->state, &sc->t->corrected);
	if (rc) {
		sc->t->corrupt++;
		return rc;
	}
	s->key = s->e.key;
	s->hash = cid_hash(s->key, sc->t->seed);
	s->have = true;
	return 0;
}

static void load_mem(struct source *s)
{
	s->have = s->next < s->n;
	if (!s->have && !s->whole && s->n) {
		/* Read on behind the last one seen. */
		struct cid_mem_key last = s->list[s->n - 1];

		s->n = cid_mem_keys_after(s->mem, s->visible, true, last.hash,
					  s->mem->op[last.op].key, s->list, MEM_KEYS);
		s->whole = s->n == 0;
		s->next = 0;
		s->have = s->n > 0;
	}
	if (s->have) {
		s->hash = s->list[s->next].hash;
		s->key = s->mem->op[s->list[s->next].op].key;
	}
}

static bool after(const struct source *s, const struct cidstore_pos *pos)
{
	return !pos->begun || cid_value_cmp(s->hash, s->key, pos->hash, pos->id) > 0;
}

static int open_part(struct scan *sc, struct source *s, struct cid_part *p,
		     const struct cidstore_pos *pos)
{
	int rc = 0;

	s->part = p;
	s->at = 0;
	if (pos->begun)
		rc = cid_part_bound(sc->t->parts, p, sc->t->seed, pos->hash, pos->id, &s->at,
				    &sc->t->corrected);
	if (rc == 0)
		rc = load_part(sc, s);
	while (rc == 0 && s->have && !after(s, pos)) {
		s->at++;
		rc = load_part(sc, s);
	}
	return rc;
}

static int open_mem(struct source *s, const struct cid_mem *m, const struct cidstore_pos *pos)
{
	s->mem = m;
	s->visible = cid_mem_visible(m);
	s->list = malloc(MEM_KEYS * sizeof(*s->list));
	if (!s->list)
		return CIDSTORE_ENOMEM;
	s->n = cid_mem_keys_after(m, s->visible, pos->begun != 0, pos->hash, pos->id, s->list,
				  MEM_KEYS);
	load_mem(s);
	return 0;
}

/*
 * The bucket behind the current one, from hash `from` on; src[0] has nothing
 * when there is none. Buckets may have been joined since: this one may begin
 * before `from`, with what was listed already.
 */
static int next_bucket(struct scan *sc, uint64_t from)
{
	struct source *s = &sc->src[0];
	int rc = 0;

	for (;;) {
		struct cidstore_pos start;
		struct cid_part *p;

		if (from >> CID_HASH_BITS) {
			s->have = false;
			sc->last_bucket = true;
			return 0;
		}
		p = cid_dir_get(sc->v->dir, from);
		cidstore_seek(from, &start);
		rc = open_part(sc, s, p, &start);
		if (rc || s->have)
			return rc;
		from = p->prefix + (1ull << (CID_HASH_BITS - p->slot.depth));
	}
}

static int advance(struct scan *sc, struct source *s)
{
	int rc;

	if (s->mem) {
		s->next++;
		load_mem(s);
		return 0;
	}
	s->at++;
	rc = load_part(sc, s);
	if (rc == 0 && !s->have && s == sc->src)
		rc = next_bucket(sc, s->part->prefix +
					     (1ull << (CID_HASH_BITS - s->part->slot.depth)));
	return rc;
}

static int open_scan(struct scan *sc, const struct cidstore_pos *pos)
{
	const struct cid_view *v = sc->v;
	int rc;

	sc->src = calloc(v->nruns + 1u + CID_VIEW_TABLES, sizeof(*sc->src));
	if (!sc->src)
		return CIDSTORE_ENOMEM;
	sc->n = 1;
	rc = open_part(sc, &sc->src[0], cid_dir_get(v->dir, pos->begun ? pos->hash : 0), pos);
	if (rc == 0 && !sc->src[0].have)
		rc = next_bucket(sc, sc->src[0].part->prefix +
					     (1ull << (CID_HASH_BITS - sc->src[0].part->slot.depth)));
	for (uint32_t i = 0; rc == 0 && i < v->nruns; i++)
		rc = open_part(sc, &sc->src[sc->n++], v->run[i], pos);
	if (rc == 0 && v->older)
		rc = open_mem(&sc->src[sc->n++], v->older, pos);
	if (rc == 0 && v->frozen)
		rc = open_mem(&sc->src[sc->n++], v->frozen, pos);
	if (rc == 0 && v->active)
		rc = open_mem(&sc->src[sc->n++], v->active, pos);
	return rc;
}

static uint64_t clock_of(const struct cid_tables *t)
{
	return t->parts->io->monotonic(t->parts->io->self);
}

int cid_scan_keys(struct cid_tables *t, const struct cid_view *v, struct cidstore_pos *pos,
		  struct cidstore_item *out, size_t cap, size_t *n)
{
	struct scan sc = { .t = t, .v = v };
	struct cidstore_pos at = *pos;
	uint64_t deadline = clock_of(t) + BUDGET_NS;
	size_t got = 0;
	int rc = open_scan(&sc, pos);

	while (rc == 0 && got < cap) {
		struct source *min = NULL;
		bool alone = true;
		struct cidstore_item it = { .count = 0 };

		if (got && got % BUDGET_EVERY == 0 && clock_of(t) > deadline)
			break;

		for (unsigned i = 0; i < sc.n; i++) {
			struct source *s = &sc.src[i];
			int c;

			if (!s->have)
				continue;
			c = min ? cid_value_cmp(s->hash, s->key, min->hash, min->key) : -1;
			if (c < 0) {
				min = s;
				alone = true;
			} else if (c == 0) {
				alone = false;
			}
		}
		if (!min)
			break;
		it.id = min->key;
		it.hash = min->hash;
		if (alone && min == sc.src) {
			it.count = cid_entry_count(&min->e, (enum cid_state)min->state);
			out[got++] = it;
		} else {
			struct cid_key k;

			cid_key_init(&k, it.id, it.hash);
			rc = cid_key_collect(&k, t, v);
			if (rc == 0 && cid_key_exists(&k)) {
				rc = cid_key_count(&k, t, &it.count);
				if (rc == 0)
					out[got++] = it;
			}
			cid_key_fini(&k);
			if (rc)
				break; /* the next call begins with this key */
		}
		at = (struct cidstore_pos){ it.hash, it.id, 1 };
		for (unsigned i = 0; rc == 0 && i < sc.n; i++) {
			struct source *s = &sc.src[i];

			while (rc == 0 && s->have && s->hash == it.hash && cid_id_eq(s->key, it.id))
				rc = advance(&sc, s);
		}
	}
	for (unsigned i = 0; sc.src && i < sc.n; i++)
		free(sc.src[i].list);
	free(sc.src);
	/* What was found before an error is given first; the next call, from
	 * here on, meets the error. */
	if (rc && got == 0)
		return rc;
	*pos = at;
	*n = got;
	return 0;
}

int cid_scan_values(struct cid_tables *t, const struct cid_view *v, struct cidstore_id key,
		    struct cidstore_pos *pos, struct cidstore_item *out, size_t cap, size_t *n)
{
	struct cidstore_pos at = *pos;
	struct cid_stream st;
	struct cid_change c;
	struct cid_key k;
	size_t got = 0;
	int rc;

	cid_key_init(&k, key, cid_hash(key, t->seed));
	rc = cid_key_collect(&k, t, v);
	if (rc == 0 && !cid_key_exists(&k))
		rc = CIDSTORE_ENOENT;
	if (rc == 0)
		rc = cid_stream_open(&st, &k, t, 0, k.n, true);
	if (rc == 0 && pos->begun)
		rc = cid_stream_seek(&st, pos->hash, pos->id);
	while (rc == 0 && got < cap) {
		rc = cid_stream_next(&st, &c);
		if (rc != 1)
			break;
		rc = 0;
		if (pos->begun && c.hash == pos->hash && cid_id_eq(c.id, pos->id))
			continue;
		out[got++] = (struct cidstore_item){ .id = c.id, .hash = c.hash };
		at = (struct cidstore_pos){ c.hash, c.id, 1 };
	}
	cid_key_fini(&k);
	if (rc < 0 && got == 0)
		return rc;
	*pos = at;
	*n = got;
	return 0;
}
