/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - a store on a disk in memory, and what is known of it
 *
 * The first world is the history under test. Its child's disk takes crash
 * images of its own; a store is opened there and judged, used, and may be
 * crashed in turn, which is what the child's child is for.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim/crash.h"
#include "sim/model.h"
#include "sim/seen.h"
#include "store/store.h"

/* Records in the log, operations in a call between others, and how full a log
 * is one to the brim: what the small engine (base/limits.h) has less of. */
#ifdef CID_SMALL
enum { LOG_RECORDS = 256, INNER = 8, BRIM = 20, BULK = 24, SQUEEZE = 300 };
#else
enum { LOG_RECORDS = 4096, INNER = 150, BRIM = 80, BULK = 170, SQUEEZE = 2500 };
#endif
enum { DEPTH = 4 }; /* worlds: a history, and crashes of crashes */
enum { WORLD_TODO = 1200, WORLD_NESTED = 64, PATIENCE = 20 /* s */ };

/* Operations of a call, in order; each becomes a unit of the ledger when its
 * record is in the log. */
struct call {
	struct todo todo[WORLD_TODO];
	size_t todos, done;
	bool grouped, in_group;
	struct cidstore_pair pair[WORLD_TODO]; /* its arguments */
	struct cidstore_op batch[WORLD_TODO];
};

/* What may happen to the structure of a store; see observe.c. */
enum event {
	EV_SPLIT,
	EV_DOUBLE,
	EV_JOIN,
	EV_HALVE,
	EV_SPILL,
	EV_PROMOTE,
	EV_DEMOTE,
	EV_SWEEP,
	EV_SWEEP_CUT,
	EV_FLUSH,
	EV_FULL,
	EV_WRAP,
	EV_BATCH_WRAP,
	EV_COMMIT,
	EV_COLLECT,
	EV_SEGMENT,
	EV_PUNCH,
	EV_GENERATION,
	EV_SPANS,
	EV_COUNT,
	EV_TXN,
	EV_MOVE,
	EV_RUN_MERGE,
	EVENTS
};
struct observed {
	uint64_t splits, joins, run_merges, promotions, demotions, sweeps, sweeping, flushes,
		commits;
	uint64_t collected, counted, txns, laps, packed, punches;
	uint32_t segments, depth, spans;
};

struct world {
	struct world *parent, *child;
	struct disk *disk;
	struct cidstore *s; /* NULL: not open */
	struct cidstore_snapshot *snap;
	struct digest snap_digest; /* of the content when it was taken */
	struct ledger *ledger;	   /* what a crash of this world is judged by */
	struct ledger own;
	/* of a world that has a child: */
	struct crash crash; /* the crash state chosen last */
	struct seen *seen;

	/* The call under way, and one that came between its system calls, as
	 * another thread's would. */
	struct call call[2];
	unsigned inner; /* which of the two */
	bool may_interleave;
	unsigned betweens; /* so often in this call: maintenance must come to an end */
	unsigned special;  /* the newest record: 1 of a transaction, 2 a note */

	bool had_failed;    /* a sync had failed before the call under way */
	bool full;	    /* the disk was, lately */
	bool scarce;	    /* others took what the store keeps for itself */
	bool creating;	    /* there may be no store yet */
	uint64_t op;	    /* number of the step under way */
	uint64_t op_events; /* the disk's count when it began */
	uint64_t every;	    /* crash so much less often */
	uint64_t seed;	    /* what the choice of crashes follows from */
	uint64_t dying;	    /* the power goes after so many events more; 0: not */
	bool dying_writes;  /* where log records do not count as events */

	struct observed observed;
	bool observing, batch_wrapped, moved;
	bool maintained; /* the step under way was maintenance */
	uint64_t batch_lap;
	/* Each event is crashed in so many ways; 0: some are, at random. */
	unsigned thorough, thorough_nested;
	int drill; /* number of the drill under way, -1: none */
	char path[64];

	/* the crash state this world was made by; for messages */
	enum crash_kind kind;
	uint64_t at_event, at_state;
	uint64_t first_note;	       /* lsn of the first record that recovery wrote; 0: none */
	uint64_t nested[WORLD_NESTED]; /* units found by crashes of its recovery */
	size_t nnested;
};

