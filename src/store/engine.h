/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h - the open store, shared by the files of this room
 *
 * Threads. Writers append under `write`. One *maintaining* thread at a time,
 * under `maint`, flushes, merges, commits and collects; only it changes what
 * is on disk besides the log, and the allocator is its own. Readers take no
 * lock: they enter the EBR domain and load `view`.
 *
 * Lock order: maint, write, publish. wal->lock is taken with any of them held
 * or none, and nothing is taken inside it.
 */
#ifndef CID_STORE_ENGINE_H
#define CID_STORE_ENGINE_H

#include <pthread.h>
#include "base/err.h"
#include "h5/image.h"
#include "store/merge.h"
#include "store/store.h"
#include "store/tune.h"
#include "store/view.h"

enum cid_config {
	CID_CFG_PROMOTION_THRESHOLD,
	CID_CFG_BATCH_SIZE,
	CID_CFG_FLUSH_INTERVAL_US,
	CID_CFG_SYNC_INTERVAL_MS,
	CID_CFG_MEMORY_LIMIT,
	CID_CFG_AUTOTUNE,
	CID_CFG_BATCH_LIMIT,
	CID_CFG_READER_GRACE_MS,
	CID_CFG_CHECKPOINT_INTERVAL_MS,
	CID_CFG_SCRUB_RATE,
	CID_CFG_READER_PIN_MS,
	CID_CFG_REFRESH_INTERVAL_MS,
	CID_CFG_COUNT
};

/* One active, one frozen, one awaiting its commit, one that readers leave. */
enum { CID_MEMS = 4 };

/* An unmount returns before the daemon has closed the store: whoever comes
 * next waits this long for it. */
#define CID_LOCK_PATIENCE_NS 3000000000ull

struct cid_pin {
	uint64_t epoch;
	struct cid_pin *next;
};

/* The file `readers`. A writer looks at the locks in it; a reader holds one. */
struct cid_pins {
	int fd;			/* -1: none */
	/* the writer's, protected by maint */
	uint64_t seen_at;	/* monotonic ns */
	uint64_t seen_epoch;	/* the commit before which it was looked at last */
	struct cid_reader_slot low;
	/* a reader's, protected by maint */
	_Atomic bool held; /* written under maint */
	uint64_t slot;
	struct cid_reader_slot mine;
};

/* What a writer lends to readers in other processes; lend.h. */
struct cid_board;
struct cid_lending {
	bool on;			 /* set once */
	struct cid_loan board;
	struct cid_loan table[CID_MEMS]; /* of mem[]; p NULL: that is a private one */
	struct cid_board *b;		 /* NULL: nothing is lent */
};

struct cid_counters {
	_Atomic uint64_t inserts, deletes, mkkeys, rmkeys, txns;
	_Atomic uint64_t checkpoints, checkpoint_ns, flushes, flush_ns, flush_last_ns, sweeps, bucket_merges, run_merges, index_drops;
	_Atomic uint64_t splits, merges, promotions, demotions;
	_Atomic uint64_t gc_records, gc_freed_bytes, stall_ns, errors;
	_Atomic uint64_t refreshes, retries;
};

/* A sweep merges all runs up to one of them into the buckets, in hash order. */
struct cid_sweep {
	uint64_t upto;	      /* number of the newest run taken; 0: none under way */
	uint64_t at;	      /* hash: the next bucket */
	uint32_t nruns;	      /* the first so many runs of the view */
	uint64_t *run_at;     /* next entry of each */
};

/* Deletions whose trees could not be read. */
struct cid_collecting {
	uint64_t retry; /* monotonic ns; before that nothing is collected */
	uint64_t upto;	/* but pages of the deletion log before this one */
	unsigned tries;
	uint64_t tail; /* of the log, in the newest root on disk */
};

/* Runs that are being merged with each other. */
struct cid_tier {
	struct cid_merge m; /* n == 0: none */
	struct cid_builder b;
};

struct cid_repair;

