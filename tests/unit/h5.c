/* SPDX-License-Identifier: BSD-2-Clause */
/* The HDF5 shape of a store's files: made, and read back by HDF5. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hdf5.h>

#include "h5/image.h"
#include "h5/schema.h"
#include "lib/h5files.h"
#include "lib/tap.h"
#include "wal/record.h"

static herr_t host_handler(hid_t stack, void *arg)
{
	(void)stack;
	(void)arg;
	return 0;
}

static void test_manners(void)
{
	struct census before, after;
	struct cid_h5_image im;
	struct cidstore_error err;
	H5E_auto2_t handler;
	unsigned plugins = 0;
	void *arg;
	int k, good = 0;

	/* Must be the first call of all. */
	(void)setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
	(void)setenv("HDF5_DRIVER", "core", 1);
	(void)setenv("HDF50", "kept", 1);
	tap_int(cid_h5_image_make(CID_H5_WAL, &params, &im, NULL), 0, "an image");
	cid_h5_image_free(&im);
	tap_ok(!getenv("HDF5_USE_FILE_LOCKING") && !getenv("HDF5_DRIVER") && getenv("HDF50"),
	       "HDF5_* is gone from the environment, and nothing else");

	(void)H5Eset_auto2(H5E_DEFAULT, host_handler, &good);
	(void)H5PLset_loading_state(5);
	before = take_census();
	for (k = 0; k < CID_H5_KINDS; k++) {
		good += cid_h5_image_make((enum cid_h5_kind)k, &params, &im, NULL) == 0;
		cid_h5_image_free(&im);
		good += cid_h5_check_file("/dev/null", (enum cid_h5_kind)k, &params, &err) ==
			CIDSTORE_ECORRUPT;
	}
	after = take_census();
	tap_int(good, 2 * CID_H5_KINDS, "images made, a device refused");
	tap_int(after.handles, before.handles, "no HDF5 handle stays");
	tap_int(after.fds, before.fds, "no descriptor stays");
	(void)H5Eget_auto2(H5E_DEFAULT, &handler, &arg);
	(void)H5PLget_loading_state(&plugins);
	tap_ok(handler == host_handler && arg == &good && plugins == 5,
	       "the host's HDF5 settings are put back");
	(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* Property lists and dataspaces cannot be counted; what they take can. */
static void test_leaks(void)
{
	struct census before = { 0 }, after;
	struct cid_h5_image im;
	int i, good = 0;

	for (i = 0; i < 400; i++) {
		if (i == 200)
			before = take_census();
		good += cid_h5_image_make(i % 2 ? CID_H5_MAIN : CID_H5_WAL, &params, &im, NULL) ==
			0;
		cid_h5_image_free(&im);
	}
	after = take_census();
	tap_int(good, 400, "four hundred images");
	tap_int(after.handles, before.handles, "no handle stays");
	tap_note("%zu bytes in use before, %zu after", before.bytes, after.bytes);
	tap_ok(after.bytes < before.bytes + 200 * 100, "no memory stays");
}

static void test_bounds(void)
{
	struct cid_h5_params p = params;
	struct cidstore_error err;
	struct cid_h5_image im = { .head_len = 7 };
	char name[13];

	p.segment_bytes = 2u << 20;
	tap_int(cid_h5_image_make(CID_H5_VALUES, &p, &im, &err), CIDSTORE_EINVAL, "2 MiB segments");
	p.segment_bytes = (4u << 20) + 4096;
	tap_int(cid_h5_image_make(CID_H5_VALUES, &p, &im, &err), CIDSTORE_EINVAL, "odd segments");
	p.segment_bytes = 1ull << 33;
	tap_int(cid_h5_image_make(CID_H5_VALUES, &p, &im, &err), CIDSTORE_EINVAL, "8 GiB segments");
	p = params;
	p.log_bytes = 0;
	tap_int(cid_h5_image_make(CID_H5_WAL, &p, &im, &err), CIDSTORE_EINVAL, "no log");
	tap_int(cid_h5_image_make(CID_H5_KINDS, &params, &im, NULL), CIDSTORE_EINVAL, "no kind");
	tap_int(im.head_len, 7, "the output is untouched on failure");
	tap_ok(cid_h5_file_name(CID_H5_VALUES, 12, name, sizeof(name)) &&
		       !strcmp(name, "values-12.h5"),
	       "name of a segment");
	tap_ok(!cid_h5_file_name(CID_H5_VALUES, 123, name, sizeof(name)), "no room for a name");
	tap_ok(cid_h5_file_name(CID_H5_MAIN, 0, name, sizeof(name)) && !strcmp(name, "main.h5"),
	       "name of the main file");
}

static bool same_image(const struct cid_h5_image *a, const struct cid_h5_image *b)
{
	return a->head_len == b->head_len && !memcmp(a->head, b->head, a->head_len) &&
	       a->tail_len == b->tail_len &&
	       (!a->tail_len || !memcmp(a->tail, b->tail, a->tail_len)) &&
	       a->data_offset == b->data_offset && a->data_len == b->data_len &&
	       a->file_len == b->file_len;
}

static void test_layout(void)
{
	static const uint64_t want_len[CID_H5_KINDS] = { 16384,	   4u << 20,   4u << 20,
							 4u << 20, 256u << 10, 16u << 20 };
	struct cid_h5_params big = params, other = params;
	struct cid_h5_image a, b;
	int k;

	other.uuid_low++;
	for (k = 0; k < CID_H5_KINDS; k++) {
		const char *name = cid_h5_schemas[k].name;

		if (cid_h5_image_make((enum cid_h5_kind)k, &params, &a, NULL) ||
		    cid_h5_image_make((enum cid_h5_kind)k, &params, &b, NULL))
			tap_bail("image of %s", name);
		tap_int(a.data_offset, k == CID_H5_MAIN ? 65536 : 16384, "%s: data offset", name);
		tap_int(a.data_len, want_len[k], "%s: data length", name);
		tap_int(a.file_len, a.data_offset + a.data_len + a.tail_len, "%s: file length",
			name);
		tap_int(a.head_len, a.data_offset, "%s: head", name);
		tap_ok(same_image(&a, &b), "%s: made twice, the same bytes", name);
		cid_h5_image_free(&b);
		if (cid_h5_image_make((enum cid_h5_kind)k, &other, &b, NULL))
			tap_bail("image of %s", name);
		tap_ok(!same_image(&a, &b), "%s: another store, other bytes", name);
		cid_h5_image_free(&a);
		cid_h5_image_free(&b);
	}
	big.segment_bytes = 1ull << 32;
	tap_int(cid_h5_image_make(CID_H5_BUCKETS, &big, &a, NULL), 0, "a segment of 4 GiB");
	tap_int(a.data_offset, 16384, "its data offset");
	tap_int(a.file_len, (1ull << 32) + 16384, "its length");
	cid_h5_image_free(&a);
	tap_ok(!a.head && !a.file_len, "freed and cleared");
}

/* One field of one element, through HDF5. */
static uint64_t get(const char *path, const char *dataset, hsize_t at, const char *name)
{
	uint64_t v = 0xdead;
	hsize_t one = 1;
	hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	hid_t d = H5Dopen2(f, dataset, H5P_DEFAULT);
	hid_t space = H5Dget_space(d);
	hid_t mem = H5Screate_simple(1, &one, NULL);
	hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(v));

	(void)H5Tinsert(type, name, 0, H5T_NATIVE_UINT64);
	(void)H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &one, NULL);
	if (H5Dread(d, type, mem, space, H5P_DEFAULT, &v) < 0)
		v = 0xbad;
	(void)H5Tclose(type);
	(void)H5Sclose(mem);
	(void)H5Sclose(space);
	(void)H5Dclose(d);
	(void)H5Fclose(f);
	return v;
}

