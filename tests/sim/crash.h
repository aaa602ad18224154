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
	CRASH_WRITE_LOST,  /* all but one write */
	CRASH_WRITE_KEPT,
	CRASH_LAST_TORN,   /* everything, the newest write torn */
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

/* Where set, each image made is described on stdout: what is not as it was. */
extern bool crash_verbose;

/* Makes `image`, the child of d, what the power cut left. */
void crash_build(struct disk *image, const struct disk *d, enum crash_kind k, uint64_t seed);

#endif