struct cidstore {
	const struct cid_io *io;
	struct cid_repair *repair; /* fsck puts it right; else NULL */
	char *path;
	int dirfd, lockfd, mainfd, walfd, delfd;
	bool readonly, manual, past_cache;
	struct cid_follow *follow; /* of a read-only store that follows its writer */
	struct cid_pins reader_pins;
	struct cid_h5_params params;
	struct cid_root root; /* as committed; protected by maint */
	struct cid_pool pool[CID_POOLS];
	struct cid_wal wal;
	struct cid_ebr ebr;
	struct cid_tables t;
	_Atomic(struct cid_view *) view;
	_Atomic bool cold;	  /* batches of lookups wait for the disk; a hint, see many.c */
	_Atomic uint64_t config[CID_CFG_COUNT];
	uint64_t memory; /* that the process could use when it opened the store */
	struct cid_counters c;
	cid_store_hook *hook;
	void *hook_arg;
	struct cid_gauge gauge;
	struct {
		/* 1 + what is used instead of what the user set; 0: that */
		_Atomic uint64_t value[CID_TUNE_KNOBS];
		_Atomic uint64_t decisions, trips;
		pthread_t thread;
		bool started;
		pthread_mutex_t lock; /* protects what follows; wal.lock is taken inside */
		bool on;
		struct cid_gauge_taker taker;
		struct cid_gauge_figures figures;
		struct cid_tuner tuner;
		void (*say)(void *arg, const char *line);
		void *say_arg;
	} tune;

	pthread_mutex_t write;
	pthread_cond_t room;	  /* the log or a table got room; with write */
	struct cid_mem mem[CID_MEMS];
	/* EBR epoch a table waits for; 0: free and empty; UINT64_MAX: in use.
	 * With write. */
	uint64_t mem_retired[CID_MEMS];

	struct cid_lending lend;

	pthread_mutex_t publish;  /* protects replacing view */
	struct cid_retired_view {
		struct cid_view *view;
		struct cid_dir *dir;
		uint64_t ebr;
		struct cid_retired_view *_Atomic next;
	} *_Atomic old_views;

	pthread_mutex_t maint;
	pthread_cond_t work;	  /* something to do; with wake_lock */
	pthread_cond_t idle;
	pthread_mutex_t wake_lock;
	_Atomic bool stop;	  /* set under wake_lock */
	bool wake, busy;	  /* protected by wake_lock */
	uint64_t rounds;	  /* times maintenance did all it could; with idle */
	_Atomic int cancelled;	  /* nobody wants what compact, gc and wait_idle do */
	_Atomic unsigned maint_waiters; /* callers who want maint before the thread */
	bool settled;		  /* nothing to do and nothing in grace; with maint */
	bool want_rest;		  /* act as if writers were at rest */
	int sweep_blocked;	  /* why a part cannot be read: no sweeps */
	uint64_t sweep_retry;	  /* but from then on, monotonic ns */
	pthread_t maint_thread, sync_thread;
	bool threads;
	struct cid_space space;
	struct cid_lists lists;
	struct cid_builder builder;
	struct cid_collecting collect;
	struct cid_sweep sweep;
	struct cid_tier tier;
	struct {
		uint64_t generation; /* of the run being counted */
		uint64_t at;
		int64_t keys, values;
	} count;
	bool want_sweep;	   /* until all runs are merged (compact) */
	struct cid_part *old_parts; /* retired handles */
	struct cid_part_index *old_indexes; /* dropped, with maint; see memory.c */
	uint64_t clock;		   /* directory slot where dropping goes on */
	uint64_t last_trim;	   /* monotonic ns */
	uint64_t tier_until;	   /* monotonic ns: merging runs goes before flushing */
	_Atomic uint64_t index_bytes; /* of loaded indexes, when last looked at */
	_Atomic uint32_t flush_share; /* of the frozen table, done, in 1,024ths */
	uint8_t *dir_dirty;	   /* per directory page */
	struct cid_page_ref *dir_ref;
	uint64_t dir_pages;
	struct cid_deletion *del;  /* deletion records of the commit to come */
	size_t ndel, cap_del;
	bool changed;		   /* something to commit */
	struct cid_mem *awaiting;  /* flushed, but not committed; set with publish, too */
	bool leaks_due;		   /* the deletion log missed something */
	bool merge_spans;	   /* the root has no room for another log span */
	bool root_committed;	   /* when it was opened, its root was known to be whole */
	bool unnoted;		   /* nothing is noted in the log: its end is not settled */
	_Atomic uint64_t nospace;  /* the disk is full, or nearly: only deletions go on */
	_Atomic int stuck;	   /* why the last step could not flush: no room before it can */
	_Atomic uint64_t run_bytes; /* extents of all runs */
	uint64_t space_credit;	   /* operations until the next look; with write */
	uint64_t full_until;	   /* monotonic ns: till then nobody waits for space; with write */
	_Atomic int broken;	   /* a sync failed: read-only for ever */
	uint64_t last_commit;	   /* monotonic ns */
	uint64_t last_write_lsn;   /* seen by the idle detector */
	uint64_t last_write_time;
	_Atomic int64_t run_keys, run_values; /* sums over the runs' slots */
	_Atomic uint64_t base_keys, base_values;
	uint64_t base_pages, base_packed; /* extents of all buckets, of their packed lists */
	_Atomic uint64_t nbuckets;
	_Atomic uint64_t epoch;	   /* root.generation, for reports */
	_Atomic uint64_t gc_pending;
	uint64_t buddy_at;	   /* where looking for small buckets goes on; UINT64_MAX: done */

