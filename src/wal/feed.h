/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * feed.h - records read back from the ring while it is written
 *
 * The ring itself is the buffer of all who follow the changes. A follower is a
 * place in the order and nothing else: the writer does not know of it, and one
 * that is too slow finds its place overwritten.
 *
 * A writer stores the records of a group before it publishes them, and a group
 * has at most CID_WAL_GROUP records. So a slot that is farther than that from
 * its next use, by the number published *after* the slot was copied, was not
 * being overwritten while it was. What is nearer counts as gone. The checksum,
 * lsn and generation of each copy are looked at besides: below the first lsn
 * that the last recovery needed, the ring may hold what no sync ever covered.
 */
#ifndef CID_WAL_FEED_H
#define CID_WAL_FEED_H

#include "wal/ring.h"

/* The lowest lsn that can be read now; above `appended` where there is none. */
uint64_t cid_wal_oldest(const struct cid_wal *w);

/* Copies of the records from lsn on, at most n and none above `appended`. The
 * number copied; those that cannot be trusted have opcode CID_OP_NONE. Where
 * lsn is below cid_wal_oldest(), before or after: CIDSTORE_EEXPIRED. */
int cid_wal_copy(const struct cid_wal *w, uint64_t lsn, struct cid_record *out, int n);

/* Blocks until a record above `seen` is published or somebody calls wake. */
void cid_wal_await(struct cid_wal *w, uint64_t seen);
void cid_wal_wake(struct cid_wal *w);

#endif
