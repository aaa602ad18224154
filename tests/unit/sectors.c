/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sectors.c - sectors that cannot be read, under every mapping there is
 *
 * A file that is cut short gives SIGBUS in its mapping, and an error to who
 * reads it, as a bad sector does; a mapping without rights gives SIGSEGV and lets
 * the file be written meanwhile. Whoever meets it, the caller's thread or one
 * of the store's, gets an error and leaves no lock, no epoch and no memory
 * behind; when the bytes are back all goes on. A copy whose handler is told
 * nothing shows that the library has none of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "h5/image.h"
#include "lib/tap.h"
#include "os/io.h"
#include "os/mapped.h"
#include "store/store.h"

enum { KEYS = 600, SETS = 24, PACKED = 40, LARGE = 9000, OTHER = 5000, RETRY_S = 31 };

static char base[64] = "sectors.XXXXXX", dir[96];
static struct cidstore *s;
static volatile sig_atomic_t hits;
static uint64_t later; /* ns added to the clock */

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)info;
	hits++;
	if (!cidstore_sigbus(context))
		signal(sig, SIG_DFL);
}

static uint64_t monotonic(void *self)
{
	return cid_io_posix.monotonic(self) + __atomic_load_n(&later, __ATOMIC_RELAXED);
}

static struct cidstore_id key_id(uint64_t k)
{
	return (struct cidstore_id){ k * 0x9E3779B97F4A7C15ull, k };
}

static struct cidstore_id value_id(uint64_t v)
{
	return (struct cidstore_id){ v * 0xC2B2AE3D27D4EB4Full, v };
}

/* ---- mappings of segments, taken away and given back ---- */

enum { SEGMENTS = 64 };
static struct mapping {
	int fd;
	void *p;
	size_t n;
	char kind; /* b, d, v, w */
} mapping[SEGMENTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char taken; /* the kind that is away */

static int open_file(void *self, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = cid_io_posix.open(self, dirfd, name, flags, mode);

	pthread_mutex_lock(&lock);
	for (int i = 0; i < SEGMENTS && fd >= 0; i++)
		if (mapping[i].fd == 0) {
			mapping[i] = (struct mapping){ .fd = fd, .kind = name[0] };
			break;
		}
	pthread_mutex_unlock(&lock);
	return fd;
}

static int close_file(void *self, int fd)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < SEGMENTS; i++)
		if (mapping[i].fd == fd)
			mapping[i].fd = 0;
	pthread_mutex_unlock(&lock);
	return cid_io_posix.close(self, fd);
}

static void *map(void *self, int fd, uint64_t off, size_t n, bool writable)
{
	void *p = cid_io_posix.map(self, fd, off, n, writable);

	pthread_mutex_lock(&lock);
	for (int i = 0; i < SEGMENTS && p; i++)
		if (mapping[i].fd == fd) {
			mapping[i].p = p;
			mapping[i].n = n;
			if (mapping[i].kind == taken && mprotect(p, n, PROT_NONE))
				tap_bail("mprotect: %s", strerror(errno));
		}
	pthread_mutex_unlock(&lock);
	return p;
}

/* ---- blocks that cannot be read from a file ---- */

static char failing;	 /* the kind of file; 0: none */
static uint64_t fails_at; /* where; UINT64_MAX: the first block that is asked for */
static unsigned failed;

static ssize_t read_file(void *self, int fd, void *buf, size_t n, uint64_t off)
{
	bool fails = false;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < SEGMENTS && failing; i++)
		if (mapping[i].fd == fd && mapping[i].kind == failing) {
			if (fails_at == UINT64_MAX)
				fails_at = off;
			fails = off <= fails_at && fails_at < off + n;
		}
	failed += fails;
	pthread_mutex_unlock(&lock);
	return fails ? -EIO : cid_io_posix.pread(self, fd, buf, n, off);
}

static void spoil(char kind)
{
	fails_at = UINT64_MAX;
	failed = 0;
	failing = kind;
}

static void set_rights(char kind, int rights)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < SEGMENTS; i++)
		if (mapping[i].fd && mapping[i].p && mapping[i].kind == kind &&
		    mprotect(mapping[i].p, mapping[i].n, rights))
			tap_bail("mprotect: %s", strerror(errno));
	taken = rights == PROT_NONE ? kind : 0;
	pthread_mutex_unlock(&lock);
}