struct options {
	uint64_t seed, ops, recoveries, seconds;
	uint64_t every; /* crash so much less often */
	/* Test this crash state only; -1: all. Without an event: every event of
	 * that step, thoroughly. */
	int64_t at_op, at_event, at_state;
	bool verbose, shrink;
	unsigned patience;		   /* seconds */
	unsigned length, thorough, nested; /* of drills */
	const char *drill;		   /* one event's only */
	double until;			   /* monotonic seconds */
	const uint8_t *skip;		   /* steps left out, by number; NULL: none */
};
extern struct options options;
/* The time is over: no more crash states, the history ends. */
bool world_enough(void);
/* Something was done: the engine does not hang. Who does not say so for twice
 * the patience hangs; once may be a process that was stopped. */
void world_goes_on(void);
double world_seconds(void);

struct figures {
	/* states were judged; of these recovered were recovered, and the others
	 * alike to one of them, or to an audit */
	uint64_t states, nested, recovered, alike, audits, opens, checks, uses, units, cuts;
	uint64_t trace; /* hash of all crash states and what was found in them */
	uint64_t kind[CRASH_KINDS], event[DISK_EVENTS];
	uint64_t readonly, failures, full, emptied, snapshots, rots, rots_refused;
	uint64_t files, between, opcode[16];
	uint64_t splits, merges, promotions, demotions, run_merges, sweeps, flushes, gc_records,
		commits;
	uint64_t happened[EVENTS], sequences, deep;
	uint64_t scratch[4];
};
extern struct figures *figures; /* shared with the processes of a drill */

/* Prints what failed and the line that repeats it, and ends the process. */
_Noreturn void world_fail(const struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* For a signal handler: where everything is at, noted for the parent process. */
const struct world *world_current(void);
size_t world_note(const struct world *w, const char *text, char *out, size_t n);

struct world *world_new(struct world *parent);
void world_free(struct world *w);

/* Opens the store; the code of cid_store_open_io. */
int world_open(struct world *w, unsigned flags, char *message, size_t n);
/* The process dies: memory is gone, the disk stays as it is. */
void world_kill(struct world *w);
/* Reads the snapshot: nothing in it changed since. */
void world_compare_snapshot(struct world *w);
void world_close_snapshot(struct world *w);
/* Judges the content by reading all of it. `at`: units. */
void world_compare(struct world *w, uint64_t at);
/* fsck; the store must not be open. */
void world_check(struct world *w);
void world_count(struct world *w);
/* Its units are counted anew: no verdict on a crash of it, or below, holds. */
void world_forget(struct world *w);

/* A new store in a world, and a history of its own. */
void world_begin(struct world *w, struct rng *r);

/* ---- observe.c ---- */

/* The events since the last call, as bits. */
uint32_t observe(struct world *w, bool maintenance);
void observe_again(struct world *w);
const char *event_name(int e);
/* The names of those that never happened, and how many they are. */
int observe_missing(char *out, size_t n);

/* ---- drill.c ---- */

int drill_run(struct world *w, unsigned length, unsigned kinds, unsigned nested, const char *only);

/* ---- oracle.c ---- */

/* Makes one crash state in the child and judges it; returns the units found.
 * `all`: everything acknowledged must be there. */
uint64_t oracle_judge(struct world *w, enum crash_kind k, uint64_t seed, bool all);
/* Of an open store: what its log held when recovery began, in units. */
uint64_t oracle_units(const struct world *b);
/* The record hook of a store that is recovered. */
void oracle_note(void *arg, const uint8_t *rec);
/* The disk's event hook: chooses which moments are crashed, and how. */
void oracle_event(void *arg, struct disk *d, enum disk_event e, int file);

/* ---- rot.c ---- */

/* Makes one crash state, damages it, and judges what is made of it. */
void rot_judge(struct world *w, enum crash_kind k, uint64_t seed);
/* A fatal signal: true, or rather it does not return, where it was to be. */
bool rot_caught(int sig, void *context);

/* ---- work.c ---- */

/* One random step: an operation, maintenance, a sync, the clock. */
void work_step(struct world *w, struct rng *r, unsigned phase);
/* A change by another thread, while a call waits for the disk. */
void work_between(struct world *w, struct rng *r);
/* Nothing is under way: after a power cut. */
void work_forget(struct world *w);
/* The disk's record hook. */
void work_record(void *arg, const uint8_t *rec);
enum { WORK_PHASES = 5, WORK_DRILLS = 8 };
/* One of WORK_DRILLS operations, 1 to so many. */
void work_drill(struct world *w, struct rng *r, unsigned which);

#endif
