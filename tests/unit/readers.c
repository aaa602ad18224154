/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * readers.c - readers beside a writer at full speed that is killed
 *
 * usage: readers [SECONDS [READERS [MOUNTS [PYTHONS]]]]
 *
 * A key's set is one value, its version: transactions put the next in and take
 * the last out. A stream of other pairs comes and goes in bulk, so that there
 * are flushes, sweeps, splits and space to be used again. In memory that all
 * share, the writer notes what it begins and what was acknowledged. A reader
 * notes the acknowledged versions of some keys, waits for as long as it may
 * lag, and asks: exactly one value each, of a version not older than the noted
 * and not newer than was begun by then, and never an older one than it saw.
 * The writer is killed now and then, and recovers. Half of the readers cannot
 * pin; and half of either look at the writer's tables, the others make their own.
 *
 * Through a read-only mount the same is asked by names: what is in a key's
 * directory, its size, and whether the noted version is there, and the one to
 * come is not. A reader in Python (lib/readlive.py), which knows nothing but
 * HDF5, reads all of the store: the versions of all keys together must be those
 * after some transaction.
 */
#include <dirent.h>
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

#include "lib/tap.h"
#include "os/io.h"
#include "store/store.h"

enum { KEYS = 20000, GROUP = 16, MAX_READERS = 32, ASKED = 500, LAG_MS = 50, KEPT = 64 };
enum { SETS = 64, SET_VALUES = 1024 }; /* of the large ones */

/* The journal: a file, as a reader in Python maps it, too. */
struct shared {
	_Atomic uint64_t begun[KEYS], done[KEYS]; /* versions */
	_Atomic uint64_t made_by[KEYS][KEPT];	  /* the transaction of the last ones */
	_Atomic uint64_t stop, lives, changes, transactions;
	_Atomic uint64_t answers[MAX_READERS], refreshes[MAX_READERS], retries[MAX_READERS];
	char wrong[MAX_READERS][200];
};

static struct shared *sh;
static char dir[200], store[240], journal[240];
static uint64_t window = 400000; /* keys that come and go */

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void sleep_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static struct cidstore_id key_id(uint64_t k)
{
	return (struct cidstore_id){ 1, k };
}

static struct cidstore_id version_id(uint64_t k, uint64_t n)
{
	return (struct cidstore_id){ k ^ 0x5555555555555555ull, n };
}

/* ---- the writer ---- */

static _Noreturn void quit(const char *what, int rc)
{
	fprintf(stderr, "# writer: %s: %s\n", what, cidstore_strerror(rc));
	_exit(1);
}

/* What a killed one had begun is there or not: the store knows. */
static void settle(struct cidstore *s)
{
	for (uint64_t k = 0; k < KEYS; k++) {
		uint64_t n = sh->begun[k], total;
		struct cidstore_id v[2];
		int rc;

		if (n == sh->done[k])
			continue;
		rc = cidstore_get(s, key_id(k), v, 2, &total);
		if (rc == CIDSTORE_ENOENT && sh->done[k] == 0) {
			sh->made_by[k][1] = UINT64_MAX;
			sh->begun[k] = 0;
			continue;
		}
		if (rc || total != 1 || (v[0].low != n && v[0].low != n - 1))
			quit("a version was lost", rc ? rc : CIDSTORE_EINVAL);
		/* Readers may have seen the one begun only if it is there. */
		if (v[0].low != n)
			sh->made_by[k][n % KEPT] = UINT64_MAX;
		sh->begun[k] = sh->done[k] = v[0].low;
	}
}

static struct cidstore_id passing(uint64_t n)
{
	return (struct cidstore_id){ n % window * 0x9E3779B97F4A7C15ull, 2 };
}

