/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/arena.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	CHUNK = 2 << 20,
	UNIT = 256,
	UNITS = CHUNK / UNIT,
	WORDS = UNITS / 64,
	LARGE = CHUNK / 2
};

struct chunk {
	struct chunk *next, *prev;
	uint32_t used;	   /* units */
	uint32_t longest;  /* no run of free units is longer than this */
	uint32_t at;	   /* where the search begins */
	uint64_t map[WORDS]; /* set: taken */
};
enum { HEAD_UNITS = (sizeof(struct chunk) + UNIT - 1) / UNIT };

/* Protects the list and all chunks' heads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct chunk *chunks; /* those searched first stand first */

/* Sanitizers see each block for itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool plain = true;
#else
static const bool plain = false;
#endif

static void *map_aligned(size_t n)
{
	uint8_t *p = mmap(NULL, n + CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	size_t lead;

	if (p == MAP_FAILED)
		return NULL;
	lead = (CHUNK - (uintptr_t)p % CHUNK) % CHUNK;
	if (lead)
		(void)munmap(p, lead);
	(void)munmap(p + lead + n, CHUNK - lead);
	(void)madvise(p + lead, n, MADV_HUGEPAGE);
	return p + lead;
}

static size_t large_bytes(size_t n)
{
	return (n + 4095) / 4096 * 4096;
}

static bool taken(const struct chunk *c, uint32_t i)
{
	return c->map[i / 64] >> (i % 64) & 1;
}

static void mark(struct chunk *c, uint32_t i, uint32_t n, bool take)
{
	for (uint32_t end = i + n; i < end;) {
		uint32_t bit = i % 64, k = 64 - bit < end - i ? 64 - bit : end - i;
		uint64_t m = (k == 64 ? UINT64_MAX : (1ull << k) - 1) << bit;

		if (take)
			c->map[i / 64] |= m;
		else
			c->map[i / 64] &= ~m;
		i += k;
	}
}

/* The first free run of n units in [from, end), or UNITS; *longest is raised
 * to that of the runs passed. */
static uint32_t search(const struct chunk *c, uint32_t from, uint32_t end, uint32_t n,
		       uint32_t *longest)
{
	uint32_t run = 0;

	for (uint32_t i = from; i < end;) {
		uint64_t w = c->map[i / 64];

		if (i % 64 == 0 && (w == UINT64_MAX || w == 0) && i + 64 <= end) {
			run = w ? 0 : run + 64;
			i += 64;
		} else {
			run = taken(c, i) ? 0 : run + 1;
			i++;
		}
		if (run > *longest)
			*longest = run;
		if (run >= n)
			return i - run;
	}
	return UNITS;
}

static void *take(struct chunk *c, uint32_t n)
{
	uint32_t longest = 0, i;

	if (c->longest < n)
		return NULL;
	i = search(c, c->at, UNITS, n, &longest);
	if (i == UNITS) {
		longest = 0;
		i = search(c, HEAD_UNITS, UNITS, n, &longest);
	}
	if (i == UNITS) {
		c->longest = longest;
		return NULL;
	}
	mark(c, i, n, true);
	c->used += n;
	c->at = i + n;
	return (uint8_t *)c + (size_t)i * UNIT;
}

static void link_first(struct chunk *c)
{
	c->prev = NULL;
	c->next = chunks;
	if (chunks)
		chunks->prev = c;
	chunks = c;
}

static void unlink_chunk(struct chunk *c)
{
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		chunks = c->next;
}

static struct chunk *new_chunk(void)
{
	struct chunk *c = map_aligned(CHUNK);

	if (!c)
		return NULL;
	c->longest = UNITS - HEAD_UNITS;
	c->at = HEAD_UNITS;
	mark(c, 0, HEAD_UNITS, true);
	link_first(c);
	return c;
}

void *cid_arena_alloc(size_t n)
{
	uint32_t units = (uint32_t)((n + UNIT - 1) / UNIT);
	struct chunk *c;
	void *p = NULL;

	if (plain)
		return aligned_alloc(64, (n + 63) / 64 * 64);
	if (n > LARGE)
		return n > SIZE_MAX - 2 * CHUNK ? NULL : map_aligned(large_bytes(n));
	pthread_mutex_lock(&lock);
	for (c = chunks; c; c = c->next) {
		p = take(c, units);
		if (p)
			break;
	}
	if (!p) {
		c = new_chunk();
		if (c)
			p = take(c, units);
	} else if (c != chunks) {
		unlink_chunk(c);
		link_first(c);
	}
	pthread_mutex_unlock(&lock);
	return p;
}

void cid_arena_free(void *p, size_t n)
{
	uint32_t units = (uint32_t)((n + UNIT - 1) / UNIT);
	struct chunk *c;

	if (!p)
		return;
	if (plain) {
		free(p);
		return;
	}
	if (n > LARGE) {
		(void)munmap(p, large_bytes(n));
		return;
	}
	c = (struct chunk *)(void *)((uint8_t *)p - (uintptr_t)p % CHUNK);
	pthread_mutex_lock(&lock);
	mark(c, (uint32_t)((uintptr_t)p % CHUNK / UNIT), units, false);
	c->used -= units;
	c->longest = UNITS - HEAD_UNITS; /* an upper bound; the next search tells */
	if (c->used == 0 && (c->next || c->prev)) {
		unlink_chunk(c);
		(void)munmap(c, CHUNK);
	}
	pthread_mutex_unlock(&lock);
}
