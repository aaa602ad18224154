/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interval.c - changes become durable in time without being asked to
 *
 * On a device whose syncs are slow. What is measured is the shortest time of
 * several, which a busy machine does not make longer.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/tap.h"
#include "os/io.h"
#include "store/store.h"

enum { INTERVAL_MS = 400, SYNC_MS = 350, SYNCS = 6, DEADLINE_S = 60 };

static _Atomic unsigned syncs;
static uint64_t began[SYNCS]; /* written by the one thread that syncs the log */

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pass_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static bool is_log(int fd)
{
	char link[64], name[300];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	name[n < 0 ? 0 : n] = '\0';
	return strstr(name, "/wal-") != NULL;
}

static int slow_sync(void *self, int fd)
{
	unsigned n = atomic_load(&syncs);

	(void)self;
	if (!is_log(fd))
		return 0;
	if (n < SYNCS)
		began[n] = now_ms();
	pass_ms(SYNC_MS);
	atomic_store(&syncs, n + 1);
	return 0;
}

static struct cidstore *opened(const struct cid_io *io, const char *dir)
{
	struct cidstore_error err;
	struct cidstore *s;

	if (cid_store_open_io(io, dir, 0, &s, &err))
		tap_bail("%s", err.message);
	return s;
}

static void set(struct cidstore *s, const char *name, uint64_t value)
{
	if (cidstore_config_set(s, name, value))
		tap_bail("%s", name);
}

static void writes_without_end(const char *dir)
{
	uint64_t shortest = UINT64_MAX, end = now_ms() + DEADLINE_S * 1000;
	struct cid_io io = cid_io_posix;
	struct cidstore *s;

	io.sync = slow_sync;
	s = opened(&io, dir);
	set(s, "checkpoint_interval_ms", 86400000);
	set(s, "sync_interval_ms", INTERVAL_MS);
	for (uint64_t i = 1; atomic_load(&syncs) < SYNCS && now_ms() < end; i++) {
		if (cidstore_mkkey(s, (struct cidstore_id){ i, i }))
			tap_bail("mkkey");
		pass_ms(1);
	}
	tap_int(syncs >= SYNCS, 1, "changes are synced without being asked");
	/* The first may be one of opening. */
	for (unsigned i = 2; i < SYNCS; i++)
		if (began[i] - began[i - 1] < shortest)
			shortest = began[i] - began[i - 1];
	tap_note("a sync begins %llu ms after the one before", (unsigned long long)shortest);
	tap_ok(shortest < INTERVAL_MS + SYNC_MS / 2,
	       "the interval is from one sync's begin to the next one's");
	if (cidstore_close(s))
		tap_bail("closing");
}

static void set_shorter(const char *dir)
{
	uint64_t end = now_ms() + DEADLINE_S * 1000;
	struct cidstore *s = opened(&cid_io_posix, dir);

	set(s, "sync_interval_ms", 3600000);
	pass_ms(300); /* the one before is over: who only now looks waits an hour */
	if (cidstore_mkkey(s, (struct cidstore_id){ 0, 1 }))
		tap_bail("mkkey");
	set(s, "sync_interval_ms", 10);
	while (cidstore_durable_seq(s) < cidstore_last_seq(s) && now_ms() < end)
		pass_ms(1);
	tap_ok(cidstore_durable_seq(s) == cidstore_last_seq(s),
	       "a shorter interval holds at once, not after the longer one");
	(void)cidstore_close(s);
}

int main(void)
{
	const struct cidstore_geometry geo = { .log_bytes = 4u << 20, .segment_bytes = 16u << 20 };
	const char *tmp = getenv("TMPDIR");
	struct cidstore_error err;
	char dir[200], command[300];

	tap_plan(3);
	(void)snprintf(dir, sizeof(dir), "%s/cid-interval-%d", tmp ? tmp : "/tmp", (int)getpid());
	if (cidstore_create(dir, &geo, &err))
		tap_bail("%s", err.message);
	writes_without_end(dir);
	set_shorter(dir);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		return 1;
	return tap_done();
}