	struct cid_verify_state verify; /* protected by wake_lock */
	pthread_t verify_thread;
	bool verify_started;

	struct {
		pthread_t thread;
		bool started;
		_Atomic uint64_t at;	 /* hash of the next bucket; its end: the runs */
		uint64_t generation;	 /* of the last run looked at; with maint */
		_Atomic uint64_t rounds, bytes, errors, rewritten;
	} scrub;

	pthread_mutex_t pin_lock; /* protects pins; innermost */
	struct cid_pin *pins;
};

static inline uint64_t cid_cfg(const struct cidstore *s, enum cid_config c)
{
	return atomic_load_explicit(&s->config[c], memory_order_relaxed);
}

/* ---- tune.c ---- */

/* The setting of a knob, as it is used now. */
static inline uint64_t cid_tuned(const struct cidstore *s, enum cid_tune_knob k)
{
	uint64_t v = atomic_load_explicit(&s->tune.value[k], memory_order_relaxed);

	return v ? v - 1 :
	       cid_cfg(s, k == CID_TUNE_BATCH ? CID_CFG_BATCH_SIZE : CID_CFG_FLUSH_INTERVAL_US);
}
/* Takes the numbers when a window is over, and decides by them. */
void cid_tune_look(struct cidstore *s);
void cid_tune_figures(struct cidstore *s, struct cid_gauge_figures *out);
/* What the user set holds, until there is reason to change it. */
void cid_tune_reset(struct cidstore *s);

/* ---- view.c's users: publish.c ---- */

/* Replaces the view by one with these parts; any may equal the old one's. */
int cid_view_publish(struct cidstore *s, struct cid_mem *active, struct cid_mem *frozen,
		     struct cid_dir *dir, struct cid_part *const *run, uint32_t nruns);
struct cid_view *cid_view_new(struct cid_mem *active, struct cid_mem *frozen, struct cid_dir *dir,
			      struct cid_part *const *run, uint32_t nruns);
int cid_view_replace(struct cidstore *s, struct cid_view *v);
void cid_part_retire(struct cidstore *s, struct cid_part *p);
/* Frees retired views and parts whose readers are gone. */
void cid_retired_free(struct cidstore *s, bool all);
/* *out NULL and 0 where readers are still inside all that are not in use. */
int cid_mem_take(struct cidstore *s, struct cid_mem **out);
void cid_mem_give(struct cidstore *s, struct cid_mem *m);
static inline struct cid_view *cid_view_now(struct cidstore *s)
{
	return atomic_load_explicit(&s->view, memory_order_acquire);
}

/* ---- write.c ---- */

/* A writer's turn: `write` is held from take to end, for n changes; turn.c. What
 * it took goes into the gauge. */
struct cid_turn {
	uint64_t began; /* 0: not timed */
	bool waited, many;
};
struct cid_turn cid_turn_take(struct cidstore *s, size_t n);
void cid_turn_end(struct cidstore *s, const struct cid_turn *t, int rc);

/* One change, ready for the log. */
struct cid_op {
	enum cid_mem_kind kind;
	struct cidstore_id key, value;
	struct cid_mem_effect effect;
};
/* Seals the active table if it holds anything, none is frozen and another is
 * free. `write` is held. 1 when there is a frozen one now, 0 when there is not,
 * or a negative code. */
int cid_write_seal(struct cidstore *s);
/* Appends a record that changes nothing but tells of something, where there is
 * room; with `write` held, and without. */
void cid_note_locked(struct cidstore *s, enum cid_opcode op, struct cidstore_id key,
		     struct cidstore_id value);
