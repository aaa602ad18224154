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
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED)
		stop("out of address space");
	return p;
}

enum {
	SECTORS = DISK_FILE_BYTES / DISK_SECTOR,
	AT_BYTES = SECTORS * sizeof(uint32_t),
	MIX_BYTES = SECTORS * sizeof(uint64_t),
	BITS_BYTES = SECTORS / 8,
	PER_PAGE = DISK_PAGE / DISK_SECTOR,
};

static void ready(struct disk_file *f)
{
	if (f->mem)
		return;
	f->mem = reserve(DISK_FILE_BYTES);
	f->at = reserve(AT_BYTES);
	f->mix = reserve(MIX_BYTES);
	f->looked = reserve(2 * BITS_BYTES);
	f->own = f->looked + BITS_BYTES / sizeof(*f->own);
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
	d->spoilt = -1;
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
			munmap(f->mix, MIX_BYTES);
			munmap(f->looked, 2 * BITS_BYTES);
		}
		free(f->sizes);
		free(f->sector);
		free(f->version);
		free(f->blob);
		free(f->diff);
	}
	free(d->change);
	free(d->looked);
	free(d->own);
	if (d->parent)
		d->parent->child = NULL;
	free(d);
}

void disk_spoil(struct disk *d, int file, uint64_t off)
{
	disk_heal(d);
	d->spoilt = file;
	d->spoilt_at = off;
	if (mprotect(d->file[file].mem + off / DISK_PAGE * DISK_PAGE, DISK_PAGE, PROT_NONE))
		stop("mprotect");
}

void disk_heal(struct disk *d)
{
	if (d->spoilt >= 0 &&
	    mprotect(d->file[d->spoilt].mem + d->spoilt_at / DISK_PAGE * DISK_PAGE, DISK_PAGE,
		     PROT_READ | PROT_WRITE))
		stop("mprotect");
	d->spoilt = -1;
}

void disk_release(struct disk *d)
{
	memset(d->fd, 0, (size_t)d->fds * sizeof(d->fd[0]));
	d->fds = d->fds_open = 0;
}

