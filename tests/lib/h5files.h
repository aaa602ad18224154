/* SPDX-License-Identifier: BSD-2-Clause */
/* h5files.h - files of a store, made from images in a directory of the test's own */
#ifndef H5FILES_H
#define H5FILES_H

#include <hdf5.h>
#include <sys/types.h>

#include "h5/image.h"

extern const struct cid_h5_params params;

/* Makes the directory; removes it with all its files. */
void files_begin(void);
void files_end(void);

/* Static storage, one for each kind and each of the first four numbers. */
const char *path_of(enum cid_h5_kind kind, uint32_t number);
/* All bytes, or the test bails out. */
void put(int fd, const void *p, size_t n, uint64_t off);
/* Writes a file as the store does. */
void write_file(enum cid_h5_kind kind, const struct cid_h5_params *p);
/* cid_h5_check_file() of a file by that name. */
int check(enum cid_h5_kind kind, uint32_t number, const struct cid_h5_params *p,
	  struct cidstore_error *err);

/* What is open or taken: descriptors, objects of HDF5 files, memory. */
struct census {
	size_t fds;
	ssize_t handles;
	size_t bytes; /* 0 where the allocator does not tell */
};
struct census take_census(void);

#endif
