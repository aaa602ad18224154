/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.c - random operations on a store and on a trivial set in memory
 *
 * usage: model [SEED [OPERATIONS]]
 *
 * The store is small in every respect and runs without threads, so that a few
 * thousand operations meet flushes, splits, promotions, sweeps, joins, the
 * collector and reopening; the generator also chooses when maintenance steps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cidstore/cidstore.h"
#include "lib/ids.h"
#include "lib/tap.h"
#include "store/engine.h"

enum { KEYS = 60, VALUES = 700 };

static uint64_t rng;
static struct cidstore *s;
static char dir[200];
static unsigned char have[KEYS][VALUES]; /* the model: is the pair there */
static unsigned char exists[KEYS];
static uint64_t step_no;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void die(const char *what, int rc)
{
	printf("Bail out! step %llu: %s: %s\n", (unsigned long long)step_no, what,
	       cidstore_strerror(rc));
	exit(1);
}

static void open_store(void)
{
	struct cidstore_error err;

	if (cidstore_open(dir, CIDSTORE_MANUAL, &s, &err)) {
		printf("Bail out! step %llu: %s\n", (unsigned long long)step_no, err.message);
		exit(1);
	}
}

static unsigned count(unsigned k)
{
	unsigned n = 0;

	for (unsigned v = 0; v < VALUES; v++)
		n += have[k][v];
	return n;
}

static void expect(const char *what, int got, int want)
{
	if (got == want)
		return;
	printf("Bail out! step %llu: %s: %s, expected %s\n", (unsigned long long)step_no, what,
	       cidstore_strerror(got), cidstore_strerror(want));
	exit(1);
}

static void say(void *arg, const char *message, double progress)
{
	(void)arg;
	(void)progress;
	if (message)
		printf("# fsck: %s\n", message);
}

/* Everything, by every way of reading. */
static void compare(void)
{
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[7];
	unsigned seen[KEYS] = { 0 }, keys = 0;
	uint64_t last = 0;
	size_t n;

	for (unsigned k = 0; k < KEYS; k++) {
		static struct cidstore_id out[VALUES + 1];
		static unsigned char got[VALUES];
		uint64_t total, c;
		int rc = cidstore_get(s, key_id(k), out, VALUES + 1, &total);

		expect("get", rc, exists[k] ? 0 : CIDSTORE_ENOENT);
		keys += exists[k];
		if (!exists[k])
			continue;
		expect("count", cidstore_count(s, key_id(k), &c), 0);
		if (total != count(k) || c != total) {
			printf("Bail out! step %llu: key %u has %llu (get) %llu (count) values, "
			       "expected %u\n", (unsigned long long)step_no, k,
			       (unsigned long long)total, (unsigned long long)c, count(k));
			exit(1);
		}
		memset(got, 0, sizeof(got));
		for (uint64_t i = 0; i < total; i++)
			got[out[i].high] = 1;
		if (memcmp(got, have[k], VALUES))
			die("values differ", CIDSTORE_ECORRUPT);
		memset(got, 0, sizeof(got));
		memset(&pos, 0, sizeof(pos));
		do {
			expect("scan_values", cidstore_scan_values(s, key_id(k), &pos, item, 7, &n), 0);
			for (size_t i = 0; i < n; i++) {
				if (got[item[i].id.high]++)
					die("value listed twice", CIDSTORE_ECORRUPT);
			}
		} while (n);
		if (memcmp(got, have[k], VALUES))
			die("values listed differ", CIDSTORE_ECORRUPT);
		for (unsigned i = 0; i < 5; i++) {
			unsigned v = (unsigned)(rnd() % VALUES);

			expect("contains", cidstore_contains(s, key_id(k), value_id(v)),
			       have[k][v] ? 0 : CIDSTORE_ENOENT);
		}
	}
	memset(&pos, 0, sizeof(pos));
	do {
		expect("scan_keys", cidstore_scan_keys(s, &pos, item, 7, &n), 0);
		for (size_t i = 0; i < n; i++) {
			unsigned k = (unsigned)item[i].id.low;

			if (k >= KEYS || seen[k]++ || !exists[k] || item[i].hash < last)
				die("keys listed differ", CIDSTORE_ECORRUPT);
			last = item[i].hash;
			if (item[i].count != count(k))
				die("count listed differs", CIDSTORE_ECORRUPT);
			keys--;
		}
	} while (n);
	if (keys)
		die("keys missing in the listing", CIDSTORE_ECORRUPT);
}

