/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair.c - each kind of damage, and what a repair makes of it
 *
 * usage: repair [STRIDE]
 *
 * What can be put right loses nothing; what cannot is told of, and the rest is
 * saved: afterwards the check finds nothing, what is there was there before,
 * and of what is missing something was told. A repair whose writes fail from
 * any of them on (each STRIDE-th is tried) is made up for by the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5/image.h"
#include "lib/faultio.h"
#include "lib/ids.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "store/format.h"
#include "hash/entry.h"
#include "store/store.h"

enum { KEYS = 300, VALUES = 400 };

struct world {
	uint8_t exists[KEYS];
	uint8_t have[KEYS][VALUES];
};

static char dir[200], master[240], path[240];
static struct world truth, seen;
static struct cid_root root; /* of the master */
static struct cidstore *s;
static unsigned lines, barriers;
static bool loud;

static void must(int rc, const char *doing)
{
	if (rc)
		tap_bail("%s: %s", doing, cidstore_strerror(rc));
}

static int open_store(unsigned flags)
{
	struct cidstore_error err = { 0, "" };
	int rc = cid_store_open_io(&fault_io, path, flags, &s, &err);

	if (rc && loud)
		tap_note("%s", err.message);
	return rc;
}

static void insert(unsigned k, unsigned v, unsigned n)
{
	static struct cidstore_pair p[VALUES];

	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct cidstore_pair){ key_id(k), value_id((v + i) % VALUES) };
		truth.exists[k] = truth.have[k][(v + i) % VALUES] = 1;
	}
	must(cidstore_insert(s, p, n, NULL), "insert");
}

/* Buckets, two runs, sets of each form, a deletion log, a log with a batch. */
static void fill(void)
{
	static const struct cidstore_geometry geo = { .log_bytes = 256u << 10,
						      .segment_bytes = 4u << 20,
						      .bucket_bytes = 8192,
						      .promotion_threshold = 32,
						      .hash_seed = 3 };
	struct cidstore_op op[20];
	struct cidstore_error err;
	struct cidstore_id gone = key_id(5);
	int fd;

	if (cid_store_create_io(&fault_io, path, &geo, &err) || open_store(CIDSTORE_MANUAL))
		tap_bail("%s", err.message);
	for (unsigned k = 0; k < KEYS; k++)
		insert(k, k, k % 10 == 0 ? 300 : k % 10 == 1 ? 20 : 1 + k % 3);
	insert(KEYS - 1, 0, VALUES);
	must(cidstore_compact(s), "compact");
	for (unsigned k = 0; k < KEYS; k += 3)
		insert(k, 350, 1 + k % 4);
	must(cidstore_checkpoint(s), "checkpoint");
	for (unsigned k = 1; k < KEYS; k += 4)
		insert(k, 360, k % 8 == 1 ? 40 : 2);
	must(cidstore_delete_keys(s, &gone, 1, NULL), "delete_keys");
	truth.exists[5] = 0;
	memset(truth.have[5], 0, VALUES);
	must(cidstore_checkpoint(s), "checkpoint");
	for (unsigned k = 0; k < 60; k++)
		insert(k * 2, 370, 1);
	for (unsigned i = 0; i < 20; i++) {
		op[i] = (struct cidstore_op){ CIDSTORE_OP_INSERT, key_id(i), value_id(390) };
		truth.exists[i] = truth.have[i][390] = 1;
	}
	must(cidstore_apply(s, op, 20), "apply");
	insert(200, 391, 3);
	must(cidstore_sync(s), "sync");
	copy_store(path, master);
	(void)cidstore_close(s);
	remove_store(path);
	fd = openat(AT_FDCWD, master, O_RDONLY | O_DIRECTORY);
	fd = openat(fd, CID_H5_MAIN_NAME, O_RDWR);
	for (unsigned i = 0; i < 4; i++) {
		struct cid_root r;

		if (pread(fd, &r, sizeof(r), (off_t)(CID_H5_ROOT_OFFSET + i * CID_PAGE)) !=
		    (ssize_t)sizeof(r))
			tap_bail("reading the root");
		if (r.generation > root.generation)
			root = r;
	}
	/* The log's records count as durable: gaps among them are damage. */
	root.log_durable = root.log_first + 80;
	root.sum = cid_sum_of(&root, offsetof(struct cid_root, sum), 0);
	for (unsigned i = 0; i < 2; i++)
		if (pwrite(fd, &root, sizeof(root),
			   (off_t)(CID_H5_ROOT_OFFSET +
				   ((root.generation & 1) * 2 + i) * CID_PAGE)) !=
		    (ssize_t)sizeof(root))
			tap_bail("writing the root");
	close(fd);
}

