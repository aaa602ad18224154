/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * copy.c - copies of a store in use
 *
 * usage: copy [SECONDS]
 *
 * First of a store at rest, with each system call failing in its turn: the
 * copy is whole or nothing is left of it, and it is a store only when all of it
 * is synced. Then beside a writer that inserts pair after pair and deletes the
 * oldest keys as fast as it can, and is killed: each copy holds exactly what
 * some prefix of its operations makes, not older than the call.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/faultio.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "store/store.h"

enum { BATCH = 1024, KEEP = 200, PER_KEY = 4 };

static const struct cidstore_geometry geo = {
	.log_bytes = 256u << 10, .segment_bytes = 4u << 20, .bucket_bytes = 8192, .hash_seed = 7
};
static char dir[200], store[240], dest[240];
static struct cidstore_error err;

static struct cidstore_pair pair_of(uint64_t i)
{
	return (struct cidstore_pair){ { i / PER_KEY * 0x9E3779B97F4A7C15ull, i / PER_KEY },
				       { i, i * 0xC2B2AE3D27D4EB4Full } };
}

/* One step of the writer: a batch in, the oldest keys out. */
static int write_batch(struct cidstore *s, uint64_t b)
{
	struct cidstore_pair p[BATCH];
	struct cidstore_id k[BATCH / PER_KEY];
	int rc;

	for (uint64_t i = 0; i < BATCH; i++)
		p[i] = pair_of(b * BATCH + i);
	rc = cidstore_insert(s, p, BATCH, NULL);
	if (rc || b < KEEP)
		return rc;
	for (uint64_t i = 0; i < BATCH / PER_KEY; i++)
		k[i] = pair_of((b - KEEP) * BATCH + i * PER_KEY).key;
	return cidstore_delete_keys(s, k, BATCH / PER_KEY, NULL);
}

/* The pairs from *first up to *end, and no others; false if it is not so. */
static bool window(const char *path, uint64_t *first, uint64_t *end)
{
	static struct cidstore_pair p[4096];
	static struct cidstore_id k[16];
	struct cidstore_snapshot *v;
	struct cidstore *s;
	uint64_t low = UINT64_MAX, high = 0, n = 0;
	size_t pairs = 0, keys = 0;
	bool right = true;

	if (cidstore_open(path, CIDSTORE_RDONLY, &s, &err))
		return false;
	if (cidstore_snapshot_open(s, &v)) {
		(void)cidstore_close(s);
		return false;
	}
	do {
		right &= cidstore_snapshot_read(v, p, 4096, &pairs, k, 16, &keys) == 0 && keys == 0;
		for (size_t i = 0; right && i < pairs; i++, n++) {
			uint64_t x = p[i].value.high;
			struct cidstore_pair want = pair_of(x);

			right &= memcmp(&want, &p[i], sizeof(want)) == 0;
			low = x < low ? x : low;
			high = x > high ? x : high;
		}
	} while (right && pairs);
	cidstore_snapshot_close(v);
	(void)cidstore_close(s);
	*first = n ? low : 0;
	*end = n ? high + 1 : 0;
	return right && n == *end - *first;
}

static bool clean(const char *path)
{
	struct cidstore_report rep;

	return cidstore_check(path, 0, NULL, NULL, &rep, &err) == 0 && rep.errors == 0 &&
	       rep.leaked_bytes == 0;
}

static int count_name(void *arg, const char *name)
{
	(void)name;
	++*(int *)arg;
	return 0;
}

static int names_in_dir(void)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY), n = 0;

	if (fd < 0 || cid_io_posix.list(NULL, fd, count_name, &n))
		tap_bail("%s: cannot be listed", dir);
	close(fd);
	return n;
}

/* ---- at rest ---- */

static void make_store(uint64_t batches)
{
	struct cidstore *s;
	int rc = cidstore_create(store, &geo, &err) || cidstore_open(store, 0, &s, &err);

	for (uint64_t b = 0; rc == 0 && b < batches; b++)
		rc = write_batch(s, b);
	if (rc || cidstore_close(s))
		tap_bail("cannot make a store: %s", err.message);
}

static void at_rest(void)
{
	struct cidstore_copied out = { 0 };
	struct cidstore_stats st;
	struct cidstore_pair p = pair_of(0);
	struct cidstore *s;
	uint64_t first, end;

	tap_int(cidstore_snapshot_copy(store, dest, NULL, NULL, &out, &err), 0,
		"a copy is made: %s", err.message);
	tap_ok(clean(dest), "and is clean");
	tap_ok(window(dest, &first, &end) && first == 10 * BATCH && end == (KEEP + 10) * BATCH,
	       "and complete");
	if (cidstore_open(dest, 0, &s, &err))
		tap_bail("the copy cannot be opened: %s", err.message);
	cidstore_stats(s, &st);
	tap_int(st.last_seq, out.seq, "it ends with the change that was told");
	tap_int(cidstore_insert(s, &p, 1, NULL), 0, "it takes changes");
	tap_int(cidstore_close(s), 0, "and is closed");
	tap_ok(clean(dest), "and is clean after that");
	tap_ok(clean(store) && window(store, &first, &end) && first == 10 * BATCH,
	       "the store is what it was");
	tap_int(cidstore_snapshot_copy(store, dest, NULL, NULL, &out, &err), CIDSTORE_EEXIST,
		"nothing is copied over what is there");
	remove_store(dest);
	(void)mkdir(dest, 0755);
	tap_int(cidstore_snapshot_copy(store, dest, NULL, NULL, &out, &err), 0,
		"but for an empty directory");
	remove_store(dest);
	tap_int(cidstore_snapshot_copy(store, "/nowhere/x", NULL, NULL, NULL, &err),
		CIDSTORE_ENOENT, "the directory around it must be there");
	tap_int(cidstore_snapshot_copy(dir, dest, NULL, NULL, NULL, &err), CIDSTORE_ENOTSTORE,
		"of what is no store there is no copy");
	tap_int(names_in_dir(), 1, "nothing is left of those");
}

