/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cidstore.h - the library's interface
 *
 * A store maps 128-bit keys to sets of 128-bit values. It is a directory on
 * disk; one process writes it, any number of processes read it.
 *
 * Order and durability. Every change is a record of one write-ahead log and
 * carries a sequence number. A call that changes the store returns when its
 * records are in the log's shared mapping: they then survive the death of the
 * process. They survive the loss of power once cidstore_sync() returned 0, or
 * `sync_interval_ms` plus one sync later without any call. After a crash the
 * store holds exactly a prefix of the order.
 *
 * Threads. A `struct cidstore` may be used by any number of threads at once.
 * Reads take no lock that a writer holds; writers exclude each other.
 *
 * Errors. Functions return 0 or a negative code of enum cidstore_code.
 * Outputs are untouched on failure. After the first failed sync the store
 * refuses changes with CIDSTORE_EFAILED until it is opened anew.
 *
 * The library prints nothing, installs no signal handler and never exits. A
 * sector that the device cannot deliver arrives as SIGBUS, as the files are
 * mapped: see cidstore_sigbus().
 */
#ifndef CIDSTORE_H
#define CIDSTORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CIDSTORE_API __attribute__((visibility("default")))
#else
#define CIDSTORE_API
#endif

/* An identifier; every bit pattern is legal. Text form: 32 lowercase
 * hexadecimal digits, high before low. Binary form: 16 bytes big-endian. */
struct cidstore_id {
	uint64_t high;
	uint64_t low;
};

struct cidstore_pair {
	struct cidstore_id key;
	struct cidstore_id value;
};

enum cidstore_code {
	CIDSTORE_OK = 0,
	CIDSTORE_ENOENT = -1,	   /* no such key, or value */
	CIDSTORE_EEXIST = -2,	   /* key or value exists */
	CIDSTORE_ENOTEMPTY = -3,   /* key still has values */
	CIDSTORE_EINVAL = -4,	   /* malformed argument */
	CIDSTORE_ENOSPC = -5,	   /* no space on the file system, nor after maintenance gave
				      back all it could, for which writers wait up to 10 s;
				      nothing applied */
	CIDSTORE_EIO = -6,	   /* the device failed a read or write */
	CIDSTORE_ECORRUPT = -7,	   /* damage that cannot be corrected */
	CIDSTORE_EROFS = -8,	   /* opened read-only, or medium read-only */
	CIDSTORE_EBUSY = -9,	   /* another process writes the store */
	CIDSTORE_ENOTSTORE = -10,  /* the path is not a store */
	CIDSTORE_EVERSION = -11,   /* written by a newer format */
	CIDSTORE_ENOMEM = -12,	   /* out of memory */
	CIDSTORE_ETOOBIG = -13,	   /* a batch beyond batch_limit; nothing applied */
	CIDSTORE_EFAILED = -14,	   /* a sync failed earlier; open the store anew */
	CIDSTORE_EPERM = -15,	   /* not permitted */
	CIDSTORE_EAGAIN = -16,	   /* try again */
	CIDSTORE_ENAMETOOLONG = -17,
	CIDSTORE_ESYSTEM = -18,	   /* another system error; see the message */
	CIDSTORE_EEXPIRED = -19	   /* a snapshot was held for too long */
};

/* Text for a code, never NULL. The errno a system call would give. */
CIDSTORE_API const char *cidstore_strerror(int code);
CIDSTORE_API int cidstore_errno(int code);

/* What went wrong while creating, opening or checking: the code and a
 * sentence that names the path and the remedy. Storage is the caller's. */
struct cidstore_error {
	int code;
	char message[500];
};

CIDSTORE_API const char *cidstore_version(void);

/* For a program's handler of SIGBUS, set with SA_SIGINFO, whose third argument
 * `context` is. Where the signal hit a file of a store, in the
 * calling thread or in one that the library started, the handler ends here, or
 * does so by returning when this returns 1: what was under way then gives
 * CIDSTORE_EIO. 0: the signal is another's. Without such a handler a bad sector
 * ends the process. */
CIDSTORE_API int cidstore_sigbus(void *context);

/* ---- identifiers ---- */

