/* SPDX-License-Identifier: BSD-2-Clause */
/* dump.h - everything in a view that does not change, once, in order */
#ifndef CID_STORE_DUMP_H
#define CID_STORE_DUMP_H

#include "store/view.h"

struct cid_dump;

/* Where the items go: pairs, and keys without values. */
struct cid_dump_out {
	struct cidstore_pair *pair;
	struct cidstore_id *key;
	size_t pairs, pair_cap, keys, key_cap;
};

/* `t` and `v` must outlive it. */
int cid_dump_new(struct cid_tables *t, const struct cid_view *v, struct cid_dump **out);
/* Fills `out` until one of its arrays is full or everything was given. A
 * failure is told after what came before it, and again ever after. */
int cid_dump_read(struct cid_dump *d, struct cid_dump_out *out);
void cid_dump_free(struct cid_dump *d);

#endif