static void take(char kind)
{
	hits = 0;
	set_rights(kind, PROT_NONE);
}

static void give(char kind)
{
	set_rights(kind, PROT_READ);
}

/* ---- files that are cut short, and whole again ---- */

struct cut {
	char name[160];
	uint8_t *bytes;
	size_t n;
	off_t from;
};

static off_t file_bytes(const char *name)
{
	char path[160];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (stat(path, &st))
		tap_bail("%s: %s", path, strerror(errno));
	return st.st_size;
}

static void cut(struct cut *c, const char *name, off_t from)
{
	struct stat st;
	int fd;

	(void)snprintf(c->name, sizeof(c->name), "%s/%s", dir, name);
	fd = open(c->name, O_RDWR);
	if (fd < 0 || fstat(fd, &st) || st.st_size <= from)
		tap_bail("%s: %s", c->name, strerror(errno));
	c->from = from;
	c->n = (size_t)(st.st_size - from);
	c->bytes = malloc(c->n);
	if (!c->bytes || pread(fd, c->bytes, c->n, from) != (ssize_t)c->n || ftruncate(fd, from))
		tap_bail("%s: %s", c->name, strerror(errno));
	(void)close(fd);
}

static void mend(struct cut *c)
{
	int fd = open(c->name, O_RDWR);

	if (fd < 0 || pwrite(fd, c->bytes, c->n, c->from) != (ssize_t)c->n)
		tap_bail("%s: %s", c->name, strerror(errno));
	(void)close(fd);
	free(c->bytes);
}

/* ---- a store with everything in it ---- */

static size_t values_of(unsigned k)
{
	return k == 0 ? LARGE : k < SETS ? PACKED : 1;
}

static void put(uint64_t from, unsigned keys, bool sets)
{
	static struct cidstore_pair p[LARGE];

	for (unsigned k = 0; k < keys; k++) {
		size_t n = sets ? values_of(k) : 1;

		for (size_t i = 0; i < n; i++)
			p[i] = (struct cidstore_pair){ key_id(from + k), value_id(i) };
		if (cidstore_insert(s, p, n, NULL))
			tap_bail("insert");
	}
}

static struct cid_io io;

static void fresh(const char *name, unsigned flags)
{
	static const struct cidstore_geometry geo = { .log_bytes = 1 << 20,
						      .segment_bytes = 4 << 20,
						      .bucket_bytes = 16384,
						      .promotion_threshold = 64,
						      .hash_seed = 11 };
	struct cidstore_error err;

	(void)snprintf(dir, sizeof(dir), "%s/%s", base, name);
	later = 0; /* threads sleep by the real one */
	io = cid_io_posix;
	io.monotonic = monotonic;
	io.open = open_file;
	io.close = close_file;
	io.map = map;
	io.pread = read_file;
	if (cidstore_create(dir, &geo, &err) || cid_store_open_io(&io, dir, flags, &s, &err))
		tap_bail("%s", err.message);
	put(0, KEYS, true);
	if (cidstore_compact(s))
		tap_bail("compact");
}

/* ---- reading ---- */

static unsigned refused, wrong;

static void judge(int rc, int want)
{
	if (rc == CIDSTORE_EIO)
		refused++;
	else if (rc != want)
		wrong++;
}

static void read_one_by_one(void)
{
	static struct cidstore_id out[LARGE];
	struct cid_key_info info;
	uint64_t n;

	for (unsigned k = 0; k < KEYS; k++) {
		judge(cidstore_get(s, key_id(k), out, LARGE, &n), 0);
		judge(cidstore_count(s, key_id(k), &n), 0);
		judge(cidstore_contains(s, key_id(k), value_id(values_of(k) - 1)), 0);
		judge(cid_store_key_info(s, key_id(k), &info), 0);
	}
}

static void read_lists(void)
{
	static struct cidstore_item item[256];
	struct cidstore_pos pos = { 0 };
	size_t n;
	int rc;

	do {
		rc = cidstore_scan_keys(s, &pos, item, 256, &n);
	} while (rc == 0 && n);
	judge(rc, 0);
	for (unsigned k = 0; k < SETS; k++) {
		pos = (struct cidstore_pos){ 0 };
		do {
			rc = cidstore_scan_values(s, key_id(k), &pos, item, 256, &n);
		} while (rc == 0 && n);
		judge(rc, 0);
	}
}

