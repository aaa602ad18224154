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

/* What of /root changes when it does: of each generation's first copy, the
 * generation, which is written early, and the checksum, which comes last. */
struct cid_root_mark {
	uint64_t word[4];
};

enum { CID_VIEW_TABLES = 3 };

struct cid_view {
	/* Of a view that follows a writer; the marks and the time move on while
	 * the root stays the same. */
	uint64_t generation;
	_Atomic uint64_t mark[4];
	_Atomic uint64_t current_ns; /* monotonic: when this root was the newest */
	uint64_t lent;		 /* its tables are the writer's: by this number of its
				  * board; else 0 */
	uint64_t turn[CID_VIEW_TABLES]; /* of those tables */
	struct cid_mem *active, *frozen; /* either may be NULL */
	struct cid_mem *older;		 /* with `lent` there may be a third */
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

/* ---- which runs may know a key ---- */

#define CID_RUN_WORDS ((CID_MAX_RUNS + 63) / 64)

/* Looks for n keys in the first `nruns` runs, many at once, so that waiting for
 * memory overlaps: bit i of maybe[k] is set where run i has a tag of key k.
 * newest[k] is the newest run that is merged into the key's bucket. */
int cid_probe(struct cid_tables *t, const struct cid_view *v, uint32_t nruns, const uint64_t *hash,
	      const uint64_t *newest, unsigned n, uint64_t (*maybe)[CID_RUN_WORDS]);

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
	struct cid_mem_set gathered;
	size_t at;
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
/* The layer of a table, where it speaks of the key; `m` may be NULL. */
int cid_key_push_mem(struct cid_key *k, const struct cid_mem *m);
/* The layers of the tables in memory. */
int cid_key_collect_tables(struct cid_key *k, const struct cid_view *v);
/* True where nothing older than the layers so far counts. */
static inline bool cid_key_hidden(const struct cid_key *k)
{
	return k->n && k->layer[k->n - 1].hides;
}
/* The layers of these runs, as cid_probe() found them, and of the bucket, whose
 * first candidate is `at`; x is its index, or NULL where it has no entries. With
 * `full` not NULL there is a short way, as in cid_key_find(). */
int cid_key_find_probed(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
			const uint64_t *maybe, struct cid_part *bucket,
			const struct cid_part_index *x, uint32_t at, struct cid_found *full);
/* The layers below the first `nruns` runs' newest: those runs and the bucket. */
int cid_key_collect_below(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
			  uint32_t nruns);
/* Gathers all layers of a view. */
int cid_key_collect(struct cid_key *k, struct cid_tables *t, const struct cid_view *v);
/* The same, but for what most lookups meet there is a short way without layers:
 * 1 and *full where all that is known of the key is this full entry. */
int cid_key_find(struct cid_key *k, struct cid_tables *t, const struct cid_view *v,
		 struct cid_found *full);
/* As cid_key_has() and cid_key_copy(), of a full entry. */
int cid_full_has(const struct cid_found *f, struct cid_tables *t, struct cidstore_id value);
int cid_full_copy(const struct cid_found *f, struct cid_tables *t, struct cidstore_id *out,
		  size_t cap, uint64_t *total);

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