/* Parses exactly 32 lowercase hexadecimal digits; CIDSTORE_EINVAL if not. */
CIDSTORE_API int cidstore_id_parse(const char *text, size_t len,
				   struct cidstore_id *out);
/* Writes 32 digits and no terminator. */
CIDSTORE_API void cidstore_id_format(struct cidstore_id id, char out[32]);
CIDSTORE_API struct cidstore_id cidstore_id_from_bytes(const uint8_t in[16]);
CIDSTORE_API void cidstore_id_to_bytes(struct cidstore_id id, uint8_t out[16]);
/* XXH128 of a byte string, as `xxhsum -H128` prints it. */
CIDSTORE_API struct cidstore_id cidstore_id_hash(const void *data, size_t len);

/* ---- making, opening, closing ---- */

struct cidstore_geometry {
	uint64_t log_bytes;	      /* power of two, 256 KiB .. 4 GiB; 0: 64 MiB */
	uint64_t segment_bytes;	      /* power of two, 4 MiB .. 4 GiB; 0: 4 GiB */
	uint32_t bucket_bytes;	      /* split above this; 0: 512 KiB */
	uint32_t promotion_threshold; /* power of two, 4 .. 4096; 0: 128 */
	uint64_t hash_seed;	      /* 0: random */
};

/* Makes a store in `path`, a directory that does not exist or is empty.
 * Durable on return. `geo` NULL: defaults. */
CIDSTORE_API int cidstore_create(const char *path,
				 const struct cidstore_geometry *geo,
				 struct cidstore_error *err);

enum {
	CIDSTORE_RDONLY = 1,  /* follow: see below */
	CIDSTORE_CREATE = 2,  /* make the store if `path` is missing or empty */
	CIDSTORE_MANUAL = 4,  /* no threads: the caller runs cidstore_step();
			       * a follower: cidstore_refresh() */
	CIDSTORE_COMMITTED = 8 /* a follower: without the log, commits only */
};

/*
 * Following. With CIDSTORE_RDONLY any number of processes read a store, with
 * or without another one that writes it. Neither waits for the other, and
 * readers outlast the writer's death, recovery and return.
 *
 * What a call answers is the state at one place in the order, and never an
 * earlier one than an answer before it in the same thread. It holds every
 * change acknowledged more than `refresh_interval_ms` (10) and the time of a
 * refresh before the call; with CIDSTORE_COMMITTED, every change that a commit
 * holds, which may lag by checkpoint_interval_ms and more. A reader sees
 * changes that are acknowledged and not durable yet: the loss of power may
 * take them back, the death of the writer does not.
 *
 * A call looks at shared memory for news; where there is some and the last
 * refresh is long enough ago, it refreshes. Beside a writer of the same user a
 * reader looks at the writer's own tables, and changes are seen at once. Where
 * it cannot, or with CIDSTORE_MANUAL, it makes its own, and a refresh takes what
 * is new in the log some 100 ns a record (after a long time without calls: up to
 * a whole log).
 * There is no thread: a store that is open and not asked costs nothing.
 *
 * Where the process may write the file `readers` in the store, it pins what it
 * looks at; on a medium or with permissions that forbid it, calls that a
 * commit overtakes are repeated inside the library. A call gives up with
 * CIDSTORE_EAGAIN when 200 commits in turn overtook it.
 */

struct cidstore; /* an open store; opaque */

/* Opens and, where needed, recovers a store. The first opening for writing, or
 * creation, removes HDF5_* from the environment: do it before other threads may
 * call getenv. Blocks for the recovery (well
 * under a second for a full log). On success *out is the caller's until
 * cidstore_close(). */
CIDSTORE_API int cidstore_open(const char *path, unsigned flags,
			       struct cidstore **out,
			       struct cidstore_error *err);

/* Shows all that is acknowledged now, whatever the interval; of a store that
 * this handle writes, nothing to do. CIDSTORE_ECORRUPT: what the newest root
 * says cannot be read; the state before is still shown. */
CIDSTORE_API int cidstore_refresh(struct cidstore *s);

/* Makes everything durable, writes a checkpoint, stops the threads, frees.
 * Returns the first error met; the handle is gone in any case. No other
 * thread may be inside a call. */
CIDSTORE_API int cidstore_close(struct cidstore *s);

