/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.h - a read-only store that follows the process that writes it
 *
 * A lookup looks at two places that its writer touches: the four marks of
 * /root and the log's slot of the next record. Where they tell of news, and
 * the last look is refresh_interval_ms old, it refreshes: records are applied
 * to the reader's own table; a new root is loaded with all handles of parts
 * that did not change, and published as a writer publishes a view.
 *
 * What an answer rests on was not reused meanwhile if the root is still the
 * one of its view; or if it was so less than half a grace ago and this process
 * holds a pin. Otherwise the answer is thrown away and asked for again.
 */
#ifndef CID_STORE_FOLLOW_H
#define CID_STORE_FOLLOW_H

#include "store/engine.h"
#include "store/replay.h"

/* The writer's tables, where it lends them; borrow.c, lend.h. */
struct cid_table_state {
	struct cid_loan loan;
	uint32_t cap;
	uint64_t turn, first_lsn;
};
struct cid_board_state {
	uint64_t seq, reached;
	unsigned tables;
	struct cid_table_state table[CID_VIEW_TABLES];
};
struct cid_borrow {
	bool on;		/* set once */
	_Atomic uint64_t shown; /* the board's seq in the newest view; 0: tables of our own */
	const struct cid_board *b; /* set before `shown`, and never taken away */
	/* protected by maint */
	bool attached;
	char text[64];		/* LOCK's */
	uint64_t again_ns;
	uint64_t reached;	/* at the last look */
	uint64_t lender_uid;
	struct cid_loan board;
	struct cid_borrowed *maps;
	struct cid_borrowed_table *tables;
};

struct cid_follow {
	const struct cid_root *root; /* the four copies, mapped; never believed */
	void *root_base;
	bool no_log;		/* commits only */
	_Atomic uint64_t mark[4]; /* of the newest view */
	_Atomic uint64_t peek;	/* the record to come; 0: none is waited for */
	_Atomic uint64_t begun_ns; /* the last refresh, monotonic */
	_Atomic uint64_t grace_ns, pin_ns; /* what the writer promised */
	/* protected by maint */
	struct cid_wal_scan log;
	uint64_t generation;	/* of the newest records */
	uint64_t next;		/* all records before are in the table */
	struct cid_replay replay;
	bool rebuild;		/* the table is not what `next` says */
	struct cid_borrow borrow;
};

int cid_follow_init(struct cidstore *s, bool no_log, struct cidstore_error *err);
void cid_follow_fini(struct cidstore *s);

/* Looks for news where that is due. Call outside the EBR domain. */
void cid_follow_look(struct cidstore *s);
static inline void cid_follow_enter(struct cidstore *s)
{
	if (s->follow && !s->manual)
		cid_follow_look(s);
}
/* May an answer found in this view be given? The caller is in the EBR domain. */
bool cid_follow_holds(struct cidstore *s, const struct cid_view *v);
/* After an answer that may not, and outside the domain: refreshes. *tries
 * counts. False: given up, *rc says why. */
bool cid_follow_again(struct cidstore *s, unsigned *tries, int *rc);

/* Refreshes; maint is held. */
int cid_follow_refresh(struct cidstore *s, struct cidstore_error *err);
/* Pins what views and snapshots in use look at, and `low`; maint is held. */
void cid_follow_pin(struct cidstore *s, uint64_t low);
bool cid_follow_same(const struct cidstore *s, const struct cid_root_mark *m);
/* False where the device cannot deliver it. */
bool cid_follow_mark(const struct cidstore *s, struct cid_root_mark *out);

/* A root that stays as it is, while others become the newest. */
struct cid_hold {
	struct cid_pin pin;
	struct cid_root_mark mark;
	uint64_t since; /* before the pin, monotonic ns */
};
/* Pins the newest root, which is s->root then, and has `take` copy what no pin
 * keeps: the log's records. Where a commit came meanwhile, or `take` answers
 * CIDSTORE_EAGAIN, all of it is done again. Maint is held. The pin is the
 * caller's to drop on success. */
int cid_follow_hold(struct cidstore *s, struct cid_hold *h, int (*take)(void *arg), void *arg);
/* False when what the root refers to may have been reused. */
bool cid_follow_held(struct cidstore *s, const struct cid_hold *h);
/* Milliseconds since what is shown was known to be all there is; 0: it is. */
uint64_t cid_follow_lag_ms(struct cidstore *s);

/* borrow.c; those without another word with maint held. */
void cid_borrow_init(struct cidstore *s);
void cid_borrow_fini(struct cidstore *s);
/* True where a writer lends its tables now, and which. */
bool cid_borrow_look(struct cidstore *s, struct cid_board_state *out);
/* Is that, behind a root that was read since, still so? */
bool cid_borrow_same(struct cidstore *s, const struct cid_board_state *st);
/* The tables, the newest first; NULL where there are fewer. They last until a
 * tidying that finds them in no view. False: they cannot be had, and where they
 * are in use still, not for some time. */
bool cid_borrow_tables(struct cidstore *s, const struct cid_board_state *st, struct cid_mem **out);
void cid_borrow_tidy(struct cidstore *s, bool all);
/* For lookups, without a lock: are other tables in use than those shown? Is there
 * a record that is not in them? Was none of a view's emptied? */
bool cid_borrow_news(const struct cidstore *s, uint64_t shown);
bool cid_borrow_came(const struct cidstore *s);
bool cid_borrow_holds(const struct cid_view *v);
/* Takes over the newest numbers that are shown; without a lock. */
void cid_borrow_reached(struct cidstore *s);

/* follow_tree.c: directory and runs of a root, as far as possible with the
 * handles of the view before, which may be NULL. */
struct cid_follow_tree {
	struct cid_dir *dir;
	struct cid_part **run;
	uint32_t nruns;
	struct cid_page_ref *ref;
	uint64_t pages, buckets;
	struct cid_part **made; /* handles that are new */
	size_t nmade, cap;
	bool same_dir;
};
int cid_follow_load(struct cidstore *s, const struct cid_root *r, const struct cid_view *old,
		    struct cid_follow_tree *t);
void cid_follow_unload(struct cid_follow_tree *t, bool all);
/* Retires the handles of the view before that are not in this tree. */
void cid_follow_retire(struct cidstore *s, const struct cid_view *old,
		       const struct cid_follow_tree *t);

#endif
