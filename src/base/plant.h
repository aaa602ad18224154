/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plant.h - mistakes made on purpose
 *
 * The power-cut simulator is worth what it finds. Compiled with -DPLANT=n the
 * engine makes mistake n of this list, and `make sim-plants` (tests/sim/plants)
 * shows that the simulator finds it, and how soon. Otherwise CID_PLANT() is 0
 * and leaves nothing behind. tests/sim/plants reads the list: a line each.
 */
#ifndef CID_BASE_PLANT_H
#define CID_BASE_PLANT_H

/* PLANT  1  a sync of the log is acknowledged and never made */
/* PLANT  2  a commit does not sync what it wrote */
/* PLANT  3  the root is written before what it refers to is durable */
/* PLANT  4  the root is not synced */
/* PLANT  5  a freed extent is reused before the commit that freed it */
/* PLANT  6  the collector frees blocks at once instead of retiring them */
/* PLANT  7  recovery does not look for records behind the end of the log */
/* PLANT  8  recovery starts a generation of records and does not commit it */
/* PLANT  9  every recovery starts a generation: it is not idempotent */
/* PLANT 10  replay drops deletions of keys it has not met */
/* PLANT 11  replay takes half a transaction for whole */
/* PLANT 12  replay takes operations of a transaction before its end */
/* PLANT 13  the checksum of a record is not looked at */
/* PLANT 14  the number of a record is not looked at */
/* PLANT 15  the generation of a record is not looked at */
/* PLANT 16  a torn root is taken for whole */
/* PLANT 17  a commit goes over the newest root */
/* PLANT 18  the log is released before the run it became is durable */
/* PLANT 19  the log starts behind a table that is not written yet */
/* PLANT 20  a new segment is renamed before it is synced */
/* PLANT 21  the directory is not synced after a new segment */
/* PLANT 22  a full log is written over its beginning */
/* PLANT 23  a move is two operations */
/* PLANT 24  a large set that lost its key is forgotten */
/* PLANT 25  the page of the deletion log is not synced */
/* PLANT 26  a set that became small keeps its old blocks */
/* PLANT 27  a split marks the first page of the directory only */
/* PLANT 28  the other half of a joined bucket keeps its space */
/* PLANT 29  the space map of freed pages is not written */
/* PLANT 30  pages in use are punched */
/* PLANT 31  the counts of a merge are those of the sweep before */
/* PLANT 32  a failed sync is forgotten */
/* PLANT 33  what recovery found in the page cache is called durable */
/* PLANT 34  the checksum of an entry leaves out the second slot */
/* PLANT 35  a list of values is not verified */
/* PLANT 36  the index of a part is not verified */
/* PLANT 37  a flush forgets deletions of values */
/* PLANT 38  a bucket claims a run that is not in it */
/* PLANT 39  an aborted step keeps the space it took */
/* PLANT 40  what a snapshot shows is reused before it is closed */
/* PLANT 41  merging runs forgets keys that were deleted */
/* PLANT 42  a commit does not list what is in the making */
#ifndef PLANT
#define PLANT 0
#endif
#define CID_PLANT(n) (PLANT == (n))

#endif
