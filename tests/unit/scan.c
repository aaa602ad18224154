/* SPDX-License-Identifier: BSD-2-Clause */
/* scan.c - a listing while buckets are joined under it: nothing missed, nothing twice */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/tap.h"
#include "os/io.h"
#include "store/store.h"

enum { KEYS = 6000, KEPT_OF = 8, CAP = 4096, STEPS = 8 };

static struct cidstore *store;
static bool listing;
static unsigned looks, join_at; /* looks at the clock; from which one on buckets are joined */

/*
 * A listing looks at the clock between items: steps of maintenance come just
 * then. To the listing no time passes, so that no call of it is cut short; to
 * maintenance writers have been at rest for long.
 */
static uint64_t clock_and_join(void *self)
{
	static uint64_t now = 1;
	int more;

	(void)self;
	if (!listing)
		return now += 1000000000;
	listing = false;
	looks++;
	for (int i = 0; i < STEPS && looks >= join_at; i++)
		if (cidstore_step(store, &more))
			tap_bail("step");
	listing = true;
	return 1;
}

static struct cidstore_id key(uint64_t i)
{
	return (struct cidstore_id){ i, ~i };
}

static void list(unsigned when)
{
	static struct cidstore_item item[CAP];
	static unsigned char seen[KEYS];
	unsigned twice = 0, missed = 0, wrong = 0;
	struct cidstore_stats before, after;
	struct cidstore_pos pos = { 0 };
	size_t n;

	for (uint64_t i = 0; i < KEYS; i++) {
		struct cidstore_pair p = { key(i), key(i) };

		seen[i] = 0;
		if (cidstore_insert(store, &p, 1, NULL))
			tap_bail("insert");
	}
	if (cidstore_compact(store))
		tap_bail("compact");
	for (uint64_t i = 0; i < KEYS; i++) {
		struct cidstore_id k = key(i);

		if (i % KEPT_OF && cidstore_delete_keys(store, &k, 1, NULL))
			tap_bail("delete");
	}
	if (cidstore_checkpoint(store))
		tap_bail("checkpoint");
	/* Merged, but not joined: the directory is the same from here on. */
	for (cidstore_stats(store, &before); before.runs; cidstore_stats(store, &before)) {
		int more;

		if (cidstore_step(store, &more) || !more)
			tap_bail("step");
	}
	looks = 0;
	join_at = when;
	listing = true;
	do {
		if (cidstore_scan_keys(store, &pos, item, CAP, &n))
			tap_bail("scan");
		for (size_t i = 0; i < n; i++)
			if (item[i].id.high < KEYS)
				twice += seen[item[i].id.high]++ != 0;
	} while (n);
	listing = false;
	cidstore_stats(store, &after);
	for (uint64_t i = 0; i < KEYS; i++) {
		missed += i % KEPT_OF == 0 && !seen[i];
		wrong += i % KEPT_OF && seen[i];
	}
	tap_ok(after.buckets < before.buckets, "joined at look %u: %llu buckets, %llu before", when,
	       (unsigned long long)after.buckets, (unsigned long long)before.buckets);
	tap_int(twice, 0, "none is listed twice");
	tap_int(missed, 0, "none is missed");
	tap_int(wrong, 0, "none that was gone before");
}

int main(void)
{
	const struct cidstore_geometry geo = { .log_bytes = 1u << 20,
					       .segment_bytes = 16u << 20,
					       .bucket_bytes = 8192 };
	struct cid_io io = cid_io_posix;
	const char *tmp = getenv("TMPDIR");
	struct cidstore_error err;
	char dir[200], command[300];

	tap_plan(16);
	io.monotonic = clock_and_join;
	snprintf(dir, sizeof(dir), "%s/cid-scan-%d", tmp ? tmp : "/tmp", (int)getpid());
	if (cidstore_create(dir, &geo, &err) ||
	    cid_store_open_io(&io, dir, CIDSTORE_MANUAL, &store, &err))
		tap_bail("%s", err.message);
	list(2);
	list(20);
	list(30);
	list(50);
	if (cidstore_close(store))
		tap_bail("close");
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command) ? 1 : tap_done();
}