/* Pairs of keys that come, and as many keys that go, half a window behind. */
static void churn(struct cidstore *s, uint64_t *at)
{
	struct cidstore_id gone[1024 / 5];
	struct cidstore_pair p[1024];

	for (unsigned i = 0; i < 1024; i++, ++*at)
		p[i] = (struct cidstore_pair){ passing(*at / 5), { *at, 3 } };
	for (unsigned i = 0; i < 1024 / 5; i++)
		gone[i] = passing(*at / 5 + window / 2 + i);
	if (cidstore_insert(s, p, 1024, NULL))
		quit("insert", CIDSTORE_EIO);
	if (cidstore_delete_keys(s, gone, 1024 / 5, NULL))
		quit("delete", CIDSTORE_EIO);
}

/* One large set comes whole, and another goes: there is something to collect. */
static void large(struct cidstore *s, uint64_t n)
{
	static struct cidstore_pair p[SET_VALUES];
	struct cidstore_id gone = { 1000 + (n + SETS / 2) % SETS, 4 };

	for (uint64_t i = 0; i < SET_VALUES; i++)
		p[i] = (struct cidstore_pair){ { 1000 + n % SETS, 4 }, { n, i } };
	if (cidstore_insert(s, p, SET_VALUES, NULL) || cidstore_delete_keys(s, &gone, 1, NULL))
		quit("large set", CIDSTORE_EIO);
}

static _Noreturn void writer(uint64_t seed)
{
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t at = seed;

	if (cidstore_open(store, 0, &s, &err))
		quit(err.message, err.code);
	settle(s);
	/* Readers that read all of it take their time. */
	(void)cidstore_config_set(s, "reader_grace_ms", 30000);
	while (!sh->stop) {
		struct cidstore_op op[2 * GROUP];
		uint64_t first = rnd(&seed) % (KEYS - GROUP);
		uint64_t number = ++sh->transactions;
		unsigned n = 0;
		int rc;

		churn(s, &at);
		if (number % 32 == 0)
			large(s, number / 32);
		for (uint64_t k = first; k < first + GROUP; k++) {
			uint64_t v = sh->begun[k] + 1;

			sh->made_by[k][v % KEPT] = number;
			sh->begun[k] = v;
			op[n++] = (struct cidstore_op){ CIDSTORE_OP_INSERT, key_id(k),
							version_id(k, v) };
			op[n++] = (struct cidstore_op){ CIDSTORE_OP_DELETE, key_id(k),
							version_id(k, v - 1) };
		}
		rc = cidstore_apply(s, op, n);
		if (rc)
			quit("apply", rc);
		for (uint64_t k = first; k < first + GROUP; k++)
			sh->done[k] = sh->begun[k];
		sh->changes += n + 1024 + 1024 / 5;
	}
	_exit(cidstore_close(s) ? 1 : 0);
}

/* ---- readers ---- */

static _Noreturn void reader(unsigned me)
{
	static uint64_t seen[KEYS];
	struct cid_io io = cid_io_posix;
	struct cidstore_stats st;
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t seed = 88172645463325252ull + me * 7919;

	if (me % 2)
		io.claim = NULL;
	if (me % 4 >= 2)
		io.borrow = NULL;
	if (cid_store_open_io(&io, store, CIDSTORE_RDONLY, &s, &err)) {
		(void)snprintf(sh->wrong[me], sizeof(sh->wrong[me]), "open: %.150s", err.message);
		_exit(1);
	}
	while (!sh->stop && !*sh->wrong[me]) {
		uint64_t key[ASKED], floor[ASKED];

		for (unsigned i = 0; i < ASKED; i++) {
			key[i] = rnd(&seed) % KEYS;
			floor[i] = sh->done[key[i]];
		}
		sleep_ms(LAG_MS);
		for (unsigned i = 0; i < ASKED; i++) {
			struct cidstore_id v[3];
			uint64_t total = 0, k = key[i], top, got;
			int rc = cidstore_get(s, key_id(k), v, 3, &total);

			top = sh->begun[k];
			if (rc == CIDSTORE_ENOENT)
				total = 0;
			got = rc == 0 && total == 1 ? v[0].low : 0;
			if ((rc && rc != CIDSTORE_ENOENT) || (rc == 0 && total != 1) ||
			    got < floor[i] || got > top || got < seen[k] ||
			    (got && v[0].high != version_id(k, 0).high)) {
				(void)snprintf(sh->wrong[me], sizeof(sh->wrong[me]),
					       "key %llu: %s, %llu values, version %llu, noted "
					       "%llu, begun %llu, seen %llu",
					       (unsigned long long)k, cidstore_strerror(rc),
					       (unsigned long long)total, (unsigned long long)got,
					       (unsigned long long)floor[i],
					       (unsigned long long)top,
					       (unsigned long long)seen[k]);
				break;
			}
			seen[k] = got;
			sh->answers[me]++;
		}
	}
	cidstore_stats(s, &st);
	sh->refreshes[me] = st.refreshes;
	sh->retries[me] = st.retries;
	_exit(cidstore_close(s) || *sh->wrong[me] ? 1 : 0);
}