/* Settings by name, the ones of /.cidstore/config. CIDSTORE_ENOENT: no such
 * setting; CIDSTORE_EINVAL: out of bounds, nothing changed. */
CIDSTORE_API int cidstore_config_get(struct cidstore *s, const char *name,
				     uint64_t *out);
CIDSTORE_API int cidstore_config_set(struct cidstore *s, const char *name,
				     uint64_t value);

/* Calls `say` with a line, without its end, for each decision of `autotune`; NULL
 * ends it, and when the call returns nobody is inside the one before. Comes from
 * the store's own threads; `say` must not call into the store. */
CIDSTORE_API void cidstore_log(struct cidstore *s,
			       void (*say)(void *arg, const char *line),
			       void *arg);

/* ---- bulk changes: blind, idempotent, as fast as memory ---- */

/* Each pair or key is atomic by itself; on failure the first *done (may be
 * NULL) were applied. Inserting makes missing keys; inserting what exists and
 * deleting what does not are no-ops. */
CIDSTORE_API int cidstore_insert(struct cidstore *s,
				 const struct cidstore_pair *p, size_t n,
				 size_t *done);
CIDSTORE_API int cidstore_delete(struct cidstore *s,
				 const struct cidstore_pair *p, size_t n,
				 size_t *done);
CIDSTORE_API int cidstore_make_keys(struct cidstore *s,
				    const struct cidstore_id *k, size_t n,
				    size_t *done);
/* Removes keys with all their values. */
CIDSTORE_API int cidstore_delete_keys(struct cidstore *s,
				      const struct cidstore_id *k, size_t n,
				      size_t *done);

/* ---- transactions: all or nothing ---- */

enum cidstore_verb {
	CIDSTORE_OP_INSERT = 1,
	CIDSTORE_OP_DELETE = 2,
	CIDSTORE_OP_MKKEY = 3,
	CIDSTORE_OP_RMKEY = 4
};

struct cidstore_op {
	enum cidstore_verb verb;
	struct cidstore_id key;
	struct cidstore_id value; /* of INSERT and DELETE */
};

/* Applies n operations as one. CIDSTORE_ETOOBIG beyond `batch_limit`. */
CIDSTORE_API int cidstore_apply(struct cidstore *s,
				const struct cidstore_op *op, size_t n);

/* A transaction gathers operations in memory and applies them at commit. It
 * belongs to one thread. commit and abort free it, whatever they return. */
struct cidstore_txn;
CIDSTORE_API int cidstore_txn_begin(struct cidstore *s,
				    struct cidstore_txn **out);
CIDSTORE_API int cidstore_txn_op(struct cidstore_txn *t, enum cidstore_verb verb,
				 struct cidstore_id key,
				 struct cidstore_id value);
CIDSTORE_API int cidstore_txn_commit(struct cidstore_txn *t);
CIDSTORE_API void cidstore_txn_abort(struct cidstore_txn *t);

/* ---- single changes with an answer, as system calls have them ---- */

CIDSTORE_API int cidstore_mkkey(struct cidstore *s, struct cidstore_id key);
/* CIDSTORE_ENOTEMPTY while it has values. */
CIDSTORE_API int cidstore_rmkey(struct cidstore *s, struct cidstore_id key);
/* CIDSTORE_ENOENT: no such key; CIDSTORE_EEXIST: already there. */
CIDSTORE_API int cidstore_add(struct cidstore *s, struct cidstore_id key,
			      struct cidstore_id value);
CIDSTORE_API int cidstore_remove(struct cidstore *s, struct cidstore_id key,
				 struct cidstore_id value);
/* Moves a value, or renames it within a key, as one operation. With
 * `noreplace` an existing target is CIDSTORE_EEXIST; without, the source just
 * goes. Source and target alike: nothing happens. */
CIDSTORE_API int cidstore_move(struct cidstore *s, struct cidstore_id key,
			       struct cidstore_id value,
			       struct cidstore_id to_key,
			       struct cidstore_id to_value, int noreplace);

/* ---- reading ---- */

/* Number of values of a key; CIDSTORE_ENOENT where it does not exist. */
CIDSTORE_API int cidstore_count(struct cidstore *s, struct cidstore_id key,
				uint64_t *out);
