/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nospace.c - when a writer takes the disk for full
 *
 * The file system says how much is free by a script: what is refused is refused
 * because it stays full, not because it was full when it was asked.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/ids.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "os/io.h"
#include "store/engine.h"

static const struct cidstore_geometry geo = { .log_bytes = 256 << 10, .segment_bytes = 4 << 20,
					       .bucket_bytes = 8192 };
static char dir[200];
static struct cidstore *s;
static _Atomic int full_for; /* so many more answers; -1: all */

static int space(void *self, int fd, uint64_t *free_bytes)
{
	int n = atomic_load(&full_for);

	(void)self;
	(void)fd;
	if (n > 0)
		atomic_fetch_sub(&full_for, 1);
	*free_bytes = n ? 4096 : 1ull << 40;
	return 0;
}

static int insert(unsigned n)
{
	struct cidstore_pair p = { key_id(n), value_id(n) };

	return cidstore_insert(s, &p, 1, NULL);
}

/* The answer of an insertion that asks the file system: not each one does. */
static int asked_to_insert(int full, unsigned flags)
{
	struct cid_io io = cid_io_posix;
	struct cidstore_error err;
	int rc;

	io.space = space;
	atomic_store(&full_for, full);
	if (cid_store_open_io(&io, dir, flags, &s, &err))
		tap_bail("%s", err.message);
	rc = insert(1);
	tap_ok(cidstore_contains(s, key_id(1), value_id(1)) == (rc ? CIDSTORE_ENOENT : 0), "and is true");
	if (rc == CIDSTORE_ENOSPC) {
		tap_ok(insert(2) == rc, "the next one, too");
		atomic_store(&full_for, 0);
		(void)cidstore_wait_idle(s);
		tap_ok(insert(2) == 0, "until there is space again");
		(void)cidstore_delete_keys(s, (struct cidstore_id[]){ key_id(2) }, 1, NULL);
	}
	(void)cidstore_delete_keys(s, (struct cidstore_id[]){ key_id(1) }, 1, NULL);
	atomic_store(&full_for, 0);
	if (cidstore_close(s))
		tap_bail("close");
	return rc;
}

int main(void)
{
	struct cidstore_error err;
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(dir, sizeof(dir), "%s/cid-nospace-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		tap_bail("mkdtemp");
	if (cid_store_create_io(&cid_io_posix, dir, &geo, &err))
		tap_bail("%s", err.message);
	tap_ok(asked_to_insert(0, 0) == 0, "there is space");
	tap_ok(asked_to_insert(1, 0) == 0, "the disk was full, and maintenance gave back enough");
	tap_ok(asked_to_insert(-1, 0) == CIDSTORE_ENOSPC, "the disk stays full");
	tap_ok(asked_to_insert(-1, CIDSTORE_MANUAL) == CIDSTORE_ENOSPC,
	   "nobody waits for maintenance that does not run by itself");
	remove_store(dir);
	return tap_done();
}
