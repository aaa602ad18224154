/* SPDX-License-Identifier: BSD-2-Clause */
/* tree.c - building and rewriting the trees of large sets */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "store/list.h"

/* References gathered for the level above. */
struct refs {
	struct cid_node_ref *r;
	size_t n, cap;
};

static int push(struct refs *v, const struct cid_node_ref *r)
{
	int rc = cid_array_room((void **)&v->r, v->n, &v->cap, sizeof(*v->r));

	if (rc == 0)
		v->r[v->n++] = *r;
	return rc;
}

static int write_block(struct cid_lists *l, const void *data, size_t bytes, uint64_t *pos,
		       struct cid_sum *sum)
{
	int rc = cid_space_alloc(l->space, CID_POOL_VALUES, cid_pages(bytes), pos);

	if (rc)
		return rc;
	*sum = cid_sum_of(data, bytes, 0);
	return cid_pool_write(l->values, *pos, data, bytes);
}

static int retire_block(struct cid_lists *l, uint64_t pos, size_t bytes)
{
	return cid_space_retire(l->space, CID_POOL_VALUES, pos, cid_pages(bytes));
}

static int write_leaf(struct cid_lists *l, const struct cidstore_id *v, size_t n, uint64_t first,
		      struct refs *out)
{
	struct cid_node_ref r = { .first = first, .count = n, .children = (uint32_t)n };
	int rc = write_block(l, v, n * sizeof(*v), &r.pos, &r.sum);

	return rc ? rc : push(out, &r);
}

/* Writes sorted values as leaves; more than fit into one become several of
 * CID_LEAF_FILL, never cut between equal hashes. */
static int write_leaves(struct cid_lists *l, const struct cidstore_id *v, size_t n, uint64_t first,
			struct refs *out)
{
	size_t at = 0;

	while (at < n) {
		size_t m = n - at;
		int rc;

		if (m > CID_LEAF_MAX) {
			m = m < 2 * CID_LEAF_FILL ? m / 2 : CID_LEAF_FILL;
			while (at + m < n && m < CID_LEAF_MAX &&
			       cid_hash(v[at + m], l->seed) == cid_hash(v[at + m - 1], l->seed))
				m++;
		}
		rc = write_leaf(l, v + at, m, at ? cid_hash(v[at], l->seed) : first, out);
		if (rc)
			return rc;
		at += m;
	}
	return 0;
}

/* Writes references as blocks one level up. */
static int write_nodes(struct cid_lists *l, const struct refs *in, uint32_t level, struct refs *out)
{
	size_t at = 0;

	while (at < in->n) {
		size_t m = in->n - at, fill = CID_NODE_MAX * 3 / 4;
		struct cid_node_ref r = { .first = in->r[at].first, .level = level };
		int rc;

		if (m > CID_NODE_MAX)
			m = m < 2 * fill ? m / 2 : fill;
		r.children = (uint32_t)m;
		for (size_t i = 0; i < m; i++)
			r.count += in->r[at + i].count;
		rc = write_block(l, in->r + at, m * sizeof(*in->r), &r.pos, &r.sum);
		if (rc == 0)
			rc = push(out, &r);
		if (rc)
			return rc;
		at += m;
	}
	return 0;
}

/* Stacks levels until one reference is left; consumes v. */
static int close_root(struct cid_lists *l, struct refs *v, uint32_t level, struct cid_list_ref *out)
{
	int rc = 0;

	while (rc == 0 && v->n > 1) {
		struct refs up = { NULL, 0, 0 };

		rc = level + 1 < CID_TREE_LEVELS ? write_nodes(l, v, ++level, &up) :
						   CIDSTORE_ETOOBIG;
		free(v->r);
		*v = up;
	}
	if (rc == 0) {
		*out = (struct cid_list_ref){ 0 };
		if (v->n)
			*out = (struct cid_list_ref){ .pos = v->r[0].pos,
						      .count = v->r[0].count,
						      .children = v->r[0].children,
						      .level = v->r[0].level,
						      .sum = v->r[0].sum };
	}
	free(v->r);
	return rc;
}

