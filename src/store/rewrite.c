/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rewrite.c - a part written anew
 *
 * The scrubber uses it to put flipped bits right, and repair to save what
 * verifies of a part that holds more damage than that. The new part takes the
 * old one's place in the view; the next commit makes it so on disk.
 */
#include <stdlib.h>
#include <string.h>

#include "os/mapped.h"
#include "store/repair.h"

enum { MEND_BYTES = 65536 };

bool cid_block_mend(void *p, size_t n, uint64_t seed, struct cid_sum want)
{
	uint8_t *b = p;

	if (n > MEND_BYTES)
		return false;
	for (size_t i = 0; i < n * 8; i++) {
		b[i / 8] ^= (uint8_t)(1u << (i % 8));
		if (cid_sum_eq(cid_sum_of(p, n, seed), want))
			return true;
		b[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	return false;
}

int cid_block_read(const struct cid_pool *pool, uint64_t pos, void *p, size_t n, uint64_t seed,
		   struct cid_sum want, unsigned *bits)
{
	int rc = cid_pool_read(pool, pos, p, n);

	*bits = 0;
	if (rc)
		return rc;
	if (cid_sum_eq(cid_sum_of(p, n, seed), want))
		return 0;
	*bits = 1;
	return cid_block_mend(p, n, seed, want) ? 0 : CIDSTORE_ECORRUPT;
}

int cid_footer_read(const struct cid_pool *parts, const struct cid_part *p, struct cid_footer *out)
{
	uint64_t end = p->slot.pos + (uint64_t)p->slot.pages * CID_PAGE;
	struct cid_footer f;
	unsigned bits;
	int rc = cid_block_read(parts, end - sizeof(f), &f, sizeof(f), p->seed, p->slot.sum, &bits);

	if (rc == 0 && !cid_footer_fits(&f, p))
		rc = CIDSTORE_ECORRUPT;
	if (rc == 0)
		*out = f;
	return rc;
}

/* ---- what it works on ---- */

struct rewrite {
	struct cidstore *s;
	struct cid_repair *r;
	struct cid_part *p;
	struct cid_builder *b;
	bool run, known; /* the footer verifies */
	struct cid_footer f;
	uint64_t last;	 /* hash and key of the last entry kept */
	struct cidstore_id last_key;
};

static void hex(struct cidstore_id id, char out[33])
{
	cidstore_id_format(id, out);
	out[32] = '\0';
}

/* Values that do not verify: for a person, or a program that knows better. */
static int maybe_values(struct rewrite *w, const char *key, const struct cidstore_id *v, size_t n)
{
	char value[33];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (v[i].high == 0 && v[i].low == 0)
			continue; /* most likely a page of zeros */
		hex(v[i], value);
		rc = cid_repair_maybe(w->r, "%s %s", key, value);
	}
	return rc;
}

static int lost_values(struct rewrite *w, struct cidstore_id key, uint64_t count,
		       const struct cidstore_id *v, size_t n)
{
	char text[33];
	int rc;

	hex(key, text);
	rc = cid_repair_lost(w->r, "%llu values of key %s", (unsigned long long)count, text);
	return rc ? rc : maybe_values(w, text, v, n);
}

static int lost_entry(struct rewrite *w, uint64_t i)
{
	struct cid_entry e;
	bool have = cid_mapped_line(&e, &w->p->entry[i]);
	int st = have ? cid_state_decode((uint8_t)(e.check_high >> 56)) : -1, rc;
	char key[33];

	if (!have)
		return cid_repair_lost(w->r, "entry %llu of part %llu, which cannot be read: a key "
					     "and its values", (unsigned long long)i,
				       (unsigned long long)w->p->slot.pos);

	hex(e.key, key);
	rc = cid_repair_lost(w->r, "entry %llu of part %llu: a key%s", (unsigned long long)i,
			     (unsigned long long)w->p->slot.pos,
			     st > 0 ? " and its values" : "");
	if (rc == 0)
		rc = cid_repair_maybe(w->r, "%s", key);
	if (rc == 0 && st > 0 && cid_state_table[st].form == CID_FORM_INLINE)
		rc = maybe_values(w, key, e.slot, cid_state_table[st].inline_values);
	return rc;
}

/* ---- lists ---- */

static int save_packed(struct rewrite *w, const struct cid_entry *e)
{
	struct cid_list_ref ref = cid_entry_list(e);
	size_t n = ref.count <= CID_LEAF_MAX ? (size_t)ref.count : 0;
	struct cidstore_id *v;
	unsigned bits;
	int rc;

	if (n == 0 || !cid_pool_holds(w->s->t.values, ref.pos, n * sizeof(*v)))
		return lost_values(w, e->key, ref.count, NULL, 0);
	v = malloc(n * sizeof(*v));
	if (!v)
		return CIDSTORE_ENOMEM;
	rc = cid_block_read(w->s->t.values, ref.pos, v, n * sizeof(*v), 0, ref.sum, &bits);
	if (rc == 0)
		rc = cid_builder_values(w->b, v, n);
	else if (rc == CIDSTORE_ECORRUPT)
		rc = lost_values(w, e->key, ref.count, v, n);
	else if (rc == CIDSTORE_EIO)
		rc = lost_values(w, e->key, ref.count, NULL, 0);
	free(v);
	return rc;
}

/* The values below one reference of a tree, as far as they can be had. */
static int save_tree(struct rewrite *w, struct cidstore_id key, const struct cid_node_ref *ref)
{
	size_t bytes = cid_block_bytes(ref->level, ref->children);
	unsigned bits;
	void *block;
	int rc = 0;

	if (bytes == 0 || !cid_pool_holds(w->s->t.values, ref->pos, bytes))
		return lost_values(w, key, ref->count, NULL, 0);
	block = malloc(bytes);
	if (!block)
		return CIDSTORE_ENOMEM;
	rc = cid_block_read(w->s->t.values, ref->pos, block, bytes, 0, ref->sum, &bits);
	if (rc == CIDSTORE_ECORRUPT) {
		rc = lost_values(w, key, ref->count, block, ref->level ? 0 : ref->children);
	} else if (rc == CIDSTORE_EIO) {
		rc = lost_values(w, key, ref->count, NULL, 0);
	} else if (rc == 0 && ref->level == 0) {
		rc = cid_builder_values(w->b, block, ref->children);
	} else if (rc == 0) {
		const struct cid_node_ref *child = block;

		for (uint32_t i = 0; rc == 0 && i < ref->children; i++)
			rc = child[i].level + 1 == ref->level ? save_tree(w, key, &child[i]) :
								CIDSTORE_ECORRUPT;
	}
	free(block);
	return rc;
}

static int see_block(void *arg, const struct cid_tree_block *b)
{
	(void)arg;
	(void)b;
	return 0;
}

static int keep_entry(struct rewrite *w, const struct cid_entry *e, enum cid_state st,
		      uint64_t hash)
{
	const struct cid_state_info *i = &cid_state_table[st];
	struct cid_list_ref ref = cid_entry_list(e);
	enum cid_role role = (enum cid_role)i->role;
	int rc = 0;

	switch ((enum cid_form)i->form) {
	case CID_FORM_INLINE:
		return cid_builder_entry(w->b, e, hash, st);
	case CID_FORM_PACKED:
		rc = save_packed(w, e);
		break;
	case CID_FORM_TREE:
		rc = cid_tree_walk(w->s->t.values, &ref, see_block, NULL);
		if (rc == 0)
			return cid_builder_entry(w->b, e, hash, st);
		if (rc != CIDSTORE_ECORRUPT && rc != CIDSTORE_EIO)
			return rc;
		rc = save_tree(w, e->key,
			       &(struct cid_node_ref){ .pos = ref.pos, .count = ref.count,
						       .children = ref.children,
						       .level = ref.level, .sum = ref.sum });
		break;
	}
	return rc ? rc : cid_builder_list(w->b, e->key, hash, role);
}

/* ---- the part ---- */

/* Does it belong here, behind the one before? */
static bool in_place(const struct rewrite *w, const struct cid_entry *e, enum cid_state st,
		     uint64_t hash)
{
	uint32_t depth = w->run ? 0 : (uint32_t)w->p->slot.depth;
	int role = cid_state_table[st].role;

	if (w->b->n) {
		int c = cid_value_cmp(w->last, w->last_key, hash, e->key);

		if (c > 0 || (c == 0 && !w->run))
			return false;
	}
	if (depth && (hash ^ w->p->prefix) >> (CID_HASH_BITS - depth))
		return false;
	return w->run ? role != CID_ROLE_NONE : role == CID_ROLE_FULL;
}

static int copy_entries(struct rewrite *w)
{
	for (uint64_t i = 0; i < w->p->slot.entries; i++) {
		struct cid_entry e;
		uint64_t hash = 0;
		int st = 0, rc = cid_part_entry_deep(w->p, i, &e, &st, &w->s->t.corrected);

		if (rc == 0) {
			hash = cid_hash(e.key, w->s->t.seed);
			if (!in_place(w, &e, (enum cid_state)st, hash))
				rc = CIDSTORE_ECORRUPT;
		}
		if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) {
			rc = lost_entry(w, i);
			if (rc == 0)
				continue;
		}
		if (rc == 0)
			rc = keep_entry(w, &e, (enum cid_state)st, hash);
		if (rc)
			return rc;
		w->last = hash;
		w->last_key = e.key;
	}
	return 0;
}

