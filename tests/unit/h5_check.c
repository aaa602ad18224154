/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of a store that are not what they were made as are refused. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <hdf5.h>

#include "h5/schema.h"
#include "lib/h5files.h"
#include "lib/tap.h"

static void test_strangers(void)
{
	struct cid_h5_params old = params, p = params;
	struct cidstore_error err;

	old.version_string = "0.9";
	write_file(CID_H5_MAIN, &old);
	tap_int(check(CID_H5_MAIN, 0, &params, &err), 0, "made by another version: %s",
		err.message);
	p.promotion_threshold = 64;
	tap_int(check(CID_H5_MAIN, 0, &p, &err), 0, "with a setting changed");
	p.hash_seed++;
	tap_int(check(CID_H5_MAIN, 0, &p, &err), CIDSTORE_ECORRUPT, "another seed: %s",
		err.message);
	p = params;
	p.uuid_high++;
	tap_int(check(CID_H5_WAL, 0, &p, &err), CIDSTORE_ECORRUPT, "another store: %s",
		err.message);
	p = params;
	p.log_bytes *= 2;
	tap_int(check(CID_H5_WAL, 0, &p, &err), CIDSTORE_ECORRUPT, "another size: %s", err.message);
	tap_int(cid_h5_check_file(path_of(CID_H5_VALUES, 1), CID_H5_VALUES, &params, &err),
		CIDSTORE_ECORRUPT, "another number: %s", err.message);
	tap_int(cid_h5_check_file(path_of(CID_H5_WAL, 0), CID_H5_BUCKETS, &params, &err),
		CIDSTORE_ECORRUPT, "another kind: %s", err.message);
}

static void test_mutations(void)
{
	unsigned seed = (unsigned)time(NULL);
	const char *text = getenv("CID_TEST_SEED");
	struct cidstore_error err;
	int k, i, wrong = 0, odd = 0;

	if (text)
		seed = (unsigned)strtoul(text, NULL, 0);
	tap_note("CID_TEST_SEED=%u", seed);
	srandom(seed);
	for (k = 0; k < CID_H5_KINDS; k++) {
		const uint64_t head = k == CID_H5_MAIN ? CID_H5_ROOT_OFFSET : CID_H5_SEGMENT_OFFSET;
		int fd;

		write_file((enum cid_h5_kind)k, &params);
		fd = open(path_of((enum cid_h5_kind)k, 0), O_RDWR | O_CLOEXEC);
		for (i = 0; i < 60; i++) {
			uint64_t at = (uint64_t)random() % (i % 2 ? head : 4096);
			uint8_t was, is;

			if (pread(fd, &was, 1, (off_t)at) != 1)
				tap_bail("pread");
			is = (uint8_t)(was ^ (1 + (unsigned)random() % 255));
			put(fd, &is, 1, at);
			wrong += check((enum cid_h5_kind)k, 0, &params, &err) != CIDSTORE_ECORRUPT;
			odd += !err.message[0] || err.code != CIDSTORE_ECORRUPT;
			put(fd, &was, 1, at);
		}
		tap_int(check((enum cid_h5_kind)k, 0, &params, &err), 0, "%s: sound again",
			cid_h5_schemas[k].name);
		(void)close(fd);
	}
	tap_int(wrong, 0, "every changed byte is noticed");
	tap_int(odd, 0, "and told");
}

enum disguise {
	CHUNKED,
	FILTERED,
	COMPACT,
	EXTERNAL,
	VIRTUAL,
	SOFT,
	ABROAD,
	TYPE,
	LENGTH,
	PLACE,
	NONE
};
static const struct {
	const char *name, *reason;
} disguises[] = {
	[CHUNKED] = { "chunked", "/data is not contiguous" },
	[FILTERED] = { "filtered", "/data is not contiguous" },
	[COMPACT] = { "compact", "/data is not contiguous" },
	[EXTERNAL] = { "external", "/data is stored in external files" },
	[VIRTUAL] = { "virtual", "/data is virtual" },
	[SOFT] = { "behind a soft link", "/data is a link to another place" },
	[ABROAD] = { "behind an external link", "/data is a link to another place" },
	[TYPE] = { "of another type", "/data has elements of a wrong type" },
	[LENGTH] = { "of another length", "/data does not hold 4194304 bytes" },
	[PLACE] = { "at another place", "/data lies at 32768, not at 16384" },
	[NONE] = { "absent", "there is no /data" },
};

