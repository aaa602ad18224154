/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.c - files of a store, built by HDF5 in memory
 *
 * HDF5 writes to a memory file of the kernel's (a sparse one: a dataset of
 * 4 GiB that is not filled costs nothing). That file is scratch of this room
 * and no part of a store, so it does not pass the table of system calls.
 *
 * Metadata goes to one block at the start of the file, made large enough for
 * all of it, so that the dataset, aligned, comes last and ends the file; a
 * seal goes in between. The result is verified, not hoped for: another version
 * of HDF5 may place things differently, and gets an error here rather than a
 * store it cannot recover.
 */
#include "h5/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"
#include "base/limits.h"
#include "h5/schema.h"
#include "h5/seal.h"
#include "h5/session.h"
#include "h5/type.h"
#include "h5/view.h"

/* HDF5 aligns what is at least this large; of our files only the dataset. */
#define ALIGN_FROM 16384
/* Left between the metadata block and the data, for the global heap. */
#define HEAP_ROOM 8192
/* More behind the data than this was never meant. */
#define TAIL_MAX (1u << 20)

_Static_assert(CID_H5_SEGMENT_OFFSET % 4096 == 0 && CID_H5_ROOT_OFFSET % 4096 == 0,
	       "data begin at a page");
_Static_assert(CID_H5_ROOT_BYTES >= ALIGN_FROM, "the root is aligned");

bool cid_h5_file_name(enum cid_h5_kind kind, uint32_t number, char *buf, size_t cap)
{
	int n = kind == CID_H5_MAIN ? snprintf(buf, cap, "%s", CID_H5_MAIN_NAME)
				    : snprintf(buf, cap, "%s-%" PRIu32 ".h5",
					       cid_h5_schemas[kind].name, number);

	return n > 0 && (size_t)n < cap;
}

static bool power_of_two(uint64_t v, uint64_t min, uint64_t max)
{
	return v >= min && v <= max && !(v & (v - 1));
}

int cid_h5_layout(enum cid_h5_kind kind, const struct cid_h5_params *p, uint64_t *data_offset,
		  uint64_t *data_len, struct cidstore_error *err)
{
	uint64_t len;

	if (!power_of_two(p->segment_bytes, CID_SEGMENT_BYTES_MIN, 1ull << 32))
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "segment_bytes %" PRIu64
				   " is not a power of two from 4 MiB to 4 GiB",
				   p->segment_bytes);
	if (!power_of_two(p->log_bytes, CID_LOG_BYTES_MIN, 1ull << 32))
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "log_bytes %" PRIu64
				   " is not a power of two from 256 KiB to 4 GiB",
				   p->log_bytes);
	switch (kind) {
	case CID_H5_MAIN:
		len = CID_H5_ROOT_BYTES;
		break;
	case CID_H5_DIRECTORY:
	case CID_H5_BUCKETS:
	case CID_H5_VALUES:
		len = p->segment_bytes;
		break;
	case CID_H5_WAL:
		len = p->log_bytes;
		break;
	case CID_H5_DELETIONS:
		len = CID_H5_DELETIONS_BYTES;
		break;
	default:
		return cid_err_set(err, CIDSTORE_EINVAL, "no such kind of file: %d", (int)kind);
	}
	*data_offset = kind == CID_H5_MAIN ? CID_H5_ROOT_OFFSET : CID_H5_SEGMENT_OFFSET;
	*data_len = len;
	return 0;
}

static hid_t create_file(struct cid_h5_session *s, int fd, uint64_t data_offset)
{
	char path[40];
	hid_t fapl = cid_h5_access(s);

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* The usual driver wants the real path of a symbolic link, and a memory
	 * file has none. This one asks for a file and no more. */
	(void)cid_h5_need(s, H5Pset_fapl_stdio(fapl), "driver");
	(void)cid_h5_need(s, H5Pset_alignment(fapl, ALIGN_FROM, data_offset), "alignment");
	(void)cid_h5_need(s, H5Pset_meta_block_size(fapl, data_offset - HEAP_ROOM),
			  "metadata block");
	return cid_h5_keep(s, H5Fcreate(path, CID_H5_TRUNCATE, H5P_DEFAULT, fapl),
			   "creating a file in memory");
}

/* The one dataset whose bytes are the engine's. */
static hid_t create_dataset(struct cid_h5_session *s, hid_t file,
			    const struct cid_h5_schema *schema, uint64_t len)
{
	hsize_t elements = len / schema->type.bytes;
	hid_t type = cid_h5_type_commit(s, file, &schema->type);
	hid_t space = cid_h5_keep(s, H5Screate_simple(1, &elements, NULL), schema->dataset);
	hid_t dcpl = cid_h5_keep(s, H5Pcreate(H5P_DATASET_CREATE), schema->dataset);
	hid_t dataset;

	(void)cid_h5_need(s, H5Pset_obj_track_times(dcpl, 0), schema->dataset);
	(void)cid_h5_need(s, H5Pset_layout(dcpl, H5D_CONTIGUOUS), schema->dataset);
	(void)cid_h5_need(s, H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY), schema->dataset);
	(void)cid_h5_need(s, H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER), schema->dataset);
	dataset = cid_h5_keep(
		s, H5Dcreate2(file, schema->dataset, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT),
		schema->dataset);
	cid_h5_put_text(s, dataset, "description", schema->doc);
	return dataset;
}

