/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/space.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/plant.h"

static bool get(const uint64_t *map, uint64_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static void put(uint64_t *map, uint64_t from, uint64_t n, bool on)
{
	for (uint64_t i = from; i < from + n;) {
		uint64_t bit = i % 64, len = 64 - bit < from + n - i ? 64 - bit : from + n - i;
		uint64_t mask = (len == 64 ? ~0ull : (1ull << len) - 1) << bit;

		if (on)
			map[i / 64] |= mask;
		else
			map[i / 64] &= ~mask;
		i += len;
	}
}

static void mark(struct cid_space *s, enum cid_pool_kind k, uint64_t pos, uint64_t pages, bool on)
{
	uint64_t from = pos / CID_PAGE;

	put(s->p[k].used, from, pages, on);
	for (uint64_t l = from / CID_MAP_PAGES; l <= (from + pages - 1) / CID_MAP_PAGES; l++)
		s->p[k].dirty[l] |= on || !CID_PLANT(29);
	if (on) {
		put(s->p[k].blocks, from, pages, true);
		if (from + pages > s->p[k].top)
			s->p[k].top = from + pages;
		s->p[k].in_use += pages;
	} else {
		s->p[k].in_use -= pages;
		s->p[k].hopeless = UINT64_MAX;
		if (from < s->punch_at[k])
			s->punch_at[k] = from;
	}
}

/* Makes the maps as long as the pool's segments. */
static int fit(struct cid_space *s, enum cid_pool_kind k)
{
	uint64_t pages = (uint64_t)atomic_load(&s->pool[k].segments) << s->pool[k].shift >> 12;
	uint64_t leaves = (pages + CID_MAP_PAGES - 1) / CID_MAP_PAGES;
	uint64_t old = s->p[k].leaves, words = leaves * CID_MAP_PAGES / 64;
	uint64_t *used, *blocks;
	struct cid_page_ref *leaf;
	uint8_t *dirty;

	if (leaves > old) {
		used = realloc(s->p[k].used, words * 8);
		if (used)
			s->p[k].used = used;
		blocks = realloc(s->p[k].blocks, words * 8);
		if (blocks)
			s->p[k].blocks = blocks;
		dirty = realloc(s->p[k].dirty, leaves);
		if (dirty)
			s->p[k].dirty = dirty;
		leaf = realloc(s->p[k].leaf, leaves * sizeof(*leaf));
		if (leaf)
			s->p[k].leaf = leaf;
		if (!used || !blocks || !dirty || !leaf)
			return CIDSTORE_ENOMEM;
		memset(used + old * CID_MAP_PAGES / 64, 0, (leaves - old) * CID_MAP_PAGES / 8);
		memset(blocks + old * CID_MAP_PAGES / 64, 0, (leaves - old) * CID_MAP_PAGES / 8);
		memset(dirty + old, 0, leaves - old);
		memset(leaf + old, 0, (leaves - old) * sizeof(*leaf));
		s->p[k].leaves = leaves;
	}
	s->p[k].pages = pages;
	return 0;
}

int cid_space_init(struct cid_space *s, struct cid_pool pool[CID_POOLS], struct cid_ebr *ebr)
{
	memset(s, 0, sizeof(*s));
	s->pool = pool;
	s->ebr = ebr;
	for (int k = 0; k < CID_POOLS; k++) {
		int rc = fit(s, (enum cid_pool_kind)k);

		if (rc)
			return rc;
		s->p[k].hopeless = UINT64_MAX;
		s->p[k].cursor = s->p[k].top = 1;
	}
	return 0;
}

void cid_space_fini(struct cid_space *s)
{
	for (int k = 0; k < CID_POOLS; k++) {
		free(s->p[k].used);
		free(s->p[k].blocks);
		free(s->p[k].dirty);
		free(s->p[k].leaf);
	}
	free(s->retired);
	free(s->step_alloc);
	free(s->step_retire);
	free(s->making);
	memset(s, 0, sizeof(*s));
}

void cid_space_begin(struct cid_space *s)
{
	s->in_step = true;
	s->nstep_alloc = s->nstep_retire = 0;
}

static int retire_now(struct cid_space *s, const struct cid_freed *f)
{
	int rc = cid_array_room((void **)&s->retired, s->nretired, &s->cap_retired,
				sizeof(*s->retired));

	if (rc)
		return rc;
	s->retired[s->nretired++] = (struct cid_retired){
		.f = *f,
		.ebr = 0, /* stamped at the end of the step, after unlinking */
		.when = s->pool[0].io->monotonic(s->pool[0].io->self),
	};
	s->retired_pages += f->pages;
	return 0;
}

static void free_extents(struct cid_space *s, const struct cid_extent *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].pages)
			mark(s, (enum cid_pool_kind)e[i].pool, e[i].pos, e[i].pages, false);
}