static uint64_t packed_bytes(struct rewrite *w)
{
	uint64_t n = 0;

	if (w->known)
		return w->f.packed_bytes;
	for (uint64_t i = 0; i < w->p->slot.entries; i++) {
		struct cid_entry e;
		int st;

		if (cid_part_entry(w->p, i, &e, &st, NULL) == 0 &&
		    cid_state_table[st].form == CID_FORM_PACKED)
			n += cid_entry_count(&e, (enum cid_state)st) * sizeof(struct cidstore_id);
	}
	return n < w->s->params.segment_bytes / 8 ? n : w->s->params.segment_bytes / 8;
}

/* Which runs an unreadable part stands for. Applying what was merged already
 * once more, in order, changes nothing; leaving some out would. */
static void runs_of(struct rewrite *w, uint64_t *first, uint64_t *last)
{
	const struct cid_view *v = cid_view_now(w->s);

	*first = *last = 0;
	if (w->known) {
		*first = w->f.first_run;
		*last = w->f.last_run;
		return;
	}
	if (!w->run)
		return;
	*first = 1;
	*last = w->s->root.next_run - 1;
	for (uint32_t i = 0; i < v->nruns; i++) {
		struct cid_part_index *x;

		if (v->run[i] != w->p)
			continue;
		if (i > 0 && cid_part_index(w->s->t.parts, v->run[i - 1], &x) == 0)
			*first = x->footer.last_run + 1;
		if (i + 1 < v->nruns && cid_part_index(w->s->t.parts, v->run[i + 1], &x) == 0)
			*last = x->footer.first_run - 1;
		break;
	}
}