/* ---- scribbling ---- */

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

static const char *const pool_file[] = { "directory-0.h5", "buckets-0.h5", "values-0.h5" };

static void get(enum cid_pool_kind k, uint64_t pos, void *p, size_t n)
{
	int fd = file(pool_file[k]);

	if (pread(fd, p, n, (off_t)(root.data_offset[k] + pos)) != (ssize_t)n)
		tap_bail("reading %s", pool_file[k]);
	close(fd);
}

static void flip_at(const char *name, uint64_t off, unsigned bit)
{
	int fd = file(name);
	uint8_t c = 0;

	if (pread(fd, &c, 1, (off_t)off) != 1)
		tap_bail("reading %s", name);
	c ^= (uint8_t)(1 << bit);
	if (pwrite(fd, &c, 1, (off_t)off) != 1)
		tap_bail("writing %s", name);
	close(fd);
}

static void flip(enum cid_pool_kind k, uint64_t pos, unsigned bit)
{
	flip_at(pool_file[k], root.data_offset[k] + pos + bit / 8, bit % 8);
}

static void scribble(const char *name, uint64_t off, size_t n)
{
	static uint8_t junk[1 << 16];
	int fd = file(name);

	for (size_t i = 0; i < n; i++)
		junk[i] = (uint8_t)(i * 37 + 11 + (i >> 8) * 101);
	if (pwrite(fd, junk, n, (off_t)off) != (ssize_t)n)
		tap_bail("writing %s", name);
	close(fd);
}

static void spoil(enum cid_pool_kind k, uint64_t pos, size_t n)
{
	scribble(pool_file[k], root.data_offset[k] + pos, n);
}

/* Slots of the directory and the runs of the master. */
static struct cid_page_ref page0(void)
{
	struct cid_page_ref r;

	get(CID_POOL_META, root.directory.pos, &r, sizeof(r));
	return r;
}

static struct cid_slot slot_of_bucket(unsigned n)
{
	struct cid_slot slot[64];
	uint64_t i = 0;

	get(CID_POOL_META, page0().pos, slot, sizeof(slot));
	for (; n; n--)
		i += 1ull << (root.global_depth - slot[i].depth);
	return slot[i];
}

static struct cid_slot slot_of_run(unsigned n)
{
	struct cid_slot slot;

	get(CID_POOL_META, root.runs.pos + n * sizeof(slot), &slot, sizeof(slot));
	return slot;
}

static uint64_t footer_of(const struct cid_slot *slot)
{
	return slot->pos + slot->pages * (uint64_t)CID_PAGE - sizeof(struct cid_footer);
}

/* The first entry of any bucket in this state. */
static struct cid_entry entry_in(enum cid_state st, uint64_t *pos)
{
	for (unsigned b = 0; b < 20; b++) {
		struct cid_slot slot = slot_of_bucket(b);

		for (unsigned i = 0; i < slot.entries; i++) {
			struct cid_entry e;

			get(CID_POOL_PARTS, slot.pos + i * sizeof(e), &e, sizeof(e));
			if (cid_state_decode((uint8_t)(e.check_high >> 56)) == (int)st) {
				*pos = slot.pos + i * sizeof(e);
				return e;
			}
		}
	}
	tap_bail("no entry in state %d", (int)st);
}

/* ---- the cases ---- */

