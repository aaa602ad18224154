/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.h - who owns which page of the pools
 *
 * One bit a page and pool, set where the page is in use. Extents that a commit
 * still refers to are never handed out: freeing one retires it with the epoch
 * of the next commit, and it becomes free when that commit is durable, no
 * reader in this process that started before is inside, and struct cid_keep
 * does not speak for it.
 *
 * Work that may fail half-way runs between begin and end: on failure all it
 * allocated is free again and all it retired stays.
 *
 * All functions but the two counters belong to the maintaining thread.
 */
#ifndef CID_STORE_SPACE_H
#define CID_STORE_SPACE_H

#include "store/ebr.h"
#include "store/pool.h"

#define CID_MAP_PAGES 32768 /* pages that one page of the map tells of */

struct cid_extent {
	uint64_t pos;
	uint32_t pages;
	uint32_t pool;
};

struct cid_retired {
	struct cid_freed f;
	uint64_t ebr;	 /* epoch of readers inside */
	uint64_t when;	 /* monotonic ns */
};

struct cid_space {
	struct cid_pool *pool;
	struct cid_ebr *ebr;
	struct {
		uint64_t *used;	  /* bit set: in use */
		uint64_t *blocks; /* bit set: the file may hold blocks there */
		uint8_t *dirty;	  /* per map page: differs from the last commit */
		uint64_t pages;	  /* bits in the maps */
		uint64_t top;	  /* no page from here on was ever used */
		uint64_t cursor;
		uint64_t hopeless; /* smallest size that did not fit below top */
		struct cid_page_ref *leaf; /* where the map pages lie */
		uint64_t leaves;
		_Atomic uint64_t in_use; /* pages */
	} p[CID_POOLS];
	struct cid_retired *retired;
	size_t nretired, cap_retired;
	_Atomic uint64_t retired_pages;
	struct cid_extent *step_alloc;
	size_t nstep_alloc, cap_step_alloc;
	struct cid_freed *step_retire;
	size_t nstep_retire, cap_step_retire;
	bool in_step;
	/* What work of many steps has in the making. It is in use, but no commit
	 * refers to it: each one lists it among what was freed, so that a crash
	 * gives it back. */
	struct cid_extent *making;
	size_t nmaking, cap_making;
	uint64_t epoch; /* of the commit to come */
	uint64_t punch_at[CID_POOLS]; /* where punching goes on */
	bool tail_done[CID_POOLS];    /* what a crash left behind the top was punched */
};

int cid_space_init(struct cid_space *s, struct cid_pool pool[CID_POOLS], struct cid_ebr *ebr);
void cid_space_fini(struct cid_space *s);

void cid_space_begin(struct cid_space *s);
void cid_space_end(struct cid_space *s, bool success);

/* Ends a step, too, which retired nothing: what it allocated is in the making.
 * On failure the step is still to be ended. */
int cid_space_keep(struct cid_space *s);
/* The work is done, its last step ended: what it allocated is referred to. */
void cid_space_made(struct cid_space *s);
/* The work is given up. */
void cid_space_drop(struct cid_space *s);
/* Extents in the making as a commit lists them; returns how many. */
size_t cid_space_making(const struct cid_space *s, struct cid_freed *out);

/* CIDSTORE_ENOSPC, or what making a segment returned. */
int cid_space_alloc(struct cid_space *s, enum cid_pool_kind k, uint64_t pages, uint64_t *pos);
/* Returns the tail of an extent that was allocated in this step or is in the
 * making. */
void cid_space_trim(struct cid_space *s, enum cid_pool_kind k, uint64_t pos, uint64_t pages,
		    uint64_t keep);
int cid_space_retire(struct cid_space *s, enum cid_pool_kind k, uint64_t pos, uint64_t pages);

/* What keeps space that a durable commit freed. Epochs are the lowest that
 * somebody holds, UINT64_MAX: nobody. */
struct cid_keep {
	uint64_t own;	    /* snapshots of this process, for ever */
	uint64_t view;	    /* lookups of other processes, in grace */
	uint64_t snapshot;  /* snapshots of other processes, for pin_ns */
	uint64_t grace_ns, pin_ns;
	bool scarce;	    /* grace for lookups that pin only */
};
/* Frees what is ripe. `committed` is the epoch that is durable. */
void cid_space_reclaim(struct cid_space *s, uint64_t committed, uint64_t now,
		       const struct cid_keep *keep);
/* The commit `epoch` is durable: what it freed is counted from now on. */
void cid_space_committed(struct cid_space *s, uint64_t epoch, uint64_t now);
/* Gives the blocks of free pages back to the file system, at most `pages` of
 * them; false when there was nothing to give. */
bool cid_space_punch(struct cid_space *s, uint64_t pages);

/* Marks what is found in use while the maps are made anew. */
void cid_space_claim(struct cid_space *s, enum cid_pool_kind k, uint64_t pos, uint64_t bytes);
/* Reading the maps at open, by leaf. */
int cid_space_load(struct cid_space *s, enum cid_pool_kind k, const struct cid_page_ref *leaf,
		   uint64_t leaves);
int cid_space_load_freed(struct cid_space *s, const struct cid_freed *f, size_t n, uint64_t now);
static inline bool cid_space_used(const struct cid_space *s, enum cid_pool_kind k, uint64_t page)
{
	return page < s->p[k].pages && (s->p[k].used[page / 64] >> (page % 64) & 1);
}

#endif
