/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mount_read.c - reading a mounted root
 *
 * lookup answers each key of 16 bytes with a u64 count and that many values;
 * export gives the framed stream; reports are lines of a name and a value.
 */
#include "tools/mount.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/err.h"
#include "base/id.h"
#include "base/wire.h"
#include "tools/restore.h"

#define ANSWERS 4096 /* values handed on at once */
#define POLL_NS 100000000

static const char lookup[] = ".cidstore/lookup";

int cid_mount_count(struct cid_target *t, struct cidstore_id key, uint64_t *out)
{
	char name[CID_ID_TEXT + 1];
	struct stat st;

	cidstore_id_format(key, name);
	name[CID_ID_TEXT] = '\0';
	if (fstatat(cid_mount(t)->root, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return cid_mount_fail(t, name, errno);
	*out = (uint64_t)st.st_size;
	return 0;
}

/* Asks for a key. *count values follow in the stream, to be read to their end. */
static int ask(struct cid_target *t, struct cidstore_id key, uint64_t *count)
{
	struct cid_mount *x = cid_mount(t);
	uint8_t bytes[CID_WIRE_ID];
	uint64_t n;
	int rc;

	cid_wire_put_id(bytes, key);
	rc = cid_mount_put(t, x->lookup, lookup, bytes, sizeof(bytes));
	if (rc == 0)
		rc = cid_mount_take(t, x->lookup, lookup, &n, sizeof(n));
	if (rc == 0)
		*count = le64toh(n) == UINT64_MAX ? 0 : le64toh(n);
	return rc;
}

/* The next n values of the answer. */
static int take_values(struct cid_target *t, struct cidstore_id *out, size_t n)
{
	struct cid_mount *x = cid_mount(t);
	int rc = cid_mount_reserve(t, n * CID_WIRE_ID);

	if (rc == 0)
		rc = cid_mount_take(t, x->lookup, lookup, x->buf, n * CID_WIRE_ID);
	for (size_t i = 0; rc == 0 && i < n; i++)
		out[i] = cid_wire_get_id((const uint8_t *)x->buf + i * CID_WIRE_ID);
	return rc;
}

static int look_up(struct cid_target *t, struct cidstore_id key, uint64_t limit, cid_values_fn *fn,
		   void *arg)
{
	struct cid_mount *x = cid_mount(t);
	struct cidstore_id id[ANSWERS];
	uint64_t left = 0;
	size_t part;
	int rc = ask(t, key, &left);

	while (rc == 0 && left > 0 && limit > 0) {
		part = left < ANSWERS ? (size_t)left : ANSWERS;
		rc = take_values(t, id, part);
		left -= part;
		if (part > limit)
			part = (size_t)limit;
		limit -= part;
		if (rc == 0)
			rc = fn(arg, id, part);
	}
	if (left > 0 || rc != 0) {
		close(x->lookup); /* drops what was not read */
		x->lookup = -1;
	}
	return rc;
}

/* The slower way, by readdir. */
static int list(struct cid_target *t, struct cidstore_id key, uint64_t limit, cid_values_fn *fn,
		void *arg)
{
	char name[CID_ID_TEXT + 1];
	struct cidstore_id id[ANSWERS];
	struct dirent *e;
	size_t n = 0;
	DIR *d;
	int fd, rc = 0;

	cidstore_id_format(key, name);
	name[CID_ID_TEXT] = '\0';
	fd = openat(cid_mount(t)->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return cid_mount_fail(t, name, errno);
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return cid_mount_fail(t, name, ENOMEM);
	}
	errno = 0;
	while (rc == 0 && limit > 0 && (e = readdir(d)) != NULL) {
		if (cidstore_id_parse(e->d_name, strlen(e->d_name), &id[n]) != 0)
			continue;
		n++;
		limit--;
		if (n == ANSWERS) {
			rc = fn(arg, id, n);
			n = 0;
		}
		errno = 0;
	}
	if (rc == 0 && errno != 0)
		rc = cid_mount_fail(t, name, errno);
	if (rc == 0 && n > 0)
		rc = fn(arg, id, n);
	closedir(d);
	return rc;
}

int cid_mount_values(struct cid_target *t, struct cidstore_id key, uint64_t limit,
		     cid_values_fn *fn, void *arg)
{
	int rc = cid_mount_control(t, lookup, O_RDWR, &cid_mount(t)->lookup);

	/* On a read-only mount the kernel lets nobody write, so nobody can ask. */
	if (rc == CIDSTORE_EROFS)
		return list(t, key, limit, fn, arg);
	return rc != 0 ? rc : look_up(t, key, limit, fn, arg);
}

static int compare(const void *a, const void *b)
{
	const struct cidstore_item *x = a, *y = b;

	return cid_id_cmp(x->id, y->id);
}

struct collection {
	struct cid_target *t;
	struct cid_cursor c;
	size_t cap;
};

static int collect(void *arg, const struct cidstore_id *v, size_t n)
{
	struct collection *x = arg;

	if (x->cap - x->c.n < n) {
		size_t cap = 2 * x->cap + n;
		struct cidstore_item *item = realloc(x->c.item, cap * sizeof(*item));

		if (item == NULL)
			return cid_err_set(
				&x->t->err, CIDSTORE_ENOMEM,
				"%s: a set of more than %zu values does not fit in "
				"memory; unmount the store and name its directory instead",
				x->t->path, x->c.n);
		x->c.item = item;
		x->cap = cap;
	}
	for (size_t i = 0; i < n; i++)
		x->c.item[x->c.n++] = (struct cidstore_item){ .id = v[i] };
	return 0;
}

/* The seeded hash is not visible here: the whole set is fetched and sorted by
 * identifier, with hash 0 everywhere. */
int cid_mount_cursor_open(struct cid_target *t, struct cidstore_id key, struct cid_cursor *out)
{
	struct collection x = { .t = t, .c = { .key = key } };
	int rc = cid_mount_values(t, key, UINT64_MAX, collect, &x);

	if (rc != 0) {
		free(x.c.item);
		return rc;
	}
	if (x.c.n > 1)
		qsort(x.c.item, x.c.n, sizeof(*x.c.item), compare);
	*out = x.c;
	return 0;
}

int cid_mount_cursor_fill(struct cid_target *t, struct cid_cursor *c, uint64_t hash)
{
	(void)t;
	(void)hash;
	if (c->pos.begun) {
		c->at = 0;
		c->n = 0;
	}
	c->pos.begun = 1;
	return 0;
}

int cid_mount_dump(struct cid_target *t, const struct cid_sink *sink)
{
	static const char file[] = ".cidstore/export";
	struct cid_mount *x = cid_mount(t);
	struct cid_restore *r;
	ssize_t got = 1;
	int fd = -1, rc;

	if (cid_restore_new(sink, &r) != 0)
		return cid_err_set(&t->err, CIDSTORE_ENOMEM, "%s: out of memory", t->path);
	rc = cid_mount_reserve(t, 1 << 20);
	if (rc == 0)
		rc = cid_mount_control(t, file, O_RDONLY, &fd);
	while (rc == 0 && got != 0) {
		got = read(fd, x->buf, x->cap);
		if (got > 0)
			rc = cid_restore_feed(r, x->buf, (size_t)got, &t->err);
		else if (got < 0 && errno != EINTR)
			rc = cid_mount_fail(t, file, errno);
	}
	if (rc == 0)
		rc = cid_restore_end(r, &t->err);
	if (fd >= 0)
		close(fd);
	cid_restore_free(r);
	return rc;
}

/* Reads a file of lines "NAME VALUE". */
static int read_rows(struct cid_target *t, const char *file, cid_stat_fn *fn, void *arg)
{
	char *line = NULL, *space;
	size_t cap = 0;
	ssize_t n;
	FILE *f;
	int fd = -1, rc = cid_mount_control(t, file, O_RDONLY, &fd);

	if (rc != 0)
		return rc;
	f = fdopen(fd, "r");
	if (f == NULL) {
		close(fd);
		return cid_mount_fail(t, file, ENOMEM);
	}
	while (rc == 0 && (n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		space = strchr(line, ' ');
		if (space == NULL)
			continue;
		*space = '\0';
		rc = fn(arg, line, space + 1);
	}
	if (rc == 0 && ferror(f))
		rc = cid_mount_fail(t, file, errno);
	free(line);
	fclose(f);
	return rc;
}

int cid_mount_stats(struct cid_target *t, cid_stat_fn *fn, void *arg)
{
	return read_rows(t, ".cidstore/stats", fn, arg);
}

struct compaction {
	bool running;
	unsigned long long failed, entries;
	char last[80];
};

static int take_row(void *arg, const char *name, const char *value)
{
	struct compaction *c = arg;

	if (strcmp(name, "running") == 0)
		c->running = strcmp(value, "0") != 0;
	else if (strcmp(name, "failed") == 0)
		c->failed = strtoull(value, NULL, 10);
	else if (strcmp(name, "run_entries") == 0)
		c->entries = strtoull(value, NULL, 10);
	else if (strcmp(name, "last") == 0)
		snprintf(c->last, sizeof(c->last), "%s", value);
	return 0;
}

/* Waits until no compaction runs; *out is the state then. */
static int wait_compacted(struct cid_target *t, const char *file, struct compaction *out,
			  void (*progress)(double part))
{
	const struct timespec pause = { 0, POLL_NS };
	struct compaction c = { 0 };
	unsigned long long most = 0;
	int rc;

	for (;;) {
		rc = read_rows(t, file, take_row, &c);
		if (rc != 0 || !c.running)
			break;
		if (c.entries > most)
			most = c.entries;
		progress(most > 0 ? 1 - (double)c.entries / (double)most : -1);
		nanosleep(&pause, NULL);
	}
	*out = c;
	return rc;
}

int cid_mount_compact(struct cid_target *t, void (*progress)(double part))
{
	static const char file[] = ".cidstore/compact";
	struct compaction before, after;
	ssize_t put;
	int fd = -1, error = 0, rc = cid_mount_control(t, file, O_WRONLY, &fd);

	if (rc != 0)
		return rc;
	/* One that runs already may have passed what is to be compacted. */
	do {
		rc = wait_compacted(t, file, &before, progress);
		put = rc == 0 ? write(fd, "1\n", 2) : 0;
		error = put < 0 ? errno : 0;
	} while (error == EBUSY || error == EINTR);
	close(fd);
	if (error != 0)
		return cid_mount_fail(t, file, error);
	if (rc == 0)
		rc = wait_compacted(t, file, &after, progress);
	if (rc == 0 && after.failed > before.failed)
		rc = cid_err_set(&t->err, CIDSTORE_EIO, "%s/%s: compacting failed: %s", t->path,
				 file, after.last);
	return rc;
}
