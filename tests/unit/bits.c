/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bits.c - flipped bits: in entries, in the log, in the root
 *
 * usage: bits [PAIRS [SEED]]
 *
 * Each of the 512 bits of an entry alone, and PAIRS of them (random, or all of
 * one entry's with 0); any one or two of a log record's; a root copy. Then the
 * same in the files of a store: what lookups, maintenance and fsck make of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5/image.h"
#include "lib/faultio.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "store/format.h"
#include "hash/entry.h"
#include "store/store.h"

enum { BITS = 512, KEYS = 600 };

static char dir[200], path[240], saved[240];
static struct cidstore *s;
static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void flip(void *p, unsigned bit)
{
	((uint8_t *)p)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* ---- entries in memory ---- */

static struct cid_entry some_entry(enum cid_state st, uint64_t seed, uint64_t pos)
{
	struct cid_entry e;

	for (size_t i = 0; i < sizeof(e); i++)
		((uint8_t *)&e)[i] = (uint8_t)rnd(256);
	cid_entry_seal(&e, st, seed, pos);
	return e;
}

static void entries(unsigned pairs)
{
	unsigned single = 0, twice = 0, inline_wrong = 0, triple = 0;

	for (int st = 1; st < CID_STATES; st++) {
		struct cid_entry e = some_entry((enum cid_state)st, 3, 64 * 77), d;

		for (unsigned i = 0; i < BITS; i++) {
			int n = 0, got;

			d = e;
			flip(&d, i);
			got = cid_entry_correct(&d, 3, 64 * 77, 1, &n);
			single += got == st && n == 1 && memcmp(&d, &e, sizeof(e)) == 0;
		}
	}
	tap_int(single, (CID_STATES - 1) * BITS, "each flip of an entry in each state corrected");
	for (unsigned k = 0; k < pairs; k++) {
		enum cid_state st = (enum cid_state)(1 + rnd(CID_STATES - 1));
		struct cid_entry e = some_entry(st, k, 64 * 5), d = e;
		unsigned i = (unsigned)rnd(BITS), j = (unsigned)rnd(BITS - 1);
		int n = 0, got;

		j += j >= i;
		flip(&d, i);
		flip(&d, j);
		/* One bit's worth of correction must not make it something else. */
		got = cid_entry_correct(&d, k, 64 * 5, 1, &n);
		inline_wrong += got >= 0;
		got = cid_entry_correct(&d, k, 64 * 5, 2, &n);
		twice += got == (int)st && n == 2 && memcmp(&d, &e, sizeof(e)) == 0;
	}
	tap_int(twice, pairs, "%u pairs of flips corrected where two are", pairs);
	tap_int(inline_wrong, 0, "and refused where one is");
	for (unsigned k = 0; k < 50; k++) {
		struct cid_entry e = some_entry(CID_TWO, k, 0);
		unsigned at = (unsigned)rnd(BITS - 2);
		int n;

		flip(&e, at);
		flip(&e, at + 1);
		flip(&e, at + 2);
		triple += cid_entry_correct(&e, k, 0, 2, &n) >= 0;
	}
	tap_int(triple, 0, "three flips are not taken for something else");
}

/* ---- the log in memory ---- */

enum { RING = 64, USED = 40, DURABLE = 25 };

static uint64_t replayed; /* digest of what a scan delivered */
static unsigned delivered;

static int take(void *arg, const struct cid_record *r)
{
	(void)arg;
	replayed = replayed * 31 + (r->key.high ^ r->value.low ^ r->lsn);
	delivered++;
	return 0;
}

static int scan(const uint8_t *ring, struct cid_wal_scan *sc, uint64_t known)
{
	static uint8_t copy[RING * CID_RECORD_BYTES];

	memcpy(copy, ring, sizeof(copy));
	memset(sc, 0, sizeof(*sc));
	sc->first = 1;
	sc->spans[0] = (struct cid_wal_span){ .first = 1, .generation = 9 };
	sc->nspans = 1;
	sc->known_durable = known;
	replayed = delivered = 0;
	return cid_wal_scan(copy, RING, sc, take, NULL);
}

static void put(uint8_t *ring, uint64_t lsn, uint32_t generation)
{
	struct cid_record r = { .version = CID_RECORD_VERSION, .opcode = CID_OP_INSERT,
				.generation = generation, .lsn = lsn, .nanos = 1000 + lsn,
				.key = { lsn * 7, lsn }, .value = { lsn, lsn * 13 } };

	cid_record_pack(&r, ring + lsn % RING * CID_RECORD_BYTES);
}

static void log_records(void)
{
	static uint8_t ring[RING * CID_RECORD_BYTES];
	uint8_t rec[CID_RECORD_BYTES], d[CID_RECORD_BYTES];
	unsigned right = 0, pairs = 0, kept = 0, ended = 0, tries = 0;
	struct cid_wal_scan sc;
	uint64_t whole;

	for (uint64_t l = 1; l <= USED; l++)
		put(ring, l, 9);
	memcpy(rec, ring + DURABLE * CID_RECORD_BYTES, sizeof(rec));
	for (unsigned i = 0; i < BITS; i++)
		for (unsigned j = i; j < BITS; j++, pairs++) {
			memcpy(d, rec, sizeof(d));
			flip(d, i);
			if (j > i)
				flip(d, j);
			right += cid_record_correct(d) == (j > i ? 2 : 1) &&
				 memcmp(d, rec, sizeof(d)) == 0;
		}
	tap_int(right, pairs, "any one or two flips of a log record corrected");
	tap_int(scan(ring, &sc, DURABLE), 0, "a log is read");
	whole = replayed;
	tap_int(delivered, USED, "to its end");
	for (unsigned i = 0; i < BITS; i++)
		for (unsigned j = i; j < BITS; j += 1 + (unsigned)rnd(16), tries++) {
			uint8_t *durable = ring + (1 + rnd(DURABLE)) * CID_RECORD_BYTES;
			uint64_t l = DURABLE + 1 + rnd(USED - DURABLE);
			uint8_t *tail = ring + l * CID_RECORD_BYTES;

			flip(durable, i);
			if (j > i)
				flip(durable, j);
			kept += scan(ring, &sc, DURABLE) == 0 && replayed == whole &&
				sc.corrected == (j > i ? 2 : 1) && sc.next == USED + 1;
			flip(durable, i);
			if (j > i)
				flip(durable, j);
			flip(tail, i);
			if (j > i)
				flip(tail, j);
			ended += scan(ring, &sc, DURABLE) == 0 && sc.corrected == 0 &&
				 sc.next == l && delivered == l - 1;
			flip(tail, i);
			if (j > i)
				flip(tail, j);
		}
	tap_int(kept, tries, "%u scans: corrected at or below what is known durable", tries);
	tap_int(ended, tries, "and behind it, never: the log ends there");
	flip(ring + 3 * CID_RECORD_BYTES, 200);
	flip(ring + 3 * CID_RECORD_BYTES, 300);
	flip(ring + 3 * CID_RECORD_BYTES, 400);
	tap_int(scan(ring, &sc, DURABLE), CIDSTORE_ECORRUPT, "three flips are damage");
	tap_int(sc.next, 3, "and it is told where");
	put(ring, 3, 9);
	put(ring, USED + 1, 10);
	tap_ok(scan(ring, &sc, DURABLE) == 0 && sc.overtaken && !sc.dirty_tail,
	       "a generation that no root told of is seen");
	put(ring, USED + 1, 9);
	put(ring, RING + USED + 3, 9);
	tap_ok(scan(ring, &sc, DURABLE) == 0 && sc.overtaken, "so is a lap too many");
}

/* ---- a store ---- */

static struct cidstore_id id_of(uint64_t n)
{
	return (struct cidstore_id){ n * 0x9E3779B97F4A7C15ull, n };
}

static int open_store(unsigned flags, struct cidstore_error *err)
{
	return cid_store_open_io(&fault_io, path, flags, &s, err);
}

static void must(int rc, const char *doing)
{
	if (rc)
		tap_bail("%s: %s", doing, cidstore_strerror(rc));
}

static int file(const char *name)
{
	char full[300];
	int fd;

	(void)snprintf(full, sizeof(full), "%s/%s", path, name);
	fd = open(full, O_RDWR);
	if (fd < 0)
		tap_bail("%s: %s", full, strerror(errno));
	return fd;
}

static void flip_in(int fd, off_t at, unsigned bit)
{
	uint8_t c = 0;

	if (pread(fd, &c, 1, at + bit / 8) != 1)
		tap_bail("reading: %s", strerror(errno));
	c ^= (uint8_t)(1u << (bit % 8));
	if (pwrite(fd, &c, 1, at + bit / 8) != 1)
		tap_bail("writing: %s", strerror(errno));
}

/* One or two values for each key, in buckets. */
static void fill(void)
{
	static const struct cidstore_geometry geo = { .log_bytes = 256u << 10,
						      .segment_bytes = 4u << 20,
						      .bucket_bytes = 16384,
						      .hash_seed = 5 };
	struct cidstore_error err;

	if (cid_store_create_io(&fault_io, path, &geo, &err) || open_store(CIDSTORE_MANUAL, &err))
		tap_bail("%s", err.message);
	for (unsigned k = 0; k < KEYS; k++) {
		struct cidstore_pair p[2] = { { id_of(k), id_of(k + 9000) },
					      { id_of(k), id_of(k + 19000) } };

		must(cidstore_insert(s, p, 1 + k % 2, NULL), "insert");
	}
	must(cidstore_compact(s), "compact");
}

/* Where a key's entry lies in the file, or -1. */
static off_t entry_at(int fd, struct cidstore_id key)
{
	static struct cid_entry e[1 << 16];
	ssize_t n = pread(fd, e, sizeof(e), CID_H5_SEGMENT_OFFSET);
	off_t at = -1;

	/* The last: older ones are of the run before. */
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(e[0]); i++)
		if (cid_id_eq(e[i].key, key))
			at = CID_H5_SEGMENT_OFFSET + i * (off_t)sizeof(e[0]);
	return at;
}

/* 1: all of the key is right; 0: it is said to be damaged; -1: wrong. */
static int ask(unsigned k)
{
	struct cidstore_id v[4];
	uint64_t total = 0, count = 0;
	int rc = cidstore_get(s, id_of(k), v, 4, &total), c = cidstore_count(s, id_of(k), &count);

	if (rc == CIDSTORE_ECORRUPT && c == CIDSTORE_ECORRUPT)
		return 0;
	if (rc || c || total != 1 + k % 2 || count != total)
		return -1;
	for (uint64_t i = 0; i < total; i++)
		if (!cid_id_eq(v[i], id_of(k + 9000)) && !cid_id_eq(v[i], id_of(k + 19000)))
			return -1;
	return 1;
}

static bool clean(uint64_t *errors)
{
	struct cidstore_report r;
	struct cidstore_error err;

	must(cid_store_check_io(&fault_io, path, 0, NULL, NULL, &r, &err), "check");
	*errors = r.errors;
	return r.errors == 0;
}

/* A key that no store here has, in the same bin of the same bucket and with the
 * same tag: both follow from the first bits of the hash. */
static struct cidstore_id look_alike(struct cidstore_id key)
{
	const unsigned rest = CID_HASH_BITS - 25;
	uint64_t hash = cid_hash(key, 5);
	struct cidstore_id k = { .low = 1ull << 40 };

	while ((cid_hash(k, 5) ^ hash) >> rest)
		k.high++;
	return k;
}

static void entries_on_disk(void)
{
	int fd = file("buckets-0.h5");
	unsigned right = 0, refused = 0, wrong = 0, key = 7;
	off_t at = entry_at(fd, id_of(key));
	struct cidstore_error err;
	uint64_t errors;

	if (at < 0)
		tap_bail("the entry is not found");
	for (unsigned i = 0; i < BITS; i++) {
		flip_in(fd, at, i);
		right += ask(key) == 1;
		flip_in(fd, at, i);
	}
	tap_int(right, BITS, "lookups see through each single flip");
	for (unsigned i = 0; i < 300; i++) {
		unsigned a = (unsigned)rnd(BITS), b = (unsigned)rnd(BITS - 1);
		int got;

		b += b >= a;
		flip_in(fd, at, a);
		flip_in(fd, at, b);
		got = ask(key);
		refused += got == 0;
		wrong += got < 0;
		flip_in(fd, at, a);
		flip_in(fd, at, b);
	}
	tap_ok(wrong == 0 && refused > 0, "two flips are refused, not misread (%u)", refused);

	/* C7: what the damaged entry might be is not answered with "no". */
	for (unsigned i = 0; i < 40; i++)
		flip_in(fd, at, i * 9);
	tap_int(ask(key), 0, "a key whose entry is beyond correction: damage, not absence");
	tap_int(cidstore_contains(s, id_of(key), id_of(1)), CIDSTORE_ECORRUPT,
		"nor is a value of it denied");
	tap_int(cidstore_mkkey(s, id_of(key)), CIDSTORE_ECORRUPT, "nor is it made anew");
	right = 0;
	for (unsigned k = 0; k < KEYS; k++)
		right += k != key && ask(k) == 1;
	tap_int(right, KEYS - 1, "its neighbours are all there");
	right = 0;
	for (unsigned k = KEYS; k < 3 * KEYS; k++)
		right += cidstore_contains(s, id_of(k), id_of(1)) == CIDSTORE_ENOENT;
	tap_int(right, 2 * KEYS, "and what the index rules out is not there");
	{
		struct cidstore_id twin = look_alike(id_of(key));
		uint64_t count = 0;

		tap_int(cidstore_count(s, twin, &count), CIDSTORE_ECORRUPT,
			"a key that is not there, but for which the index leads to that entry: EIO");
		tap_int(cidstore_contains(s, twin, id_of(1)), CIDSTORE_ECORRUPT,
			"no value of it is denied");
		tap_int(cidstore_mkkey(s, twin), CIDSTORE_ECORRUPT, "and it is not made");
	}
	must(cidstore_close(s), "close");
	tap_ok(!clean(&errors) && errors >= 1, "fsck finds it");
	for (unsigned i = 0; i < 40; i++)
		flip_in(fd, at, i * 9);
	tap_ok(clean(&errors), "and nothing once it is put right");

	flip_in(fd, at, 100);
	flip_in(fd, at, 333);
	must(open_store(CIDSTORE_MANUAL, &err), "open");
	{
		struct cidstore_stats st;

		tap_int(ask(key), 0, "two flips are refused");
		must(cid_store_scrub(s), "scrub");
		cidstore_stats(s, &st);
		tap_int(st.scrub_rewritten, 1, "the scrubber writes their bucket anew");
		tap_ok(st.scrub_rounds == 1 && st.scrub_errors == 0 && st.scrub_permille == 0 &&
			       st.scrub_bytes >= KEYS * CID_ENTRY_BYTES,
		       "and tells of its round (%llu bytes)", (unsigned long long)st.scrub_bytes);
		tap_int(ask(key), 1, "and they are right");
		must(cid_store_scrub(s), "scrub");
		cidstore_stats(s, &st);
		tap_ok(st.scrub_rewritten == 1 && st.scrub_rounds == 2,
		       "another round finds nothing");
	}
	must(cidstore_close(s), "close");
	tap_ok(clean(&errors), "and fsck neither");
	at = entry_at(fd, id_of(key));
	for (unsigned i = 0; i < 40; i++)
		flip_in(fd, at, i * 9);
	must(open_store(CIDSTORE_MANUAL, &err), "open");
	{
		struct cidstore_stats st;

		must(cid_store_scrub(s), "scrub");
		cidstore_stats(s, &st);
		tap_ok(st.scrub_errors == 1 && st.scrub_rewritten == 0,
		       "the scrubber tells of what is beyond correction, and lets it be");
	}
	must(cidstore_close(s), "close");
	for (unsigned i = 0; i < 40; i++)
		flip_in(fd, at, i * 9);

	flip_in(fd, at, 100);
	flip_in(fd, at, 333);
	tap_ok(!clean(&errors), "fsck finds two flips");
	if (open_store(CIDSTORE_MANUAL, &err))
		tap_bail("%s", err.message);
	for (unsigned k = 0; k < KEYS; k += 3)
		must(cidstore_insert(s, &(struct cidstore_pair){ id_of(k), id_of(k + 9000) }, 1,
				     NULL), "insert");
	must(cidstore_compact(s), "compact");
	tap_int(ask(key), 1, "a merge of the bucket puts both right");
	must(cidstore_close(s), "close");
	tap_ok(clean(&errors), "for good");
	close(fd);
}

/* ---- root copies ---- */

static bool same_copies(int fd, unsigned a, unsigned b)
{
	static uint8_t p[2][CID_PAGE];

	if (pread(fd, p[0], CID_PAGE, CID_H5_ROOT_OFFSET + a * CID_PAGE) != CID_PAGE ||
	    pread(fd, p[1], CID_PAGE, CID_H5_ROOT_OFFSET + b * CID_PAGE) != CID_PAGE)
		tap_bail("reading the roots: %s", strerror(errno));
	return memcmp(p[0], p[1], CID_PAGE) == 0;
}

static unsigned newest_pair(int fd)
{
	struct cid_root r[2];

	if (pread(fd, &r[0], sizeof(r[0]), CID_H5_ROOT_OFFSET) != sizeof(r[0]) ||
	    pread(fd, &r[1], sizeof(r[1]), CID_H5_ROOT_OFFSET + 2 * CID_PAGE) != sizeof(r[1]))
		tap_bail("reading the roots: %s", strerror(errno));
	return r[1].generation > r[0].generation ? 2 : 0;
}

static int opens(unsigned flags)
{
	struct cidstore_error err = { 0, "" };
	int rc = open_store(flags, &err);

	if (rc)
		tap_note("%s", err.message);
	else
		must(cidstore_close(s), "close");
	return rc;
}

static void roots(void)
{
	static uint8_t old[CID_PAGE];
	unsigned found = 0, mended = 0, n;
	struct cidstore_error err;
	uint64_t errors;
	int fd;

	for (unsigned i = 0; i < 40; i++) {
		unsigned copy;

		fd = file(CID_H5_MAIN_NAME);
		n = newest_pair(fd);
		copy = n + (unsigned)rnd(2);
		flip_in(fd, CID_H5_ROOT_OFFSET + copy * CID_PAGE, (unsigned)rnd(CID_PAGE * 8ul));
		found += !clean(&errors);
		must(open_store(CIDSTORE_MANUAL, &err), "open");
		mended += same_copies(fd, n, n + 1);
		must(cidstore_close(s), "close");
		close(fd);
	}
	tap_int(found, 40, "fsck finds a flipped bit in a copy of the newest root");
	tap_int(mended, 40, "opening repairs it from its twin");
	tap_ok(clean(&errors), "and nothing is left");

	/* Both copies of the newest: the older root must not pass for it. */
	must(open_store(CIDSTORE_MANUAL, &err), "open");
	for (unsigned k = 0; k < 40; k++)
		must(cidstore_insert(s, &(struct cidstore_pair){ id_of(k), id_of(k + 50000) }, 1,
				     NULL), "insert");
	must(cidstore_checkpoint(s), "checkpoint");
	must(cidstore_close(s), "close");
	fd = file(CID_H5_MAIN_NAME);
	n = newest_pair(fd);
	flip_in(fd, CID_H5_ROOT_OFFSET + n * CID_PAGE, 999);
	flip_in(fd, CID_H5_ROOT_OFFSET + (n + 1) * CID_PAGE, 12345);
	tap_int(opens(CIDSTORE_RDONLY), CIDSTORE_ECORRUPT, "no silent step back: reading");
	tap_int(opens(CIDSTORE_MANUAL), CIDSTORE_ECORRUPT, "nor writing");
	tap_ok(!clean(&errors), "fsck explains it");
	flip_in(fd, CID_H5_ROOT_OFFSET + n * CID_PAGE, 999);
	flip_in(fd, CID_H5_ROOT_OFFSET + (n + 1) * CID_PAGE, 12345);
	tap_ok(clean(&errors), "and nothing was touched");

	/* The newest root is the one a recovery wrote to begin a generation of
	 * the log: the older one would end the log where that begins. */
	must(open_store(CIDSTORE_MANUAL, &err), "open");
	for (unsigned k = 0; k < 3; k++)
		must(cidstore_insert(s, &(struct cidstore_pair){ id_of(k), id_of(60000) }, 1, NULL),
		     "insert");
	copy_store(path, saved);
	must(cidstore_close(s), "close");
	remove_store(path);
	if (rename(saved, path))
		tap_bail("%s: %s", saved, strerror(errno));
	close(fd);
	fd = file("wal-0.h5");
	{
		/* A torn record with a valid one behind it. */
		struct cidstore_error e2;
		uint64_t last;

		must(open_store(CIDSTORE_RDONLY, &e2), "open");
		last = cidstore_last_seq(s);
		must(cidstore_close(s), "close");
		flip_in(fd, CID_H5_SEGMENT_OFFSET +
			    (off_t)((last - 1) % ((256u << 10) / CID_RECORD_BYTES)) *
				    CID_RECORD_BYTES,
			77);
	}
	close(fd);
	must(open_store(CIDSTORE_MANUAL, &err), "open");
	must(cidstore_insert(s, &(struct cidstore_pair){ id_of(3), id_of(60001) }, 1, NULL),
	     "insert");
	must(cidstore_sync(s), "sync");
	copy_store(path, saved);
	must(cidstore_close(s), "close");
	remove_store(path);
	if (rename(saved, path))
		tap_bail("%s: %s", saved, strerror(errno));
	fd = file(CID_H5_MAIN_NAME);
	n = newest_pair(fd);
	if (pread(fd, old, CID_PAGE, CID_H5_ROOT_OFFSET + n * CID_PAGE) != CID_PAGE)
		tap_bail("reading: %s", strerror(errno));
	flip_in(fd, CID_H5_ROOT_OFFSET + n * CID_PAGE, 1);
	flip_in(fd, CID_H5_ROOT_OFFSET + (n + 1) * CID_PAGE, 1);
	tap_int(opens(CIDSTORE_MANUAL), CIDSTORE_ECORRUPT,
		"nor where the newest root began a generation of the log");
	close(fd);
}

/* ---- sectors of the root that the device cannot read ---- */

static int main_fd;
static unsigned bad_sectors; /* a bit for each copy; what is written there heals it */

static int open_noting(void *self, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = cid_io_posix.open(self, dirfd, name, flags, mode);

	if (fd >= 0 && strcmp(name, CID_H5_MAIN_NAME) == 0)
		main_fd = fd;
	return fd;
}

static unsigned copies_in(int fd, size_t n, uint64_t off)
{
	unsigned in = 0;

	for (unsigned i = 0; fd == main_fd && i < CID_ROOT_COPIES; i++)
		if (off < CID_H5_ROOT_OFFSET + (i + 1) * CID_PAGE &&
		    off + n > CID_H5_ROOT_OFFSET + i * CID_PAGE)
			in |= 1u << i;
	return in;
}

static ssize_t read_sectors(void *self, int fd, void *buf, size_t n, uint64_t off)
{
	if (copies_in(fd, n, off) & bad_sectors)
		return -EIO;
	return cid_io_posix.pread(self, fd, buf, n, off);
}

static ssize_t write_sectors(void *self, int fd, const void *buf, size_t n, uint64_t off)
{
	unsigned in = copies_in(fd, n, off);

	/* Of what is written in part the rest would be read first. */
	if (in & bad_sectors && (n % CID_PAGE || off % CID_PAGE))
		return -EIO;
	bad_sectors &= ~in;
	return cid_io_posix.pwrite(self, fd, buf, n, off);
}

static void root_sectors(void)
{
	struct cid_io io = cid_io_posix;
	struct cidstore_error err;
	unsigned opened = 0, refused = 0, held = 0, told = 0;
	uint64_t errors;
	int fd, rc;

	io.open = open_noting;
	io.pread = read_sectors;
	io.pwrite = write_sectors;
	for (unsigned i = 0; i < CID_ROOT_COPIES; i++) {
		struct cidstore_report r;

		bad_sectors = 1u << i;
		told += cid_store_check_io(&io, path, 0, NULL, NULL, &r, &err) == 0 &&
			r.errors == 1;
	}
	tap_int(told, CID_ROOT_COPIES, "fsck tells of a copy that cannot be read");
	for (unsigned bad = 1; bad < 1u << CID_ROOT_COPIES; bad++)
		for (int writes = 0; writes < 2; writes++) {
			bool pair = (bad & 3) == 3 || (bad & 12) == 12;

			bad_sectors = bad;
			rc = cid_store_open_io(&io, path, writes ? CIDSTORE_MANUAL : CIDSTORE_RDONLY,
					       &s, &err);
			if (rc == 0) {
				held += cidstore_contains(s, id_of(3), id_of(70000)) == 0;
				opened += !pair;
				must(cidstore_close(s), "close");
			} else {
				refused += pair && rc == CIDSTORE_EIO;
			}
		}
	tap_int(opened, 2 * 8, "one bad sector in each generation's root is no obstacle");
	tap_int(held, 2 * 8, "and nothing is missing");
	tap_int(refused, 2 * 7, "both copies of a generation: EIO, without a step back");
	bad_sectors = 0;
	fd = file(CID_H5_MAIN_NAME);
	tap_ok(same_copies(fd, newest_pair(fd), newest_pair(fd) + 1), "and nothing was touched");
	close(fd);
	tap_ok(clean(&errors), "fsck finds nothing");
}

/* A root that power cut off, beside the one that counts: whatever is written over
 * it, and cut off in turn, must not make it whole. */
static void torn_root(void)
{
	static uint8_t before[CID_ROOT_COPIES][CID_PAGE], after[CID_ROOT_COPIES][CID_PAGE];
	static const uint8_t none[CID_PAGE];
	const size_t all = sizeof(before);
	struct cidstore_error err;
	uint64_t errors;
	unsigned n, torn, same = 0;
	int fd = file(CID_H5_MAIN_NAME);

	n = newest_pair(fd);
	torn = (2 - n) + 1;
	if (pread(fd, before, all, CID_H5_ROOT_OFFSET) != (ssize_t)all)
		tap_bail("reading: %s", strerror(errno));
	memcpy(before[torn], before[n], 600);
	before[torn][700] ^= 8;
	if (pwrite(fd, before, all, CID_H5_ROOT_OFFSET) != (ssize_t)all)
		tap_bail("writing: %s", strerror(errno));
	tap_ok(clean(&errors), "a root that was cut off is no finding");
	must(open_store(CIDSTORE_MANUAL, &err), "open");
	if (pread(fd, after, all, CID_H5_ROOT_OFFSET) != (ssize_t)all)
		tap_bail("reading: %s", strerror(errno));
	for (unsigned i = 0; i < CID_ROOT_COPIES; i++)
		same += i != torn && memcmp(before[i], after[i], CID_PAGE) == 0;
	tap_int(memcmp(after[torn], none, CID_PAGE), 0, "opening leaves nothing of it");
	tap_int(same, CID_ROOT_COPIES - 1, "and all of the others");
	must(cidstore_close(s), "close");
	close(fd);
}

/* The store as a crash leaves it now: what the log has, and no more. */
static void crash(void)
{
	copy_store(path, saved);
	must(cidstore_close(s), "close");
	remove_store(path);
	if (rename(saved, path))
		tap_bail("%s: %s", saved, strerror(errno));
}

static void slot(uint64_t lsn, bool store, uint64_t word[8])
{
	const size_t n = CID_RECORD_BYTES;
	off_t at = CID_H5_SEGMENT_OFFSET + (off_t)(lsn * n % (256u << 10));
	int fd = file("wal-0.h5");

	if ((store ? pwrite(fd, word, n, at) : pread(fd, word, n, at)) != (ssize_t)n)
		tap_bail("a slot of the log: %s", strerror(errno));
	close(fd);
}

/* A record that power cut off, in the place of the next: that one, cut off in
 * turn, must not make it whole. */
static void torn_record(void)
{
	uint64_t before[8], record[8], left[8], lsn;
	struct cidstore_error err;
	unsigned back = 0, kept = 0;

	for (unsigned lacks = 0; lacks < 8; lacks++) {
		const struct cidstore_pair lost = { id_of(lacks), id_of(70000) };
		const struct cidstore_pair next = { id_of(lacks), id_of(70001) };

		must(open_store(CIDSTORE_MANUAL, &err), "open");
		lsn = cidstore_last_seq(s) + 1;
		slot(lsn, false, before);
		must(cidstore_insert(s, &lost, 1, NULL), "insert");
		slot(lsn, false, record);
		crash();
		if (record[lacks] == before[lacks])
			before[lacks] = ~record[lacks];
		memcpy(left, record, sizeof(left));
		left[lacks] = before[lacks];
		slot(lsn, true, left);
		must(open_store(CIDSTORE_MANUAL, &err), "open");
		kept += cidstore_contains(s, lost.key, lost.value) == 0;
		slot(lsn, false, left);
		must(cidstore_insert(s, &next, 1, NULL), "insert");
		slot(lsn, false, record);
		crash();
		left[lacks] = record[lacks];
		slot(lsn, true, left);
		must(open_store(CIDSTORE_MANUAL, &err), "open");
		back += cidstore_contains(s, lost.key, lost.value) == 0;
		must(cidstore_close(s), "close");
	}
	tap_int(kept, 0, "a record that power cut off is not in the order");
	tap_int(back, 0, "and does not come back with words of the next");
}

int main(int argc, char **argv)
{
	unsigned pairs = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 500;
	const char *tmp = getenv("TMPDIR");

	rng = argc > 2 ? strtoull(argv[2], NULL, 10) :
			 (uint64_t)getpid() * 2654435761u + 88172645463325252ull;
	tap_note("seed %llu", (unsigned long long)rng);
	if (!tmp)
		tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	(void)snprintf(dir, sizeof(dir), "%s/cidstore-bits.XXXXXX", tmp);
	if (!mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	(void)snprintf(saved, sizeof(saved), "%s/saved", dir);
	entries(pairs);
	log_records();
	fill();
	entries_on_disk();
	torn_root();
	torn_record();
	must(open_store(CIDSTORE_MANUAL, &(struct cidstore_error){ 0, "" }), "open");
	must(cidstore_insert(s, &(struct cidstore_pair){ id_of(3), id_of(70000) }, 1, NULL), "insert");
	must(cidstore_close(s), "close");
	root_sectors();
	roots();
	remove_store(path);
	if (rmdir(dir))
		tap_note("%s is left", dir);
	return tap_done();
}