static int build(struct rewrite *w, struct cid_part **out)
{
	struct cidstore *s = w->s;
	uint64_t n = w->p->slot.entries, packed = packed_bytes(w);
	int rc;

	w->b = &s->builder;
	rc = cid_builder_begin(w->b, &s->pool[CID_POOL_PARTS], &s->lists, s->t.seed,
			       s->root.next_generation,
			       (uint32_t)cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD),
			       w->run ? CID_PART_RUN : CID_PART_BUCKET,
			       w->run ? 0 : (uint32_t)w->p->slot.depth, w->run ? 0 : w->p->prefix, n,
			       packed);
	if (rc)
		return rc;
	runs_of(w, &w->b->footer.first_run, &w->b->footer.last_run);
	rc = copy_entries(w);
	if (rc == 0 && w->run) {
		w->b->slot.keys = w->p->slot.keys;
		w->b->slot.values = w->p->slot.values;
		w->b->slot.depth = w->p->slot.depth;
		/* Counts of a run that lost entries are to be made again. */
		if (w->b->n != n)
			w->b->slot.depth &= ~(uint64_t)CID_SLOT_COUNTED;
	}
	if (rc == 0)
		return cid_builder_end(w->b, out);
	cid_builder_abort(w->b);
	return rc;
}

static int retire(struct rewrite *w)
{
	struct cid_space *sp = &w->s->space;
	int rc;

	/* The lists of a part without a footer are found as leaks. */
	rc = cid_space_retire(sp, CID_POOL_PARTS, w->p->slot.pos, w->p->slot.pages);
	if (rc == 0 && w->known && w->f.packed_pos)
		rc = cid_space_retire(sp, CID_POOL_VALUES, w->f.packed_pos, w->f.packed_pages);
	if (rc == 0 && !w->known)
		w->s->leaks_due = true;
	return rc;
}

