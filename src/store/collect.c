/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * collect.c - the deletion log and its collector
 *
 * When a large set loses its key, a record of its tree goes to the deletion
 * log with the same commit. The collector reads the log from its tail, checks
 * that nothing refers to the tree any more and frees its blocks; the tail moves
 * on with the commit that frees them, so a crash repeats a record or does not,
 * and never frees twice. Records that find the log full are dropped: looking
 * for leaks finds their trees.
 *
 * One bad sector is not in the way of all that was deleted after it. A record
 * whose tree cannot be read is written again at the head and waits there for a
 * while; after some tries it is dropped. So is a page of the log.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/plant.h"
#include "store/engine.h"
#include "store/reach.h"

enum { TRIES = 3 };
#define RETRY_NS 30000000000ull

/* A tree's root block in one word: page number, children - 1, level. */
uint64_t cid_group_pack(const struct cid_list_ref *r)
{
	return r->pos / CID_PAGE << 16 | (uint64_t)(r->children - 1) << 4 | r->level;
}

void cid_group_unpack(uint64_t g, struct cid_list_ref *out)
{
	*out = (struct cid_list_ref){ .pos = (g >> 16) * CID_PAGE,
				      .children = (uint32_t)(g >> 4 & 0xfff) + 1,
				      .level = (uint32_t)g & 15 };
}

int cid_collect_note(struct cidstore *s, struct cidstore_id key, const struct cid_list_ref *tree)
{
	int rc;

	if (CID_PLANT(24))
		return 0;
	rc = cid_array_room((void **)&s->del, s->ndel, &s->cap_del, sizeof(*s->del));
	if (rc)
		return rc;
	s->del[s->ndel++] = (struct cid_deletion){
		.key = key,
		.value_group = cid_group_pack(tree),
		.deleted_ns = s->io->realtime(s->io->self),
	};
	s->c.gc_records++;
	return 0;
}

static uint64_t page_seed(const struct cid_deletion_page *p)
{
	return cid_mix(p->number, p->count);
}

static uint64_t page_offset(const struct cid_root *r, uint64_t number)
{
	return r->data_offset[4] + number % r->deletion_pages * CID_PAGE;
}

int cid_collect_write(struct cidstore *s, uint64_t *head)
{
	struct cid_deletion_page *p;
	int rc = 0;

	if (s->ndel == 0)
		return 0;
	p = aligned_alloc(CID_PAGE, sizeof(*p));
	if (!p)
		return CIDSTORE_ENOMEM;
	for (size_t at = 0; rc == 0 && at < s->ndel; at += CID_DELETIONS_PER_PAGE) {
		size_t n = s->ndel - at < CID_DELETIONS_PER_PAGE ? s->ndel - at :
								   CID_DELETIONS_PER_PAGE;

		/* Until this commit is on disk, what it read is still the log's. */
		if (*head - s->collect.tail >= s->root.deletion_pages - 1) {
			s->leaks_due = true;
			break;
		}
		memset(p, 0, sizeof(*p));
		p->magic = CID_DELETION_MAGIC;
		p->count = (uint32_t)n;
		p->number = *head;
		memcpy(p->rec, s->del + at, n * sizeof(p->rec[0]));
		p->sum = cid_sum_of(p->rec, sizeof(p->rec), page_seed(p));
		rc = cid_err_from_errno(cid_io_write_full(s->io, s->delfd, p, sizeof(*p),
							  page_offset(&s->root, *head)));
		if (rc == 0)
			++*head;
	}
	free(p);
	return rc;
}

int cid_deletion_read(const struct cid_io *io, int delfd, const struct cid_root *r, uint64_t number,
		      struct cid_deletion_page *out)
{
	int rc = cid_io_read_full(io, delfd, out, sizeof(*out), page_offset(r, number));

	if (rc)
		return cid_err_from_errno(rc);
	if (out->magic != CID_DELETION_MAGIC || out->number != number ||
	    out->count > CID_DELETIONS_PER_PAGE ||
	    !cid_sum_eq(out->sum, cid_sum_of(out->rec, sizeof(out->rec), page_seed(out))))
		return CIDSTORE_ECORRUPT;
	return 0;
}

/* Does any layer of the key's view still lead to this block? */
static int referred(struct cidstore *s, const struct cid_deletion *d, bool *yes)
{
	struct cid_list_ref ref;
	struct cid_key k;
	int rc;

	cid_group_unpack(d->value_group, &ref);
	cid_key_init(&k, d->key, cid_hash(d->key, s->t.seed));
	rc = cid_key_collect(&k, &s->t, cid_view_now(s));
	*yes = false;
	for (unsigned i = 0; rc == 0 && i < k.n; i++) {
		const struct cid_layer *l = &k.layer[i];

		if (l->has_add && cid_state_table[l->add.state].form == CID_FORM_TREE)
			*yes |= cid_entry_list(&l->add.e).pos == ref.pos;
		if (l->has_del && cid_state_table[l->del.state].form == CID_FORM_TREE)
			*yes |= cid_entry_list(&l->del.e).pos == ref.pos;
	}
	cid_key_fini(&k);
	return rc;
}

