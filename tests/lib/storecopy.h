/* SPDX-License-Identifier: BSD-2-Clause */
/* storecopy.h - copies of small stores; what goes wrong ends the test */
#ifndef STORECOPY_H
#define STORECOPY_H

enum { STORE_LOCK, STORE_MAIN, STORE_DIRECTORY, STORE_BUCKETS, STORE_VALUES, STORE_WAL,
       STORE_DELETIONS, STORE_FILES };

/* The files of a store with one segment of each kind. */
extern const char *const store_file[STORE_FILES];

/* Copies a file, but for its holes, over another or none. */
void copy_file(const char *from, const char *to);
/* Copies what is not a hole into a new directory. */
void copy_store(const char *from, const char *to);
/* Removes a directory of files; nothing where there is none. */
void remove_store(const char *path);

#endif
