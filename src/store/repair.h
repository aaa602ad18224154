/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair.h - putting a damaged store right, and saving what is left of one
 *
 * A repair opens the store as ever; where a step of opening meets damage, what
 * stands here takes its place. Nothing that the root refers to is overwritten
 * until a commit made from what was saved is durable: a repair that is cut off
 * leaves the store as it was, and the next one finds the same. Only what holds
 * nothing is put in place at once: a missing file, the end of one that was cut
 * off, what HDF5 keeps around the data.
 */
#ifndef CID_STORE_REPAIR_H
#define CID_STORE_REPAIR_H

#include "store/engine.h"

struct cid_repair {
	/* A line of what cannot be saved; NULL: all told so far must be durable,
	 * as the store is about to change. A result not 0 ends the repair. The
	 * pointer is NULL where nothing may be lost. */
	int (*lost)(void *arg, const char *line);
	void (*say)(void *arg, const char *message, double progress);
	void *arg;
	uint64_t losses;
	bool log_mended; /* the log has to begin anew, behind this generation */
	uint32_t log_generation;
	bool tree_mended;
	bool maps_mended;
	uint32_t segment; /* being looked at */
};

/* What is left to do once the store is open: parts written anew, the maps in
 * order, commits. */
int cid_repair_run(struct cidstore *s, struct cid_repair *r);

/* Tells of a loss: 0, CIDSTORE_ECORRUPT where none is allowed, or what the
 * callback returned. */
int cid_repair_lost(struct cid_repair *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Tells of what may have been there, unverified. */
int cid_repair_maybe(struct cid_repair *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void cid_repair_say(struct cid_repair *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- while opening ---- */

/* repair_file.c: makes missing files, lengthens short ones, and writes what
 * belongs around the data. */
int cid_repair_files(struct cidstore *s, struct cid_repair *r, struct cidstore_error *err);
/* repair_log.c: as cid_wal_scan, with all records that can be told to be
 * real; what is missing between them is lost. */
int cid_repair_log(struct cid_repair *r, uint8_t *ring, const struct cid_root *root,
		   struct cid_wal_scan *sc, int (*fn)(void *arg, const struct cid_record *rec),
		   void *arg);
/* repair_tree.c: as cid_load_tree, from what verifies. */
int cid_repair_tree(struct cidstore *s, struct cid_repair *r, struct cid_dir **dir,
		    struct cid_part ***run, struct cid_page_ref **dir_ref, uint64_t *buckets);
/* repair_space.c: the space maps, from what is referred to. */
int cid_repair_space(struct cidstore *s, struct cid_repair *r);

/* ---- parts: rewrite.c ---- */

/* Writes a bucket, or a run of the view, anew with its entries corrected, and
 * publishes it. `r` NULL: what is beyond correction ends it with
 * CIDSTORE_ECORRUPT and nothing done. maint is held. */
int cid_part_rewrite(struct cidstore *s, struct cid_part *p, bool run, struct cid_repair *r);

/* Puts one flipped bit of a block right; false where that is not what ails it. */
bool cid_block_mend(void *p, size_t n, uint64_t seed, struct cid_sum want);
/* Reads and verifies a block, mending it. *bits: how many were wrong. */
int cid_block_read(const struct cid_pool *pool, uint64_t pos, void *p, size_t n, uint64_t seed,
		   struct cid_sum want, unsigned *bits);
/* A part's footer, verified or mended; CIDSTORE_ECORRUPT where it is beyond that. */
int cid_footer_read(const struct cid_pool *parts, const struct cid_part *p, struct cid_footer *out);

#endif
