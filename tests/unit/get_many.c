/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * get_many.c - batches of lookups: each key's answer is that of a single one,
 * wherever it comes from
 *
 * usage: get_many [SEED]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5/image.h"
#include "hash/entry.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "os/io.h"
#include "store/store.h"

enum { KEYS = 3000, ASKED = 2 * KEYS, PER_KEY = 8, BIG = 5000 };

static char dir[200], path[240];
static struct cidstore *s;
static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static struct cidstore_id id_of(uint64_t n)
{
	return (struct cidstore_id){ n * 0x9E3779B97F4A7C15ull, n };
}

static void must(int rc, const char *what)
{
	if (rc)
		tap_bail("%s: %s", what, cidstore_strerror(rc));
}

/* ---- a table of calls whose disk seems slow, or fast ---- */

static uint64_t clock_step, clock_now, prefetched;

static uint64_t stepping(void *self)
{
	(void)self;
	return __atomic_add_fetch(&clock_now, clock_step, __ATOMIC_RELAXED);
}

static void count_prefetch(void *self, int fd, uint64_t off, uint64_t n)
{
	prefetched++;
	cid_io_posix.prefetch(self, fd, off, n);
}

static struct cid_io slow_io;

static void open_store(unsigned flags)
{
	struct cidstore_error err;

	if (cid_store_open_io(&slow_io, path, flags, &s, &err))
		tap_bail("%s", err.message);
}

/* ---- the comparison ---- */

static struct cidstore_id key[ASKED], out[ASKED * PER_KEY], one[BIG];
static uint64_t counts[ASKED];
static struct cidstore_id mark = { 0x6d61726b, 0x6d61726b };

/* Asks for n of the keys, some twice, in batches of at most `batch`, and for
 * each alone; the number of those whose answers differ. */
static unsigned differences(size_t n, size_t batch, size_t per_key, unsigned *hits)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < n; i++)
		key[i] = id_of(rnd(ASKED));
	for (size_t i = 0; i < n * per_key; i++)
		out[i] = mark;
	for (size_t at = 0; at < n; at += batch)
		must(cidstore_get_many(s, key + at, n - at < batch ? n - at : batch,
				       per_key ? out + at * per_key : NULL, per_key, counts + at),
		     "get_many");
	*hits = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t total = CIDSTORE_ABSENT, have;
		int rc = cidstore_get(s, key[i], one, BIG, &total);

		if (rc && rc != CIDSTORE_ENOENT)
			must(rc, "get");
		*hits += rc == 0;
		have = rc ? 0 : total < per_key ? total : per_key;
		if (counts[i] != total ||
		    (have && memcmp(out + i * per_key, one, have * sizeof(*one)) != 0)) {
			wrong++;
			continue;
		}
		for (size_t j = have; j < per_key; j++)
			wrong += memcmp(&out[i * per_key + j], &mark, sizeof(mark)) != 0;
	}
	return wrong;
}

static void compare(const char *where)
{
	static const size_t batch[] = { 1, 2, 63, 127, 128, 129, 1000, ASKED };
	unsigned wrong = 0, hits = 0, h;

	for (size_t i = 0; i < sizeof(batch) / sizeof(batch[0]); i++) {
		size_t n = batch[i] < 64 ? 300 : ASKED;

		wrong += differences(n, batch[i], PER_KEY, &h);
		hits += h;
	}
	wrong += differences(ASKED, 500, 1, &h);
	wrong += differences(ASKED, 500, 0, &h);
	tap_ok(wrong == 0 && hits > 0, "%s: %u differ of those with %u hits", where, wrong, hits);
}

static void insert(uint64_t k, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		must(cidstore_insert(s, &(struct cidstore_pair){ id_of(k), id_of(first + i) }, 1,
				     NULL), "insert");
}

