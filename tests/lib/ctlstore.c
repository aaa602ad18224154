/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/ctlstore.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/id.h"
#include "lib/tap.h"

const struct cid_ctl_caller root = { 0 }, owner = { OWNER }, stranger = { OWNER + 1 };

static void open_store(struct fixture *f, unsigned flags)
{
	struct cidstore_error err;

	if (cidstore_open(f->dir, flags, &f->store, &err) != 0)
		tap_bail("%s", err.message);
	if (cid_control_new(f->store, OWNER, &f->control) != 0)
		tap_bail("no control table");
}

static void close_store(struct fixture *f)
{
	cid_control_free(f->control);
	if (cidstore_close(f->store) != 0)
		tap_bail("%s: close failed", f->dir);
}

void fixture_init(struct fixture *f)
{
	struct cidstore_geometry geo = { .log_bytes = 1 << 20, .segment_bytes = 64 << 20 };
	struct cidstore_error err;

	(void)snprintf(f->dir, sizeof(f->dir), "control.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		tap_bail("mkdtemp: %s", strerror(errno));
	if (cidstore_create(f->dir, &geo, &err) != 0)
		tap_bail("%s", err.message);
	open_store(f, 0);
}

void fixture_reopen(struct fixture *f, unsigned flags)
{
	close_store(f);
	open_store(f, flags);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void fixture_fini(struct fixture *f)
{
	close_store(f);
	if (nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		tap_bail("%s: cannot be removed", f->dir);
}

uint64_t random_seed(void)
{
	const char *given = getenv("SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given != NULL ? strtoull(given, NULL, 0)
			     : (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	tap_note("SEED=%llu", (unsigned long long)seed);
	return seed;
}

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
	z = (z ^ z >> 27) * 0x94D049BB133111EB;
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
	return random_next(state) % bound;
}

struct cidstore_id random_id(uint64_t *state)
{
	uint64_t high = random_next(state);

	return (struct cidstore_id){ high, random_next(state) };
}

struct cid_ctl_file *must_open(struct fixture *f, const char *path, int flags)
{
	struct cid_ctl_file *file;
	int rc = cid_control_open(f->control, path, flags, &root, &file);

	if (rc != 0)
		tap_bail("open %s: %s", path, strerror(-rc));
	return file;
}

int put_text(struct fixture *f, const char *path, const char *text)
{
	struct cid_ctl_file *file;
	ssize_t n;
	int rc = cid_control_open(f->control, path, O_WRONLY, &root, &file), flushed;

	if (rc != 0)
		return rc;
	n = cid_control_write(file, text, strlen(text), 0);
	flushed = cid_control_flush(file);
	cid_control_release(file);
	return n < 0 ? (int)n : flushed;
}

char *get_text(struct fixture *f, const char *path, int *error)
{
	uint64_t random = 1;
	struct cid_ctl_file *file;
	uint8_t *bytes;
	size_t n;
	int rc = cid_control_open(f->control, path, O_RDONLY, &root, &file);

	if (error != NULL)
		*error = rc;
	if (rc != 0)
		return NULL;
	bytes = drain(file, 4096, &random, &n, &rc);
	cid_control_release(file);
	if (error != NULL)
		*error = rc;
	bytes[n] = '\0';
	return (char *)bytes;
}

uint64_t get_row(struct fixture *f, const char *path, const char *name)
{
	char *text = get_text(f, path, NULL), *line, *save = NULL;
	size_t len = strlen(name);
	uint64_t value = 0;
	bool found = false;

	if (text == NULL)
		tap_bail("%s cannot be read", path);
	for (line = strtok_r(text, "\n", &save); line != NULL && !found;
	     line = strtok_r(NULL, "\n", &save)) {
		found = strncmp(line, name, len) == 0 && line[len] == ' ';
		if (found)
			value = strtoull(line + len + 1, NULL, 10);
	}
	free(text);
	if (!found)
		tap_bail("%s has no line %s", path, name);
	return value;
}

int feed(struct cid_ctl_file *file, const void *bytes, size_t n, size_t most, uint64_t *random)
{
	const uint8_t *p = bytes;
	int first = 0;

	while (n > 0) {
		size_t part = 1 + random_below(random, most);
		ssize_t got;

		if (part > n)
			part = n;
		got = cid_control_write(file, p, part, (off_t)random_below(random, 1 << 20));
		if (got < 0) {
			first = first != 0 ? first : (int)got;
			got = (ssize_t)part;
		}
		p += got;
		n -= (size_t)got;
	}
	return first;
}

uint8_t *drain(struct cid_ctl_file *file, size_t most, uint64_t *random, size_t *n, int *error)
{
	size_t cap = 4096 + most, at = 0;
	uint8_t *bytes = malloc(cap + 1);

	for (;;) {
		ssize_t got;

		if (bytes == NULL)
			tap_bail("out of memory");
		got = cid_control_read(file, bytes + at, 1 + random_below(random, most), (off_t)at);
		*error = got < 0 ? (int)got : 0;
		if (got <= 0)
			break;
		at += (size_t)got;
		if (cap - at < most) {
			cap = cap * 2 + most;
			bytes = realloc(bytes, cap + 1);
		}
	}
	*n = at;
	return bytes;
}

void content_add(struct content *c, struct cidstore_id key, const struct cidstore_id *value)
{
	static const struct cidstore_id none;

	if (c->n == c->cap) {
		c->cap = c->cap > 0 ? c->cap * 2 : 1024;
		c->row = reallocarray(c->row, c->cap, sizeof(*c->row));
		if (c->row == NULL)
			tap_bail("out of memory");
	}
	c->row[c->n++] = (struct content_row){ key, value != NULL ? *value : none, value == NULL };
}

/* An empty key comes before its values. */
static int compare(const void *a, const void *b)
{
	const struct content_row *x = a, *y = b;
	int c = cid_id_cmp(x->key, y->key);

	if (c == 0)
		c = y->empty - x->empty;
	return c != 0 ? c : cid_id_cmp(x->value, y->value);
}

void content_settle(struct content *c)
{
	size_t kept = 0;

	if (c->n > 0)
		qsort(c->row, c->n, sizeof(*c->row), compare);
	for (size_t i = 0; i < c->n; i++) {
		bool same_next = i + 1 < c->n && cid_id_eq(c->row[i].key, c->row[i + 1].key);

		if (same_next && (c->row[i].empty || compare(&c->row[i], &c->row[i + 1]) == 0))
			continue;
		c->row[kept++] = c->row[i];
	}
	c->n = kept;
}

bool content_equal(const struct content *a, const struct content *b)
{
	if (a->n != b->n)
		tap_note("%zu rows here, %zu there", a->n, b->n);
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		if (compare(&a->row[i], &b->row[i]) != 0) {
			tap_note("row %zu differs", i);
			return false;
		}
	}
	return a->n == b->n;
}

void content_fini(struct content *c)
{
	free(c->row);
	*c = (struct content){ 0 };
}

static void add_values(struct cidstore *s, struct cidstore_id key, struct content *out)
{
	struct cidstore_item item[256];
	struct cidstore_pos pos = { 0 };
	size_t n, all = 0;

	do {
		if (cidstore_scan_values(s, key, &pos, item, 256, &n) != 0)
			tap_bail("scan of values failed");
		for (size_t i = 0; i < n; i++)
			content_add(out, key, &item[i].id);
		all += n;
	} while (n > 0);
	if (all == 0)
		content_add(out, key, NULL);
}

void content_of(struct cidstore *s, struct content *out)
{
	struct cidstore_item item[256];
	struct cidstore_pos pos = { 0 };
	size_t n;

	*out = (struct content){ 0 };
	do {
		if (cidstore_scan_keys(s, &pos, item, 256, &n) != 0)
			tap_bail("scan of keys failed");
		for (size_t i = 0; i < n; i++)
			add_values(s, item[i].id, out);
	} while (n > 0);
	content_settle(out);
}
