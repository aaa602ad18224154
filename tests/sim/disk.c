/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"

static _Noreturn void stop(const char *why)
{
	fprintf(stderr, "sim: %s\n", why);
	abort();
}

/* Makes room for one more element. */
static void room(void *array, size_t n, size_t *cap, size_t size)
{
	void **p = array;

	if (n < *cap)
		return;
	*cap = *cap ? *cap * 2 : 64;
	*p = realloc(*p, *cap * size);
	if (!*p)
		stop("out of memory");
}

static void *reserve(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		stop("out of address space");
	return p;
}

enum { AT_BYTES = DISK_FILE_BYTES / DISK_SECTOR * sizeof(uint32_t) };

static void ready(struct disk_file *f)
{
	if (f->mem)
		return;
	f->mem = reserve(DISK_FILE_BYTES);
	f->at = reserve(AT_BYTES);
	room(&f->blob, 0, &f->cap_blob, sizeof(*f->blob));
	memset(f->blob[0], 0, DISK_SECTOR);
	f->nblob = 1;
}

struct disk *disk_new(struct disk *parent)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (!d)
		stop("out of memory");
	d->parent = parent;
	if (parent)
		parent->child = d;
	disk_table(d);
	return d;
}

void disk_free(struct disk *d)
{
	for (int i = 0; i < DISK_FILES; i++) {
		struct disk_file *f = &d->file[i];

		if (f->mem) {
			munmap(f->mem, DISK_FILE_BYTES);
			munmap(f->at, AT_BYTES);
		}
		free(f->sizes);
		free(f->sector);
		free(f->version);
		free(f->blob);
		free(f->diff);
	}
	free(d->change);
	if (d->parent)
		d->parent->child = NULL;
	free(d);
}

void disk_release(struct disk *d)
{
	memset(d->fd, 0, sizeof(d->fd));
}

void disk_reset(struct disk *d, uint64_t seed)
{
	for (int i = 0; i < DISK_FILES; i++) {
		struct disk_file *f = &d->file[i];

		if (!f->mem)
			continue;
		if (madvise(f->mem, DISK_FILE_BYTES, MADV_DONTNEED) ||
		    madvise(f->at, AT_BYTES, MADV_DONTNEED))
			stop("madvise");
		f->used = f->stuck = false;
		f->size = f->base_size = 0;
		f->nsizes = f->nsector = f->nversion = f->ndiff = 0;
		f->nblob = 1;
		memset(f->blocks, 0, sizeof(f->blocks));
		memset(f->differs, 0, sizeof(f->differs));
	}
	disk_release(d);
	d->files = d->names = d->durables = 0;
	d->nchange = 0;
	d->made = d->dead = d->failed = false;
	d->fail_sync = 0;
	d->seq = d->events = d->trace = d->writes = d->pages = d->capacity = 0;
	d->clock = 1700000000000000000ull;
	d->random.s = seed;
	if (d->child)
		disk_reset(d->child, seed + 1);
}

void disk_tell(struct disk *d, enum disk_event e, int file)
{
	if (d->dead)
		return;
	d->events++;
	d->trace = rng_mix(d->trace ^ (uint64_t)e, (uint64_t)file + d->seq);
	if (d->event)
		d->event(d->arg, d, e, file);
}

/* ---- the directory ---- */

int disk_find(const struct disk *d, const char *name)
{
	for (int i = 0; i < d->names; i++)
		if (strcmp(d->name[i].name, name) == 0)
			return d->name[i].file;
	return -ENOENT;
}

static void log_change(struct disk *d, enum disk_change_kind kind, int file, const char *from,
		       const char *to)
{
	struct disk_change *c;

	room(&d->change, d->nchange, &d->cap_change, sizeof(*d->change));
	c = &d->change[d->nchange++];
	memset(c, 0, sizeof(*c));
	c->seq = ++d->seq;
	c->kind = kind;
	c->file = file;
	(void)snprintf(c->from, sizeof(c->from), "%s", from);
	(void)snprintf(c->to, sizeof(c->to), "%s", to);
	d->writes++;
	d->trace = rng_mix(d->trace, XXH3_64bits(c, sizeof(*c)));
}

static void drop_name(struct disk *d, const char *name)
{
	for (int i = 0; i < d->names; i++)
		if (strcmp(d->name[i].name, name) == 0) {
			d->name[i] = d->name[--d->names];
			return;
		}
}

static void add_name(struct disk *d, const char *name, int file)
{
	if (d->names == DISK_NAMES)
		stop("too many names");
	memset(&d->name[d->names], 0, sizeof(d->name[0]));
	(void)snprintf(d->name[d->names].name, DISK_NAME_BYTES, "%s", name);
	d->name[d->names++].file = file;
}

