/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io.h - every system call the store makes, as one table
 *
 * The engine calls the system only through a `struct cid_io`; tests put their
 * own in its place and so see, fail, tear and lose every byte. Calls return 0
 * (or a count, a descriptor) or a negative errno. A short read or write is
 * resumed by the cid_io_*_full helpers, never by the table.
 *
 * Stores into a writable mapping are announced: before() is called ahead of
 * the stores of one record and after() behind each group of stores that may
 * reach the disk on its own. The real table leaves both NULL.
 */
#ifndef CID_OS_IO_H
#define CID_OS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "os/lend.h"

struct cid_io {
	void *self; /* handed to each call */
	int (*open)(void *self, int dirfd, const char *name, int flags, mode_t mode);
	int (*close)(void *self, int fd);
	ssize_t (*pread)(void *self, int fd, void *buf, size_t n, uint64_t off);
	ssize_t (*pwrite)(void *self, int fd, const void *buf, size_t n, uint64_t off);
	/* Data and size are durable on return, past the device's cache. */
	int (*sync)(void *self, int fd);
	int (*sync_dir)(void *self, int dirfd);
	/* A hint: start writing this range, do not wait. Errors are ignored. */
	void (*writeback)(void *self, int fd, uint64_t off, uint64_t n);
	/* A hint: this range will be read soon. */
	void (*prefetch)(void *self, int fd, uint64_t off, uint64_t n);
	/* The same range of another file: by sharing its blocks, whole or not at
	 * all; or by a copy in the kernel, which may be short. What cannot be done
	 * so, for whatever reason, is read and written. Both may be NULL. */
	int (*share)(void *self, int from, int to, uint64_t off, uint64_t n);
	ssize_t (*copy)(void *self, int from, int to, uint64_t off, uint64_t n);
	int (*truncate)(void *self, int fd, uint64_t size);
	/* Reserves blocks without changing the size. */
	int (*allocate)(void *self, int fd, uint64_t off, uint64_t n);
	int (*punch)(void *self, int fd, uint64_t off, uint64_t n);
	int (*rename)(void *self, int dirfd, const char *from, const char *to);
	int (*unlink)(void *self, int dirfd, const char *name);
	int (*mkdir)(void *self, const char *path, mode_t mode);
	int (*rmdir)(void *self, int dirfd, const char *name);
	/* Calls fn for each name but "." and ".."; stops when it returns not 0. */
	int (*list)(void *self, int dirfd, int (*fn)(void *arg, const char *name), void *arg);
	int (*stat)(void *self, int fd, struct stat *st);
	/* Free bytes of the file system for this user. */
	int (*space)(void *self, int fd, uint64_t *free_bytes);
	int (*lock)(void *self, int fd, bool exclusive); /* -EWOULDBLOCK: held */
	/* Locks of single bytes, which belong to the open file and vanish with it.
	 * claim: -EAGAIN where another holds the byte. claimed: 1 and a range
	 * in [off, off + n) that others hold, any of them; or 0. Both NULL in a
	 * table without readers beside the writer. */
	int (*claim)(void *self, int fd, uint64_t off);
	int (*claimed)(void *self, int fd, uint64_t off, uint64_t n, uint64_t *at, uint64_t *len);
	int (*chmod)(void *self, int fd, mode_t mode); /* may be NULL */
	void *(*map)(void *self, int fd, uint64_t off, size_t n, bool writable); /* NULL: errno */
	void (*unmap)(void *self, void *p, size_t n);
	/* A hint: this range of a mapping, which is in memory, will be read, so that
	 * readers need not fault it in page by page. May be NULL. */
	void (*populate)(void *self, const void *p, size_t n);
	/* Memory that other processes look at; lend.h says how. All NULL in a table
	 * whose stores keep theirs to themselves. */
	int (*lend)(void *self, size_t n, struct cid_loan *out);
	void (*unlend)(void *self, struct cid_loan *l);
	int (*borrow)(void *self, struct cid_loan *l, uint64_t uid);
	void (*give_back)(void *self, void *p, size_t n);
	bool (*lends)(void *self, const struct cid_loan *l);
	/* Bytes of memory that the process may use, by machine and cgroup. May be
	 * NULL: no bound is known. */
	uint64_t (*memory)(void *self);
	uint64_t (*realtime)(void *self);  /* Unix ns */
	uint64_t (*monotonic)(void *self); /* ns */
	void (*random)(void *self, void *buf, size_t n);
	void (*pause)(void *self, uint64_t ns);
	void (*before)(void *self, const void *p, size_t n);
	void (*after)(void *self, const void *p, size_t n);
};

extern const struct cid_io cid_io_posix;

uint64_t cid_os_memory(void);

/* All n bytes or an error; -EIO where the file ends early. */
int cid_io_read_full(const struct cid_io *io, int fd, void *buf, size_t n, uint64_t off);
int cid_io_write_full(const struct cid_io *io, int fd, const void *buf, size_t n, uint64_t off);
/* Locks a file, waiting up to `patience` ns for a holder who is about to end. */
int cid_io_lock_wait(const struct cid_io *io, int fd, bool exclusive, uint64_t patience);

#endif
