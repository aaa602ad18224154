/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commit.c - from one durable state to the next
 *
 *   1  new blocks of the directory, the run list, the space maps and the list
 *      of freed extents are written where nothing lies
 *   2  all segment files written to since the last commit are synced
 *   3  the root record of the next generation goes over the older two copies,
 *      and main.h5 is synced
 *
 * Power lost before 3 is complete leaves the old root, whose blocks are all in
 * place: what it refers to was retired, not reused. Power lost during 3 leaves
 * a copy that does not verify, hence the old root, or the new one. The log is
 * released only afterwards.
 *
 * A failed sync ends the store's writing for ever: the page cache may then
 * show what the disk does not hold.
 */
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "store/engine.h"

/* What a commit writes, until it is known to have succeeded. */
struct draft {
	struct cid_root root;
	struct cid_page_ref *dir_ref;
	uint64_t dir_pages;
	struct cid_page_ref *leaf[CID_POOLS];
	uint64_t leaves[CID_POOLS];
	uint8_t *placed[CID_POOLS]; /* 2: has a new page in this commit */
};

static int write_meta(struct cidstore *s, const void *p, uint64_t bytes, struct cid_block_ref *ref)
{
	struct cid_pool *meta = &s->pool[CID_POOL_META];
	int rc;

	memset(ref, 0, sizeof(*ref));
	if (bytes == 0)
		return 0;
	rc = cid_space_alloc(&s->space, CID_POOL_META, cid_pages(bytes), &ref->pos);
	if (rc)
		return rc;
	ref->bytes = bytes;
	ref->sum = cid_sum_of(p, (size_t)bytes, 0);
	return cid_pool_write(meta, ref->pos, p, (size_t)bytes);
}

static int retire_meta(struct cidstore *s, const struct cid_block_ref *ref)
{
	return ref->pos ? cid_space_retire(&s->space, CID_POOL_META, ref->pos, cid_pages(ref->bytes)) :
			  0;
}

static int write_directory(struct cidstore *s, struct draft *d, const struct cid_dir *dir)
{
	uint64_t n = 1ull << dir->depth, pages = n > 64 ? n / 64 : 1;
	struct cid_slot slot[64];
	bool any = pages != s->dir_pages;
	int rc = 0;

	d->dir_pages = pages;
	d->dir_ref = calloc(pages, sizeof(*d->dir_ref));
	if (!d->dir_ref)
		return CIDSTORE_ENOMEM;
	for (uint64_t p = 0; p < pages; p++) {
		struct cid_page_ref *r = &d->dir_ref[p];

		if (pages == s->dir_pages && !s->dir_dirty[p] && s->dir_ref[p].pos) {
			*r = s->dir_ref[p];
			continue;
		}
		any = true;
		memset(slot, 0, sizeof(slot));
		for (uint64_t i = 0; i < 64 && p * 64 + i < n; i++)
			slot[i] = atomic_load_explicit(&dir->slot[p * 64 + i],
						       memory_order_relaxed)
					  ->slot;
		rc = cid_space_alloc(&s->space, CID_POOL_META, 1, &r->pos);
		if (rc)
			return rc;
		r->generation = d->root.generation;
		r->sum = cid_sum_of(slot, sizeof(slot), r->generation);
		rc = cid_pool_write(&s->pool[CID_POOL_META], r->pos, slot, sizeof(slot));
		if (rc)
			return rc;
	}
	for (uint64_t p = 0; rc == 0 && p < s->dir_pages; p++)
		if (s->dir_ref[p].pos && (p >= pages || s->dir_ref[p].pos != d->dir_ref[p].pos))
			rc = cid_space_retire(&s->space, CID_POOL_META, s->dir_ref[p].pos, 1);
	if (rc || !any)
		return rc;
	rc = retire_meta(s, &s->root.directory);
	return rc ? rc : write_meta(s, d->dir_ref, pages * sizeof(*d->dir_ref), &d->root.directory);
}

