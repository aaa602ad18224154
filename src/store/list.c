/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c - reading value lists */
#include "store/list.h"

#include <string.h>

#include "base/plant.h"
#include "os/mapped.h"

/* Beyond this a block is read rather than copied from its mapping. */
enum { LOAD_MAPPED = 16384 };

/* What is looked for in a mapped block. */
struct look {
	const void *p;
	size_t bytes;
	struct cid_sum sum;
	bool intact;
	/* of a node: the child that covers hash */
	bool child;
	/* of values */
	bool have;
	uint64_t seed, hash;
	struct cidstore_id id;
	size_t at;
	struct cidstore_id *out; /* copied to, where not NULL */
	size_t n;
};

static void verify(struct look *l)
{
	l->intact = CID_PLANT(35) || cid_sum_eq(cid_sum_of(l->p, l->bytes, 0), l->sum);
}

static void look_node(void *arg)
{
	struct look *l = arg;

	verify(l);
	if (l->intact && l->child)
		l->at = cid_node_child(l->p, l->bytes / sizeof(struct cid_node_ref), l->hash);
}

static void look_have(void *arg)
{
	struct look *l = arg;

	verify(l);
	if (l->intact)
		l->have = cid_values_have(l->p, l->bytes / sizeof(l->id), l->seed, l->hash, l->id);
}

/* A leaf that was verified on the way to it. */
static void look_leaf(void *arg)
{
	struct look *l = arg;

	l->have = cid_values_have(l->p, l->bytes / sizeof(l->id), l->seed, l->hash, l->id);
}

static void look_copy(void *arg)
{
	struct look *l = arg;

	verify(l);
	if (l->intact && l->n)
		memcpy(l->out, l->p, l->n * sizeof(*l->out));
}

static void look_bound(void *arg)
{
	struct look *l = arg;

	l->at = cid_values_bound(l->p, l->n, l->seed, l->hash, l->id);
}

/* Runs fn over a block where it lies. */
static int look_at(const struct cid_pool *values, uint64_t pos, size_t bytes, struct cid_sum sum,
		   void (*fn)(void *), struct look *l)
{
	/* Lists stand at multiples of a value's size, blocks of trees at pages. */
	l->p = bytes && pos % 16 == 0 ? cid_pool_at(values, pos, bytes) : NULL;
	l->bytes = bytes;
	l->sum = sum;
	if (!l->p)
		return CIDSTORE_ECORRUPT;
	if (!cid_mapped_run(fn, l))
		return CIDSTORE_EIO;
	return l->intact ? 0 : CIDSTORE_ECORRUPT;
}

int cid_list_load(const struct cid_pool *values, uint64_t pos, size_t bytes, struct cid_sum sum,
		  void *out)
{
	int rc = CIDSTORE_ECORRUPT;

	if (bytes == 0 || pos % 16 || !cid_pool_holds(values, pos, bytes))
		return CIDSTORE_ECORRUPT;
	/* Many pages are one read of the device and not as many faults. */
	if (bytes > LOAD_MAPPED)
		rc = cid_pool_read(values, pos, out, bytes);
	else
		rc = cid_mapped_copy(out, cid_pool_at(values, pos, bytes), bytes) ? 0 :
										     CIDSTORE_EIO;
	if (rc == 0 && !CID_PLANT(35) && !cid_sum_eq(cid_sum_of(out, bytes, 0), sum))
		rc = CIDSTORE_ECORRUPT;
	return rc;
}

/* ---- cursors ---- */

/* The value at `at`, or the end. */
static int settle(struct cid_cursor *c)
{
	if (c->at >= c->n) {
		c->done = true;
		return 0;
	}
	if (!c->mapped) {
		c->id = c->v[c->at];
	} else {
		if (c->at < c->from || c->at >= c->upto) {
			size_t n = c->n - c->at < CID_CURSOR_AHEAD ? c->n - c->at :
								     CID_CURSOR_AHEAD;

			c->from = c->upto = 0;
			if (!cid_mapped_copy(c->ahead, c->v + c->at, n * sizeof(*c->v)))
				return CIDSTORE_EIO;
			c->from = c->at;
			c->upto = c->at + n;
		}
		c->id = c->ahead[c->at - c->from];
	}
	c->hash = cid_hash(c->id, c->seed);
	return 0;
}

static void enter_block(struct cid_cursor *c, const void *p, size_t n)
{
	c->v = p;
	c->n = n;
	c->at = c->from = c->upto = 0;
}

static int node_of(const struct cid_cursor *c, uint64_t pos, uint32_t level, uint32_t children,
		   struct cid_sum sum, bool by_hash, uint64_t hash, struct look *l)
{
	*l = (struct look){ .child = by_hash && level > 0, .hash = hash };
	return look_at(c->values, pos, cid_block_bytes(level, children), sum, look_node, l);
}

/* Descends from level[depth] to the leaf that covers `hash` (or the first). */
static int descend(struct cid_cursor *c, uint32_t depth, bool by_hash, uint64_t hash)
{
	for (;;) {
		struct cid_list_level *v = &c->level[depth];
		/* A copy: in a reader without a pin the block may change. */
		struct cid_node_ref r;
		struct look l;
		int rc;

		if (!cid_mapped_copy(&r, &v->ref[v->at], sizeof(r)))
			return CIDSTORE_EIO;
		rc = node_of(c, r.pos, r.level, r.children, r.sum, by_hash, hash, &l);
		if (rc)
			return rc;
		if (r.level == 0) {
			enter_block(c, l.p, r.children);
			c->levels = depth + 1;
			return 0;
		}
		if (depth + 1 >= CID_TREE_LEVELS)
			return CIDSTORE_ECORRUPT;
		depth++;
		c->level[depth].ref = l.p;
		c->level[depth].n = r.children;
		c->level[depth].at = (uint32_t)l.at;
	}
}

