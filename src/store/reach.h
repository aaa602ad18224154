/* SPDX-License-Identifier: BSD-2-Clause */
/* reach.h - walking all that a root refers to */
#ifndef CID_STORE_REACH_H
#define CID_STORE_REACH_H

#include "store/part.h"

struct cid_reach {
	struct cid_pool *pool;
	const struct cid_root *root;
	const struct cid_io *io;
	int delfd;
	bool deep; /* verify each entry, list and order, not only what leads on */
	/* Each extent, once per reference. Stops when it returns not 0. */
	int (*extent)(void *arg, enum cid_pool_kind k, uint64_t pos, uint64_t pages);
	/* Deep: damage, in words; NULL: the walk ends with CIDSTORE_ECORRUPT. */
	void (*damage)(void *arg, const char *what);
	/* Deep: share of the parts done, now and then; a result not 0 ends it. */
	int (*progress)(void *arg, double share);
	void *arg;
	/* out */
	uint64_t buckets, runs, entries, keys, values, units, bytes, corrected;
};

int cid_reach(struct cid_reach *w);
/* The part of one slot alone. */
int cid_reach_part(struct cid_reach *w, const struct cid_slot *slot, uint64_t prefix,
		   uint8_t kind);

uint64_t cid_group_pack(const struct cid_list_ref *r);
void cid_group_unpack(uint64_t group, struct cid_list_ref *out);
/* As cid_tree_walk for a tree named by a deletion record, whose root block has
 * no checksum to go by. */
int cid_group_walk(const struct cid_pool *values, uint64_t group,
		   int (*fn)(void *arg, const struct cid_tree_block *b), void *arg);
int cid_deletion_read(const struct cid_io *io, int delfd, const struct cid_root *r, uint64_t number,
		      struct cid_deletion_page *out);

#endif
