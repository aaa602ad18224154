/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"
#include "base/wire.h"
#include "tools/idtext.h"

#define BUFFER	       (1u << 20)
#define LINE_MAX_BYTES 4096

struct cid_pairs {
	const char *name;
	enum cid_pairs_format format;
	int fd;
	bool eof;
	bool first;		      /* no line was taken yet */
	uint64_t line;		      /* of the line taken last, from 1 */
	uint64_t taken, size;	      /* bytes read, bytes of the file or 0 */
	size_t at, n;		      /* buf[at] to buf[n] is not parsed yet */
	struct cidstore_error failed; /* to be told by the next call */
	char buf[BUFFER];
};

int cid_pairs_format(const char *name, enum cid_pairs_format *out)
{
	static const char *const names[] = { "auto", "hex", "csv", "bin" };

	for (int i = 0; i < 4; i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum cid_pairs_format)i;
			return 0;
		}
	}
	return -1;
}

/* Moves the rest to the front and reads once; eof is set at the end. */
static int refill(struct cid_pairs *r, struct cidstore_error *err)
{
	ssize_t got;

	memmove(r->buf, r->buf + r->at, r->n - r->at);
	r->n -= r->at;
	r->at = 0;
	do
		got = read(r->fd, r->buf + r->n, sizeof(r->buf) - r->n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return cid_err_set(err, CIDSTORE_EIO, "reading %s: %s", r->name, strerror(errno));
	r->eof = got == 0;
	r->n += (size_t)got;
	r->taken += (uint64_t)got;
	return 0;
}

/* Text has no bytes but printable ones, tabs and line ends. */
static enum cid_pairs_format guess(const char *p, size_t n)
{
	const char *end;

	if (n > LINE_MAX_BYTES)
		n = LINE_MAX_BYTES;
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)p[i] < 0x20 && memchr("\t\r\n", p[i], 3) == NULL) || p[i] == 0x7f)
			return CID_PAIRS_BIN;
	while (n > 0 && (end = memchr(p, '\n', n)) != NULL && (*p == '#' || *p == '\n')) {
		n -= (size_t)(end + 1 - p);
		p = end + 1;
	}
	end = memchr(p, '\n', n);
	return memchr(p, ',', end != NULL ? (size_t)(end - p) : n) != NULL ? CID_PAIRS_CSV
									   : CID_PAIRS_HEX;
}

int cid_pairs_open(const char *file, enum cid_pairs_format format, struct cid_pairs **out,
		   struct cidstore_error *err)
{
	struct cid_pairs *r = malloc(sizeof(*r));
	struct stat st;
	int rc = 0;

	if (r == NULL)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	memset(r, 0, offsetof(struct cid_pairs, buf));
	r->first = true;
	r->format = format;
	if (file == NULL || strcmp(file, "-") == 0) {
		r->name = "standard input";
		r->fd = STDIN_FILENO;
	} else {
		r->name = file;
		r->fd = open(file, O_RDONLY | O_CLOEXEC);
	}
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		rc = cid_err_set(err, cid_err_from_errno(-errno), "%s: %s", r->name,
				 strerror(errno));
	else if (S_ISDIR(st.st_mode))
		rc = cid_err_set(err, CIDSTORE_EINVAL, "%s is a directory", r->name);
	else
		r->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	while (rc == 0 && format == CID_PAIRS_AUTO && !r->eof && r->n < LINE_MAX_BYTES)
		rc = refill(r, err);
	if (rc != 0) {
		cid_pairs_close(r);
		return rc;
	}
	if (format == CID_PAIRS_AUTO)
		r->format = guess(r->buf, r->n);
	*out = r;
	return 0;
}

