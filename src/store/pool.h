/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - the segment files of one kind as one address space
 *
 * Written by pwrite, read by pread or through a mapping of the whole segment.
 * Segments are made whole, under a temporary name, and are durable before
 * cid_pool_grow() returns. Only the maintaining thread writes and grows; any
 * thread reads below `segments`.
 */
#ifndef CID_STORE_POOL_H
#define CID_STORE_POOL_H

#include <stdatomic.h>
#include "base/limits.h"
#include "os/io.h"
#include "store/format.h"

struct cid_h5_params;

struct cid_segment {
	int fd;
	const uint8_t *map; /* the data, read-only */
	void *map_base;
	bool dirty;	    /* written since the last sync */
};

struct cid_pool {
	const struct cid_io *io;
	int dirfd;
	enum cid_pool_kind kind;
	unsigned shift;	    /* log2 of a segment's data bytes */
	uint64_t data_off;  /* in each file */
	bool readonly;
	const struct cid_h5_params *params; /* for new segments */
	_Atomic uint32_t segments;
	struct cid_segment *seg; /* CID_MAX_SEGMENTS of them */
	_Atomic uint64_t written; /* bytes, for statistics */
	_Atomic int *broken;	  /* set where a new segment's sync failed; may be NULL */
};

/* The name of a segment file, e.g. "buckets-0.h5". */
void cid_pool_name(enum cid_pool_kind kind, uint32_t n, char out[32]);

int cid_pool_init(struct cid_pool *p, const struct cid_io *io, int dirfd, enum cid_pool_kind kind,
		  unsigned shift, uint64_t data_off, bool readonly,
		  const struct cid_h5_params *params);
/* Opens segments until there are `n`. */
int cid_pool_open(struct cid_pool *p, uint32_t n, struct cidstore_error *err);
int cid_pool_grow(struct cid_pool *p);
void cid_pool_fini(struct cid_pool *p);

/* True where [pos, pos + n) lies inside one existing segment. Every position
 * that comes from disk passes here before it is used. */
bool cid_pool_holds(const struct cid_pool *p, uint64_t pos, uint64_t n);

/* Reads and mapped pointers answer CIDSTORE_ECORRUPT, or NULL, for a range
 * that the pool does not hold. */
int cid_pool_read(const struct cid_pool *p, uint64_t pos, void *buf, size_t n);
const void *cid_pool_at(const struct cid_pool *p, uint64_t pos, size_t n);
/* From the beginning of a page; what the last page has behind them becomes zero.
 * A page written in part would be read first, and a sector that went bad while
 * nobody used it would fail that; one that is written over is good again. */
int cid_pool_write(struct cid_pool *p, uint64_t pos, const void *buf, size_t n);
/* Starts writeback of what was written; does not wait. */
void cid_pool_writeback(struct cid_pool *p, uint64_t pos, uint64_t n);
/* What was just written will be read through the mapping. */
void cid_pool_populate(const struct cid_pool *p, uint64_t pos, uint64_t n);
void cid_pool_prefetch(const struct cid_pool *p, uint64_t pos, uint64_t n);
int cid_pool_sync(struct cid_pool *p);
void cid_pool_punch(struct cid_pool *p, uint64_t pos, uint64_t n);

#endif
