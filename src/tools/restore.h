/* SPDX-License-Identifier: BSD-2-Clause */
/* restore.h - takes a framed stream (base/frame.h) apart into pairs and keys */
#ifndef CID_TOOLS_RESTORE_H
#define CID_TOOLS_RESTORE_H

#include <stddef.h>
#include "tools/target.h"

struct cid_restore;

/* The sink is copied. CIDSTORE_ENOMEM. */
int cid_restore_new(const struct cid_sink *sink, struct cid_restore **out);
void cid_restore_free(struct cid_restore *r);
/* Takes n bytes, in pieces of any size. What a damaged stream holds before the
 * damage may have reached the sink. */
int cid_restore_feed(struct cid_restore *r, const void *p, size_t n, struct cidstore_error *err);
/* The stream is over: an error when it was cut off. */
int cid_restore_end(struct cid_restore *r, struct cidstore_error *err);

#endif