/* ---- building ---- */

void cid_tree_begin(struct cid_tree *t, struct cid_lists *l)
{
	memset(t, 0, sizeof(*t));
	t->l = l;
}

int cid_tree_add(struct cid_tree *t, uint64_t hash, struct cidstore_id id)
{
	if (!t->leaf) {
		t->leaf = malloc(CID_LEAF_MAX * sizeof(*t->leaf));
		if (!t->leaf)
			return CIDSTORE_ENOMEM;
	}
	if (t->n == CID_LEAF_MAX || (t->n >= CID_LEAF_FILL && hash != t->last)) {
		struct refs v = { t->ref, t->nref, t->cap };
		int rc = write_leaf(t->l, t->leaf, t->n, t->first, &v);

		t->ref = v.r;
		t->nref = v.n;
		t->cap = v.cap;
		if (rc)
			return rc;
		t->n = 0;
	}
	if (t->n == 0)
		t->first = hash;
	t->leaf[t->n++] = id;
	t->last = hash;
	return 0;
}

int cid_tree_end(struct cid_tree *t, struct cid_list_ref *out)
{
	struct refs v = { t->ref, t->nref, t->cap };
	int rc = t->n ? write_leaf(t->l, t->leaf, t->n, t->first, &v) : 0;

	t->ref = NULL;
	if (rc == 0)
		rc = close_root(t->l, &v, 0, out);
	else
		free(v.r);
	free(t->leaf);
	t->leaf = NULL;
	return rc;
}

void cid_tree_abort(struct cid_tree *t)
{
	free(t->leaf);
	free(t->ref);
	t->leaf = NULL;
	t->ref = NULL;
}

/* ---- rewriting ---- */

/* A block of memory, the caller's, with a verified copy. */
static int load(const struct cid_pool *values, uint64_t pos, size_t bytes, struct cid_sum sum,
		void **out)
{
	void *p = bytes ? malloc(bytes) : NULL;
	int rc;

	if (!p)
		return bytes ? CIDSTORE_ENOMEM : CIDSTORE_ECORRUPT;
	rc = cid_list_load(values, pos, bytes, sum, p);
	if (rc)
		free(p);
	else
		*out = p;
	return rc;
}

static int pull(struct cid_changes *ch)
{
	int rc = ch->next(ch->arg, &ch->cur);

	ch->have = rc == 1;
	return rc < 0 ? rc : 0;
}

/* Merges a leaf with the changes below `bound` into new leaves. */
static int update_leaf(struct cid_lists *l, const struct cid_node_ref *old,
		       const struct cidstore_id *v, uint64_t bound, bool bounded,
		       struct cid_changes *ch, struct refs *out)
{
	struct cidstore_id *buf = l->leaf;
	size_t n = old->children, at = 0, k = 0;
	uint64_t first = old->first, h = n ? cid_hash(v[0], l->seed) : 0;
	int rc;

	while (at < n || (ch->have && (!bounded || ch->cur.hash < bound))) {
		bool change = ch->have && (!bounded || ch->cur.hash < bound);
		int c = at == n ? 1 : !change ? -1 :
						cid_value_cmp(h, v[at], ch->cur.hash, ch->cur.id);
		struct cidstore_id id = c <= 0 ? v[at] : ch->cur.id;
		bool present = c < 0 || ch->cur.present;

		if (present) {
			if (k == CID_LEAF_MAX + CID_LEAF_FILL) {
				/* Enough for a leaf and one to spare: write one. */
				size_t m = CID_LEAF_FILL;

				while (m < CID_LEAF_MAX && cid_hash(buf[m], l->seed) ==
								   cid_hash(buf[m - 1], l->seed))
					m++;
				rc = write_leaf(l, buf, m, first, out);
				if (rc)
					return rc;
				memmove(buf, buf + m, (k - m) * sizeof(*buf));
				k -= m;
				first = cid_hash(buf[0], l->seed);
			}
			if (k == 0 && out->n == 0 && c > 0 && ch->cur.hash < first)
				first = ch->cur.hash;
			buf[k++] = id;
		}
		if (c <= 0 && ++at < n)
			h = cid_hash(v[at], l->seed);
		if (c >= 0) {
			rc = pull(ch);
			if (rc)
				return rc;
		}
	}
	rc = retire_block(l, old->pos, n * sizeof(*v));
	return rc ? rc : write_leaves(l, buf, k, first, out);
}

