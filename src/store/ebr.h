/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ebr.h - epoch-based reclamation (K. Fraser, 2004)
 *
 * Readers enter before they load a shared pointer and leave when they are done
 * with what it leads to. Whoever unlinks something retires it with the epoch
 * of that moment and frees it once no reader that entered before is inside.
 * Entering and leaving cost one atomic exchange each and never wait, unless
 * more threads than CID_EBR_SLOTS read at once.
 */
#ifndef CID_STORE_EBR_H
#define CID_STORE_EBR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/limits.h"

struct cid_ebr {
	_Atomic uint64_t epoch; /* starts at 1 */
	struct {
		_Alignas(64) _Atomic uint64_t active; /* 0: free */
		uint64_t entered; /* times; the owner's */
	} slot[CID_EBR_SLOTS];
};

void cid_ebr_init(struct cid_ebr *e);
/* The slot that was taken, and how often it has been. */
struct cid_ebr_entry {
	unsigned slot;
	uint64_t times;
};
struct cid_ebr_entry cid_ebr_come(struct cid_ebr *e);
static inline unsigned cid_ebr_enter(struct cid_ebr *e)
{
	return cid_ebr_come(e).slot;
}
static inline void cid_ebr_leave(struct cid_ebr *e, unsigned slot)
{
	atomic_store_explicit(&e->slot[slot].active, 0, memory_order_release);
}
/* How often readers entered, about. */
uint64_t cid_ebr_entered(const struct cid_ebr *e);
/* Call after unlinking; what was unlinked may go when cid_ebr_passed(). */
uint64_t cid_ebr_retire(struct cid_ebr *e);
bool cid_ebr_passed(struct cid_ebr *e, uint64_t epoch);

#endif
