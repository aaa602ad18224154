/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cut.h - what a device may hold after it lost power
 *
 * An image is a table of pointers, one to the bytes of each sector of 512
 * bytes, so that images share what they have in common and making one copies
 * nothing.
 *
 * What was written before the last flush began that has ended is there. Of what was written after
 * it any part may be, in any order, whole writes or sectors of them. A sector of a file's data may
 * moreover be a mixture of two versions in words of eight bytes. File systems take one sector for
 * atomic where they keep their own, ext4 also its superblock of two; those are.
 */
#ifndef POWER_CUT_H
#define POWER_CUT_H

#include "power/trace.h"

enum { SECTOR = 512, SUPER_FIRST = 2, SUPER_SECTORS = 2 };

struct image {
	const uint8_t **sector;
	uint64_t sectors;
	const uint8_t *data; /* a byte a sector: not 0 where it may be torn; or NULL */
};

enum cut_mode {
	CUT_NONE, /* nothing since the flush */
	CUT_ALL,
	CUT_PREFIX,  /* the first so many writes, the last of them torn */
	CUT_WRITES,  /* some writes, in their order */
	CUT_LAST,    /* the last writes and not the first */
	CUT_HOLE,    /* one write is missing */
	CUT_SECTORS, /* any version of each sector */
	CUT_TORN,    /* and mixtures of two versions */
	CUT_MODES
};
extern const char *const cut_mode_name[CUT_MODES];

/* Makes of `img`, which is what was there before, what is there after the
 * records `from` to `to` of the trace and a loss of power. Torn sectors are
 * kept in `scratch`. With `deaf` flushes do nothing. Returns 0 or a negative
 * errno. */
struct cut {
	size_t from, to;
	enum cut_mode mode;
	bool deaf;
	uint64_t seed;
};
int cut_make(const struct cut *c, const struct trace *t, struct image *img, struct trace *scratch);

/* One write, as it is. */
void image_write(struct image *img, uint64_t at, const uint8_t *data, size_t n);

#endif
