/* SPDX-License-Identifier: BSD-2-Clause */
/* turn.c - the writers' lock, and how long a call takes */
#include "store/engine.h"

struct cid_turn cid_turn_take(struct cidstore *s, size_t n)
{
	struct cid_turn t = { 0, false, n >= CID_GAUGE_MANY };

	if (pthread_mutex_trylock(&s->write)) {
		t.waited = true;
		t.began = s->io->monotonic(s->io->self);
		pthread_mutex_lock(&s->write);
	} else if (t.many ||
		   atomic_load_explicit(&s->gauge.turns[0], memory_order_relaxed) % CID_GAUGE_FEW ==
			   0) {
		t.began = s->io->monotonic(s->io->self);
	}
	return t;
}

static void bump(_Atomic uint64_t *p)
{
	atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* What a call was refused for the store's sake, not the caller's. */
static bool is_failure(int rc)
{
	return rc == CIDSTORE_ENOSPC || rc == CIDSTORE_EIO || rc == CIDSTORE_ECORRUPT ||
	       rc == CIDSTORE_ENOMEM || rc == CIDSTORE_EFAILED;
}

void cid_turn_end(struct cidstore *s, const struct cid_turn *t, int rc)
{
	struct cid_gauge *g = &s->gauge;

	bump(&g->turns[t->many]);
	if (t->waited)
		bump(&g->waited[t->many]);
	if (is_failure(rc))
		bump(&g->failed);
	if (t->began)
		cid_gauge_add_own(&g->change, s->io->monotonic(s->io->self) - t->began,
				  t->many || t->waited ? 1 : CID_GAUGE_FEW);
	pthread_mutex_unlock(&s->write);
}
