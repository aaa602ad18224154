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

struct cid_ebr_entry cid_ebr_come(struct cid_ebr *e)
{
	uint64_t now = atomic_load_explicit(&e->epoch, memory_order_acquire);

	if (hint == 0)
		hint = atomic_fetch_add(&next_hint, 1) % CID_EBR_SLOTS + 1;
	for (unsigned i = hint - 1, tries = 0;; i = (i + 1) % CID_EBR_SLOTS) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&e->slot[i].active, &none, now)) {
			uint64_t times = e->slot[i].entered + 1;

			hint = i + 1;
			__atomic_store_n(&e->slot[i].entered, times, __ATOMIC_RELAXED);
			return (struct cid_ebr_entry){ i, times };
		}
		if (++tries % CID_EBR_SLOTS == 0)
			sched_yield();
	}
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