/* A values segment whose dataset only looks right from far away. */
static void write_disguise(enum disguise how)
{
	hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), f, type, space, dcpl, d;
	hsize_t n = params.segment_bytes / 16, chunk = 65536;
	const char *name = how == SOFT ? "/x" : "/data";
	const char *path = path_of(CID_H5_VALUES, 0);

	n = how == LENGTH ? n - 1 : how == COMPACT ? 64 : n;
	(void)unlink(path);
	(void)H5Pset_alignment(fapl, 16384, how == PLACE ? 32768 : 16384);
	(void)H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110);
	f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, fapl);
	type = H5Tcreate(H5T_COMPOUND, 16);
	(void)H5Tinsert(type, how == TYPE ? "hi" : "high", 0, H5T_STD_U64LE);
	(void)H5Tinsert(type, "low", 8, H5T_STD_U64LE);
	space = H5Screate_simple(1, &n, NULL);
	dcpl = H5Pcreate(H5P_DATASET_CREATE);
	(void)H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY);
	(void)H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER);
	if (how == CHUNKED || how == FILTERED)
		(void)H5Pset_chunk(dcpl, 1, &chunk);
	if (how == FILTERED)
		(void)H5Pset_shuffle(dcpl);
	if (how == COMPACT)
		(void)H5Pset_layout(dcpl, H5D_COMPACT);
	if (how == EXTERNAL)
		(void)H5Pset_external(dcpl, "/etc/passwd", 0, H5F_UNLIMITED);
	if (how == VIRTUAL)
		(void)H5Pset_virtual(dcpl, space, "values-1.h5", "/data", space);
	if (how == ABROAD)
		(void)H5Lcreate_external("values-1.h5", "/data", f, name, H5P_DEFAULT, H5P_DEFAULT);
	else if (how != NONE) {
		d = H5Dcreate2(f, name, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
		if (d < 0 || H5Dclose(d) < 0)
			tap_bail("making a %s dataset", disguises[how].name);
	}
	if (how == SOFT)
		(void)H5Lcreate_soft("/x", f, "/data", H5P_DEFAULT, H5P_DEFAULT);
	(void)H5Pclose(dcpl);
	(void)H5Sclose(space);
	(void)H5Tclose(type);
	(void)H5Fclose(f);
	(void)H5Pclose(fapl);
}

static void test_refusals(void)
{
	const char *path = path_of(CID_H5_VALUES, 0);
	struct cid_h5_params p = params;
	struct cidstore_error err;
	int fd, how;

	p.segment_number = 1;
	write_file(CID_H5_VALUES, &p);
	for (how = CHUNKED; how <= NONE; how++) {
		write_disguise((enum disguise)how);
		tap_ok(cid_h5_check_file(path, CID_H5_VALUES, &params, &err) == CIDSTORE_ECORRUPT &&
			       strstr(err.message, disguises[how].reason),
		       "dataset %s: %s", disguises[how].name, err.message);
	}
	/* A dataset as it should be, without the seal. */
	write_file(CID_H5_VALUES, &params);
	fd = open(path, O_RDWR | O_CLOEXEC);
	put(fd, (const uint8_t[64]){ 0 }, 64, CID_H5_SEGMENT_OFFSET - 64);
	tap_int(cid_h5_check_file(path, CID_H5_VALUES, &params, &err), CIDSTORE_ECORRUPT, "%s",
		err.message);
	(void)close(fd);

	write_file(CID_H5_VALUES, &params);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (ftruncate(fd, CID_H5_SEGMENT_OFFSET + (4 << 20) + 1))
		tap_bail("ftruncate");
	tap_int(cid_h5_check_file(path, CID_H5_VALUES, &params, &err), CIDSTORE_ECORRUPT,
		"a byte too long: %s", err.message);
	if (ftruncate(fd, CID_H5_SEGMENT_OFFSET + (4 << 20) - 1))
		tap_bail("ftruncate");
	tap_int(cid_h5_check_file(path, CID_H5_VALUES, &params, &err), CIDSTORE_ECORRUPT,
		"a byte too short: %s", err.message);
	if (ftruncate(fd, 0))
		tap_bail("ftruncate");
	tap_int(cid_h5_check_file(path, CID_H5_VALUES, &params, &err), CIDSTORE_ECORRUPT,
		"empty: %s", err.message);
	put(fd, "plain text\n", 11, 0);
	tap_int(cid_h5_check_file(path, CID_H5_VALUES, &params, &err), CIDSTORE_ECORRUPT,
		"not HDF5: %s", err.message);
	(void)close(fd);
	(void)unlink(path);
	tap_int(cid_h5_check_file(path, CID_H5_VALUES, &params, &err), CIDSTORE_ENOENT,
		"missing: %s", err.message);
	if (symlink("values-1.h5", path))
		tap_bail("symlink");
	tap_ok(cid_h5_check_file(path, CID_H5_VALUES, &params, &err) < 0, "a symbolic link: %s",
	       err.message);
	(void)unlink(path);

	/* The lock of a writer is no hindrance. */
	write_file(CID_H5_VALUES, &params);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (flock(fd, LOCK_EX | LOCK_NB))
		tap_bail("flock");
	tap_int(cid_h5_check_file(path, CID_H5_VALUES, &params, &err), 0, "locked");
	(void)close(fd);
}

int main(void)
{
	struct cid_h5_params second = params;
	struct census before, after;

	files_begin();
	write_file(CID_H5_WAL, &params);
	second.segment_number = 1;
	write_file(CID_H5_VALUES, &second);
	before = take_census();
	test_strangers();
	test_mutations();
	test_refusals();
	after = take_census();
	tap_int(after.handles, before.handles, "no HDF5 handle stayed");
	tap_int(after.fds, before.fds, "no descriptor stayed");
	files_end();
	return tap_done();
}
