/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dump.c - everything in a view that does not change, once, in order
 *
 * Buckets come one after the other, and runs and tables are streams beside
 * them in the same order. Where none of these has anything for a bucket, its
 * entries are what counts: each is verified and its values are copied, without
 * computing a hash or looking anything up. Else the streams are merged by a
 * heap, and only a key that several of them speak of costs a look at all its
 * layers.
 *
 * Entries and packed lists are read in large pieces rather than through the
 * mapping: a piece stays in the processor's cache, the kernel reads ahead, and
 * a device that fails says so.
 */
#include <stdlib.h>
#include <string.h>

#include "store/dump.h"

enum {
	BUCKET_CHUNK = 4096, /* entries read at once: 256 KiB */
	RUN_CHUNK = 512,
	LIST_WINDOW = 256 << 10, /* bytes of packed lists */
	MEM_KEYS = 4096,
	TREE_PIECE = 512, /* values */
};

/* One stream of keys. */
struct source {
	uint64_t hash; /* of the head, with key; where `have` */
	struct cidstore_id key;
	unsigned rank; /* the newer the smaller */
	bool have;
	/* a part */
	struct cid_part *part;
	uint64_t at;	       /* number of the head */
	uint64_t first, n;     /* entries in buf */
	uint32_t chunk;
	struct cid_entry *buf; /* verified up to the head; the head is buf[at - first] */
	int state;
	/* packed lists of a part, a piece of the values pool */
	uint8_t *list;
	uint64_t list_pos;
	size_t list_n, list_cap;
	/* a table in memory */
	const struct cid_mem *mem;
	uint32_t visible;
	struct cid_mem_key *mem_key;
	size_t mem_at, mem_n;
};

/* The values of one key that are still to be given. */
struct pending {
	struct cidstore_id key;
	enum { NOTHING, ARRAY, TREE, LAYERS } form;
	bool any; /* of LAYERS: a value came */
	const struct cidstore_id *v; /* of ARRAY */
	size_t n;
	struct cidstore_id own[2];
	struct cid_cursor cursor;
	struct cid_key k;
	struct cid_stream stream;
};

struct cid_dump {
	struct cid_tables *t;
	const struct cid_view *v;
	int failed;
	struct source bucket;
	uint64_t next; /* the hash behind the bucket's range */
	bool in_bucket;
	struct source *source; /* runs and tables */
	unsigned sources;
	struct source **heap; /* those with a head; the smallest first */
	unsigned heap_n;
	struct pending p;
};

/* ---- parts ---- */

static int read_entries(struct cid_dump *d, struct source *s)
{
	uint64_t left = s->part->slot.entries - s->at;
	uint64_t n = left < s->chunk ? left : s->chunk;
	int rc = cid_pool_read(d->t->parts, cid_part_entry_pos(s->part, s->at), s->buf,
			       (size_t)n * sizeof(*s->buf));

	s->first = s->at;
	s->n = rc ? 0 : n;
	return rc;
}

static int correct(struct cid_dump *d, struct source *s, struct cid_entry *e)
{
	int flipped = 0;

	s->state = cid_entry_correct(e, s->part->seed, cid_part_entry_pos(s->part, s->at), 1,
				     &flipped);
	if (s->state < 0) {
		d->t->corrupt++;
		return CIDSTORE_ECORRUPT;
	}
	d->t->corrected += (uint64_t)flipped;
	return 0;
}

/* Makes entry `at` the head, or has none at the end. Its hash is not set. */
static inline int fetch(struct cid_dump *d, struct source *s)
{
	struct cid_entry *e;
	int rc;

	s->have = s->part->slot.pos && s->at < s->part->slot.entries;
	if (!s->have)
		return 0;
	if (s->at - s->first >= s->n) {
		rc = read_entries(d, s);
		if (rc)
			return rc;
	}
	e = &s->buf[s->at - s->first];
	s->state = cid_entry_state(e, s->part->seed, cid_part_entry_pos(s->part, s->at));
	return s->state < 0 ? correct(d, s, e) : 0;
}

static inline const struct cid_entry *head(const struct source *s)
{
	return &s->buf[s->at - s->first];
}

static int fetch_key(struct cid_dump *d, struct source *s)
{
	int rc = fetch(d, s);

	if (rc == 0 && s->have) {
		s->key = head(s)->key;
		s->hash = cid_hash(s->key, d->t->seed);
	}
	return rc;
}

