/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/dict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"
#include "base/id.h"
#include "tools/idtext.h"

struct text {
	char *p;
	size_t n, cap;
};

/* One name; names of one identifier are chained in the order of the file. */
struct name {
	size_t at, len; /* in `known` */
	size_t next;	/* index + 1, or 0 */
};

struct slot {
	struct cidstore_id id;
	size_t first, last; /* index + 1 in name[]; first 0: free */
};

/*
 * A dictionary is read from (name, slot) or added to (seen), as its first use
 * decides. Both tables use open addressing over a power of two.
 */
struct cid_dict {
	struct text known; /* of the file, as far as it was read */
	struct text fresh; /* lines for it, duplicates included */
	bool adding;
	struct name *name;
	size_t names, name_cap;
	struct slot *slot;
	size_t slots, used;
	struct cidstore_id *seen; /* hashes of lines; zeroed: free */
	size_t seen_slots, seen_used;
};

static int reserve(struct text *t, size_t more)
{
	size_t cap = t->cap > 0 ? t->cap : 4096;
	char *p;

	while (cap - t->n < more)
		cap *= 2;
	if (cap == t->cap)
		return 0;
	p = realloc(t->p, cap);
	if (p == NULL)
		return CIDSTORE_ENOMEM;
	t->p = p;
	t->cap = cap;
	return 0;
}

/* Identifiers are hashes mostly, but 00..01, 00..02 are legal too. */
static size_t spread(struct cidstore_id id, size_t slots)
{
	uint64_t h = (id.high ^ id.low * 0x9E3779B97F4A7C15ull) * 0xBF58476D1CE4E5B9ull;

	return (size_t)(h ^ h >> 32) & (slots - 1);
}

/* The slot of an identifier, or the free one where it belongs. */
static struct slot *slot_of(struct slot *slot, size_t slots, struct cidstore_id id)
{
	size_t i = spread(id, slots);

	while (slot[i].first != 0 && !cid_id_eq(slot[i].id, id))
		i = (i + 1) & (slots - 1);
	return &slot[i];
}

static int grow_slots(struct cid_dict *d)
{
	size_t slots = d->slots > 0 ? 2 * d->slots : 1024;
	struct slot *slot;

	if (2 * (d->used + 1) <= d->slots)
		return 0;
	slot = calloc(slots, sizeof(*slot));
	if (slot == NULL)
		return CIDSTORE_ENOMEM;
	for (size_t i = 0; i < d->slots; i++)
		if (d->slot[i].first != 0)
			*slot_of(slot, slots, d->slot[i].id) = d->slot[i];
	free(d->slot);
	d->slot = slot;
	d->slots = slots;
	return 0;
}

static int enter_name(struct cid_dict *d, struct cidstore_id id, size_t at, size_t len)
{
	struct slot *s;
	struct name *p;

	if (d->names == d->name_cap) {
		size_t cap = d->name_cap > 0 ? 2 * d->name_cap : 1024;

		p = realloc(d->name, cap * sizeof(*p));
		if (p == NULL)
			return CIDSTORE_ENOMEM;
		d->name = p;
		d->name_cap = cap;
	}
	if (grow_slots(d) != 0)
		return CIDSTORE_ENOMEM;
	d->name[d->names++] = (struct name){ at, len, 0 };
	s = slot_of(d->slot, d->slots, id);
	if (s->first == 0) {
		s->id = id;
		s->first = d->names;
		d->used++;
	} else {
		d->name[s->last - 1].next = d->names;
	}
	s->last = d->names;
	return 0;
}

static bool is_free(struct cidstore_id id)
{
	return id.high == 0 && id.low == 0;
}

static struct cidstore_id *seen_slot(struct cidstore_id *seen, size_t slots,
				     struct cidstore_id line)
{
	size_t i = spread(line, slots);

	while (!is_free(seen[i]) && !cid_id_eq(seen[i], line))
		i = (i + 1) & (slots - 1);
	return &seen[i];
}

