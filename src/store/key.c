/* SPDX-License-Identifier: BSD-2-Clause */
/* key.c - what all layers of a view say of one key */
#include <stdlib.h>
#include <string.h>

#include "store/view.h"

void cid_key_init(struct cid_key *k, struct cidstore_id key, uint64_t hash)
{
	k->key = key;
	k->hash = hash;
	k->n = 0;
	k->cap = sizeof(k->own) / sizeof(k->own[0]);
	k->layer = k->own;
}

void cid_key_fini(struct cid_key *k)
{
	for (unsigned i = 0; i < k->n; i++)
		free(k->layer[i].gathered.own);
	if (k->layer != k->own)
		free(k->layer);
}

static struct cid_layer *add_layer(struct cid_key *k)
{
	struct cid_layer *l;

	if (k->n == k->cap) {
		unsigned cap = k->cap * 2;
		struct cid_layer *p =
			realloc(k->layer == k->own ? NULL : k->layer, cap * sizeof(*p));

		if (!p)
			return NULL;
		if (k->layer == k->own)
			memcpy(p, k->own, sizeof(k->own));
		k->layer = p;
		k->cap = cap;
	}
	l = &k->layer[k->n++];
	l->hides = l->exists = l->has_add = l->has_del = false;
	l->mem = NULL;
	l->gathered = (struct cid_mem_set){ .v = NULL };
	return l;
}

int cid_key_push(struct cid_key *k, const struct cid_found *f, int n)
{
	struct cid_layer *l = add_layer(k);

	if (!l)
		return CIDSTORE_ENOMEM;
	for (int i = 0; i < n; i++)
		switch ((enum cid_role)cid_state_table[f[i].state].role) {
		case CID_ROLE_FULL:
			l->hides = true;
			/* fall through */
		case CID_ROLE_ADD:
			l->exists = true;
			l->has_add = true;
			l->add = f[i];
			break;
		case CID_ROLE_TOMB:
			l->hides = true;
			break;
		case CID_ROLE_DEL:
			l->has_del = true;
			l->del = f[i];
			break;
		case CID_ROLE_NONE:
			return CIDSTORE_ECORRUPT;
		}
	return 0;
}

int cid_key_push_mem(struct cid_key *k, const struct cid_mem *m)
{
	uint32_t visible;
	const struct cid_mem_op *head;
	struct cid_layer *l;

	if (!m)
		return 0;
	visible = cid_mem_visible(m);
	head = visible ? cid_mem_head(m, visible, k->key, k->hash) : NULL;
	if (!head)
		return 0;
	l = add_layer(k);
	if (!l)
		return CIDSTORE_ENOMEM;
	l->mem = m;
	l->head = head;
	l->visible = visible;
	l->hides = head->barrier != 0;
	l->exists = (head->flags & CID_MEM_EXISTS) != 0;
	return 0;
}

static int collect_probed(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
			  const uint64_t *maybe, struct cid_part *bucket,
			  const struct cid_part_index *x, uint32_t at)
{
	struct cid_found f[2];
	int n, rc;

	for (unsigned w = CID_RUN_WORDS; maybe && w-- > 0;)
		for (uint64_t m = maybe[w]; m;) {
			unsigned bit = 63 - (unsigned)__builtin_clzll(m);

			m &= ~(1ull << bit);
			rc = cid_part_find(t->parts, v->run[w * 64 + bit], k->key, k->hash, f, &n,
					   &t->corrected);
			if (rc)
				goto fail;
			if (n) {
				rc = cid_key_push(k, f, n);
				if (rc || cid_key_hidden(k))
					return rc;
			}
		}
	if (!x)
		return 0;
	rc = cid_part_find_at(bucket, x, k->key, k->hash, at, f, &n, &t->corrected);
	if (rc)
		goto fail;
	return n ? cid_key_push(k, f, n) : 0;
fail:
	if (rc == CIDSTORE_ECORRUPT)
		t->corrupt++;
	return rc;
}

static bool none(const uint64_t maybe[CID_RUN_WORDS])
{
	uint64_t any = 0;

	for (unsigned w = 0; w < CID_RUN_WORDS; w++)
		any |= maybe[w];
	return any == 0;
}

int cid_key_find_probed(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
			const uint64_t *maybe, struct cid_part *bucket,
			const struct cid_part_index *x, uint32_t at, struct cid_found *full)
{
	if (full && k->n == 0 && (!maybe || none(maybe))) {
		int rc = x ? cid_part_full_at(bucket, k->key, at, full) : 0;

		if (rc >= 0)
			return rc;
	}
	return collect_probed(k, t, v, maybe, bucket, x, at);
}

/* As cid_key_find(); `full` may be NULL. */
static int below(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
		 struct cid_part *b, uint32_t nruns, struct cid_found *full)
{
	uint64_t maybe[1][CID_RUN_WORDS], newest;
	struct cid_part_index *x = NULL;
	uint32_t at = 0;
	int rc = 0;