/* A packed list, verified, in place until the next call. */
static int packed(struct cid_dump *d, struct source *s, const struct cid_list_ref *r,
		  const struct cidstore_id **out)
{
	size_t bytes = cid_block_bytes(0, r->children);
	const void *p;

	if (bytes == 0 || r->pos % 16 || r->level || !cid_pool_holds(d->t->values, r->pos, bytes))
		return CIDSTORE_ECORRUPT;
	if (r->pos < s->list_pos || r->pos + bytes > s->list_pos + s->list_n) {
		/* Lists stand in the order of their keys: read ahead of this one. */
		uint64_t rest = (1ull << d->t->values->shift) -
				(r->pos & ((1ull << d->t->values->shift) - 1));
		size_t n = s->chunk == BUCKET_CHUNK ? LIST_WINDOW : LIST_WINDOW / 4;
		int rc;

		if (n > rest)
			n = (size_t)rest;
		if (n < bytes)
			n = bytes;
		if (n > s->list_cap) {
			uint8_t *buf = realloc(s->list, n);

			if (!buf)
				return CIDSTORE_ENOMEM;
			s->list = buf;
			s->list_cap = n;
		}
		s->list_n = 0;
		rc = cid_pool_read(d->t->values, r->pos, s->list, n);
		if (rc)
			return rc;
		s->list_pos = r->pos;
		s->list_n = n;
	}
	p = s->list + (r->pos - s->list_pos);
	if (!cid_sum_eq(cid_sum_of(p, bytes, 0), r->sum)) {
		d->t->corrupt++;
		return CIDSTORE_ECORRUPT;
	}
	*out = p;
	return 0;
}

/* ---- tables in memory ---- */

static void mem_read(struct source *s, bool begun)
{
	s->mem_n = cid_mem_keys_after(s->mem, s->visible, begun, s->hash, s->key, s->mem_key,
				      MEM_KEYS);
	s->mem_at = 0;
}

static void mem_head(struct source *s)
{
	if (s->mem_at == s->mem_n && s->mem_n)
		mem_read(s, true); /* behind the head of a moment ago */
	s->have = s->mem_at < s->mem_n;
	if (s->have) {
		s->hash = s->mem_key[s->mem_at].hash;
		s->key = s->mem->op[s->mem_key[s->mem_at].op].key;
	}
}

/* ---- the heap ---- */

static bool before(const struct source *a, const struct source *b)
{
	int c = cid_value_cmp(a->hash, a->key, b->hash, b->key);

	return c ? c < 0 : a->rank < b->rank;
}

static void sift_down(struct cid_dump *d)
{
	struct source *s = d->heap[0];
	unsigned i = 0, kid;

	for (; (kid = 2 * i + 1) < d->heap_n; i = kid) {
		if (kid + 1 < d->heap_n && before(d->heap[kid + 1], d->heap[kid]))
			kid++;
		if (!before(d->heap[kid], s))
			break;
		d->heap[i] = d->heap[kid];
	}
	d->heap[i] = s;
}

static void heap_add(struct cid_dump *d, struct source *s)
{
	unsigned i = d->heap_n++, up;

	for (; i > 0 && before(s, d->heap[up = (i - 1) / 2]); i = up)
		d->heap[i] = d->heap[up];
	d->heap[i] = s;
}

static void heap_make(struct cid_dump *d)
{
	d->heap_n = 0;
	for (unsigned i = 0; i < d->sources; i++)
		if (d->source[i].have)
			heap_add(d, &d->source[i]);
}

/* The top's head changed, or it has none any more. */
static void heap_fix(struct cid_dump *d)
{
	if (!d->heap[0]->have)
		d->heap[0] = d->heap[--d->heap_n];
	if (d->heap_n)
		sift_down(d);
}

/* Moves a source behind its key, of which it has at most two entries. They are
 * copied to `out` unless that is NULL. */
static int pass_key(struct cid_dump *d, struct source *s, struct cid_found out[2], int *n)
{
	struct cidstore_id key = s->key;
	int rc = 0, k = 0;

	if (s->mem) {
		s->mem_at++;
		mem_head(s);
		return 0;
	}
	while (rc == 0 && s->have && cid_id_eq(s->key, key)) {
		if (k == 2)
			return CIDSTORE_ECORRUPT;
		out[k].e = *head(s);
		out[k++].state = s->state;
		s->at++;
		rc = fetch_key(d, s);
	}
	*n = k;
	return rc;
}