void cid_write_note(struct cidstore *s, enum cid_opcode op, struct cidstore_id key,
		    struct cidstore_id value);
/* Applies one record's change to a table: live writing and replay alike. */
bool cid_apply(struct cid_mem *m, const struct cid_op *op, uint64_t seed);

/* ---- lend.c: tables that readers in other processes look at ---- */

/* One of mem[], which is lent where that is possible. */
int cid_table_new(struct cidstore *s, struct cid_mem *m, uint32_t cap);
void cid_table_free(struct cidstore *s, struct cid_mem *m);
/* LOCK is held by now: whatever it says is of a process that is gone. */
void cid_lend_forget(struct cidstore *s);
/* Once the store is recovered; failing costs readers time, nothing else. */
void cid_lend_open(struct cidstore *s);
void cid_lend_close(struct cidstore *s);
/* Which tables those of the view and `awaiting` are now; `publish` is held. */
void cid_lend_tell(struct cidstore *s);
/* All records that were published are in the tables. */
void cid_lend_reached(struct cidstore *s);

/* ---- maintenance: one file each ---- */

int cid_flush(struct cidstore *s);	       /* flush.c: frozen table -> run, commit */
int cid_commit(struct cidstore *s);	       /* commit.c */
int cid_sweep_start(struct cidstore *s);       /* sweep.c */
int cid_sweep_step(struct cidstore *s);	       /* the next bucket, or the end of the sweep */
int cid_sweep_resume(struct cidstore *s);
int cid_sweep_finish(struct cidstore *s);
void cid_sweep_drop(struct cidstore *s);	       /* its memory */
void cid_sweep_give_up(struct cidstore *s);    /* what it did is kept and counted */
/* tier.c: runs that should be merged now, and merging them */
bool cid_tier_choose(struct cidstore *s, uint32_t *first, uint32_t *n);
int cid_tier_start(struct cidstore *s, uint32_t first, uint32_t n);
int cid_tier_step(struct cidstore *s);
void cid_tier_drop(struct cidstore *s);
/* memory.c; maint is held */
void cid_memory_keep(struct cidstore *s, uint64_t now);
bool cid_memory_short(struct cidstore *s, const struct cid_view *v);
/* Drops unused indexes until the rest takes at most so many bytes. */
void cid_index_trim(struct cidstore *s, uint64_t budget);
uint64_t cid_memory_limit(const struct cidstore *s);
uint32_t cid_mem_cap(struct cidstore *s); /* operations a table should hold */
/* Of its extents, packed lists too. */
uint64_t cid_run_bytes(struct cidstore *s, struct cid_part *p);
int cid_run_note_trees(struct cidstore *s, struct cid_part *run, struct cid_part *heir);
/* directory.c; `publish` is held */
int cid_dir_change_depth(struct cidstore *s, uint32_t depth);
void cid_dir_replace(struct cidstore *s, struct cid_dir *d, struct cid_part *bucket,
		     uint32_t local_depth);
/* Both of a bucket, which leaves or enters the directory. */
int cid_part_space_retire(struct cidstore *s, struct cid_part *p);
void cid_base_count(struct cidstore *s, const struct cid_part *p, int sign);
int cid_bucket_merge_step(struct cidstore *s, bool *more); /* buddies.c */
bool cid_count_due(struct cidstore *s);		   /* count.c */
int cid_count_step(struct cidstore *s);
bool cid_collect_due(struct cidstore *s);	  /* collect.c; true also where it is to commit first */
int cid_collect(struct cidstore *s);		  /* the next page of the deletion log */
int cid_collect_note(struct cidstore *s, struct cidstore_id key, const struct cid_list_ref *tree);
int cid_collect_leaks(struct cidstore *s, uint64_t *freed_bytes);
int cid_collect_write(struct cidstore *s, uint64_t *head);
int cid_maintain_step(struct cidstore *s, bool *more); /* maintain.c; maint is held */
/* What a merge returned: 0 where it met what cannot be read; no other begins for
 * a while then. */
int cid_maintain_merged(struct cidstore *s, int rc);
/* Steps until there is room for another run; not EAGAIN. maint is held. */
int cid_maintain_run_room(struct cidstore *s);
void cid_maintain_wake(struct cidstore *s);
uint64_t cid_maintain_rounds(struct cidstore *s);
int cid_maintain_start(struct cidstore *s);
void cid_maintain_stop(struct cidstore *s);
void cid_store_fail(struct cidstore *s, int code);