/* ---- readers of a mount, and in Python ---- */

static char mount_dir[MAX_READERS][240];
static unsigned first_mount, first_python;

static void complain(unsigned me, const char *what, uint64_t k, uint64_t got, uint64_t floor,
		     uint64_t top)
{
	(void)snprintf(sh->wrong[me], sizeof(sh->wrong[me]),
		       "%s: key %llu: version %llu, noted %llu, begun %llu: %s", what,
		       (unsigned long long)k, (unsigned long long)got, (unsigned long long)floor,
		       (unsigned long long)top, strerror(errno));
}

static void path_of(unsigned me, uint64_t k, uint64_t version, char out[400])
{
	char name[2][33] = { { 0 }, { 0 } };

	cidstore_id_format(key_id(k), name[0]);
	cidstore_id_format(version_id(k, version), name[1]);
	(void)snprintf(out, 400, version ? "%s/%s/%s" : "%s/%s", mount_dir[me], name[0], name[1]);
}

/* A listing is not of one moment: a version that comes while another goes may be
 * listed with it, but not none at all. */
static bool list_key(unsigned me, uint64_t k, uint64_t floor, uint64_t seen[])
{
	uint64_t least = UINT64_MAX, most = 0;
	struct cidstore_id id;
	struct dirent *e;
	char path[400];
	DIR *d;

	path_of(me, k, 0, path);
	errno = 0;
	d = opendir(path);
	if (!d && errno == ENOENT && floor == 0 && seen[k] == 0)
		return true;
	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (cidstore_id_parse(e->d_name, strlen(e->d_name), &id) ||
		    id.high != version_id(k, 0).high)
			id.low = 0;
		least = id.low < least ? id.low : least;
		most = id.low > most ? id.low : most;
	}
	if (!d || closedir(d) || least < floor || most > sh->begun[k] || most < seen[k] ||
	    most == 0) {
		complain(me, "listing", k, most, floor, sh->begun[k]);
		return false;
	}
	seen[k] = least > seen[k] ? least : seen[k];
	return true;
}

static bool stat_key(unsigned me, uint64_t k, uint64_t floor)
{
	struct stat st;
	char path[400];

	path_of(me, k, 0, path);
	if (floor && (stat(path, &st) || st.st_size != 1)) {
		complain(me, "size", k, (uint64_t)st.st_size, floor, sh->begun[k]);
		return false;
	}
	path_of(me, k, floor, path);
	if (floor && stat(path, &st) && (errno != ENOENT || sh->begun[k] == floor)) {
		complain(me, "missing", k, 0, floor, sh->begun[k]);
		return false;
	}
	return true;
}

/* A version before the noted one is gone, one that is far from begun is not. */
static bool stat_absent(unsigned me, uint64_t k, uint64_t floor)
{
	struct stat st;
	char path[400];

	for (int i = 0; i < 2; i++) {
		uint64_t n = i ? sh->begun[k] + 1000 : floor - 1;

		path_of(me, k, n, path);
		errno = 0;
		if ((i || floor > 1) && (stat(path, &st) == 0 || errno != ENOENT)) {
			complain(me, "there", k, n, floor, sh->begun[k]);
			return false;
		}
	}
	return true;
}

