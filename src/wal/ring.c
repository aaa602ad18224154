/* SPDX-License-Identifier: BSD-2-Clause */
#include "wal/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/plant.h"
#include "os/mapped.h"

enum { NOTE_EVERY = CID_NOTE_EVERY, PAGE = 4096, ZERO_PIECE = 65536, AHEAD = 16 };

int cid_wal_init(struct cid_wal *w, const struct cid_io *io, int fd, uint64_t data_off,
		 uint64_t records, bool writable)
{
	memset(w, 0, sizeof(*w));
	w->io = io;
	w->fd = fd;
	w->data_off = data_off;
	w->records = records;
	w->map_len = (size_t)(records * CID_RECORD_BYTES);
	w->map_base = io->map(io->self, fd, data_off, w->map_len, writable);
	if (!w->map_base)
		return cid_err_from_errno(-errno);
	w->map = w->map_base;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->synced, NULL);
	pthread_mutex_init(&w->feed_lock, NULL);
	pthread_cond_init(&w->news, NULL);
	return 0;
}

void cid_wal_fini(struct cid_wal *w)
{
	if (!w->map)
		return;
	w->io->unmap(w->io->self, w->map_base, w->map_len);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->synced);
	pthread_mutex_destroy(&w->feed_lock);
	pthread_cond_destroy(&w->news);
	w->map = NULL;
}

void cid_wal_spans(struct cid_wal *w, const struct cid_wal_span *span, unsigned n)
{
	/* Of a full list the oldest goes, and with it what it covered. */
	if (n == CID_WAL_SPANS && span[n - 1].generation != w->generation) {
		span++;
		n--;
	}
	memcpy(w->span, span, n * sizeof(*span));
	if (n == 0 || span[n - 1].generation != w->generation)
		w->span[n++] = (struct cid_wal_span){ .first = w->next,
						      .generation = w->generation };
	w->spans = n;
}

uint64_t cid_wal_room(const struct cid_wal *w)
{
	uint64_t used = w->next - atomic_load_explicit(&w->first, memory_order_acquire);

	if (CID_PLANT(22))
		return w->records;
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
	if (atomic_load_explicit(&w->failed, memory_order_relaxed) || !cid_mapped_line(slot, rec)) {
		atomic_store(&w->failed, 1);
		return 0;
	}
	if (w->io->after)
		w->io->after(w->io->self, slot, CID_RECORD_BYTES);
	if (op == CID_OP_DURABLE)
		w->marked = value.low;
	return w->next++;
}

