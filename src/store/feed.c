/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * feed.c - the changes in their order, from the log's ring
 *
 * Transactions are published whole and recovery drops half ones, so what can be
 * read here was done. Notes have numbers, too, and are passed over.
 */
#include "store/engine.h"
#include "wal/feed.h"

enum { RECORDS = 64 };

/* False for a record that is no change. */
static bool item_of(const struct cid_record *r, struct cid_feed_item *out)
{
	static const enum cid_feed_kind kind[CID_OP_LAST + 1] = {
		[CID_OP_NONE] = CID_FEED_LOST,	   [CID_OP_INSERT] = CID_FEED_INSERT,
		[CID_OP_DELETE] = CID_FEED_DELETE, [CID_OP_RMKEY] = CID_FEED_RMKEY,
		[CID_OP_MKKEY] = CID_FEED_MKKEY,   [CID_OP_BEGIN] = CID_FEED_BEGIN,
		[CID_OP_COMMIT] = CID_FEED_COMMIT,
	};

	if (r->opcode > CID_OP_LAST || kind[r->opcode] == 0)
		return false;
	*out = (struct cid_feed_item){
		.seq = r->lsn,
		.kind = kind[r->opcode],
		.key = r->key,
		.value = r->value,
	};
	if (r->opcode == CID_OP_NONE)
		out->count = 1;
	else if (r->opcode == CID_OP_BEGIN)
		out->count = r->value.low;
	else if (r->opcode == CID_OP_COMMIT)
		out->count = r->value.high;
	return true;
}

size_t cid_store_feed(struct cidstore *s, uint64_t *seq, struct cid_feed_item *out, size_t cap)
{
	struct cid_record r[RECORDS];
	size_t n = 0;
	int got;

	while (n < cap) {
		size_t want = cap - n < RECORDS ? cap - n : RECORDS;

		got = cid_wal_copy(&s->wal, *seq, r, (int)want);
		if (got == CIDSTORE_EEXPIRED) {
			uint64_t oldest = cid_wal_oldest(&s->wal);

			out[n++] = (struct cid_feed_item){
				.seq = *seq,
				.kind = CID_FEED_LOST,
				.count = oldest - *seq,
			};
			*seq = oldest;
			break;
		}
		if (got <= 0)
			break;
		for (int i = 0; i < got; i++)
			n += item_of(&r[i], &out[n]);
		*seq += (uint64_t)got;
	}
	return n;
}

uint64_t cid_store_feed_oldest(struct cidstore *s)
{
	return cid_wal_oldest(&s->wal);
}

void cid_store_feed_await(struct cidstore *s, uint64_t seen)
{
	cid_wal_await(&s->wal, seen);
}

void cid_store_feed_wake(struct cidstore *s)
{
	cid_wal_wake(&s->wal);
}
