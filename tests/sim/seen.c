/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/seen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets of sectors that are remembered, verdicts, and images of one moment. */
enum { SETS = 12, VERDICTS = 1 << 16, IMAGES = 1 << 12 };

/* Sectors that a judge looked at. */
struct set {
	uint64_t id, name; /* id 0: none */
	struct disk_place *at;
	size_t n, cap;
	/* for the moment that began last */
	uint64_t moment;
	uint64_t base;	   /* sum of those of which nothing is pending */
	uint32_t *pending; /* the pieces of a crash that are in it */
	size_t npending, cap_pending;
};

struct seen {
	struct set set[SETS];
	int order[SETS]; /* the one used last comes first */
	uint64_t ids, moment;
	uint64_t sizes;		    /* sum of the sizes that are not pending */
	uint32_t first[DISK_FILES]; /* the first piece of each file */
	struct verdict {
		uint64_t key, at;
	} verdict[VERDICTS];
	struct {
		uint64_t moment, sum;
	} image[IMAGES];
};

struct seen *seen_new(void)
{
	struct seen *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	for (int i = 0; i < SETS; i++)
		s->order[i] = i;
	return s;
}

void seen_free(struct seen *s)
{
	for (int i = 0; s && i < SETS; i++) {
		free(s->set[i].at);
		free(s->set[i].pending);
	}
	free(s);
}

void seen_forget(struct seen *s)
{
	for (int i = 0; i < SETS; i++)
		s->set[i].id = 0;
}

void seen_begin(struct seen *s, const struct disk *d)
{
	uint32_t n = 0;

	s->moment++;
	s->sizes = 0;
	for (int i = 0; i < d->files; i++) {
		s->first[i] = n;
		n += (uint32_t)d->file[i].nsector;
		if (d->file[i].nsizes == 0)
			s->sizes += crash_sum_size((uint64_t)i, d->file[i].size);
	}
}

bool seen_twice(struct seen *s, const struct crash *c)
{
	for (uint64_t i = c->sum % IMAGES, tries = 0; tries < 16; i = (i + 1) % IMAGES, tries++) {
		if (s->image[i].moment == s->moment) {
			if (s->image[i].sum == c->sum)
				return true;
			continue;
		}
		s->image[i].moment = s->moment;
		s->image[i].sum = c->sum;
		return false;
	}
	/* Too many of them: rather not counted. */
	return true;
}

/* Which pieces of a crash the set has, and the sum of all others in it. */
static void prepare(struct seen *s, struct set *t, const struct disk *d)
{
	if (t->moment == s->moment)
		return;
	t->moment = s->moment;
	t->base = 0;
	t->npending = 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct disk_file *f = &d->file[t->at[i].file];
		uint32_t at = f->at[t->at[i].number];

		if (at == 0) {
			t->base += f->mix[t->at[i].number];
			continue;
		}
		if (t->npending == t->cap_pending) {
			t->cap_pending = t->cap_pending ? t->cap_pending * 2 : 64;
			t->pending = realloc(t->pending, t->cap_pending * sizeof(*t->pending));
			if (!t->pending)
				abort();
		}
		t->pending[t->npending++] = s->first[t->at[i].file] + at - 1;
	}
}

static uint64_t key_of(struct seen *s, struct set *t, const struct disk *d, const struct crash *c)
{
	uint64_t sum;

	prepare(s, t, d);
	sum = t->base;
	for (size_t i = 0; i < t->npending; i++)
		sum += c->piece[t->pending[i]].mix;
	sum = rng_mix(sum, rng_mix(s->sizes + c->shape, t->id));
	return sum ? sum : 1;
}

static void to_front(struct seen *s, int place)
{
	int i = s->order[place];

	memmove(s->order + 1, s->order, (size_t)place * sizeof(s->order[0]));
	s->order[0] = i;
}

bool seen_alike(struct seen *s, const struct disk *d, const struct crash *c, uint64_t *at)
{
	for (int i = 0; i < SETS; i++) {
		struct set *t = &s->set[s->order[i]];
		uint64_t key;

		if (t->id == 0)
			break;
		key = key_of(s, t, d, c);
		if (s->verdict[key % VERDICTS].key != key)
			continue;
		*at = s->verdict[key % VERDICTS].at;
		to_front(s, i);
		return true;
	}
	return false;
}

void seen_add(struct seen *s, const struct disk *d, const struct crash *c, const struct disk *image,
	      uint64_t at)
{
	uint64_t name = 0, key;
	struct set *t;
	int i;

	/* Files that recovery made are not the image's. */
	for (size_t k = 0; k < image->nlooked; k++)
		if (d->file[image->looked[k].file].mem)
			name += rng_mix(image->looked[k].file, image->looked[k].number) | 1;
	for (i = 0; i < SETS - 1; i++) {
		t = &s->set[s->order[i]];
		if (t->id == 0 || t->name == name)
			break;
	}
	t = &s->set[s->order[i]];
	if (t->id == 0 || t->name != name) {
		t->id = ++s->ids;
		t->name = name;
		t->n = 0;
		t->moment = 0;
		if (image->nlooked > t->cap) {
			t->cap = image->nlooked * 2;
			free(t->at);
			t->at = malloc(t->cap * sizeof(*t->at));
			if (!t->at)
				abort();
		}
		for (size_t k = 0; k < image->nlooked; k++)
			if (d->file[image->looked[k].file].mem)
				t->at[t->n++] = image->looked[k];
	}
	to_front(s, i);
	key = key_of(s, t, d, c);
	s->verdict[key % VERDICTS] = (struct verdict){ key, at };
}
