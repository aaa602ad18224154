/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * part.h - an extent of sorted entries with its index: a bucket or a run
 *
 *     entries   64 bytes each, from the extent's start
 *     index     see hash/index.h, 64-byte aligned
 *     ...       unused
 *     footer    the last 256 bytes of the extent's last page
 */
#ifndef CID_STORE_PART_H
#define CID_STORE_PART_H

#include "hash/index.h"
#include "store/list.h"

/* A part that readers may use. Immutable but for the index, which is loaded
 * when it is first wanted. */
struct cid_part {
	struct cid_slot slot;
	uint64_t prefix; /* of a bucket: its first hash */
	uint64_t seed;	 /* of its entries' checksums */
	const struct cid_entry *entry;	   /* mapped */
	_Atomic(struct cid_part_index *) index;
	uint64_t newest_run; /* merged into it; known where index is, or pos is 0 */
	uint64_t ebr;			   /* when retired */
	struct cid_part *next_retired;
};

struct cid_part_index {
	struct cid_footer footer;
	struct cid_index x;
	size_t bytes;
	_Alignas(64) uint8_t data[];
};

/* A handle for a slot; the footer is not looked at yet. */
int cid_part_new(const struct cid_pool *parts, uint64_t store_seed, const struct cid_slot *slot,
		 uint64_t prefix, struct cid_part **out);
void cid_part_free(struct cid_part *p);
size_t cid_part_memory(const struct cid_part *p);

/* Loads footer and index once, verifying them. Any thread. */
int cid_part_load(const struct cid_pool *parts, struct cid_part *p, struct cid_part_index **out);
static inline int cid_part_index(const struct cid_pool *parts, struct cid_part *p,
				 struct cid_part_index **out)
{
	*out = atomic_load_explicit(&p->index, memory_order_acquire);
	return *out ? 0 : cid_part_load(parts, p, out);
}

static inline uint64_t cid_part_entry_pos(const struct cid_part *p, uint64_t i)
{
	return p->slot.pos + i * CID_ENTRY_BYTES;
}

/* A verified copy of entry i, one flipped bit corrected; *state is its state.
 * CIDSTORE_ECORRUPT where it is beyond that. */
int cid_part_entry(const struct cid_part *p, uint64_t i, struct cid_entry *out, int *state,
		   _Atomic uint64_t *corrected);

/* The entries of a key: at most two (adds and deletes of a run). *n is how
 * many; an entry that is damaged and might be the key's is CIDSTORE_ECORRUPT. */
struct cid_found {
	struct cid_entry e;
	int state;
};
int cid_part_find(const struct cid_pool *parts, struct cid_part *p, struct cidstore_id key,
		  uint64_t hash, struct cid_found out[2], int *n, _Atomic uint64_t *corrected);
/* Two stages: first the fences, then, once they are there, the tags. */
void cid_part_prefetch(struct cid_part *p, uint64_t hash);
void cid_part_prefetch_entry(struct cid_part *p, uint64_t hash);

/* The first entry whose (hash, key) is not before the given. */
int cid_part_bound(const struct cid_pool *parts, struct cid_part *p, uint64_t store_seed,
		   uint64_t hash, struct cidstore_id key, uint64_t *out,
		   _Atomic uint64_t *corrected);

/* ---- building ---- */

struct cid_builder {
	struct cid_pool *parts;
	struct cid_lists *lists;
	uint64_t store_seed, seed, generation;
	struct cid_slot slot;
	struct cid_footer footer;
	uint64_t max_entries, max_packed;
	uint64_t prefix;
	uint32_t depth;
	struct cid_entry *buf; /* entries not written yet */
	uint32_t nbuf;
	uint64_t n;
	struct cid_part_index *index;
	uint32_t bin;	       /* start[] is filled up to here */
	struct cidstore_id *vbuf; /* packed values not written yet */
	uint32_t nvbuf;
	uint64_t packed_at;	  /* bytes of the packed extent in use */
	/* the list under way */
	struct cidstore_id *list;
	uint32_t nlist;
	struct cid_tree tree;
	bool in_tree;
	uint32_t threshold;
	uint64_t promotions;
};

/* Scratch memory is kept between uses: zero it once. Allocates for at most
 * max_entries entries; packed lists beyond max_packed bytes become trees. */
int cid_builder_begin(struct cid_builder *b, struct cid_pool *parts, struct cid_lists *lists,
		      uint64_t store_seed, uint64_t generation, uint32_t threshold, uint8_t kind,
		      uint32_t depth, uint64_t prefix, uint64_t max_entries, uint64_t max_packed);
/* One value of the list that the next cid_builder_list() ends. */
int cid_builder_value(struct cid_builder *b, uint64_t hash, struct cidstore_id id);
/* Several, in order. */
int cid_builder_values(struct cid_builder *b, const struct cidstore_id *v, size_t n);
/* Ends the list and appends the key's entry with it, in this role. No value
 * makes EMPTY or TOUCH, or, as DEL, no entry. */
int cid_builder_list(struct cid_builder *b, struct cidstore_id key, uint64_t hash,
		     enum cid_role role);
/* Appends an entry as it stands, its tree and all. */
int cid_builder_entry(struct cid_builder *b, const struct cid_entry *e, uint64_t hash,
		      enum cid_state s);
/* Writes what is left; *out is a new handle with its index in memory, or, for
 * a bucket without entries, one with pos 0. */
int cid_builder_end(struct cid_builder *b, struct cid_part **out);
void cid_builder_abort(struct cid_builder *b);
void cid_builder_fini(struct cid_builder *b);

#endif