static void read_many(void)
{
	static struct cidstore_id key[KEYS], out[KEYS * 4];
	static uint64_t count[KEYS];

	for (unsigned k = 0; k < KEYS; k++)
		key[k] = key_id(k);
	judge(cidstore_get_many(s, key, KEYS, out, 4, count), 0);
	for (unsigned k = 0; k < KEYS; k++)
		if (count[k] == CIDSTORE_UNREADABLE)
			refused++;
		else if (count[k] != values_of(k))
			wrong++;
}

static void read_snapshot(void)
{
	static struct cidstore_item item[256];
	struct cidstore_snapshot *v;
	struct cidstore_pos pos = { 0 };
	size_t n = 0;
	int rc = cidstore_snapshot_open(s, &v);

	judge(rc, 0);
	if (rc)
		return;
	do {
		rc = cidstore_snapshot_keys(v, &pos, item, 256, &n);
	} while (rc == 0 && n);
	judge(rc, 0);
	pos = (struct cidstore_pos){ 0 };
	do {
		rc = cidstore_snapshot_values(v, key_id(0), &pos, item, 256, &n);
	} while (rc == 0 && n);
	judge(rc, 0);
	cidstore_snapshot_close(v);
}

static void read_all(void)
{
	refused = wrong = 0;
	hits = 0;
	read_one_by_one();
	read_lists();
	read_many();
	read_snapshot();
}

static void readers(void)
{
	static const char *const file[] = { "buckets-0.h5", "values-0.h5" };
	struct cidstore_stats st;

	fresh("readers", CIDSTORE_MANUAL);
	read_all();
	tap_ok(refused == 0 && wrong == 0 && hits == 0, "a sound store answers");
	for (unsigned i = 0; i < 2; i++) {
		struct cut c;

		cut(&c, file[i], 4096);
		read_all();
		tap_ok(refused > 50 && wrong == 0 && hits > 50,
		       "%s cut off: %u answers are EIO, %u wrong, %d signals", file[i], refused,
		       wrong, (int)hits);
		tap_int(cidstore_mkkey(s, key_id(OTHER)), i ? CIDSTORE_EEXIST : 0,
			"a key of which the index knows nothing is made");
		if (i == 0)
			tap_int(cidstore_add(s, key_id(5), value_id(1)), CIDSTORE_EIO,
				"a change that must know more is EIO");
		mend(&c);
		read_all();
		tap_ok(refused == 0 && wrong == 0, "%s whole again: all answers", file[i]);
		tap_int(cidstore_add(s, key_id(OTHER), value_id(i)), 0,
			"and changes are made: no lock was left behind");
	}
	/* An epoch that was not left would keep all that is retired. */
	put(KEYS, KEYS, false);
	tap_int(cidstore_compact(s), 0, "compacted");
	put(2 * KEYS, KEYS, false);
	tap_int(cidstore_gc(s), 0, "what was retired is freed");
	cidstore_stats(s, &st);
	tap_int(st.keys, 3 * KEYS + 1, "no key is lost");
	tap_int(cidstore_close(s), 0, "closed");
}

/* ---- maintenance ---- */

static void stepped(void)
{
	static const struct cidstore_pair one = { { 1, 1 }, { 1, 1 } };
	struct cidstore_stats st;

	fresh("stepped", CIDSTORE_MANUAL);
	put(0, SETS, true);
	put(KEYS, KEYS, false);
	tap_int(cidstore_checkpoint(s), 0, "a run is written");
	take('b');
	tap_int(cidstore_compact(s), CIDSTORE_EIO, "a sweep that cannot read is EIO");
	tap_ok(hits > 0, "and met the signal");
	tap_int(cidstore_insert(s, &one, 1, NULL), 0, "changes are accepted on");
	tap_int(cidstore_checkpoint(s), 0, "and flushed");
	give('b');
	tap_int(cidstore_compact(s), 0, "asked again it is done");
	cidstore_stats(s, &st);
	tap_int(st.keys, 2 * KEYS + 1, "no key is lost");
	put(0, SETS, true);
	take('v');
	tap_int(cidstore_compact(s), CIDSTORE_EIO, "sets that cannot be read: EIO");
	tap_ok(hits > 0, "they met the signal");
	tap_int(cidstore_insert(s, &one, 1, NULL), 0, "changes are accepted on");
	tap_int(cidstore_checkpoint(s), 0, "and flushed");
	give('v');
	/* Nobody asks: after a while it tries again by itself. */
	__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
	tap_int(cidstore_wait_idle(s), 0, "left alone");
	tap_int(cidstore_compact(s), 0, "whole again: swept");
	read_all();
	tap_ok(refused == 0 && wrong == 0, "all answers");
	tap_int(cidstore_close(s), 0, "closed");
}

