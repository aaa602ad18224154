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
#include "store/store.h"
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

struct cid_counters {
	_Atomic uint64_t inserts, deletes, mkkeys, rmkeys, txns;
	_Atomic uint64_t checkpoints, checkpoint_ns, flushes, flush_ns, sweeps, bucket_merges;
	_Atomic uint64_t splits, merges, promotions, demotions;
	_Atomic uint64_t gc_records, gc_freed_bytes, stall_ns, errors;
};

/* A sweep merges all runs up to one of them into the buckets, in hash order. */
struct cid_sweep {
	uint64_t upto;	      /* number of the newest run taken; 0: none under way */
	uint64_t at;	      /* hash: the next bucket */
	uint32_t nruns;	      /* the first so many runs of the view */
	uint64_t *run_at;     /* next entry of each */
};

struct cidstore {
	const struct cid_io *io;
	char *path;
	int dirfd, lockfd, mainfd, walfd, delfd;
	bool readonly, manual;
	struct cid_h5_params params;
	struct cid_root root; /* as committed; protected by maint */
	struct cid_pool pool[CID_POOLS];
	struct cid_wal wal;
	struct cid_ebr ebr;
	struct cid_tables t;
	_Atomic(struct cid_view *) view;
	_Atomic uint64_t config[CID_CFG_COUNT];
	struct cid_counters c;
	cid_store_hook *hook;
	void *hook_arg;

	pthread_mutex_t write;
	pthread_cond_t room;	  /* the log or a table got room; with write */
	struct cid_mem mem[CID_MEMS];
	uint64_t mem_retired[CID_MEMS]; /* EBR epoch a table waits for, 0: free; UINT64_MAX: in use */

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
	bool stop, wake, busy;	  /* protected by wake_lock */
	uint64_t idle_count;	  /* times maintenance found nothing to do; with idle */
	_Atomic unsigned maint_waiters; /* callers who want maint before the thread */
	bool settled;		  /* nothing to do and nothing in grace; with maint */
	bool want_rest;		  /* act as if writers were at rest */
	bool sweep_blocked;	  /* a part cannot be read: no sweeps */
	pthread_t maint_thread, sync_thread;
	bool threads;
	struct cid_space space;
	struct cid_lists lists;
	struct cid_builder builder;
	struct cid_sweep sweep;
	struct {
		uint64_t generation; /* of the run being counted */
		uint64_t at;
		int64_t keys, values;
	} count;
	bool want_sweep;	   /* until all runs are merged (compact) */
	struct cid_part *old_parts; /* retired handles */
	uint8_t *dir_dirty;	   /* per directory page */
	struct cid_page_ref *dir_ref;
	uint64_t dir_pages;
	struct cid_deletion *del;  /* deletion records of the commit to come */
	size_t ndel, cap_del;
	bool changed;		   /* something to commit */
	struct cid_mem *awaiting;  /* flushed, but not committed */
	bool leaks_due;		   /* the deletion log missed something */
	bool merge_spans;	   /* the root has no room for another log span */
	_Atomic uint64_t nospace;  /* the disk is full, or nearly: only deletions go on */
	_Atomic int stuck;	   /* the last step of maintenance met a full disk */
	_Atomic uint64_t run_bytes; /* extents of all runs */
	uint64_t space_credit;	   /* operations until the next look; with write */
	_Atomic int broken;	   /* a commit's sync failed: read-only for ever */
	uint64_t last_commit;	   /* monotonic ns */
	uint64_t last_write_lsn;   /* seen by the idle detector */
	uint64_t last_write_time;
	_Atomic int64_t run_keys, run_values; /* sums over the runs' slots */
	_Atomic uint64_t base_keys, base_values;
	_Atomic uint64_t nbuckets;
	_Atomic uint64_t epoch;	   /* root.generation, for reports */
	_Atomic uint64_t gc_pending;
	uint64_t buddy_at;	   /* where looking for small buckets goes on; UINT64_MAX: done */

	struct cid_verify_state verify; /* protected by wake_lock */
	pthread_t verify_thread;
	bool verify_started;

	pthread_mutex_t pin_lock; /* protects pins; innermost */
	struct cid_pin *pins;
};

static inline uint64_t cid_cfg(const struct cidstore *s, enum cid_config c)
{
	return atomic_load_explicit(&s->config[c], memory_order_relaxed);
}

