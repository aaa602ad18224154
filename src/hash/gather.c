/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gather.c - a key's operations in a table, as a sorted set
 *
 * A listing asks for the same set again with each of its calls. What was sorted
 * for a large one is kept with the table until that is emptied, and holds the
 * operations up to one of the chain: later readers sort only what came since.
 * Sorted sets are only ever added, so readers need no lock; each of a key's is
 * at least twice as large as the one before, which bounds what they take.
 */
#include <stdlib.h>
#include <string.h>

#include "hash/memtable.h"
#include "hash/values.h"

enum {
	KEPT_FROM = 1024, /* operations of a chain worth keeping */
	SMALL = 24,	  /* sorted by insertion */
};

struct sorted {
	struct sorted *next;
	struct cidstore_id key;
	uint32_t barrier;
	uint32_t upto; /* the newest operation's number + 1 */
	size_t n;
	struct cid_mem_value v[];
};

struct cid_mem_sets {
	_Atomic(struct sorted *) list;
	_Atomic uint64_t values;
};

struct cid_mem_sets *cid_mem_sets_new(void)
{
	return calloc(1, sizeof(struct cid_mem_sets));
}

void cid_mem_sets_clear(struct cid_mem_sets *s)
{
	struct sorted *p = atomic_exchange(&s->list, NULL);

	while (p) {
		struct sorted *next = p->next;

		free(p);
		p = next;
	}
	atomic_store(&s->values, 0);
}

static uint32_t number(const struct cid_mem *m, const struct cid_mem_op *op)
{
	return (uint32_t)(op - m->op) + 1;
}

/* The newest set kept that holds nothing younger than `head`. */
static const struct sorted *find(const struct cid_mem *m, const struct cid_mem_op *head)
{
	const struct sorted *best = NULL;

	for (const struct sorted *p = atomic_load(&m->sets->list); p; p = p->next)
		if (cid_id_eq(p->key, head->key) && p->barrier == head->barrier &&
		    p->upto <= number(m, head) && (!best || p->upto > best->upto))
			best = p;
	return best;
}

/* ---- sorting ---- */

struct ordered {
	struct cid_mem_value v;
	uint32_t age; /* smaller is newer */
};

static int by_value_then_age(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;
	int c = cid_value_cmp(x->v.hash, x->v.id, y->v.hash, y->v.id);

	return c ? c : x->age < y->age ? -1 : 1;
}

static void sort_few(struct ordered *o, size_t n)
{
	if (n > SMALL) {
		qsort(o, n, sizeof(*o), by_value_then_age);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct ordered x = o[i];
		size_t j = i;

		for (; j > 0 && by_value_then_age(&x, &o[j - 1]) < 0; j--)
			o[j] = o[j - 1];
		o[j] = x;
	}
}