/* A sweep that stops half-way: what it did so far is counted, once. */
static void half_swept(void)
{
	struct cidstore_stats st, before;
	struct cidstore_report report;
	struct cidstore_error err;
	int more = 1;

	fresh("half", CIDSTORE_MANUAL);
	put(KEYS, KEYS * 4, false);
	tap_int(cidstore_checkpoint(s), 0, "a run for many buckets");
	cidstore_stats(s, &before);
	/* Writers are at rest some time after they were seen to be. */
	if (cidstore_step(s, &more))
		tap_bail("step");
	__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
	do {
		if (cidstore_step(s, &more))
			tap_bail("step");
		cidstore_stats(s, &st);
	} while (more && st.bucket_merges < before.bucket_merges + 3);
	tap_int(st.bucket_merges - before.bucket_merges, 3, "three buckets are swept");
	take('b');
	tap_int(cidstore_step(s, &more), 0, "the next cannot be read");
	cidstore_stats(s, &before);
	tap_ok(before.errors > st.errors, "which ends the sweep");
	give('b');
	__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
	tap_int(cidstore_compact(s), 0, "another sweeps the rest");
	cidstore_stats(s, &st);
	tap_int(st.keys, KEYS * 5, "and the number of keys is right");
	tap_int(cidstore_close(s), 0, "closed");
	tap_int(cidstore_check(dir, 0, NULL, NULL, &report, &err), 0, "it can be checked");
	tap_int(report.errors, 0, "and nothing is found");
}

/* Small buckets are joined, deletions collected. */
static void shrinking(void)
{
	struct cidstore_id key[KEYS];
	struct cidstore_stats st;

	fresh("shrinking", CIDSTORE_MANUAL);
	put(KEYS, KEYS * 4, false);
	if (cidstore_compact(s))
		tap_bail("compact");
	for (int k = 0; k < KEYS * 4; k += KEYS) {
		for (int i = 0; i < KEYS; i++)
			key[i] = key_id((uint64_t)(KEYS + k + i));
		(void)cidstore_delete_keys(s, key, KEYS - (k == 0 ? 5 : 0), NULL);
	}
	(void)cidstore_delete_keys(s, &(struct cidstore_id){ key_id(0).high, key_id(0).low }, 1,
				   NULL);
	if (cidstore_checkpoint(s))
		tap_bail("checkpoint");
	for (unsigned i = 0; i < 400; i++) {
		int more, rc;

		if (i % 2)
			give(i % 4 == 1 ? 'b' : 'v');
		else
			take(i % 4 == 0 ? 'b' : 'v');
		rc = cidstore_step(s, &more);
		if (rc && rc != CIDSTORE_EIO)
			tap_int(rc, 0, "step %u", i);
		if (i == 100)
			(void)cidstore_compact(s);
	}
	give('v');
	give('b');
	__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
	tap_int(cidstore_compact(s), 0, "mappings that come and go under every step: compacted");
	tap_int(cidstore_gc(s), 0, "and collected");
	cidstore_stats(s, &st);
	tap_int(st.keys, KEYS - 1 + 5, "no key is lost, none came back");
	tap_int(cidstore_close(s), 0, "closed");
	tap_int(cid_store_check_io(&cid_io_posix, dir, 0, NULL, NULL,
				   &(struct cidstore_report){ 0 }, &(struct cidstore_error){ 0 }),
		0, "fsck finds nothing");
}