	if (b->entry)
		rc = cid_part_index(t->parts, b, &x);
	if (rc == 0 && nruns) {
		newest = __atomic_load_n(&b->newest_run, __ATOMIC_RELAXED);
		rc = cid_probe(t, v, nruns, &k->hash, &newest, 1, maybe);
	}
	if (rc) {
		if (rc == CIDSTORE_ECORRUPT)
			t->corrupt++;
		return rc;
	}
	if (x)
		at = cid_part_candidate(b, x, k->hash, 0);
	return cid_key_find_probed(k, t, v, nruns ? maybe[0] : NULL, b, x, at, full);
}

int cid_key_collect_below(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
			  uint32_t nruns)
{
	return below(k, t, v, cid_dir_get(v->dir, k->hash), nruns, NULL);
}

int cid_key_collect_tables(struct cid_key *k, const struct cid_view *v)
{
	int rc = cid_key_push_mem(k, v->active);

	if (rc == 0 && v->frozen && !cid_key_hidden(k))
		rc = cid_key_push_mem(k, v->frozen);
	if (rc == 0 && v->older && !cid_key_hidden(k))
		rc = cid_key_push_mem(k, v->older);
	return rc;
}

static int collect(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
		   struct cid_found *full)
{
	struct cid_part *b = cid_dir_get(v->dir, k->hash);
	/* Whether the thread's lookups of late found something. An entry that is
	 * fetched before it is known to be wanted is half of a hit's time saved,
	 * and all of a miss's time again. */
	static _Thread_local int finds;
	bool found;
	int rc;

	cid_part_prefetch_guess(b, k->hash, finds >= 0);
	rc = cid_key_collect_tables(k, v);
	if (rc == 0 && !cid_key_hidden(k))
		rc = below(k, t, v, b, v->nruns, full);
	found = k->n || rc == 1;
	if (found ? finds < 3 : finds > -4)
		finds += found ? 1 : -1;
	return rc;
}

int cid_key_collect(struct cid_key *k, struct cid_tables *t, const struct cid_view *v)
{
	return collect(k, t, v, NULL);
}

int cid_key_find(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
		 struct cid_found *full)
{
	return collect(k, t, v, full);
}

bool cid_key_exists(const struct cid_key *k)
{
	for (unsigned i = 0; i < k->n; i++) {
		if (k->layer[i].exists)
			return true;
		if (k->layer[i].hides)
			return false;
	}
	return false;
}

static int has_in(struct cid_tables *t, const struct cid_found *f, uint64_t hash,
		  struct cidstore_id value)
{
	return cid_list_have(t->values, t->seed, &f->e, (enum cid_state)f->state, hash, value);
}

int cid_full_has(const struct cid_found *f, struct cid_tables *t, struct cidstore_id value)
{
	return has_in(t, f, cid_hash(value, t->seed), value);
}

int cid_key_has(struct cid_key *k, struct cid_tables *t, struct cidstore_id value)
{
	uint64_t hash = cid_hash(value, t->seed);

	for (unsigned i = 0; i < k->n; i++) {
		struct cid_layer *l = &k->layer[i];
		int rc;

		if (l->mem) {
			rc = cid_mem_contains(l->mem, l->visible, l->head, value);
			if (rc >= 0)
				return rc;
		} else {
			rc = l->has_add ? has_in(t, &l->add, hash, value) : 0;
			if (rc)
				return rc;
			rc = l->has_del ? has_in(t, &l->del, hash, value) : 0;
			if (rc)
				return rc < 0 ? rc : 0;
		}
		if (l->hides)
			return 0;
	}
	return 0;
}

/* ---- streaming ---- */

int cid_stream_open(struct cid_stream *st, struct cid_key *k, struct cid_tables *t, unsigned first,
		    unsigned end, bool drop_absent)
{
	st->k = k;
	st->first = first;
	st->end = end;
	st->all = drop_absent;
	for (unsigned i = first; i < end; i++) {
		struct cid_layer *l = &k->layer[i];
		int rc = 0;

		l->at = 0;
		if (l->mem && !l->gathered.v) {
			rc = cid_mem_gather(l->mem, l->head, &l->gathered);
		} else if (!l->mem) {
			if (l->has_add)
				rc = cid_cursor_entry(&l->cadd, t->values, t->seed, &l->add.e,
						      (enum cid_state)l->add.state);
			if (rc == 0 && l->has_del)
				rc = cid_cursor_entry(&l->cdel, t->values, t->seed, &l->del.e,
						      (enum cid_state)l->del.state);
		}
		if (rc)
			return rc;
	}
	return 0;
}

