/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * merge.h - walking several parts at once, key by key, in order of the hash
 *
 * Inputs are ranges of parts, oldest first. A merge gives, for each key, what
 * the inputs say of it as layers, newest first, down to the one that hides the
 * rest. It stops in front of a hash and can go on from there.
 */
#ifndef CID_STORE_MERGE_H
#define CID_STORE_MERGE_H

#include "store/view.h"

struct cid_input {
	struct cid_part *p;
	uint64_t at, end; /* entries */
	uint64_t fetched; /* read ahead up to this entry */
	uint64_t hash;	  /* of the current entry */
	struct cid_entry e;
	int state;
	bool have;
};

struct cid_merge {
	struct cid_tables *t;
	struct cid_input *in;
	uint32_t n;
	uint64_t before; /* hashes from here on are not touched */
	struct cid_merge_head {
		uint64_t hash;
		uint32_t in;
	} *heap; /* the earliest current entry, the newest of equal keys first */
	uint32_t nheap;
};

/* Room for n inputs, to be filled in; CIDSTORE_ENOMEM. */
int cid_merge_init(struct cid_merge *m, struct cid_tables *t, uint32_t n);
void cid_merge_fini(struct cid_merge *m);
/* To the next entry of an input; `have` is false where none is left below
 * `before`, which is then not consumed. */
int cid_input_next(struct cid_tables *t, struct cid_input *in, uint64_t before);
/* Starts, or goes on, up to a hash. */
int cid_merge_upto(struct cid_merge *m, uint64_t before);
static inline const struct cid_input *cid_merge_first(const struct cid_merge *m)
{
	return m->nheap ? &m->in[m->heap[0].in] : NULL;
}
/* The layers of the first key, which is passed. `k` is initialised whatever is
 * returned, and the caller's. */
int cid_merge_key(struct cid_merge *m, struct cid_key *k);

/* Appends an entry as it stands, a packed list with its values. */
int cid_merge_copy(struct cid_tables *t, struct cid_builder *b, const struct cid_entry *e,
		   enum cid_state st, uint64_t hash);

#endif
