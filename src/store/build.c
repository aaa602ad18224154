/* SPDX-License-Identifier: BSD-2-Clause */
/* build.c - writing a part from keys that come in order */
#include <stdlib.h>
#include <string.h>

#include "store/part.h"

enum { BUF_ENTRIES = CID_BUILD_ENTRIES, BUF_VALUES = CID_BUILD_VALUES };
_Static_assert((BUF_ENTRIES * CID_ENTRY_BYTES) % CID_PAGE == 0, "whole pages are written");
_Static_assert(BUF_VALUES >= CID_LEAF_MAX + CID_PAGE / 16, "a list fits beside what stays");

static int scratch(struct cid_builder *b)
{
	if (!b->buf)
		b->buf = aligned_alloc(64, BUF_ENTRIES * sizeof(*b->buf));
	if (!b->vbuf)
		b->vbuf = malloc(BUF_VALUES * sizeof(*b->vbuf));
	if (!b->list)
		b->list = malloc(CID_LEAF_MAX * sizeof(*b->list));
	return b->buf && b->vbuf && b->list ? 0 : CIDSTORE_ENOMEM;
}

static uint32_t *starts(struct cid_builder *b)
{
	return (uint32_t *)(void *)b->index->data;
}

static uint16_t *tags(struct cid_builder *b)
{
	return (uint16_t *)(void *)(b->index->data + (((size_t)1 << b->footer.bins_log2) + 1) * 4);
}

int cid_builder_begin(struct cid_builder *b, struct cid_pool *parts, struct cid_lists *lists,
		      uint64_t store_seed, uint64_t generation, uint32_t threshold, uint8_t kind,
		      uint32_t depth, uint64_t prefix, uint64_t max_entries, uint64_t max_packed)
{
	uint32_t bins = cid_index_bins_log2(max_entries);
	size_t index_bytes;
	uint64_t pages;
	int rc = scratch(b);

	if (rc)
		return rc;
	if (max_entries > UINT32_MAX)
		return CIDSTORE_ETOOBIG;
	while (depth + bins + 16 > CID_HASH_BITS && bins > 1)
		bins--;
	if (depth + bins + 16 > CID_HASH_BITS)
		return CIDSTORE_ETOOBIG;
	index_bytes = cid_index_bytes(max_entries, bins);
	b->parts = parts;
	b->lists = lists;
	b->store_seed = store_seed;
	b->generation = generation;
	b->seed = cid_part_seed(store_seed, generation);
	b->threshold = threshold;
	b->depth = depth;
	b->prefix = prefix;
	b->max_entries = max_entries;
	b->max_packed = max_packed;
	b->nbuf = b->nvbuf = b->nlist = 0;
	b->n = b->packed_at = 0;
	b->in_tree = false;
	b->bin = 0;
	memset(&b->slot, 0, sizeof(b->slot));
	memset(&b->footer, 0, sizeof(b->footer));
	b->footer.magic = CID_PART_MAGIC;
	b->footer.version = CID_FORMAT_VERSION;
	b->footer.kind = kind;
	b->footer.depth = (uint8_t)depth;
	b->footer.prefix = prefix;
	b->footer.generation = generation;
	b->footer.bins_log2 = bins;
	b->slot.generation = generation;
	b->slot.depth = depth;
	b->index = cid_part_index_new(index_bytes);
	if (!b->index)
		return CIDSTORE_ENOMEM;
	starts(b)[0] = 0;
	if (max_entries == 0)
		return 0;
	pages = cid_pages(max_entries * CID_ENTRY_BYTES + index_bytes + sizeof(b->footer));
	rc = cid_space_alloc(lists->space, CID_POOL_PARTS, pages, &b->slot.pos);
	if (rc == 0)
		b->slot.pages = (uint32_t)pages;
	if (rc == 0 && max_packed) {
		b->footer.packed_pages = cid_pages(max_packed);
		rc = cid_space_alloc(lists->space, CID_POOL_VALUES, b->footer.packed_pages,
				     &b->footer.packed_pos);
	}
	if (rc)
		cid_builder_abort(b);
	return rc;
}