static void build(struct cid_h5_session *s, enum cid_h5_kind kind, const struct cid_h5_params *p,
		  int fd, uint64_t want_offset, uint64_t len)
{
	const struct cid_h5_schema *schema = &cid_h5_schemas[kind];
	hid_t file = create_file(s, fd, want_offset);
	hid_t dataset;
	haddr_t offset;
	char uuid[33];
	int k;

	(void)cid_h5_keep(s, H5Gcreate2(file, "/types", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
			  "/types");
	if (kind == CID_H5_MAIN) {
		cid_h5_put_config(s, file, p);
		cid_h5_put_types(s, file);
		for (k = CID_H5_DIRECTORY; k < CID_H5_KINDS; k++)
			cid_h5_put_view(s, file, (enum cid_h5_kind)k, p);
	}
	dataset = create_dataset(s, file, schema, len);
	if (kind != CID_H5_MAIN) {
		(void)snprintf(uuid, sizeof(uuid), "%016" PRIx64 "%016" PRIx64, p->uuid_high,
			       p->uuid_low);
		cid_h5_put_text(s, dataset, "store", uuid);
		cid_h5_put_text(s, dataset, "kind", schema->name);
		cid_h5_put_number(s, dataset, "segment", p->segment_number);
		cid_h5_put_number(s, dataset, "format_version", p->format_version);
	}
	offset = s->code ? HADDR_UNDEF : H5Dget_offset(dataset);
	if (!s->code && offset != want_offset)
		(void)cid_h5_fail(s, CIDSTORE_ESYSTEM,
				  "this libhdf5 puts %s of a %s file at %" PRIu64
				  ", not at %" PRIu64,
				  schema->dataset, schema->name, (uint64_t)offset, want_offset);
	(void)cid_h5_need(s, H5Fflush(file, H5F_SCOPE_LOCAL), "flushing");
	cid_h5_unwind(s, 0);
}

static int read_all(int fd, uint8_t *buf, size_t n, uint64_t off, struct cidstore_error *err)
{
	while (n) {
		ssize_t got = pread(fd, buf, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cid_err_set(err, cid_err_from_errno(-errno), "reading an image: %s",
					   strerror(errno));
		if (got == 0)
			return cid_err_set(err, CIDSTORE_ESYSTEM, "an image ended early");
		buf += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int take(int fd, struct cid_h5_image *im, struct cidstore_error *err)
{
	uint64_t end = im->data_offset + im->data_len;
	struct stat st;
	off_t data;
	size_t i;
	int rc;

	if (fstat(fd, &st))
		return cid_err_set(err, cid_err_from_errno(-errno), "fstat of an image: %s",
				   strerror(errno));
	im->file_len = (uint64_t)st.st_size;
	data = lseek(fd, (off_t)im->data_offset, SEEK_DATA);
	if (im->file_len < end || im->file_len - end > TAIL_MAX ||
	    (data >= 0 && (uint64_t)data < end))
		return cid_err_set(err, CIDSTORE_ESYSTEM,
				   "this libhdf5 made a file of %" PRIu64
				   " bytes where the data end at %" PRIu64 ", or wrote to the data",
				   im->file_len, end);
	im->head_len = (size_t)im->data_offset;
	im->tail_len = (size_t)(im->file_len - end);
	im->head = malloc(im->head_len);
	im->tail = im->tail_len ? malloc(im->tail_len) : NULL;
	if (!im->head || (im->tail_len && !im->tail))
		return cid_err_set(err, CIDSTORE_ENOMEM, "no memory for an image of %zu bytes",
				   im->head_len + im->tail_len);
	rc = read_all(fd, im->head, im->head_len, 0, err);
	for (i = 0; !rc && i < CID_H5_SEAL_BYTES; i++)
		if (im->head[im->head_len - 1 - i])
			return cid_err_set(err, CIDSTORE_ESYSTEM,
					   "this libhdf5 leaves no room before the data");
	return rc ? rc : read_all(fd, im->tail, im->tail_len, end, err);
}

int cid_h5_image_make(enum cid_h5_kind kind, const struct cid_h5_params *p,
		      struct cid_h5_image *out, struct cidstore_error *err)
{
	struct cid_h5_image im = { 0 };
	struct cid_h5_session s;
	int fd, rc;

	rc = cid_h5_layout(kind, p, &im.data_offset, &im.data_len, err);
	if (rc)
		return rc;
	if (!p->version_string)
		return cid_err_set(err, CIDSTORE_EINVAL, "version_string is missing");
	fd = memfd_create("cidstore-image", MFD_CLOEXEC);
	if (fd < 0)
		return cid_err_set(err, cid_err_from_errno(-errno), "memfd_create: %s",
				   strerror(errno));
	if (!cid_h5_begin(&s, err))
		build(&s, kind, p, fd, im.data_offset, im.data_len);
	rc = cid_h5_end(&s);
	if (!rc)
		rc = take(fd, &im, err);
	(void)close(fd);
	if (rc) {
		cid_h5_image_free(&im);
		return rc;
	}
	cid_h5_seal_put(&im, kind, p);
	*out = im;
	return 0;
}

void cid_h5_image_free(struct cid_h5_image *image)
{
	free(image->head);
	free(image->tail);
	memset(image, 0, sizeof(*image));
}
