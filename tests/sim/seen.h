/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seen.h - crash images that are alike to whoever recovers them
 *
 * What a recovery does follows from what it looks at. While one is judged, its
 * disk is watched: the judge opens the store, reads all of it, opens it again
 * and checks it, and which sectors were looked at in all that is kept, with a
 * sum of what they held and the verdict. Another image that holds the same in
 * these sectors (and has the same names and sizes) would be judged alike,
 * whatever the others hold, and need not be. Most of what is pending during a
 * flush or a sweep is not referred to yet, so most images are alike.
 *
 * The sums are of 64 bits over sums of 64 bits; clocks and random numbers are
 * taken for no difference. Some images are judged all the same, to see that
 * the verdict stands.
 */
#ifndef SIM_SEEN_H
#define SIM_SEEN_H

#include "sim/crash.h"

struct seen;

struct seen *seen_new(void);
void seen_free(struct seen *s);
/* The history is another one: units are counted anew. */
void seen_forget(struct seen *s);

/* Before images of d, as it is now, are chosen. */
void seen_begin(struct seen *s, const struct disk *d);
/* Was just this image chosen since then? From now on it was. */
bool seen_twice(struct seen *s, const struct crash *c);
/* Was one judged that is alike? The units that were found in it. */
bool seen_alike(struct seen *s, const struct disk *d, const struct crash *c, uint64_t *at);
/* c was judged as `image`, which was watched. */
void seen_add(struct seen *s, const struct disk *d, const struct crash *c, const struct disk *image,
	      uint64_t at);

#endif