/* 0: the value is there. CIDSTORE_ENOENT: it, or its key, is not. */
CIDSTORE_API int cidstore_contains(struct cidstore *s, struct cidstore_id key,
				   struct cidstore_id value);
/* Copies at most `cap` values; *total is the set's size. */
CIDSTORE_API int cidstore_get(struct cidstore *s, struct cidstore_id key,
			      struct cidstore_id *out, size_t cap,
			      uint64_t *total);
/* A batch of lookups: several times faster than as many single ones, in memory
 * and, more so, on disk, as its waiting overlaps. counts[i] is the number of
 * values of keys[i], and the first `per_key` of them, or fewer where the set is
 * smaller, stand at out[i * per_key]; what lies behind them means nothing.
 *
 *   counts[i] == CIDSTORE_ABSENT       the key does not exist
 *   counts[i] == CIDSTORE_UNREADABLE   what tells of it is damaged or could not
 *                                      be read; all other keys are answered
 *
 * Returns 0, or the first error behind a CIDSTORE_UNREADABLE: on failure, other
 * than with the other calls, the outputs are set and of use.
 *
 * The arrays are the caller's: n keys and counts, n * per_key values. With
 * per_key 0 `out` may be NULL and only counts are told. Any n will do; from
 * some dozens on the gain is there, beyond some hundreds it does not grow. A
 * key may be asked for twice. Each key is answered as of one moment during the
 * call, different keys perhaps of different ones. */
#define CIDSTORE_ABSENT	    UINT64_MAX
#define CIDSTORE_UNREADABLE (UINT64_MAX - 1)
CIDSTORE_API int cidstore_get_many(struct cidstore *s,
				   const struct cidstore_id *keys, size_t n,
				   struct cidstore_id *out, size_t per_key,
				   uint64_t *counts);

/* Positions in a listing. Keys, and the values of a key, are ordered by
 * (62-bit seeded hash, identifier). A position survives any change of the
 * store: what was there throughout is neither missed nor repeated. Zeroed:
 * the start. */
struct cidstore_pos {
	uint64_t hash;	       /* of the last item returned */
	struct cidstore_id id; /* the last item returned */
	uint64_t begun;	       /* 0: nothing returned yet */
};
struct cidstore_item {
	struct cidstore_id id;
	uint64_t hash;	/* 62 bits */
	uint64_t count; /* of a key: its number of values; of a value: 0 */
};

/* The next items after *pos, which moves on; *n 0 is the end. A call may give
 * fewer than `cap` items before the end, but never none. */
CIDSTORE_API int cidstore_scan_keys(struct cidstore *s,
				    struct cidstore_pos *pos,
				    struct cidstore_item *out, size_t cap,
				    size_t *n);
CIDSTORE_API int cidstore_scan_values(struct cidstore *s,
				      struct cidstore_id key,
				      struct cidstore_pos *pos,
				      struct cidstore_item *out, size_t cap,
				      size_t *n);

/* The position just before the first item whose hash is >= `hash`. */
CIDSTORE_API void cidstore_seek(uint64_t hash, struct cidstore_pos *out);

/* ---- a consistent snapshot ---- */

/* The state at one moment, unchanged by later writes; at most one per call of
 * open. Its space is kept until it is closed. Opening blocks for one
 * checkpoint. Usable by one thread at a time.
 *
 * Of a follower: nothing is checkpointed, the log's records are copied. The
 * writer keeps the space for reader_pin_ms; after that, or at the next commit
 * where no pin could be had, calls return CIDSTORE_EEXPIRED. */
struct cidstore_snapshot;
CIDSTORE_API int cidstore_snapshot_open(struct cidstore *s,
					struct cidstore_snapshot **out);
CIDSTORE_API int cidstore_snapshot_keys(struct cidstore_snapshot *v,
					struct cidstore_pos *pos,
					struct cidstore_item *out, size_t cap,
					size_t *n);
CIDSTORE_API int cidstore_snapshot_values(struct cidstore_snapshot *v,
					  struct cidstore_id key,
					  struct cidstore_pos *pos,
					  struct cidstore_item *out, size_t cap,
					  size_t *n);