/* A snapshot read in bulk holds what the model holds, in the order of listings. */
static void compare_bulk(struct cidstore *from)
{
	static unsigned char got[KEYS][VALUES], empty[KEYS];
	struct cidstore_snapshot *v;
	struct cidstore_pair pair[50];
	struct cidstore_id key[20];
	size_t n, m, cap = rnd() % 50 + 1, key_cap = rnd() % 20 + 1;
	unsigned closed[KEYS] = { 0 }, last = KEYS;

	memset(got, 0, sizeof(got));
	memset(empty, 0, sizeof(empty));
	expect("snapshot_open", cidstore_snapshot_open(from, &v), 0);
	if (rnd() % 4 == 0) {
		expect("snapshot_read", cidstore_snapshot_read(v, pair, cap, &n, key, key_cap, &m),
		       0);
		cidstore_snapshot_rewind(v);
	}
	do {
		expect("snapshot_read", cidstore_snapshot_read(v, pair, cap, &n, key, key_cap, &m),
		       0);
		for (size_t i = 0; i < n; i++) {
			unsigned k = (unsigned)pair[i].key.low;

			if (k >= KEYS || got[k][pair[i].value.high]++)
				die("pair given twice", CIDSTORE_ECORRUPT);
			if (k != last && closed[k])
				die("values of a key not together", CIDSTORE_ECORRUPT);
			if (last < KEYS && k != last)
				closed[last] = 1;
			last = k;
		}
		for (size_t i = 0; i < m; i++)
			empty[key[i].low]++;
	} while (n || m);
	cidstore_snapshot_close(v);
	for (unsigned k = 0; k < KEYS; k++)
		if (memcmp(got[k], have[k], VALUES) || empty[k] != (exists[k] && !count(k)))
			die("snapshot differs", CIDSTORE_ECORRUPT);
}

/* Of a second reader, whose newest changes are in a table, and of the writer. */
static void compare_snapshots(void)
{
	struct cidstore_error err;
	struct cidstore *reader;

	if (cidstore_open(dir, CIDSTORE_RDONLY, &reader, &err))
		die(err.message, err.code);
	compare_bulk(reader);
	expect("close reader", cidstore_close(reader), 0);
	if (rnd() % 4 == 0)
		compare_bulk(s);
}

static struct cidstore_stats sum; /* of the times the store was open */

static void add_stats(void)
{
	struct cidstore_stats st;

	cidstore_stats(s, &st);
	sum.splits += st.splits;
	sum.merges += st.merges;
	sum.promotions += st.promotions;
	sum.demotions += st.demotions;
	sum.run_merges += st.run_merges;
	sum.sweeps += st.sweeps;
	sum.flushes += st.flushes;
	sum.gc_records += st.gc_records;
}

static void check(void)
{
	struct cidstore_report r;
	struct cidstore_error err = { 0, "" };

	add_stats();
	expect("close", cidstore_close(s), 0);
	if (cidstore_check(dir, 0, say, NULL, &r, &err) || r.errors || r.leaked_bytes) {
		printf("Bail out! step %llu: fsck: %llu errors %s\n", (unsigned long long)step_no,
		       (unsigned long long)r.errors, err.message);
		exit(1);
	}
	open_store();
}

/* At rest the statistics are exact. */
static void check_counts(void)
{
	struct cidstore_stats st;
	uint64_t keys = 0, values = 0;

	for (unsigned k = 0; k < KEYS; k++) {
		keys += exists[k];
		values += count(k);
	}
	cidstore_stats(s, &st);
	if (st.keys != keys || st.values != values || st.uncertain) {
		printf("Bail out! step %llu: %llu keys %llu values (%llu uncertain), "
		       "expected %llu %llu\n", (unsigned long long)step_no,
		       (unsigned long long)st.keys, (unsigned long long)st.values,
		       (unsigned long long)st.uncertain, (unsigned long long)keys,
		       (unsigned long long)values);
		exit(1);
	}
}

