/* SPDX-License-Identifier: BSD-2-Clause */
#include "wal/feed.h"

#include <string.h>

#include "os/mapped.h"

enum { COPIED = 64 };

uint64_t cid_wal_oldest(const struct cid_wal *w)
{
	uint64_t appended = atomic_load_explicit(&w->appended, memory_order_acquire);
	uint64_t reach = w->records - CID_WAL_GROUP(w->records);
	uint64_t lsn = appended + 1 > reach ? appended + 1 - reach : 1;

	return lsn > w->span[0].first ? lsn : w->span[0].first;
}

struct copy {
	const struct cid_wal *w;
	uint64_t lsn;
	int n;
	volatile int done; /* looked at after a jump out of the copying */
	uint64_t raw[COPIED][CID_RECORD_BYTES / 8];
};

/* Slots the writer may be storing into: what comes of it is judged later. */
__attribute__((no_sanitize_thread)) static void copy_slots(void *arg)
{
	struct copy *c = arg;

	for (; c->done < c->n; c->done++) {
		uint64_t slot = (c->lsn + (uint64_t)c->done) & (c->w->records - 1);
		const uint64_t *from =
			(const uint64_t *)(const void *)(c->w->map + slot * CID_RECORD_BYTES);

		for (int i = 0; i < CID_RECORD_BYTES / 8; i++)
			c->raw[c->done][i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	}
}

static uint32_t generation_at(const struct cid_wal *w, uint64_t lsn)
{
	uint32_t g = 0;

	for (unsigned i = 0; i < w->spans && lsn >= w->span[i].first; i++)
		g = w->span[i].generation;
	return g;
}

static bool judge(const struct cid_wal *w, uint64_t lsn, uint8_t rec[CID_RECORD_BYTES],
		  struct cid_record *out)
{
	if (!cid_record_unpack(rec, out) &&
	    (cid_record_correct(rec) < 0 || !cid_record_unpack(rec, out)))
		return false;
	return out->version == CID_RECORD_VERSION && out->lsn == lsn &&
	       out->generation == generation_at(w, lsn);
}

int cid_wal_copy(const struct cid_wal *w, uint64_t lsn, struct cid_record *out, int n)
{
	uint64_t appended = atomic_load_explicit(&w->appended, memory_order_acquire);
	struct copy c;

	if (lsn < cid_wal_oldest(w))
		return CIDSTORE_EEXPIRED;
	if (lsn > appended)
		return 0;
	if (n > COPIED)
		n = COPIED;
	if ((uint64_t)n > appended - lsn + 1)
		n = (int)(appended - lsn + 1);
	c.w = w;
	c.lsn = lsn;
	c.n = n;
	c.done = 0;
	while (c.done < n && !cid_mapped_run(copy_slots, &c)) {
		/* One that cannot be read: it does not verify. */
		memset(c.raw[c.done], 0, sizeof(c.raw[0]));
		c.done++;
	}
	/* Whoever stored what was copied had published all before; see ring.c. */
	atomic_thread_fence(memory_order_acquire);
	if (lsn < cid_wal_oldest(w))
		return CIDSTORE_EEXPIRED;
	for (int i = 0; i < n; i++)
		if (!judge(w, lsn + (uint64_t)i, (uint8_t *)c.raw[i], &out[i]))
			out[i] = (struct cid_record){ .opcode = CID_OP_NONE,
						      .lsn = lsn + (uint64_t)i };
	return n;
}

void cid_wal_await(struct cid_wal *w, uint64_t seen)
{
	pthread_mutex_lock(&w->feed_lock);
	atomic_store(&w->awaited, 1);
	while (!w->woken && atomic_load(&w->appended) <= seen)
		pthread_cond_wait(&w->news, &w->feed_lock);
	w->woken = false;
	atomic_store(&w->awaited, 0);
	pthread_mutex_unlock(&w->feed_lock);
}

void cid_wal_wake(struct cid_wal *w)
{
	pthread_mutex_lock(&w->feed_lock);
	w->woken = true;
	pthread_cond_broadcast(&w->news);
	pthread_mutex_unlock(&w->feed_lock);
}