/* Everything, in bulk: at most `pair_cap` pairs and `key_cap` keys without
 * values, neither 0, in the order of listings; the values of a key may be
 * spread over calls. Each call goes on where the one before ended, until
 * *pairs and *keys are both 0. A failure comes after what was read before it
 * and is final. rewind starts over. */
CIDSTORE_API int cidstore_snapshot_read(struct cidstore_snapshot *v,
					struct cidstore_pair *pair,
					size_t pair_cap, size_t *pairs,
					struct cidstore_id *key, size_t key_cap,
					size_t *keys);
CIDSTORE_API void cidstore_snapshot_rewind(struct cidstore_snapshot *v);
CIDSTORE_API void cidstore_snapshot_close(struct cidstore_snapshot *v);

/* Makes a copy of a store, whether it is being written or not, as the store
 * `dest`: a directory that does not exist, or is empty. The copy is the state
 * at one place in the order, `seq`, that lies between the begin of the call and
 * its return: it holds every change acknowledged before the call and every
 * change up to that number, and nothing after it. It is a store of its own that
 * keeps the uuid.
 *
 * Where the file system can, the two share blocks until one of them changes
 * (reflink); else pages in use are copied, and holes stay holes. Blocks until
 * all is durable; only then is `dest` a store. After a failure there is nothing
 * left of it; after the death of the process, perhaps a directory
 * `dest`.XXXXXXXX.tmp or `dest` without a main.h5, which may be removed.
 *
 * `more`, which may be NULL, is told every 16 MiB how much of how many bytes is
 * done; a result not 0 ends the copy and is returned. CIDSTORE_EEXIST: there is
 * something at `dest`. CIDSTORE_EEXPIRED: it took longer than three quarters of
 * the writer's reader_pin_ms, or no pin could be had and a commit came. */
struct cidstore_copied {
	uint64_t seq;	 /* the newest change in the copy */
	uint64_t epoch;	 /* of the commit it rests on */
	uint64_t bytes;	 /* copied or shared */
	uint64_t shared; /* of these, shared */
};
CIDSTORE_API int cidstore_snapshot_copy(const char *path, const char *dest,
					int (*more)(void *arg, uint64_t done,
						    uint64_t all),
					void *arg, struct cidstore_copied *out,
					struct cidstore_error *err);

/* ---- durability and maintenance ---- */

/* Returns 0 when every change acknowledged before the call is durable.
 * Group commit: concurrent callers share one sync. */
CIDSTORE_API int cidstore_sync(struct cidstore *s);
CIDSTORE_API uint64_t cidstore_last_seq(struct cidstore *s);
CIDSTORE_API uint64_t cidstore_durable_seq(struct cidstore *s);

/* Moves what the log holds into the tables and shortens the log. */
CIDSTORE_API int cidstore_checkpoint(struct cidstore *s);
/* Merges all deltas into the buckets, collects and gives space back. */
CIDSTORE_API int cidstore_compact(struct cidstore *s);
/* Processes the deletion log to its end, then looks for what it missed. */
CIDSTORE_API int cidstore_gc(struct cidstore *s);
/* Blocks until maintenance has nothing left to do. */
CIDSTORE_API int cidstore_wait_idle(struct cidstore *s);
/* Runs one step of maintenance of a CIDSTORE_MANUAL store. *more: there is
 * another one to do. */
CIDSTORE_API int cidstore_step(struct cidstore *s, int *more);

/* ---- statistics ---- */

