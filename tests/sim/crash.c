/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool crash_verbose;

const char *crash_name(enum crash_kind k)
{
	static const char *const name[CRASH_KINDS] = {
		"lost",	  "kept",	 "prefix",   "prefix-torn", "any",
		"any-torn", "pages",	 "files",    "file-prefix", "biased",
		"one-lost", "one-kept", "write-lost", "write-kept",  "last-torn",
	};

	return name[k];
}

uint64_t crash_pending(const struct disk *d)
{
	uint64_t n = d->nchange;

	for (int i = 0; i < d->files; i++)
		n += d->file[i].nversion + d->file[i].nsizes;
	return n;
}

struct plan {
	enum crash_kind kind;
	struct rng r;
	uint64_t salt;
	uint64_t cut;	    /* PREFIX: newest write kept */
	uint64_t chosen;    /* WRITE_*: the write; LAST_TORN: the newest */
	int file;	    /* ONE_*: the sector */
	uint32_t sector;
	uint64_t bias;	    /* of 1000 */
};

/* The k-th thing pending, in a fixed order: its write, and where it is. */
static void pick(const struct disk *d, uint64_t k, struct plan *p)
{
	for (int i = 0; i < d->files; i++) {
		const struct disk_file *f = &d->file[i];

		if (k < f->nversion) {
			p->chosen = f->version[k].seq;
			return;
		}
		k -= f->nversion;
		if (k < f->nsizes) {
			p->chosen = f->sizes[k].seq;
			return;
		}
		k -= f->nsizes;
	}
	p->chosen = d->change[k].seq;
}

static void pick_sector(const struct disk *d, struct plan *p)
{
	uint64_t n = 0, k;

	for (int i = 0; i < d->files; i++)
		n += d->file[i].nsector;
	p->file = -1;
	if (n == 0)
		return;
	k = rng_below(&p->r, n);
	for (int i = 0; i < d->files; i++) {
		if (k < d->file[i].nsector) {
			p->file = i;
			p->sector = d->file[i].sector[k].number;
			return;
		}
		k -= d->file[i].nsector;
	}
}

static uint64_t newest(const struct disk *d)
{
	uint64_t best = d->nchange ? d->change[d->nchange - 1].seq : 0;

	for (int i = 0; i < d->files; i++) {
		const struct disk_file *f = &d->file[i];

		if (f->nversion && f->version[f->nversion - 1].seq > best)
			best = f->version[f->nversion - 1].seq;
	}
	return best;
}

static void make_plan(struct plan *p, const struct disk *d)
{
	static const uint64_t bias[] = { 2, 20, 100, 500, 900, 980, 998 };
	uint64_t n = crash_pending(d);

	p->salt = rng_next(&p->r);
	if (n)
		pick(d, rng_below(&p->r, n), p);
	p->cut = p->chosen;
	/* A prefix may also end just before it: then the torn one is chosen. */
	if (p->kind == CRASH_PREFIX_TORN && p->cut)
		p->cut--;
	if (p->kind == CRASH_LAST_TORN)
		p->chosen = newest(d);
	p->bias = bias[rng_below(&p->r, sizeof(bias) / sizeof(bias[0]))];
	pick_sector(d, p);
}

/* A coin that falls the same way for the same thing. */
static uint64_t coin(const struct plan *p, uint64_t a, uint64_t b, uint64_t n)
{
	return rng_mix(rng_mix(p->salt, a + 1), b + 1) % n;
}

/* Versions of s with a write up to `seq`: 0 is the durable one. */
static uint32_t upto(const struct disk_file *f, const struct disk_sector *s, uint64_t seq)
{
	uint32_t n = 0;

	for (uint32_t v = s->first; v && f->version[v - 1].seq <= seq; v = f->version[v - 1].next)
		n++;
	return n;
}

static bool wrote(const struct disk_file *f, const struct disk_sector *s, uint64_t seq)
{
	for (uint32_t v = s->first; v; v = f->version[v - 1].next)
		if (f->version[v - 1].seq == seq)
			return true;
	return false;
}