/* A few thousand changes of all kinds, among keys that exist and others. */
static void change(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct cidstore_id k = id_of(rnd(KEYS));
		struct cidstore_pair p = { k, id_of(rnd(12)) };

		switch (rnd(12)) {
		case 0:
			must(cidstore_delete_keys(s, &k, 1, NULL), "delete key");
			break;
		case 1:
			must(cidstore_make_keys(s, &k, 1, NULL), "make key");
			break;
		case 2:
		case 3:
			must(cidstore_delete(s, &p, 1, NULL), "delete");
			break;
		default:
			must(cidstore_insert(s, &p, 1, NULL), "insert");
		}
	}
}

static void everywhere(void)
{
	struct cidstore_stats st;
	unsigned hits;

	tap_int(cidstore_get_many(s, NULL, 0, NULL, 0, NULL), 0, "no key at all");
	tap_ok(differences(300, 300, PER_KEY, &hits) == 0 && hits == 0, "an empty store");
	change(4000);
	insert(7, 100, 40);   /* will be a packed list */
	insert(8, 100, BIG);  /* and a tree */
	compare("in a table");
	must(cidstore_checkpoint(s), "checkpoint");
	compare("in a run");
	change(3000);
	compare("in a run and a table");
	for (int i = 0; i < 70; i++) {
		change(60);
		must(cidstore_checkpoint(s), "checkpoint");
	}
	change(500);
	cidstore_stats(s, &st);
	tap_ok(st.runs > 64, "%" PRIu64 " runs", st.runs);
	compare("in many runs");
	must(cidstore_compact(s), "compact");
	cidstore_stats(s, &st);
	tap_ok(st.runs == 0 && st.buckets > 4, "%" PRIu64 " buckets", st.buckets);
	compare("in buckets");
	change(2000);
	must(cidstore_checkpoint(s), "checkpoint");
	change(500);
	compare("in buckets, a run and a table");
	must(cidstore_close(s), "close");
	open_store(CIDSTORE_RDONLY);
	compare("opened for reading");
	must(cidstore_close(s), "close");
	open_store(CIDSTORE_MANUAL);
	compare("opened again");
}

static void cold(void)
{
	unsigned hits;

	must(cidstore_compact(s), "compact");
	clock_step = 1;
	tap_int(differences(ASKED, ASKED, PER_KEY, &hits), 0, "with a fast disk");
	prefetched = 0;
	tap_int(differences(ASKED, ASKED, PER_KEY, &hits), 0, "and again");
	tap_int(prefetched, 0, "nothing is asked for ahead");
	clock_step = 1000000000;
	tap_int(differences(ASKED, ASKED, PER_KEY, &hits), 0, "with a slow disk");
	tap_ok(prefetched > hits / 2, "entries are asked for ahead");
	clock_step = 1;
	(void)differences(ASKED, ASKED, PER_KEY, &hits);
	prefetched = 0;
	tap_int(differences(ASKED, ASKED, PER_KEY, &hits), 0, "with a fast disk again");
	tap_int(prefetched, 0, "no longer");
}

/* ---- damage ---- */