/* Hashes are uniform: their top bits deal the values out in heaps of a few. */
static int sort(struct ordered **list, size_t n)
{
	struct ordered *o = *list, *r;
	unsigned bits = 0;
	uint32_t *end;

	while (n >> bits > 4)
		bits++;
	if (bits < 4) {
		sort_few(o, n);
		return 0;
	}
	end = calloc((size_t)1 << bits, sizeof(*end));
	r = malloc(n * sizeof(*r));
	if (!end || !r) {
		free(end);
		free(r);
		return CIDSTORE_ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		end[o[i].v.hash >> (CID_HASH_BITS - bits)]++;
	for (size_t h = 1; h < (size_t)1 << bits; h++)
		end[h] += end[h - 1];
	/* Each heap is filled from its end, and then `end` is its start. */
	for (size_t i = n; i-- > 0;)
		r[--end[o[i].v.hash >> (CID_HASH_BITS - bits)]] = o[i];
	for (size_t h = 0; h < (size_t)1 << bits; h++) {
		size_t next = h + 1 < (size_t)1 << bits ? end[h + 1] : n;

		sort_few(r + end[h], next - end[h]);
	}
	free(end);
	free(o);
	*list = r;
	return 0;
}

/* The operations from `head` back to number `upto`, sorted, the newest first. */
static int sorted_since(const struct cid_mem *m, const struct cid_mem_op *head, uint32_t upto,
			struct ordered **out, size_t *count)
{
	size_t n = 0, k = 0;
	struct ordered *o;
	int rc;

	for (const struct cid_mem_op *op = head; op && number(m, op) > upto;
	     op = cid_mem_prev(m, op))
		n += op->kind == CID_MEM_INSERT || op->kind == CID_MEM_DELETE;
	*out = NULL;
	*count = 0;
	if (n == 0)
		return 0;
	o = malloc(n * sizeof(*o));
	if (!o)
		return CIDSTORE_ENOMEM;
	/* Of a table that is emptied meanwhile this is not what was counted. */
	for (const struct cid_mem_op *op = head; op && k < n && number(m, op) > upto;
	     op = cid_mem_prev(m, op))
		if (op->kind == CID_MEM_INSERT || op->kind == CID_MEM_DELETE) {
			o[k].v = (struct cid_mem_value){ cid_hash(op->value, m->seed), op->value,
							 op->kind == CID_MEM_INSERT };
			o[k].age = (uint32_t)k;
			k++;
		}
	n = k;
	rc = n ? sort(&o, n) : 0;
	if (rc || n == 0) {
		free(o);
		return rc;
	}
	*out = o;
	*count = n;
	return 0;
}

/* Both in order; of equal values the newest word, which is in `o`, first. */
static size_t merge(const struct ordered *o, size_t n, const struct sorted *base,
		    struct cid_mem_value *v)
{
	size_t i = 0, j = 0, k = 0, nbase = base ? base->n : 0;

	while (i < n || j < nbase) {
		int c = i == n	   ? 1 :
			j == nbase ? -1 :
				     cid_value_cmp(o[i].v.hash, o[i].v.id, base->v[j].hash,
						   base->v[j].id);
		const struct cid_mem_value *x = c <= 0 ? &o[i].v : &base->v[j];

		i += c <= 0;
		j += c >= 0;
		if (k == 0 || !cid_id_eq(v[k - 1].id, x->id))
			v[k++] = *x;
	}
	return k;
}

int cid_mem_gather(const struct cid_mem *m, const struct cid_mem_op *head,
		   struct cid_mem_set *out)
{
	bool large = head->depth >= KEPT_FROM;
	const struct sorted *base = large ? find(m, head) : NULL;
	size_t n, nbase = base ? base->n : 0;
	struct ordered *o;
	struct sorted *s;
	int rc;

	*out = (struct cid_mem_set){ .v = NULL };
	rc = sorted_since(m, head, base ? base->upto : 0, &o, &n);
	if (rc)
		return rc;
	if (n == 0 && base) {
		out->v = base->v;
		out->n = base->n;
	}
	if (n == 0)
		return 0;
	if (!large || n < nbase ||
	    atomic_load(&m->sets->values) + n + nbase > 2 * (uint64_t)m->cap) {
		out->own = malloc((n + nbase) * sizeof(*out->own));
		if (out->own)
			out->n = merge(o, n, base, out->own);
		out->v = out->own;
		free(o);
		return out->own ? 0 : CIDSTORE_ENOMEM;
	}
	s = malloc(sizeof(*s) + (n + nbase) * sizeof(s->v[0]));
	if (!s) {
		free(o);
		return CIDSTORE_ENOMEM;
	}
	s->key = head->key;
	s->barrier = head->barrier;
	s->upto = number(m, head);
	s->n = merge(o, n, base, s->v);
	free(o);
	atomic_fetch_add(&m->sets->values, s->n);
	s->next = atomic_load(&m->sets->list);
	while (!atomic_compare_exchange_weak(&m->sets->list, &s->next, s))
		;
	out->v = s->v;
	out->n = s->n;
	return 0;
}