/* ---- snapshot.c: epochs that this process keeps ---- */

void cid_pin_add(struct cidstore *s, struct cid_pin *p, uint64_t epoch);
void cid_pin_drop(struct cidstore *s, struct cid_pin *p);
uint64_t cid_pin_lowest(struct cidstore *s);

/* open.c: for a repair; see repair.h */
int cid_store_open_repair(const struct cid_io *io, const char *path, struct cid_repair *r,
			  struct cidstore **out, struct cidstore_error *err);

/* ---- pin.c: the file `readers` ---- */

int cid_readers_create(const struct cid_io *io, int dirfd);
/* The writer's: makes the file where it is missing. What fails here costs
 * readers their pins, nothing else. */
void cid_pins_open(struct cidstore *s);
void cid_pins_close(struct cidstore *s);
/* The lowest epochs that others hold; UINT64_MAX: nobody does. maint is held. */
struct cid_reader_slot cid_pins_lowest(struct cidstore *s);
/* The reader's: false where no slot can be had. */
bool cid_pin_claim(struct cidstore *s);
void cid_pin_set(struct cidstore *s, uint64_t view, uint64_t snapshot);

/* ---- load.c: from a root to a view ---- */

/* Both copies of one generation's root. If the device cannot read one of them, it
 * is as one that does not verify: it is lost, and filled with ones. */
int cid_root_pair(const struct cid_io *io, int mainfd, unsigned pair, struct cid_root out[2],
		  bool lost[2]);
/* bad_copies: a bit for each that belongs to the newest root and is not it, or
 * belongs to the one before and is neither a root nor empty. */
int cid_root_read(const struct cid_io *io, int mainfd, struct cid_root *out, unsigned *bad_copies,
		  struct cidstore_error *err);
bool cid_root_valid(const struct cid_root *r);
/* Leaves nothing of these copies. */
int cid_root_void(const struct cid_io *io, int mainfd, unsigned copies);
int cid_root_write(const struct cid_io *io, int mainfd, struct cid_root *r);
/* Directory and runs of a root. `dir_ref` may be NULL. */
int cid_load_tree(struct cid_pool pool[CID_POOLS], const struct cid_root *r, struct cid_dir **dir,
		  struct cid_part ***run, struct cid_page_ref **dir_ref, uint64_t *buckets);
int cid_load_block(const struct cid_pool *meta, const struct cid_block_ref *ref, void **out);
void cid_dir_free_all(struct cid_dir *d);

int cid_root_check(const struct cid_root *r, struct cidstore_error *err);
/* As cid_root_read, of four copies in memory. */
int cid_root_choose(const struct cid_root copy[CID_ROOT_COPIES], struct cid_root *out,
		    unsigned *bad_copies, struct cidstore_error *err);

/* ---- scan.c ---- */

int cid_scan_keys(struct cid_tables *t, const struct cid_view *v, struct cidstore_pos *pos,
		  struct cidstore_item *out, size_t cap, size_t *n);
int cid_scan_values(struct cid_tables *t, const struct cid_view *v, struct cidstore_id key,
		    struct cidstore_pos *pos, struct cidstore_item *out, size_t cap, size_t *n);

/* ---- verify.c ---- */

int cid_verify_run(struct cidstore *s);
void cid_verify_join(struct cidstore *s);

/* ---- scrub.c ---- */

/* Seconds that the scrubber rests after each round. */
enum { CID_SCRUB_PAUSE_S = 60 };
/* Looks at the next part; *more false: that was the round. */
int cid_scrub_step(struct cidstore *s, uint64_t *bytes, bool *more);
/* Where it stood, as the root says: before there is any thread. */
void cid_scrub_resume(struct cidstore *s);
int cid_scrub_start(struct cidstore *s);
void cid_scrub_join(struct cidstore *s);

/* ---- open.c ---- */

/* The space maps of a store opened read-only, for checking. */
int cid_space_load_readonly(struct cidstore *s);

/* ---- config.c ---- */

uint64_t cid_config_initial(enum cid_config c);
void cid_config_defaults(struct cidstore *s);
void cid_config_load(struct cidstore *s, const struct cid_root *r);
void cid_config_save(struct cidstore *s, struct cid_root *r);

#endif