static _Noreturn void mount_reader(unsigned me)
{
	static uint64_t seen[KEYS];
	uint64_t seed = 88172645463325252ull + me * 7919;

	while (!sh->stop && !*sh->wrong[me]) {
		uint64_t key[ASKED], floor[ASKED];

		for (unsigned i = 0; i < ASKED; i++) {
			key[i] = rnd(&seed) % KEYS;
			floor[i] = sh->done[key[i]];
		}
		sleep_ms(LAG_MS);
		for (unsigned i = 0; i < ASKED && !sh->stop; i++) {
			bool right = true;

			switch (i % 3) {
			case 0:
				right = list_key(me, key[i], floor[i], seen);
				break;
			case 1:
				right = stat_key(me, key[i], floor[i]);
				break;
			case 2:
				right = stat_absent(me, key[i], floor[i]);
				break;
			}
			if (!right)
				break;
			sh->answers[me]++;
		}
	}
	_exit(*sh->wrong[me] ? 1 : 0);
}

static _Noreturn void python_reader(unsigned me)
{
	const char *src = getenv("top_srcdir") ? getenv("top_srcdir") : "../..";
	char script[300], reader_py[300], arg[10][24], *argv[20] = { NULL };
	const uint64_t number[] = { KEYS,
				    KEPT,
				    offsetof(struct shared, begun),
				    offsetof(struct shared, done),
				    offsetof(struct shared, made_by),
				    offsetof(struct shared, stop),
				    offsetof(struct shared, answers[me]),
				    offsetof(struct shared, retries[me]),
				    offsetof(struct shared, wrong[me]) };
	int n = 0;

	(void)snprintf(script, sizeof(script), "%s/tests/lib/readlive.py", src);
	(void)snprintf(reader_py, sizeof(reader_py), "%s/scripts/read-store.py", src);
	argv[n++] = (char[]){ "/usr/bin/python3" };
	argv[n++] = script;
	argv[n++] = reader_py;
	argv[n++] = store;
	argv[n++] = journal;
	for (unsigned i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
		(void)snprintf(arg[i], sizeof(arg[i]), "%llu", (unsigned long long)number[i]);
		argv[n++] = arg[i];
	}
	execv(argv[0], argv);
	_exit(127);
}

static void run_mount(unsigned me, bool on)
{
	const char *build = getenv("top_builddir") ? getenv("top_builddir") : ".";
	char cmd[900];

	(void)snprintf(mount_dir[me], sizeof(mount_dir[me]), "%s/mnt%u", dir, me);
	if (on)
		(void)snprintf(cmd, sizeof(cmd), "mkdir '%s' && '%s/cidstore' -o ro '%s' '%s'",
			       mount_dir[me], build, store, mount_dir[me]);
	else
		(void)snprintf(cmd, sizeof(cmd), "fusermount3 -u '%s'", mount_dir[me]);
	if (system(cmd) && on)
		tap_bail("cannot mount: %s", cmd);
}

static pid_t spawn(bool writes, uint64_t n)
{
	pid_t p = fork();

	if (p < 0)
		tap_bail("fork");
	if (p == 0) {
		if (writes)
			writer(n | 1);
		if (n >= first_python)
			python_reader((unsigned)n);
		if (n >= first_mount)
			mount_reader((unsigned)n);
		reader((unsigned)n);
	}
	return p;
}

/* One of each, where they can be had. */
static unsigned can_mount(void)
{
	const char *build = getenv("top_builddir") ? getenv("top_builddir") : ".";
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/cidstore", build);
	return access(path, X_OK) == 0 && access("/dev/fuse", R_OK | W_OK) == 0;
}

static unsigned can_python(void)
{
	return system("/usr/bin/python3 -c 'import h5py' 2> /dev/null") == 0;
}

