/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nospace.c - when a writer takes the disk for full
 *
 * The file system says how much is free by a script: what is refused is refused
 * because it stays full, not because it was full when it was asked. And what a
 * full disk made necessary is over when there is space again.
 */
#include <errno.h>
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
	tap_ok(cidstore_contains(s, key_id(1), value_id(1)) == (rc ? CIDSTORE_ENOENT : 0),
	       "and is true");
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

/* Opened for a store in a new directory, over `io` and the script. */
static void fresh(struct cid_io *io, const struct cidstore_geometry *g, unsigned flags)
{
	struct cidstore_error err;

	remove_store(dir);
	io->space = space;
	atomic_store(&full_for, 0);
	if (cid_store_create_io(&cid_io_posix, dir, g, &err) ||
	    cid_store_open_io(io, dir, flags, &s, &err))
		tap_bail("%s", err.message);
}

static int insert_many(unsigned from, unsigned n)
{
	static struct cidstore_pair p[1000];

	for (unsigned at = 0; at < n; at += 1000) {
		int rc;

		for (unsigned i = 0; i < 1000; i++)
			p[i] = (struct cidstore_pair){ key_id(from + at + i), value_id(i) };
		rc = cidstore_insert(s, p, 1000, NULL);
		if (rc)
			return rc;
	}
	return 0;
}

/* One bucket, and then so much behind it that it would fill a segment: it is split
 * though the disk is full. */
static void burst(unsigned flags)
{
	const struct cidstore_geometry one = { .log_bytes = 256 << 10, .segment_bytes = 4 << 20,
						.bucket_bytes = 512 << 10 };
	struct cid_io io = cid_io_posix;

	fresh(&io, &one, flags);
	if (insert_many(20000000, 1000) || cidstore_compact(s) || insert_many(0, 87000))
		tap_bail("insert");
	atomic_store(&full_for, -1);
	for (unsigned i = 0; i < 400 && insert_many(5000000 + i * 1000, 1000) == 0; i++)
		;
	if (flags & CIDSTORE_MANUAL)
		tap_int(cidstore_compact(s), 0, "a large bucket is split on a full disk");
	atomic_store(&full_for, 0);
	tap_int(cidstore_compact(s), 0, "and when there is space again");
	tap_int(insert(1), 0, "more is taken");
	tap_ok(cid_view_now(s)->dir->depth > 0, "into several buckets");
	tap_int(cidstore_close(s), 0, "closed");
}

static int meta_fd = -1;
static unsigned failing; /* so many writes to the pool of the directory */

static ssize_t pwrite_or_full(void *self, int fd, const void *buf, size_t n, uint64_t off)
{
	if (fd == meta_fd && failing) {
		failing--;
		return -ENOSPC;
	}
	return cid_io_posix.pwrite(self, fd, buf, n, off);
}

/* A checkpoint flushes all there is or says that it did not. */
static void checkpoints(void)
{
	struct cid_io io = cid_io_posix;
	unsigned n = 0;

	io.pwrite = pwrite_or_full;
	fresh(&io, &geo, CIDSTORE_MANUAL);
	meta_fd = s->pool[CID_POOL_META].seg[0].fd;
	for (unsigned fail = 1; fail < 4; fail++) {
		int rc;

		while (!cid_view_now(s)->frozen)
			if (insert(n++))
				tap_bail("insert");
		for (unsigned i = 0; i < 100; i++)
			if (insert(n++))
				tap_bail("insert");
		failing = fail;
		rc = cidstore_checkpoint(s);
		tap_ok(rc ? rc == CIDSTORE_ENOSPC : cid_view_now(s)->active->count == 0,
		       "after %u writes that failed it answers %d, and is right", fail, rc);
		failing = 0;
		tap_int(rc ? cidstore_checkpoint(s) : 0, 0, "with space it is made");
		tap_int(insert(n++), 0, "and more is taken");
	}
	meta_fd = -1;
	tap_int(cidstore_close(s), 0, "closed");
}

/* A failed step's space is given back like any other. */
static void failed_steps(void)
{
	struct cid_io io = cid_io_posix;
	struct cid_space *sp;
	uint64_t pos;

	fresh(&io, &geo, CIDSTORE_MANUAL);
	sp = &s->space;
	for (int i = 0; i < 3; i++) {
		cid_space_begin(sp);
		if (cid_space_alloc(sp, CID_POOL_PARTS, 300, &pos))
			tap_bail("alloc");
		cid_space_end(sp, false);
		while (cid_space_punch(sp, CID_PUNCH_PAGES))
			;
		tap_int(sp->p[CID_POOL_PARTS].blocks[pos / CID_PAGE / 64] >> (pos / CID_PAGE % 64) & 1, 0,
			"what a failed step wrote is given back");
	}
	cid_space_begin(sp);
	tap_int(cid_space_alloc(sp, CID_POOL_PARTS, (4 << 20) / CID_PAGE, &pos), CIDSTORE_ETOOBIG,
		"what is larger than a segment does not make a disk full");
	cid_space_end(sp, false);
	tap_int(cidstore_close(s), 0, "closed");
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
	burst(0);
	burst(CIDSTORE_MANUAL);
	checkpoints();
	failed_steps();
	remove_store(dir);
	return tap_done();
}