static void d_nothing(void) {}
static void d_flip_entry(void) { flip(CID_POOL_PARTS, slot_of_bucket(1).pos + 64 * 3, 77); }
static void d_flip_two(void)
{
	flip(CID_POOL_PARTS, slot_of_bucket(1).pos + 64 * 3, 77);
	flip(CID_POOL_PARTS, slot_of_bucket(1).pos + 64 * 3, 411);
}
static void d_flip_run_entry(void)
{
	flip(CID_POOL_PARTS, slot_of_run(0).pos + 64 * 3, 78);
	flip(CID_POOL_PARTS, slot_of_run(1).pos + 64 * 5, 300);
	flip(CID_POOL_PARTS, slot_of_run(1).pos + 64 * 5, 480);
}
static void d_flip_packed(void)
{
	uint64_t pos;
	struct cid_entry e = entry_in(CID_PACKED, &pos);

	flip(CID_POOL_VALUES, cid_entry_list(&e).pos, 1234);
}
static void d_flip_leaf(void)
{
	uint64_t pos;
	struct cid_entry e = entry_in(CID_EXTENT, &pos);

	flip(CID_POOL_VALUES, cid_entry_list(&e).pos, 12345);
}
static void d_flip_footer(void)
{
	struct cid_slot slot = slot_of_bucket(2);

	flip(CID_POOL_PARTS, footer_of(&slot), 200);
}
static void d_index(void)
{
	struct cid_slot slot = slot_of_bucket(3);

	spoil(CID_POOL_PARTS, slot.pos + slot.entries * 64ull, 20);
}
static void d_flip_directory(void) { flip(CID_POOL_META, page0().pos, 3000); }
static void d_flip_table(void) { flip(CID_POOL_META, root.directory.pos, 100); }
static void d_flip_runs(void) { flip(CID_POOL_META, root.runs.pos, 100); }
static void d_directory_page(void) { spoil(CID_POOL_META, page0().pos, CID_PAGE); }
static void d_directory_table(void) { spoil(CID_POOL_META, root.directory.pos, 32); }
static void d_space(void)
{
	struct cid_page_ref r;

	get(CID_POOL_META, root.space[1].pos, &r, sizeof(r));
	spoil(CID_POOL_META, r.pos, 100);
}
static void d_space_table(void) { spoil(CID_POOL_META, root.space[2].pos, 16); }
static void d_freed(void)
{
	if (root.freed.pos)
		spoil(CID_POOL_META, root.freed.pos, 16);
}
static void d_root_copy(void)
{
	scribble(CID_H5_MAIN_NAME, CID_H5_ROOT_OFFSET + (root.generation & 1) * 2 * CID_PAGE, 512);
}
static void d_hdf5(void)
{
	scribble("buckets-0.h5", 100, 400);
	scribble(CID_H5_MAIN_NAME, 40, 400);
}
static void d_deletions_missing(void)
{
	char full[300];

	(void)snprintf(full, sizeof(full), "%s/deletions-0.h5", path);
	if (unlink(full))
		tap_bail("%s: %s", full, strerror(errno));
}
static void d_deletions_short(void)
{
	int fd = file("deletions-0.h5");

	if (ftruncate(fd, 30000))
		tap_bail("cutting: %s", strerror(errno));
	close(fd);
}
static uint64_t record_at(uint64_t lsn)
{
	return root.data_offset[3] + (lsn & (root.log_records - 1)) * 64;
}
static void d_log_flips(void)
{
	flip_at("wal-0.h5", record_at(root.log_first + 4) + 20, 3);
	flip_at("wal-0.h5", record_at(root.log_first + 4) + 40, 1);
}