static void one_step(void)
{
	unsigned k = (unsigned)(rnd() % KEYS), v = (unsigned)(rnd() % VALUES), what;
	unsigned small = (unsigned)(rnd() % 4);
	int rc, more;

	if (k >= KEYS / 4) /* most keys have few values */
		v %= small ? 4 : 40;
	what = (unsigned)(rnd() % 1000);
	if (what < 300) {
		struct cidstore_pair p[64];
		size_t n = rnd() % 64 + 1;

		for (size_t i = 0; i < n; i++) {
			unsigned vv = k < KEYS / 4 ? (unsigned)(rnd() % VALUES) :
						     (unsigned)(rnd() % 5);

			p[i].key = key_id(k);
			p[i].value = value_id(vv);
			have[k][vv] = exists[k] = 1;
		}
		expect("insert", cidstore_insert(s, p, n, NULL), 0);
	} else if (what < 420) {
		struct cidstore_pair p = { key_id(k), value_id(v) };

		have[k][v] = 0;
		expect("delete", cidstore_delete(s, &p, 1, NULL), 0);
	} else if (what < 560) {
		rc = cidstore_add(s, key_id(k), value_id(v));
		expect("add", rc, !exists[k] ? CIDSTORE_ENOENT : have[k][v] ? CIDSTORE_EEXIST : 0);
		if (exists[k])
			have[k][v] = 1;
	} else if (what < 680) {
		rc = cidstore_remove(s, key_id(k), value_id(v));
		expect("remove", rc, have[k][v] ? 0 : CIDSTORE_ENOENT);
		have[k][v] = 0;
	} else if (what < 740) {
		expect("mkkey", cidstore_mkkey(s, key_id(k)), exists[k] ? CIDSTORE_EEXIST : 0);
		exists[k] = 1;
	} else if (what < 780) {
		expect("rmkey", cidstore_rmkey(s, key_id(k)),
		       !exists[k] ? CIDSTORE_ENOENT : count(k) ? CIDSTORE_ENOTEMPTY : 0);
		if (exists[k] && !count(k))
			exists[k] = 0;
	} else if (what < 800) {
		struct cidstore_id id = key_id(k);

		expect("delete_keys", cidstore_delete_keys(s, &id, 1, NULL), 0);
		memset(have[k], 0, VALUES);
		exists[k] = 0;
	} else if (what < 850) {
		unsigned k2 = (unsigned)(rnd() % KEYS), v2 = (unsigned)(rnd() % 4);
		int noreplace = (int)(rnd() & 1);

		rc = cidstore_move(s, key_id(k), value_id(v), key_id(k2), value_id(v2), noreplace);
		if (!have[k][v] || !exists[k2]) {
			expect("move", rc, CIDSTORE_ENOENT);
		} else if (have[k2][v2] && noreplace) {
			expect("move", rc, CIDSTORE_EEXIST);
		} else {
			expect("move", rc, 0);
			have[k][v] = 0;
			have[k2][v2] = 1;
		}
	} else if (what < 900) {
		struct cidstore_op op[20];
		size_t n = rnd() % 20 + 1;

		for (size_t i = 0; i < n; i++) {
			unsigned kk = (unsigned)(rnd() % KEYS), vv = (unsigned)(rnd() % 6);

			op[i] = (struct cidstore_op){ (enum cidstore_verb)(rnd() % 4 + 1),
						      key_id(kk), value_id(vv) };
			if (op[i].verb == CIDSTORE_OP_INSERT)
				have[kk][vv] = exists[kk] = 1;
			else if (op[i].verb == CIDSTORE_OP_DELETE)
				have[kk][vv] = 0;
			else if (op[i].verb == CIDSTORE_OP_MKKEY)
				exists[kk] = 1;
			else
				memset(have[kk], 0, VALUES), exists[kk] = 0;
		}
		expect("apply", cidstore_apply(s, op, n), 0);
	} else if (what < 905) {
		/* As under a tiny memory_limit: what was not used since goes. */
		cid_index_trim(s, rnd() % 65536);
	} else if (what < 970) {
		expect("step", cidstore_step(s, &more), 0);
	} else if (what < 984) {
		expect("checkpoint", cidstore_checkpoint(s), 0);
	} else if (what < 986) {
		expect("compact", cidstore_compact(s), 0);
	} else if (what < 988) {
		expect("gc", cidstore_gc(s), 0);
		check_counts();
	} else if (what < 990) {
		check();
	} else if (what < 993) {
		compare();
	} else if (what < 996) {
		compare_snapshots();
	}
}

int main(int argc, char **argv)
{
	const struct cidstore_geometry geo = { .log_bytes = 256u << 10,
					       .segment_bytes = 4u << 20,
					       .bucket_bytes = 8192,
					       .promotion_threshold = 16,
					       .hash_seed = 42 };
	uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000;
	struct cidstore_error err;

	rng = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)getpid() * 2654435761u + 88172645463325252ull;
	snprintf(dir, sizeof(dir), "%s/cid-model-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
		 (int)getpid());
	printf("# seed %llu, %llu steps\n", (unsigned long long)rng, (unsigned long long)steps);
	tap_plan(2);
	if (cidstore_create(dir, &geo, &err)) {
		printf("Bail out! %s\n", err.message);
		return 1;
	}
	open_store();
	for (step_no = 1; step_no <= steps; step_no++)
		one_step();
	compare();
	tap_ok(1, "store and model agree after every step");
	check();
	printf("# %llu splits %llu merges %llu promotions %llu demotions %llu run merges "
	       "%llu sweeps %llu flushes %llu gc records\n", (unsigned long long)sum.splits,
	       (unsigned long long)sum.merges, (unsigned long long)sum.promotions,
	       (unsigned long long)sum.demotions, (unsigned long long)sum.run_merges,
	       (unsigned long long)sum.sweeps, (unsigned long long)sum.flushes,
	       (unsigned long long)sum.gc_records);
	compare();
	tap_ok(1, "fsck finds nothing, and they agree after reopening");
	(void)cidstore_close(s);
	{
		char cmd[300];

		snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
		return system(cmd) != 0;
	}
}