/* Two large sets lose their keys; a block of one of them cannot be read. */
static void orphans(void)
{
	static struct cidstore_pair p[LARGE];
	const struct cidstore_id gone[] = { key_id(OTHER), key_id(OTHER + 1) };
	struct cidstore_report report;
	struct cidstore_error err;
	struct cidstore_stats before, st;

	fresh("orphans", CIDSTORE_MANUAL);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < LARGE; i++)
			p[i] = (struct cidstore_pair){ gone[k], value_id(i) };
		if (cidstore_insert(s, p, LARGE, NULL))
			tap_bail("insert");
	}
	if (cidstore_compact(s) || cidstore_delete_keys(s, gone, 2, NULL) ||
	    cidstore_checkpoint(s))
		tap_bail("delete");
	cidstore_stats(s, &before);
	spoil('v');
	tap_int(cidstore_compact(s), 0, "swept");
	cidstore_stats(s, &st);
	tap_ok(failed > 0 && st.errors > before.errors, "a block of a set that is gone: reported");
	tap_ok(st.gc_freed_bytes - before.gc_freed_bytes >= LARGE * 16,
	       "%llu bytes of the other one are free all the same",
	       (unsigned long long)(st.gc_freed_bytes - before.gc_freed_bytes));
	tap_int(st.gc_pending, 1, "the one waits for another try");
	for (int i = 0; i < 2; i++) {
		__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
		tap_int(cidstore_wait_idle(s), 0, "left alone in a while");
	}
	cidstore_stats(s, &st);
	tap_int(st.gc_pending, 1, "it still waits");
	__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
	tap_int(cidstore_wait_idle(s), 0, "left alone once more");
	cidstore_stats(s, &st);
	tap_int(st.gc_pending, 0, "it is found without being read");
	failing = 0;
	tap_int(cidstore_close(s), 0, "closed");
	tap_int(cidstore_check(dir, 0, NULL, NULL, &report, &err), 0, "it can be checked");
	tap_int(report.errors + report.leaked_bytes, 0, "and no page is lost");
}

/* A sweep that was cut off cannot go on at open: it does, in a while. */
static void resumed(void)
{
	struct cidstore_stats st, before;
	struct cidstore_error err;
	int more = 1;

	fresh("resumed", CIDSTORE_MANUAL);
	put(KEYS, KEYS * 4, false);
	if (cidstore_checkpoint(s) || cidstore_step(s, &more))
		tap_bail("checkpoint");
	cidstore_stats(s, &before);
	__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
	do {
		if (cidstore_step(s, &more))
			tap_bail("step");
		cidstore_stats(s, &st);
	} while (more && st.bucket_merges < before.bucket_merges + 3);
	/* A commit in the middle of it. */
	if (cidstore_close(s))
		tap_bail("close");
	spoil('b');
	if (cid_store_open_io(&io, dir, CIDSTORE_MANUAL, &s, &err))
		tap_bail("%s", err.message);
	cidstore_stats(s, &before);
	tap_ok(failed > 0 && before.errors > 0, "opened, and what could not be read is reported");
	failing = 0;
	tap_int(cidstore_wait_idle(s), 0, "left alone at once");
	cidstore_stats(s, &st);
	tap_int(st.sweeps, before.sweeps, "it does not sweep");
	__atomic_add_fetch(&later, RETRY_S * 1000000000ull, __ATOMIC_RELAXED);
	tap_int(cidstore_wait_idle(s), 0, "left alone in a while");
	cidstore_stats(s, &st);
	tap_ok(st.sweeps > before.sweeps && st.runs == 0, "it does");
	tap_int(st.keys, KEYS * 5, "and the number of keys is right");
	tap_int(cidstore_close(s), 0, "closed");
}

static void wait_for(bool (*is)(void), const char *what)
{
	const char *d = getenv("DEADLINE");
	int left = d ? atoi(d) * 100 : 3000;

	while (!is() && left-- > 0)
		(void)usleep(10000);
	tap_ok(left > 0, "%s", what);
}

static bool has_errors(void)
{
	struct cidstore_stats st;

	cidstore_stats(s, &st);
	return st.errors > 0;
}

static bool verified(void)
{
	struct cid_verify_state v;

	cid_store_verify_state(s, &v);
	return !v.running;
}