static int update_node(struct cid_lists *l, const struct cid_node_ref *old, uint64_t bound,
		       bool bounded, struct cid_changes *ch, struct refs *out)
{
	struct refs kids = { NULL, 0, 0 };
	const struct cid_node_ref *r;
	size_t bytes = cid_block_bytes(old->level, old->children);
	void *block;
	int rc;

	if (!ch->have || (bounded && ch->cur.hash >= bound))
		return push(out, old);
	rc = load(l->values, old->pos, bytes, old->sum, &block);
	if (rc)
		return rc;
	if (old->level == 0) {
		rc = update_leaf(l, old, block, bound, bounded, ch, out);
		free(block);
		return rc;
	}
	r = block;
	for (uint32_t i = 0; rc == 0 && i < old->children; i++) {
		bool last = i + 1 == old->children;

		if (r[i].level + 1 != old->level)
			rc = CIDSTORE_ECORRUPT;
		else
			rc = update_node(l, &r[i], last ? bound : r[i + 1].first,
					 last ? bounded : true, ch, &kids);
	}
	if (rc == 0)
		rc = retire_block(l, old->pos, bytes);
	if (rc == 0)
		rc = write_nodes(l, &kids, old->level, out);
	free(kids.r);
	free(block);
	return rc;
}

int cid_tree_update(struct cid_lists *l, const struct cid_list_ref *old, struct cid_changes *ch,
		    struct cid_list_ref *out)
{
	struct cid_node_ref root = { .first = 0,
				     .pos = old->pos,
				     .count = old->count,
				     .children = old->children,
				     .level = old->level,
				     .sum = old->sum };
	struct refs v = { NULL, 0, 0 };
	uint32_t level = old->level;
	int rc = pull(ch);

	if (rc == 0)
		rc = update_node(l, &root, 0, false, ch, &v);
	/* A root with a single child gives way to it. */
	while (rc == 0 && v.n == 1 && v.r[0].level > 0 && v.r[0].children == 1) {
		struct cid_node_ref top = v.r[0];
		size_t bytes = cid_block_bytes(top.level, 1);

		rc = cid_list_load(l->values, top.pos, bytes, top.sum, &v.r[0]);
		if (rc == 0) {
			rc = retire_block(l, top.pos, bytes);
			level = v.r[0].level;
		}
	}
	if (rc) {
		free(v.r);
		return rc;
	}
	return close_root(l, &v, level, out);
}

int cid_tree_walk(const struct cid_pool *values, const struct cid_list_ref *root,
		  int (*fn)(void *arg, const struct cid_tree_block *b), void *arg)
{
	struct cid_tree_block b = { .pos = root->pos,
				    .bytes = cid_block_bytes(root->level, root->children),
				    .level = root->level };
	const struct cid_node_ref *r;
	void *block;
	int rc = load(values, b.pos, b.bytes, root->sum, &block);

	if (rc)
		return rc;
	r = b.data = block;
	for (uint32_t i = 0; rc == 0 && b.level > 0 && i < root->children; i++) {
		struct cid_list_ref c = { .pos = r[i].pos,
					  .count = r[i].count,
					  .children = r[i].children,
					  .level = r[i].level,
					  .sum = r[i].sum };

		rc = c.level + 1 == b.level ? cid_tree_walk(values, &c, fn, arg) :
					      CIDSTORE_ECORRUPT;
	}
	if (rc == 0)
		rc = fn(arg, &b);
	free(block);
	return rc;
}
