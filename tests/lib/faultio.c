/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/faultio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REAL(call, ...) cid_io_posix.call(cid_io_posix.self, __VA_ARGS__)

const char *const fault_kind_name[FAULT_KINDS] = {
	[FAULT_OPEN] = "open",	       [FAULT_CLOSE] = "close",
	[FAULT_READ] = "pread",	       [FAULT_WRITE] = "pwrite",
	[FAULT_SYNC] = "sync",	       [FAULT_SYNC_DIR] = "sync_dir",
	[FAULT_TRUNCATE] = "truncate", [FAULT_ALLOCATE] = "allocate",
	[FAULT_PUNCH] = "punch",       [FAULT_RENAME] = "rename",
	[FAULT_UNLINK] = "unlink",     [FAULT_MKDIR] = "mkdir",
	[FAULT_LIST] = "list",	       [FAULT_STAT] = "stat",
	[FAULT_SPACE] = "space",       [FAULT_LOCK] = "lock",
	[FAULT_MAP] = "map",	       [FAULT_MEMORY] = "malloc",
};

struct fault_state fault_state;

void fault_set(const struct fault *f)
{
	memset(&fault_state, 0, sizeof(fault_state));
	fault_state.fault = *f;
}

void fault_clear(void)
{
	fault_state.fault.number = 0;
}

/* Does this call fail? */
static bool due(enum fault_kind kind)
{
	struct fault_state *s = &fault_state;
	uint64_t n = 1 + atomic_fetch_add_explicit(&s->calls[kind], 1, memory_order_relaxed);

	if (s->fault.number == 0 || s->fault.kind != kind ||
	    (s->fault.forever ? n < s->fault.number : n != s->fault.number))
		return false;
	s->fired++;
	return true;
}

static int failing(enum fault_kind kind)
{
	return due(kind) ? -fault_state.fault.error : 0;
}

static int f_open(void *self, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = failing(FAULT_OPEN);

	(void)self;
	if (fd == 0)
		fd = REAL(open, dirfd, name, flags, mode);
	fault_state.open_files += fd >= 0;
	return fd;
}

static int f_close(void *self, int fd)
{
	int rc = REAL(close, fd), fail = failing(FAULT_CLOSE);

	(void)self;
	fault_state.open_files--;
	return fail ? fail : rc;
}

static ssize_t f_pread(void *self, int fd, void *buf, size_t n, uint64_t off)
{
	(void)self;
	if (due(FAULT_READ)) {
		if (fault_state.fault.error)
			return -fault_state.fault.error;
		/* Reads past the page cache are in units of the device. */
		n = n >= 1024 ? n / 2 / 512 * 512 : n;
	}
	return REAL(pread, fd, buf, n, off);
}

static ssize_t f_pwrite(void *self, int fd, const void *buf, size_t n, uint64_t off)
{
	(void)self;
	if (due(FAULT_WRITE)) {
		size_t half = n / 2;

		/* What fails has written something, in full only where it is short. */
		if (fault_state.fault.error) {
			if (half)
				(void)REAL(pwrite, fd, buf, half, off);
			return -fault_state.fault.error;
		}
		n = n > 1 ? half : n;
	}
	return REAL(pwrite, fd, buf, n, off);
}

static int f_sync(void *self, int fd)
{
	(void)self;
	(void)fd;
	return failing(FAULT_SYNC);
}

static int f_sync_dir(void *self, int dirfd)
{
	(void)self;
	(void)dirfd;
	return failing(FAULT_SYNC_DIR);
}

static void f_hint(void *self, int fd, uint64_t off, uint64_t n)
{
	(void)self;
	(void)fd;
	(void)off;
	(void)n;
}

static int f_truncate(void *self, int fd, uint64_t size)
{
	int rc = failing(FAULT_TRUNCATE);

	(void)self;
	return rc ? rc : REAL(truncate, fd, size);
}

static int f_allocate(void *self, int fd, uint64_t off, uint64_t n)
{
	int rc = failing(FAULT_ALLOCATE);

	(void)self;
	return rc ? rc : REAL(allocate, fd, off, n);
}