/* Which version of a sector is left, and whether the next one began. */
static uint32_t choose(struct plan *p, const struct disk *d, int file, const struct disk_sector *s,
		       bool *torn)
{
	const struct disk_file *f = &d->file[file];
	uint32_t n = s->versions, v;

	*torn = false;
	switch (p->kind) {
	case CRASH_LOST:
		return 0;
	case CRASH_KEPT:
		return n;
	case CRASH_PREFIX:
		return upto(f, s, p->cut);
	case CRASH_PREFIX_TORN:
		v = upto(f, s, p->cut);
		if (v < n && wrote(f, s, p->cut + 1))
			switch (coin(p, (uint64_t)file, s->number, 3)) {
			case 0:
				*torn = true;
				break;
			case 1:
				return v + 1;
			}
		return v;
	case CRASH_ANY:
		return (uint32_t)rng_below(&p->r, n + 1ull);
	case CRASH_ANY_TORN:
		v = (uint32_t)rng_below(&p->r, n + 1ull);
		*torn = v < n && rng_one_in(&p->r, 4);
		return v;
	case CRASH_PAGES:
		return coin(p, (uint64_t)file, s->number / 8, 2) ? n : 0;
	case CRASH_FILES:
		return coin(p, (uint64_t)file, 0, 2) ? n : 0;
	case CRASH_FILE_PREFIX: {
		uint64_t from = f->version[0].seq, to = f->version[f->nversion - 1].seq;

		return upto(f, s, from - 1 + coin(p, (uint64_t)file, 0, to - from + 2));
	}
	case CRASH_BIASED:
		return rng_below(&p->r, 1000) < p->bias ? n : 0;
	case CRASH_ONE_LOST:
		if (file != p->file || s->number != p->sector)
			return n;
		v = (uint32_t)rng_below(&p->r, n);
		*torn = rng_one_in(&p->r, 4);
		return v;
	case CRASH_ONE_KEPT:
		return file == p->file && s->number == p->sector ?
			       (uint32_t)rng_below(&p->r, n) + 1 : 0;
	case CRASH_WRITE_LOST:
		return wrote(f, s, p->chosen) ? upto(f, s, p->chosen - 1) : n;
	case CRASH_WRITE_KEPT:
		return wrote(f, s, p->chosen) ? upto(f, s, p->chosen) : 0;
	case CRASH_LAST_TORN:
		v = n;
		if (wrote(f, s, p->chosen)) {
			v--;
			*torn = true;
		}
		return v;
	case CRASH_KINDS:
		break;
	}
	abort();
}

static const uint8_t *content(const struct disk_file *f, const struct disk_sector *s, uint32_t n)
{
	uint32_t v = s->first;

	if (n == 0)
		return f->blob[s->base];
	while (--n)
		v = f->version[v - 1].next;
	return f->blob[f->version[v - 1].blob];
}

/* Mixes the words of two versions. */
static void tear(struct rng *r, uint64_t *old, const uint64_t *next)
{
	enum { WORDS = DISK_SECTOR / 8 };
	uint64_t how = rng_below(r, 4), at;
	int changed[WORDS], n = 0;

	for (int i = 0; i < WORDS; i++)
		if (old[i] != next[i])
			changed[n++] = i;
	if (n == 0)
		return;
	at = rng_below(r, (uint64_t)n);
	for (int i = 0; i < n; i++) {
		bool take;

		if (how == 0)
			take = (uint64_t)i < at; /* the first words */
		else if (how == 1)
			take = (uint64_t)i > at; /* the last */
		else if (how == 2)
			take = (uint64_t)i != at;
		else
			take = rng_next(r) & 1;
		if (take)
			old[changed[i]] = next[changed[i]];
	}
}

static const char *name_of(const struct disk *d, int file)
{
	for (int i = 0; i < d->names; i++)
		if (d->name[i].file == file)
			return d->name[i].name;
	return "-";
}

static void put_sector(struct disk *image, struct plan *p, const struct disk *d, int file,
		       const struct disk_sector *s)
{
	const struct disk_file *f = &d->file[file];
	uint64_t off = (uint64_t)s->number * DISK_SECTOR, words[DISK_SECTOR / 8];
	const uint8_t *was;
	bool torn;
	uint32_t v = choose(p, d, file, s, &torn);

	if (v == s->versions)
		return;
	if (crash_verbose)
		printf("# file %d (%s) byte %llu: version %u of %u%s\n", file, name_of(d, file),
		       (unsigned long long)off, v, s->versions, torn ? ", torn" : "");
	was = content(f, s, v);
	if (torn) {
		uint64_t next[DISK_SECTOR / 8];

		memcpy(words, was, sizeof(words));
		memcpy(next, content(f, s, v + 1), sizeof(next));
		tear(&p->r, words, next);
		was = (const uint8_t *)words;
	}
	disk_put(image, file, off, was, DISK_SECTOR);
}

