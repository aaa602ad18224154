/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair_space.c - the space maps, from what is referred to
 *
 * All that the root and the view lead to is in use, whether it verifies or
 * not: it may be salvaged later in this repair, and must stay until the next
 * commit. The rest is free. The deletion log ends here: what it named has no
 * reference, and so is free already.
 */
#include <stdlib.h>
#include <string.h>

#include "store/repair.h"

struct marks {
	struct cidstore *s;
	struct cid_space *sp;
};

static void mark(struct marks *m, enum cid_pool_kind k, uint64_t pos, uint64_t bytes)
{
	if (pos && bytes && cid_pool_holds(&m->s->pool[k], pos, bytes))
		cid_space_claim(m->sp, k, pos, bytes);
}

static int mark_block(void *arg, uint64_t pos, uint64_t bytes, uint32_t level)
{
	(void)level;
	mark(arg, CID_POOL_VALUES, pos, bytes);
	return 0;
}

/* A tree whose inner blocks may not verify: what is below them is lost, and
 * what is beside them is not. */
static void mark_tree(struct marks *m, const struct cid_node_ref *ref)
{
	size_t bytes = cid_block_bytes(ref->level, ref->children);
	struct cid_node_ref *block;
	unsigned bits;

	if (bytes == 0)
		return;
	mark(m, CID_POOL_VALUES, ref->pos, bytes);
	block = ref->level && ref->level < CID_TREE_LEVELS ? malloc(bytes) : NULL;
	if (block && cid_block_read(&m->s->pool[CID_POOL_VALUES], ref->pos, block, bytes, 0,
				    ref->sum, &bits) == 0)
		for (uint32_t i = 0; i < ref->children; i++)
			if (block[i].level + 1 == ref->level)
				mark_tree(m, &block[i]);
	free(block);
}

static void mark_part(struct marks *m, const struct cid_part *p)
{
	struct cid_footer f;

	if (p->slot.pos == 0)
		return;
	mark(m, CID_POOL_PARTS, p->slot.pos, (uint64_t)p->slot.pages * CID_PAGE);
	if (cid_footer_read(&m->s->pool[CID_POOL_PARTS], p, &f) == 0) {
		mark(m, CID_POOL_VALUES, f.packed_pos, f.packed_pages * CID_PAGE);
		if (f.trees == 0)
			return;
	}
	for (uint64_t i = 0; i < p->slot.entries; i++) {
		struct cid_entry e;
		struct cid_list_ref ref;
		int st;

		if (cid_part_entry_deep(p, i, &e, &st, NULL) ||
		    cid_state_table[st].form == CID_FORM_INLINE)
			continue;
		ref = cid_entry_list(&e);
		if (cid_state_table[st].form == CID_FORM_PACKED)
			(void)mark_block(m, ref.pos, ref.count * sizeof(struct cidstore_id), 0);
		else
			mark_tree(m, &(struct cid_node_ref){ .pos = ref.pos, .count = ref.count,
							     .children = ref.children,
							     .level = ref.level, .sum = ref.sum });
	}
}

/* A table of references to pages of the meta pool, and the pages. */
static void mark_table(struct marks *m, const struct cid_block_ref *b)
{
	struct cid_page_ref *ref;
	unsigned bits;

	mark(m, CID_POOL_META, b->pos, b->bytes);
	ref = b->pos && cid_pool_holds(&m->s->pool[CID_POOL_META], b->pos, b->bytes) ?
		      malloc((size_t)b->bytes) :
		      NULL;
	if (ref && cid_block_read(&m->s->pool[CID_POOL_META], b->pos, ref, (size_t)b->bytes, 0,
				  b->sum, &bits) == 0)
		for (uint64_t i = 0; i < b->bytes / sizeof(*ref); i++)
			mark(m, CID_POOL_META, ref[i].pos, CID_PAGE);
	free(ref);
}

int cid_repair_space(struct cidstore *s, struct cid_repair *r)
{
	struct cid_view *v = cid_view_now(s);
	struct marks m = { s, &s->space };
	struct cid_root *root = &s->root;
	uint64_t n = 1ull << v->dir->depth;
	int rc;

	cid_space_fini(&s->space);
	rc = cid_space_init(&s->space, s->pool, &s->ebr);
	if (rc)
		return rc;
	cid_repair_say(r, "the space maps are made anew");
	for (uint64_t i = 0; i < n; i++) {
		const struct cid_part *p = atomic_load(&v->dir->slot[i]);

		if (i == 0 || p != atomic_load(&v->dir->slot[i - 1]))
			mark_part(&m, p);
	}
	for (uint32_t i = 0; i < v->nruns; i++)
		mark_part(&m, v->run[i]);
	mark_table(&m, &root->directory);
	mark(&m, CID_POOL_META, root->runs.pos, root->runs.bytes);
	mark(&m, CID_POOL_META, root->freed.pos, root->freed.bytes);
	for (int k = 0; k < CID_POOLS; k++) {
		mark_table(&m, &root->space[k]);
		memset(s->space.p[k].dirty, 1, s->space.p[k].leaves);
	}
	s->space.epoch = root->generation + 1;
	root->deletion_tail = root->deletion_head;
	r->maps_mended = true;
	s->leaks_due = true;
	return 0;
}