static int write_runs(struct cidstore *s, struct draft *d, const struct cid_view *v)
{
	struct cid_slot *slot = malloc((v->nruns + 1) * sizeof(*slot));
	int rc;

	if (!slot)
		return CIDSTORE_ENOMEM;
	for (uint32_t i = 0; i < v->nruns; i++)
		slot[i] = v->run[i]->slot;
	rc = retire_meta(s, &s->root.runs);
	if (rc == 0)
		rc = write_meta(s, slot, v->nruns * sizeof(*slot), &d->root.runs);
	free(slot);
	return rc;
}

/* Gives a new page to each map page that differs from the last commit. Doing
 * so changes the map of the meta pool, so it goes on until none is left. */
static int place_maps(struct cidstore *s, struct draft *d, bool *moved)
{
	struct cid_space *sp = &s->space;

	*moved = false;
	for (int k = 0; k < CID_POOLS; k++) {
		if (d->leaves[k] < sp->p[k].leaves) {
			uint64_t n = sp->p[k].leaves, old = d->leaves[k];
			void *l = realloc(d->leaf[k], n * sizeof(*d->leaf[k]));
			void *p = realloc(d->placed[k], n);

			d->leaf[k] = l ? l : d->leaf[k];
			d->placed[k] = p ? p : d->placed[k];
			if (!l || !p)
				return CIDSTORE_ENOMEM;
			memcpy(d->leaf[k] + old, sp->p[k].leaf + old, (n - old) * sizeof(*d->leaf[k]));
			memset(d->placed[k] + old, 0, n - old);
			d->leaves[k] = n;
		}
		for (uint64_t i = 0; i < d->leaves[k]; i++) {
			int rc = 0;

			if (!sp->p[k].dirty[i] || d->placed[k][i])
				continue;
			if (d->leaf[k][i].pos)
				rc = cid_space_retire(sp, CID_POOL_META, d->leaf[k][i].pos, 1);
			if (rc == 0)
				rc = cid_space_alloc(sp, CID_POOL_META, 1, &d->leaf[k][i].pos);
			if (rc)
				return rc;
			d->leaf[k][i].generation = d->root.generation;
			d->placed[k][i] = 1;
			*moved = true;
		}
	}
	return 0;
}