static int open_tree(struct cid_cursor *c, bool by_hash, uint64_t hash)
{
	struct look l;
	int rc = node_of(c, c->root.pos, c->root.level, c->root.children, c->root.sum, by_hash,
			 hash, &l);

	if (rc)
		return rc;
	c->mapped = true;
	c->levels = 0;
	if (c->root.level == 0) {
		enter_block(c, l.p, c->root.children);
		return 0;
	}
	c->level[0].ref = l.p;
	c->level[0].n = c->root.children;
	c->level[0].at = (uint32_t)l.at;
	return descend(c, 0, by_hash, hash);
}

int cid_cursor_entry(struct cid_cursor *c, const struct cid_pool *values, uint64_t seed,
		     const struct cid_entry *e, enum cid_state s)
{
	const struct cid_state_info *i = &cid_state_table[s];
	int rc = 0;

	c->values = values;
	c->seed = seed;
	c->tree = i->form == CID_FORM_TREE;
	c->mapped = i->form != CID_FORM_INLINE;
	c->levels = 0;
	c->done = false;
	if (i->form == CID_FORM_INLINE) {
		c->own[0] = e->slot[0];
		c->own[1] = e->slot[1];
		enter_block(c, c->own, i->inline_values);
		return settle(c);
	}
	c->root = cid_entry_list(e);
	if (c->tree) {
		rc = open_tree(c, false, 0);
	} else {
		struct look l = { .n = 0 };

		rc = look_at(values, c->root.pos, (size_t)c->root.count * 16, c->root.sum,
			     look_copy, &l);
		enter_block(c, l.p, (size_t)c->root.count);
	}
	return rc ? rc : settle(c);
}

int cid_cursor_next(struct cid_cursor *c)
{
	int rc;

	if (++c->at < c->n)
		return settle(c);
	if (c->tree) {
		uint32_t d = c->levels;

		while (d > 0 && c->level[d - 1].at + 1 >= c->level[d - 1].n)
			d--;
		if (d > 0) {
			c->level[d - 1].at++;
			rc = descend(c, d - 1, false, 0);
			return rc ? rc : settle(c);
		}
	}
	c->done = true;
	return 0;
}

int cid_cursor_seek(struct cid_cursor *c, uint64_t hash, struct cidstore_id id)
{
	struct look l = { .seed = c->seed, .hash = hash, .id = id };

	if (c->tree && c->root.level > 0) {
		int rc = open_tree(c, true, hash);

		if (rc)
			return rc;
	}
	c->done = false;
	l.p = c->v;
	l.n = c->n;
	if (!c->mapped)
		look_bound(&l);
	else if (!cid_mapped_run(look_bound, &l))
		return CIDSTORE_EIO;
	c->at = l.at;
	if (c->at == c->n) {
		c->at--;
		return cid_cursor_next(c);
	}
	return settle(c);
}

int cid_cursor_copy(const struct cid_cursor *c, struct cidstore_id *out, size_t n)
{
	if (c->mapped)
		return cid_mapped_copy(out, c->v + c->at, n * sizeof(*out)) ? 0 : CIDSTORE_EIO;
	memcpy(out, c->v + c->at, n * sizeof(*out));
	return 0;
}

int cid_list_have(const struct cid_pool *values, uint64_t seed, const struct cid_entry *e,
		  enum cid_state s, uint64_t hash, struct cidstore_id id)
{
	const struct cid_state_info *i = &cid_state_table[s];
	struct look l = { .seed = seed, .hash = hash, .id = id };
	struct cid_cursor c;
	int rc;

	if (i->form == CID_FORM_INLINE)
		return (i->inline_values > 0 && cid_id_eq(e->slot[0], id)) ||
		       (i->inline_values > 1 && cid_id_eq(e->slot[1], id));
	c.values = values;
	c.root = cid_entry_list(e);
	c.seed = seed;
	if (i->form == CID_FORM_PACKED) {
		rc = look_at(values, c.root.pos, (size_t)c.root.count * 16, c.root.sum, look_have,
			     &l);
	} else {
		rc = open_tree(&c, true, hash);
		if (rc)
			return rc;
		l.p = c.v;
		l.bytes = c.n * 16;
		rc = cid_mapped_run(look_leaf, &l) ? 0 : CIDSTORE_EIO;
	}
	return rc ? rc : l.have;
}

int cid_list_copy(const struct cid_pool *values, uint64_t seed, const struct cid_entry *e,
		  enum cid_state s, struct cidstore_id *out, size_t cap, size_t *n)
{
	const struct cid_state_info *i = &cid_state_table[s];
	struct cid_cursor c;
	size_t k = 0;
	int rc;

	if (i->form == CID_FORM_INLINE) {
		*n = i->inline_values < cap ? i->inline_values : cap;
		memcpy(out, e->slot, *n * sizeof(*out));
		return 0;
	}
	if (i->form == CID_FORM_PACKED) {
		struct cid_list_ref ref = cid_entry_list(e);
		struct look l = { .out = out, .n = ref.count < cap ? (size_t)ref.count : cap };

		rc = look_at(values, ref.pos, (size_t)ref.count * 16, ref.sum, look_copy, &l);
		if (rc == 0)
			*n = l.n;
		return rc;
	}
	rc = cid_cursor_entry(&c, values, seed, e, s);
	while (rc == 0 && !c.done && k < cap) {
		size_t m = c.n - c.at < cap - k ? c.n - c.at : cap - k;

		rc = cid_cursor_copy(&c, out + k, m);
		k += m;
		c.at += m - 1;
		if (rc == 0 && k < cap)
			rc = cid_cursor_next(&c);
	}
	if (rc == 0)
		*n = k;
	return rc;
}