/* ---- giving ---- */

static void drop_pending(struct pending *p)
{
	if (p->form == LAYERS)
		cid_key_fini(&p->k);
	p->form = NOTHING;
}

/* An entry whose values count as they stand. */
static int take_entry(struct cid_dump *d, struct source *s, const struct cid_entry *e, int state,
		      struct cid_dump_out *o)
{
	const struct cid_state_info *i = &cid_state_table[state];
	struct pending *p = &d->p;
	struct cid_list_ref r;
	int rc;

	if (i->role == CID_ROLE_TOMB || i->role == CID_ROLE_DEL)
		return 0;
	if (i->role == CID_ROLE_NONE)
		return CIDSTORE_ECORRUPT;
	p->key = e->key;
	if (i->form == CID_FORM_INLINE) {
		if (i->inline_values == 0) {
			o->key[o->keys++] = e->key;
			return 0;
		}
		p->own[0] = e->slot[0];
		p->own[1] = e->slot[1];
		p->v = p->own;
		p->n = i->inline_values;
		p->form = ARRAY;
		return 0;
	}
	r = cid_entry_list(e);
	if (i->form == CID_FORM_PACKED) {
		rc = packed(d, s, &r, &p->v);
		p->n = r.children;
		if (rc == 0)
			p->form = ARRAY;
		return rc;
	}
	rc = cid_cursor_entry(&p->cursor, d->t->values, d->t->seed, e, (enum cid_state)state);
	if (rc == 0)
		p->form = TREE;
	return rc;
}

static void copy_values(struct cid_dump_out *o, struct cidstore_id key,
			const struct cidstore_id *v, size_t n)
{
	struct cidstore_pair *to = o->pair + o->pairs;

	for (size_t i = 0; i < n; i++)
		to[i] = (struct cidstore_pair){ key, v[i] };
	o->pairs += n;
}

static bool has_room(const struct cid_dump_out *o)
{
	return o->pairs < o->pair_cap && o->keys < o->key_cap;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int give_tree(struct pending *p, struct cid_dump_out *o)
{
	struct cid_cursor *c = &p->cursor;
	struct cidstore_id v[TREE_PIECE];

	while (!c->done && o->pairs < o->pair_cap) {
		size_t n = least(c->n - c->at, o->pair_cap - o->pairs);
		int rc;

		if (n > TREE_PIECE)
			n = TREE_PIECE;
		rc = cid_cursor_copy(c, v, n);
		if (rc == 0) {
			copy_values(o, p->key, v, n);
			c->at += n - 1;
			rc = cid_cursor_next(c);
		}
		if (rc)
			return rc;
	}
	if (c->done)
		p->form = NOTHING;
	return 0;
}

static int give_layers(struct pending *p, struct cid_dump_out *o)
{
	struct cid_change c;
	int rc = 1;

	while (o->pairs < o->pair_cap && (rc = cid_stream_next(&p->stream, &c)) == 1) {
		o->pair[o->pairs++] = (struct cidstore_pair){ p->key, c.id };
		p->any = true;
	}
	if (rc == 0) {
		if (!p->any)
			o->key[o->keys++] = p->key;
		drop_pending(p);
	}
	return rc < 0 ? rc : 0;
}

/* Gives what there is room for. */
static int give(struct cid_dump *d, struct cid_dump_out *o)
{
	struct pending *p = &d->p;
	size_t n;

	switch (p->form) {
	case NOTHING:
		break;
	case ARRAY:
		n = least(p->n, o->pair_cap - o->pairs);
		copy_values(o, p->key, p->v, n);
		p->v += n;
		p->n -= n;
		if (p->n == 0)
			p->form = NOTHING;
		break;
	case TREE:
		return give_tree(p, o);
	case LAYERS:
		return give_layers(p, o);
	}
	return 0;
}

/* ---- buckets ---- */

/* The runs that were merged into the bucket already have nothing to add. */
static int skip_merged(struct cid_dump *d, uint64_t newest)
{
	bool moved = false;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < d->sources; i++) {
		struct source *s = &d->source[i];
		struct cidstore_id least_id = { 0, 0 };
		struct cid_footer f;

		if (s->mem || !s->have || s->hash >= d->next)
			continue;
		rc = cid_part_footer(d->t->parts, s->part, &f);
		if (rc || f.last_run > newest)
			continue;
		rc = cid_part_bound(d->t->parts, s->part, d->t->seed, d->next, least_id, &s->at,
				    &d->t->corrected);
		if (rc == 0)
			rc = fetch_key(d, s);
		moved = true;
	}
	if (moved)
		heap_make(d);
	return rc;
}

