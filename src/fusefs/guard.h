/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard.h - reads of the store that survive a bad sector
 *
 * The store reads its files through mappings, and a sector the device cannot
 * deliver arrives there as SIGBUS. Within these calls the signal of the calling
 * thread ends the call with CIDSTORE_EIO; anywhere else it ends the process, as
 * before. Arming costs a few stores (the compiler's setjmp saves three words
 * and no signal mask).
 */
#ifndef CID_FUSEFS_GUARD_H
#define CID_FUSEFS_GUARD_H

#include "cidstore/cidstore.h"

struct cid_key_info;

/* Puts the handler in place, process-wide. */
void cid_guard_install(void);

int cid_guard_count(struct cidstore *s, struct cidstore_id key, uint64_t *out);
int cid_guard_contains(struct cidstore *s, struct cidstore_id key, struct cidstore_id value);
int cid_guard_key_info(struct cidstore *s, struct cidstore_id key, struct cid_key_info *out);
/* As cidstore_scan_values, or cidstore_scan_keys where key is NULL. */
int cid_guard_scan(struct cidstore *s, const struct cidstore_id *key, struct cidstore_pos *pos,
		   struct cidstore_item *out, size_t cap, size_t *n);

#endif