int disk_create(struct disk *d, const char *name)
{
	int file = d->files;

	if (strlen(name) >= DISK_NAME_BYTES)
		return -ENAMETOOLONG;
	if (file == DISK_FILES)
		stop("too many files");
	/* The same number everywhere, so that images are copies. */
	for (struct disk *x = d; x; x = x->child) {
		ready(&x->file[file]);
		if (x->files <= file)
			x->files = file + 1;
	}
	d->file[file].used = true;
	add_name(d, name, file);
	log_change(d, DISK_CREATE, file, "", name);
	disk_tell(d, DISK_NAMED, file);
	return file;
}

int disk_rename(struct disk *d, const char *from, const char *to)
{
	int file = disk_find(d, from);

	if (file < 0)
		return file;
	drop_name(d, to);
	drop_name(d, from);
	add_name(d, to, file);
	log_change(d, DISK_RENAME, file, from, to);
	disk_tell(d, DISK_NAMED, file);
	return 0;
}

int disk_unlink(struct disk *d, const char *name)
{
	int file = disk_find(d, name);

	if (file < 0)
		return file;
	drop_name(d, name);
	log_change(d, DISK_UNLINK, file, name, "");
	disk_tell(d, DISK_NAMED, file);
	return 0;
}

void disk_sync_names(struct disk *d)
{
	d->nchange = 0;
	memcpy(d->durable, d->name, sizeof(d->name));
	d->durables = d->names;
}

/* ---- content ---- */

static void mark_one(struct disk_file *f, uint64_t page)
{
	if (f->differs[page / 64] >> (page % 64) & 1)
		return;
	f->differs[page / 64] |= 1ull << (page % 64);
	room(&f->diff, f->ndiff, &f->cap_diff, sizeof(*f->diff));
	f->diff[f->ndiff++] = (uint32_t)page;
}

void disk_mark_child(struct disk *d, int file, uint64_t page)
{
	if (d->child)
		mark_one(&d->child->file[file], page);
}

static void mark(struct disk *d, int file, uint64_t page)
{
	if (d->parent)
		mark_one(&d->file[file], page);
	disk_mark_child(d, file, page);
}

static void take_blocks(struct disk *d, int file, uint64_t off, size_t n)
{
	uint64_t *b = d->file[file].blocks;

	for (uint64_t p = off / DISK_PAGE; n && p <= (off + n - 1) / DISK_PAGE; p++)
		if (!(b[p / 64] >> (p % 64) & 1)) {
			b[p / 64] |= 1ull << (p % 64);
			d->pages++;
		}
}

uint64_t disk_holes(const struct disk *d, int file, uint64_t off, uint64_t n)
{
	const uint64_t *b = d->file[file].blocks;
	uint64_t holes = 0;

	for (uint64_t p = off / DISK_PAGE; n && p <= (off + n - 1) / DISK_PAGE; p++)
		holes += !(b[p / 64] >> (p % 64) & 1);
	return holes;
}

void disk_give_back(struct disk *d, int file, uint64_t off, uint64_t n)
{
	uint64_t *b = d->file[file].blocks;

	for (uint64_t p = (off + DISK_PAGE - 1) / DISK_PAGE; p < (off + n) / DISK_PAGE; p++)
		if (b[p / 64] >> (p % 64) & 1) {
			b[p / 64] &= ~(1ull << (p % 64));
			d->pages--;
		}
}

static void set(struct disk *d, int file, uint64_t off, const void *buf, size_t n)
{
	struct disk_file *f = &d->file[file];

	if (buf)
		memcpy(f->mem + off, buf, n);
	else
		memset(f->mem + off, 0, n);
	for (uint64_t p = off / DISK_PAGE; n && p <= (off + n - 1) / DISK_PAGE; p++)
		mark(d, file, p);
}