void cid_builder_abort(struct cid_builder *b)
{
	if (b->in_tree)
		cid_tree_abort(&b->tree);
	b->in_tree = false;
	cid_part_index_free(b->index);
	b->index = NULL;
}

void cid_builder_fini(struct cid_builder *b)
{
	free(b->buf);
	free(b->vbuf);
	free(b->list);
	memset(b, 0, sizeof(*b));
}

static int write_entries(struct cid_builder *b)
{
	uint64_t at = b->slot.pos + (b->n - b->nbuf) * CID_ENTRY_BYTES;
	int rc = cid_pool_write(b->parts, at, b->buf, b->nbuf * sizeof(*b->buf));

	if (rc == 0) {
		cid_pool_populate(b->parts, at, b->nbuf * sizeof(*b->buf));
		cid_pool_writeback(b->parts, at, b->nbuf * sizeof(*b->buf));
	}
	b->nbuf = 0;
	return rc;
}

/* Whole pages, the rest stays for the next time; or all of it. */
static int write_packed(struct cid_builder *b, bool all)
{
	size_t n = b->nvbuf * sizeof(*b->vbuf), rest = all ? 0 : n % CID_PAGE;
	uint64_t at = b->footer.packed_pos + b->packed_at - n;
	int rc = cid_pool_write(b->lists->values, at, b->vbuf, n - rest);

	memmove(b->vbuf, (uint8_t *)b->vbuf + (n - rest), rest);
	b->nvbuf = (uint32_t)(rest / sizeof(*b->vbuf));
	return rc;
}

/* The last entries, the index and the footer at the end of the last page. */
static int write_tail(struct cid_builder *b, size_t index_bytes)
{
	uint64_t from = (b->n - b->nbuf) * CID_ENTRY_BYTES;
	size_t entries = b->nbuf * sizeof(*b->buf), n = b->slot.pages * (size_t)CID_PAGE - from;
	uint8_t *tail = malloc(n);
	int rc;

	if (!tail)
		return CIDSTORE_ENOMEM;
	memcpy(tail, b->buf, entries);
	memcpy(tail + entries, b->index->data, index_bytes);
	memset(tail + entries + index_bytes, 0, n - entries - index_bytes - sizeof(b->footer));
	memcpy(tail + n - sizeof(b->footer), &b->footer, sizeof(b->footer));
	rc = cid_pool_write(b->parts, b->slot.pos + from, tail, n);
	if (rc == 0 && entries)
		cid_pool_populate(b->parts, b->slot.pos + from, entries);
	b->nbuf = 0;
	free(tail);
	return rc;
}

int cid_builder_entry(struct cid_builder *b, const struct cid_entry *e, uint64_t hash,
		      enum cid_state s)
{
	const struct cid_state_info *i = &cid_state_table[s];
	uint32_t bin = cid_index_bin(hash, b->depth, b->footer.bins_log2);
	int rc = 0;

	if (b->n == b->max_entries)
		return CIDSTORE_ETOOBIG;
	b->buf[b->nbuf] = *e;
	cid_entry_seal(&b->buf[b->nbuf], s, b->seed, b->slot.pos + b->n * CID_ENTRY_BYTES);
	while (b->bin < bin)
		starts(b)[++b->bin] = (uint32_t)b->n;
	tags(b)[b->n] = cid_index_tag(hash, b->depth, b->footer.bins_log2);
	b->nbuf++;
	b->n++;
	if (i->role == CID_ROLE_FULL) {
		b->footer.keys++;
		b->footer.values += cid_entry_count(e, s);
	}
	b->footer.trees += i->form == CID_FORM_TREE;
	if (i->role == CID_ROLE_TOMB || i->role == CID_ROLE_DEL)
		b->footer.deletes++;
	if (b->nbuf == BUF_ENTRIES)
		rc = write_entries(b);
	return rc;
}

