/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_mount.c - cidctl bench mount: bulk, lookups and listings through the file
 * system */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

#define RECORDS 32768u /* 1 MiB */
#define TURNS	3u

/* Runs a program to its end; its status, or -1. */
static int execute(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int mount_it(const struct cid_bench *b, const char *at)
{
	char self[1024], beside[1100];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *argv[] = { "cidstore", "-o", "create", b->store, at, NULL };
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL) {
		*slash = '\0';
		snprintf(beside, sizeof(beside), "%s/cidstore", self);
		if (access(beside, X_OK) == 0)
			argv[0] = beside;
	}
	if (mkdir(at, 0755) == 0 && execute(argv) == 0)
		return 0;
	cid_report("%s could not mount a store on %s", argv[0], at);
	return -1;
}

/* Returns when the daemon has let go of the store. */
static int unmount(const struct cid_bench *b, const char *at)
{
	const char *argv[] = { "fusermount3", "-u", at, NULL };
	char lock[1200];
	int fd, rc;

	rc = umount2(at, 0) == 0 ? 0 : execute(argv);
	snprintf(lock, sizeof(lock), "%s/LOCK", b->store);
	fd = open(lock, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		flock(fd, LOCK_EX);
		close(fd);
	}
	rmdir(at);
	if (rc != 0)
		cid_report("%s could not be unmounted", at);
	return rc == 0 ? 0 : -1;
}

struct piece {
	struct cidstore_pair pair[RECORDS];
	uint8_t record[RECORDS][32];
};

static size_t make(const struct cid_bench *b, struct piece *x, uint64_t i, uint64_t n)
{
	size_t m = n - i < RECORDS ? (size_t)(n - i) : RECORDS;

	for (size_t j = 0; j < m; j++) {
		x->pair[j] = cid_stream_pairs(b, i + j);
		cidstore_id_to_bytes(x->pair[j].key, x->record[j]);
		cidstore_id_to_bytes(x->pair[j].value, x->record[j] + 16);
	}
	return m;
}

static int said(const char *path)
{
	cid_report("%s: %s", path, strerror(errno));
	return -1;
}

static int by_mount(const struct cid_bench *b, const char *at, struct piece *x, uint64_t n,
		    double *seconds)
{
	char path[1200];
	double begin = cid_seconds();
	int fd;

	snprintf(path, sizeof(path), "%s/.cidstore/ingest", at);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return said(path);
	for (uint64_t i = 0; i < n; i += RECORDS) {
		size_t bytes = make(b, x, i, n) * sizeof(x->record[0]);
		const uint8_t *p = x->record[0];

		while (bytes > 0) {
			ssize_t w = write(fd, p, bytes);

			if (w <= 0) {
				close(fd);
				return said(path);
			}
			p += w;
			bytes -= (size_t)w;
		}
	}
	if (fsync(fd) != 0 || close(fd) != 0)
		return said(path);
	*seconds = cid_seconds() - begin;
	return 0;
}

static int by_library(const struct cid_bench *b, struct piece *x, uint64_t n, double *seconds)
{
	struct cidstore *s;
	double begin;
	int rc = 0;

	if (cid_bench_open(b, true, &s) != 0)
		return -1;
	begin = cid_seconds();
	for (uint64_t i = 0; rc == 0 && i < n; i += RECORDS)
		rc = cidstore_insert(s, x->pair, make(b, x, i, n), NULL);
	if (rc == 0)
		rc = cidstore_sync(s);
	*seconds = cid_seconds() - begin;
	cid_bench_check(rc, "insert");
	return cid_bench_close(s) != 0 || rc != 0 ? -1 : 0;
}

/* Names in a directory, and the seconds it takes to read them all. */
static int list(const char *path, uint64_t *names, double *seconds)
{
	double begin = cid_seconds();
	DIR *d = opendir(path);
	struct dirent *e;

	if (d == NULL)
		return said(path);
	*names = 0;
	errno = 0;
	while ((e = readdir(d)) != NULL)
		*names += e->d_name[0] != '.';
	if (errno != 0) {
		closedir(d);
		return said(path);
	}
	closedir(d);
	*seconds = cid_seconds() - begin;
	return 0;
}

static int listings(const struct cid_bench *b, const char *at, struct cid_result *r)
{
	struct cidstore_id key = cid_data_key(&b->data, 1ull << 40);
	char path[1200], name[33] = { 0 };
	uint64_t n;
	double t;
	struct piece *x = malloc(sizeof(*x));
	struct cid_bench one = *b;
	int rc;

	if (x == NULL)
		return cid_bench_check(CIDSTORE_ENOMEM, "listing");
	rc = list(at, &n, &t);
	if (rc == 0) {
		cid_result_add(r, "list_keys", (double)n / t, "/s");
		if (n != b->keys) {
			cid_report("%llu keys are listed", (unsigned long long)n);
			rc = -1;
		}
	}
	/* As many values again, of one key behind the others. */
	one.values = b->keys;
	one.keys = 1;
	one.spread = false;
	one.data.key = cid_mix(one.data.key);
	key = cid_data_key(&one.data, 0);
	cidstore_id_format(key, name);
	if (rc == 0)
		rc = by_mount(&one, at, x, one.values, &t);
	snprintf(path, sizeof(path), "%s/%s", at, name);
	if (rc == 0)
		rc = list(path, &n, &t);
	if (rc == 0) {
		cid_result_add(r, "list_values", (double)n / t, "/s");
		if (n != b->keys) {
			cid_report("%llu values are listed", (unsigned long long)n);
			rc = -1;
		}
	}
	free(x);
	return rc;
}

