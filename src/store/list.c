/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c - reading value lists */
#include "store/list.h"

#include <string.h>

int cid_list_block(const struct cid_pool *values, uint64_t pos, size_t bytes, struct cid_sum sum,
		   const void **out)
{
	const void *p = bytes ? cid_pool_at(values, pos, bytes) : NULL;

	if (!p || !cid_sum_eq(cid_sum_of(p, bytes, 0), sum))
		return CIDSTORE_ECORRUPT;
	*out = p;
	return 0;
}

static void settle(struct cid_cursor *c)
{
	if (c->at < c->n)
		c->hash = cid_hash(c->v[c->at], c->seed);
	else
		c->done = true;
}

void cid_cursor_array(struct cid_cursor *c, uint64_t seed, const struct cidstore_id *v, size_t n)
{
	c->seed = seed;
	c->v = v;
	c->n = n;
	c->at = 0;
	c->tree = false;
	c->levels = 0;
	c->done = false;
	settle(c);
}

/* Descends from level[depth] to the leaf that covers `hash` (or the first). */
static int descend(struct cid_cursor *c, uint32_t depth, bool by_hash, uint64_t hash)
{
	for (;;) {
		struct cid_list_level *l = &c->level[depth];
		const struct cid_node_ref *r = &l->ref[l->at];
		size_t bytes = cid_block_bytes(r->level, r->children);
		const void *p;
		int rc = cid_list_block(c->values, r->pos, bytes, r->sum, &p);

		if (rc)
			return rc;
		if (r->level == 0) {
			c->v = p;
			c->n = r->children;
			c->at = 0;
			c->levels = depth + 1;
			return 0;
		}
		if (depth + 1 >= CID_TREE_LEVELS)
			return CIDSTORE_ECORRUPT;
		depth++;
		c->level[depth].ref = p;
		c->level[depth].n = r->children;
		c->level[depth].at = by_hash ? (uint32_t)cid_node_child(p, r->children, hash) : 0;
	}
}

static int open_tree(struct cid_cursor *c, bool by_hash, uint64_t hash)
{
	size_t bytes = cid_block_bytes(c->root.level, c->root.children);
	const void *p;
	int rc = cid_list_block(c->values, c->root.pos, bytes, c->root.sum, &p);

	if (rc)
		return rc;
	if (c->root.level == 0) {
		c->v = p;
		c->n = c->root.children;
		c->at = 0;
		c->levels = 0;
		return 0;
	}
	c->level[0].ref = p;
	c->level[0].n = c->root.children;
	c->level[0].at = by_hash ? (uint32_t)cid_node_child(p, c->root.children, hash) : 0;
	return descend(c, 0, by_hash, hash);
}

int cid_cursor_entry(struct cid_cursor *c, const struct cid_pool *values, uint64_t seed,
		     const struct cid_entry *e, enum cid_state s)
{
	const struct cid_state_info *i = &cid_state_table[s];
	int rc;

	c->values = values;
	if (i->form == CID_FORM_INLINE) {
		c->own[0] = e->slot[0];
		c->own[1] = e->slot[1];
		cid_cursor_array(c, seed, c->own, i->inline_values);
		return 0;
	}
	c->root = cid_entry_list(e);
	if (i->form == CID_FORM_PACKED) {
		const void *p;

		rc = cid_list_block(values, c->root.pos, (size_t)c->root.count * 16, c->root.sum,
				    &p);
		if (rc)
			return rc;
		cid_cursor_array(c, seed, p, (size_t)c->root.count);
		return 0;
	}
	c->seed = seed;
	c->tree = true;
	c->done = false;
	rc = open_tree(c, false, 0);
	if (rc == 0)
		settle(c);
	return rc;
}

int cid_cursor_next(struct cid_cursor *c)
{
	int rc;

	if (++c->at < c->n) {
		c->hash = cid_hash(c->v[c->at], c->seed);
		return 0;
	}
	if (c->tree) {
		uint32_t d = c->levels;

		while (d > 0 && c->level[d - 1].at + 1 >= c->level[d - 1].n)
			d--;
		if (d > 0) {
			c->level[d - 1].at++;
			rc = descend(c, d - 1, false, 0);
			if (rc)
				return rc;
			settle(c);
			return 0;
		}
	}
	c->done = true;
	return 0;
}

int cid_cursor_seek(struct cid_cursor *c, uint64_t hash, struct cidstore_id id)
{
	if (c->tree && c->root.level > 0) {
		int rc = open_tree(c, true, hash);

		if (rc)
			return rc;
	}
	c->done = false;
	c->at = cid_values_bound(c->v, c->n, c->seed, hash, id);
	if (c->at == c->n) {
		c->at--;
		return cid_cursor_next(c);
	}
	settle(c);
	return 0;
}

int cid_list_have(const struct cid_pool *values, uint64_t seed, const struct cid_entry *e,
		  enum cid_state s, uint64_t hash, struct cidstore_id id)
{
	const struct cid_state_info *i = &cid_state_table[s];
	struct cid_cursor c;
	int rc;

	if (i->form == CID_FORM_INLINE)
		return (i->inline_values > 0 && cid_id_eq(e->slot[0], id)) ||
		       (i->inline_values > 1 && cid_id_eq(e->slot[1], id));
	c.values = values;
	c.root = cid_entry_list(e);
	c.seed = seed;
	if (i->form == CID_FORM_PACKED) {
		const void *p;

		rc = cid_list_block(values, c.root.pos, (size_t)c.root.count * 16, c.root.sum, &p);
		if (rc)
			return rc;
		return cid_values_have(p, (size_t)c.root.count, seed, hash, id);
	}
	rc = open_tree(&c, true, hash);
	return rc ? rc : cid_values_have(c.v, c.n, seed, hash, id);
}

int cid_list_copy(const struct cid_pool *values, uint64_t seed, const struct cid_entry *e,
		  enum cid_state s, struct cidstore_id *out, size_t cap, size_t *n)
{
	struct cid_cursor c;
	size_t k = 0;
	int rc = cid_cursor_entry(&c, values, seed, e, s);

	while (rc == 0 && !c.done && k < cap) {
		size_t m = c.n - c.at < cap - k ? c.n - c.at : cap - k;

		memcpy(out + k, c.v + c.at, m * sizeof(*out));
		k += m;
		c.at += m - 1;
		if (k < cap)
			rc = cid_cursor_next(&c);
	}
	if (rc == 0)
		*n = k;
	return rc;
}
