/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crash.h - what a disk may hold after a power cut
 *
 * Of each sector written since the last sync of its file any version may be
 * there, the durable one included; a version may be torn: any mixture of its
 * 8-byte words with those of the version before. Of the directory's operations
 * since its last sync any may be missing. The kinds differ in how they choose,
 * because each finds its own sort of mistake quickly.
 */
#ifndef SIM_CRASH_H
#define SIM_CRASH_H

#include "sim/disk.h"

enum crash_kind {
	CRASH_LOST,	   /* nothing that was not synced */
	CRASH_KEPT,	   /* everything: also what the death of the process leaves */
	CRASH_PREFIX,	   /* all writes up to one of them */
	CRASH_PREFIX_TORN, /* and the next one in part */
	CRASH_ANY,	   /* any version of each sector */
	CRASH_ANY_TORN,
	CRASH_PAGES,	   /* each page either as it was or as it is */
	CRASH_FILES,	   /* each file either */
	CRASH_FILE_PREFIX, /* each file up to a write of its own */
	CRASH_BIASED,	   /* each sector kept with the same, often extreme, chance */
	CRASH_ONE_LOST,	   /* all but one sector */
	CRASH_ONE_KEPT,
	CRASH_WRITE_LOST, /* all but one write */
	CRASH_WRITE_KEPT,
	CRASH_LAST_TORN, /* everything, the newest write torn */
	CRASH_KINDS
};

const char *crash_name(enum crash_kind k);

/* Is it also a state that the death of the process alone may leave? Then every
 * acknowledged operation must be there. */
static inline bool crash_keeps_all(enum crash_kind k)
{
	return k == CRASH_KEPT;
}

/* How much is not synced: the number of sector versions, sizes and directory
 * operations. With 0, all images are alike. */
uint64_t crash_pending(const struct disk *d);

/* An image that is not made yet: what it has in the place of each pending thing. */
struct crash_piece {
	uint64_t mix;
	uint32_t blob; /* of its file; or, from CRASH_TORN on, of this image */
};
enum { CRASH_TORN = 1 << 30 };
struct crash {
	enum crash_kind kind;
	uint64_t seed;
	struct crash_piece *piece; /* one for each pending sector, file by file, in their order */
	size_t pieces, cap_pieces;
	struct crash_size {
		int file;
		uint64_t size;
	} size[DISK_FILES]; /* of files whose size is pending */
	int sizes;
	struct disk_name name[DISK_NAMES];
	int names;
	uint8_t (*torn)[DISK_SECTOR];
	size_t ntorn, cap_torn;
	uint64_t shape; /* sum of names and sizes that are pending */
	uint64_t sum;	/* of all of it */
};

/* Where set, each image chosen is described on stdout: what is not as it was. */
extern bool crash_verbose;

/* Chooses what the power cut leaves of d. Good until d changes. */
void crash_choose(struct crash *c, const struct disk *d, enum crash_kind k, uint64_t seed);
void crash_fini(struct crash *c);
/* Makes `image`, the child of d, what was chosen. */
void crash_build(struct disk *image, const struct disk *d, const struct crash *c);
/* The sum of a size, which others are added to. */
uint64_t crash_sum_size(uint64_t file, uint64_t size);

#endif
