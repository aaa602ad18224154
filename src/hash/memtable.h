/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memtable.h - what the log holds, as a table
 *
 * Operations stand in an array in the order of the log. A table of slots finds
 * the newest operation of a key; from there `prev` leads through the key's
 * older ones. Slots are placed by the top bits of the hash and probed
 * linearly, so that walking them yields the keys almost in hash order. A key
 * with many operations is also entered pair by pair in a second table, so that
 * asking for one value never walks a long chain.
 *
 * One writer at a time adds; any number of readers look without a lock. A
 * reader takes `visible` once and ignores operations from that number on; a
 * batch becomes visible as a whole by raising it. Operations never change once
 * they are visible.
 *
 * All of it may lie in memory that others have mapped, elsewhere: nothing in
 * there is a pointer. Who looks from another process cannot be waited for; so
 * the owner raises `turn` before it empties the table, and what was read holds
 * if `turn` is what it was. Until that is known it may be a mixture of old and
 * new: numbers still lead to places inside, and chains still end, as each
 * operation names only ones before it.
 */
#ifndef CID_HASH_MEMTABLE_H
#define CID_HASH_MEMTABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include "base/hash.h"

enum cid_mem_kind { CID_MEM_INSERT = 1, CID_MEM_DELETE, CID_MEM_MKKEY, CID_MEM_RMKEY };

enum {
	CID_MEM_EXISTS = 1, /* an insert or mkkey since the barrier */
	CID_MEM_KNOWN = 2   /* `net` is exact for all operations since the barrier */
};

struct cid_mem_op {
	struct cidstore_id key;
	struct cidstore_id value;
	uint32_t prev;	  /* number + 1 of the key's operation before, 0: none */
	uint32_t barrier; /* number + 1 of the key's latest RMKEY up to here */
	int32_t net;	  /* change of the set's size since the barrier */
	uint16_t depth;	  /* operations since the barrier, saturating */
	uint8_t kind;
	uint8_t flags;
};
_Static_assert(sizeof(struct cid_mem_op) == 48, "three to two cache lines");

/* What others must know of it. */
struct cid_mem_face {
	_Atomic uint64_t turn;
	_Atomic uint32_t visible;
	/* as they were when it was published */
	_Atomic uint32_t count, keys, multi, pairs, unknown;
	_Atomic int64_t net_keys, net_values;
};

struct cid_mem {
	struct cid_mem_face *face;
	struct cid_mem_face own;
	bool elsewhere; /* face, op, slot and pair are in memory of the caller's */
	struct cid_mem_op *op;
	_Atomic uint64_t *slot; /* 37 bits of the hash << 27 | number + 1 */
	_Atomic uint64_t *pair;
	struct cid_mem_sets *sets; /* large sets that readers have sorted; gather.c */
	uint64_t seed;
	uint32_t cap;
	uint32_t slot_bits, slot_spare;
	uint32_t pair_mask;
	uint32_t count;		  /* operations added; the writer's */
	uint32_t keys;		  /* slots in use; the writer's */
	uint32_t multi;		  /* keys with several operations, at most */
	uint32_t pairs;		  /* pairs in use; the writer's */
	uint32_t unknown;	  /* operations whose effect on counts is unknown */
	int64_t net_keys, net_values; /* of the known ones */
	uint64_t first_lsn;	  /* of the first operation */
	uint64_t end_lsn;	  /* of the last one + 1, once sealed */
};

/* Memory for an operation of a table's capacity, about. */
#define CID_MEM_OP_BYTES 96

/* What an operation did to the counts, where that is known. */
struct cid_mem_effect {
	bool known;
	int8_t keys;
	int64_t values;
};

int cid_mem_init(struct cid_mem *m, uint32_t cap, uint64_t seed);
/* In memory of cid_mem_bytes(cap) that outlasts it: zeros; or, for looking at it
 * only, what another process has made of such. */
int cid_mem_init_in(struct cid_mem *m, void *memory, uint32_t cap, uint64_t seed);
uint64_t cid_mem_bytes(uint32_t cap);
/* Takes over the sums as they are there. */
void cid_mem_sums(const struct cid_mem *m, struct cid_mem_face *out);
void cid_mem_fini(struct cid_mem *m);
/* Empties it for reuse; no reader may be inside. */
void cid_mem_reset(struct cid_mem *m);

static inline bool cid_mem_full(const struct cid_mem *m)
{
	return m->count == m->cap;
}

/* Adds one operation, not visible yet. False: no room, nothing changed. */
bool cid_mem_add(struct cid_mem *m, enum cid_mem_kind kind, struct cidstore_id key,
		 struct cidstore_id value, uint64_t hash, const struct cid_mem_effect *e);
void cid_mem_prefetch(const struct cid_mem *m, uint64_t hash);

static inline uint32_t cid_mem_visible(const struct cid_mem *m)
{
	return atomic_load_explicit(&m->face->visible, memory_order_acquire);
}
void cid_mem_publish(struct cid_mem *m);
/* Was it not emptied since its turn was `turn`? Behind all that was read. */
static inline bool cid_mem_same_turn(const struct cid_mem *m, uint64_t turn)
{
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&m->face->turn, memory_order_relaxed) == turn;
}

/* The key's newest visible operation, or NULL. */
const struct cid_mem_op *cid_mem_head(const struct cid_mem *m, uint32_t visible,
				      struct cidstore_id key, uint64_t hash);
static inline const struct cid_mem_op *cid_mem_prev(const struct cid_mem *m,
						    const struct cid_mem_op *op)
{
	return op->kind == CID_MEM_RMKEY || op->prev == 0 ? NULL : &m->op[op->prev - 1];
}

/* 1: the value is in the set, 0: it is not, -1: older data tells. */
int cid_mem_contains(const struct cid_mem *m, uint32_t visible, const struct cid_mem_op *head,
		     struct cidstore_id value);

/* The newest word on each value since the barrier, sorted by (hash, id). */
struct cid_mem_value {
	uint64_t hash;
	struct cidstore_id id;
	bool present;
};
struct cid_mem_set {
	const struct cid_mem_value *v;
	size_t n;
	struct cid_mem_value *own; /* what the caller frees; the rest lasts as the table does */
};
/* The table keeps what was sorted for a large set: the next reader gets it, or
 * adds what came since. CIDSTORE_ENOMEM. */
int cid_mem_gather(const struct cid_mem *m, const struct cid_mem_op *head,
		   struct cid_mem_set *out);
struct cid_mem_sets *cid_mem_sets_new(void);
void cid_mem_sets_clear(struct cid_mem_sets *s);

/* A key: its hash and the number of its newest operation. */
struct cid_mem_key {
	uint64_t hash;
	uint32_t op; /* number */
};
static inline uint32_t cid_mem_slots(const struct cid_mem *m)
{
	return (1u << m->slot_bits) + m->slot_spare;
}
/* All keys of a table that nobody adds to, sorted by (hash, key); `out` has room
 * for m->keys. Of the hashes the low bits are left out. */
size_t cid_mem_sorted(const struct cid_mem *m, struct cid_mem_key *out);
/* Up to cap keys with (hash, id) > (after_hash, after_id), or from the start
 * where `begun` is false, sorted. */
size_t cid_mem_keys_after(const struct cid_mem *m, uint32_t visible, bool begun,
			  uint64_t after_hash, struct cidstore_id after_id,
			  struct cid_mem_key *out, size_t cap);

#endif
