/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { AHEAD = CID_MERGE_AHEAD }; /* entries read ahead of an input */

int cid_merge_init(struct cid_merge *m, struct cid_tables *t, uint32_t n)
{
	memset(m, 0, sizeof(*m));
	m->in = calloc(n + 1, sizeof(*m->in));
	m->heap = calloc(n + 1, sizeof(*m->heap));
	if (!m->in || !m->heap) {
		cid_merge_fini(m);
		return CIDSTORE_ENOMEM;
	}
	m->t = t;
	m->n = n;
	return 0;
}

void cid_merge_fini(struct cid_merge *m)
{
	free(m->in);
	free(m->heap);
	memset(m, 0, sizeof(*m));
}

static void read_ahead(struct cid_tables *t, struct cid_input *in)
{
	uint64_t n = in->end - in->fetched < AHEAD ? in->end - in->fetched : AHEAD;

	cid_pool_prefetch(t->parts, cid_part_entry_pos(in->p, in->fetched), n * CID_ENTRY_BYTES);
	in->fetched += n;
}

int cid_input_next(struct cid_tables *t, struct cid_input *in, uint64_t before)
{
	int rc;

	in->have = false;
	if (in->at >= in->end)
		return 0;
	if (in->fetched < in->at)
		in->fetched = in->at;
	if (in->fetched - in->at <= AHEAD / 2 && in->fetched < in->end)
		read_ahead(t, in);
	rc = cid_part_entry_deep(in->p, in->at, &in->e, &in->state, &t->corrected);
	if (rc) {
		t->corrupt++;
		return rc;
	}
	in->hash = cid_hash(in->e.key, t->seed);
	if (in->hash >= before)
		return 0;
	in->have = true;
	in->at++;
	return 0;
}

static bool earlier(const struct cid_merge *m, const struct cid_merge_head *a,
		    const struct cid_merge_head *b)
{
	int c;

	if (a->hash != b->hash)
		return a->hash < b->hash;
	c = cid_id_cmp(m->in[a->in].e.key, m->in[b->in].e.key);
	return c ? c < 0 : a->in > b->in;
}

static void sift(struct cid_merge *m, uint32_t i)
{
	struct cid_merge_head x = m->heap[i];

	for (;;) {
		uint32_t c = 2 * i + 1;

		if (c >= m->nheap)
			break;
		if (c + 1 < m->nheap && earlier(m, &m->heap[c + 1], &m->heap[c]))
			c++;
		if (!earlier(m, &m->heap[c], &x))
			break;
		m->heap[i] = m->heap[c];
		i = c;
	}
	m->heap[i] = x;
}

int cid_merge_upto(struct cid_merge *m, uint64_t before)
{
	m->before = before;
	m->nheap = 0;
	for (uint32_t i = 0; i < m->n; i++) {
		struct cid_input *in = &m->in[i];
		int rc;

		if (!in->have) {
			rc = cid_input_next(m->t, in, before);
			if (rc)
				return rc;
		} else if (in->hash >= before) {
			/* What was passed over is in no order. */
			return CIDSTORE_ECORRUPT;
		}
		if (in->have)
			m->heap[m->nheap++] = (struct cid_merge_head){ in->hash, i };
	}
	for (uint32_t i = m->nheap / 2; i-- > 0;)
		sift(m, i);
	return 0;
}

/* Replaces the first of the heap by its input's next entry. */
static int advance(struct cid_merge *m)
{
	struct cid_input *in = &m->in[m->heap[0].in];
	uint64_t was = in->hash;
	int rc = cid_input_next(m->t, in, m->before);

	if (rc)
		return rc;
	if (!in->have)
		m->heap[0] = m->heap[--m->nheap];
	else if (in->hash < was)
		return CIDSTORE_ECORRUPT;
	else
		m->heap[0].hash = in->hash;
	if (m->nheap > 1)
		sift(m, 0);
	return 0;
}

int cid_merge_key(struct cid_merge *m, struct cid_key *k)
{
	const struct cid_input *first = &m->in[m->heap[0].in];
	int rc = 0;

	cid_key_init(k, first->e.key, first->hash);
	while (rc == 0 && m->nheap && m->heap[0].hash == k->hash &&
	       cid_id_eq(m->in[m->heap[0].in].e.key, k->key)) {
		uint32_t i = m->heap[0].in;
		bool hidden = k->n && k->layer[k->n - 1].hides;
		struct cid_found f[2];
		int n = 0;

		/* Its entries, one or two, in this input. */
		while (rc == 0 && m->nheap && m->heap[0].in == i &&
		       cid_id_eq(m->in[i].e.key, k->key)) {
			if (n < 2)
				f[n++] = (struct cid_found){ m->in[i].e, m->in[i].state };
			rc = advance(m);
		}
		if (rc == 0 && !hidden)
			rc = cid_key_push(k, f, n);
	}
	return rc;
}

int cid_merge_copy(struct cid_tables *t, struct cid_builder *b, const struct cid_entry *e,
		   enum cid_state st, uint64_t hash)
{
	struct cid_list_ref ref;
	int rc;

	if (cid_state_table[st].form != CID_FORM_PACKED)
		return cid_builder_entry(b, e, hash, st);
	ref = cid_entry_list(e);
	rc = cid_builder_packed(b, t->values, &ref);
	return rc ? rc : cid_builder_list(b, e->key, hash, (enum cid_role)cid_state_table[st].role);
}
