/* SPDX-License-Identifier: BSD-2-Clause */
/* save.h - puts pairs and keys into a framed stream (base/frame.h) */
#ifndef CID_TOOLS_SAVE_H
#define CID_TOOLS_SAVE_H

#include <stddef.h>
#include "cidstore/cidstore.h"

struct cid_outfile;
struct cid_save;

/* Writes to `out`, which stays the caller's. */
int cid_save_new(struct cid_outfile *out, struct cid_save **save, struct cidstore_error *err);
int cid_save_pairs(struct cid_save *s, const struct cidstore_pair *p, size_t n,
		   struct cidstore_error *err);
/* Keys without values. */
int cid_save_keys(struct cid_save *s, const struct cidstore_id *k, size_t n,
		  struct cidstore_error *err);
/* Writes what waits and the end of the stream. */
int cid_save_end(struct cid_save *s, struct cidstore_error *err);
void cid_save_free(struct cid_save *s);

#endif