static hsize_t view_length(const char *dataset)
{
	hid_t f = H5Fopen(path_of(CID_H5_MAIN, 0), H5F_ACC_RDONLY, H5P_DEFAULT);
	hid_t d = H5Dopen2(f, dataset, H5P_DEFAULT);
	hid_t space = H5Dget_space(d);
	hsize_t n = 0;

	(void)H5Sget_simple_extent_dims(space, &n, NULL);
	(void)H5Sclose(space);
	(void)H5Dclose(d);
	(void)H5Fclose(f);
	return n;
}

static void write_store(void)
{
	struct cid_h5_params p = params;
	int k;

	for (k = 0; k < CID_H5_KINDS; k++)
		write_file((enum cid_h5_kind)k, &p);
	for (p.segment_number = 1; p.segment_number < 3; p.segment_number++)
		write_file(CID_H5_VALUES, &p);
}

static void test_reading(void)
{
	const struct cid_record r = { .version = CID_RECORD_VERSION,
				      .opcode = CID_OP_DELETE,
				      .seq = 11,
				      .generation = 0xa1b2c3d4,
				      .nanos = 0x1122334455667788,
				      .lsn = 0xabcd12345678,
				      .key = { 21, 22 },
				      .value = { 23, 24 } };
	const hsize_t per_segment = (4u << 20) / 16;
	const char *main_path = path_of(CID_H5_MAIN, 0);
	struct cidstore_id ids[2] = { { 5, 6 }, { 7, 8 } };
	uint8_t rec[CID_RECORD_BYTES];
	int wal = open(path_of(CID_H5_WAL, 0), O_RDWR | O_CLOEXEC);
	int values = open(path_of(CID_H5_VALUES, 1), O_RDWR | O_CLOEXEC);
	hid_t f;

	/* As an open store holds them. */
	if (flock(wal, LOCK_SH | LOCK_NB) || flock(values, LOCK_SH | LOCK_NB))
		tap_bail("flock");
	cid_record_pack(&r, rec);
	put(wal, rec, sizeof(rec), CID_H5_SEGMENT_OFFSET + 3 * sizeof(rec));
	put(values, ids, sizeof(ids), CID_H5_SEGMENT_OFFSET);

	tap_int(get(path_of(CID_H5_WAL, 0), "/data", 3, "opcode"), 1 << 6 | CID_OP_DELETE,
		"opcode");
	tap_int(get(main_path, "/wal", 3, "nanos"), 0x1122334455667788, "nanos through the view");
	tap_int(get(main_path, "/wal", 3, "seq"), 11, "seq");
	tap_int(get(main_path, "/wal", 3, "key_high"), 21, "key_high");
	tap_int(get(main_path, "/wal", 3, "key_low"), 22, "key_low");
	tap_int(get(main_path, "/wal", 3, "value_high"), 23, "value_high");
	tap_int(get(main_path, "/wal", 3, "value_low"), 24, "value_low");
	tap_int(get(main_path, "/wal", 3, "lsn_low"), 0x12345678, "lsn_low");
	tap_int(get(main_path, "/wal", 3, "lsn_high"), 0xabcd, "lsn_high");
	tap_int(get(main_path, "/wal", 3, "generation"), 0xa1b2c3d4, "generation");
	tap_int(get(main_path, "/wal", 2, "generation"), 0, "what was not written reads as 0");
	tap_int(view_length("/values"), 3 * per_segment, "the view joins three segments");
	tap_int(get(main_path, "/values", per_segment, "high"), 5, "first value of the second");
	tap_int(get(main_path, "/values", per_segment + 1, "low"), 8, "second value of the second");

	f = H5Fopen(path_of(CID_H5_VALUES, 1), H5F_ACC_RDWR, H5P_DEFAULT);
	tap_ok(f < 0, "a foreign writer is kept out while the store holds its lock");
	if (f >= 0)
		(void)H5Fclose(f);
	(void)close(wal);
	(void)close(values);
	(void)unlink(path_of(CID_H5_VALUES, 2));
	tap_int(view_length("/values"), 2 * per_segment, "the view follows the files");
}

