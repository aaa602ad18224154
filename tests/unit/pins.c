/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pins.c - the lowest pin of many readers, in whatever order they came
 *
 * The kernel answers with any of the locks that stand in the way, and with the
 * oldest of them as a rule.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tap.h"
#include "os/io.h"
#include "store/engine.h"

enum { HOLDERS = 200 };

static char dir[200];
static int fd[HOLDERS];

static uint64_t place(uint64_t slot)
{
	return CID_PAGE + slot * sizeof(struct cid_reader_slot);
}

static int open_readers(void)
{
	char path[240];
	int f;

	(void)snprintf(path, sizeof(path), "%s/" CID_READERS_NAME, dir);
	f = open(path, O_RDWR | O_CLOEXEC);
	if (f < 0)
		tap_bail("%s cannot be opened", path);
	return f;
}

static void hold(int f, uint64_t slot, uint64_t view, uint64_t snapshot)
{
	const struct cid_reader_slot mine = { view, snapshot };

	if (cid_io_posix.claim(NULL, f, place(slot)) != 0 ||
	    cid_io_write_full(&cid_io_posix, f, &mine, sizeof(mine), place(slot)) != 0)
		tap_bail("slot %llu cannot be had", (unsigned long long)slot);
}

static void release(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)close(fd[i]);
}

/* n holders of slots as `slot` has them; the lowest comes last. */
static void holders(struct cidstore *s, unsigned n, uint64_t (*slot)(unsigned i), const char *order)
{
	struct cid_reader_slot low;

	for (unsigned i = 0; i < n; i++) {
		fd[i] = open_readers();
		hold(fd[i], slot(i), 1000 - i, 2000 - i);
	}
	s->reader_pins.seen_epoch = 0; /* look now */
	low = cid_pins_lowest(s);
	tap_ok(low.view == 1001 - n && low.snapshot == 2001 - n, "%u readers, %s", n, order);
	release(n);
}

static uint64_t upwards(unsigned i)
{
	return i;
}

static uint64_t downwards(unsigned i)
{
	return 900 - i;
}

static uint64_t mixed(unsigned i)
{
	return (i * 397ull + 11) % CID_READER_SLOTS;
}

int main(void)
{
	struct cidstore_error err;
	struct cidstore *s;
	struct cid_reader_slot low;
	char cmd[240];

	(void)snprintf(dir, sizeof(dir), "%s/cid-pins-XXXXXX",
		       getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir) || cidstore_open(dir, CIDSTORE_CREATE | CIDSTORE_MANUAL, &s, &err))
		tap_bail("%s: %s", dir, err.message);
	s->reader_pins.seen_epoch = 0;
	low = cid_pins_lowest(s);
	tap_ok(low.view == UINT64_MAX && low.snapshot == UINT64_MAX, "nobody");
	holders(s, 2, downwards, "the later before the earlier");
	holders(s, HOLDERS, upwards, "upwards");
	holders(s, HOLDERS, downwards, "downwards, deeper than is gone into");
	holders(s, HOLDERS, mixed, "in no order");
	tap_int(cidstore_close(s), 0, "the store closes");
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	(void)!system(cmd);
	return tap_done();
}
