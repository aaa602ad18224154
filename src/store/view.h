/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.h - what a reader sees: tables in memory, runs, buckets
 *
 * A view is immutable, but for the buckets in its directory, each of which may
 * be replaced by one into which runs were merged. That is harmless: applying a
 * run to a bucket that contains it already changes nothing, because the newest
 * word on each value wins and stays the same word.
 */
#ifndef CID_STORE_VIEW_H
#define CID_STORE_VIEW_H

#include "hash/memtable.h"
#include "store/part.h"

struct cid_dir {
	uint32_t depth; /* global depth: 2^depth slots */
	_Atomic(struct cid_part *) slot[];
};

struct cid_view {
	struct cid_mem *active, *frozen; /* either may be NULL */
	struct cid_dir *dir;
	uint32_t nruns;
	struct cid_part *run[]; /* oldest first */
};

/* What reading needs besides a view. */
struct cid_tables {
	struct cid_pool *parts, *values;
	uint64_t seed;
	_Atomic uint64_t corrected; /* bits */
	_Atomic uint64_t corrupt;   /* units beyond correction */
};

static inline uint64_t cid_dir_index(const struct cid_dir *d, uint64_t hash)
{
	return d->depth ? hash >> (CID_HASH_BITS - d->depth) : 0;
}

static inline struct cid_part *cid_dir_get(const struct cid_dir *d, uint64_t hash)
{
	return atomic_load_explicit(&d->slot[cid_dir_index(d, hash)], memory_order_acquire);
}

struct cid_dir *cid_dir_new(uint32_t depth);
/* Points all slots of the bucket's range at it. */
void cid_dir_set(struct cid_dir *d, struct cid_part *bucket, uint32_t local_depth);
/* A copy with another depth; no bucket may be deeper than it. */
struct cid_dir *cid_dir_resize(const struct cid_dir *d, uint32_t depth);

/* ---- one key, as the layers that speak of it, newest first ---- */

struct cid_layer {
	bool hides;  /* what is older does not count */
	bool exists; /* the key exists here */
	const struct cid_mem *mem;
	const struct cid_mem_op *head;
	uint32_t visible;
	bool has_add, has_del;
	struct cid_found add, del; /* a full entry is an add that hides */
	/* streaming */
	struct cid_mem_value *gathered;
	size_t ngathered, at;
	struct cid_cursor cadd, cdel;
};

struct cid_key {
	struct cidstore_id key;
	uint64_t hash;
	unsigned n, cap;
	struct cid_layer *layer;
	struct cid_layer own[3];
};

void cid_key_init(struct cid_key *k, struct cidstore_id key, uint64_t hash);
void cid_key_fini(struct cid_key *k);
/* Adds the layer of entries found in a part, older than all before. */
int cid_key_push(struct cid_key *k, const struct cid_found *f, int n);
/* The layers below the first `nruns` runs' newest: those runs and the bucket. */
int cid_key_collect_below(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
			  uint32_t nruns);
/* Gathers all layers of a view. */
int cid_key_collect(struct cid_key *k, struct cid_tables *t, const struct cid_view *v);

bool cid_key_exists(const struct cid_key *k);
/* 1, 0 or a code. */
int cid_key_has(struct cid_key *k, struct cid_tables *t, struct cidstore_id value);
int cid_key_count(struct cid_key *k, struct cid_tables *t, uint64_t *out);
/* Copies values in order; *total is the size of the set. */
int cid_key_copy(struct cid_key *k, struct cid_tables *t, struct cidstore_id *out, size_t cap,
		 uint64_t *total);

/* Streaming: the newest word on each value, in order. Layers from `from` on
 * (0: all) take part. next: 1 and a change, 0 at the end, or a code. */
struct cid_stream {
	struct cid_key *k;
	unsigned first, end;
	bool all; /* no older data: absent values are not reported */
};
int cid_stream_open(struct cid_stream *st, struct cid_key *k, struct cid_tables *t, unsigned first,
		    unsigned end, bool drop_absent);
int cid_stream_seek(struct cid_stream *st, uint64_t hash, struct cidstore_id id);
int cid_stream_next(void *stream, struct cid_change *out);

#endif
