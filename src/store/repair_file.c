/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair_file.c - the files of a store: those that are missing, those that were
 * cut off, and what HDF5 keeps around the data of each
 *
 * All of it is made anew from the root alone, as it was when the store was.
 * Data that went with a file is found missing later, when it is looked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/file.h"
#include "store/repair.h"

/* The log is written in full, so that no store into its mapping can fail. */
static int fill_log(void *arg, int fd, uint64_t off)
{
	struct cidstore *s = arg;

	return cid_wal_zero(s->io, fd, off, s->root.log_records);
}

/* Zeros where the log has a hole now. */
static int fill_hole(struct cidstore *s, int fd, const struct cid_h5_image *img, uint64_t size)
{
	uint8_t page[CID_PAGE] = { 0 };
	uint64_t end = img->data_offset + img->data_len;
	int rc = 0;

	for (uint64_t at = size > img->data_offset ? size : img->data_offset; rc == 0 && at < end;) {
		uint64_t n = CID_PAGE - at % CID_PAGE;

		rc = cid_io_write_full(s->io, fd, page, (size_t)(at + n > end ? end - at : n), at);
		at += n;
	}
	return rc;
}

static int lengthen(struct cidstore *s, struct cid_repair *r, const char *name, int fd,
		    enum cid_h5_kind kind, const struct cid_h5_image *img, uint64_t size)
{
	int rc = s->io->truncate(s->io->self, fd, img->file_len);

	cid_repair_say(r, "%s was cut off at %llu bytes", name, (unsigned long long)size);
	if (rc == 0 && kind == CID_H5_WAL)
		rc = fill_hole(s, fd, img, size);
	if (rc == 0)
		rc = s->io->sync(s->io->self, fd);
	return cid_err_from_errno(rc);
}

/* What surrounds the data, where it is not what it was made as. */
static int renew_shape(struct cidstore *s, struct cid_repair *r, const char *name, int fd,
		       enum cid_h5_kind kind, const struct cid_h5_image *img)
{
	struct cid_h5_params p = s->params;
	char path[4400];
	int rc;

	/* HDF5 is asked by path; the seal alone would do, but not for it. */
	if (s->io != &cid_io_posix)
		return 0;
	if (snprintf(path, sizeof(path), "%s/%s", s->path, name) >= (int)sizeof(path))
		return 0;
	p.segment_number = r->segment;
	rc = cid_h5_check_file(path, kind, &p, NULL);
	if (rc != CIDSTORE_ECORRUPT)
		return rc;
	cid_repair_say(r, "%s: what HDF5 reads is made anew", name);
	rc = cid_io_write_full(s->io, fd, img->head, img->head_len, 0);
	if (rc == 0 && img->tail_len)
		rc = cid_io_write_full(s->io, fd, img->tail, img->tail_len,
				       img->data_offset + img->data_len);
	if (rc == 0)
		rc = s->io->truncate(s->io->self, fd, img->file_len);
	if (rc == 0)
		rc = s->io->sync(s->io->self, fd);
	return cid_err_from_errno(rc);
}

static int renew(struct cidstore *s, struct cid_repair *r, enum cid_h5_kind kind, uint32_t number,
		 struct cidstore_error *err)
{
	struct cid_h5_params p = s->params;
	struct cid_h5_image img;
	struct stat st;
	char name[64];
	int fd, rc;

	p.segment_number = r->segment = number;
	if (!cid_h5_file_name(kind, number, name, sizeof(name)))
		return CIDSTORE_EINVAL;
	rc = cid_h5_image_make(kind, &p, &img, err);
	if (rc)
		return rc;
	fd = s->io->open(s->io->self, s->dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd == -ENOENT && kind != CID_H5_MAIN) {
		cid_repair_say(r, "%s is missing", name);
		rc = cid_file_create(s->io, s->dirfd, name, kind, &p,
				     kind == CID_H5_WAL ? fill_log : NULL, s, NULL);
		if (rc == CIDSTORE_EFAILED)
			rc = CIDSTORE_EIO;
	} else if (fd < 0) {
		rc = cid_err_from_errno(fd);
	} else {
		rc = cid_err_from_errno(s->io->stat(s->io->self, fd, &st));
		if (rc == 0 && !S_ISREG(st.st_mode))
			rc = CIDSTORE_ECORRUPT;
		if (rc == 0 && kind != CID_H5_MAIN && (uint64_t)st.st_size < img.file_len)
			rc = lengthen(s, r, name, fd, kind, &img, (uint64_t)st.st_size);
		if (rc == 0)
			rc = renew_shape(s, r, name, fd, kind, &img);
		(void)s->io->close(s->io->self, fd);
	}
	cid_h5_image_free(&img);
	return rc ? cid_err_set(err, rc, "%s: cannot be repaired: %s", name, cidstore_strerror(rc)) :
		    0;
}

int cid_repair_files(struct cidstore *s, struct cid_repair *r, struct cidstore_error *err)
{
	int rc = renew(s, r, CID_H5_MAIN, 0, err);

	for (int k = CID_H5_DIRECTORY; rc == 0 && k < CID_H5_KINDS; k++) {
		bool pool = k == CID_H5_DIRECTORY || k == CID_H5_BUCKETS || k == CID_H5_VALUES;
		uint32_t n = pool ? s->root.segments[k - CID_H5_DIRECTORY] : 1;

		if (n > CID_MAX_SEGMENTS)
			return cid_err_set(err, CIDSTORE_ECORRUPT, "the root names %u segments", n);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			rc = renew(s, r, (enum cid_h5_kind)k, i, err);
	}
	return rc;
}
