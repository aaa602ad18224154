/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lend.h - the writer's tables, as readers in other processes look at them
 *
 * A reader could make a table of the log for itself, and does where it must;
 * but that is the writer's work done again, by each reader. So a writer has its
 * tables in memory that others can map (os/lend.h), and a board there which
 * tells of the tables in use. LOCK names the board: "lends PID FD INODE\n"; it
 * is the file that only one writes, and that a copy of the store does not share.
 *
 * What the tables hold is all that the log holds from the first record of the
 * oldest on; they are dropped from the board when the root that needs them no
 * more is in place. A reader takes the tables, then a root; where the root's
 * first record is before the tables', it was followed by another. From then on
 * nothing is copied: what the writer publishes is seen. `seq` changes when other
 * tables are in use; a table's turn, when it is emptied. So an answer holds if
 * both root and seq are the same behind it as before, and what a commit or a
 * flush overtook, as long as no turn changed and grace lasts.
 *
 * A writer that died leaves its tables to those who have them mapped. The next
 * one empties LOCK before it reads the root, and readers look at LOCK behind
 * each root that they read: so they never have a root of the one with tables of
 * the other. A record behind `reached` that stays tells them to look, too.
 */
#ifndef CID_STORE_LEND_H
#define CID_STORE_LEND_H

#include "store/engine.h"

#define CID_BOARD_MAGIC 0x3162646165726373ull

struct cid_board_table {
	_Atomic uint64_t ino, fd, cap, turn, first_lsn;
};

struct cid_board {
	uint64_t magic;
	uint64_t lock_dev, lock_ino; /* of the store it belongs to */
	uint64_t seed;
	_Atomic uint64_t seq;	 /* odd while what follows changes; begins anywhere */
	_Atomic uint64_t tables; /* 0: nothing is lent now */
	struct cid_board_table table[CID_VIEW_TABLES]; /* the newest first */
	_Alignas(64) _Atomic uint64_t reached;	       /* records up to it are in the tables */
	_Atomic uint64_t durable;
};
enum { CID_BOARD_BYTES = 4096 };
_Static_assert(sizeof(struct cid_board) <= CID_BOARD_BYTES, "one page");

/* LOCK's text. */
enum { CID_LENDS_TEXT = 64 };
#define CID_LENDS_FORMAT "lends %llu %d %llu\n"

#endif