static int write_space(struct cidstore *s, struct draft *d)
{
	struct cid_space *sp = &s->space;
	struct cid_freed *freed = NULL;
	uint64_t want = 0, n, making = cid_space_making(sp, NULL);
	bool moved;
	int rc = 0;

	memset(&d->root.freed, 0, sizeof(d->root.freed));
	for (int k = 0; rc == 0 && k < CID_POOLS; k++)
		rc = retire_meta(s, &s->root.space[k]);
	if (rc == 0)
		rc = retire_meta(s, &s->root.freed);
	/* Places first: each may change what the maps say. */
	do {
		if (rc == 0)
			rc = place_maps(s, d, &moved);
		for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
			struct cid_block_ref *r = &d->root.space[k];
			uint64_t bytes = d->leaves[k] * sizeof(*d->leaf[k]);

			if (want == 0 || r->bytes != bytes) {
				/* A pool that grew meanwhile: a larger table. */
				if (want)
					cid_space_trim(sp, CID_POOL_META, r->pos,
						       cid_pages(r->bytes), 0);
				r->bytes = bytes;
				rc = cid_space_alloc(sp, CID_POOL_META, cid_pages(bytes), &r->pos);
				moved = true;
			}
		}
		n = sp->nretired + sp->nstep_retire + making;
		if (rc == 0 && n > want) {
			struct cid_block_ref *r = &d->root.freed;

			if (r->pos)
				cid_space_trim(sp, CID_POOL_META, r->pos,
					       cid_pages(want * sizeof(*freed)), 0);
			want = n + 32;
			rc = cid_space_alloc(sp, CID_POOL_META, cid_pages(want * sizeof(*freed)),
					     &r->pos);
			moved = true;
		}
	} while (rc == 0 && moved);
	if (rc)
		return rc;
	/* Exact at last; the map page this touches has its place already. */
	cid_space_trim(sp, CID_POOL_META, d->root.freed.pos, cid_pages(want * sizeof(*freed)),
		       cid_pages(n * sizeof(*freed)));
	for (int k = 0; k < CID_POOLS; k++) {
		struct cid_block_ref *r = &d->root.space[k];

		for (uint64_t i = 0; i < d->leaves[k]; i++) {
			const uint64_t *w = sp->p[k].used + i * (CID_MAP_PAGES / 64);

			if (!d->placed[k][i])
				continue;
			d->leaf[k][i].sum = cid_sum_of(w, CID_PAGE, d->root.generation);
			rc = cid_pool_write(&s->pool[CID_POOL_META], d->leaf[k][i].pos, w, CID_PAGE);
			if (rc)
				return rc;
		}
		r->sum = cid_sum_of(d->leaf[k], (size_t)r->bytes, 0);
		rc = cid_pool_write(&s->pool[CID_POOL_META], r->pos, d->leaf[k], (size_t)r->bytes);
		if (rc)
			return rc;
	}
	if (n == 0) {
		memset(&d->root.freed, 0, sizeof(d->root.freed));
		return 0;
	}
	freed = malloc(n * sizeof(*freed));
	if (!freed)
		return CIDSTORE_ENOMEM;
	for (size_t i = 0; i < sp->nretired; i++)
		freed[i] = sp->retired[i].f;
	memcpy(freed + sp->nretired, sp->step_retire, sp->nstep_retire * sizeof(*freed));
	(void)cid_space_making(sp, freed + sp->nretired + sp->nstep_retire);
	d->root.freed.bytes = n * sizeof(*freed);
	d->root.freed.sum = cid_sum_of(freed, n * sizeof(*freed), 0);
	rc = cid_pool_write(&s->pool[CID_POOL_META], d->root.freed.pos, freed, n * sizeof(*freed));
	free(freed);
	return rc;
}

static void fill_root(struct cidstore *s, struct cid_root *r, const struct cid_view *v)
{
	const struct cid_wal *w = &s->wal;

	r->generation++;
	r->committed_ns = s->io->realtime(s->io->self);
	r->global_depth = v->dir->depth;
	r->log_first = v->frozen && !CID_PLANT(19) ? v->frozen->first_lsn : v->active->first_lsn;
	r->log_durable = atomic_load(&w->durable);
	r->keys = atomic_load(&s->base_keys);
	r->values = atomic_load(&s->base_values);
	r->sweep_run = s->sweep.upto;
	r->counter[CID_COUNTER_PACKED] = s->base_packed;
	/* Spans that end before the first record kept are history. */
	while (r->log_spans > 1 && r->log_span[1].first <= r->log_first) {
		memmove(r->log_span, r->log_span + 1, (r->log_spans - 1) * sizeof(r->log_span[0]));
		r->log_spans--;
	}
	cid_config_save(s, r);
}

static void free_draft(struct draft *d)
{
	free(d->dir_ref);
	for (int k = 0; k < CID_POOLS; k++) {
		free(d->leaf[k]);
		free(d->placed[k]);
	}
}

