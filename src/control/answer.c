/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/id.h"
#include "control/tree.h"

#define PAGE (CID_ANSWER_BATCH * 2) /* values of a snapshot read at once */

int cid_answers_init(struct cid_answers *a, struct cidstore *s)
{
	a->store = s;
	a->queue = malloc(CID_ANSWER_QUEUE * sizeof(*a->queue));
	if (a->queue == NULL)
		return -ENOMEM;
	a->head = a->waiting = 0;
	a->queued = 0;
	a->at = a->n = 0;
	a->set = NULL;
	a->snapshot = NULL;
	a->snapshot_covers = 0;
	a->left = 0;
	a->broken = 0;
	return 0;
}

void cid_answers_fini(struct cid_answers *a)
{
	if (a->snapshot != NULL)
		cidstore_snapshot_close(a->snapshot);
	free(a->set);
	free(a->queue);
}

size_t cid_answers_room(const struct cid_answers *a)
{
	return CID_ANSWER_QUEUE - a->waiting;
}

void cid_answers_queue(struct cid_answers *a, struct cidstore_id key)
{
	if (a->head + a->waiting == CID_ANSWER_QUEUE) {
		memmove(a->queue, a->queue + a->head, a->waiting * sizeof(*a->queue));
		a->head = 0;
	}
	a->queue[a->head + a->waiting++] = key;
	a->queued++;
}

/* Takes keys off the queue and reads them together. */
static void next_batch(struct cid_answers *a)
{
	size_t n = a->waiting < CID_ANSWER_BATCH ? a->waiting : CID_ANSWER_BATCH;

	memcpy(a->key, a->queue + a->head, n * sizeof(a->key[0]));
	a->head += n;
	a->waiting -= n;
	if (a->waiting == 0)
		a->head = 0;
	a->at = 0;
	a->n = n;
	/* A key that cannot be read is asked for again by itself, which tells why;
	 * so is each that a batch left by a jump did not come to. */
	for (size_t i = 0; i < n; i++)
		a->count[i] = CIDSTORE_UNREADABLE;
	(void)cidstore_get_many(a->store, a->key, n, a->value, CID_ANSWER_FEW, a->count);
}

static void drop_snapshot(struct cid_answers *a)
{
	if (a->snapshot != NULL)
		cidstore_snapshot_close(a->snapshot);
	a->snapshot = NULL;
}

/* A snapshot that is no older than the question for the key whose turn it is.
 * 1: opened now; 0: the one at hand serves. */
static int open_snapshot(struct cid_answers *a)
{
	uint64_t asked = a->queued - a->waiting - (a->n - a->at) + 1;
	int rc;

	if (a->snapshot != NULL && a->snapshot_covers >= asked)
		return 0;
	drop_snapshot(a);
	a->snapshot_covers = a->queued;
	rc = cid_ctl_errno(cidstore_snapshot_open(a->store, &a->snapshot));
	return rc != 0 ? rc : 1;
}

/* Finds the key in the snapshot: its count. */
static int find_big(struct cid_answers *a, struct cidstore_id key, uint64_t *count)
{
	uint64_t hash = cid_store_hash(a->store, key);
	struct cidstore_item item;
	struct cidstore_pos pos;
	size_t n;
	int rc;

	cidstore_seek(hash, &pos);
	do {
		rc = cidstore_snapshot_keys(a->snapshot, &pos, &item, 1, &n);
		if (rc != 0)
			return cid_ctl_errno(rc);
		if (n > 0 && cid_id_eq(item.id, key)) {
			*count = item.count;
			return 0;
		}
	} while (n > 0 && item.hash <= hash);
	*count = CID_ANSWER_ABSENT;
	return 0;
}

/* The next values of the set under way. */
static int big_run(struct cid_answers *a, struct cid_answer_run *out)
{
	struct cidstore_item item[PAGE];
	size_t n = 0;
	int rc = cidstore_snapshot_values(a->snapshot, a->big, &a->pos, item,
					  a->left < PAGE ? (size_t)a->left : PAGE, &n);

	if (rc == 0 && n == 0)
		rc = CIDSTORE_ECORRUPT; /* fewer than were counted */
	if (rc != 0) {
		rc = cid_ctl_errno(rc);
		if (a->left == a->big_count)
			a->left = 0; /* nothing of it was handed out */
		else
			a->broken = rc;
		return rc;
	}
	for (size_t i = 0; i < n; i++)
		a->set[i] = item[i].id;
	*out = (struct cid_answer_run){ a->big, a->big_count, a->left == a->big_count, a->set, n };
	a->left -= n;
	return 1;
}

/* A set too large to be copied whole. */
static int from_snapshot(struct cid_answers *a, struct cidstore_id key, struct cid_answer_run *out)
{
	uint64_t count = 0;
	int opened, rc;

	do {
		opened = open_snapshot(a);
		if (opened < 0)
			return opened;
		rc = find_big(a, key, &count);
		if (rc == 0 && (count == CID_ANSWER_ABSENT || count == 0)) {
			*out = (struct cid_answer_run){ key, count, true, NULL, 0 };
			return 1;
		}
		if (rc == 0) {
			a->big = key;
			a->big_count = a->left = count;
			a->pos = (struct cidstore_pos){ 0 };
			rc = big_run(a, out);
		}
		if (rc < 0)
			drop_snapshot(a);
		/* One that was held for long may have expired: a new one may do. */
	} while (rc < 0 && opened == 0);
	return rc;
}

/* A set that is larger than what a batch brings along. */
static int single(struct cid_answers *a, struct cidstore_id key, struct cid_answer_run *out)
{
	uint64_t count;
	int rc;

	if (a->set == NULL) {
		a->set = malloc(CID_ANSWER_SET * sizeof(*a->set));
		if (a->set == NULL)
			return -ENOMEM;
	}
	rc = cidstore_get(a->store, key, a->set, CID_ANSWER_SET, &count);
	if (rc == CIDSTORE_ENOENT) {
		*out = (struct cid_answer_run){ key, CID_ANSWER_ABSENT, true, NULL, 0 };
		return 1;
	}
	if (rc != 0)
		return cid_ctl_errno(rc);
	if (count > CID_ANSWER_SET)
		return from_snapshot(a, key, out);
	*out = (struct cid_answer_run){ key, count, true, a->set, (size_t)count };
	return 1;
}

static int next_key(struct cid_answers *a, struct cid_answer_run *out)
{
	size_t i = a->at;
	uint64_t count;
	int rc = 1;

	if (a->count[i] != CID_ANSWER_ABSENT && a->count[i] > CID_ANSWER_FEW) {
		rc = single(a, a->key[i], out);
	} else {
		count = a->count[i];
		*out = (struct cid_answer_run){ a->key[i], count, true,
						a->value + i * CID_ANSWER_FEW,
						count == CID_ANSWER_ABSENT ? 0 : (size_t)count };
	}
	a->at++;
	return rc;
}

int cid_answers_next(struct cid_answers *a, struct cid_answer_run *out)
{
	int rc;

	if (a->broken != 0)
		return a->broken;
	if (a->left > 0) {
		rc = big_run(a, out);
	} else {
		if (a->at == a->n) {
			if (a->waiting == 0)
				return 0;
			next_batch(a);
		}
		rc = next_key(a, out);
	}
	/* An idle file keeps no space from being reused. */
	if (a->snapshot != NULL && a->left == 0 && a->at == a->n && a->waiting == 0)
		drop_snapshot(a);
	return rc;
}