int cid_builder_value(struct cid_builder *b, uint64_t hash, struct cidstore_id id)
{
	int rc = 0;

	if (!b->in_tree && b->nlist < b->threshold) {
		b->list[b->nlist++] = id;
		return 0;
	}
	if (!b->in_tree) {
		cid_tree_begin(&b->tree, b->lists);
		b->in_tree = true;
		for (uint32_t i = 0; rc == 0 && i < b->nlist; i++)
			rc = cid_tree_add(&b->tree, cid_hash(b->list[i], b->store_seed),
					  b->list[i]);
	}
	return rc ? rc : cid_tree_add(&b->tree, hash, id);
}

int cid_builder_values(struct cid_builder *b, const struct cidstore_id *v, size_t n)
{
	int rc = 0;

	if (!b->in_tree && b->nlist + n <= b->threshold) {
		memcpy(b->list + b->nlist, v, n * sizeof(*v));
		b->nlist += (uint32_t)n;
		return 0;
	}
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = cid_builder_value(b, cid_hash(v[i], b->store_seed), v[i]);
	return rc;
}

int cid_builder_packed(struct cid_builder *b, const struct cid_pool *values,
		       const struct cid_list_ref *ref)
{
	size_t n = ref->count <= CID_LEAF_MAX ? (size_t)ref->count : 0;
	struct cidstore_id *v;
	int rc;

	if (!b->in_tree && b->nlist + n <= b->threshold) {
		rc = cid_list_load(values, ref->pos, n * sizeof(*v), ref->sum, b->list + b->nlist);
		if (rc == 0)
			b->nlist += (uint32_t)n;
		return rc;
	}
	v = malloc(n * sizeof(*v));
	if (!v)
		return CIDSTORE_ENOMEM;
	rc = cid_list_load(values, ref->pos, n * sizeof(*v), ref->sum, v);
	if (rc == 0)
		rc = cid_builder_values(b, v, n);
	free(v);
	return rc;
}

static int put_packed(struct cid_builder *b, struct cid_list_ref *ref)
{
	size_t n = b->nlist * sizeof(*b->list);
	int rc = 0;

	if (b->nvbuf + b->nlist > BUF_VALUES)
		rc = write_packed(b, false);
	if (rc)
		return rc;
	*ref = (struct cid_list_ref){
		.pos = b->footer.packed_pos + b->packed_at,
		.count = b->nlist,
		.sum = cid_sum_of(b->list, n, 0),
	};
	memcpy(b->vbuf + b->nvbuf, b->list, n);
	b->nvbuf += b->nlist;
	b->packed_at += n;
	return 0;
}

int cid_builder_list(struct cid_builder *b, struct cidstore_id key, uint64_t hash,
		     enum cid_role role)
{
	static const uint8_t by_form[3][5] = {
		/* none, one, two, packed, tree */
		{ CID_EMPTY, CID_ONE, CID_TWO, CID_PACKED, CID_EXTENT },
		{ CID_TOUCH, CID_ADD1, CID_ADD2, CID_ADDP, CID_ADDX },
		{ CID_UNUSED, CID_DEL1, CID_DEL2, CID_DELP, CID_DELX },
	};
	int row = role == CID_ROLE_FULL ? 0 : role == CID_ROLE_ADD ? 1 : 2, form, rc = 0;
	struct cid_entry e = { .key = key };
	struct cid_list_ref ref;