static void d_entry(void) { spoil(CID_POOL_PARTS, slot_of_bucket(1).pos + 64 * 3, 40); }
static void d_packed(void)
{
	uint64_t pos;
	struct cid_entry e = entry_in(CID_PACKED, &pos);

	spoil(CID_POOL_VALUES, cid_entry_list(&e).pos, 40);
}
static void d_leaf(void)
{
	uint64_t pos;
	struct cid_entry e = entry_in(CID_EXTENT, &pos);

	spoil(CID_POOL_VALUES, cid_entry_list(&e).pos + 64, 40);
}
static void d_footer(void)
{
	struct cid_slot slot = slot_of_bucket(2);

	spoil(CID_POOL_PARTS, footer_of(&slot), 256);
}
static void d_bucket_part(void)
{
	struct cid_slot slot = slot_of_bucket(1);

	spoil(CID_POOL_PARTS, slot.pos, (size_t)slot.entries / 2 * 64);
}
static void d_bucket(void)
{
	struct cid_slot slot = slot_of_bucket(1);

	spoil(CID_POOL_PARTS, slot.pos, slot.pages * (size_t)CID_PAGE);
}
static void d_run(void)
{
	struct cid_slot slot = slot_of_run(0);

	spoil(CID_POOL_PARTS, slot.pos, slot.pages * (size_t)CID_PAGE);
}
static void d_run_footer(void)
{
	struct cid_slot slot = slot_of_run(1);

	spoil(CID_POOL_PARTS, footer_of(&slot), 256);
}
static void d_runs(void) { spoil(CID_POOL_META, root.runs.pos, 64); }
static void d_page_and_bucket(void)
{
	d_bucket();
	d_directory_page();
}
static void d_page_and_maps(void)
{
	d_directory_page();
	d_space();
	d_runs();
}
static void d_log_record(void)
{
	scribble("wal-0.h5", record_at(root.log_first + 10), 30);
}
static void d_log_begin(void)
{
	for (uint64_t l = root.log_first; l < root.log_first + 90; l++) {
		uint8_t raw[64];
		struct cid_record r;
		int fd = file("wal-0.h5");

		if (pread(fd, raw, 64, (off_t)record_at(l)) != 64)
			tap_bail("reading the log");
		close(fd);
		if (cid_record_unpack(raw, &r) && r.opcode == CID_OP_BEGIN)
			scribble("wal-0.h5", record_at(l), 64);
	}
}
static void d_log_batch(void)
{
	for (uint64_t l = root.log_first; l < root.log_first + 90; l++) {
		uint8_t raw[64];
		struct cid_record r;
		int fd = file("wal-0.h5");

		if (pread(fd, raw, 64, (off_t)record_at(l)) != 64)
			tap_bail("reading the log");
		close(fd);
		if (cid_record_unpack(raw, &r) && r.opcode == CID_OP_BEGIN)
			scribble("wal-0.h5", record_at(l + 7), 64);
	}
}
static void d_log_missing(void)
{
	char full[300];

	(void)snprintf(full, sizeof(full), "%s/wal-0.h5", path);
	if (unlink(full))
		tap_bail("%s: %s", full, strerror(errno));
}
static void d_values_missing(void)
{
	char full[300];

	(void)snprintf(full, sizeof(full), "%s/values-0.h5", path);
	if (unlink(full))
		tap_bail("%s: %s", full, strerror(errno));
}
static void d_buckets_cut(void)
{
	int fd = file("buckets-0.h5");

	if (ftruncate(fd, (off_t)(root.data_offset[1] + slot_of_run(0).pos)))
		tap_bail("cutting: %s", strerror(errno));
	close(fd);
}
static void d_directory_missing(void)
{
	char full[300];

	(void)snprintf(full, sizeof(full), "%s/directory-0.h5", path);
	if (unlink(full))
		tap_bail("%s: %s", full, strerror(errno));
}

