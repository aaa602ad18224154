/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile.c - a store in surroundings that mean it no good */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/tap.h"
#include "os/io.h"
#include "store/store.h"

static char base[64] = "hostile.XXXXXX";
static char dir[128], other[160];

static const struct cidstore_geometry geo = { .log_bytes = 256 << 10, .segment_bytes = 4 << 20 };

static const char *at(const char *name)
{
	static char path[420];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void shell(const char *command)
{
	if (system(command) != 0)
		tap_bail("%s", command);
}

static int fill(struct cidstore *s, uint64_t from, uint64_t n)
{
	static struct cidstore_pair p[1000];

	for (uint64_t i = 0; i < n; i++)
		p[i] = (struct cidstore_pair){ { from + i, 1 }, { i, 2 } };
	return cidstore_insert(s, p, (size_t)n, NULL);
}

static void fresh(const char *name)
{
	struct cidstore_error err;

	(void)snprintf(dir, sizeof(dir), "%s/%s", base, name);
	if (cidstore_create(dir, &geo, &err) != 0)
		tap_bail("%s", err.message);
}

static int opened(unsigned flags, struct cidstore_error *err)
{
	struct cidstore *s;
	int rc = cidstore_open(dir, flags, &s, err);

	if (rc == 0)
		rc = cidstore_close(s);
	return rc;
}

static void environment(void)
{
	struct cidstore_error err;

	(void)setenv("HDF5_DRIVER", "nonsense", 1);
	(void)setenv("HDF5_PLUGIN_PATH", "/nowhere", 1);
	(void)setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
	(void)setenv("OTHER", "1", 1);
	(void)snprintf(dir, sizeof(dir), "%s/none", base);
	(void)opened(0, &err);
	tap_ok(!getenv("HDF5_DRIVER") && !getenv("HDF5_PLUGIN_PATH") &&
		       !getenv("HDF5_USE_FILE_LOCKING"),
	       "opening for writing removes what HDF5 listens to, before anything else");
	tap_ok(getenv("OTHER") != NULL, "and nothing else");
}

/* What others may not change: everything. */
static void modes(void)
{
	mode_t old = umask(0);
	struct cidstore *s;
	struct cidstore_error err;
	struct dirent *e;
	struct stat st;
	unsigned files = 0, open_to_others = 0;
	DIR *d;

	fresh("modes");
	if (cidstore_open(dir, CIDSTORE_MANUAL, &s, &err) != 0)
		tap_bail("%s", err.message);
	for (uint64_t i = 0; i < 100; i++)
		(void)fill(s, i * 1000, 1000);
	(void)cidstore_compact(s); /* more segments */
	d = opendir(dir);
	while (d && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, "..") == 0 || stat(at(e->d_name), &st) != 0)
			continue;
		files++;
		open_to_others += (st.st_mode & S_IWOTH) != 0;
	}
	(void)closedir(d);
	tap_ok(files > 7 && open_to_others == 0, "without an umask none of %u files is open to "
						  "others for writing", files);
	tap_int(cidstore_close(s), 0, "closed");
	(void)umask(old);
}

/* Each file of a store in turn is a link to the same file elsewhere. */
static void links(void)
{
	static const char *const file[] = { "LOCK", "main.h5", "wal-0.h5", "deletions-0.h5",
					    "directory-0.h5", "buckets-0.h5", "values-0.h5" };
	struct cidstore_error err;
	char to[200], command[2000];

	fresh("links");
	(void)snprintf(other, sizeof(other), "%s/elsewhere", base);
	if (mkdir(other, 0755) != 0)
		tap_bail("mkdir");
	for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
		(void)snprintf(to, sizeof(to), "%s/%s", other, file[i]);
		(void)snprintf(command, sizeof(command), "mv '%s' '%s' && ln -s \"$PWD/%s\" '%s'",
			       at(file[i]), to, to, at(file[i]));
		shell(command);
		tap_ok(opened(0, &err) != 0 && err.message[0], "%s is not opened by a link",
		       file[i]);
		if (i > 0)
			tap_ok(opened(CIDSTORE_RDONLY, &err) != 0, "nor for reading");
		if (unlink(at(file[i])) != 0 || rename(to, at(file[i])) != 0)
			tap_bail("rename");
	}
	tap_int(opened(0, &err), 0, "without links it is");
	(void)snprintf(command, sizeof(command), "ln -s \"$PWD/%s\" '%s/link'", dir, base);
	shell(command);
	(void)snprintf(dir, sizeof(dir), "%s/link", base);
	tap_int(opened(0, &err), CIDSTORE_ENOTSTORE, "a link to a store is none");
}

/* Something that blocks whoever opens it. */
static void pipes(void)
{
	static const char *const file[] = { "main.h5", "wal-0.h5", "values-0.h5" };
	struct cidstore_error err;
	char command[1000];

	for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
		char name[20];

		(void)snprintf(name, sizeof(name), "pipe%zu", i);
		fresh(name);
		(void)snprintf(command, sizeof(command), "rm '%s'", at(file[i]));
		shell(command);
		if (mkfifo(at(file[i]), 0644) != 0)
			tap_bail("mkfifo");
		alarm(tap_deadline());
		tap_ok(opened(CIDSTORE_RDONLY, &err) != 0 && opened(0, &err) != 0 &&
			       opened(CIDSTORE_CREATE, &err) != 0,
		       "a pipe as %s is refused, at once", file[i]);
		alarm(0);
	}
}