static int grow_seen(struct cid_dict *d)
{
	size_t slots = d->seen_slots > 0 ? 2 * d->seen_slots : 1024;
	struct cidstore_id *seen;

	if (2 * (d->seen_used + 1) <= d->seen_slots)
		return 0;
	seen = calloc(slots, sizeof(*seen));
	if (seen == NULL)
		return CIDSTORE_ENOMEM;
	for (size_t i = 0; i < d->seen_slots; i++)
		if (!is_free(d->seen[i]))
			*seen_slot(seen, slots, d->seen[i]) = d->seen[i];
	free(d->seen);
	d->seen = seen;
	d->seen_slots = slots;
	return 0;
}

/* 1: the line is new; 0: it was seen before. */
static int see_line(struct cid_dict *d, const char *p, size_t n)
{
	struct cidstore_id line = cidstore_id_hash(p, n), *slot;

	if (grow_seen(d) != 0)
		return CIDSTORE_ENOMEM;
	slot = seen_slot(d->seen, d->seen_slots, line);
	if (!is_free(*slot))
		return 0;
	*slot = line;
	d->seen_used++;
	return 1;
}

/* Takes a line apart; false when it is not of the form. */
static bool split(const char *p, size_t n, struct cidstore_id *id)
{
	return n > CID_IDTEXT_DIGITS && p[CID_IDTEXT_DIGITS] == '\t' &&
	       cid_idtext_scan(p, n, id) == CID_IDTEXT_DIGITS;
}