int cid_stream_seek(struct cid_stream *st, uint64_t hash, struct cidstore_id id)
{
	for (unsigned i = st->first; i < st->end; i++) {
		struct cid_layer *l = &st->k->layer[i];
		size_t lo = 0, hi = l->gathered.n;
		int rc = 0;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (cid_value_cmp(l->gathered.v[mid].hash, l->gathered.v[mid].id, hash,
					  id) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		l->at = lo;
		if (l->has_add)
			rc = cid_cursor_seek(&l->cadd, hash, id);
		if (rc == 0 && l->has_del)
			rc = cid_cursor_seek(&l->cdel, hash, id);
		if (rc)
			return rc;
	}
	return 0;
}

struct front {
	uint64_t hash;
	struct cidstore_id id;
	bool have, present;
};

static void consider(struct front *f, uint64_t hash, struct cidstore_id id, bool present)
{
	/* Called newest first: an equal one that comes later is older news. */
	if (!f->have || cid_value_cmp(hash, id, f->hash, f->id) < 0)
		*f = (struct front){ hash, id, true, present };
}

static int pass(struct cid_cursor *c, const struct front *f)
{
	if (!c->done && c->hash == f->hash && cid_id_eq(cid_cursor_id(c), f->id))
		return cid_cursor_next(c);
	return 0;
}

int cid_stream_next(void *stream, struct cid_change *out)
{
	struct cid_stream *st = stream;

	for (;;) {
		struct front f = { .have = false };
		int rc = 0;

		for (unsigned i = st->first; i < st->end; i++) {
			struct cid_layer *l = &st->k->layer[i];

			if (l->at < l->gathered.n)
				consider(&f, l->gathered.v[l->at].hash, l->gathered.v[l->at].id,
					 l->gathered.v[l->at].present);
			if (l->has_add && !l->cadd.done)
				consider(&f, l->cadd.hash, cid_cursor_id(&l->cadd), true);
			if (l->has_del && !l->cdel.done)
				consider(&f, l->cdel.hash, cid_cursor_id(&l->cdel), false);
		}
		if (!f.have)
			return 0;
		for (unsigned i = st->first; rc == 0 && i < st->end; i++) {
			struct cid_layer *l = &st->k->layer[i];

			if (l->at < l->gathered.n && l->gathered.v[l->at].hash == f.hash &&
			    cid_id_eq(l->gathered.v[l->at].id, f.id))
				l->at++;
			if (l->has_add)
				rc = pass(&l->cadd, &f);
			if (rc == 0 && l->has_del)
				rc = pass(&l->cdel, &f);
		}
		if (rc)
			return rc;
		if (!f.present && st->all)
			continue;
		*out = (struct cid_change){ f.hash, f.id, f.present };
		return 1;
	}
}

/* ---- whole sets ---- */

static bool only_full(const struct cid_key *k)
{
	return k->n == 1 && !k->layer[0].mem && k->layer[0].hides && k->layer[0].has_add;
}

/* The changes in memory are all counted, and below them is at most one full
 * entry: no need to look at a value. */
static bool counted(const struct cid_key *k, uint64_t *out)
{
	int64_t n = 0;

	for (unsigned i = 0; i < k->n; i++) {
		const struct cid_layer *l = &k->layer[i];

		if (l->mem) {
			if (!(l->head->flags & CID_MEM_KNOWN))
				return false;
			n += l->head->net;
		} else if (l->hides) {
			if (l->has_add)
				n += (int64_t)cid_entry_count(&l->add.e,
							      (enum cid_state)l->add.state);
		} else {
			return false;
		}
	}
	*out = n < 0 ? 0 : (uint64_t)n;
	return true;
}

int cid_key_count(struct cid_key *k, struct cid_tables *t, uint64_t *out)
{
	struct cid_stream st;
	struct cid_change c;
	uint64_t n = 0;
	int rc;

	if (counted(k, out))
		return 0;
	rc = cid_stream_open(&st, k, t, 0, k->n, true);
	while (rc == 0 && (rc = cid_stream_next(&st, &c)) == 1) {
		n++;
		rc = 0;
	}
	if (rc == 0)
		*out = n;
	return rc;
}

int cid_full_copy(const struct cid_found *f, struct cid_tables *t, struct cidstore_id *out,
		  size_t cap, uint64_t *total)
{
	size_t got;

	*total = cid_entry_count(&f->e, (enum cid_state)f->state);
	if (cap == 0)
		return 0;
	return cid_list_copy(t->values, t->seed, &f->e, (enum cid_state)f->state, out, cap, &got);
}

int cid_key_copy(struct cid_key *k, struct cid_tables *t, struct cidstore_id *out, size_t cap,
		 uint64_t *total)
{
	struct cid_stream st;
	struct cid_change c;
	uint64_t n = 0;
	int rc;

	if (only_full(k))
		return cid_full_copy(&k->layer[0].add, t, out, cap, total);
	rc = cid_stream_open(&st, k, t, 0, k->n, true);
	while (rc == 0 && (rc = cid_stream_next(&st, &c)) == 1) {
		if (n < cap)
			out[n] = c.id;
		n++;
		rc = 0;
	}
	if (rc == 0)
		*total = n;
	return rc;
}