static int publish(struct rewrite *w, struct cid_part *fresh)
{
	struct cidstore *s = w->s;
	struct cid_view *v;
	struct cid_part **list;
	uint32_t n = 0;
	int rc;

	if (!w->run) {
		pthread_mutex_lock(&s->publish);
		cid_dir_replace(s, cid_view_now(s)->dir, fresh, (uint32_t)w->p->slot.depth);
		pthread_mutex_unlock(&s->publish);
		return 0;
	}
	pthread_mutex_lock(&s->publish);
	v = cid_view_now(s);
	list = malloc((v->nruns + 1) * sizeof(struct cid_part *));
	for (uint32_t i = 0; list && i < v->nruns; i++)
		if (v->run[i] != w->p)
			list[n++] = v->run[i];
		else if (fresh->slot.pos)
			list[n++] = fresh;
	rc = list ? cid_view_publish(s, v->active, v->frozen, v->dir, list, n) : CIDSTORE_ENOMEM;
	pthread_mutex_unlock(&s->publish);
	free(list);
	return rc;
}

int cid_part_rewrite(struct cidstore *s, struct cid_part *p, bool run, struct cid_repair *r)
{
	struct rewrite w = { .s = s, .r = r, .p = p, .run = run };
	struct cid_part *fresh = NULL;
	int rc = cid_footer_read(&s->pool[CID_POOL_PARTS], p, &w.f);

	w.known = rc == 0;
	if (rc == CIDSTORE_ECORRUPT)
		rc = cid_repair_lost(r, "the footer of part %llu", (unsigned long long)p->slot.pos);
	if (rc)
		return rc;
	/* A sweep or merge under way counts on the places it has reached in the runs. */
	if (run && (s->sweep.upto || s->tier.m.n))
		return CIDSTORE_EAGAIN;
	cid_space_begin(&s->space);
	rc = build(&w, &fresh);
	if (rc == 0)
		rc = retire(&w);
	if (rc == 0)
		rc = publish(&w, fresh);
	cid_space_end(&s->space, rc == 0);
	if (rc) {
		cid_part_free(fresh);
		return rc;
	}
	s->root.next_generation++;
	s->changed = true;
	if (!run) {
		/* What was lost is no longer counted. */
		s->base_keys += fresh->slot.keys - p->slot.keys;
		s->base_values += fresh->slot.values - p->slot.values;
		cid_base_count(s, p, -1);
		cid_base_count(s, fresh, 1);
	} else if (fresh->slot.pos == 0) {
		s->run_keys -= (int64_t)p->slot.keys;
		s->run_values -= (int64_t)p->slot.values;
	}
	cid_part_retire(s, p);
	if (run && fresh->slot.pos == 0)
		cid_part_free(fresh);
	return 0;
}