/* Is a change of the directory or a size, which the write `seq` made, kept? */
static bool survives(struct plan *p, uint64_t seq)
{
	switch (p->kind) {
	case CRASH_LOST:
	case CRASH_ONE_KEPT:
		return false;
	case CRASH_KEPT:
	case CRASH_ONE_LOST:
	case CRASH_LAST_TORN:
		return true;
	case CRASH_PREFIX:
	case CRASH_PREFIX_TORN:
		return seq <= p->cut;
	case CRASH_WRITE_LOST:
		return seq != p->chosen;
	case CRASH_WRITE_KEPT:
		return seq == p->chosen;
	case CRASH_FILES:
		return coin(p, 1u << 20, 0, 2);
	case CRASH_FILE_PREFIX:
	case CRASH_ANY:
	case CRASH_ANY_TORN:
	case CRASH_PAGES:
		return coin(p, 1u << 20, seq, 2);
	case CRASH_BIASED:
		return rng_below(&p->r, 1000) < p->bias;
	case CRASH_KINDS:
		break;
	}
	abort();
}

static void put_sizes(struct disk *image, struct plan *p, const struct disk *d, int file)
{
	const struct disk_file *f = &d->file[file];
	uint64_t size = f->base_size;

	for (size_t i = 0; i < f->nsizes; i++)
		if (survives(p, f->sizes[i].seq))
			size = f->sizes[i].size;
	image->file[file].size = size;
	if (size >= f->size)
		return;
	/* Only what was written since the last sync can lie behind it. */
	for (size_t i = 0; i < f->nsector; i++) {
		uint64_t from = (uint64_t)f->sector[i].number * DISK_SECTOR, to = from + DISK_SECTOR;

		if (from < size)
			from = size;
		if (from < to)
			disk_put(image, file, from, NULL, (size_t)(to - from));
	}
}

static void set_name(struct disk *image, const char *name, int file)
{
	for (int i = 0; i < image->names; i++)
		if (strcmp(image->name[i].name, name) == 0) {
			if (file >= 0)
				image->name[i].file = file;
			else
				image->name[i] = image->name[--image->names];
			return;
		}
	if (file < 0 || image->names == DISK_NAMES)
		return;
	memset(&image->name[image->names], 0, sizeof(image->name[0]));
	memcpy(image->name[image->names].name, name, DISK_NAME_BYTES);
	image->name[image->names++].file = file;
}

static void put_names(struct disk *image, struct plan *p, const struct disk *d)
{
	memcpy(image->name, d->durable, sizeof(image->name));
	image->names = d->durables;
	for (size_t i = 0; i < d->nchange; i++) {
		const struct disk_change *c = &d->change[i];

		if (!survives(p, c->seq))
			continue;
		switch (c->kind) {
		case DISK_CREATE:
			set_name(image, c->to, c->file);
			break;
		case DISK_RENAME:
			set_name(image, c->from, -1);
			set_name(image, c->to, c->file);
			break;
		case DISK_UNLINK:
			set_name(image, c->from, -1);
			break;
		}
	}
}

static void copy_pages(struct disk *image, const struct disk *d, int file)
{
	struct disk_file *f = &image->file[file];
	const struct disk_file *from = &d->file[file];

	for (size_t i = 0; i < f->ndiff; i++) {
		uint64_t p = f->diff[i];

		if (from->mem)
			memcpy(f->mem + p * DISK_PAGE, from->mem + p * DISK_PAGE, DISK_PAGE);
		else
			memset(f->mem + p * DISK_PAGE, 0, DISK_PAGE);
		f->differs[p / 64] &= ~(1ull << (p % 64));
		disk_mark_child(image, file, p);
	}
	f->ndiff = 0;
}

void crash_build(struct disk *image, const struct disk *d, enum crash_kind k, uint64_t seed)
{
	struct plan p = { .kind = k, .r = { seed }, .file = -1 };
	int files = image->files > d->files ? image->files : d->files;

	make_plan(&p, d);
	disk_release(image);
	for (int i = 0; i < files; i++) {
		struct disk_file *f = &image->file[i];

		if (!f->mem)
			continue;
		disk_settle(image, i);
		copy_pages(image, d, i);
		f->used = d->file[i].used;
		memcpy(f->blocks, d->file[i].blocks, sizeof(f->blocks));
	}
	image->pages = d->pages;
	image->files = d->files;
	image->made = d->made;
	image->capacity = 0;
	image->clock = d->clock + 1000000000;
	image->short_writes = d->short_writes;
	image->dead = image->failed = false;
	image->fail_sync = 0;
	image->random.s = seed;
	image->seq = d->seq;
	image->trace = image->events = image->writes = 0;
	for (int i = 0; i < d->files; i++) {
		const struct disk_file *f = &d->file[i];

		for (size_t s = 0; s < f->nsector; s++)
			put_sector(image, &p, d, i, &f->sector[s]);
		put_sizes(image, &p, d, i);
		image->file[i].base_size = image->file[i].size;
	}
	put_names(image, &p, d);
	disk_sync_names(image);
}
