/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair_log.c - what can still be read of a log
 *
 * A record is real that verifies, carries the number of its place and a
 * generation no lower than that of any real record before it. At or below what
 * is known to be durable one that is not real leaves a gap, and the rest counts
 * on; behind it, the log ends there as ever: what lies further was never
 * acknowledged as durable, and may be of a tail that was discarded.
 */
#include <string.h>

#include "store/repair.h"

struct state {
	struct cid_repair *r;
	uint8_t *ring;
	uint64_t records, known;
	uint32_t generation;
	int (*fn)(void *, const struct cid_record *);
	void *arg;
	uint64_t cut; /* records up to here belong to a batch that is not whole */
};

static bool valid_at(const struct state *st, uint64_t lsn, struct cid_record *out)
{
	return cid_record_unpack(st->ring + (lsn & (st->records - 1)) * CID_RECORD_BYTES, out) &&
	       out->lsn == lsn && out->version == CID_RECORD_VERSION && out->opcode >= 1 &&
	       out->opcode <= CID_OP_LAST;
}

/* The newest record's number, and what records say is durable. */
static uint64_t survey(struct state *st, const struct cid_root *root)
{
	uint32_t newest = root->log_span[root->log_spans - 1].generation;
	uint64_t last = 0;

	for (uint64_t i = 0; i < st->records; i++) {
		struct cid_record rec;

		if (!cid_record_unpack(st->ring + i * CID_RECORD_BYTES, &rec) ||
		    (rec.lsn & (st->records - 1)) != i || rec.generation < newest)
			continue;
		if (rec.lsn > last)
			last = rec.lsn;
		if (rec.opcode == CID_OP_DURABLE && rec.value.low > st->known &&
		    rec.value.low < rec.lsn)
			st->known = rec.value.low;
		/* Its root was durable, and the log before it with it or in it. */
		if (rec.opcode == CID_OP_CHECKPOINT && rec.value.low - 1 > st->known &&
		    rec.value.low <= rec.lsn)
			st->known = rec.value.low - 1;
	}
	return last;
}

/* Records from..to are lost. Where a batch began among them, its end is
 * `lsn`'s neighbour still, and no part of it counts. */
static int gap(struct state *st, uint64_t from, uint64_t to, uint64_t last)
{
	struct cid_record rec;

	for (uint64_t l = to + 1; l <= last && valid_at(st, l, &rec); l++) {
		if (rec.opcode == CID_OP_COMMIT && rec.value.low <= to)
			st->cut = l;
		if (rec.opcode == CID_OP_COMMIT || rec.opcode == CID_OP_BEGIN)
			break;
	}
	return from == to ?
		       cid_repair_lost(st->r, "record %llu of the log", (unsigned long long)from) :
		       cid_repair_lost(st->r, "records %llu to %llu of the log",
				       (unsigned long long)from, (unsigned long long)to);
}

/* A record of a batch that does not count. */
static int drop(struct state *st, const struct cid_record *rec)
{
	static const char *const verb[] = { [CID_OP_INSERT] = "insert", [CID_OP_DELETE] = "delete",
					    [CID_OP_RMKEY] = "rmkey", [CID_OP_MKKEY] = "mkkey" };
	char key[33] = "", value[33] = "";

	cidstore_id_format(rec->key, key);
	cidstore_id_format(rec->value, value);
	return rec->opcode <= CID_OP_MKKEY && rec->opcode >= CID_OP_INSERT ?
		       cid_repair_maybe(st->r, "%s %s%s%s", verb[rec->opcode], key,
					rec->opcode <= CID_OP_DELETE ? " " : "",
					rec->opcode <= CID_OP_DELETE ? value : "") :
		       0;
}

/* 0 where the batch that begins here is whole, or the first record that is not
 * as it must be. */
static uint64_t broken_at(struct state *st, const struct cid_record *begin)
{
	uint64_t n = begin->value.low, l = begin->lsn + 1;
	struct cid_record rec;

	if (n == 0 || n > st->records)
		return begin->lsn;
	for (; l <= begin->lsn + n; l++)
		if (!valid_at(st, l, &rec) || rec.generation < st->generation ||
		    rec.opcode < CID_OP_INSERT || rec.opcode > CID_OP_MKKEY)
			return l;
	return valid_at(st, l, &rec) && rec.opcode == CID_OP_COMMIT &&
			       rec.value.low == begin->lsn ?
		       0 :
		       l;
}

