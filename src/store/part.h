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
 * when it is wanted and may be dropped again (memory.c): an index is looked at
 * inside the EBR domain or by the maintaining thread within a step. What a lookup
 * reads of a handle is the first cache line. */
struct cid_part {
	_Alignas(64) _Atomic(struct cid_part_index *) index;
	const struct cid_entry *entry; /* mapped (os/mapped.h); NULL without entries */
	uint64_t entry_seed; /* of the checksums of entries, counted from the extent's start */
	uint64_t newest_run; /* merged into it; known where index was, or pos is 0 */
	uint32_t entries;
	uint8_t bins_log2, depth; /* written once, before the first index is seen */
	bool used;	     /* the index was asked for since the clock came by */
	_Alignas(64) struct cid_slot slot;
	uint64_t seed;	     /* of footer and index */
	uint64_t prefix;     /* of a bucket: its first hash */
	uint64_t packed_pages; /* UINT64_MAX where that is not known yet */
	uint64_t ebr;			   /* when retired */
	struct cid_part *next_retired;
};
_Static_assert(offsetof(struct cid_part, slot) == 64, "a lookup reads one line of a handle");

struct cid_part_index {
	struct cid_footer footer;
	struct cid_index x;
	size_t bytes; /* in use */
	size_t room;  /* of the block in the arena */
	uint64_t ebr; /* when dropped */
	struct cid_part_index *next_retired;
	_Alignas(64) uint8_t data[];
};

/* A block of memory for an index of so many bytes, or NULL. */
struct cid_part_index *cid_part_index_new(size_t bytes);
void cid_part_index_free(struct cid_part_index *x);
/* Points x into data. */
void cid_part_index_set(struct cid_part_index *x, const struct cid_footer *f);
/* Hands it to readers, unless there is one: the one that they use is returned
 * and the other is freed. */
struct cid_part_index *cid_part_index_publish(struct cid_part *p, struct cid_part_index *x);

/* A handle for a slot; the footer is not looked at yet. */
int cid_part_new(const struct cid_pool *parts, uint64_t store_seed, const struct cid_slot *slot,
		 uint64_t prefix, struct cid_part **out);
void cid_part_free(struct cid_part *p);
size_t cid_part_memory(const struct cid_part *p);

/* The footer alone, verified; of a part that has entries. */
int cid_part_footer(const struct cid_pool *parts, const struct cid_part *p, struct cid_footer *out);
/* Judges a footer, verified, against the slot that led to it. */
bool cid_footer_fits(const struct cid_footer *f, const struct cid_part *p);
/* Loads footer and index once, verifying them. Any thread. */
int cid_part_load(const struct cid_pool *parts, struct cid_part *p, struct cid_part_index **out);
static inline int cid_part_index(const struct cid_pool *parts, struct cid_part *p,
				 struct cid_part_index **out)
{
	*out = atomic_load_explicit(&p->index, memory_order_acquire);
	if (!__atomic_load_n(&p->used, __ATOMIC_RELAXED))
		__atomic_store_n(&p->used, true, __ATOMIC_RELAXED);
	return *out ? 0 : cid_part_load(parts, p, out);
}

static inline uint64_t cid_part_entry_pos(const struct cid_part *p, uint64_t i)
{
	return p->slot.pos + i * CID_ENTRY_BYTES;
}

/* A verified copy of entry i, one flipped bit corrected; *state is its state.
 * CIDSTORE_ECORRUPT where it is beyond that, CIDSTORE_EIO where the device cannot
 * deliver it. */
int cid_part_entry(const struct cid_part *p, uint64_t i, struct cid_entry *out, int *state,
		   _Atomic uint64_t *corrected);
/* The same for who writes it anew, or judges it: two flipped bits corrected,
 * which takes milliseconds. */
int cid_part_entry_deep(const struct cid_part *p, uint64_t i, struct cid_entry *out, int *state,
			_Atomic uint64_t *corrected);

/* The entries of a key: at most two (adds and deletes of a run). *n is how
 * many; an entry that is damaged and might be the key's is CIDSTORE_ECORRUPT. */
struct cid_found {
	struct cid_entry e;
	int state;
};
int cid_part_find(const struct cid_pool *parts, struct cid_part *p, struct cidstore_id key,
		  uint64_t hash, struct cid_found out[2], int *n, _Atomic uint64_t *corrected);
/* The index as a lookup reads it: from the handle, without a look at x->x. */
static inline struct cid_index cid_part_fences(const struct cid_part *p,
					       const struct cid_part_index *x)
{
	const uint32_t *start = (const uint32_t *)(const void *)x->data;

	return (struct cid_index){ .bins_log2 = p->bins_log2,
				   .depth = p->depth,
				   .entries = p->entries,
				   .start = start,
				   .tag = (const uint16_t *)(start + ((size_t)1 << p->bins_log2) + 1) };
}

/* The first entry from `from` on that may be of this hash, or p->entries. */
static inline uint32_t cid_part_candidate(const struct cid_part *p, const struct cid_part_index *x,
					  uint64_t hash, uint32_t from)
{
	struct cid_index f = cid_part_fences(p, x);

	return cid_index_find(&f, hash, from);
}

/* The short way of a lookup in a bucket: 1 and *out, verified as it stands, where
 * the first candidate, at `at`, is the key's full entry; 0 where there is none;
 * -1 where cid_part_find_at() has to tell. */
int cid_part_full_at(const struct cid_part *p, struct cidstore_id key, uint32_t at,
		     struct cid_found *out);
/* cid_part_find() from the first candidate on. */
int cid_part_find_at(struct cid_part *p, const struct cid_part_index *x, struct cidstore_id key,
		     uint64_t hash, uint32_t at, struct cid_found out[2], int *n,
		     _Atomic uint64_t *corrected);

/* What a lookup will touch, brought nearer: the bin and, by a guess, tags and
 * entry. */
void cid_part_prefetch_guess(const struct cid_part *p, uint64_t hash, bool entry);

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
/* Those of a packed list, verified. */
int cid_builder_packed(struct cid_builder *b, const struct cid_pool *values,
		       const struct cid_list_ref *ref);
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