/* ---- view.c's users: publish.c ---- */

/* Replaces the view by one with these parts; any may equal the old one's. */
int cid_view_publish(struct cidstore *s, struct cid_mem *active, struct cid_mem *frozen,
		     struct cid_dir *dir, struct cid_part *const *run, uint32_t nruns);
void cid_part_retire(struct cidstore *s, struct cid_part *p);
/* Frees retired views and parts whose readers are gone. */
void cid_retired_free(struct cidstore *s, bool all);
/* NULL where readers are still inside all that are not in use. */
struct cid_mem *cid_mem_take(struct cidstore *s);
void cid_mem_give(struct cidstore *s, struct cid_mem *m);
static inline struct cid_view *cid_view_now(struct cidstore *s)
{
	return atomic_load_explicit(&s->view, memory_order_acquire);
}

/* ---- write.c ---- */

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

/* ---- maintenance: one file each ---- */

int cid_flush(struct cidstore *s);	       /* flush.c: frozen table -> run, commit */
int cid_commit(struct cidstore *s);	       /* commit.c */
int cid_sweep_start(struct cidstore *s);       /* sweep.c */
int cid_sweep_step(struct cidstore *s);	       /* the next bucket, or the end of the sweep */
int cid_sweep_resume(struct cidstore *s);
int cid_sweep_finish(struct cidstore *s);
void cid_sweep_drop(struct cidstore *s);
/* directory.c; `publish` is held */
int cid_dir_change_depth(struct cidstore *s, uint32_t depth);
void cid_dir_replace(struct cidstore *s, struct cid_dir *d, struct cid_part *bucket,
		     uint32_t local_depth);
int cid_part_space_retire(struct cidstore *s, struct cid_part *p);
int cid_bucket_merge_step(struct cidstore *s, bool *more); /* buddies.c */
bool cid_count_due(struct cidstore *s);		   /* count.c */
int cid_count_step(struct cidstore *s);
int cid_collect(struct cidstore *s, bool *more);	   /* collect.c */
int cid_collect_note(struct cidstore *s, struct cidstore_id key, const struct cid_list_ref *tree);
int cid_collect_leaks(struct cidstore *s, uint64_t *freed_bytes);
int cid_collect_write(struct cidstore *s, uint64_t *head);
int cid_maintain_step(struct cidstore *s, bool *more); /* maintain.c; maint is held */
void cid_maintain_wake(struct cidstore *s);
int cid_maintain_start(struct cidstore *s);
void cid_maintain_stop(struct cidstore *s);
void cid_store_fail(struct cidstore *s, int code);
uint64_t cid_pin_lowest(struct cidstore *s);

/* ---- load.c: from a root to a view ---- */

int cid_root_read(const struct cid_io *io, int mainfd, struct cid_root *out, unsigned *bad_copies,
		  struct cidstore_error *err);
int cid_root_write(const struct cid_io *io, int mainfd, struct cid_root *r);
/* Directory and runs of a root. `dir_ref` may be NULL. */
int cid_load_tree(struct cid_pool pool[CID_POOLS], const struct cid_root *r, struct cid_dir **dir,
		  struct cid_part ***run, struct cid_page_ref **dir_ref, uint64_t *buckets);
int cid_load_block(const struct cid_pool *meta, const struct cid_block_ref *ref, void **out);
void cid_dir_free_all(struct cid_dir *d);

/* ---- scan.c ---- */

int cid_scan_keys(struct cid_tables *t, const struct cid_view *v, struct cidstore_pos *pos,
		  struct cidstore_item *out, size_t cap, size_t *n);
int cid_scan_values(struct cid_tables *t, const struct cid_view *v, struct cidstore_id key,
		    struct cidstore_pos *pos, struct cidstore_item *out, size_t cap, size_t *n);

/* ---- verify.c ---- */

int cid_verify_run(struct cidstore *s);
void cid_verify_join(struct cidstore *s);

/* ---- open.c ---- */

/* The space maps of a store opened read-only, for checking. */
int cid_space_load_readonly(struct cidstore *s);

/* ---- config.c ---- */

void cid_config_defaults(struct cidstore *s);
void cid_config_load(struct cidstore *s, const struct cid_root *r);
void cid_config_save(struct cidstore *s, struct cid_root *r);

#endif