/* Whether an object notes when it was changed: dates would make two images of
 * the same file differ. */
static bool dated(const char *path, const char *object)
{
	hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
#if H5_VERSION_GE(1, 12, 0)
	H5O_info1_t info = { .mtime = 1 };
#else
	H5O_info_t info = { .mtime = 1 };
#endif

	(void)H5Oget_info_by_name2(f, object, &info, H5O_INFO_TIME, H5P_DEFAULT);
	(void)H5Fclose(f);
	return info.atime || info.mtime || info.ctime || info.btime;
}

static void test_dates(void)
{
	const char *main_path = path_of(CID_H5_MAIN, 0);

	tap_ok(!dated(main_path, "/root"), "the root bears no date");
	tap_ok(!dated(main_path, "/values"), "nor does a view");
	tap_ok(!dated(main_path, "/types/footer"), "nor a type");
	tap_ok(!dated(path_of(CID_H5_VALUES, 0), "/data"), "nor the data of a segment");
}

static void test_closed(void)
{
	struct cidstore_error err;
	struct stat before, after;
	hid_t f;
	int k;

	for (k = 0; k < CID_H5_KINDS; k++)
		tap_ok(!check((enum cid_h5_kind)k, 0, &params, &err), "%s: sound: %s",
		       cid_h5_schemas[k].name, err.message);
	(void)stat(path_of(CID_H5_VALUES, 1), &before);
	f = H5Fopen(path_of(CID_H5_VALUES, 1), H5F_ACC_RDWR, H5P_DEFAULT);
	tap_ok(f >= 0 && H5Fclose(f) >= 0, "a foreign tool opens a closed store for writing");
	(void)stat(path_of(CID_H5_VALUES, 1), &after);
	tap_int(after.st_size, before.st_size, "and cuts nothing off");
	tap_int(check(CID_H5_VALUES, 1, &params, &err), 0, "nor changes a byte of the structure");
}

static void *make_many(void *arg)
{
	struct cid_h5_image first, im;
	size_t *good = arg;
	int i;

	if (cid_h5_image_make(CID_H5_VALUES, &params, &first, NULL))
		return NULL;
	for (i = 0; i < 200; i++) {
		struct cidstore_error err;

		if (!cid_h5_image_make(CID_H5_VALUES, &params, &im, &err)) {
			*good += same_image(&first, &im);
			cid_h5_image_free(&im);
		}
		*good += cid_h5_image_make(CID_H5_VALUES, &(struct cid_h5_params){ 0 }, &im,
					   &err) == CIDSTORE_EINVAL;
	}
	cid_h5_image_free(&first);
	return NULL;
}

static void test_threads(void)
{
	pthread_t t[4];
	size_t good[4] = { 0 }, i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, make_many, &good[i]))
			tap_bail("pthread_create");
	for (i = 0; i < 4; i++)
		(void)pthread_join(t[i], NULL);
	tap_int(good[0] + good[1] + good[2] + good[3], 1600, "four threads at once");
}

int main(void)
{
	struct census before, after;

	files_begin();
	test_manners();
	test_leaks();
	test_bounds();
	test_layout();
	before = take_census();
	write_store();
	test_reading();
	test_dates();
	test_closed();
	test_threads();
	after = take_census();
	tap_int(after.handles, before.handles, "no HDF5 handle stayed");
	tap_int(after.fds, before.fds, "no descriptor stayed");
	files_end();
	return tap_done();
}
