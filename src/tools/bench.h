/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - what the runs of cidctl bench share
 *
 * A run is a row of a table and a function that makes its own data, measures
 * and adds figures. It works in a directory of its own, on the library alone.
 * Functions return 0, or -1 after a message.
 */
#ifndef CID_TOOLS_BENCH_H
#define CID_TOOLS_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include "bench/cgroup.h"
#include "bench/data.h"
#include "bench/result.h"
#include "cidstore/cidstore.h"

#define CID_BENCH_SETTINGS 16

struct cid_bench {
	uint64_t keys, values; /* of the run at hand; never 0 */
	uint64_t seed, batch;
	uint64_t lookups; /* in each measurement of lookups */
	double seconds;	  /* a measurement that could go on for ever ends then */
	unsigned threads;
	bool spread;	    /* a key's values come apart, not together */
	bool keep, reuse;   /* the stores */
	uint64_t cgroup;    /* bytes; 0: none */
	uint64_t log_bytes; /* 0: default */
	struct {
		char name[48];
		uint64_t value;
	} setting[CID_BENCH_SETTINGS];
	unsigned settings;
	char dir[1024];	  /* where stores are made */
	char store[1100]; /* of the run at hand */
	struct cid_data data;
};

struct cid_bench_run {
	const char *name, *summary;
	uint64_t keys, values; /* by default */
	uint64_t cgroup;
	int (*run)(struct cid_bench *b, struct cid_result *r);
};

extern const struct cid_bench_run cid_bench_insert, cid_bench_zipf, cid_bench_lookup,
	cid_bench_sets, cid_bench_single, cid_bench_delete, cid_bench_reopen, cid_bench_cold_lookup,
	cid_bench_cold_insert, cid_bench_mount, cid_bench_raw, cid_bench_costs,
	cid_bench_readers, cid_bench_tune;

/* ---- stores ---- */

/* Opens b->store; with `fresh`, removes what was there and makes it. */
int cid_bench_open(const struct cid_bench *b, bool fresh, struct cidstore **out);
/* 0, or -1 after saying that `what` failed with `rc`. */
int cid_bench_check(int rc, const char *what);
int cid_bench_close(struct cidstore *s);
/* Removes a directory tree. */
void cid_bench_remove(const char *path);

/* ---- writing, in groups that are made durable together ---- */

/* A sync each 64 Ki operations or 100 ms, whichever comes first, by the thread
 * that writes: the rule all stores are compared by. */
struct cid_group {
	struct cidstore *s;
	uint64_t ops;
	double at;
	struct cid_hist sync; /* ns each took */
};
void cid_group_init(struct cid_group *g, struct cidstore *s);
/* `force`: now, whatever the rule says. */
int cid_group_tick(struct cid_group *g, uint64_t ops, bool force);

/* Pair i of a stream. */
typedef struct cidstore_pair cid_stream_fn(const void *arg, uint64_t i);

struct cid_load {
	cid_stream_fn *pair;
	const void *arg;
	uint64_t from, n;
	struct cid_watch *watch; /* or NULL */
	const atomic_bool *stop; /* or NULL; ends it early */
	double limit;		 /* seconds; 0: none */
	/* found out */
	_Atomic uint64_t done;
	double seconds, tenth[10];   /* when each tenth was done */
	struct cid_hist batch, sync; /* ns */
};
/* Inserts pairs in batches and groups; what it inserted is durable at the end. */
int cid_bench_load(const struct cid_bench *b, struct cidstore *s, struct cid_load *l);

/* Streams over struct cid_bench: `keys` keys with `values` values; and keys
 * with one value each without an end. */
struct cidstore_pair cid_stream_pairs(const void *bench, uint64_t i);
struct cidstore_pair cid_stream_new(const void *bench, uint64_t i);

/* Opens a store that holds the run's pairs and has no maintenance left to do:
 * loads it, or, with b->reuse, takes the one an earlier run left. */
int cid_bench_loaded(const struct cid_bench *b, struct cidstore **out);

/* Blocks until maintenance is done. *work: seconds from the call to the last
 * flush or merge; what comes after is waiting for readers (reader_grace_ms)
 * before freed space is given back. NULL is allowed. */
int cid_bench_idle(struct cidstore *s, double *work);

/* ---- reading ---- */

struct cid_reads {
	struct cid_hist hist; /* ns */
	uint64_t n, wrong;
	double seconds, rate; /* of all threads together */
};
/* Random lookups of keys that exist, or do not, by `threads` threads, until
 * each did `n` or `limit` seconds are over. Every answer is checked. */
int cid_bench_read(const struct cid_bench *b, struct cidstore *s, bool absent, unsigned threads,
		   uint64_t n, double limit, struct cid_reads *out);
/* The same by cidstore_get_many, `at_once` keys a call; the hist is of calls. */
int cid_bench_read_many(const struct cid_bench *b, struct cidstore *s, bool absent, size_t at_once,
			uint64_t n, double limit, struct cid_reads *out);

#endif