void disk_put(struct disk *d, int file, uint64_t off, const void *buf, size_t n)
{
	set(d, file, off, buf, n);
	if (buf)
		take_blocks(d, file, off, n);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static uint32_t keep(struct disk_file *f, const uint8_t *content)
{
	if (all_zero(content, DISK_SECTOR))
		return 0;
	room(&f->blob, f->nblob, &f->cap_blob, sizeof(*f->blob));
	memcpy(f->blob[f->nblob], content, DISK_SECTOR);
	return (uint32_t)f->nblob++;
}

/* The sector's list; a new one takes `content` as what is durable. */
static struct disk_sector *sector_of(struct disk_file *f, uint32_t number, const uint8_t *content)
{
	struct disk_sector *s;

	if (f->at[number])
		return &f->sector[f->at[number] - 1];
	room(&f->sector, f->nsector, &f->cap_sector, sizeof(*f->sector));
	s = &f->sector[f->nsector++];
	*s = (struct disk_sector){ .number = number, .base = keep(f, content) };
	f->at[number] = (uint32_t)f->nsector;
	return s;
}

static void add_version(struct disk *d, int file, struct disk_sector *s)
{
	struct disk_file *f = &d->file[file];
	const uint8_t *now = f->mem + (uint64_t)s->number * DISK_SECTOR;
	uint32_t n;

	room(&f->version, f->nversion, &f->cap_version, sizeof(*f->version));
	f->version[f->nversion++] = (struct disk_version){ .seq = d->seq, .blob = keep(f, now) };
	n = (uint32_t)f->nversion;
	if (s->last)
		f->version[s->last - 1].next = n;
	else
		s->first = n;
	s->last = n;
	s->versions++;
	d->trace = rng_mix(d->trace, XXH3_64bits_withSeed(now, DISK_SECTOR,
							   (uint64_t)file << 32 | s->number));
	d->writes++;
}

void disk_write(struct disk *d, int file, uint64_t off, const void *buf, size_t n)
{
	struct disk_file *f = &d->file[file];
	const uint8_t *p = buf;

	if (off + n > DISK_FILE_BYTES)
		stop("a file grows too large");
	d->seq++;
	if (buf)
		take_blocks(d, file, off, n);
	while (n) {
		uint32_t number = (uint32_t)(off / DISK_SECTOR);
		size_t m = DISK_SECTOR - off % DISK_SECTOR;
		uint8_t *now = f->mem + off;

		if (m > n)
			m = n;
		if (p ? memcmp(now, p, m) != 0 : !all_zero(now, m)) {
			struct disk_sector *s =
				sector_of(f, number, f->mem + (uint64_t)number * DISK_SECTOR);

			set(d, file, off, p, m);
			add_version(d, file, s);
		}
		off += m;
		p = p ? p + m : NULL;
		n -= m;
	}
}

void disk_resize(struct disk *d, int file, uint64_t size)
{
	struct disk_file *f = &d->file[file];

	if (size == f->size)
		return;
	if (size < f->size)
		disk_write(d, file, size, NULL, (size_t)(f->size - size));
	room(&f->sizes, f->nsizes, &f->cap_sizes, sizeof(*f->sizes));
	f->sizes[f->nsizes++] = (struct disk_size){ .seq = ++d->seq, .size = size };
	f->size = size;
	d->trace = rng_mix(d->trace, size);
	d->writes++;
}

static int file_of(const struct disk *d, const uint8_t *p)
{
	for (int i = 0; i < d->files; i++)
		if (d->file[i].mem && p >= d->file[i].mem && p < d->file[i].mem + DISK_FILE_BYTES)
			return i;
	stop("a store outside all files");
}

/* Records never straddle sectors: both sizes are powers of two. */
void disk_before(struct disk *d, const void *p, size_t n)
{
	int file = file_of(d, p);
	struct disk_file *f = &d->file[file];
	uint64_t off = (uint64_t)((const uint8_t *)p - f->mem);
	uint32_t number = (uint32_t)(off / DISK_SECTOR);

	if (off % DISK_SECTOR + n > DISK_SECTOR)
		stop("a record straddles sectors");
	memcpy(d->saved, f->mem + (uint64_t)number * DISK_SECTOR, DISK_SECTOR);
}

void disk_after(struct disk *d, const void *p, size_t n)
{
	int file = file_of(d, p);
	struct disk_file *f = &d->file[file];
	uint64_t off = (uint64_t)((const uint8_t *)p - f->mem);
	uint32_t number = (uint32_t)(off / DISK_SECTOR);
	struct disk_sector *s;

	if (d->dead) {
		memcpy(f->mem + off, d->saved + off % DISK_SECTOR, n);
		return;
	}
	d->seq++;
	s = sector_of(f, number, d->saved);
	mark(d, file, off / DISK_PAGE);
	take_blocks(d, file, off, n);
	add_version(d, file, s);
	if (d->record)
		d->record(d->arg, p);
	disk_tell(d, DISK_RECORD, file);
}

void disk_sync(struct disk *d, int file)
{
	if (!d->file[file].stuck)
		disk_settle(d, file);
}

void disk_settle(struct disk *d, int file)
{
	struct disk_file *f = &d->file[file];

	f->stuck = false;
	for (size_t i = 0; i < f->nsector; i++)
		f->at[f->sector[i].number] = 0;
	f->nsector = f->nversion = f->nsizes = 0;
	f->nblob = 1;
	f->base_size = f->size;
}

void disk_adopt(struct disk *d, struct disk *from)
{
	if (from->parent != d)
		stop("not a child");
	for (int i = 0; i < d->files; i++) {
		struct disk_file *f = &d->file[i], *g = &from->file[i];

		for (size_t k = 0; k < g->ndiff; k++) {
			uint64_t p = g->diff[k];

			memcpy(f->mem + p * DISK_PAGE, g->mem + p * DISK_PAGE, DISK_PAGE);
			if (d->parent)
				mark_one(f, p);
			g->differs[p / 64] &= ~(1ull << (p % 64));
		}
		g->ndiff = 0;
		f->used = g->used;
		f->size = g->size;
		memcpy(f->blocks, g->blocks, sizeof(f->blocks));
		disk_settle(d, i);
	}
	memcpy(d->name, from->name, sizeof(d->name));
	d->names = from->names;
	d->made = from->made;
	d->pages = from->pages;
	disk_sync_names(d);
	disk_release(d);
	d->dead = d->failed = false;
	d->fail_sync = 0;
}
