/* SPDX-License-Identifier: BSD-2-Clause */
/* file.h - making a store's files: whole, synced, then named */
#ifndef CID_STORE_FILE_H
#define CID_STORE_FILE_H

#include "h5/image.h"
#include "os/io.h"

/* Writes an image under a temporary name, lets `fill` (may be NULL) write the
 * data, syncs, renames into place and syncs the directory. `err`, which may be
 * NULL, names the file and what failed. CIDSTORE_EFAILED where a sync did. */
int cid_file_create(const struct cid_io *io, int dirfd, const char *name, enum cid_h5_kind kind,
		    const struct cid_h5_params *params,
		    int (*fill)(void *arg, int fd, uint64_t data_offset), void *arg,
		    struct cidstore_error *err);
/* Removes temporaries that a crash left. */
int cid_file_sweep(const struct cid_io *io, int dirfd);

#endif
