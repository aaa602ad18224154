/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/plant.h"

#define SUFFIX ".tmp"

static int write_image(const struct cid_io *io, int fd, const struct cid_h5_image *img)
{
	int rc = io->truncate(io->self, fd, img->file_len);

	if (rc == 0)
		rc = cid_io_write_full(io, fd, img->head, img->head_len, 0);
	if (rc == 0 && img->tail_len)
		rc = cid_io_write_full(io, fd, img->tail, img->tail_len,
				       img->data_offset + img->data_len);
	return rc ? cid_err_from_errno(rc) : 0;
}

int cid_file_create(const struct cid_io *io, int dirfd, const char *name, enum cid_h5_kind kind,
		    const struct cid_h5_params *params,
		    int (*fill)(void *arg, int fd, uint64_t data_offset), void *arg,
		    struct cidstore_error *err)
{
	struct cid_h5_image img;
	char tmp[64];
	int fd, rc, synced = 0;

	rc = cid_h5_image_make(kind, params, &img, err);
	if (rc) {
		cid_err_prefix(err, "%s", name);
		return rc;
	}
	(void)snprintf(tmp, sizeof(tmp), "%s" SUFFIX, name);
	fd = io->open(io->self, dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		cid_h5_image_free(&img);
		return cid_err_set(err, cid_err_from_errno(fd), "%s: %s", tmp, strerror(-fd));
	}
	rc = write_image(io, fd, &img);
	if (rc == 0 && fill)
		rc = fill(arg, fd, img.data_offset);
	if (rc == 0 && !CID_PLANT(20))
		rc = synced = cid_err_from_errno(io->sync(io->self, fd));
	(void)io->close(io->self, fd);
	if (rc == 0)
		rc = cid_err_from_errno(io->rename(io->self, dirfd, tmp, name));
	if (rc == 0 && !CID_PLANT(21))
		rc = synced = cid_err_from_errno(io->sync_dir(io->self, dirfd));
	if (rc) {
		(void)io->unlink(io->self, dirfd, tmp);
		cid_err_set(err, rc, "%s: %s", name, cidstore_strerror(rc));
	}
	cid_h5_image_free(&img);
	return synced ? CIDSTORE_EFAILED : rc;
}

struct leftover {
	char name[64];
};

static int find_temporary(void *arg, const char *name)
{
	struct leftover *l = arg;
	size_t n = strlen(name);

	if (n > sizeof(SUFFIX) - 1 && n < sizeof(l->name) &&
	    strcmp(name + n - (sizeof(SUFFIX) - 1), SUFFIX) == 0) {
		memcpy(l->name, name, n + 1);
		return 1;
	}
	return 0;
}

int cid_file_sweep(const struct cid_io *io, int dirfd)
{
	struct leftover l;
	int rc;

	while ((rc = io->list(io->self, dirfd, find_temporary, &l)) == 1) {
		rc = io->unlink(io->self, dirfd, l.name);
		if (rc)
			break;
	}
	return rc < 0 ? cid_err_from_errno(rc) : 0;
}