/* Takes the draft for what is: it is durable. */
static void adopt(struct cidstore *s, struct draft *d)
{
	struct cid_space *sp = &s->space;

	free(s->dir_ref);
	s->dir_ref = d->dir_ref;
	d->dir_ref = NULL;
	/* dir_dirty was made long enough when the directory changed. */
	s->dir_pages = d->dir_pages;
	memset(s->dir_dirty, 0, s->dir_pages);
	for (int k = 0; k < CID_POOLS; k++) {
		memcpy(sp->p[k].leaf, d->leaf[k], d->leaves[k] * sizeof(*d->leaf[k]));
		for (uint64_t i = 0; i < d->leaves[k]; i++)
			if (d->placed[k][i])
				sp->p[k].dirty[i] = 0;
	}
	s->root = d->root;
	sp->epoch = s->root.generation + 1;
	atomic_store(&s->epoch, s->root.generation);
	atomic_store(&s->gc_pending, s->root.deletion_head - s->root.deletion_tail);
	s->collect.tail = s->root.deletion_tail;
	s->ndel = 0;
	s->changed = false;
	s->last_commit = s->io->monotonic(s->io->self);
	cid_space_committed(sp, s->root.generation, s->last_commit);
	s->c.checkpoints++;
	/* Only now may the log's records be overwritten, and the table that
	 * stood for them go. */
	pthread_mutex_lock(&s->write);
	atomic_store_explicit(&s->wal.first, s->root.log_first, memory_order_release);
	pthread_mutex_lock(&s->publish);
	if (s->awaiting)
		cid_mem_give(s, s->awaiting);
	s->awaiting = NULL;
	cid_lend_tell(s);
	pthread_mutex_unlock(&s->publish);
	/* Recovery from an older root than this one would meet the note and know
	 * that a newer root was lost to damage, not to a crash. */
	cid_note_locked(s, CID_OP_CHECKPOINT, (struct cidstore_id){ 0, 0 },
			(struct cidstore_id){ s->root.generation, s->root.log_first });
	pthread_cond_broadcast(&s->room);
	pthread_mutex_unlock(&s->write);
}

int cid_commit(struct cidstore *s)
{
	struct cid_view *v;
	struct draft d;
	uint64_t t0 = s->io->monotonic(s->io->self);
	bool synced = false;
	int rc;

	if (atomic_load(&s->broken) || atomic_load(&s->wal.failed))
		return CIDSTORE_EFAILED;
	memset(&d, 0, sizeof(d));
	pthread_mutex_lock(&s->write);
	pthread_mutex_lock(&s->publish);
	v = cid_view_now(s);
	/* Records that changed nothing need not be kept. */
	if (v->active->count == 0)
		v->active->first_lsn = s->wal.next;
	d.root = s->root;
	fill_root(s, &d.root, v);
	pthread_mutex_unlock(&s->publish);
	pthread_mutex_unlock(&s->write);
	/* Directory and runs change only here, under maint; v's tables may be
	 * replaced by a writer that seals, which root already reflects. */
	cid_space_begin(&s->space);
	rc = cid_collect_write(s, &d.root.deletion_head);
	if (rc == 0)
		rc = write_directory(s, &d, v->dir);
	if (rc == 0)
		rc = write_runs(s, &d, v);
	if (rc == 0)
		rc = write_space(s, &d);
	/* Only now: what was just written may have made a pool grow. */
	for (int k = 0; k < CID_POOLS; k++)
		d.root.segments[k] = atomic_load(&s->pool[k].segments);
	if (rc == 0 && CID_PLANT(3))
		rc = cid_root_write(s->io, s->mainfd, &d.root);
	for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
		synced = true;
		rc = cid_pool_sync(&s->pool[k]);
	}
	if (rc == 0 && s->ndel && !CID_PLANT(25))
		rc = cid_err_from_errno(s->io->sync(s->io->self, s->delfd));
	if (rc == 0)
		rc = cid_root_write(s->io, s->mainfd, &d.root);
	if (rc && synced)
		cid_store_fail(s, rc);
	cid_space_end(&s->space, rc == 0 || synced);
	if (rc == 0)
		adopt(s, &d);
	free_draft(&d);
	s->c.checkpoint_ns += s->io->monotonic(s->io->self) - t0;
	return rc;
}

void cid_store_fail(struct cidstore *s, int code)
{
	(void)code;
	atomic_store(&s->broken, 1);
	s->c.errors++;
	pthread_mutex_lock(&s->write);
	pthread_cond_broadcast(&s->room);
	pthread_mutex_unlock(&s->write);
}