static unsigned open_files(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (d && readdir(d) != NULL)
		n++;
	if (d)
		(void)closedir(d);
	return n;
}

/* With ever more descriptors to be had: refusals first, then it works. */
static void descriptors(void)
{
	struct rlimit old, few;
	struct cidstore_error err;
	unsigned before, refused = 0;
	bool said = true;
	int rc = -1;

	fresh("descriptors");
	(void)getrlimit(RLIMIT_NOFILE, &old);
	before = open_files();
	for (rlim_t n = 3; rc != 0 && n < 40; n++) {
		few = old;
		few.rlim_cur = n;
		(void)setrlimit(RLIMIT_NOFILE, &few);
		rc = opened(0, &err);
		(void)setrlimit(RLIMIT_NOFILE, &old);
		if (rc != 0) {
			refused++;
			said = said && strstr(err.message, "Too many open files") != NULL;
		}
	}
	tap_ok(rc == 0 && refused > 3, "too few descriptors %u times, then enough", refused);
	tap_ok(said, "which was said each time");
	tap_int((int)open_files(), (int)before, "none stays open");
}

/* ---- a clock that goes back ---- */

static uint64_t day = 100;

static uint64_t backwards(void *self)
{
	(void)self;
	return --day * 86400000000000ull;
}

static void clocks(void)
{
	struct cid_io io = cid_io_posix;
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t count;
	bool good = true;

	io.realtime = backwards;
	fresh("clock");
	for (uint64_t i = 0; i < 5; i++) {
		if (cid_store_open_io(&io, dir, i % 2 ? CIDSTORE_MANUAL : 0, &s, &err) != 0)
			tap_bail("%s", err.message);
		good = good && fill(s, i * 1000, 1000) == 0 && cidstore_sync(s) == 0;
		for (uint64_t k = 0; k < i * 1000; k += 77)
			good = good && cidstore_count(s, (struct cidstore_id){ k, 1 }, &count) == 0;
		good = good && (i == 3 || cidstore_checkpoint(s) == 0);
		good = good && cidstore_close(s) == 0;
	}
	tap_ok(good, "a clock that goes back a day at each look changes nothing");
}

/* A reader that began and does not go on. */
static void slow_reader(void)
{
	static struct cidstore_pair p[10];
	struct cidstore_id k[10];
	struct cidstore_snapshot *v;
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t seen = 0;
	size_t n, m;
	bool good = true;

	fresh("slow");
	if (cidstore_open(dir, 0, &s, &err) != 0 || fill(s, 0, 1000) != 0)
		tap_bail("%s", err.message);
	if (cidstore_snapshot_open(s, &v) != 0 ||
	    cidstore_snapshot_read(v, p, 10, &n, k, 10, &m) != 0)
		tap_bail("snapshot");
	seen = n;
	for (uint64_t i = 1; i < 60; i++) /* many logs full */
		good = good && fill(s, i * 1000, 1000) == 0;
	good = good && cidstore_compact(s) == 0 && cidstore_sync(s) == 0;
	tap_ok(good, "writers and maintenance go on beside a reader that does not");
	while (cidstore_snapshot_read(v, p, 10, &n, k, 10, &m) == 0 && (n || m))
		seen += n;
	tap_int((long)seen, 1000, "which finds what it began with");
	cidstore_snapshot_close(v);
	tap_int(cidstore_close(s), 0, "closed");
}

/* The directory goes while it is open. */
static void vanishing(void)
{
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t count;
	char command[400];
	int rc = 0;

	fresh("vanish");
	if (cidstore_open(dir, 0, &s, &err) != 0 || fill(s, 0, 1000) != 0)
		tap_bail("%s", err.message);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	shell(command);
	/* Until a new segment is needed all goes on; then it fails, as an error. */
	for (uint64_t i = 1; rc == 0 && i < 300; i++) {
		rc = fill(s, i * 1000, 1000);
		if (rc == 0 && i % 20 == 0)
			rc = cidstore_checkpoint(s);
	}
	tap_ok(rc <= 0, "writing to what was removed ends in %s", cidstore_strerror(rc));
	tap_int(cidstore_count(s, (struct cidstore_id){ 1, 1 }, &count), 0,
		"what was there is still read");
	(void)cidstore_close(s);
	tap_ok(opened(0, &err) == CIDSTORE_ENOENT, "and then it is gone: %s", err.message);
}

int main(void)
{
	char command[200];

	if (mkdtemp(base) == NULL)
		tap_bail("mkdtemp");
	environment();
	modes();
	links();
	pipes();
	descriptors();
	clocks();
	slow_reader();
	vanishing();
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", base);
	shell(command);
	return tap_done();
}