static int stop_at(void *arg, uint64_t done, uint64_t all)
{
	return done > all / 2 ? *(int *)arg : 0;
}

static void cancelled(void)
{
	int code = 77;

	tap_int(cidstore_snapshot_copy(store, dest, stop_at, &code, NULL, &err), 77,
		"a copy is ended by its caller");
	tap_int(names_in_dir(), 1, "and nothing is left of it");
}

/* ---- each call fails ---- */

static void faults(void)
{
	static const int errors[] = { EIO, ENOSPC };
	unsigned runs = 0, wrong = 0, made = 0;

	for (int k = 0; k < FAULT_MEMORY; k++) {
		struct fault f = { .kind = (enum fault_kind)k };

		for (uint64_t n = 1;; n += n < 40 ? 1 : 37) {
			uint64_t first, end;
			int rc;

			f.number = n;
			f.error = errors[n % 2];
			fault_set(&f);
			rc = cid_store_copy_io(&fault_io, store, dest, NULL, NULL, NULL, &err);
			if (fault_state.open_files || fault_state.mappings) {
				tap_note("%s %d: left open", fault_kind_name[k], (int)n);
				wrong++;
			}
			/* What came first may be gone where the second call fails too. */
			if (rc == 0 && (!window(dest, &first, &end) || end != (KEEP + 10) * BATCH ||
					!clean(dest))) {
				tap_note("%s %d: a wrong copy", fault_kind_name[k], (int)n);
				wrong++;
			}
			if (rc == 0) {
				made++;
				remove_store(dest);
			}
			if (names_in_dir() != 1) {
				tap_note("%s %d: something is left: %s", fault_kind_name[k], (int)n,
					 err.message);
				wrong++;
				tap_bail("cannot go on");
			}
			runs++;
			if (!fault_state.fired)
				break;
			if (rc == 0 && (k == FAULT_SYNC || k == FAULT_SYNC_DIR ||
					k == FAULT_RENAME || k == FAULT_WRITE)) {
				tap_note("%s %d: nobody minded", fault_kind_name[k], (int)n);
				wrong++;
			}
		}
	}
	tap_int(wrong, 0, "%u calls fail, %u copies are made all the same", runs, made);
}

/* ---- what is synced when ---- */

static struct {
	bool dirty[1024], created[1024];
	int dirfd; /* the last one synced before the name is given */
	unsigned unsynced, named, syncs_after_name;
} order;

static int o_open(void *self, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = cid_io_posix.open(self, dirfd, name, flags, mode);

	if (fd >= 0 && fd < 1024)
		order.created[fd] = order.dirty[fd] = flags & O_CREAT;
	return fd;
}

static int o_close(void *self, int fd)
{
	/* cid_readers_create leaves it to others. */
	if (order.created[fd] && order.dirty[fd])
		order.unsynced++;
	order.created[fd] = false;
	return cid_io_posix.close(self, fd);
}

static ssize_t o_pwrite(void *self, int fd, const void *buf, size_t n, uint64_t off)
{
	order.dirty[fd] = true;
	return cid_io_posix.pwrite(self, fd, buf, n, off);
}

static ssize_t o_copy(void *self, int from, int to, uint64_t off, uint64_t n)
{
	order.dirty[to] = true;
	return cid_io_posix.copy(self, from, to, off, n);
}

static int o_sync(void *self, int fd)
{
	order.dirty[fd] = false;
	return cid_io_posix.sync(self, fd);
}

static int o_sync_dir(void *self, int fd)
{
	order.dirfd = fd;
	order.syncs_after_name += order.named > 0;
	return cid_io_posix.sync_dir(self, fd);
}

static int o_rename(void *self, int dirfd, const char *from, const char *to)
{
	struct stat last, here;

	/* The directory before it gets its name, its parent before main.h5 does. */
	if (order.named == 0)
		tap_ok(order.dirfd > 0 && order.dirfd != dirfd,
		       "the directory is synced, then named");
	else
		tap_ok(fstat(order.dirfd, &last) == 0 && fstat(dirfd, &here) == 0 &&
			       last.st_ino != here.st_ino && strcmp(to, "main.h5") == 0,
		       "its parent is synced, then main.h5 named");
	order.named++;
	return cid_io_posix.rename(self, dirfd, from, to);
}

