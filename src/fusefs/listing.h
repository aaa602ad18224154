/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listing.h - a position in the keys, or in the values of a key, with the items
 * around it read ahead in batches that grow from a few to a bounded number
 */
#ifndef CID_FUSEFS_LISTING_H
#define CID_FUSEFS_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"
#include "fusefs/fs.h"

struct cid_listing {
	struct cid_fusefs *fs;
	bool of_values;
	struct cidstore_id key;	    /* whose values */
	struct cidstore_pos pos;    /* behind the last item held */
	struct cidstore_item *item; /* `count` of them, `next` is the first unread */
	size_t cap, count, next;
	uint64_t before; /* everything with a hash below this comes before item[0] */
	uint64_t changes; /* the mount's counter from before item[] was read */
	double read_at;	  /* monotonic seconds: when item[] was read; see cid_listing_age */
	bool end;	  /* nothing comes behind item[] */
};

/* `key` NULL: the keys of the store. */
void cid_listing_init(struct cid_listing *l, struct cid_fusefs *f, const struct cidstore_id *key);
void cid_listing_fini(struct cid_listing *l);

/* Moves to the first item whose hash is `hash` or more. Whether it reads the
 * store anew is told by `fresh`. */
void cid_listing_seek(struct cid_listing *l, uint64_t hash, bool fresh);

/* The next items that share one hash, *n of them, 0 at the end. They stay
 * where they are until the next call. */
int cid_listing_group(struct cid_listing *l, const struct cidstore_item **out, size_t *n);
/* Seconds since the items held were read, where another process writes; else 0. */
double cid_listing_age(const struct cid_listing *l);
/* Moves behind the group. */
void cid_listing_advance(struct cid_listing *l, size_t n);

#endif
