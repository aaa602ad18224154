/* SPDX-License-Identifier: BSD-2-Clause */
/* flush.c - a sealed table becomes a run, and the log before it is released */
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "store/engine.h"

enum { AHEAD = 16 }; /* operations fetched ahead: they lie in the log's order */

/* A key with one operation needs no gathering. */
static int flush_single(struct cid_builder *b, const struct cid_mem_op *op, uint64_t hash)
{
	static const uint8_t state[] = {
		[CID_MEM_INSERT] = CID_ADD1,
		[CID_MEM_DELETE] = CID_DEL1,
		[CID_MEM_MKKEY] = CID_TOUCH,
		[CID_MEM_RMKEY] = CID_TOMB,
	};
	struct cid_entry e = { .key = op->key };

	if (op->kind == CID_MEM_INSERT || op->kind == CID_MEM_DELETE)
		e.slot[0] = op->value;
	return cid_builder_entry(b, &e, hash, (enum cid_state)state[op->kind]);
}

static int flush_chain(struct cid_builder *b, const struct cid_mem *m, const struct cid_mem_op *head,
		       uint64_t hash)
{
	bool barrier = head->barrier != 0, exists = head->flags & CID_MEM_EXISTS;
	struct cid_entry tomb = { .key = head->key };
	struct cid_mem_set set;
	size_t adds = 0;
	int rc = cid_mem_gather(m, head, &set);

	if (rc)
		return rc;
	for (size_t i = 0; i < set.n; i++)
		adds += set.v[i].present;
	if (barrier && !exists) {
		/* Deleted, and at most deletions since. */
		rc = cid_builder_entry(b, &tomb, hash, CID_TOMB);
	} else if (exists) {
		for (size_t i = 0; rc == 0 && i < set.n; i++)
			if (set.v[i].present)
				rc = cid_builder_value(b, set.v[i].hash, set.v[i].id);
		if (rc == 0)
			rc = cid_builder_list(b, head->key, hash,
					      barrier ? CID_ROLE_FULL : CID_ROLE_ADD);
	}
	if (!barrier && set.n > adds && !CID_PLANT(37)) {
		for (size_t i = 0; rc == 0 && i < set.n; i++)
			if (!set.v[i].present)
				rc = cid_builder_value(b, set.v[i].hash, set.v[i].id);
		if (rc == 0)
			rc = cid_builder_list(b, head->key, hash, CID_ROLE_DEL);
	}
	free(set.own);
	return rc;
}

static int build_run(struct cidstore *s, struct cid_mem *m, struct cid_part **out)
{
	struct cid_mem_key *k = malloc((m->keys + 1) * sizeof(*k));
	struct cid_builder *b = &s->builder;
	uint64_t entries;
	size_t n;
	int rc;

	if (!k)
		return CIDSTORE_ENOMEM;
	n = cid_mem_sorted(m, k);
	/* Two of a key, where it has as many operations. */
	entries = n + (m->multi < n ? m->multi : n);
	rc = cid_builder_begin(b, &s->pool[CID_POOL_PARTS], &s->lists, s->t.seed,
			       s->root.next_generation,
			       (uint32_t)cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD), CID_PART_RUN, 0, 0,
			       entries, m->multi ? m->count * sizeof(struct cidstore_id) : 0);
	if (rc == 0) {
		b->footer.first_run = b->footer.last_run = s->root.next_run;
		for (size_t i = 0; rc == 0 && i < n; i++) {
			const struct cid_mem_op *op = &m->op[k[i].op];
			uint64_t hash;

			if (i + AHEAD < n)
				__builtin_prefetch(&m->op[k[i + AHEAD].op]);
			if (i % 4096 == 0)
				atomic_store(&s->flush_share, (uint32_t)(i * 1024 / n));
			hash = cid_hash(op->key, s->t.seed);
			rc = op->depth == 1 ? flush_single(b, op, hash) :
					      flush_chain(b, m, op, hash);
		}
		atomic_store(&s->flush_share, 1024);
		if (rc == 0) {
			/* Unknown effects: as if all of it were new. */
			b->slot.keys = (uint64_t)m->net_keys;
			b->slot.values = (uint64_t)m->net_values;
			if (m->unknown) {
				b->slot.keys = n - b->footer.deletes;
				b->slot.values = m->unknown - b->footer.deletes;
				if ((int64_t)b->slot.keys < 0)
					b->slot.keys = 0;
				if ((int64_t)b->slot.values < 0)
					b->slot.values = 0;
			} else {
				b->slot.depth = CID_SLOT_COUNTED;
			}
			rc = cid_builder_end(b, out);
		} else {
			cid_builder_abort(b);
		}
	}
	free(k);
	return rc;
}

int cid_flush(struct cidstore *s)
{
	struct cid_view *v = cid_view_now(s);
	struct cid_mem *m = v->frozen;
	uint64_t t0 = s->io->monotonic(s->io->self), ns;
	struct cid_part *run = NULL;
	struct cid_part **list;
	int rc;

	if (s->awaiting || !m) {
		/* A table is out of the view, its run is not committed yet. */
		rc = s->awaiting || s->changed ? cid_commit(s) : 0;
		if (rc || !m)
			return rc;
	}
	if (v->nruns == CID_MAX_RUNS)
		return s->sweep_blocked ? s->sweep_blocked : CIDSTORE_EAGAIN;
	list = malloc((v->nruns + 1) * sizeof(struct cid_part *));
	if (!list)
		return CIDSTORE_ENOMEM;
	cid_space_begin(&s->space);
	rc = build_run(s, m, &run);
	if (rc == 0) {
		s->root.next_generation++;
		s->root.next_run++;
		pthread_mutex_lock(&s->publish);
		v = cid_view_now(s);
		memcpy(list, v->run, v->nruns * sizeof(*list));
		list[v->nruns] = run;
		rc = cid_view_publish(s, v->active, NULL, v->dir, list,
				      v->nruns + (run->slot.pos != 0));
		if (rc == 0)
			s->awaiting = m;
		pthread_mutex_unlock(&s->publish);
	}
	cid_space_end(&s->space, rc == 0);
	if (rc == 0) {
		s->run_keys += (int64_t)run->slot.keys;
		s->run_values += (int64_t)run->slot.values;
		s->changed = true;
	}
	if (run && (rc || run->slot.pos == 0))
		cid_part_free(run);
	free(list);
	if (rc == 0 && CID_PLANT(18))
		s->wal.first = v->active->first_lsn;
	if (rc == 0)
		rc = cid_commit(s);
	s->c.flushes++;
	ns = s->io->monotonic(s->io->self) - t0;
	s->c.flush_ns += ns;
	s->c.flush_last_ns = ns;
	return rc;
}