static void syncs(void)
{
	struct cid_io io = cid_io_posix;

	io.open = o_open;
	io.close = o_close;
	io.pwrite = o_pwrite;
	io.copy = o_copy;
	io.sync = o_sync;
	io.sync_dir = o_sync_dir;
	io.rename = o_rename;
	memset(&order, 0, sizeof(order));
	tap_int(cid_store_copy_io(&io, store, dest, NULL, NULL, NULL, &err), 0, "a copy");
	tap_int(order.unsynced, 1, "each file is synced, `readers` when it is opened again");
	tap_int(order.named, 2, "two names are given");
	tap_int(order.syncs_after_name, 2, "and both synced");
	remove_store(dest);
}

/* ---- beside a writer ---- */

struct shared {
	_Atomic uint64_t begun, done; /* pairs */
	_Atomic bool stop;
};
static struct shared *sh;

static _Noreturn void writer(void)
{
	struct cidstore *s;
	uint64_t first, end;
	bool mid;

	/* What a killed one left: half a batch, or one whose keys are not out. */
	if (!window(store, &first, &end))
		_exit(2);
	if (cidstore_open(store, 0, &s, &err))
		_exit(3);
	mid = end % BATCH || (end / BATCH > KEEP && first < (end / BATCH - KEEP) * BATCH);
	for (uint64_t b = end / BATCH - (mid && end % BATCH == 0); !sh->stop; b++) {
		sh->begun = (b + 1) * BATCH;
		if (write_batch(s, b))
			_exit(4);
		sh->done = (b + 1) * BATCH;
	}
	_exit(cidstore_close(s) ? 5 : 0);
}

static pid_t start_writer(void)
{
	pid_t p = fork();

	if (p < 0)
		tap_bail("fork");
	if (p == 0)
		writer();
	return p;
}

/* Kills the writer and starts it again, until told to stop. */
static _Noreturn void killer(void)
{
	pid_t w = start_writer();
	int status;

	for (unsigned i = 0; !sh->stop; i++) {
		const struct timespec t = { 0, 300000000 + i * 71 % 400 * 1000000 };

		(void)nanosleep(&t, NULL);
		if (sh->stop)
			break;
		kill(w, SIGKILL);
		if (waitpid(w, &status, 0) != w || !WIFSIGNALED(status)) {
			tap_note("the writer ended by itself: %d", status);
			_exit(1);
		}
		w = start_writer();
	}
	waitpid(w, &status, 0);
	_exit(status ? 1 : 0);
}

static bool one_copy(unsigned number)
{
	uint64_t sure = sh->done, first, end, begun;
	struct cidstore_copied out;
	bool whole;

	if (cidstore_snapshot_copy(store, dest, NULL, NULL, &out, &err)) {
		tap_note("copy %u: %s", number, err.message);
		return false;
	}
	begun = sh->begun;
	whole = window(dest, &first, &end) && clean(dest);
	/* Keys of a batch go after the batch that is KEEP behind it came, and
	 * before the next one. */
	if (!whole || end < sure || end > begun || first % PER_KEY ||
	    (end > KEEP * BATCH && (first > (end / BATCH - KEEP) * BATCH ||
				    first < ((end + BATCH - 1) / BATCH - KEEP - 1) * BATCH))) {
		tap_note("copy %u: %s, pairs %llu to %llu; %llu were acknowledged, %llu begun: %s",
			 number, whole ? "whole" : "not whole", (unsigned long long)first,
			 (unsigned long long)end, (unsigned long long)sure,
			 (unsigned long long)begun, err.message);
		return false;
	}
	return true;
}

static void beside(long seconds)
{
	time_t until = time(NULL) + seconds;
	unsigned copies = 0, wrong = 0;
	int status;
	pid_t k;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		tap_bail("mmap");
	sh->begun = sh->done = (KEEP + 10) * BATCH; /* at_rest's */
	k = fork();
	if (k < 0)
		tap_bail("fork");
	if (k == 0)
		killer();
	while ((time(NULL) < until || copies < 3) && wrong == 0) {
		wrong += !one_copy(copies++);
		if (wrong == 0)
			remove_store(dest);
	}
	sh->stop = true;
	waitpid(k, &status, 0);
	tap_int(wrong, 0, "%u copies beside a writer that is killed", copies);
	tap_int(status, 0, "which wrote %llu pairs and ended well", (unsigned long long)sh->done);
	tap_ok(clean(store), "its store is clean");
}

int main(int argc, char **argv)
{
	const struct fault none = { 0 };

	(void)snprintf(dir, sizeof(dir), "%s/cid-copy-XXXXXX",
		       getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(store, sizeof(store), "%s/store", dir);
	(void)snprintf(dest, sizeof(dest), "%s/copy", dir);
	fault_set(&none);
	make_store(KEEP + 10);
	at_rest();
	cancelled();
	syncs();
	faults();
	beside(argc > 1 ? atol(argv[1]) : 6);
	remove_store(dest);
	remove_store(store);
	(void)rmdir(dir);
	return tap_done();
}
