/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.h - memory for what every lookup touches, in large pages
 *
 * Indexes and handles of parts are some kilobytes each, hundreds of megabytes
 * together, and read at random: on pages of 4 KiB a lookup would pay for a walk
 * of the page table at each of them. Here they lie in chunks of 2 MiB that the
 * kernel is asked to back with one page. Blocks are cut out of a chunk in units
 * of 256 bytes; a chunk without blocks goes back to the system. What is larger
 * than half a chunk has a mapping of its own.
 *
 * One arena a process. Any thread; a lock is held for the search.
 */
#ifndef CID_OS_ARENA_H
#define CID_OS_ARENA_H

#include <stddef.h>

/* n > 0 bytes, aligned to 64, not cleared; NULL: out of memory. */
void *cid_arena_alloc(size_t n);
/* With the size it was asked for. NULL is ignored. */
void cid_arena_free(void *p, size_t n);

#endif