/* Enters the lines of known.p from `at` on. */
static int index_from(struct cid_dict *d, size_t at)
{
	struct cidstore_id id;
	const char *p, *end;
	size_t len;
	int rc;

	for (; at < d->known.n; at += len + 1) {
		p = d->known.p + at;
		end = memchr(p, '\n', d->known.n - at);
		if (end == NULL)
			break; /* torn: its writer died */
		len = (size_t)(end - p);
		if (!split(p, len, &id))
			continue;
		if (d->adding)
			rc = see_line(d, p, len);
		else
			rc = enter_name(d, id, at + CID_IDTEXT_DIGITS + 1,
					len - CID_IDTEXT_DIGITS - 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Appends the rest of the file to `known`. */
static int read_rest(struct cid_dict *d, int fd)
{
	ssize_t got;

	do {
		if (reserve(&d->known, 256 << 10) != 0)
			return -ENOMEM;
		got = read(fd, d->known.p + d->known.n, d->known.cap - d->known.n);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			d->known.n += (size_t)got;
	} while (got != 0);
	return 0;
}

int cid_dict_new(struct cid_dict **out)
{
	struct cid_dict *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return CIDSTORE_ENOMEM;
	*out = d;
	return 0;
}

void cid_dict_free(struct cid_dict *d)
{
	if (d == NULL)
		return;
	free(d->known.p);
	free(d->fresh.p);
	free(d->name);
	free(d->slot);
	free(d->seen);
	free(d);
}

static int failed(struct cidstore_error *err, const char *what, const char *path, int rc)
{
	return cid_err_set(err, cid_err_from_errno(rc), "%s dictionary %s: %s", what, path,
			   rc == -EINVAL ? "not a regular file" : strerror(-rc));
}

int cid_dict_load(struct cid_dict *d, const char *path, struct cidstore_error *err)
{
	size_t at = d->known.n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : read_rest(d, fd);

	if (fd >= 0)
		close(fd);
	/* A last line without its end is one of an editor, mostly. */
	if (rc == 0 && d->known.n > at && d->known.p[d->known.n - 1] != '\n') {
		if (reserve(&d->known, 1) == 0)
			d->known.p[d->known.n++] = '\n';
		else
			rc = -ENOMEM;
	}
	if (rc == 0 && index_from(d, at) != 0)
		rc = -ENOMEM;
	return rc == 0 ? 0 : failed(err, "reading", path, rc);
}

const char *cid_dict_name(const struct cid_dict *d, struct cidstore_id id, size_t *at,
			  size_t *len)
{
	const struct name *name;
	size_t i = *at;

	if (d->slots == 0)
		return NULL;
	if (i == 0)
		i = slot_of(d->slot, d->slots, id)->first;
	if (i == 0 || i == SIZE_MAX)
		return NULL;
	name = &d->name[i - 1];
	*at = name->next != 0 ? name->next : SIZE_MAX;
	*len = name->len;
	return d->known.p + name->at;
}

int cid_dict_add(struct cid_dict *d, struct cidstore_id id, const char *name, size_t len)
{
	static const char from[] = "\\\t\n", to[] = "\\tn";
	const char *special;
	char *p;

	if (reserve(&d->fresh, CID_IDTEXT_DIGITS + 2 * len + 2) != 0)
		return CIDSTORE_ENOMEM;
	p = d->fresh.p + d->fresh.n;
	cidstore_id_format(id, p);
	p += CID_IDTEXT_DIGITS;
	*p++ = '\t';
	for (size_t i = 0; i < len; i++) {
		special = memchr(from, name[i], 3);
		if (special != NULL) {
			*p++ = '\\';
			*p++ = to[special - from];
		} else {
			*p++ = name[i];
		}
	}
	*p++ = '\n';
	d->fresh.n = (size_t)(p - d->fresh.p);
	return 0;
}

size_t cid_dict_waiting(const struct cid_dict *d)
{
	return d->fresh.n;
}

static int write_all(int fd, const char *p, size_t n)
{
	ssize_t put;

	while (n > 0) {
		put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Moves the fresh lines that are not known yet to the end of `known`. */
static int take_fresh(struct cid_dict *d)
{
	const char *p = d->fresh.p, *stop = p + d->fresh.n, *end;
	size_t len;
	int rc;

	if (reserve(&d->known, d->fresh.n) != 0)
		return -ENOMEM;
	for (; p < stop; p = end + 1) {
		end = memchr(p, '\n', (size_t)(stop - p));
		len = (size_t)(end - p);
		rc = see_line(d, p, len);
		if (rc < 0)
			return -ENOMEM;
		if (rc == 0)
			continue;
		memcpy(d->known.p + d->known.n, p, len + 1);
		d->known.n += len + 1;
	}
	return 0;
}

static int append(struct cid_dict *d, int fd)
{
	size_t before = d->known.n, start;
	struct stat st;
	int rc;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (flock(fd, LOCK_EX) != 0 || lseek(fd, (off_t)before, SEEK_SET) < 0)
		return -errno;
	rc = read_rest(d, fd);
	if (rc != 0 || fstat(fd, &st) != 0)
		return rc != 0 ? rc : -errno;
	if (index_from(d, before) != 0)
		return -ENOMEM;
	start = d->known.n;
	if (start > 0 && d->known.p[start - 1] != '\n') {
		if (reserve(&d->known, 1) != 0)
			return -ENOMEM;
		d->known.p[d->known.n++] = '\n'; /* a line of its own for the torn one */
	}
	rc = take_fresh(d);
	if (rc == 0)
		rc = write_all(fd, d->known.p + start, d->known.n - start);
	if (rc != 0 && ftruncate(fd, st.st_size) != 0)
		return rc; /* a torn line at the end is passed over by readers */
	return rc;
}

int cid_dict_save(struct cid_dict *d, const char *path, struct cidstore_error *err)
{
	int fd, rc;

	if (d->fresh.n == 0)
		return 0;
	d->adding = true;
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	rc = fd < 0 ? -errno : append(d, fd);

	if (fd >= 0 && close(fd) != 0 && rc == 0)
		rc = -errno;
	d->fresh.n = 0;
	return rc == 0 ? 0 : failed(err, "writing", path, rc);
}