static void in_threads(void)
{
	struct cid_verify_state v;
	struct cidstore_stats st, then;
	struct cut b;

	fresh("threads", 0);
	put(0, SETS, true);
	put(KEYS, KEYS, false);
	if (cidstore_wait_idle(s))
		tap_bail("wait_idle");
	cidstore_stats(s, &then);
	put(KEYS, 2 * KEYS, false);
	put(0, SETS, true);
	if (cidstore_checkpoint(s))
		tap_bail("checkpoint");
	take('b');
	(void)cidstore_compact(s);
	wait_for(has_errors, "the maintaining thread reports what it cannot read");
	tap_ok(hits > 0, "it met the signal, and lives");
	hits = 0;
	tap_int(cid_store_verify_start(s), 0, "verification begins");
	wait_for(verified, "and ends");
	cid_store_verify_state(s, &v);
	tap_ok(v.report.errors > 0 && hits > 0, "it met the signal and has %llu errors to report",
	       (unsigned long long)v.report.errors);
	put(2 * KEYS, KEYS, false);
	tap_int(cidstore_sync(s), 0, "changes are accepted, and durable");
	tap_int(cidstore_checkpoint(s), 0, "and flushed");
	give('b');
	tap_int(cidstore_compact(s), 0, "whole again: compacted");
	/* The scrubber reads its files as files. */
	if (cidstore_wait_idle(s))
		tap_bail("wait_idle");
	cut(&b, "buckets-0.h5", 4096);
	tap_int(cid_store_scrub(s), 0, "the scrubber goes round a file that is cut off");
	cidstore_stats(s, &st);
	tap_ok(st.scrub_errors > then.scrub_errors, "and counts damage");
	mend(&b);
	tap_int(cidstore_close(s), 0, "closed");
}

/* ---- the log ---- */

static void log_file(void)
{
	static struct cidstore_pair p[2000];
	struct cid_feed_item item[64];
	struct cidstore_error err;
	struct cidstore_stats st;
	uint64_t seq, from, count;
	size_t done = 0, lost = 0, n;
	struct cut c;
	off_t at;

	fresh("log", CIDSTORE_MANUAL);
	from = cidstore_last_seq(s);
	for (unsigned i = 0; i < 2000; i++)
		p[i] = (struct cidstore_pair){ key_id(KEYS + i), value_id(i) };
	/* From the page on that a record some way ahead belongs to. */
	at = file_bytes("wal-0.h5") - (1 << 20) + (off_t)((from + 900) % (1 << 14) * 64);
	cut(&c, "wal-0.h5", at & ~(off_t)4095);
	hits = 0;
	tap_int(cidstore_insert(s, p, 2000, &done), CIDSTORE_EIO,
		"a record that has no place on the device is EIO");
	tap_ok(hits == 1 && done < 2000, "after %zu of 2000, at one signal", done);
	tap_int(cidstore_insert(s, p, 1, NULL), CIDSTORE_EFAILED, "nothing is accepted after it");
	tap_int(cidstore_mkkey(s, key_id(1)), CIDSTORE_EFAILED, "nor asked for");
	tap_int(cidstore_sync(s), CIDSTORE_EFAILED, "nor vouched for");
	cidstore_stats(s, &st);
	tap_int(st.failed, 1, "and that is shown");
	tap_int(cidstore_last_seq(s) - from, done, "what was done counts, no more");
	for (size_t i = 0; i < 2000; i++)
		if ((cidstore_count(s, p[i].key, &count) == 0) != (i < done))
			lost++;
	tap_int(lost, 0, "and can be read");
	mend(&c);
	tap_ok(cidstore_close(s) == 0 || true, "closed");
	if (cidstore_open(dir, CIDSTORE_MANUAL, &s, &err))
		tap_bail("%s", err.message);
	lost = 0;
	for (size_t i = 0; i < 2000; i++)
		if ((cidstore_count(s, p[i].key, &count) == 0) != (i < done))
			lost++;
	tap_int(lost, 0, "opened again it holds what was acknowledged, no more");
	/* What is read back from it. */
	seq = cid_store_feed_oldest(s);
	(void)cidstore_insert(s, p, 500, NULL);
	cut(&c, "wal-0.h5", 4096 * 4);
	hits = 0;
	lost = 0;
	while ((n = cid_store_feed(s, &seq, item, 64)) > 0)
		for (size_t i = 0; i < n; i++)
			lost += item[i].kind == CID_FEED_LOST;
	tap_ok(lost > 0 && hits > 0, "followers are told of %zu changes that they are lost", lost);
	mend(&c);
	tap_int(cidstore_close(s), 0, "closed");
}