void cid_space_end(struct cid_space *s, bool success)
{
	s->in_step = false;
	if (!success) {
		if (CID_PLANT(39))
			return;
		free_extents(s, s->step_alloc, s->nstep_alloc);
		return;
	}
	if (s->nstep_retire) {
		uint64_t ebr = cid_ebr_retire(s->ebr);

		for (size_t i = 0; i < s->nstep_retire; i++) {
			/* Room was made when it was recorded. */
			(void)retire_now(s, &s->step_retire[i]);
			s->retired[s->nretired - 1].ebr = ebr;
		}
	}
}

int cid_space_keep(struct cid_space *s)
{
	int rc = 0;

	assert(s->nstep_retire == 0);
	while (rc == 0 && s->nmaking + s->nstep_alloc > s->cap_making)
		rc = cid_array_room((void **)&s->making, s->cap_making, &s->cap_making,
				    sizeof(*s->making));
	if (rc)
		return rc;
	for (size_t i = 0; i < s->nstep_alloc; i++)
		if (s->step_alloc[i].pages)
			s->making[s->nmaking++] = s->step_alloc[i];
	s->in_step = false;
	s->nstep_alloc = 0;
	return 0;
}

void cid_space_made(struct cid_space *s)
{
	s->nmaking = 0;
}

void cid_space_drop(struct cid_space *s)
{
	free_extents(s, s->making, s->nmaking);
	s->nmaking = 0;
}

size_t cid_space_making(const struct cid_space *s, struct cid_freed *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s->nmaking; i++) {
		const struct cid_extent *e = &s->making[i];

		if (e->pages == 0 || CID_PLANT(42))
			continue;
		if (out)
			out[n] = (struct cid_freed){ .pos = e->pos, .pages = e->pages,
						     .pool = e->pool, .epoch = s->epoch };
		n++;
	}
	return n;
}

/* The first free run of n pages in [from, to) that stays inside a segment, or
 * UINT64_MAX. */
static uint64_t find_run(const struct cid_space *s, enum cid_pool_kind k, uint64_t from, uint64_t to,
			 uint64_t n)
{
	const uint64_t *map = s->p[k].used;
	uint64_t seg = 1ull << s->pool[k].shift >> 12, run = 0;

	for (uint64_t i = from; i < to; i++) {
		if (i % seg == 0)
			run = 0;
		if (i % 64 == 0 && i + 64 <= to) {
			if (map[i / 64] == ~0ull) {
				run = 0;
				i += 63;
				continue;
			}
			if (map[i / 64] == 0 && run + 64 < n && seg >= 64) {
				run += 64;
				i += 63;
				continue;
			}
		}
		if (get(map, i)) {
			run = 0;
			continue;
		}
		if (++run == n)
			return i + 1 - n;
	}
	return UINT64_MAX;
}