static int file(const char *name)
{
	char p[300];
	int fd;

	(void)snprintf(p, sizeof(p), "%s/%s", path, name);
	fd = open(p, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		tap_bail("%s: %s", p, strerror(errno));
	return fd;
}

/* The last of them: older ones are of the parts before. */
static off_t place_of(int fd, const void *what, size_t n)
{
	static uint8_t b[8 << 20];
	ssize_t got = pread(fd, b, sizeof(b), CID_H5_SEGMENT_OFFSET);
	off_t at = -1;

	for (ssize_t i = 0; i + (ssize_t)n <= got; i += 16)
		if (memcmp(b + i, what, n) == 0)
			at = CID_H5_SEGMENT_OFFSET + i;
	if (at < 0)
		tap_bail("not found in the file");
	return at;
}

static void spoil(int fd, off_t at)
{
	uint8_t b[48];

	if (pread(fd, b, sizeof(b), at) != sizeof(b))
		tap_bail("read: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] ^= 0x11;
	if (pwrite(fd, b, sizeof(b), at) != sizeof(b))
		tap_bail("write: %s", strerror(errno));
}

static void damaged(void)
{
	enum { N = 400 };
	int buckets = file("buckets-0.h5"), values = file("values-0.h5");
	uint64_t corrupt[] = { 20, 21, 333 }, lists[] = { 31, 32 };
	unsigned unreadable = 0, right = 0, silent = 0;
	struct cidstore_stats st;
	struct cidstore_id k;

	for (uint64_t i = 0; i < N; i++) {
		k = id_of(i);
		must(cidstore_delete_keys(s, &k, 1, NULL), "delete");
	}
	for (uint64_t i = 0; i < N; i++)
		insert(i, 1000 * i, i == 31 ? 20 : i == 32 ? BIG : 1 + i % 2);
	must(cidstore_compact(s), "compact");
	must(cidstore_close(s), "close");
	open_store(CIDSTORE_MANUAL);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		must(cidstore_get(s, id_of(lists[i]), one, 2, counts), "get");
		spoil(values, place_of(values, one, 32));
	}
	for (size_t i = 0; i < sizeof(corrupt) / sizeof(corrupt[0]); i++) {
		k = id_of(corrupt[i]);
		spoil(buckets, place_of(buckets, &k, sizeof(k)));
	}
	for (uint64_t i = 0; i < N; i++)
		key[i] = id_of(i);
	tap_int(cidstore_get_many(s, key, N, out, PER_KEY, counts), CIDSTORE_ECORRUPT,
		"damage is told");
	for (uint64_t i = 0; i < N; i++) {
		bool bad = i == 31 || i == 32 || i == 20 || i == 21 || i == 333;
		uint64_t total;

		if (counts[i] == CIDSTORE_UNREADABLE) {
			unreadable += bad;
			silent += cidstore_get(s, key[i], one, BIG, &total) != CIDSTORE_ECORRUPT;
			continue;
		}
		if (bad || counts[i] != 1 + i % 2)
			continue;
		must(cidstore_get(s, key[i], one, 2, &total), "get");
		right += memcmp(one, out + i * PER_KEY, counts[i] * sizeof(*one)) == 0;
	}
	tap_int(unreadable, 5, "of the five that are damaged");
	tap_int(silent, 0, "as single lookups find them");
	tap_int(right, N - 5, "and all others are answered");
	cidstore_stats(s, &st);
	tap_ok(st.corrupt_units >= 3, "damage is counted");
	must(cidstore_get_many(s, key + 31, 2, NULL, 0, counts), "counting");
	tap_ok(counts[0] == 20 && counts[1] == BIG, "where only counts are asked, no list is read");
	/* What is newer and hides it needs no look at what is damaged. */
	must(cidstore_delete_keys(s, &key[20], 1, NULL), "delete");
	insert(21, 5, 1);
	tap_int(cidstore_get_many(s, key + 20, 2, out, PER_KEY, counts), CIDSTORE_ECORRUPT,
		"a change to a key that cannot be read");
	tap_ok(counts[0] == CIDSTORE_ABSENT, "its deletion is seen");
	tap_ok(counts[1] == CIDSTORE_UNREADABLE, "an addition does not make it whole");
	close(buckets);
	close(values);
}

int main(int argc, char **argv)
{
	const struct cidstore_geometry geo = { .log_bytes = 1 << 20,
					       .segment_bytes = 16 << 20,
					       .bucket_bytes = 16384,
					       .promotion_threshold = 64 };
	const char *tmp = getenv("TMPDIR");
	struct cidstore_error err;

	rng = argc > 1 ? strtoull(argv[1], NULL, 0) : 20261121;
	tap_note("seed %" PRIu64, rng);
	(void)snprintf(dir, sizeof(dir), "%s/cid-many-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	slow_io = cid_io_posix;
	slow_io.monotonic = stepping;
	slow_io.prefetch = count_prefetch;
	clock_step = 1000;
	if (cidstore_create(path, &geo, &err))
		tap_bail("%s", err.message);
	open_store(CIDSTORE_MANUAL);
	everywhere();
	cold();
	damaged();
	(void)cidstore_close(s);
	remove_store(path);
	(void)rmdir(dir);
	return tap_done();
}
