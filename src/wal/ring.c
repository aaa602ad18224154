/* SPDX-License-Identifier: BSD-2-Clause */
#include "wal/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { NOTE_EVERY = 4096, PAGE = 4096, ZERO_PIECE = 65536 };

int cid_wal_init(struct cid_wal *w, const struct cid_io *io, int fd, uint64_t data_off,
		 uint64_t records, bool writable)
{
	memset(w, 0, sizeof(*w));
	w->io = io;
	w->fd = fd;
	w->records = records;
	w->map_len = (size_t)(records * CID_RECORD_BYTES);
	w->map_base = io->map(io->self, fd, data_off, w->map_len, writable);
	if (!w->map_base)
		return cid_err_from_errno(-errno);
	w->map = w->map_base;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->synced, NULL);
	return 0;
}

void cid_wal_fini(struct cid_wal *w)
{
	if (!w->map)
		return;
	w->io->unmap(w->io->self, w->map_base, w->map_len);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->synced);
	w->map = NULL;
}

uint64_t cid_wal_room(const struct cid_wal *w)
{
	uint64_t used = w->next - atomic_load_explicit(&w->first, memory_order_acquire);

	return used >= w->records ? 0 : w->records - used;
}

void cid_wal_stamp(struct cid_wal *w)
{
	uint64_t now = w->io->realtime(w->io->self);

	if (now > w->nanos) {
		w->nanos = now;
		w->seq = 0;
	}
}

uint64_t cid_wal_put(struct cid_wal *w, enum cid_opcode op, struct cidstore_id key,
		     struct cidstore_id value)
{
	struct cid_record r = {
		.version = CID_RECORD_VERSION,
		.opcode = (uint8_t)op,
		.seq = w->seq++,
		.generation = w->generation,
		.nanos = w->nanos,
		.lsn = w->next,
		.key = key,
		.value = value,
	};
	uint8_t *slot = w->map + (w->next & (w->records - 1)) * CID_RECORD_BYTES;
	_Alignas(64) uint8_t rec[CID_RECORD_BYTES];

	cid_record_pack(&r, rec);
	if (w->io->before)
		w->io->before(w->io->self, slot, CID_RECORD_BYTES);
	memcpy(slot, rec, CID_RECORD_BYTES);
	if (w->io->after)
		w->io->after(w->io->self, slot, CID_RECORD_BYTES);
	if (op == CID_OP_DURABLE)
		w->marked = value.low;
	return w->next++;
}

void cid_wal_publish(struct cid_wal *w)
{
	atomic_store_explicit(&w->appended, w->next - 1, memory_order_release);
}

bool cid_wal_note_due(const struct cid_wal *w)
{
	return atomic_load_explicit(&w->durable, memory_order_relaxed) >= w->marked + NOTE_EVERY;
}