int cid_space_alloc(struct cid_space *s, enum cid_pool_kind k, uint64_t pages, uint64_t *pos)
{
	uint64_t seg = 1ull << s->pool[k].shift >> 12, at = UINT64_MAX;
	int rc = cid_array_room((void **)&s->step_alloc, s->nstep_alloc, &s->cap_step_alloc,
				sizeof(*s->step_alloc));

	if (rc)
		return rc;
	if (pages == 0 || pages > seg - 1)
		return CIDSTORE_ETOOBIG;
	if (pages < s->p[k].hopeless) {
		uint64_t top = s->p[k].top, cur = s->p[k].cursor < top ? s->p[k].cursor : 1;

		at = find_run(s, k, cur, top, pages);
		if (at == UINT64_MAX && cur > 1)
			at = find_run(s, k, 1, top, pages);
		if (at == UINT64_MAX)
			s->p[k].hopeless = pages;
	}
	while (at == UINT64_MAX) {
		/* Behind the top, with what is free just before it. */
		uint64_t from = s->p[k].top;

		while (from > 1 && from % seg != 0 && !get(s->p[k].used, from - 1))
			from--;
		at = find_run(s, k, from, s->p[k].pages, pages);
		if (at != UINT64_MAX)
			break;
		rc = cid_pool_grow(&s->pool[k]);
		if (rc == 0)
			rc = fit(s, k);
		if (rc)
			return rc;
	}
	*pos = at * CID_PAGE;
	mark(s, k, *pos, pages, true);
	s->p[k].cursor = at + pages;
	s->step_alloc[s->nstep_alloc++] =
		(struct cid_extent){ .pos = *pos, .pages = (uint32_t)pages, .pool = k };
	return 0;
}

static bool shorten(struct cid_extent *e, size_t n, enum cid_pool_kind k, uint64_t pos,
		    uint64_t keep)
{
	while (n-- > 0)
		if (e[n].pos == pos && e[n].pool == k) {
			e[n].pages = (uint32_t)keep;
			return true;
		}
	return false;
}

void cid_space_trim(struct cid_space *s, enum cid_pool_kind k, uint64_t pos, uint64_t pages,
		    uint64_t keep)
{
	if (keep == pages)
		return;
	mark(s, k, pos + keep * CID_PAGE, pages - keep, false);
	s->p[k].cursor = pos / CID_PAGE + keep;
	if (!shorten(s->step_alloc, s->nstep_alloc, k, pos, keep))
		(void)shorten(s->making, s->nmaking, k, pos, keep);
}

int cid_space_retire(struct cid_space *s, enum cid_pool_kind k, uint64_t pos, uint64_t pages)
{
	int rc = cid_array_room((void **)&s->step_retire, s->nstep_retire, &s->cap_step_retire,
				sizeof(*s->step_retire));

	/* Room for all of them must be there before the step ends. */
	while (rc == 0 && s->nretired + s->nstep_retire + 1 >= s->cap_retired)
		rc = cid_array_room((void **)&s->retired, s->cap_retired, &s->cap_retired,
				    sizeof(*s->retired));
	if (rc)
		return rc;
	s->step_retire[s->nstep_retire++] = (struct cid_freed){
		.pos = pos, .pages = (uint32_t)pages, .pool = k, .epoch = s->epoch
	};
	return 0;
}

void cid_space_committed(struct cid_space *s, uint64_t epoch, uint64_t now)
{
	for (size_t i = s->nretired; i-- > 0;)
		if (s->retired[i].f.epoch == epoch)
			s->retired[i].when = now;
}

static bool ripe_for(const struct cid_freed *f, uint64_t age, const struct cid_keep *k)
{
	if ((f->epoch > k->own && !CID_PLANT(40)) ||
	    (f->epoch > k->snapshot && age < k->pin_ns))
		return false;
	return age >= k->grace_ns || (k->scarce && f->epoch <= k->view);
}

void cid_space_reclaim(struct cid_space *s, uint64_t committed, uint64_t now,
		       const struct cid_keep *k)
{
	size_t keep = 0;
	uint64_t passed = 0; /* newest epoch of readers known to have left */

	for (size_t i = 0; i < s->nretired; i++) {
		struct cid_retired *r = &s->retired[i];
		bool ripe = (CID_PLANT(5) || r->f.epoch <= committed) &&
			    ripe_for(&r->f, now - r->when, k);

		if (ripe && r->ebr > passed) {
			if (cid_ebr_passed(s->ebr, r->ebr))
				passed = r->ebr;
			else
				ripe = false;
		}
		if (ripe) {
			mark(s, (enum cid_pool_kind)r->f.pool, r->f.pos, r->f.pages, false);
			s->retired_pages -= r->f.pages;
		} else {
			s->retired[keep++] = *r;
		}
	}
	s->nretired = keep;
}