struct cidstore_stats {
	uint64_t keys, values;	      /* may lag bulk changes until idle */
	uint64_t last_seq, durable_seq;
	uint64_t epoch;		      /* of the newest commit */
	uint64_t created_ns;	      /* Unix time */
	uint64_t uncertain;	      /* changes not yet counted in keys, values */
	uint64_t global_depth, buckets, runs, run_entries;
	uint64_t log_records, log_used; /* capacity, in use; 64 bytes each */
	uint64_t inserts, deletes, mkkeys, rmkeys, txns;
	uint64_t lookups;	      /* reading calls; a batch counts once per 128 keys, or 256 */
	uint64_t syncs, sync_ns, sync_max_ns;
	uint64_t checkpoints, checkpoint_ns;
	uint64_t flushes, flush_ns, run_merges, sweeps, bucket_merges, splits, merges;
	uint64_t promotions, demotions;
	uint64_t gc_records, gc_pending, gc_freed_bytes;
	uint64_t corrected_bits, corrupt_units;
	uint64_t scrub_permille, scrub_rounds, scrub_bytes; /* of the round; since open */
	uint64_t scrub_rewritten; /* buckets and runs put right */
	uint64_t scrub_errors;	  /* found beyond correction, each round anew */
	uint64_t alloc_bytes;	      /* in use in all pools */
	uint64_t pending_bytes;	      /* freed, still in grace */
	uint64_t free_bytes;	      /* of the file system */
	uint64_t memory_bytes;	      /* tables, indexes, buffers */
	uint64_t stall_ns, errors;
	uint64_t maintaining;	      /* 1 while maintenance has work to do */
	uint64_t failed;	      /* 1 after a failed sync */
	/* of a store opened with CIDSTORE_RDONLY; else 0 */
	uint64_t following;	      /* 1 */
	uint64_t reader_epoch;	      /* of the commit that is shown */
	uint64_t lag_ms;	      /* since it was all there is; 0: it is */
	uint64_t pinned;	      /* 1 while it holds a pin */
	uint64_t refreshes, retries;  /* answers that were thrown away */
	/* Measured over the last second or so; latencies in ns, of sampled calls,
	 * 99 of 100 of which took no longer; ratios in millionths. */
	uint64_t latency_p99;	      /* of all calls */
	uint64_t change_latency_p99;  /* of pieces of bulk calls and single changes */
	uint64_t lookup_latency_p99;
	uint64_t sync_latency_p99;    /* of calls that waited for a sync */
	uint64_t throughput_ops;      /* changes and lookups a second */
	uint64_t buffer_occupancy;    /* of the tables or the log, now */
	uint64_t flush_duration;      /* ns: the last flush */
	uint64_t lock_contention_ratio; /* changes that waited for other writers */
	uint64_t error_rate;	      /* calls and steps of maintenance that failed */
	/* `autotune` */
	uint64_t tune_decisions, tune_trips; /* so far; back to what the user set */
	uint64_t tuned_batch_size, tuned_flush_interval_us; /* in use now */
};
CIDSTORE_API void cidstore_stats(struct cidstore *s, struct cidstore_stats *out);

/* ---- checking ---- */

enum {
	CIDSTORE_CHECK_QUICK = 1, /* structure only: values are not read */
	CIDSTORE_CHECK_REPAIR = 2 /* correct what can be corrected without loss */
};
struct cidstore_report {
	uint64_t keys, values;	  /* in buckets, runs and log together; with QUICK
				   * as cidstore_stats() has them */
	uint64_t buckets, runs, log_records;
	uint64_t units, bytes;	  /* verified */
	uint64_t errors;	  /* found */
	uint64_t corrected;	  /* repaired, with CIDSTORE_CHECK_REPAIR */
	uint64_t leaked_bytes;	  /* allocated, reachable from nowhere */
	uint64_t lost;		  /* things cidstore_repair() could not save */
};
/* Verifies a store nobody writes. `say` is called with each finding and, now
 * and then, with message NULL for progress in [0, 1]. Returns 0 also when
 * errors were found: see the report. */
CIDSTORE_API int cidstore_check(const char *path, unsigned flags,
				void (*say)(void *arg, const char *message,
					    double progress),
				void *arg, struct cidstore_report *out,
				struct cidstore_error *err);

/* Puts a store right that nobody writes: corrects what can be corrected, saves
 * what verifies, and gives up the rest, which it tells `lost` line by line in
 * the form that fsck.cidstore(8) describes. A line is NULL where what was told
 * must be made durable, as the store is about to change; a result not 0 ends
 * the repair. A repair that is cut off leaves the store as it was, or with part
 * of its damage put right. Blocks for as long as two checks and what is written
 * anew take. `say` is as with cidstore_check(). */
CIDSTORE_API int cidstore_repair(const char *path,
				 int (*lost)(void *arg, const char *line),
				 void (*say)(void *arg, const char *message,
					     double progress),
				 void *arg, struct cidstore_report *out,
				 struct cidstore_error *err);

#ifdef __cplusplus
}
#endif
#endif
