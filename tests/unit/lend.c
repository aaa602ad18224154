/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lend.c - readers that look at the writer's tables, and those that must not
 *
 * With an interval of an hour, a reader that makes tables of its own shows
 * nothing new; one that looks at the writer's shows each change at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tap.h"
#include "os/io.h"
#include "store/engine.h"

static char dir[200], copy[240];

static const struct cidstore_geometry geo = { .log_bytes = 256 << 10, .segment_bytes = 4 << 20,
					       .bucket_bytes = 8192 };

static struct cidstore *reader(const char *path, const struct cid_io *io, unsigned flags)
{
	struct cidstore_error err;
	struct cidstore *r;

	if (cid_store_open_io(io, path, CIDSTORE_RDONLY | flags, &r, &err) ||
	    cidstore_config_set(r, "refresh_interval_ms", 3600000))
		tap_bail("%s", err.message);
	return r;
}

static struct cidstore_id id(uint64_t n)
{
	return (struct cidstore_id){ 7, n };
}

static void insert(struct cidstore *w, uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++) {
		struct cidstore_pair p = { id(i), id(1) };

		if (cidstore_insert(w, &p, 1, NULL))
			tap_bail("insert");
	}
}

static bool knows(struct cidstore *r, uint64_t n)
{
	return cidstore_contains(r, id(n), id(1)) == 0;
}

static long lock_bytes(void)
{
	char path[260];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/LOCK", dir);
	return stat(path, &st) ? -1 : (long)st.st_size;
}

static void say_in_lock(const char *text)
{
	char path[260];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/LOCK", dir);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		tap_bail("LOCK");
}

static void shell(const char *what)
{
	char cmd[600];

	(void)snprintf(cmd, sizeof(cmd), "%s '%s' '%s'", what, dir, copy);
	if (system(cmd) != 0)
		tap_bail("%s", cmd);
}

/* Whatever LOCK says, a reader shows what the store holds. */
static void nonsense(void)
{
	static const char *const text[] = { "lends 1 0 1\n", "lends 99999999999 -1 0\n", "lends\n",
					    "lends 18446744073709551615 2147483647 7", "\n\n" };

	for (size_t i = 0; i < sizeof(text) / sizeof(*text); i++) {
		struct cidstore *r;

		say_in_lock(text[i]);
		r = reader(dir, &cid_io_posix, 0);
		tap_ok(knows(r, 1) && !knows(r, 1000000), "LOCK says nonsense, %zu", i);
		(void)cidstore_close(r);
	}
	say_in_lock("");
}

int main(void)
{
	struct cid_io alone = cid_io_posix;
	struct cidstore *w, *r, *own, *manual, *c;
	struct cidstore_stats st, mine;
	struct cidstore_error err;
	uint64_t before;

	alone.borrow = NULL;
	(void)snprintf(dir, sizeof(dir), "%s/cid-lend-XXXXXX",
		       getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir) || cidstore_create(dir, &geo, &err) ||
	    cidstore_open(dir, CIDSTORE_MANUAL, &w, &err))
		tap_bail("%s: %s", dir, err.message);
	(void)snprintf(copy, sizeof(copy), "%s.copy", dir);
	tap_ok(lock_bytes() > 0, "a writer says in LOCK what it lends");
	insert(w, 0, 10);
	r = reader(dir, &cid_io_posix, 0);
	own = reader(dir, &alone, 0);
	manual = reader(dir, &cid_io_posix, CIDSTORE_MANUAL);
	before = cidstore_last_seq(r);
	insert(w, 10, 10);
	tap_ok(knows(r, 19), "what is inserted is seen at once");
	tap_ok(!knows(own, 19) && knows(own, 9), "and not by a reader that makes its own table");
	tap_ok(!knows(manual, 19), "nor by one that refreshes by hand");
	tap_ok(cidstore_refresh(manual) == 0 && knows(manual, 19), "until it does");
	cidstore_stats(r, &st);
	tap_ok(st.lag_ms == 0 && st.last_seq == cidstore_last_seq(w) && st.last_seq > before,
	       "it is not behind");
	cidstore_stats(w, &mine);
	tap_ok(st.keys == mine.keys && st.values == mine.values && st.values == 20,
	       "and counts what the writer counts");

	/* LOCK is copied with the rest: its writer does not write there. */
	shell("cp -a");
	c = reader(copy, &cid_io_posix, 0);
	insert(w, 20, 10);
	tap_ok(knows(r, 29) && knows(c, 19) && !knows(c, 29), "a copy is not what its LOCK says");
	(void)cidstore_close(c);

	/* Tables that are flushed and used again, many times. */
	for (uint64_t i = 0; i < 40; i++) {
		insert(w, 30 + i * 50, 50);
		if (cidstore_checkpoint(w) || cidstore_refresh(r) || !knows(r, 79 + i * 50) ||
		    !knows(r, 0))
			tap_bail("round %llu", (unsigned long long)i);
		insert(w, 100000 + i, 1);
		if (!knows(r, 100000 + i))
			tap_bail("behind a commit, round %llu", (unsigned long long)i);
	}
	tap_ok(true, "through 40 commits");

	tap_int(cidstore_close(w), 0, "the writer closes");
	tap_ok(lock_bytes() == 0, "and lends nothing");
	tap_ok(cidstore_refresh(r) == 0 && knows(r, 100039), "its reader goes on");
	if (cidstore_open(dir, 0, &w, &err))
		tap_bail("%s", err.message);
	insert(w, 200000, 10);
	tap_ok(cidstore_refresh(r) == 0 && knows(r, 200009), "and finds the next one");
	insert(w, 200010, 10);
	tap_ok(knows(r, 200019), "whose changes it sees at once");
	tap_int(cidstore_close(w), 0, "that closes, too");
	nonsense();
	tap_int(cidstore_close(r) | cidstore_close(own) | cidstore_close(manual), 0,
		"the readers close");
	shell("rm -rf");
	return tap_done();
}