static int next_bucket(struct cid_dump *d)
{
	struct cid_part *b = cid_dir_get(d->v->dir, d->next);
	uint64_t newest = b->newest_run;
	int rc = 0;

	d->bucket.part = b;
	d->bucket.at = d->bucket.first = d->bucket.n = 0;
	d->bucket.have = false;
	d->next = b->prefix + (1ull << (CID_HASH_BITS - b->slot.depth));
	if (!(d->next >> CID_HASH_BITS)) {
		const struct cid_slot *ahead = &cid_dir_get(d->v->dir, d->next)->slot;

		if (ahead->pos)
			cid_pool_prefetch(d->t->parts, ahead->pos,
					  (uint64_t)ahead->entries * CID_ENTRY_BYTES);
	}
	if (d->heap_n && d->heap[0]->hash < d->next) {
		if (b->slot.pos) {
			struct cid_footer f;

			rc = cid_part_footer(d->t->parts, b, &f);
			newest = f.last_run;
		}
		if (rc == 0)
			rc = skip_merged(d, newest);
	}
	d->in_bucket = true;
	return rc;
}

/* Nothing but the bucket speaks of its keys: as fast as it goes. */
static int give_bucket(struct cid_dump *d, struct cid_dump_out *o)
{
	struct source *b = &d->bucket;

	while (has_room(o)) {
		const struct cid_entry *e;
		int rc = fetch(d, b);

		if (rc)
			return rc;
		if (!b->have) {
			d->in_bucket = false;
			return 0;
		}
		e = head(b);
		b->at++;
		if (b->state == CID_ONE || (b->state == CID_TWO && o->pair_cap - o->pairs >= 2)) {
			copy_values(o, e->key, e->slot, b->state == CID_ONE ? 1 : 2);
			continue;
		}
		rc = take_entry(d, b, e, b->state, o);
		if (rc == 0)
			rc = give(d, o);
		if (rc || d->p.form != NOTHING)
			return rc;
	}
	return 0;
}

/* Several sources speak of the key of the heap's top. */
static int take_layers(struct cid_dump *d, bool with_bucket)
{
	struct pending *p = &d->p;
	struct cid_key *k = &p->k;
	struct cid_found f[2];
	uint64_t hash = d->heap[0]->hash;
	int n = 0, rc = 0;

	p->key = d->heap[0]->key;
	cid_key_init(k, p->key, hash);
	p->form = LAYERS;
	p->any = false;
	/* Equal keys leave the heap newest first. */
	while (rc == 0 && d->heap_n && d->heap[0]->hash == hash &&
	       cid_id_eq(d->heap[0]->key, p->key)) {
		struct source *s = d->heap[0];
		bool hidden = k->n && k->layer[k->n - 1].hides;

		if (s->mem && !hidden)
			rc = cid_key_push_mem(k, s->mem);
		if (rc == 0)
			rc = pass_key(d, s, f, &n);
		if (rc == 0 && !s->mem && !hidden)
			rc = cid_key_push(k, f, n);
		if (rc == 0)
			heap_fix(d);
	}
	if (rc == 0 && with_bucket && !(k->n && k->layer[k->n - 1].hides)) {
		f[0].e = *head(&d->bucket);
		f[0].state = d->bucket.state;
		rc = cid_key_push(k, f, 1);
	}
	if (rc == 0 && with_bucket) {
		d->bucket.at++;
		d->bucket.have = false;
	}
	if (rc == 0 && !cid_key_exists(k))
		drop_pending(p);
	else if (rc == 0)
		rc = cid_stream_open(&p->stream, k, d->t, 0, k->n, true);
	return rc;
}

/* The key is the top's alone. */
static int take_alone(struct cid_dump *d, struct cid_dump_out *o)
{
	struct source *s = d->heap[0];
	struct cid_found f[2];
	int n, rc = pass_key(d, s, f, &n);

	if (rc)
		return rc;
	heap_fix(d);
	/* With nothing older, deletions mean nothing. */
	for (int i = 0; rc == 0 && i < n; i++)
		rc = take_entry(d, s, &f[i].e, f[i].state, o);
	return rc;
}