static void say_kind(const char *what, unsigned from, unsigned to)
{
	uint64_t answers = 0, refreshes = 0, retries = 0;

	for (unsigned i = from; i < to; i++) {
		answers += sh->answers[i];
		refreshes += sh->refreshes[i];
		retries += sh->retries[i];
	}
	if (from < to)
		tap_note("%u %s: %llu answers, %llu refreshes, %llu begun again", to - from, what,
			 (unsigned long long)answers, (unsigned long long)refreshes,
			 (unsigned long long)retries);
}

static void open_journal(void)
{
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s/cid-readers-XXXXXX",
		       getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(store, sizeof(store), "%s/store", dir);
	(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
	fd = open(journal, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*sh)))
		tap_bail("%s: %s", journal, strerror(errno));
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (sh == MAP_FAILED)
		tap_bail("%s: %s", journal, strerror(errno));
}

int main(int argc, char **argv)
{
	const struct cidstore_geometry geo = { .log_bytes = 4 << 20,
					       .segment_bytes = 64 << 20,
					       .bucket_bytes = 65536 };
	long secs = argc > 1 ? atol(argv[1]) : 10;
	unsigned readers = argc > 2 ? (unsigned)atoi(argv[2]) : 4, bad = 0, tries = 0;
	unsigned mounts = argc > 3 ? (unsigned)atoi(argv[3]) : can_mount();
	unsigned pythons = argc > 4 ? (unsigned)atoi(argv[4]) : can_python();
	pid_t child[MAX_READERS], w;
	struct cidstore_error err;
	struct cidstore_report rep;
	uint64_t answers = 0;
	time_t end = time(NULL) + secs;
	char cmd[260];
	int status;

	open_journal();
	first_mount = readers;
	first_python = readers + mounts;
	readers += mounts + pythons;
	if (readers > MAX_READERS)
		tap_bail("at most %d readers", MAX_READERS);
	if (pythons)
		window = 40000;
	if (cidstore_create(store, &geo, &err))
		tap_bail("cannot begin: %s", err.message);
	w = spawn(true, 1);
	for (unsigned i = first_mount; i < first_python; i++)
		run_mount(i, true);
	for (unsigned i = 0; i < readers; i++)
		child[i] = spawn(false, i);
	while (time(NULL) < end && bad == 0) {
		sleep_ms(500 + (long)(tries * 331 % 1500));
		if (waitpid(w, &status, WNOHANG) == w) {
			bad++;
			tap_note("the writer ended by itself");
			break;
		}
		kill(w, SIGKILL);
		waitpid(w, &status, 0);
		sh->lives++;
		for (unsigned i = 0; i < readers; i++)
			bad += *sh->wrong[i] != 0;
		/* Sometimes nobody writes for a while. */
		if (++tries % 3 == 0)
			sleep_ms(200);
		w = spawn(true, tries * 1000003ull);
	}
	sleep_ms(300);
	sh->stop = 1;
	waitpid(w, &status, 0);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the last writer closes the store");
	bad = 0;
	for (unsigned i = 0; i < readers; i++) {
		waitpid(child[i], &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) || *sh->wrong[i]) {
			tap_note("reader %u: status %d: %s", i, status, sh->wrong[i]);
			bad++;
		}
		bad += sh->answers[i] == 0;
		answers += sh->answers[i];
	}
	for (unsigned i = first_mount; i < first_python; i++)
		run_mount(i, false);
	tap_int(bad, 0, "%u readers: %llu answers, all right", readers,
		(unsigned long long)answers);
	say_kind("readers", 0, first_mount);
	say_kind("readers of mounts", first_mount, first_python);
	say_kind("readers in Python", first_python, readers);
	tap_note("%llu changes, %llu kills", (unsigned long long)sh->changes,
		 (unsigned long long)sh->lives);
	tap_int(cidstore_check(store, 0, NULL, NULL, &rep, &err), 0, "the store is checked");
	tap_int(rep.errors, 0, "and clean");
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	(void)!system(cmd);
	return tap_done();
}
