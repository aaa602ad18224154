/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * list.h - value lists on disk: reading in order, and building
 *
 * Reading verifies each block against the checksum in its reference before a
 * value of it is believed. Blocks of the values pool are mapped and stay where
 * they are; what is wanted of them is copied (os/mapped.h).
 */
#ifndef CID_STORE_LIST_H
#define CID_STORE_LIST_H

#include "hash/values.h"
#include "store/space.h"

/* ---- cursors ---- */

struct cid_list_level {
	uint64_t pos;
	const struct cid_node_ref *ref; /* verified; mapped */
	uint32_t n, at;
};

enum { CID_CURSOR_AHEAD = 8 };

/* Walks one sorted list: an array in memory, a packed list or a tree. */
struct cid_cursor {
	const struct cid_pool *values;
	uint64_t seed;
	const struct cidstore_id *v; /* the current block; see `mapped` */
	size_t n, at;
	struct cidstore_id id;	     /* v[at] */
	uint64_t hash;		     /* of it */
	struct cidstore_id ahead[CID_CURSOR_AHEAD]; /* where v is mapped: v[from] .. v[upto - 1] */
	size_t from, upto;
	uint32_t levels;	     /* above the current leaf */
	struct cid_list_level level[CID_TREE_LEVELS];
	struct cid_list_ref root;
	struct cidstore_id own[2];   /* values of an inline list */
	bool mapped, tree;
	bool done;
};

/* The list of an entry in this state, whatever its form. */
int cid_cursor_entry(struct cid_cursor *c, const struct cid_pool *values, uint64_t seed,
		     const struct cid_entry *e, enum cid_state s);
int cid_cursor_next(struct cid_cursor *c);
/* To the first value not before (hash, id). */
int cid_cursor_seek(struct cid_cursor *c, uint64_t hash, struct cidstore_id id);
/* The next n values of the current block, n of which it has. */
int cid_cursor_copy(const struct cid_cursor *c, struct cidstore_id *out, size_t n);

static inline struct cidstore_id cid_cursor_id(const struct cid_cursor *c)
{
	return c->id;
}

/* 1 or 0, or a negative code. */
int cid_list_have(const struct cid_pool *values, uint64_t seed, const struct cid_entry *e,
		  enum cid_state s, uint64_t hash, struct cidstore_id id);
/* Copies up to cap values in order. */
int cid_list_copy(const struct cid_pool *values, uint64_t seed, const struct cid_entry *e,
		  enum cid_state s, struct cidstore_id *out, size_t cap, size_t *n);
/* A verified copy of a block of the values pool. */
int cid_list_load(const struct cid_pool *values, uint64_t pos, size_t bytes, struct cid_sum sum,
		  void *out);

/* ---- trees ---- */

struct cid_lists {
	struct cid_pool *values;
	struct cid_space *space;
	uint64_t seed;
	struct cidstore_id *leaf; /* scratch: CID_LEAF_MAX + CID_LEAF_FILL */
};

/* A tree under construction, values coming in order. */
struct cid_tree {
	struct cid_lists *l;
	struct cidstore_id *leaf; /* CID_LEAF_FILL and some */
	size_t n;
	uint64_t first;		  /* hash of leaf[0] */
	uint64_t last;		  /* hash of the newest value */
	struct cid_node_ref *ref; /* finished leaves */
	size_t nref, cap;
};
void cid_tree_begin(struct cid_tree *t, struct cid_lists *l);
int cid_tree_add(struct cid_tree *t, uint64_t hash, struct cidstore_id id);
/* Writes what is left; *out is the reference, count 0 for an empty one. */
int cid_tree_end(struct cid_tree *t, struct cid_list_ref *out);
void cid_tree_abort(struct cid_tree *t);

/* A stream of changes, in order of (hash, id). */
struct cid_change {
	uint64_t hash;
	struct cidstore_id id;
	bool present; /* after the change */
};
struct cid_changes {
	int (*next)(void *arg, struct cid_change *out); /* 1: one, 0: end, or a code */
	void *arg;
	struct cid_change cur;
	bool have;
};

/* Applies changes to a tree by writing the blocks they touch anew and retiring
 * the old ones. */
int cid_tree_update(struct cid_lists *l, const struct cid_list_ref *old, struct cid_changes *ch,
		    struct cid_list_ref *out);
/* Calls fn for each block of a tree, children before parents; verified. */
struct cid_tree_block {
	uint64_t pos;
	size_t bytes;
	uint32_t level;
	const void *data; /* while fn is called */
};
int cid_tree_walk(const struct cid_pool *values, const struct cid_list_ref *root,
		  int (*fn)(void *arg, const struct cid_tree_block *b), void *arg);
/* The pages a block of so many bytes takes. */
static inline uint64_t cid_pages(uint64_t bytes)
{
	return (bytes + CID_PAGE - 1) / CID_PAGE;
}

#endif
