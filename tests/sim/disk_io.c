/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_io.c - the table of system calls over a disk in memory */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sim/disk.h"
#include "store/pool.h"

static void tick(struct disk *d, uint64_t ns)
{
	d->clock += ns;
}

static struct disk_fd *fd_of(struct disk *d, int fd)
{
	return fd >= 3 && fd < DISK_FDS && d->fd[fd].used ? &d->fd[fd] : NULL;
}

static int new_fd(struct disk *d, int file)
{
	for (int i = 3; i < DISK_FDS; i++)
		if (!d->fd[i].used) {
			d->fd[i] = (struct disk_fd){ .used = true, .file = file };
			d->fds = i < d->fds ? d->fds : i + 1;
			d->fds_open++;
			return i;
		}
	return -EMFILE;
}

static int sim_open(void *self, int dirfd, const char *name, int flags, mode_t mode)
{
	struct disk *d = self;
	int file;

	(void)mode;
	if (dirfd < 0) {
		if (strcmp(name, DISK_PATH) != 0 || !d->made)
			return -ENOENT;
		return flags & O_DIRECTORY ? new_fd(d, DISK_DIRECTORY) : -EISDIR;
	}
	file = disk_find(d, name);
	if (file == -ENOENT && flags & O_CREAT)
		file = d->dead ? -EIO : disk_create(d, name);
	else if (file >= 0 && flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	else if (file >= 0 && flags & O_TRUNC) {
		if (d->dead)
			return -EIO;
		disk_resize(d, file, 0);
		disk_tell(d, DISK_SIZE, file);
	}
	return file < 0 ? file : new_fd(d, file);
}

static int sim_close(void *self, int fd)
{
	struct disk *d = self;
	struct disk_fd *f = fd_of(d, fd);

	if (!f)
		return -EBADF;
	f->used = false;
	d->fds_open--;
	return 0;
}

static ssize_t sim_pread(void *self, int fd, void *buf, size_t n, uint64_t off)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);
	struct disk_file *f;

	if (!x || x->file < 0)
		return -EBADF;
	f = &d->file[x->file];
	if (off >= f->size)
		return 0;
	if (n > f->size - off)
		n = (size_t)(f->size - off);
	disk_look(d, x->file, off, n);
	if (disk_spoils(d, x->file, off, n))
		return -EIO;
	if (d->spoilt == x->file) {
		/* Another sector of the page: the mapping knows whole pages only. */
		uint64_t at = d->spoilt_at;

		disk_heal(d);
		memcpy(buf, f->mem + off, n);
		disk_spoil(d, x->file, at);
		return (ssize_t)n;
	}
	memcpy(buf, f->mem + off, n);
	tick(d, 1000);
	return (ssize_t)n;
}

static ssize_t sim_pwrite(void *self, int fd, const void *buf, size_t n, uint64_t off)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);

	if (!x || x->file < 0)
		return -EBADF;
	if (d->dead)
		return -EIO;
	/* A page of which something stays would be read first. */
	if (d->spoilt == x->file && disk_spoils_page(d, off, n))
		return -EIO;
	if (d->short_writes && n > DISK_PAGE && rng_one_in(&d->random, 16))
		n = (size_t)rng_below(&d->random, n - 1) + 1;
	if (d->capacity) {
		uint64_t want = disk_holes(d, x->file, off, n);

		if (d->pages + want > d->capacity)
			return -ENOSPC;
	}
	disk_write(d, x->file, off, buf, n);
	if (off + n > d->file[x->file].size)
		disk_resize(d, x->file, off + n);
	tick(d, 2000);
	disk_tell(d, DISK_WRITE, x->file);
	return (ssize_t)n;
}

static int sim_sync(void *self, int fd)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);

	if (!x || x->file < 0)
		return -EBADF;
	disk_tell(d, DISK_SYNC, x->file);
	if (d->dead)
		return -EIO;
	if (d->fail_sync && (d->fail_file < 0 || d->fail_file == x->file) && --d->fail_sync == 0) {
		d->failed = d->file[x->file].stuck = true;
		return -EIO;
	}
	disk_sync(d, x->file);
	tick(d, 100000);
	disk_tell(d, DISK_SYNCED, x->file);
	return 0;
}

static int sim_sync_dir(void *self, int dirfd)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, dirfd);

	if (!x || x->file != DISK_DIRECTORY)
		return -EBADF;
	disk_tell(d, DISK_SYNCING_DIR, -1);
	if (d->dead)
		return -EIO;
	disk_sync_names(d);
	tick(d, 100000);
	disk_tell(d, DISK_SYNCED_DIR, -1);
	return 0;
}

static void sim_hint(void *self, int fd, uint64_t off, uint64_t n)
{
	(void)self;
	(void)fd;
	(void)off;
	(void)n;
}

static int sim_truncate(void *self, int fd, uint64_t size)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);

	if (!x || x->file < 0)
		return -EBADF;
	if (d->dead)
		return -EIO;
	if (size > DISK_FILE_BYTES)
		return -EFBIG;
	disk_resize(d, x->file, size);
	disk_tell(d, DISK_SIZE, x->file);
	return 0;
}

static int sim_allocate(void *self, int fd, uint64_t off, uint64_t n)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);

	if (!x || x->file < 0)
		return -EBADF;
	if (d->dead)
		return -EIO;
	if (d->capacity && d->pages + disk_holes(d, x->file, off, n) > d->capacity)
		return -ENOSPC;
	return 0;
}

