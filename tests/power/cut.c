/* SPDX-License-Identifier: BSD-2-Clause */
#include "power/cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const cut_mode_name[CUT_MODES] = {
	[CUT_NONE] = "none", [CUT_ALL] = "all",	  [CUT_PREFIX] = "prefix",   [CUT_WRITES] = "some",
	[CUT_LAST] = "last", [CUT_HOLE] = "hole", [CUT_SECTORS] = "sectors", [CUT_TORN] = "torn",
};

static uint64_t draw(uint64_t *rng)
{
	uint64_t x = *rng += 0x9E3779B97F4A7C15ull;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
	return x ^ (x >> 31);
}

void image_write(struct image *img, uint64_t at, const uint8_t *data, size_t n)
{
	for (uint64_t s = at / SECTOR, i = 0; i < n / SECTOR; i++)
		img->sector[s + i] = data + i * SECTOR;
}

static bool in_super(uint64_t s)
{
	return s >= SUPER_FIRST && s < SUPER_FIRST + SUPER_SECTORS;
}

/* A sector between two versions of it. */
static int tear(struct image *img, uint64_t s, const uint8_t *newer, uint64_t *rng,
		struct trace *scratch)
{
	uint8_t mixed[SECTOR];
	uint64_t mask = draw(rng);
	int rc;

	memcpy(mixed, img->sector[s], SECTOR);
	for (unsigned w = 0; w < SECTOR / 8; w++)
		if (mask >> w & 1)
			memcpy(mixed + 8ull * w, newer + 8ull * w, 8);
	rc = trace_append(scratch, TRACE_SPARE, s, mixed, SECTOR);
	if (rc == 0)
		img->sector[s] = trace_bytes(scratch, scratch->n - 1);
	return rc;
}

/* Part of one write: each sector with a chance, and torn where that may be. */
static int write_part(struct image *img, const struct trace *t, size_t i, unsigned chance,
		      bool torn, uint64_t *rng, struct trace *scratch)
{
	const struct trace_record *r = trace_at(t, i);
	const uint8_t *data = trace_bytes(t, i);
	bool super = draw(rng) % 100 < chance;
	int rc = 0;

	for (uint64_t s = r->at / SECTOR, k = 0; rc == 0 && k < r->bytes / SECTOR; k++, s++) {
		uint64_t d = draw(rng);

		if (in_super(s) ? super : d % 100 < chance)
			img->sector[s] = data + k * SECTOR;
		else if (torn && img->data && img->data[s] && (d >> 32) % 3 == 0)
			rc = tear(img, s, data + k * SECTOR, rng, scratch);
	}
	return rc;
}

static void write_whole(struct image *img, const struct trace *t, size_t i)
{
	image_write(img, trace_at(t, i)->at, trace_bytes(t, i), trace_at(t, i)->bytes);
}

/* The writes since the flush. */
struct window {
	const size_t *write;
	size_t n;
};

static int lose(enum cut_mode mode, const struct window *w, const struct trace *t,
		struct image *img, uint64_t *rng, struct trace *scratch)
{
	static const unsigned some[] = { 10, 50, 90, 97 };
	unsigned chance = some[draw(rng) % 4];
	size_t at = w->n ? (size_t)(draw(rng) % w->n) : 0;
	int rc = 0;

	for (size_t i = 0; i < w->n && rc == 0; i++) {
		switch (mode) {
		case CUT_NONE:
			break;
		case CUT_PREFIX:
			if (i < at)
				write_whole(img, t, w->write[i]);
			else if (i == at)
				rc = write_part(img, t, w->write[i], chance, true, rng, scratch);
			break;
		case CUT_WRITES:
			if (draw(rng) % 100 < chance)
				write_whole(img, t, w->write[i]);
			break;
		case CUT_LAST:
			if (i >= at)
				write_whole(img, t, w->write[i]);
			break;
		case CUT_HOLE:
			if (i != at)
				write_whole(img, t, w->write[i]);
			break;
		case CUT_SECTORS:
		case CUT_TORN:
			/* A version is what the writes so far came to: each sector
			 * stops at a random one of them. */
			rc = write_part(img, t, w->write[i], chance, mode == CUT_TORN, rng,
					scratch);
			break;
		default:
			write_whole(img, t, w->write[i]);
		}
	}
	return rc;
}

int cut_make(const struct cut *c, const struct trace *t, struct image *img, struct trace *scratch)
{
	uint64_t rng = c->seed;
	size_t flushed = c->from, *write, n = 0;
	int rc;

	for (size_t i = c->from; i < c->to && !c->deaf; i++)
		if (trace_at(t, i)->kind == TRACE_FLUSH && trace_at(t, i)->at > flushed)
			flushed = trace_at(t, i)->at;
	write = malloc((c->to - flushed + 1) * sizeof(*write));
	if (!write)
		return -ENOMEM;
	for (size_t i = c->from; i < c->to; i++) {
		if (trace_at(t, i)->kind != TRACE_WRITE)
			continue;
		if (i < flushed)
			write_whole(img, t, i);
		else
			write[n++] = i;
	}
	rc = lose(c->mode, &(struct window){ write, n }, t, img, &rng, scratch);
	free(write);
	return rc;
}
