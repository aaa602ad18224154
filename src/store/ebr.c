/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/ebr.h"

#include <sched.h>
#include <string.h>

static _Atomic unsigned next_hint;
static _Thread_local unsigned hint;

void cid_ebr_init(struct cid_ebr *e)
{
	memset(e, 0, sizeof(*e));
	atomic_store(&e->epoch, 1);
}

unsigned cid_ebr_enter(struct cid_ebr *e)
{
	uint64_t now = atomic_load_explicit(&e->epoch, memory_order_acquire);

	if (hint == 0)
		hint = atomic_fetch_add(&next_hint, 1) % CID_EBR_SLOTS + 1;
	for (unsigned i = hint - 1, tries = 0;; i = (i + 1) % CID_EBR_SLOTS) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&e->slot[i].active, &none, now)) {
			hint = i + 1;
			__atomic_store_n(&e->slot[i].entered, e->slot[i].entered + 1,
					 __ATOMIC_RELAXED);
			return i;
		}
		if (++tries % CID_EBR_SLOTS == 0)
			sched_yield();
	}
}

void cid_ebr_abandon(struct cid_ebr *e)
{
	if (hint != 0) /* the slot this thread took last */
		cid_ebr_leave(e, hint - 1);
}

uint64_t cid_ebr_entered(const struct cid_ebr *e)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < CID_EBR_SLOTS; i++)
		n += __atomic_load_n(&e->slot[i].entered, __ATOMIC_RELAXED);
	return n;
}

uint64_t cid_ebr_retire(struct cid_ebr *e)
{
	return atomic_fetch_add(&e->epoch, 1);
}

bool cid_ebr_passed(struct cid_ebr *e, uint64_t epoch)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < CID_EBR_SLOTS; i++) {
		uint64_t a = atomic_load(&e->slot[i].active);

		if (a != 0 && a <= epoch)
			return false;
	}
	return true;
}
