/* SPDX-License-Identifier: BSD-2-Clause */
/* replay.h - log records applied to a table, transactions as a whole */
#ifndef CID_STORE_REPLAY_H
#define CID_STORE_REPLAY_H

#include "store/engine.h"

struct cid_replay {
	struct cid_mem *m;
	uint64_t seed, log_records;
	uint64_t generation;	/* of the root that is replayed onto */
	bool committed;		/* a record says that this root was durable */
	uint64_t durable;	/* highest lsn a record vouched for */
	struct cid_op *group;	/* operations since a BEGIN */
	uint64_t expect, have;	/* how many it announced, how many came */
	uint64_t begin;		/* its lsn; 0: none is open */
};

/* `arg` is the replay. CIDSTORE_EEXPIRED at the note of a commit newer than
 * `generation`: nothing was applied. CIDSTORE_ECORRUPT also where the table
 * has no room. */
int cid_replay_record(void *arg, const struct cid_record *r);
/* A record with this key, or not, comes soon. */
void cid_replay_ahead(void *arg, struct cidstore_id key);
void cid_replay_drop_group(struct cid_replay *p);

#endif
