/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - answers keys with their sets, in order, in bounded memory
 *
 * Keys wait in a queue until they are asked for. Their sets are read in batches
 * and handed out in runs: the first run of a key carries its count, and exactly
 * so many values follow in this run and the next ones. To keep that promise a
 * set of up to CID_ANSWER_SET values is copied whole, and a larger one is read
 * from a snapshot that is opened after the key was queued. Either way the
 * answer is the state of one moment after the key was queued.
 *
 * One thread at a time. No lock is held between calls.
 */
#ifndef CID_CONTROL_ANSWER_H
#define CID_CONTROL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include "cidstore/cidstore.h"

#define CID_ANSWER_QUEUE 65536u /* keys that wait: 1 MiB */
#define CID_ANSWER_SET	 65536u
#define CID_ANSWER_BATCH 512u
#define CID_ANSWER_FEW	 8u /* values per key in a batch */

#define CID_ANSWER_ABSENT CIDSTORE_ABSENT

struct cid_answer_run {
	struct cidstore_id key;
	uint64_t count; /* of the whole set; CID_ANSWER_ABSENT: no such key */
	bool first;
	const struct cidstore_id *value; /* valid until the next call */
	size_t n;
};

struct cid_answers {
	struct cidstore *store;

	struct cidstore_id *queue; /* waiting keys are [head, head + waiting) */
	size_t head, waiting;
	uint64_t queued; /* keys ever queued */

	/* The batch under way: [at, n) are still to be answered. */
	size_t at, n;
	struct cidstore_id key[CID_ANSWER_BATCH];
	uint64_t count[CID_ANSWER_BATCH];
	struct cidstore_id value[CID_ANSWER_BATCH * CID_ANSWER_FEW];

	/* Larger sets, CID_ANSWER_SET values; NULL until there is one. */
	struct cidstore_id *set;

	/* The set read from a snapshot, while left > 0. */
	struct cidstore_snapshot *snapshot;
	uint64_t snapshot_covers; /* keys queued when it was opened */
	struct cidstore_pos pos;
	struct cidstore_id big;
	uint64_t big_count, left;
	int broken; /* it could not be read to its end: negative errno, for good */
};

/* 0 or -ENOMEM. */
int cid_answers_init(struct cid_answers *a, struct cidstore *s);
void cid_answers_fini(struct cid_answers *a);

/* Keys that can be queued now. */
size_t cid_answers_room(const struct cid_answers *a);
/* There must be room. */
void cid_answers_queue(struct cid_answers *a, struct cidstore_id key);

/* 1: a run; 0: nothing waits. A negative errno stands for the answer of the
 * key whose turn it was, and the next call goes on with the next key, unless
 * values of it were handed out already: then every call fails. */
int cid_answers_next(struct cid_answers *a, struct cid_answer_run *out);

#endif
