/* SPDX-License-Identifier: BSD-2-Clause */
/* posix.c - the real table of system calls */
#include "os/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int px_open(void *self, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd;

	(void)self;
	/* Whatever lies there instead of a file must not hold us up. */
	flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	do {
		fd = openat(dirfd < 0 ? AT_FDCWD : dirfd, name, flags, mode);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int px_close(void *self, int fd)
{
	(void)self;
	return close(fd) ? -errno : 0;
}

static ssize_t px_pread(void *self, int fd, void *buf, size_t n, uint64_t off)
{
	ssize_t r = pread(fd, buf, n, (off_t)off);

	(void)self;
	return r < 0 ? -errno : r;
}

static ssize_t px_pwrite(void *self, int fd, const void *buf, size_t n, uint64_t off)
{
	ssize_t r = pwrite(fd, buf, n, (off_t)off);

	(void)self;
	return r < 0 ? -errno : r;
}

static int px_sync(void *self, int fd)
{
	(void)self;
	return fdatasync(fd) ? -errno : 0;
}

static int px_sync_dir(void *self, int dirfd)
{
	(void)self;
	return fsync(dirfd) ? -errno : 0;
}

static void px_writeback(void *self, int fd, uint64_t off, uint64_t n)
{
	(void)self;
	(void)sync_file_range(fd, (off_t)off, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

static void px_prefetch(void *self, int fd, uint64_t off, uint64_t n)
{
	(void)self;
	(void)posix_fadvise(fd, (off_t)off, (off_t)n, POSIX_FADV_WILLNEED);
}

static int px_share(void *self, int from, int to, uint64_t off, uint64_t n)
{
	struct file_clone_range r = { .src_fd = from, .src_offset = off, .src_length = n,
				      .dest_offset = off };

	(void)self;
	return ioctl(to, FICLONERANGE, &r) ? -errno : 0;
}

static ssize_t px_copy(void *self, int from, int to, uint64_t off, uint64_t n)
{
	off_t in = (off_t)off, out = (off_t)off;
	ssize_t r = copy_file_range(from, &in, to, &out, (size_t)n, 0);

	(void)self;
	return r < 0 ? -errno : r;
}

static int px_truncate(void *self, int fd, uint64_t size)
{
	(void)self;
	return ftruncate(fd, (off_t)size) ? -errno : 0;
}

static int px_allocate(void *self, int fd, uint64_t off, uint64_t n)
{
	(void)self;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n) == 0)
		return 0;
	/* Without support the writes themselves find out. */
	return errno == EOPNOTSUPP ? 0 : -errno;
}

static int px_punch(void *self, int fd, uint64_t off, uint64_t n)
{
	(void)self;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n) == 0)
		return 0;
	return errno == EOPNOTSUPP ? 0 : -errno;
}

static int px_rename(void *self, int dirfd, const char *from, const char *to)
{
	(void)self;
	return renameat(dirfd, from, dirfd, to) ? -errno : 0;
}

static int px_unlink(void *self, int dirfd, const char *name)
{
	(void)self;
	return unlinkat(dirfd, name, 0) ? -errno : 0;
}

static int px_mkdir(void *self, const char *path, mode_t mode)
{
	(void)self;
	return mkdir(path, mode) ? -errno : 0;
}

static int px_rmdir(void *self, int dirfd, const char *name)
{
	(void)self;
	return unlinkat(dirfd, name, AT_REMOVEDIR) ? -errno : 0;
}

static int px_list(void *self, int dirfd, int (*fn)(void *, const char *), void *arg)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct dirent *e;
	DIR *d;

	(void)self;
	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = fn(arg, e->d_name);
	closedir(d);
	return rc;
}

static int px_stat(void *self, int fd, struct stat *st)
{
	(void)self;
	return fstat(fd, st) ? -errno : 0;
}

static int px_space(void *self, int fd, uint64_t *free_bytes)
{
	struct statvfs v;

	(void)self;
	if (fstatvfs(fd, &v))
		return -errno;
	*free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

static int px_lock(void *self, int fd, bool exclusive)
{
	(void)self;
	return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) ? -errno : 0;
}

static int px_claim(void *self, int fd, uint64_t off)
{
	struct flock l = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = 1
	};

	(void)self;
	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int px_claimed(void *self, int fd, uint64_t off, uint64_t n, uint64_t *at, uint64_t *len)
{
	struct flock l = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = (off_t)n
	};

	(void)self;
	if (fcntl(fd, F_OFD_GETLK, &l))
		return -errno;
	if (l.l_type == F_UNLCK)
		return 0;
	*at = (uint64_t)l.l_start < off ? off : (uint64_t)l.l_start;
	*len = l.l_len == 0 ? off + n - *at : (uint64_t)(l.l_start + l.l_len) - *at;
	return 1;
}

static int px_chmod(void *self, int fd, mode_t mode)
{
	(void)self;
	return fchmod(fd, mode) ? -errno : 0;
}

static void *px_map(void *self, int fd, uint64_t off, size_t n, bool writable)
{
	void *p =
		mmap(NULL, n, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)off);

	(void)self;
	if (p == MAP_FAILED)
		return NULL;
	if (!writable)
		(void)madvise(p, n, MADV_RANDOM);
	return p;
}

static void px_unmap(void *self, void *p, size_t n)
{
	(void)self;
	(void)munmap(p, n);
}

static void px_populate(void *self, const void *p, size_t n)
{
	(void)self;
#ifdef MADV_POPULATE_READ
	uintptr_t begin = (uintptr_t)p & ~(uintptr_t)4095;
	(void)madvise((void *)begin, (uintptr_t)p + n - begin, MADV_POPULATE_READ);
#else
	(void)p;
	(void)n;
#endif
}

static uint64_t px_memory(void *self)
{
	(void)self;
	return cid_os_memory();
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t px_realtime(void *self)
{
	(void)self;
	return clock_ns(CLOCK_REALTIME);
}

static uint64_t px_monotonic(void *self)
{
	(void)self;
	return clock_ns(CLOCK_MONOTONIC);
}

static void px_random(void *self, void *buf, size_t n)
{
	uint8_t *p = buf;

	(void)self;
	while (n) {
		ssize_t r = getrandom(p, n, 0);

		if (r <= 0)
			continue;
		p += r;
		n -= (size_t)r;
	}
}

static void px_pause(void *self, uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	(void)self;
	(void)nanosleep(&t, NULL);
}

const struct cid_io cid_io_posix = {
	.open = px_open,
	.close = px_close,
	.pread = px_pread,
	.pwrite = px_pwrite,
	.sync = px_sync,
	.sync_dir = px_sync_dir,
	.writeback = px_writeback,
	.prefetch = px_prefetch,
	.share = px_share,
	.copy = px_copy,
	.truncate = px_truncate,
	.allocate = px_allocate,
	.punch = px_punch,
	.rename = px_rename,
	.unlink = px_unlink,
	.mkdir = px_mkdir,
	.rmdir = px_rmdir,
	.list = px_list,
	.stat = px_stat,
	.space = px_space,
	.lock = px_lock,
	.claim = px_claim,
	.claimed = px_claimed,
	.chmod = px_chmod,
	.map = px_map,
	.unmap = px_unmap,
	.populate = px_populate,
	.lend = cid_os_lend,
	.unlend = cid_os_unlend,
	.borrow = cid_os_borrow,
	.give_back = cid_os_give_back,
	.lends = cid_os_lends,
	.memory = px_memory,
	.realtime = px_realtime,
	.monotonic = px_monotonic,
	.random = px_random,
	.pause = px_pause,
};