int cid_wal_sync(struct cid_wal *w, uint64_t lsn)
{
	int rc = 0;

	if (atomic_load_explicit(&w->durable, memory_order_acquire) >= lsn &&
	    !atomic_load(&w->failed))
		return 0;
	pthread_mutex_lock(&w->lock);
	while (!atomic_load(&w->failed) && atomic_load(&w->durable) < lsn) {
		uint64_t upto, t0, ns;

		if (w->syncing) {
			pthread_cond_wait(&w->synced, &w->lock);
			continue;
		}
		w->syncing = true;
		upto = atomic_load_explicit(&w->appended, memory_order_acquire);
		pthread_mutex_unlock(&w->lock);
		t0 = w->io->monotonic(w->io->self);
		rc = w->io->sync(w->io->self, w->fd);
		ns = w->io->monotonic(w->io->self) - t0;
		pthread_mutex_lock(&w->lock);
		w->syncing = false;
		if (rc)
			atomic_store(&w->failed, 1);
		else
			atomic_store(&w->durable, upto);
		w->syncs++;
		w->sync_ns += ns;
		if (ns > w->sync_max_ns)
			w->sync_max_ns = ns;
		pthread_cond_broadcast(&w->synced);
	}
	rc = atomic_load(&w->failed) ? CIDSTORE_EFAILED : 0;
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int cid_wal_zero(const struct cid_io *io, int fd, uint64_t data_off, uint64_t records)
{
	uint64_t end = records * CID_RECORD_BYTES;
	uint8_t *zero = calloc(1, ZERO_PIECE);
	int rc = 0;

	if (!zero)
		return CIDSTORE_ENOMEM;
	for (uint64_t off = 0; off < end && rc == 0; off += ZERO_PIECE) {
		uint64_t n = end - off < ZERO_PIECE ? end - off : ZERO_PIECE;

		rc = cid_io_write_full(io, fd, zero, (size_t)n, data_off + off);
	}
	free(zero);
	return rc ? cid_err_from_errno(rc) : 0;
}

/* ---- replay ---- */

static uint32_t generation_at(const struct cid_wal_scan *sc, uint64_t lsn)
{
	uint32_t g = 0;

	for (unsigned i = 0; i < sc->nspans; i++)
		if (lsn >= sc->spans[i].first)
			g = sc->spans[i].generation;
	return g;
}

static bool expected(const struct cid_wal_scan *sc, const struct cid_record *r, uint64_t lsn)
{
	return r->lsn == lsn && r->generation == generation_at(sc, lsn);
}

/* The highest lsn that valid records behind `lsn` vouch for as synced. */
static uint64_t vouched(uint8_t *ring, uint64_t records, const struct cid_wal_scan *sc,
			uint64_t lsn)
{
	uint64_t best = 0;

	for (uint64_t l = lsn + 1; l < sc->first + records; l++) {
		struct cid_record r;

		if (cid_record_unpack(ring + (l & (records - 1)) * CID_RECORD_BYTES, &r) &&
		    expected(sc, &r, l) && r.opcode == CID_OP_DURABLE && r.value.low > best)
			best = r.value.low;
	}
	return best;
}

static bool tail_in_use(uint8_t *ring, uint64_t records, const struct cid_wal_scan *sc)
{
	for (uint64_t l = sc->next; l < sc->first + records; l++) {
		struct cid_record r;

		if (cid_record_unpack(ring + (l & (records - 1)) * CID_RECORD_BYTES, &r) &&
		    expected(sc, &r, l))
			return true;
	}
	return false;
}

int cid_wal_scan(uint8_t *ring, uint64_t records, struct cid_wal_scan *sc,
		 int (*fn)(void *arg, const struct cid_record *r), void *arg)
{
	uint64_t known = sc->known_durable, lsn = sc->first;
	bool asked = false;

	sc->corrected = 0;
	sc->last_nanos = 0;
	for (; lsn < sc->first + records; lsn++) {
		uint8_t *slot = ring + (lsn & (records - 1)) * CID_RECORD_BYTES;
		struct cid_record r;
		int rc;

		if (!cid_record_unpack(slot, &r) || !expected(sc, &r, lsn)) {
			uint8_t copy[CID_RECORD_BYTES];
			int bits;

			if (lsn > known && !asked) {
				uint64_t v = vouched(ring, records, sc, lsn);

				asked = true;
				known = v > known ? v : known;
			}
			if (lsn > known)
				break;
			memcpy(copy, slot, sizeof(copy));
			bits = cid_record_correct(copy);
			if (bits < 0 || !cid_record_unpack(copy, &r) || !expected(sc, &r, lsn))
				return CIDSTORE_ECORRUPT;
			memcpy(slot, copy, sizeof(copy));
			sc->corrected += (uint64_t)bits;
		}
		if (r.version != CID_RECORD_VERSION)
			return CIDSTORE_EVERSION;
		if (r.nanos > sc->last_nanos)
			sc->last_nanos = r.nanos;
		rc = fn(arg, &r);
		if (rc)
			return rc;
	}
	sc->next = lsn;
	sc->dirty_tail = tail_in_use(ring, records, sc);
	return 0;
}