void disk_reset(struct disk *d, uint64_t seed)
{
	disk_heal(d);
	disk_unwatch(d);
	d->ntouched = 0;
	for (int i = 0; i < DISK_FILES; i++) {
		struct disk_file *f = &d->file[i];

		if (!f->mem)
			continue;
		if (madvise(f->mem, DISK_FILE_BYTES, MADV_DONTNEED) ||
		    madvise(f->at, AT_BYTES, MADV_DONTNEED) ||
		    madvise(f->mix, MIX_BYTES, MADV_DONTNEED))
			stop("madvise");
		f->used = f->stuck = f->touched = false;
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
	if (e == DISK_CLOCK) {
		if (d->event)
			d->event(d->arg, d, e, file);
		return;
	}
	d->events++;
	d->trace = rng_mix(d->trace ^ (uint64_t)e, (uint64_t)file + d->seq);
	if (d->event)
		d->event(d->arg, d, e, file);
}

static void touch_one(struct disk *d, int file)
{
	if (d->file[file].touched)
		return;
	d->file[file].touched = true;
	d->touched[d->ntouched++] = file;
}

/* The file is no longer what it is in the parent, or the child. */
static void touch(struct disk *d, int file)
{
	if (d->parent)
		touch_one(d, file);
	if (d->child)
		touch_one(d->child, file);
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
	touch(d, file);
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
	memcpy(d->durable, d->name, (size_t)d->names * sizeof(d->name[0]));
	d->durables = d->names;
}

/* ---- content ---- */

static void mark_one(struct disk *d, int file, uint64_t page)
{
	struct disk_file *f = &d->file[file];

	if (f->differs[page / 64] >> (page % 64) & 1)
		return;
	touch_one(d, file);
	f->differs[page / 64] |= 1ull << (page % 64);
	room(&f->diff, f->ndiff, &f->cap_diff, sizeof(*f->diff));
	f->diff[f->ndiff++] = (uint32_t)page;
}

static void mark(struct disk *d, int file, uint64_t page)
{
	if (d->parent)
		mark_one(d, file, page);
	if (d->child)
		mark_one(d->child, file, page);
}

static void take_blocks(struct disk *d, int file, uint64_t off, size_t n)
{
	uint64_t *b = d->file[file].blocks;

	for (uint64_t p = off / DISK_PAGE; n && p <= (off + n - 1) / DISK_PAGE; p++)
		if (!(b[p / 64] >> (p % 64) & 1)) {
			b[p / 64] |= 1ull << (p % 64);
			d->pages++;
			touch(d, file);
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

	touch(d, file);
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

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

uint64_t disk_mix(int file, uint64_t number, const void *sector)
{
	if (all_zero(sector, DISK_SECTOR))
		return 0;
	return rng_mix(XXH3_64bits(sector, DISK_SECTOR), (uint64_t)file << 32 | number) | 1;
}

void disk_put(struct disk *d, int file, uint64_t off, const void *buf, size_t n)
{
	struct disk_file *f = &d->file[file];

	set(d, file, off, buf, n);
	for (uint64_t s = off / DISK_SECTOR; n && s <= (off + n - 1) / DISK_SECTOR; s++)
		f->mix[s] = disk_mix(file, s, f->mem + s * DISK_SECTOR);
	if (buf)
		take_blocks(d, file, off, n);
}

static uint32_t keep(struct disk_file *f, const uint8_t *content, uint64_t mix)
{
	if (mix == 0)
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
	*s = (struct disk_sector){
		.number = number,
		.base = keep(f, content, f->mix[number]),
		.base_mix = f->mix[number],
	};
	f->at[number] = (uint32_t)f->nsector;
	return s;
}

static void add_version(struct disk *d, int file, struct disk_sector *s)
{
	struct disk_file *f = &d->file[file];
	const uint8_t *now = f->mem + (uint64_t)s->number * DISK_SECTOR;
	uint32_t n;

	s->kept_mix = f->mix[s->number] = disk_mix(file, s->number, now);
	s->kept = keep(f, now, s->kept_mix);
	room(&f->version, f->nversion, &f->cap_version, sizeof(*f->version));
	f->version[f->nversion++] = (struct disk_version){
		.seq = d->seq,
		.mix = s->kept_mix,
		.blob = s->kept,
	};
	n = (uint32_t)f->nversion;
	if (s->last) {
		f->version[s->last - 1].next = n;
	} else {
		s->first = n;
		s->first_seq = d->seq;
	}
	s->last = n;
	s->last_seq = d->seq;
	s->versions++;
	d->trace = rng_mix(d->trace ^ s->kept_mix, d->seq);
	d->writes++;
}

static void note(struct disk_place **list, size_t *n, size_t *cap, int file, uint64_t number);

static void write_over(struct disk *d, int file, uint64_t number)
{
	uint64_t *own = &d->file[file].own[number / 64], bit = 1ull << (number % 64);

	if (*own & bit)
		return;
	*own |= bit;
	note(&d->own, &d->nown, &d->cap_own, file, number);
}

void disk_write(struct disk *d, int file, uint64_t off, const void *buf, size_t n)
{
	struct disk_file *f = &d->file[file];
	const uint8_t *p = buf;
	uint64_t bad = d->spoilt_at;
	bool spoilt = d->spoilt == file && (bad < off || bad + DISK_SECTOR > off + n);

	if (off + n > DISK_FILE_BYTES)
		stop("a file grows too large");
	d->seq++;
	if (d->spoilt == file)
		disk_heal(d);
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
		if (d->watched && m == DISK_SECTOR)
			write_over(d, file, number);
		off += m;
		p = p ? p + m : NULL;
		n -= m;
	}
	if (spoilt)
		disk_spoil(d, file, bad);
}

void disk_resize(struct disk *d, int file, uint64_t size)
{
	struct disk_file *f = &d->file[file];

	if (size == f->size)
		return;
	if (size < f->size)
		disk_write(d, file, size, NULL, (size_t)(f->size - size));
	touch(d, file);
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

	if (d->spoilt == file)
		disk_heal(d);
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

static void copy_page(struct disk_file *to, const struct disk_file *from, uint64_t p)
{
	if (!from->mem) { /* only the child had it */
		memset(to->mem + p * DISK_PAGE, 0, DISK_PAGE);
		memset(to->mix + p * PER_PAGE, 0, PER_PAGE * sizeof(*to->mix));
		return;
	}
	memcpy(to->mem + p * DISK_PAGE, from->mem + p * DISK_PAGE, DISK_PAGE);
	memcpy(to->mix + p * PER_PAGE, from->mix + p * PER_PAGE, PER_PAGE * sizeof(*to->mix));
}

void disk_follow(struct disk *d)
{
	const struct disk *from = d->parent;

	for (int i = 0; i < d->ntouched; i++) {
		int file = d->touched[i];
		struct disk_file *f = &d->file[file];
		const struct disk_file *g = &from->file[file];

		disk_settle(d, file);
		for (size_t k = 0; k < f->ndiff; k++) {
			uint64_t p = f->diff[k];

			copy_page(f, g, p);
			f->differs[p / 64] &= ~(1ull << (p % 64));
			if (d->child)
				mark_one(d->child, file, p);
		}
		f->ndiff = 0;
		f->used = g->used;
		f->size = f->base_size = g->size;
		memcpy(f->blocks, g->blocks, sizeof(f->blocks));
		f->touched = false;
		if (d->child)
			touch_one(d->child, file);
	}
	d->ntouched = 0;
	d->pages = from->pages;
	d->files = from->files;
	d->made = from->made;
}

void disk_put_size(struct disk *d, int file, uint64_t size)
{
	d->file[file].size = d->file[file].base_size = size;
	touch_one(d, file);
	if (d->child)
		touch_one(d->child, file);
}

void disk_adopt(struct disk *d, struct disk *from)
{
	if (from->parent != d)
		stop("not a child");
	for (int i = 0; i < from->ntouched; i++) {
		int file = from->touched[i];
		struct disk_file *f = &d->file[file], *g = &from->file[file];

		for (size_t k = 0; k < g->ndiff; k++) {
			uint64_t p = g->diff[k];

			copy_page(f, g, p);
			if (d->parent)
				mark_one(d, file, p);
			g->differs[p / 64] &= ~(1ull << (p % 64));
		}
		g->ndiff = 0;
		g->touched = false;
		f->used = g->used;
		f->size = g->size;
		memcpy(f->blocks, g->blocks, sizeof(f->blocks));
		if (d->parent)
			touch_one(d, file);
	}
	from->ntouched = 0;
	for (int i = 0; i < d->files; i++)
		disk_settle(d, i);
	memcpy(d->name, from->name, (size_t)from->names * sizeof(d->name[0]));
	d->names = from->names;
	d->made = from->made;
	d->pages = from->pages;
	disk_sync_names(d);
	disk_release(d);
	d->dead = d->failed = false;
	d->fail_sync = 0;
}

/* ---- watching ---- */

void disk_watch(struct disk *d)
{
	disk_unwatch(d);
	d->watched = true;
}

static void forget(struct disk *d, uint64_t *(*bits)(struct disk_file *), struct disk_place *at,
		   size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		bits(&d->file[at[i].file])[at[i].number / 64] = 0;
	*n = 0;
}

static uint64_t *looked_of(struct disk_file *f)
{
	return f->looked;
}

static uint64_t *own_of(struct disk_file *f)
{
	return f->own;
}

void disk_unwatch(struct disk *d)
{
	d->watched = false;
	forget(d, looked_of, d->looked, &d->nlooked);
	forget(d, own_of, d->own, &d->nown);
}

static void note(struct disk_place **list, size_t *n, size_t *cap, int file, uint64_t number)
{
	room(list, *n, cap, sizeof(**list));
	(*list)[(*n)++] = (struct disk_place){ (uint16_t)file, (uint16_t)number };
}

/* `own`: what was written over is not the image's. A crash of this disk may
 * bring it back, so that children look at it all the same. */
static void look(struct disk *d, int file, uint64_t first, uint64_t last, bool own)
{
	struct disk_file *f = &d->file[file];

	for (uint64_t w = first / 64; w <= last / 64; w++) {
		uint64_t want = ~0ull;

		if (w == first / 64)
			want &= ~0ull << (first % 64);
		if (w == last / 64)
			want &= ~0ull >> (63 - last % 64);
		want &= ~f->looked[w];
		if (own)
			want &= ~f->own[w];
		f->looked[w] |= want;
		for (; want; want &= want - 1)
			note(&d->looked, &d->nlooked, &d->cap_looked, file,
			     w * 64 + (uint64_t)__builtin_ctzll(want));
	}
}

void disk_look(struct disk *d, int file, uint64_t off, uint64_t n)
{
	if (n == 0)
		return;
	for (struct disk *x = d; x; x = x->parent)
		if (x->watched && x->file[file].mem)
			look(x, file, off / DISK_SECTOR, (off + n - 1) / DISK_SECTOR, x == d);
}

void disk_look_at(struct disk *d, const void *p, size_t n)
{
	int file;
	bool any = false;

	for (struct disk *x = d; x; x = x->parent)
		any |= x->watched;
	if (!any)
		return;
	file = file_of(d, p);
	disk_look(d, file, (uint64_t)((const uint8_t *)p - d->file[file].mem), n);
}