bool cid_space_punch(struct cid_space *s, uint64_t budget)
{
	for (int k = 0; k < CID_POOLS; k++) {
		uint64_t seg = 1ull << s->pool[k].shift >> 12;
		uint64_t i = s->punch_at[k] ? s->punch_at[k] : 1;

		while (i < s->p[k].top) {
			uint64_t n = 0;

			if (i % 64 == 0 && (s->p[k].blocks[i / 64] & ~s->p[k].used[i / 64]) == 0) {
				i += 64;
				continue;
			}
			while (i + n < s->p[k].top && n < budget && get(s->p[k].blocks, i + n) &&
			       (CID_PLANT(30) || !get(s->p[k].used, i + n)) && (n == 0 || (i + n) % seg != 0))
				n++;
			if (n) {
				cid_pool_punch(&s->pool[k], i * CID_PAGE, n * CID_PAGE);
				put(s->p[k].blocks, i, n, false);
				s->punch_at[k] = i + n;
				return true;
			}
			i++;
		}
		s->punch_at[k] = s->p[k].top;
		if (!s->tail_done[k]) {
			uint64_t pages = 1ull << s->pool[k].shift >> 12;

			s->tail_done[k] = true;
			for (uint64_t t = s->p[k].top; t < s->p[k].pages; t = (t / pages + 1) * pages)
				cid_pool_punch(&s->pool[k], t * CID_PAGE,
					       (pages - t % pages) * CID_PAGE);
			return true;
		}
		while (s->p[k].top > 1 && !get(s->p[k].used, s->p[k].top - 1))
			s->p[k].top--;
	}
	return false;
}

void cid_space_claim(struct cid_space *s, enum cid_pool_kind k, uint64_t pos, uint64_t bytes)
{
	for (uint64_t p = pos / CID_PAGE; p <= (pos + bytes - 1) / CID_PAGE; p++)
		if (!get(s->p[k].used, p))
			mark(s, k, p * CID_PAGE, 1, true);
}

int cid_space_load(struct cid_space *s, enum cid_pool_kind k, const struct cid_page_ref *leaf,
		   uint64_t leaves)
{
	int rc = fit(s, k);

	if (rc)
		return rc;
	if (leaves > s->p[k].leaves)
		return CIDSTORE_ECORRUPT;
	for (uint64_t l = 0; l < leaves; l++) {
		uint64_t *w = s->p[k].used + l * (CID_MAP_PAGES / 64);

		s->p[k].leaf[l] = leaf[l];
		if (leaf[l].pos == 0)
			continue;
		rc = cid_pool_read(&s->pool[CID_POOL_META], leaf[l].pos, w, CID_PAGE);
		if (rc)
			return rc;
		if (!cid_sum_eq(cid_sum_of(w, CID_PAGE, leaf[l].generation), leaf[l].sum))
			return CIDSTORE_ECORRUPT;
		for (unsigned i = 0; i < CID_MAP_PAGES / 64; i++) {
			if (!w[i])
				continue;
			s->p[k].in_use += (uint64_t)__builtin_popcountll(w[i]);
			s->p[k].top = l * CID_MAP_PAGES + i * 64 + 64 -
				      (uint64_t)__builtin_clzll(w[i]);
		}
	}
	/* What lies free below the top may still hold blocks: nobody knows. */
	put(s->p[k].blocks, 0, s->p[k].top, true);
	s->punch_at[k] = 0;
	return 0;
}

int cid_space_load_freed(struct cid_space *s, const struct cid_freed *f, size_t n, uint64_t now)
{
	for (size_t i = 0; i < n; i++) {
		int rc;

		if (f[i].pool >= CID_POOLS || f[i].pages == 0 ||
		    !cid_pool_holds(&s->pool[f[i].pool], f[i].pos, (uint64_t)f[i].pages * CID_PAGE))
			return CIDSTORE_ECORRUPT;
		rc = retire_now(s, &f[i]);
		if (rc)
			return rc;
		s->retired[s->nretired - 1].when = now;
	}
	return 0;
}