/* ---- a reader beside a writer ---- */

static void follower(void)
{
	struct cidstore *writer;
	struct cidstore_error err;
	uint64_t n;
	struct cut c;

	fresh("follower", CIDSTORE_MANUAL);
	writer = s;
	if (cidstore_open(dir, CIDSTORE_RDONLY | CIDSTORE_MANUAL, &s, &err))
		tap_bail("%s", err.message);
	tap_int(cidstore_count(s, key_id(1), &n), 0, "a follower reads");
	cut(&c, "main.h5", 4096);
	hits = 0;
	tap_int(cidstore_refresh(s), CIDSTORE_EIO, "without a root it cannot go on: EIO");
	tap_ok(hits > 0, "it met the signal");
	mend(&c);
	tap_int(cidstore_refresh(s), 0, "whole again: it does");
	cut(&c, "main.h5", CID_H5_ROOT_OFFSET + 3 * 4096);
	hits = 0;
	(void)cidstore_insert(writer, &(struct cidstore_pair){ key_id(77777), value_id(1) }, 1, NULL);
	tap_int(cidstore_checkpoint(writer), 0, "the writer commits");
	tap_ok(cidstore_refresh(s) == 0 && cidstore_contains(s, key_id(77777), value_id(1)) == 0,
	       "one copy of a root that cannot be read is in nobody's way");
	mend(&c);
	cut(&c, "buckets-0.h5", 4096);
	read_all();
	tap_ok(refused > 100 && wrong == 0, "what it cannot read is EIO, %u are wrong", wrong);
	mend(&c);
	read_all();
	tap_ok(refused == 0 && wrong == 0, "whole again: all answers");
	tap_int(cidstore_close(s), 0, "closed");
	tap_int(cidstore_close(writer), 0, "closed");
}

/* ---- without a handler ---- */

static void alone(void)
{
	struct cut c;
	int status = 0;
	pid_t pid;

	fresh("alone", CIDSTORE_MANUAL);
	cut(&c, "buckets-0.h5", 4096);
	pid = fork();
	if (pid == 0) {
		uint64_t n;

		signal(SIGBUS, SIG_DFL);
		(void)cidstore_count(s, key_id(1), &n);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		tap_bail("fork: %s", strerror(errno));
	tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS,
	       "the library installs no handler of its own");
	mend(&c);
	tap_int(cidstore_close(s), 0, "closed");
	tap_int(cidstore_sigbus(NULL), 0, "a signal from elsewhere is not the store's");
}

/* The parts of a copy, at each place of it. */
static void copying(void)
{
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t out[256] = { 0 };
	unsigned bad = 0;

	if (p == MAP_FAILED)
		tap_bail("mmap");
	memset(p, 7, (size_t)page);
	if (mprotect(p + page, (size_t)page, PROT_NONE))
		tap_bail("mprotect");
	for (long at = page - 256; at < page + 64; at++) {
		bool whole = at + 64 <= page;

		bad += cid_mapped_line(out, p + at) != whole;
		bad += cid_mapped_copy(out, p + at, 64) != whole;
		bad += whole && out[63] != 7;
		bad += cid_mapped_line(p + at, out) != whole;
		bad += cid_mapped_copy(p + at, out, 64) != whole;
	}
	tap_int(bad, 0, "a copy is cut off exactly where a page cannot be had");
	(void)munmap(p, (size_t)page * 2);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	char command[128];

	if (!mkdtemp(base))
		tap_bail("%s: %s", base, strerror(errno));
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	copying();
	readers();
	stepped();
	half_swept();
	shrinking();
	orphans();
	resumed();
	in_threads();
	log_file();
	follower();
	alone();
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", base);
	if (system(command))
		tap_note("%s is left", base);
	return tap_done();
}