	if (!b->in_tree && b->nlist <= 2) {
		form = (int)b->nlist;
		for (uint32_t i = 0; i < b->nlist; i++)
			e.slot[i] = b->list[i];
	} else {
		if (!b->in_tree && b->nlist < b->threshold &&
		    b->packed_at + b->nlist * sizeof(*b->list) <= b->max_packed) {
			form = 3;
			rc = put_packed(b, &ref);
		} else {
			form = 4;
			if (!b->in_tree)
				cid_tree_begin(&b->tree, b->lists);
			for (uint32_t i = 0; rc == 0 && !b->in_tree && i < b->nlist; i++)
				rc = cid_tree_add(&b->tree, cid_hash(b->list[i], b->store_seed),
						  b->list[i]);
			b->in_tree = true;
			if (rc == 0) {
				rc = cid_tree_end(&b->tree, &ref);
				b->in_tree = false;
			}
			b->promotions += role == CID_ROLE_FULL;
		}
		if (rc)
			return rc;
		cid_entry_set_list(&e, &ref);
	}
	b->nlist = 0;
	if (by_form[row][form] == CID_UNUSED)
		return 0;
	return cid_builder_entry(b, &e, hash, (enum cid_state)by_form[row][form]);
}

int cid_builder_end(struct cid_builder *b, struct cid_part **out)
{
	struct cid_part_index *x = b->index;
	struct cid_footer *f = &b->footer;
	struct cid_space *sp = b->lists->space;
	size_t bytes = cid_index_bytes(b->n, f->bins_log2);
	uint32_t bins = 1u << f->bins_log2;
	uint64_t pages = 0;
	int rc = 0;

	while (b->bin < bins)
		starts(b)[++b->bin] = (uint32_t)b->n;
	if (b->nvbuf)
		rc = write_packed(b, true);
	if (rc)
		goto fail;
	if (f->packed_pages) {
		uint64_t keep = cid_pages(b->packed_at);

		cid_space_trim(sp, CID_POOL_VALUES, f->packed_pos, f->packed_pages, keep);
		f->packed_pages = keep;
		f->packed_bytes = b->packed_at;
		if (keep == 0)
			f->packed_pos = 0;
	}
	if (b->n)
		pages = cid_pages(b->n * CID_ENTRY_BYTES + bytes + sizeof(*f));
	if (b->slot.pos)
		cid_space_trim(sp, CID_POOL_PARTS, b->slot.pos, b->slot.pages, pages);
	if (b->n == 0) {
		b->slot.pos = 0;
		b->slot.pages = 0;
		b->slot.generation = f->last_run;
	} else {
		b->slot.pages = (uint32_t)pages;
		b->slot.entries = (uint32_t)b->n;
		f->pos = b->slot.pos;
		f->entries = b->slot.entries;
		f->index_sum = cid_sum_of(x->data, bytes, b->seed);
		f->own = cid_sum_of(f, sizeof(*f), b->seed);
		b->slot.sum = cid_sum_of(f, sizeof(*f), b->seed);
		rc = write_tail(b, bytes);
		if (rc)
			goto fail;
		cid_pool_writeback(b->parts, b->slot.pos, pages * CID_PAGE);
	}
	if (f->kind == CID_PART_BUCKET) {
		b->slot.keys = f->keys;
		b->slot.values = f->values;
	}
	rc = cid_part_new(b->parts, b->store_seed, &b->slot, b->prefix, out);
	if (rc)
		goto fail;
	(*out)->newest_run = f->last_run;
	(*out)->packed_pages = f->packed_pages;
	if (b->n == 0) {
		cid_part_index_free(x);
	} else {
		struct cid_part_index *fit = NULL;

		/* The estimate may have been far too high. */
		if (b->max_entries > b->n + b->n / 4 + 64)
			fit = cid_part_index_new(bytes);
		if (fit) {
			memcpy(fit->data, x->data, bytes);
			cid_part_index_free(x);
			x = fit;
		}
		cid_part_index_set(x, f);
		(void)cid_part_index_publish(*out, x);
	}
	b->index = NULL;
	return 0;
fail:
	cid_builder_abort(b);
	return rc;
}