static const struct {
	const char *name;
	void (*damage)(void);
	bool lossless;
	bool harmless; /* the check has nothing to say */
	unsigned keys;	/* at most so many may be other than they were; 0: any */
} cases[] = {
	{ "nothing", d_nothing, true, true, 0 },
	{ "a flipped bit of an entry", d_flip_entry, true, false, 0 },
	{ "two flipped bits of an entry", d_flip_two, true, false, 0 },
	{ "flipped bits in runs", d_flip_run_entry, true, false, 0 },
	{ "a flipped bit of a packed set", d_flip_packed, true, false, 0 },
	{ "a flipped bit of a large set", d_flip_leaf, true, false, 0 },
	{ "a flipped bit of a footer", d_flip_footer, true, false, 0 },
	{ "an index", d_index, true, false, 0 },
	{ "a flipped bit of the directory", d_flip_directory, true, false, 0 },
	{ "a flipped bit of the directory's table", d_flip_table, true, false, 0 },
	{ "a flipped bit of the list of runs", d_flip_runs, true, false, 0 },
	{ "a page of the directory", d_directory_page, true, false, 0 },
	{ "the directory's table", d_directory_table, true, false, 0 },
	{ "a page of the space maps", d_space, true, false, 0 },
	{ "a table of the space maps", d_space_table, true, false, 0 },
	{ "the list of freed extents", d_freed, true, false, 0 },
	{ "a copy of the root", d_root_copy, true, false, 0 },
	{ "the deletion log is missing", d_deletions_missing, true, false, 0 },
	{ "the deletion log is cut off", d_deletions_short, true, false, 0 },
	{ "two flipped bits of a log record", d_log_flips, true, false, 0 },
	{ "an entry", d_entry, false, false, 1 },
	{ "a packed set", d_packed, false, false, 3 },
	{ "a block of a large set", d_leaf, false, false, 1 },
	{ "a footer", d_footer, false, false, 1 },
	{ "half a bucket", d_bucket_part, false, false, KEYS / 2 },
	{ "a bucket", d_bucket, false, false, KEYS / 2 },
	{ "a run", d_run, false, false, KEYS / 2 },
	{ "the footer of a run", d_run_footer, false, false, 1 },
	{ "the list of runs", d_runs, false, false, 1 },
	{ "a page of the directory and a bucket", d_page_and_bucket, false, false, KEYS / 2 },
	{ "directory, maps and list of runs", d_page_and_maps, false, false, 1 },
	{ "a record of the log", d_log_record, false, false, 1 },
	{ "the beginning of a batch", d_log_begin, false, false, 20 },
	{ "a record of a batch", d_log_batch, false, false, 20 },
	{ "the log is missing", d_log_missing, false, false, 100 },
	{ "the values are missing", d_values_missing, false, false, KEYS },
	{ "the buckets are cut off", d_buckets_cut, false, false, KEYS },
	{ "the directory file is missing", d_directory_missing, false, false, 1 },
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* ---- judging ---- */

static int on_loss(void *arg, const char *line)
{
	(void)arg;
	if (!line) {
		barriers++;
		return 0;
	}
	lines++;
	if (loud)
		tap_note("%s", line);
	return 0;
}

static void on_finding(void *arg, const char *message, double progress)
{
	(void)arg;
	(void)progress;
	if (message && loud)
		tap_note("%s", message);
}

/* Keys that are not as they were; UINT_MAX where something must not be. */
static unsigned differing(void)
{
	static struct cidstore_id id[VALUES];
	unsigned n = 0;

	for (unsigned k = 0; k < KEYS; k++) {
		uint64_t total = 0;
		int rc = cidstore_get(s, key_id(k), id, VALUES, &total);

		if (rc && rc != CIDSTORE_ENOENT) {
			tap_note("key %u: %s", k, cidstore_strerror(rc));
			return ~0u;
		}
		memset(seen.have[k], 0, VALUES);
		seen.exists[k] = rc == 0;
		for (uint64_t i = 0; i < total; i++) {
			if (id[i].high >= VALUES || id[i].low != value_id((unsigned)id[i].high).low) {
				tap_note("key %u has a value nobody made", k);
				return ~0u;
			}
			seen.have[k][id[i].high] = 1;
		}
		n += seen.exists[k] != truth.exists[k] ||
		     memcmp(seen.have[k], truth.have[k], VALUES) != 0;
	}
	return n;
}

static int repair_now(const struct cid_io *io, bool may_lose, struct cidstore_report *r)
{
	struct cidstore_error err = { 0, "" };
	int rc;

	lines = barriers = 0;
	rc = cid_store_repair_io(io, path, 0, may_lose ? on_loss : NULL, on_finding, NULL, r, &err);
	if (rc && loud)
		tap_note("repair: %s", err.message);
	return rc;
}

static bool clean(void)
{
	struct cidstore_report r;
	struct cidstore_error err = { 0, "" };

	return cid_store_check_io(&fault_io, path, 0, on_finding, NULL, &r, &err) == 0 &&
	       r.errors == 0;
}

/* What is there once it is repaired; false where it is not in order. */
static bool outcome(unsigned *other)
{
	bool ok = clean();

	*other = ~0u;
	if (ok && open_store(CIDSTORE_MANUAL) == 0) {
		*other = differing();
		ok = cidstore_compact(s) == 0 && cidstore_gc(s) == 0;
		ok = differing() == *other && ok;
		ok = cidstore_close(s) == 0 && ok && clean();
		return ok && *other != ~0u;
	}
	return false;
}

static void whole(unsigned i)
{
	struct cidstore_report r = { 0 };
	unsigned other;
	bool ok;
	int rc;

	copy_store(master, path);
	cases[i].damage();
	ok = clean() == cases[i].harmless;
	if (!ok)
		tap_note("%s: the check %s", cases[i].name, cases[i].harmless ? "complains" :
									      "is content");
	if (cases[i].lossless) {
		rc = repair_now(&fault_io, false, &r);
		ok = ok && rc == 0;
		ok = outcome(&other) && ok && other == 0;
		tap_ok(ok, "%s: put right without loss (%u keys differ)", cases[i].name, other);
	} else {
		/* Without leave to lose anything it is not put right, nor made worse. */
		(void)repair_now(&fault_io, false, &r);
		ok = ok && r.errors > 0 && r.corrected < r.errors && !clean();
		if (!ok)
			tap_note("%s: without leave to lose: %llu errors, %llu corrected",
				 cases[i].name, (unsigned long long)r.errors,
				 (unsigned long long)r.corrected);
		rc = repair_now(&fault_io, true, &r);
		ok = ok && rc == 0 && lines > 0 && barriers > 0 && r.lost > 0;
		ok = outcome(&other) && ok && other <= cases[i].keys;
		tap_ok(ok, "%s: the rest is saved (%u keys differ, %u lines told)", cases[i].name,
		       other, lines);
	}
	if (!ok) {
		remove_store(path);
		copy_store(master, path);
		cases[i].damage();
		loud = true;
		(void)repair_now(&fault_io, !cases[i].lossless, &r);
		(void)outcome(&other);
		loud = false;
	}
	remove_store(path);
}

/* Every write from the n-th on fails: as if power had gone then, but that what
 * was written is there. The next repair has to find its way. */
static unsigned cut(unsigned i, unsigned stride, unsigned *runs)
{
	struct fault none = { .number = 0 };
	struct cidstore_report r = { 0 };
	uint64_t writes;
	unsigned bad = 0, want, other;

	copy_store(master, path);
	cases[i].damage();
	fault_set(&none);
	(void)repair_now(&fault_io, true, &r);
	writes = fault_state.calls[FAULT_WRITE];
	if (!outcome(&want))
		want = 0;
	remove_store(path);
	for (uint64_t n = 1; n <= writes; n += stride) {
		struct fault f = { FAULT_WRITE, n, true, EIO };

		copy_store(master, path);
		cases[i].damage();
		fault_set(&f);
		(void)repair_now(&fault_io, true, &r);
		fault_clear();
		if (repair_now(&fault_io, true, &r) || !outcome(&other) || other != want) {
			tap_note("%s, write %llu of %llu: %u keys differ, not %u", cases[i].name,
				 (unsigned long long)n, (unsigned long long)writes, other, want);
			bad++;
		}
		++*runs;
		remove_store(path);
	}
	return bad;
}

int main(int argc, char **argv)
{
	unsigned stride = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5, bad = 0, runs = 0;
	const char *tmp = getenv("TMPDIR");
	struct fault none = { .number = 0 };

	if (!tmp)
		tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	(void)snprintf(dir, sizeof(dir), "%s/cidstore-repair.XXXXXX", tmp);
	if (stride == 0 || !mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(master, sizeof(master), "%s/master", dir);
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	fault_set(&none);
	fill();
	for (unsigned i = 0; i < CASES; i++)
		whole(i);
	copy_store(master, path);
	d_hdf5();
	{
		struct cidstore_report r = { 0 };
		unsigned other;

		tap_ok(repair_now(&cid_io_posix, false, &r) == 0 && r.errors == 2 &&
			       r.corrected == 2 && outcome(&other) && other == 0,
		       "what HDF5 reads: made anew (%llu errors, %llu corrected)",
		       (unsigned long long)r.errors, (unsigned long long)r.corrected);
	}
	remove_store(path);
	for (unsigned i = 1; i < CASES; i++)
		bad += cut(i, stride, &runs);
	tap_int(bad, 0, "%u repairs cut off are made up for by the next", runs);
	remove_store(master);
	if (rmdir(dir))
		tap_note("%s is left", dir);
	return tap_done();
}