static bool top_is_alone(const struct cid_dump *d)
{
	const struct source *s = d->heap[0];

	if (s->mem)
		return false;
	for (unsigned i = 1; i < 3 && i < d->heap_n; i++)
		if (d->heap[i]->hash == s->hash && cid_id_eq(d->heap[i]->key, s->key))
			return false;
	return true;
}

/* One key of the bucket or of what stands beside it. */
static int take_merged(struct cid_dump *d, struct cid_dump_out *o)
{
	struct source *b = &d->bucket;
	int c = 1, rc = 0;

	if (!b->have)
		rc = fetch_key(d, b);
	if (rc)
		return rc;
	if (b->have)
		c = cid_value_cmp(b->hash, b->key, d->heap[0]->hash, d->heap[0]->key);
	if (c < 0) {
		const struct cid_entry *e = head(b);

		b->at++;
		b->have = false;
		return take_entry(d, b, e, b->state, o);
	}
	return c > 0 && top_is_alone(d) ? take_alone(d, o) : take_layers(d, c == 0);
}

static int dump(struct cid_dump *d, struct cid_dump_out *o)
{
	int rc = 0;

	while (rc == 0) {
		rc = give(d, o);
		if (rc || d->p.form != NOTHING || !has_room(o))
			break;
		if (!d->in_bucket) {
			if (d->next >> CID_HASH_BITS)
				break;
			rc = next_bucket(d);
		} else if (d->heap_n && d->heap[0]->hash < d->next) {
			rc = take_merged(d, o);
		} else {
			rc = give_bucket(d, o);
		}
	}
	return rc;
}

int cid_dump_read(struct cid_dump *d, struct cid_dump_out *o)
{
	if (!d->failed)
		d->failed = dump(d, o);
	return d->failed && o->pairs == 0 && o->keys == 0 ? d->failed : 0;
}

/* ---- beginning and end ---- */

static int open_mem(struct source *s, const struct cid_mem *m, unsigned rank)
{
	s->rank = rank;
	s->mem = m;
	s->visible = cid_mem_visible(m);
	s->mem_key = malloc(MEM_KEYS * sizeof(*s->mem_key));
	if (!s->mem_key)
		return CIDSTORE_ENOMEM;
	mem_read(s, false);
	mem_head(s);
	return 0;
}

static int open_part(struct source *s, uint32_t chunk)
{
	s->chunk = chunk;
	s->buf = malloc(chunk * sizeof(*s->buf));
	return s->buf ? 0 : CIDSTORE_ENOMEM;
}

static int open_sources(struct cid_dump *d)
{
	const struct cid_view *v = d->v;
	unsigned n = 0;
	int rc = 0;

	d->source = calloc(v->nruns + 2u, sizeof(*d->source));
	d->heap = calloc(v->nruns + 2u, sizeof(struct source *));
	if (!d->source || !d->heap)
		return CIDSTORE_ENOMEM;
	d->sources = v->nruns + (v->active != NULL) + (v->frozen != NULL);
	if (v->active) {
		rc = open_mem(&d->source[n], v->active, n);
		n++;
	}
	if (rc == 0 && v->frozen) {
		rc = open_mem(&d->source[n], v->frozen, n);
		n++;
	}
	for (uint32_t i = v->nruns; rc == 0 && i-- > 0;) {
		struct source *s = &d->source[n];

		s->rank = n++;
		s->part = v->run[i];
		rc = open_part(s, RUN_CHUNK);
		if (rc == 0)
			rc = fetch_key(d, s);
	}
	heap_make(d);
	return rc;
}

int cid_dump_new(struct cid_tables *t, const struct cid_view *v, struct cid_dump **out)
{
	struct cid_dump *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return CIDSTORE_ENOMEM;
	d->t = t;
	d->v = v;
	rc = open_part(&d->bucket, BUCKET_CHUNK);
	if (rc == 0)
		rc = open_sources(d);
	if (rc) {
		cid_dump_free(d);
		return rc;
	}
	*out = d;
	return 0;
}

void cid_dump_free(struct cid_dump *d)
{
	if (!d)
		return;
	drop_pending(&d->p);
	for (unsigned i = 0; d->source && i < d->sources; i++) {
		free(d->source[i].buf);
		free(d->source[i].list);
		free(d->source[i].mem_key);
	}
	free(d->bucket.buf);
	free(d->bucket.list);
	free(d->source);
	free(d->heap);
	free(d);
}