static void next_records(struct cid_pairs *r, struct cid_pairs_batch *b)
{
	const uint8_t *p;

	while (b->pairs < b->cap && r->n - r->at >= CID_WIRE_PAIR) {
		p = (const uint8_t *)r->buf + r->at;
		b->pair[b->pairs++] = cid_wire_get_pair(p);
		r->at += CID_WIRE_PAIR;
	}
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static size_t skip(const char *p, size_t at, size_t n)
{
	while (at < n && blank(p[at]))
		at++;
	return at;
}

/* Takes one identifier, in double quotes or not. New position, 0 if none. */
static size_t field(const char *p, size_t at, size_t n, bool csv, struct cidstore_id *out)
{
	bool quoted = csv && at < n && p[at] == '"';
	size_t len;

	at += quoted;
	len = cid_idtext_scan(p + at, n - at, out);
	if (len == 0)
		return 0;
	at += len;
	if (!quoted)
		return at;
	return at < n && p[at] == '"' ? at + 1 : 0;
}

enum line { LINE_NOTHING, LINE_KEY, LINE_PAIR, LINE_BAD };

static enum line parse(const char *p, size_t n, bool csv, struct cidstore_pair *out)
{
	size_t at = skip(p, 0, n), next;

	if (at == n || p[at] == '#')
		return LINE_NOTHING;
	at = field(p, at, n, csv, &out->key);
	if (at == 0)
		return LINE_BAD;
	next = skip(p, at, n);
	if (next == n)
		return LINE_KEY;
	if (csv) {
		if (p[next] != ',')
			return LINE_BAD;
		next = skip(p, next + 1, n);
		if (next == n)
			return LINE_KEY;
	} else if (next == at) {
		return LINE_BAD; /* digits go on after the key */
	}
	at = field(p, next, n, csv, &out->value);
	return at != 0 && skip(p, at, n) == n ? LINE_PAIR : LINE_BAD;
}

static int malformed(struct cid_pairs *r, const char *p, size_t n, struct cidstore_error *err)
{
	bool csv = r->format == CID_PAIRS_CSV;
	char show[61];
	size_t len = n < sizeof(show) - 1 ? n : sizeof(show) - 1;

	while (len > 0 && blank(p[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++)
		show[i] = (unsigned char)p[i] < 0x20 || p[i] == 0x7f ? '?' : p[i];
	show[len] = '\0';
	return cid_err_set(err, CIDSTORE_EINVAL,
			   "%s:%" PRIu64 ": '%s%s' is not %s with identifiers of %s; what stands "
			   "before this line was taken, correct it and run the command again",
			   r->name, r->line, show, n > len + 2 ? "..." : "",
			   csv ? "KEY,VALUE" : "'KEY VALUE'", CID_IDTEXT_WHAT);
}

/* Takes the lines at hand. 1: a line is not whole yet, read on. */
static int next_lines(struct cid_pairs *r, struct cid_pairs_batch *b, struct cidstore_error *err)
{
	bool csv = r->format == CID_PAIRS_CSV;
	struct cidstore_pair pair;
	const char *p, *end;
	size_t len, left;

	while (b->pairs < b->cap && b->keys < b->cap) {
		p = r->buf + r->at;
		left = r->n - r->at;
		end = memchr(p, '\n', left);
		if (end == NULL && !r->eof && left < LINE_MAX_BYTES)
			return 1;
		if (end == NULL && left == 0)
			return 0;
		len = end != NULL ? (size_t)(end - p) : left;
		r->line++;
		switch (parse(p, len, csv, &pair)) {
		case LINE_NOTHING:
			break;
		case LINE_KEY:
			b->key[b->keys++] = pair.key;
			r->first = false;
			break;
		case LINE_PAIR:
			b->pair[b->pairs++] = pair;
			r->first = false;
			break;
		case LINE_BAD:
			if (!csv || !r->first || field(p, skip(p, 0, len), len, csv, &pair.key))
				return malformed(r, p, len, err);
			r->first = false; /* a header */
			break;
		}
		r->at += len + (end != NULL);
	}
	return 0;
}

int cid_pairs_next(struct cid_pairs *r, struct cid_pairs_batch *b, struct cidstore_error *err)
{
	int rc;

	b->pairs = 0;
	b->keys = 0;
	if (r->failed.code != 0) {
		*err = r->failed;
		return r->failed.code;
	}
	for (;;) {
		rc = 0;
		if (r->format == CID_PAIRS_BIN)
			next_records(r, b);
		else
			rc = next_lines(r, b, &r->failed);
		if (b->pairs == b->cap || b->keys == b->cap || rc < 0 || r->eof)
			break;
		rc = refill(r, &r->failed);
		if (rc != 0)
			break;
	}
	if (r->format == CID_PAIRS_BIN && r->eof && b->pairs < b->cap && r->n > r->at)
		rc = cid_err_set(&r->failed, CIDSTORE_EINVAL,
				 "%s ends inside record %" PRIu64 " (%zu bytes of %u); the whole "
				 "records before it were taken",
				 r->name, r->taken / CID_WIRE_PAIR + 1, r->n - r->at,
				 CID_WIRE_PAIR);
	if (rc < 0 && b->pairs == 0 && b->keys == 0) {
		*err = r->failed;
		return rc;
	}
	return 0;
}

double cid_pairs_part(const struct cid_pairs *r)
{
	if (r->size == 0)
		return -1;
	return (double)(r->taken - (r->n - r->at)) / (double)r->size;
}

void cid_pairs_close(struct cid_pairs *r)
{
	if (r->fd > STDIN_FILENO)
		close(r->fd);
	free(r);
}
