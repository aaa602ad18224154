/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.h - the HDF5 shape of a store's files
 *
 * HDF5 never writes a file of a store. It builds each file once, in memory,
 * with one contiguous dataset laid out and not filled; what it put around the
 * dataset's bytes is returned as an *image*. The caller writes the image
 * through its own table of system calls, cuts the file to file_len (a foreign
 * tool that opens the file for writing cuts off what lies behind it), and from
 * then on reads and writes the dataset's bytes at data_offset directly:
 *
 *     0 .. head_len               head; its last 64 bytes are a seal, see seal.h
 *     data_offset .. + data_len   the dataset: a hole in a new file
 *     .. file_len                 tail (none, with the libraries known)
 *
 * The same kind and parameters give the same bytes on every call. Metadata in
 * a file never changes afterwards.
 *
 * A store directory holds main.h5 with the settings, the four root copies and
 * a view over each kind of segment; and the segments of each kind, numbered
 * from 0 without a gap, each with one dataset "/data".
 *
 * Threads. All functions may be called by any thread; one lock in the room
 * serialises HDF5. A host that uses HDF5 itself while a store is created,
 * grows or is checked needs a thread-safe libhdf5. The first call removes
 * HDF5_* from the environment, cid_h5_prepare() does nothing else: it belongs
 * before the first thread is started. HDF5's error printing and plugin loading are off during a call and put
 * back at its end; no handle stays open.
 */
#ifndef CID_H5_IMAGE_H
#define CID_H5_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"

void cid_h5_prepare(void);

enum cid_h5_kind {
	CID_H5_MAIN,
	CID_H5_DIRECTORY,
	CID_H5_BUCKETS,
	CID_H5_VALUES,
	CID_H5_WAL,
	CID_H5_DELETIONS,
	CID_H5_KINDS
};

/* Where the data of every file lies: part of the format. */
#define CID_H5_SEGMENT_OFFSET  16384u
#define CID_H5_ROOT_OFFSET     65536u
#define CID_H5_ROOT_COPY_BYTES 4096u
#define CID_H5_ROOT_COPIES     4u
#define CID_H5_ROOT_BYTES      (CID_H5_ROOT_COPIES * CID_H5_ROOT_COPY_BYTES)
#define CID_H5_DELETIONS_BYTES (16u << 20)

#define CID_H5_MAIN_NAME "main.h5"

struct cid_h5_params {
	uint64_t segment_bytes; /* power of two, 4 MiB .. 4 GiB */
	uint64_t log_bytes;	/* power of two, 256 KiB .. 4 GiB */
	uint64_t created_ns;	/* Unix time */
	uint64_t hash_seed;
	uint64_t uuid_high, uuid_low;
	uint32_t format_version;
	uint32_t promotion_threshold; /* at creation; not checked */
	uint32_t bucket_bytes;	      /* at creation */
	uint32_t segment_number;      /* of segments */
	const char *version_string;   /* of the library that made the store */
};

struct cid_h5_image {
	uint8_t *head;
	size_t head_len;
	uint8_t *tail; /* NULL where tail_len is 0 */
	size_t tail_len;
	uint64_t data_offset, data_len, file_len;
};

/* The file of a kind: "main.h5", "values-3.h5". False: `cap` is too small. */
bool cid_h5_file_name(enum cid_h5_kind kind, uint32_t number, char *buf, size_t cap);

/* Where a kind's data lies and how much of it there is. `out` holds no bytes.
 * CIDSTORE_EINVAL: sizes outside the bounds above. */
int cid_h5_layout(enum cid_h5_kind kind, const struct cid_h5_params *p, uint64_t *data_offset,
		  uint64_t *data_len, struct cidstore_error *err);

/* Builds an image; the caller owns it until cid_h5_image_free(). Takes about a
 * millisecond and no disk access. CIDSTORE_EINVAL, CIDSTORE_ENOMEM, or
 * CIDSTORE_ESYSTEM where the loaded libhdf5 does not do what it must. `err`
 * may be NULL. */
int cid_h5_image_make(enum cid_h5_kind kind, const struct cid_h5_params *p,
		      struct cid_h5_image *out, struct cidstore_error *err);
void cid_h5_image_free(struct cid_h5_image *image);

/* Verifies that what surrounds a file's data is what cid_h5_image_make() made,
 * and that HDF5 finds in it one plain dataset (contiguous, without filters,
 * neither external nor virtual nor behind a link) of the right type at the
 * right place, and in main.h5 the settings and the views. HDF5 reads the file
 * in a child process. Locks of others are ignored. For fsck alone: the engine
 * trusts its root, not this. CIDSTORE_ECORRUPT: it is not so, and the message
 * says what; otherwise the error of opening the path. Damage outside the data
 * is put right by writing the image again. */
int cid_h5_check_file(const char *path, enum cid_h5_kind kind, const struct cid_h5_params *p,
		      struct cidstore_error *err);

#endif