void cid_wal_publish(struct cid_wal *w)
{
	assert(w->next - 1 - atomic_load_explicit(&w->appended, memory_order_relaxed) <=
	       CID_WAL_GROUP(w->records));
	atomic_store_explicit(&w->appended, w->next - 1, memory_order_release);
	/* Records that follow must not be seen before this number is, by whom
	 * copies slots; and who waits has said so or sees the number. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&w->awaited, memory_order_relaxed)) {
		pthread_mutex_lock(&w->feed_lock);
		pthread_cond_broadcast(&w->news);
		pthread_mutex_unlock(&w->feed_lock);
	}
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
		rc = CID_PLANT(1) ? 0 : w->io->sync(w->io->self, w->fd);
		ns = w->io->monotonic(w->io->self) - t0;
		pthread_mutex_lock(&w->lock);
		w->syncing = false;
		if (rc && !CID_PLANT(32))
			atomic_store(&w->failed, 1);
		else
			atomic_store(&w->durable, upto);
		if (w->told)
			atomic_store(w->told, atomic_load(&w->durable));
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

uint32_t cid_wal_generation(const struct cid_wal_scan *sc, uint64_t lsn)
{
	uint32_t g = 0;

	for (unsigned i = 0; i < sc->nspans; i++)
		if (lsn >= sc->spans[i].first)
			g = sc->spans[i].generation;
	return g;
}

static bool expected(const struct cid_wal_scan *sc, const struct cid_record *r, uint64_t lsn)
{
	return (CID_PLANT(14) || r->lsn == lsn) &&
	       (CID_PLANT(15) || r->generation == cid_wal_generation(sc, lsn));
}

/* The highest lsn that valid records behind `lsn` vouch for as synced. */
static uint64_t vouched(const uint8_t *ring, uint64_t records, const struct cid_wal_scan *sc,
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

/* Neither a record nor nothing. */
static bool is_remnant(const uint8_t *slot)
{
	static const uint8_t none[CID_RECORD_BYTES];
	struct cid_record r;

	return memcmp(slot, none, sizeof(none)) != 0 && !cid_record_unpack(slot, &r);
}

/* What the slots behind the last record hold. */
static void judge_tail(uint8_t *ring, uint64_t records, struct cid_wal_scan *sc)
{
	uint32_t newest = sc->nspans ? sc->spans[sc->nspans - 1].generation : 0;

	sc->dirty_tail = sc->overtaken = false;
	sc->remnants = 0;
	for (uint64_t l = sc->next; l < sc->first + records; l++) {
		const uint8_t *slot = ring + (l & (records - 1)) * CID_RECORD_BYTES;
		struct cid_record r;

		if (!cid_record_unpack(slot, &r)) {
			sc->remnants += is_remnant(slot);
			continue;
		}
		if (expected(sc, &r, l))
			sc->dirty_tail = true;
		/* Only a newer root lets a generation begin, or a lap. */
		if (r.lsn >= l && (r.generation > newest ||
				   (r.generation == newest && r.lsn >= sc->first + records)))
			sc->overtaken = true;
	}
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

		if (sc->ahead)
			sc->ahead(arg, cid_record_key(ring + ((lsn + AHEAD) & (records - 1)) *
								     CID_RECORD_BYTES));
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
			if (bits < 0 || !cid_record_unpack(copy, &r) || !expected(sc, &r, lsn)) {
				sc->next = lsn;
				judge_tail(ring, records, sc);
				return CIDSTORE_ECORRUPT;
			}
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
	judge_tail(ring, records, sc);
	if (CID_PLANT(7))
		sc->dirty_tail = false;
	return 0;
}

/*
 * A record that power cut off may lack no more than words which the next one to
 * be stored there has, too; that one, cut off in turn, could make it whole, and
 * what it says would count although it did not before. So nothing is left of
 * it: first the word that has the generation goes, without which the rest means
 * nothing, and when that is durable the rest.
 */
int cid_wal_void(const struct cid_io *io, int fd, uint64_t data_off, const uint8_t *ring,
		 uint64_t records, const struct cid_wal_scan *sc)
{
	static const uint8_t none[CID_RECORD_BYTES];
	int rc = 0;

	for (int step = 0; rc == 0 && step < 2; step++) {
		uint64_t from = step ? 0 : CID_RECORD_BYTES - 8;

		for (uint64_t l = sc->next; rc == 0 && l < sc->first + records; l++) {
			uint64_t at = (l & (records - 1)) * CID_RECORD_BYTES;

			if (is_remnant(ring + at))
				rc = cid_io_write_full(io, fd, none, CID_RECORD_BYTES - from,
						       data_off + at + from);
		}
		if (rc == 0)
			rc = io->sync(io->self, fd);
	}
	return rc ? cid_err_from_errno(rc) : 0;
}

/* ---- following ---- */

/* By reading, not from the mapping: a sector that cannot be read is an error
 * then, and not the end of the process. */
static int read_slots(const struct cid_wal *w, uint64_t lsn, unsigned n, uint8_t *out)
{
	uint64_t at = lsn & (w->records - 1);
	uint64_t head = n < w->records - at ? n : w->records - at;
	int rc;

	atomic_thread_fence(memory_order_acquire);
	rc = cid_io_read_full(w->io, w->fd, out, (size_t)head * CID_RECORD_BYTES,
			      w->data_off + at * CID_RECORD_BYTES);
	if (rc == 0 && head < n)
		rc = cid_io_read_full(w->io, w->fd, out + head * CID_RECORD_BYTES,
				      (size_t)(n - head) * CID_RECORD_BYTES, w->data_off);
	return rc ? cid_err_from_errno(rc) : 0;
}

static int vouched_now(const struct cid_wal *w, const struct cid_wal_scan *sc, uint64_t lsn,
		       uint64_t *out)
{
	uint8_t *ring = malloc(w->map_len);
	int rc = ring ? cid_io_read_full(w->io, w->fd, ring, w->map_len, w->data_off) : -ENOMEM;

	if (rc == 0)
		*out = vouched(ring, w->records, sc, lsn);
	free(ring);
	return rc ? cid_err_from_errno(rc) : 0;
}

/* The record `lsn` did not verify. */
static int judge(const struct cid_wal *w, struct cid_wal_scan *sc, uint64_t lsn,
		 struct cid_record *out)
{
	uint8_t two[2 * CID_RECORD_BYTES];
	uint32_t newest = sc->spans[sc->nspans - 1].generation;
	struct cid_record r;
	int bits, rc = read_slots(w, lsn, 2, two);

	if (rc)
		return rc;
	if (cid_record_unpack(two, &r)) {
		if (expected(sc, &r, lsn)) { /* it came between the two looks */
			*out = r;
			return 1;
		}
		/* Only a newer root lets a lap begin, or a generation. A record of
		 * another slot is damage. */
		if (((r.lsn ^ lsn) & (w->records - 1)) == 0 &&
		    ((r.lsn > lsn && r.generation >= newest) ||
		     (r.lsn == lsn && r.generation > newest)))
			return CIDSTORE_EEXPIRED;
	}
	if (lsn > sc->known_durable) {
		uint64_t v = 0;

		if (lsn == sc->hole || !cid_record_unpack(two + CID_RECORD_BYTES, &r) ||
		    !expected(sc, &r, lsn + 1))
			return 0;
		/* One behind it is there, so it is, if it is not a hole. */
		rc = read_slots(w, lsn, 1, two);
		if (rc)
			return rc;
		if (cid_record_unpack(two, &r) && expected(sc, &r, lsn)) {
			*out = r;
			return 1;
		}
		rc = vouched_now(w, sc, lsn, &v);
		if (rc)
			return rc;
		if (v < lsn) {
			sc->hole = lsn;
			return 0;
		}
	}
	bits = cid_record_correct(two);
	if (bits < 0 || !cid_record_unpack(two, &r) || !expected(sc, &r, lsn))
		return CIDSTORE_ECORRUPT;
	sc->corrected += (uint64_t)bits;
	*out = r;
	return 1;
}

int cid_wal_peek(const struct cid_wal *w, struct cid_wal_scan *sc, uint64_t lsn,
		 struct cid_record *out, unsigned max, unsigned *n)
{
	_Alignas(64) uint8_t buf[CID_WAL_PEEK * CID_RECORD_BYTES];
	int rc;

	*n = 0;
	if (max > CID_WAL_PEEK)
		max = CID_WAL_PEEK;
	rc = read_slots(w, lsn, max, buf);
	if (rc)
		return rc;
	for (; *n < max; ++*n) {
		struct cid_record *r = &out[*n];

		if (cid_record_unpack(buf + *n * CID_RECORD_BYTES, r) && expected(sc, r, lsn + *n))
			continue;
		rc = judge(w, sc, lsn + *n, r);
		if (rc != 1)
			return rc;
	}
	return 1;
}
