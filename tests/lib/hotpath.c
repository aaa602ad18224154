/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hotpath.c - the paths whose instructions scripts/count-instructions counts
 *
 *	hotpath prepare PATH STORE	makes a store for it
 *	hotpath run PATH STORE		takes the path; prints how many operations
 *
 * Only what happens inside hot() is counted. The seed of the store's hash is
 * fixed, so that the same work takes the same instructions each time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/data.h"
#include "cidstore/cidstore.h"

#define KEYS  40000u
#define BATCH 1024u

static struct cid_data data;
static struct cidstore *s;

static void check(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "hotpath: %s: %s\n", what, cidstore_strerror(rc));
	exit(1);
}

static void open_store(const char *path)
{
	struct cidstore_error err = { 0 };

	if (cidstore_open(path, CIDSTORE_MANUAL, &s, &err) == 0)
		return;
	fprintf(stderr, "hotpath: %s\n", err.message);
	exit(1);
}

/* Keys from `from` on, one value each. */
static void insert(uint64_t from, uint64_t n)
{
	struct cidstore_pair p[BATCH];

	for (uint64_t i = 0; i < n; i += BATCH) {
		size_t m = n - i < BATCH ? (size_t)(n - i) : BATCH;

		for (size_t j = 0; j < m; j++)
			p[j] = cid_data_pair(&data, from + i + j, 0);
		check(cidstore_insert(s, p, m, NULL), "insert");
	}
}

static void look_up(int absent)
{
	struct cid_draw draw = { 1 };
	struct cidstore_id v;
	uint64_t n;

	for (unsigned i = 0; i < KEYS; i++) {
		uint64_t k = cid_draw_below(&draw, KEYS);
		int rc = cidstore_get(
			s, absent ? cid_data_absent(&data, k) : cid_data_key(&data, k), &v, 1, &n);

		check(absent && rc == CIDSTORE_ENOENT ? 0 : rc, "get");
	}
}

static void hot_insert(const char *store)
{
	(void)store;
	insert(KEYS, KEYS);
}

static void hot_hit(const char *store)
{
	(void)store;
	look_up(0);
}

static void hot_miss(const char *store)
{
	(void)store;
	look_up(1);
}

static void hot_many(const char *store)
{
	static struct cidstore_id k[BATCH], v[BATCH];
	static uint64_t n[BATCH];
	struct cid_draw draw = { 1 };

	(void)store;
	for (unsigned i = 0; i < KEYS; i += BATCH) {
		for (unsigned j = 0; j < BATCH; j++)
			k[j] = cid_data_key(&data, cid_draw_below(&draw, KEYS));
		check(cidstore_get_many(s, k, BATCH, v, 1, n), "get_many");
	}
}

static void hot_flush(const char *store)
{
	(void)store;
	check(cidstore_checkpoint(s), "checkpoint");
}

static void hot_sweep(const char *store)
{
	(void)store;
	check(cidstore_compact(s), "compact");
}

static void hot_replay(const char *store)
{
	open_store(store);
}

/* What a path finds: keys merged into buckets, keys in a run, keys in the log. */
static const struct {
	const char *name;
	uint64_t merged, flushed, logged;
	void (*run)(const char *store);
	int opens;
} path[] = {
	{ "insert", 0, 0, 0, hot_insert, 0 },	 { "hit", KEYS, 0, 0, hot_hit, 0 },
	{ "miss", KEYS, 0, 0, hot_miss, 0 },	 { "many", KEYS, 0, 0, hot_many, 0 },
	{ "flush", 0, 0, KEYS, hot_flush, 0 },	 { "sweep", KEYS, KEYS, 0, hot_sweep, 0 },
	{ "replay", 0, 0, KEYS, hot_replay, 1 },
};

#define PATHS (sizeof(path) / sizeof(path[0]))

static __attribute__((noinline)) void hot(unsigned i, const char *store)
{
	path[i].run(store);
}

static void prepare(unsigned i, const char *store)
{
	struct cidstore_geometry geo = { .log_bytes = 16u << 20, .hash_seed = 1 };
	struct cidstore_error err = { 0 };
	uint64_t at = 0;

	if (cidstore_create(store, &geo, &err) != 0) {
		fprintf(stderr, "hotpath: %s\n", err.message);
		exit(1);
	}
	open_store(store);
	insert(at, path[i].merged);
	at += path[i].merged;
	if (at > 0)
		check(cidstore_compact(s), "compact");
	insert(at, path[i].flushed);
	at += path[i].flushed;
	if (path[i].flushed > 0)
		check(cidstore_checkpoint(s), "checkpoint");
	insert(at, path[i].logged);
	/* Closing would write a checkpoint: the log is to be found as it is. */
	check(cidstore_sync(s), "sync");
	_exit(0);
}

int main(int argc, char **argv)
{
	cid_data_init(&data, 1);
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (unsigned i = 0; i < PATHS; i++)
			puts(path[i].name);
		return 0;
	}
	for (unsigned i = 0; argc == 4 && i < PATHS; i++) {
		if (strcmp(argv[2], path[i].name) != 0)
			continue;
		if (strcmp(argv[1], "prepare") == 0)
			prepare(i, argv[3]);
		if (!path[i].opens)
			open_store(argv[3]);
		if (path[i].merged > 0)
			look_up(0); /* indexes are read at their first use */
		hot(i, argv[3]);
		printf("%u\n", KEYS);
		fflush(stdout);
		_exit(0);
	}
	fputs("usage: hotpath list | prepare PATH STORE | run PATH STORE\n", stderr);
	return 2;
}