/* The real record of this place, corrected where that is allowed: 1; 0 where
 * there is none. */
static int real_record(struct state *st, struct cid_wal_scan *sc, uint64_t lsn,
		       struct cid_record *out)
{
	uint8_t *slot = st->ring + (lsn & (st->records - 1)) * CID_RECORD_BYTES;
	uint8_t copy[CID_RECORD_BYTES];
	int bits;

	if (valid_at(st, lsn, out) && out->generation >= st->generation)
		return 1;
	if (lsn > st->known)
		return 0;
	memcpy(copy, slot, sizeof(copy));
	bits = cid_record_correct(copy);
	if (bits <= 0 || !cid_record_unpack(copy, out) || out->lsn != lsn ||
	    out->generation != st->generation || out->version != CID_RECORD_VERSION)
		return 0;
	memcpy(slot, copy, sizeof(copy));
	sc->corrected += (uint64_t)bits;
	return 1;
}

static int take(struct state *st, const struct cid_record *rec)
{
	if (rec->lsn <= st->cut)
		return drop(st, rec);
	if (rec->opcode == CID_OP_BEGIN && broken_at(st, rec)) {
		st->cut = rec->lsn + rec->value.low + 1;
		return cid_repair_lost(st->r, "a batch of %llu operations at record %llu of the log",
				       (unsigned long long)rec->value.low,
				       (unsigned long long)rec->lsn);
	}
	/* It would tell of the root that is lost. */
	return rec->opcode == CID_OP_CHECKPOINT ? 0 : st->fn(st->arg, rec);
}

int cid_repair_log(struct cid_repair *r, uint8_t *ring, const struct cid_root *root,
		   struct cid_wal_scan *sc, int (*fn)(void *, const struct cid_record *), void *arg)
{
	struct state st = { .r = r, .ring = ring, .records = root->log_records,
			    .known = sc->known_durable, .fn = fn, .arg = arg };
	uint64_t last, lsn = sc->first, lost = 0;
	struct cid_record rec;
	int rc = 0;

	st.generation = cid_wal_generation(sc, lsn);
	last = survey(&st, root);
	if (last >= sc->first + st.records) {
		/* The log went on without this root. */
		lsn = last - st.records + 1;
		rc = gap(&st, sc->first, lsn - 1, last);
	}
	sc->corrected = 0;
	sc->last_nanos = 0;
	for (; rc == 0 && (lsn <= last || lsn <= st.known); lsn++) {
		uint32_t named = cid_wal_generation(sc, lsn);

		if (named > st.generation)
			st.generation = named;
		if (!real_record(&st, sc, lsn, &rec)) {
			if (lsn > st.known)
				break;
			lost = lost ? lost : lsn;
			continue;
		}
		if (lost)
			rc = gap(&st, lost, lsn - 1, last);
		lost = 0;
		st.generation = rec.generation;
		if (rec.nanos > sc->last_nanos)
			sc->last_nanos = rec.nanos;
		/* Half a batch at the end never was acknowledged. */
		if (rec.opcode == CID_OP_BEGIN && rec.lsn > st.cut &&
		    broken_at(&st, &rec) > st.known)
			break;
		if (rc == 0)
			rc = take(&st, &rec);
	}
	if (rc == 0 && lost)
		rc = gap(&st, lost, lsn - 1, last);
	if (rc)
		return rc;
	sc->next = lsn;
	/* What is written from now on must not be taken for what lies there. */
	for (uint64_t i = 0; i < st.records; i++)
		if (cid_record_unpack(ring + i * CID_RECORD_BYTES, &rec) &&
		    rec.generation > st.generation && rec.generation < UINT32_MAX - 1)
			st.generation = rec.generation;
	sc->overtaken = false;
	sc->dirty_tail = true;
	r->log_mended = true;
	r->log_generation = st.generation;
	return 0;
}