static int f_punch(void *self, int fd, uint64_t off, uint64_t n)
{
	int rc = failing(FAULT_PUNCH);

	(void)self;
	return rc ? rc : REAL(punch, fd, off, n);
}

static int f_rename(void *self, int dirfd, const char *from, const char *to)
{
	int rc = failing(FAULT_RENAME);

	(void)self;
	return rc ? rc : REAL(rename, dirfd, from, to);
}

static int f_unlink(void *self, int dirfd, const char *name)
{
	int rc = failing(FAULT_UNLINK);

	(void)self;
	return rc ? rc : REAL(unlink, dirfd, name);
}

static int f_mkdir(void *self, const char *path, mode_t mode)
{
	int rc = failing(FAULT_MKDIR);

	(void)self;
	return rc ? rc : REAL(mkdir, path, mode);
}

static int f_rmdir(void *self, int dirfd, const char *name)
{
	(void)self;
	return REAL(rmdir, dirfd, name);
}

static int f_list(void *self, int dirfd, int (*fn)(void *, const char *), void *arg)
{
	int rc = failing(FAULT_LIST);

	(void)self;
	return rc ? rc : REAL(list, dirfd, fn, arg);
}

static int f_stat(void *self, int fd, struct stat *st)
{
	int rc = failing(FAULT_STAT);

	(void)self;
	return rc ? rc : REAL(stat, fd, st);
}

static int f_space(void *self, int fd, uint64_t *free_bytes)
{
	int rc = failing(FAULT_SPACE);

	(void)self;
	return rc ? rc : REAL(space, fd, free_bytes);
}

static int f_lock(void *self, int fd, bool exclusive)
{
	int rc = failing(FAULT_LOCK);

	(void)self;
	return rc ? rc : REAL(lock, fd, exclusive);
}

static void *f_map(void *self, int fd, uint64_t off, size_t n, bool writable)
{
	int rc = failing(FAULT_MAP);
	void *p = NULL;

	(void)self;
	if (rc)
		errno = -rc;
	else
		p = REAL(map, fd, off, n, writable);
	fault_state.mappings += p != NULL;
	return p;
}

static void f_unmap(void *self, void *p, size_t n)
{
	(void)self;
	REAL(unmap, p, n);
	fault_state.mappings--;
}

static uint64_t f_realtime(void *self)
{
	(void)self;
	return cid_io_posix.realtime(cid_io_posix.self);
}

static uint64_t f_monotonic(void *self)
{
	(void)self;
	return cid_io_posix.monotonic(cid_io_posix.self);
}

static void f_random(void *self, void *buf, size_t n)
{
	(void)self;
	REAL(random, buf, n);
}

static void f_pause(void *self, uint64_t ns)
{
	(void)self;
	cid_io_posix.pause(cid_io_posix.self, ns);
}

const struct cid_io fault_io = {
	.open = f_open,
	.close = f_close,
	.pread = f_pread,
	.pwrite = f_pwrite,
	.sync = f_sync,
	.sync_dir = f_sync_dir,
	.writeback = f_hint,
	.prefetch = f_hint,
	.truncate = f_truncate,
	.allocate = f_allocate,
	.punch = f_punch,
	.rename = f_rename,
	.unlink = f_unlink,
	.mkdir = f_mkdir,
	.rmdir = f_rmdir,
	.list = f_list,
	.stat = f_stat,
	.space = f_space,
	.lock = f_lock,
	.map = f_map,
	.unmap = f_unmap,
	.realtime = f_realtime,
	.monotonic = f_monotonic,
	.random = f_random,
	.pause = f_pause,
};

/* ---- memory, by the linker's --wrap ---- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
char *__real_strdup(const char *s);
void *__real_cid_arena_alloc(size_t n);
void *__wrap_cid_arena_alloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);

static bool no_memory(void)
{
	if (!due(FAULT_MEMORY))
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return no_memory() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return no_memory() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
	return no_memory() ? NULL : __real_aligned_alloc(align, n);
}

void *__wrap_cid_arena_alloc(size_t n)
{
	return no_memory() ? NULL : __real_cid_arena_alloc(n);
}

char *__wrap_strdup(const char *s)
{
	return no_memory() ? NULL : __real_strdup(s);
}
