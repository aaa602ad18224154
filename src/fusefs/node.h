/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node.h - what the kernel knows, by node id
 *
 * A node id is a handle of a table slot, never a hash: two identities have two
 * ids, whatever they are. A slot is taken by the first lookup of an identity,
 * given back by the forget that takes its last lookup, and used again under a
 * new generation. An identity whose name went (unlink, rmdir, rename over it)
 * leaves the index at once: the kernel may keep the old id for an open file or
 * a working directory, and a new object of the same name gets another one.
 *
 * The kernel alone decides when to forget. The table therefore has no hard
 * limit; above the soft one its owner asks the kernel to let the oldest go.
 *
 * Any thread may call; one short mutex guards the table.
 */
#ifndef CID_FUSEFS_NODE_H
#define CID_FUSEFS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"

#define CID_ROOT 1u

enum cid_node_kind {
	CID_NODE_NONE,
	CID_NODE_ROOT,
	CID_NODE_KEY,
	CID_NODE_VALUE,
	CID_NODE_CTL /* of the control tree; named by its path */
};

struct cid_node {
	enum cid_node_kind kind;
	bool gone;		/* its name was removed while the kernel held it */
	struct cidstore_id key; /* of a control node: the hash of its path */
	struct cidstore_id value;
	const char *path; /* of a control node; lives as long as the lookup */
};

struct cid_nodes;

int cid_nodes_new(size_t soft_limit, struct cid_nodes **out);
void cid_nodes_free(struct cid_nodes *t);

/* Adds one lookup to an identity. *known: it had one before, so that replies
 * about it can be under way. Returns 0 or CIDSTORE_ENOMEM. */
int cid_nodes_ref(struct cid_nodes *t, const struct cid_node *id, uint64_t *node,
		  uint64_t *generation, bool *known);
void cid_nodes_forget(struct cid_nodes *t, uint64_t node, uint64_t nlookup);

/* The identity behind a node id; CIDSTORE_ENOENT where there is none. */
int cid_nodes_get(struct cid_nodes *t, uint64_t node, struct cid_node *out);
/* The node id of an identity, or 0. */
uint64_t cid_nodes_find(struct cid_nodes *t, const struct cid_node *id);

/* Attributes that can change are about to be read for a reply the kernel will
 * keep; cid_nodes_changed() of the node then says true: that reply may be on its
 * way and older than the change. Who was told so tells the kernel and then says
 * cid_nodes_told(); until one has, all who change the node are told. */
void cid_nodes_grant(struct cid_nodes *t, uint64_t node);
bool cid_nodes_changed(struct cid_nodes *t, uint64_t node);
void cid_nodes_told(struct cid_nodes *t, uint64_t node);

/* The name of an identity was removed, or became another name. What had the
 * new name before is gone. Returns the moved node's id, or 0. */
void cid_nodes_remove(struct cid_nodes *t, const struct cid_node *id);
uint64_t cid_nodes_move(struct cid_nodes *t, const struct cid_node *from,
			const struct cid_node *to);

size_t cid_nodes_count(struct cid_nodes *t);
/* How many nodes there are above the soft limit. */
size_t cid_nodes_excess(struct cid_nodes *t);
/* The ids of the nodes looked up longest ago; they count as new afterwards. */
size_t cid_nodes_oldest(struct cid_nodes *t, uint64_t *out, size_t cap);
/* The ids of all nodes that are keys (or keys and values), in pieces: *cursor
 * starts at 0, `out` has room for CID_NODES_STEP. False at the end. Nodes that
 * come and go meanwhile may be left out. */
#define CID_NODES_STEP 512
bool cid_nodes_walk(struct cid_nodes *t, bool keys_only, uint64_t *cursor, uint64_t *out,
		    size_t *n);

#endif
