/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - the log: a memory-mapped ring of records
 *
 * The record with number `lsn` lies in slot lsn % records. Recovery accepts
 * from the root's first lsn on only the record that carries the next lsn and
 * the generation the root names for it; so neither a hole that a power cut
 * left nor a record of an earlier lap or of a tail that was once discarded can
 * rejoin the order. A recovery that finds a tail to discard starts a new
 * generation at the first lsn it hands out.
 *
 * One thread appends at a time (the store's writer lock); any thread may sync.
 * A record is stored into the mapping before its number is published; the
 * file's blocks are written once when it is made, so that a store can never
 * meet a full disk.
 */
#ifndef CID_WAL_RING_H
#define CID_WAL_RING_H

#include <pthread.h>
#include <stdatomic.h>
#include "os/io.h"
#include "os/mapped.h"
#include "wal/record.h"

#define CID_WAL_SPANS 8
/* The most records stored before they are published: a transaction takes at
 * most a quarter of the log, and a few notes. */
#define CID_WAL_GROUP(records) ((records) / 4 + 64)

/* From `first` on, records carry `generation`. */
struct cid_wal_span {
	uint64_t first;
	uint32_t generation;
	uint32_t reserved;
};

struct cid_wal {
	const struct cid_io *io;
	int fd;
	uint64_t data_off;
	uint8_t *map;
	void *map_base;
	size_t map_len;
	uint64_t records;	    /* capacity */
	uint64_t next;		    /* lsn of the next record; protected by the writer lock */
	uint32_t generation;	    /* of new records; protected by the writer lock */
	uint64_t nanos;		    /* last stamp given out; protected by the writer lock */
	uint32_t seq;
	uint64_t marked;	    /* highest lsn a DURABLE record told of */
	_Atomic uint64_t appended;  /* highest lsn complete in the mapping */
	_Atomic uint64_t durable;   /* highest lsn known on the device */
	_Atomic uint64_t first;	    /* lowest lsn still needed */
	_Atomic uint64_t *told;	    /* where else `durable` is stored; NULL: nowhere */
	_Atomic int failed;	    /* a sync failed, or a store into the map: for ever */
	pthread_mutex_t lock;	    /* protects syncing and the four counters */
	pthread_cond_t synced;
	bool syncing;
	_Atomic uint64_t syncs, sync_ns, sync_max_ns;
	struct cid_wal_span span[CID_WAL_SPANS]; /* set once, before use */
	unsigned spans;
	_Atomic int awaited;	    /* somebody waits for records: publishing tells */
	bool woken;		    /* protected by feed_lock, which is innermost */
	pthread_mutex_t feed_lock;
	pthread_cond_t news;
};

/* Maps `records` records at data_off of fd, which stays the caller's. */
int cid_wal_init(struct cid_wal *w, const struct cid_io *io, int fd, uint64_t data_off,
		 uint64_t records, bool writable);
void cid_wal_fini(struct cid_wal *w);

/* The generations records carry, as the root has them; w->generation from
 * w->next on. Before the first record is put or copied. */
void cid_wal_spans(struct cid_wal *w, const struct cid_wal_span *span, unsigned n);
/* Records that may be appended now without touching one still needed. */
uint64_t cid_wal_room(const struct cid_wal *w);
/* Takes the clock for the records that follow. */
void cid_wal_stamp(struct cid_wal *w);
/* Stores the next record; not yet published. Room is the caller's concern. 0
 * where the log has failed, as it does when the device cannot deliver the page
 * the record belongs into; what was put before may still be published. */
uint64_t cid_wal_put(struct cid_wal *w, enum cid_opcode op, struct cidstore_id key,
		     struct cidstore_id value);
/* Makes all records put so far count. */
void cid_wal_publish(struct cid_wal *w);
/* True when a DURABLE note is due. */
bool cid_wal_note_due(const struct cid_wal *w);

/* 0 once all records up to lsn are durable; concurrent callers share a sync. */
int cid_wal_sync(struct cid_wal *w, uint64_t lsn);

/* Writes zeros over the file's data in pieces of 64 KiB. Larger ones make
 * large folios, and each small sync then writes megabytes. */
int cid_wal_zero(const struct cid_io *io, int fd, uint64_t data_off, uint64_t records);

struct cid_wal_scan {
	uint64_t first;			/* in: where to begin */
	struct cid_wal_span spans[CID_WAL_SPANS];
	unsigned nspans;
	uint64_t known_durable;		/* in: damage up to here is not a tail */
	uint64_t next;			/* out: first lsn not in the log */
	uint64_t last_nanos;		/* out */
	uint64_t corrected;		/* out: bits put right */
	bool dirty_tail;		/* out: later slots hold records of this generation */
	bool overtaken;			/* out: and some that a newer root has seen written */
	uint64_t remnants;		/* out: and so many parts of records */
	uint64_t hole;			/* of cid_wal_peek: damage here is the end; 0: none */
	/* in, of cid_wal_scan: told of the key of a record some time before fn is;
	 * it is not verified, and may be anything. NULL is allowed. */
	void (*ahead)(void *arg, struct cidstore_id key);
};
/* Walks the records in `ring` (a copy of the whole ring; bits may be corrected
 * in it), calling fn for each in order. CIDSTORE_ECORRUPT where a record known
 * to be durable, `next`, is beyond correction; or what fn returned. */
int cid_wal_scan(uint8_t *ring, uint64_t records, struct cid_wal_scan *sc,
		 int (*fn)(void *arg, const struct cid_record *r), void *arg);

/* The generation that the record `lsn` has by the spans of a scan; 0: none. */
uint32_t cid_wal_generation(const struct cid_wal_scan *sc, uint64_t lsn);

/* Leaves nothing of the remnants that a scan found in `ring`. */
int cid_wal_void(const struct cid_io *io, int fd, uint64_t data_off, const uint8_t *ring,
		 uint64_t records, const struct cid_wal_scan *sc);

/* Records from `lsn` on, of a log that another process may be writing: *n of
 * them, at most `max` and CID_WAL_PEEK. 1: there may be more; 0: the log ends
 * behind them; CIDSTORE_EEXPIRED: the next slot was used again;
 * CIDSTORE_ECORRUPT: what is in it is known to be durable and beyond
 * correction, or just being used again; CIDSTORE_EIO. */
#define CID_WAL_PEEK 64
int cid_wal_peek(const struct cid_wal *w, struct cid_wal_scan *sc, uint64_t lsn,
		 struct cid_record *out, unsigned max, unsigned *n);
/* Does the slot of a record that is still to come look as if it had come? */
static inline bool cid_wal_came(const struct cid_wal *w, uint64_t lsn)
{
	uint64_t at;

	/* What cannot be read has news of another kind: reading it tells. */
	return !cid_mapped_copy(&at, w->map + (lsn & (w->records - 1)) * CID_RECORD_BYTES +
					     CID_RECORD_LSN_AT, sizeof(at)) ||
	       (at & CID_LSN_MAX) == lsn;
}

#endif