static int free_block(void *arg, const struct cid_tree_block *b)
{
	struct cidstore *s = arg;
	uint64_t pages = cid_pages(b->bytes);

	if (!cid_space_used(&s->space, CID_POOL_VALUES, b->pos / CID_PAGE))
		return 0;
	s->c.gc_freed_bytes += pages * CID_PAGE;
	if (CID_PLANT(6)) {
		cid_space_trim(&s->space, CID_POOL_VALUES, b->pos, pages, 0);
		return 0;
	}
	return cid_space_retire(&s->space, CID_POOL_VALUES, b->pos, pages);
}

/* True where what cannot be read is worth another try. What is in the log before
 * `upto` is not held up by it. */
static bool put_off(struct cidstore *s, int rc, uint64_t upto)
{
	uint64_t now = s->io->monotonic(s->io->self);

	if (rc != CIDSTORE_EIO)
		return false;
	s->c.errors++;
	if (s->collect.tries == TRIES)
		return false;
	if (now >= s->collect.retry) {
		s->collect.retry = now + RETRY_NS;
		s->collect.upto = upto;
		s->collect.tries++;
	}
	return true;
}

static int collect_record(struct cidstore *s, const struct cid_deletion *d)
{
	size_t retired = s->space.nstep_retire;
	uint64_t freed = s->c.gc_freed_bytes;
	bool yes;
	int rc = referred(s, d, &yes);

	if (rc == 0 && !yes)
		rc = cid_group_walk(s->t.values, d->value_group, free_block, s);
	if (put_off(s, rc, s->root.deletion_head)) {
		struct cid_list_ref ref;

		/* All of it at once, or it would be freed twice. */
		s->space.nstep_retire = retired;
		s->c.gc_freed_bytes = freed;
		cid_group_unpack(d->value_group, &ref);
		return cid_collect_note(s, d->key, &ref);
	}
	/* It frees nothing while something cannot be read, or told. */
	if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) {
		s->leaks_due = true;
		return 0;
	}
	return rc;
}

bool cid_collect_due(struct cidstore *s)
{
	const struct cid_root *r = &s->root;

	if (r->deletion_tail == r->deletion_head && s->ndel == 0) {
		s->collect.tries = 0;
		return false;
	}
	return r->deletion_tail < s->collect.upto ||
	       s->io->monotonic(s->io->self) >= s->collect.retry;
}

int cid_collect(struct cidstore *s)
{
	struct cid_deletion_page *p = aligned_alloc(CID_PAGE, sizeof(*p));
	size_t notes = s->ndel;
	int rc;

	if (!p)
		return CIDSTORE_ENOMEM;
	rc = cid_deletion_read(s->io, s->delfd, &s->root, s->root.deletion_tail, p);
	if (put_off(s, rc, 0)) {
		free(p);
		return rc;
	}
	if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) {
		/* The page is lost; looking for leaks finds what it named. */
		s->t.corrupt += rc == CIDSTORE_ECORRUPT;
		s->leaks_due = true;
		p->count = 0;
		rc = 0;
	}
	cid_space_begin(&s->space);
	for (uint32_t i = 0; rc == 0 && i < p->count; i++)
		rc = collect_record(s, &p->rec[i]);
	cid_space_end(&s->space, rc == 0);
	free(p);
	if (rc == 0) {
		s->root.deletion_tail++;
		s->changed = true;
	} else {
		s->ndel = notes;
	}
	return rc;
}

/* ---- what the log missed ---- */

static int mark_used(void *arg, enum cid_pool_kind k, uint64_t pos, uint64_t pages)
{
	uint8_t **map = arg;

	for (uint64_t p = pos / CID_PAGE; p < pos / CID_PAGE + pages; p++)
		map[k][p / 8] |= (uint8_t)(1 << (p % 8));
	return 0;
}

int cid_collect_leaks(struct cidstore *s, uint64_t *freed)
{
	uint8_t *map[CID_POOLS] = { NULL };
	struct cid_reach w = { .pool = s->pool, .root = &s->root, .io = s->io, .delfd = s->delfd,
			       .extent = mark_used, .arg = map };
	uint64_t pages = 0;
	int rc = 0;

	/* Only what is committed can be told from what is in the making. */
	if (s->changed || s->sweep.upto || cid_space_making(&s->space, NULL))
		rc = cid_commit(s);
	for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
		map[k] = calloc(s->space.p[k].pages / 8 + 1, 1);
		rc = map[k] ? 0 : CIDSTORE_ENOMEM;
	}
	if (rc == 0)
		rc = cid_reach(&w);
	if (rc == 0) {
		cid_space_begin(&s->space);
		for (int k = 0; rc == 0 && k < CID_POOLS; k++)
			for (uint64_t p = 1; rc == 0 && p < s->space.p[k].top; p++)
				if (cid_space_used(&s->space, (enum cid_pool_kind)k, p) &&
				    !(map[k][p / 8] >> (p % 8) & 1)) {
					rc = cid_space_retire(&s->space, (enum cid_pool_kind)k,
							      p * CID_PAGE, 1);
					pages++;
				}
		cid_space_end(&s->space, rc == 0);
		if (pages)
			s->changed = true;
		s->leaks_due = false;
	}
	for (int k = 0; k < CID_POOLS; k++)
		free(map[k]);
	if (rc == 0)
		*freed = pages * CID_PAGE;
	return rc;
}
