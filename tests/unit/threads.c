/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads.c - readers beside writers and maintenance
 *
 * One thread inserts pairs in bulk and tells how far it is; one adds and
 * removes single values; one asks for checkpoints, snapshots and syncs; readers
 * check that what was acknowledged before they looked is there, that listings
 * are in order and miss nothing. A small store, so that flushes and sweeps go
 * on all the time. Ends after a number of inserts.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cidstore/cidstore.h"
#include "lib/tap.h"

enum { KEYS = 5000, PAIRS = 150000, READERS = 2, FLIPS = 8 };

static struct cidstore *s;
static _Atomic uint64_t done;
static _Atomic int wrong, stop, flip_acks;

static struct cidstore_id key(uint64_t i)
{
	return (struct cidstore_id){ i % KEYS * 0x9E3779B97F4A7C15ull, 1 };
}

static struct cidstore_id value(uint64_t i)
{
	return (struct cidstore_id){ i, 2 };
}

static void blame(const char *what, int rc)
{
	if (atomic_fetch_add(&wrong, 1) < 5)
		tap_note("%s: %s", what, cidstore_strerror(rc));
}

static void *bulk(void *arg)
{
	struct cidstore_pair p[200];

	(void)arg;
	for (uint64_t i = 0; i < PAIRS; i += 200) {
		int rc;

		for (unsigned j = 0; j < 200; j++)
			p[j] = (struct cidstore_pair){ key(i + j), value(i + j) };
		rc = cidstore_insert(s, p, 200, NULL);
		if (rc)
			blame("insert", rc);
		atomic_store(&done, i + 200);
	}
	atomic_store(&stop, 1);
	return NULL;
}

/* Single changes with an answer, on keys of its own. */
static void *flip(void *arg)
{
	const struct cidstore_id k = { 7, 7 };

	(void)arg;
	(void)cidstore_mkkey(s, k);
	while (!atomic_load(&stop)) {
		for (uint64_t v = 0; v < FLIPS; v++) {
			int rc = cidstore_add(s, k, value(v));

			if (rc)
				blame("add", rc);
			if (cidstore_contains(s, k, value(v)))
				blame("added, not there", 0);
		}
		for (uint64_t v = 0; v < FLIPS; v++) {
			int rc = cidstore_remove(s, k, value(v));

			if (rc)
				blame("remove", rc);
		}
		flip_acks++;
	}
	return NULL;
}

static void *ask(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		struct cidstore_snapshot *snap;
		struct cidstore_stats st;
		uint64_t before = atomic_load(&done), n = 0;
		int rc = cidstore_sync(s);

		if (rc)
			blame("sync", rc);
		rc = cidstore_snapshot_open(s, &snap);
		if (rc == 0) {
			struct cidstore_item it[300];
			struct cidstore_pos pos = { 0 };
			size_t m;

			while ((rc = cidstore_snapshot_keys(snap, &pos, it, 300, &m)) == 0 && m)
				for (size_t i = 0; i < m; i++)
					n += it[i].count;
			if (rc)
				blame("snapshot", rc);
			if (n < before)
				blame("snapshot misses values", 0);
			cidstore_snapshot_close(snap);
		} else {
			blame("snapshot_open", rc);
		}
		cidstore_stats(s, &st);
		if (st.durable_seq > st.last_seq)
			blame("durable before last", 0);
	}
	return NULL;
}

static void *reader(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg * 77 + 1, rounds = 0;

	while (!atomic_load(&stop)) {
		uint64_t upto = atomic_load(&done);

		for (int i = 0; i < 200 && upto; i++) {
			uint64_t p;
			int rc;

			x = x * 6364136223846793005ull + 1442695040888963407ull;
			p = (x >> 20) % upto;
			rc = cidstore_contains(s, key(p), value(p));
			if (rc)
				blame("acknowledged, not there", rc);
		}
		if (rounds++ % 16 == 0) {
			struct cidstore_item it[512];
			struct cidstore_pos pos = { 0 };
			uint64_t last = 0, n = 0, want = upto < KEYS ? upto : KEYS;
			size_t m;
			int rc;

			while ((rc = cidstore_scan_keys(s, &pos, it, 512, &m)) == 0 && m)
				for (size_t i = 0; i < m; i++, n++) {
					if (it[i].hash < last)
						blame("listing out of order", 0);
					last = it[i].hash;
				}
			if (rc)
				blame("scan", rc);
			if (n < want)
				blame("listing misses keys", 0);
		}
	}
	return NULL;
}

int main(void)
{
	const struct cidstore_geometry geo = { .log_bytes = 256u << 10,
					       .segment_bytes = 16u << 20,
					       .bucket_bytes = 16384,
					       .promotion_threshold = 16 };
	struct cidstore_report rep;
	struct cidstore_error err;
	struct cidstore_stats st;
	pthread_t t[3 + READERS];
	char dir[200], cmd[300];
	int rc;

	tap_plan(4);
	snprintf(dir, sizeof(dir), "%s/cid-threads-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
		 (int)getpid());
	if (cidstore_create(dir, &geo, &err) || cidstore_open(dir, 0, &s, &err))
		tap_bail("%s", err.message);
	pthread_create(&t[0], NULL, bulk, NULL);
	pthread_create(&t[1], NULL, flip, NULL);
	pthread_create(&t[2], NULL, ask, NULL);
	for (long i = 0; i < READERS; i++)
		pthread_create(&t[3 + i], NULL, reader, (void *)i);
	for (int i = 0; i < 3 + READERS; i++)
		pthread_join(t[i], NULL);
	tap_int(wrong, 0, "no wrong answer");
	tap_int(cidstore_wait_idle(s), 0, "maintenance comes to rest");
	cidstore_stats(s, &st);
	tap_note("%llu flushes %llu sweeps %llu splits, %d rounds of single changes",
		 (unsigned long long)st.flushes, (unsigned long long)st.sweeps,
		 (unsigned long long)st.splits, (int)flip_acks);
	tap_ok(st.keys == KEYS + 1 && st.values == PAIRS,
	       "counts are exact at rest: %llu keys, %llu values", (unsigned long long)st.keys,
	       (unsigned long long)st.values);
	(void)cidstore_close(s);
	rc = cidstore_check(dir, 0, NULL, NULL, &rep, &err);
	tap_ok(rc == 0 && rep.errors == 0, "fsck finds nothing");
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	if (system(cmd))
		return 1;
	return tap_done();
}