/* ---- the lookup stream ---- */

enum { ASKED = 65536, ROUNDS = 4 }; /* as many as may wait; the keys, so often */

struct questions {
	uint64_t number[ASKED];
	uint8_t key[ASKED][16];
	uint8_t answer[ASKED][24]; /* of keys with one value */
};

static int transfer(int fd, const char *path, struct questions *q, double *seconds)
{
	size_t at = 0;
	ssize_t n = 0;
	double begin = cid_seconds();

	while (at < sizeof(q->key) && (n = write(fd, q->key[0] + at, sizeof(q->key) - at)) > 0)
		at += (size_t)n;
	for (at = 0; n > 0 && at < sizeof(q->answer); at += (size_t)(n > 0 ? n : 0))
		n = read(fd, q->answer[0] + at, sizeof(q->answer) - at);
	*seconds += cid_seconds() - begin;
	return n > 0 ? 0 : said(path);
}

static uint64_t wrong_answers(const struct cid_bench *b, const struct questions *q)
{
	uint64_t wrong = 0;
	uint8_t want[24] = { 1 };

	for (unsigned i = 0; i < ASKED; i++) {
		cidstore_id_to_bytes(cid_data_value(&b->data, q->number[i], 0), want + 8);
		wrong += memcmp(want, q->answer[i], sizeof(want)) != 0;
	}
	return wrong;
}

/* Keys with one value each, drawn at random. */
static int lookups(const struct cid_bench *b, const char *at, struct cid_result *r)
{
	struct cid_draw draw = { b->seed };
	struct questions *q = malloc(sizeof(*q));
	uint64_t warming = (b->keys + ASKED - 1) / ASKED * ASKED, asked = 0, wrong = 0;
	char path[1200];
	double t = 0;
	int fd, rc = 0;

	if (q == NULL)
		return cid_bench_check(CIDSTORE_ENOMEM, "lookups");
	snprintf(path, sizeof(path), "%s/.cidstore/lookup", at);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		rc = said(path);
	while (rc == 0 && asked < ROUNDS * warming) {
		for (unsigned i = 0; i < ASKED; i++) {
			q->number[i] = cid_draw_below(&draw, b->keys);
			cidstore_id_to_bytes(cid_data_key(&b->data, q->number[i]), q->key[i]);
		}
		if (asked == warming)
			t = 0;
		rc = transfer(fd, path, q, &t);
		asked += ASKED;
		if (rc == 0)
			wrong += wrong_answers(b, q);
	}
	if (rc == 0) {
		cid_result_add(r, "lookup", (double)(asked - warming) / t, "/s");
		cid_result_bar(r, '>', 3e6);
		if (wrong != 0) {
			cid_report("%llu answers were wrong", (unsigned long long)wrong);
			rc = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	free(q);
	return rc;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	uint64_t n = b->keys * b->values;
	struct piece *x = malloc(sizeof(*x));
	double mounted = 0, direct = 0, t = 0;
	char at[1100];
	int rc = x == NULL ? cid_bench_check(CIDSTORE_ENOMEM, "mount") : 0;

	snprintf(at, sizeof(at), "%s/mnt", b->dir);
	for (unsigned turn = 0; rc == 0 && turn < TURNS; turn++) {
		rc = by_library(b, x, n, &t);
		direct += t;
		cid_bench_remove(b->store);
		if (rc != 0 || mount_it(b, at) != 0) {
			rc = -1;
			break;
		}
		rc = by_mount(b, at, x, n, &t);
		mounted += t;
		if (rc == 0 && turn + 1 == TURNS && b->values == 1)
			rc = lookups(b, at, r);
		if (rc == 0 && turn + 1 == TURNS)
			rc = listings(b, at, r);
		if (unmount(b, at) != 0)
			rc = -1;
		if (turn + 1 < TURNS)
			cid_bench_remove(b->store);
	}
	if (rc == 0) {
		cid_result_add(r, "ingest", TURNS * (double)n / mounted, "pairs/s");
		cid_result_add(r, "library", TURNS * (double)n / direct, "pairs/s");
		cid_result_add(r, "ingest_of_library", direct / mounted, "");
		cid_result_bar(r, '>', 0.8);
	}
	free(x);
	return rc;
}

const struct cid_bench_run cid_bench_mount = {
	"mount", "through a mount: ingest beside the library, lookups, listings", 1000000, 1, 0, run
};
