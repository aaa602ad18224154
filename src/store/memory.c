/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - keeping to memory_limit
 *
 * Most memory goes into two things. Tables of changes: each may hold so many
 * operations that all of them take two fifths of the limit, and one that is
 * larger, from before, is freed when it is empty. Indexes of parts: they are
 * loaded when they are wanted, and when all of them take more than what is left
 * the maintaining thread drops those that nobody asked for since it last came by
 * (the clock). A dropped index is freed when no reader is inside that may hold
 * it; the maintaining thread itself holds none between two steps.
 */
#include "store/engine.h"

enum {
	MEM_SHARE = 960,	    /* of memory_limit for an operation of a table's room */
	MEM_LEAST = 8192,	    /* operations */
	OWN_BYTES = 32 << 20,	    /* buffers, libraries, handles */
	LOOK_NS = 100 * 1000 * 1000 /* between two looks at all parts */
};

/* Half of what a machine or a cgroup has is left to others, and to the pages of
 * the store's files. */
uint64_t cid_memory_limit(const struct cidstore *s)
{
	uint64_t limit = cid_cfg(s, CID_CFG_MEMORY_LIMIT);

	return limit < s->memory / 2 ? limit : s->memory / 2;
}

uint32_t cid_mem_cap(struct cidstore *s)
{
	uint64_t n = cid_memory_limit(s) / MEM_SHARE;

	n = n < MEM_LEAST ? MEM_LEAST : n;
	/* Not the root's number, which is the same: writers ask, too. */
	return (uint32_t)(n < s->wal.records ? n : s->wal.records);
}

static uint64_t index_budget(struct cidstore *s)
{
	uint64_t limit = cid_memory_limit(s);
	uint64_t used = cid_mem_cap(s) * 4 * CID_MEM_OP_BYTES + OWN_BYTES;

	return limit > used + limit / 8 ? limit - used : limit / 8;
}

static uint64_t index_bytes(struct cid_part *p)
{
	const struct cid_part_index *x = atomic_load_explicit(&p->index, memory_order_acquire);

	return x ? x->bytes : 0;
}

/* Drops an index that was not used since the last time; its bytes. */
static uint64_t drop(struct cidstore *s, struct cid_part *p)
{
	struct cid_part_index *x;

	if (__atomic_exchange_n(&p->used, 0, __ATOMIC_RELAXED))
		return 0;
	x = atomic_exchange(&p->index, NULL);
	if (!x)
		return 0;
	x->ebr = cid_ebr_retire(&s->ebr);
	x->next_retired = s->old_indexes;
	s->old_indexes = x;
	s->c.index_drops++;
	return x->bytes;
}

static void free_dropped(struct cidstore *s)
{
	uint64_t passed = 0;

	for (struct cid_part_index **p = &s->old_indexes; *p;) {
		struct cid_part_index *x = *p;

		if (x->ebr <= passed || cid_ebr_passed(&s->ebr, x->ebr)) {
			passed = x->ebr > passed ? x->ebr : passed;
			*p = x->next_retired;
			cid_part_index_free(x);
		} else {
			p = &x->next_retired;
		}
	}
}

void cid_index_trim(struct cidstore *s, uint64_t budget)
{
	struct cid_view *v = cid_view_now(s);
	uint64_t n = 1ull << v->dir->depth, bytes = 0, step;

	for (uint64_t i = 0; i < n; i += step) {
		struct cid_part *p = atomic_load(&v->dir->slot[i]);

		step = 1ull << (v->dir->depth - p->slot.depth);
		bytes += index_bytes(p);
	}
	for (uint32_t i = 0; i < v->nruns; i++)
		bytes += index_bytes(v->run[i]);
	atomic_store(&s->index_bytes, bytes);
	/* Twice around at most: the first time takes the marks. */
	for (uint64_t seen = 0; bytes > budget && seen < 2 * n; seen += step) {
		struct cid_part *p;

		if (s->clock >= n)
			s->clock = 0;
		p = atomic_load(&v->dir->slot[s->clock]);
		step = 1ull << (v->dir->depth - p->slot.depth);
		bytes -= drop(s, p);
		s->clock += step;
	}
	/* Runs are asked for each key, and there are few: they go last. */
	for (uint32_t i = 0; bytes > budget && i < v->nruns; i++)
		bytes -= drop(s, v->run[i]);
}

/* Empties a table that nobody looks at any more, so that writers find it ready,
 * and gives back the memory of one that has the wrong size. */
static void clean_tables(struct cidstore *s)
{
	for (int i = 0; i < CID_MEMS; i++) {
		uint64_t epoch;
		bool mine;

		pthread_mutex_lock(&s->write);
		epoch = s->mem_retired[i];
		mine = epoch != UINT64_MAX && epoch != 0 && cid_ebr_passed(&s->ebr, epoch);
		if (mine)
			s->mem_retired[i] = UINT64_MAX;
		pthread_mutex_unlock(&s->write);
		if (!mine)
			continue;
		if (s->mem[i].cap == cid_mem_cap(s))
			cid_mem_reset(&s->mem[i]);
		else
			cid_table_free(s, &s->mem[i]);
		pthread_mutex_lock(&s->write);
		s->mem_retired[i] = 0;
		pthread_mutex_unlock(&s->write);
	}
}

void cid_memory_keep(struct cidstore *s, uint64_t now)
{
	clean_tables(s);
	if (s->old_indexes)
		free_dropped(s);
	if (now - s->last_trim < LOOK_NS && !s->manual)
		return;
	s->last_trim = now;
	cid_index_trim(s, index_budget(s));
}

/* Run indexes that would leave the buckets' too little room. */
bool cid_memory_short(struct cidstore *s, const struct cid_view *v)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < v->nruns; i++)
		bytes += v->run[i]->slot.entries * 9ull / 4;
	return bytes > index_budget(s) / 2;
}
