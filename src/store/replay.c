/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay.c - from log records to a table
 *
 * Recovery and readers that follow a writer alike. The operations between a
 * BEGIN and its COMMIT are held back until the COMMIT is there.
 */
#include <stdlib.h>

#include "base/plant.h"
#include "store/replay.h"

void cid_replay_drop_group(struct cid_replay *p)
{
	free(p->group);
	p->group = NULL;
	p->begin = p->have = p->expect = 0;
}

static int replay_commit(struct cid_replay *p, const struct cid_record *r)
{
	if (!p->begin || (p->have != p->expect && !CID_PLANT(12)) || r->value.low != p->begin)
		return CIDSTORE_ECORRUPT;
	for (uint64_t i = 0; i < p->have; i++)
		if (!cid_apply(p->m, &p->group[i], p->seed))
			return CIDSTORE_ECORRUPT;
	cid_replay_drop_group(p);
	return 0;
}

/* Replaying is waiting for the table's slots, each in a line of its own. */
void cid_replay_ahead(void *arg, struct cidstore_id key)
{
	const struct cid_replay *p = arg;

	cid_mem_prefetch(p->m, cid_hash(key, p->seed));
}

int cid_replay_record(void *arg, const struct cid_record *r)
{
	static const enum cid_mem_kind kind[] = {
		[CID_OP_INSERT] = CID_MEM_INSERT,
		[CID_OP_DELETE] = CID_MEM_DELETE,
		[CID_OP_RMKEY] = CID_MEM_RMKEY,
		[CID_OP_MKKEY] = CID_MEM_MKKEY,
	};
	struct cid_replay *p = arg;
	struct cid_op op = { .key = r->key, .value = r->value };

	switch (r->opcode) {
	case CID_OP_INSERT:
	case CID_OP_DELETE:
	case CID_OP_RMKEY:
	case CID_OP_MKKEY:
		op.kind = kind[r->opcode];
		if (CID_PLANT(10) && op.kind == CID_MEM_DELETE &&
		    !cid_mem_head(p->m, UINT32_MAX, op.key, cid_hash(op.key, p->seed)))
			return 0;
		if (p->begin && !CID_PLANT(12)) {
			if (p->have == p->expect)
				return CIDSTORE_ECORRUPT;
			p->group[p->have++] = op;
			return 0;
		}
		return cid_apply(p->m, &op, p->seed) ? 0 : CIDSTORE_ECORRUPT;
	case CID_OP_BEGIN:
		if (p->begin || r->value.low == 0 || r->value.low > p->log_records)
			return CIDSTORE_ECORRUPT;
		p->group = malloc(r->value.low * sizeof(*p->group));
		if (!p->group)
			return CIDSTORE_ENOMEM;
		p->begin = r->lsn;
		p->expect = r->value.low;
		p->have = 0;
		return 0;
	case CID_OP_COMMIT:
		return replay_commit(p, r);
	case CID_OP_CHECKPOINT:
		/* Written after its root was durable: there is a newer one. */
		p->committed |= r->value.high == p->generation;
		return r->value.high > p->generation ? CIDSTORE_EEXPIRED : 0;
	case CID_OP_DURABLE:
		if (r->value.low > p->durable && r->value.low < r->lsn)
			p->durable = r->value.low;
		return 0;
	case CID_OP_SPLIT:
	case CID_OP_MERGE:
	case CID_OP_PROMOTE:
	case CID_OP_DEMOTE:
		return 0;
	}
	return CIDSTORE_EVERSION;
}