static int sim_punch(void *self, int fd, uint64_t off, uint64_t n)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);
	uint64_t size;

	if (!x || x->file < 0)
		return -EBADF;
	if (d->dead)
		return -EIO;
	size = d->file[x->file].size;
	if (off >= size)
		return 0;
	if (n > size - off)
		n = size - off;
	disk_write(d, x->file, off, NULL, (size_t)n);
	disk_give_back(d, x->file, off, n);
	d->punches++;
	disk_tell(d, DISK_PUNCH, x->file);
	return 0;
}

static int sim_rename(void *self, int dirfd, const char *from, const char *to)
{
	struct disk *d = self;

	(void)dirfd;
	return d->dead ? -EIO : disk_rename(d, from, to);
}

static int sim_unlink(void *self, int dirfd, const char *name)
{
	struct disk *d = self;

	(void)dirfd;
	return d->dead ? -EIO : disk_unlink(d, name);
}

/* The directory itself is taken for durable: its parent is not ours. */
static int sim_mkdir(void *self, const char *path, mode_t mode)
{
	struct disk *d = self;

	(void)mode;
	if (strcmp(path, DISK_PATH) != 0)
		return -ENOENT;
	if (d->made)
		return -EEXIST;
	d->made = true;
	return 0;
}

static int sim_list(void *self, int dirfd, int (*fn)(void *, const char *), void *arg)
{
	struct disk *d = self;
	int rc = 0;

	(void)dirfd;
	for (int i = 0; i < d->names && rc == 0; i++)
		rc = fn(arg, d->name[i].name);
	return rc;
}

static int sim_stat(void *self, int fd, struct stat *st)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);

	if (!x)
		return -EBADF;
	memset(st, 0, sizeof(*st));
	st->st_mode = x->file < 0 ? S_IFDIR | 0755 : S_IFREG | 0644;
	st->st_nlink = 1;
	st->st_ino = (ino_t)(x->file + 10);
	if (x->file >= 0)
		st->st_size = (off_t)d->file[x->file].size;
	return 0;
}

static int sim_space(void *self, int fd, uint64_t *free_bytes)
{
	struct disk *d = self;

	(void)fd;
	if (!d->capacity)
		*free_bytes = 1ull << 40;
	else
		*free_bytes = d->pages < d->capacity ? (d->capacity - d->pages) * DISK_PAGE : 0;
	return 0;
}

static int sim_lock(void *self, int fd, bool exclusive)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);

	if (!x)
		return -EBADF;
	for (int i = 3; i < d->fds; i++) {
		struct disk_fd *o = &d->fd[i];

		if (o != x && o->used && o->file == x->file && o->lock &&
		    (exclusive || o->lock == 2))
			return -EWOULDBLOCK;
	}
	x->lock = exclusive ? 2 : 1;
	return 0;
}

static void *sim_map(void *self, int fd, uint64_t off, size_t n, bool writable)
{
	struct disk *d = self;
	struct disk_fd *x = fd_of(d, fd);

	if (!x || x->file < 0 || off + n > d->file[x->file].size) {
		errno = EINVAL;
		return NULL;
	}
	/* What is read of a pool passes cid_pool_at(); of the log, anything may be. */
	if (writable)
		disk_look(d, x->file, off, n);
	return d->file[x->file].mem + off;
}

/* The linker puts it in the place of the engine's (--wrap). */
const void *__real_cid_pool_at(const struct cid_pool *p, uint64_t pos, size_t n);
const void *__wrap_cid_pool_at(const struct cid_pool *p, uint64_t pos, size_t n);
const void *__wrap_cid_pool_at(const struct cid_pool *p, uint64_t pos, size_t n)
{
	const void *at = __real_cid_pool_at(p, pos, n);

	if (at)
		disk_look_at(p->io->self, at, n);
	return at;
}

static void sim_unmap(void *self, void *p, size_t n)
{
	(void)self;
	(void)p;
	(void)n;
}

static uint64_t sim_clock(void *self)
{
	struct disk *d = self;

	tick(d, 200);
	disk_tell(d, DISK_CLOCK, -1);
	return d->clock;
}

static void sim_random(void *self, void *buf, size_t n)
{
	struct disk *d = self;
	uint8_t *p = buf;

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rng_next(&d->random);
}

static void sim_before(void *self, const void *p, size_t n)
{
	disk_before(self, p, n);
}

static void sim_after(void *self, const void *p, size_t n)
{
	disk_after(self, p, n);
}

void disk_table(struct disk *d)
{
	d->io = (struct cid_io){
		.self = d,
		.open = sim_open,
		.close = sim_close,
		.pread = sim_pread,
		.pwrite = sim_pwrite,
		.sync = sim_sync,
		.sync_dir = sim_sync_dir,
		.writeback = sim_hint,
		.prefetch = sim_hint,
		.truncate = sim_truncate,
		.allocate = sim_allocate,
		.punch = sim_punch,
		.rename = sim_rename,
		.unlink = sim_unlink,
		.mkdir = sim_mkdir,
		.list = sim_list,
		.stat = sim_stat,
		.space = sim_space,
		.lock = sim_lock,
		.map = sim_map,
		.unmap = sim_unmap,
		.realtime = sim_clock,
		.monotonic = sim_clock,
		.random = sim_random,
		.before = sim_before,
		.after = sim_after,
	};
}
