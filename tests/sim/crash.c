/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

bool crash_verbose;

const char *crash_name(enum crash_kind k)
{
	static const char *const name[CRASH_KINDS] = {
		"lost",	    "kept",	"prefix",     "prefix-torn", "any",
		"any-torn", "pages",	"files",      "file-prefix", "biased",
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
	uint64_t cut;	 /* PREFIX: newest write kept */
	uint64_t chosen; /* WRITE_*: the write; LAST_TORN: the newest */
	int file;	 /* ONE_*: the sector */
	uint32_t sector;
	uint64_t bias; /* of 1000 */
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

	if (seq < s->first_seq)
		return 0;
	if (seq >= s->last_seq)
		return s->versions;
	for (uint32_t v = s->first; v && f->version[v - 1].seq <= seq; v = f->version[v - 1].next)
		n++;
	return n;
}

static bool wrote(const struct disk_file *f, const struct disk_sector *s, uint64_t seq)
{
	if (seq <= s->first_seq || seq >= s->last_seq)
		return seq == s->first_seq || seq == s->last_seq;
	for (uint32_t v = s->first; v; v = f->version[v - 1].next)
		if (f->version[v - 1].seq == seq)
			return true;
	return false;
}

/* Which version of a sector is left, and whether the next one began. */
static inline __attribute__((always_inline)) uint32_t choose(enum crash_kind kind, struct plan *p,
							     const struct disk_file *f, int file,
							     const struct disk_sector *s,
							     bool *torn)
{
	uint32_t n = s->versions, v;

	*torn = false;
	switch (kind) {
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
		return file == p->file && s->number == p->sector ? (uint32_t)rng_below(&p->r, n) + 1
								 : 0;
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

enum { NAMES = 1 << 20, SIZES };

static uint64_t sum_of(uint64_t kind, uint64_t number, uint64_t content)
{
	return rng_mix(rng_mix(content, kind), number);
}

uint64_t crash_sum_size(uint64_t file, uint64_t size)
{
	return sum_of(SIZES, file, size);
}

static const uint8_t *content(const struct crash *c, const struct disk_file *f, uint32_t blob)
{
	return blob >= CRASH_TORN ? c->torn[blob - CRASH_TORN] : f->blob[blob];
}

static uint8_t *new_torn(struct crash *c, uint32_t *blob)
{
	if (c->ntorn == c->cap_torn) {
		c->cap_torn = c->cap_torn ? c->cap_torn * 2 : 64;
		c->torn = realloc(c->torn, c->cap_torn * sizeof(*c->torn));
		if (!c->torn)
			abort();
	}
	*blob = (uint32_t)(CRASH_TORN + c->ntorn);
	return c->torn[c->ntorn++];
}

static struct crash_piece version(const struct disk_file *f, const struct disk_sector *s,
				  uint32_t n)
{
	uint32_t v = s->first;

	if (n == 0)
		return (struct crash_piece){ s->base_mix, s->base };
	if (n == s->versions)
		return (struct crash_piece){ s->kept_mix, s->kept };
	while (--n)
		v = f->version[v - 1].next;
	return (struct crash_piece){ f->version[v - 1].mix, f->version[v - 1].blob };
}

static void tear_piece(struct crash *c, struct plan *p, const struct disk_file *f, int file,
		       const struct disk_sector *s, uint32_t v, struct crash_piece *q)
{
	uint64_t words[DISK_SECTOR / 8], next[DISK_SECTOR / 8];
	uint8_t *mix = new_torn(c, &q->blob);

	memcpy(words, f->blob[version(f, s, v).blob], sizeof(words));
	memcpy(next, f->blob[version(f, s, v + 1).blob], sizeof(next));
	tear(&p->r, words, next);
	memcpy(mix, words, sizeof(words));
	q->mix = disk_mix(file, s->number, mix);
}

/* What is left of the sectors of a file. Compiled once for each kind, as most of
 * the images are chosen and never made. */
static inline __attribute__((always_inline)) void choose_sectors(enum crash_kind kind,
								 struct crash *c, struct plan *p,
								 const struct disk *d, int file)
{
	const struct disk_file *f = &d->file[file];
	uint64_t sum = 0;

	for (size_t i = 0; i < f->nsector; i++) {
		const struct disk_sector *s = &f->sector[i];
		struct crash_piece *q = &c->piece[c->pieces + i];
		bool torn;
		uint32_t v = choose(kind, p, f, file, s, &torn);

		*q = version(f, s, v);
		if (torn)
			tear_piece(c, p, f, file, s, v, q);
		sum += q->mix;
		if (crash_verbose && v != s->versions)
			printf("# file %d (%s) byte %llu: version %u of %u%s\n", file,
			       name_of(d, file), (unsigned long long)s->number * DISK_SECTOR, v,
			       s->versions, torn ? ", torn" : "");
	}
	c->pieces += f->nsector;
	c->sum += sum;
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

/* The pieces of the file begin at `first`. */
static void choose_size(struct crash *c, struct plan *p, const struct disk *d, int file,
			size_t first)
{
	const struct disk_file *f = &d->file[file];
	uint64_t size = f->base_size;

	if (f->nsizes == 0)
		return;
	for (size_t i = 0; i < f->nsizes; i++)
		if (survives(p, f->sizes[i].seq))
			size = f->sizes[i].size;
	c->size[c->sizes++] = (struct crash_size){ file, size };
	if (size >= f->size)
		return;
	/* Only what was written since the last sync can lie behind it. */
	for (size_t i = 0; i < f->nsector; i++) {
		struct crash_piece *q = &c->piece[first + i];
		uint64_t from = (uint64_t)f->sector[i].number * DISK_SECTOR;
		uint8_t sector[DISK_SECTOR] = { 0 };

		if (from + DISK_SECTOR <= size || q->mix == 0)
			continue;
		if (from < size)
			memcpy(sector, content(c, f, q->blob), (size_t)(size - from));
		memcpy(new_torn(c, &q->blob), sector, DISK_SECTOR);
		c->sum -= q->mix;
		q->mix = disk_mix(file, f->sector[i].number, sector);
		c->sum += q->mix;
	}
}

static void set_name(struct crash *image, const char *name, int file)
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

static void choose_names(struct crash *image, struct plan *p, const struct disk *d)
{
	memcpy(image->name, d->durable, (size_t)d->durables * sizeof(image->name[0]));
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

/* Of names and sizes: of which there are few, and mostly none in question. */
static uint64_t sum_names(const struct crash *c)
{
	uint64_t sum = 0;

	for (int i = 0; i < c->names; i++)
		sum += sum_of(NAMES, (uint64_t)c->name[i].file,
			      XXH3_64bits(c->name[i].name, DISK_NAME_BYTES));
	for (int i = 0; i < c->sizes; i++)
		sum += crash_sum_size((uint64_t)c->size[i].file, c->size[i].size);
	return sum;
}

static void make_room(struct crash *c, const struct disk *d)
{
	size_t sectors = 0;

	for (int i = 0; i < d->files; i++)
		sectors += d->file[i].nsector;
	if (sectors > c->cap_pieces) {
		free(c->piece);
		c->cap_pieces = sectors * 2;
		c->piece = malloc(c->cap_pieces * sizeof(*c->piece));
		if (!c->piece)
			abort();
	}
	c->pieces = c->ntorn = 0;
	c->sizes = 0;
	c->sum = 0;
}

void crash_fini(struct crash *c)
{
	free(c->piece);
	free(c->torn);
	memset(c, 0, sizeof(*c));
}

static void choose_file(struct crash *c, struct plan *p, const struct disk *d, int file)
{
	switch (p->kind) {
#define KIND(k)                                   \
	case k:                                   \
		choose_sectors(k, c, p, d, file); \
		break;
		KIND(CRASH_LOST)
		KIND(CRASH_KEPT)
		KIND(CRASH_PREFIX)
		KIND(CRASH_PREFIX_TORN)
		KIND(CRASH_ANY)
		KIND(CRASH_ANY_TORN)
		KIND(CRASH_PAGES)
		KIND(CRASH_FILES)
		KIND(CRASH_FILE_PREFIX)
		KIND(CRASH_BIASED)
		KIND(CRASH_ONE_LOST)
		KIND(CRASH_ONE_KEPT)
		KIND(CRASH_WRITE_LOST)
		KIND(CRASH_WRITE_KEPT)
		KIND(CRASH_LAST_TORN)
#undef KIND
	case CRASH_KINDS:
		abort();
	}
}

void crash_choose(struct crash *c, const struct disk *d, enum crash_kind k, uint64_t seed)
{
	struct plan p = { .kind = k, .r = { seed }, .file = -1 };

	make_plan(&p, d);
	make_room(c, d);
	c->kind = k;
	c->seed = seed;
	for (int i = 0; i < d->files; i++) {
		size_t first = c->pieces;

		if (d->file[i].nsector)
			choose_file(c, &p, d, i);
		choose_size(c, &p, d, i, first);
	}
	choose_names(c, &p, d);
	c->shape = sum_names(c);
	c->sum += c->shape;
}

void crash_build(struct disk *image, const struct disk *d, const struct crash *c)
{
	const struct crash_piece *q = c->piece;

	disk_heal(image);
	disk_release(image);
	disk_unwatch(image);
	disk_follow(image);
	image->capacity = 0;
	image->clock = d->clock + 1000000000;
	image->short_writes = d->short_writes;
	image->dead = image->failed = false;
	image->fail_sync = 0;
	image->random.s = c->seed;
	image->seq = d->seq;
	image->trace = image->events = image->writes = 0;
	for (int i = 0; i < d->files; i++) {
		const struct disk_file *f = &d->file[i];

		for (size_t k = 0; k < f->nsector; k++, q++)
			if (q->mix != f->sector[k].kept_mix)
				disk_put(image, i, (uint64_t)f->sector[k].number * DISK_SECTOR,
					 content(c, f, q->blob), DISK_SECTOR);
	}
	for (int i = 0; i < c->sizes; i++)
		disk_put_size(image, c->size[i].file, c->size[i].size);
	memcpy(image->name, c->name, (size_t)c->names * sizeof(image->name[0]));
	image->names = c->names;
	disk_sync_names(image);
}
