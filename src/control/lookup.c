/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lookup.c - the lookup streams: keys are written, their sets are read, in the
 * same order
 *
 * lookup: a key is 16 bytes big-endian; its answer is the number of values, 8
 * bytes little-endian, and the values, 16 bytes big-endian each. A key that
 * does not exist has the number 2^64-1 and no values.
 *
 * lookup.txt: a key is a line of 32 hexadecimal digits; its answer is a line
 * "KEY VALUE" for each value, "KEY -" for an empty set, "KEY !" where the key
 * does not exist. An empty line means nothing. A line that is no key is EINVAL
 * and is passed over; the other lines of that write are taken.
 *
 * Where nothing waits to be answered, reading gives the end of the file, and
 * may be tried again after the next write. Answers are made when they are read.
 * At most 65,536 keys wait: a write beyond them takes what there is room for,
 * or fails with EAGAIN until some answers were read. A read that fails stands
 * for the answer of one key; the next read goes on behind it.
 */
#include "control/stream.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/id.h"
#include "base/wire.h"
#include "control/answer.h"
#include "control/lines.h"
#include "control/tree.h"

#define PIECE_MAX 66u /* "KEY VALUE\n" */
#define LINE_KEY  (CID_ID_TEXT + 1u)

/* Writes a piece of an answer, at most PIECE_MAX bytes; its length. */
struct format {
	size_t (*head)(const struct cid_answer_run *run, uint8_t *out);
	size_t (*value)(const struct cid_answer_run *run, size_t i, uint8_t *out);
};

struct lookup {
	struct cid_control *c;
	const struct format *format;
	uint8_t part[CID_WIRE_ID]; /* a key that began */
	size_t parts;
	struct cid_lines lines; /* the same, of text */
	struct cid_answer_run run;
	size_t at;		  /* next value of it */
	uint8_t piece[PIECE_MAX]; /* what did not fit into the last read */
	size_t piece_at, piece_n;
	int failed; /* negative errno for the next read */
	struct cid_answers answers;
};

static size_t binary_head(const struct cid_answer_run *run, uint8_t *out)
{
	uint64_t count = htole64(run->count);

	memcpy(out, &count, sizeof(count));
	return sizeof(count);
}

static size_t binary_value(const struct cid_answer_run *run, size_t i, uint8_t *out)
{
	cid_wire_put_id(out, run->value[i]);
	return CID_WIRE_ID;
}

static size_t text_head(const struct cid_answer_run *run, uint8_t *out)
{
	if (run->count != 0 && run->count != CID_ANSWER_ABSENT)
		return 0;
	cidstore_id_format(run->key, (char *)out);
	memcpy(out + CID_ID_TEXT, run->count == 0 ? " -\n" : " !\n", 3);
	return CID_ID_TEXT + 3;
}

static size_t text_value(const struct cid_answer_run *run, size_t i, uint8_t *out)
{
	cidstore_id_format(run->key, (char *)out);
	out[CID_ID_TEXT] = ' ';
	cidstore_id_format(run->value[i], (char *)out + CID_ID_TEXT + 1);
	out[2 * CID_ID_TEXT + 1] = '\n';
	return 2 * CID_ID_TEXT + 2;
}

static const struct format binary = { binary_head, binary_value };
static const struct format text = { text_head, text_value };

static int open_as(struct cid_control *c, const struct format *format, void **out)
{
	struct lookup *l = malloc(sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	rc = cid_answers_init(&l->answers, c->store);
	if (rc != 0) {
		free(l);
		return rc;
	}
	l->c = c;
	l->format = format;
	l->parts = 0;
	l->lines.n = 0;
	l->lines.over = false;
	l->run.n = l->at = 0;
	l->piece_at = l->piece_n = 0;
	l->failed = 0;
	*out = l;
	return 0;
}

static int lookup_open(struct cid_control *c, void **out)
{
	return open_as(c, &binary, out);
}

static int lookup_text_open(struct cid_control *c, void **out)
{
	return open_as(c, &text, out);
}

static ssize_t lookup_write(void *stream, const void *buf, size_t n)
{
	struct lookup *l = stream;
	const uint8_t *p = buf;
	size_t room = cid_answers_room(&l->answers) * CID_WIRE_ID, left, rest;

	if (room == 0)
		return -EAGAIN;
	if (n > room)
		n = room;
	left = n;
	if (l->parts > 0) {
		rest = CID_WIRE_ID - l->parts;
		if (rest > left)
			rest = left;
		memcpy(l->part + l->parts, p, rest);
		l->parts += rest;
		p += rest;
		left -= rest;
		if (l->parts == CID_WIRE_ID) {
			cid_answers_queue(&l->answers, cid_wire_get_id(l->part));
			l->parts = 0;
		}
	}
	for (; left >= CID_WIRE_ID; p += CID_WIRE_ID, left -= CID_WIRE_ID)
		cid_answers_queue(&l->answers, cid_wire_get_id(p));
	if (left > 0) {
		memcpy(l->part, p, left);
		l->parts = left;
	}
	return (ssize_t)n;
}

static int lookup_flush(void *stream)
{
	const struct lookup *l = stream;

	return l->parts > 0 ? -EINVAL : 0;
}

static ssize_t lookup_text_write(void *stream, const void *buf, size_t n)
{
	struct lookup *l = stream;
	const char *p = buf;
	size_t room = cid_answers_room(&l->answers), most = room * LINE_KEY, left;
	struct cid_line line;
	struct cidstore_id key;
	int rc = 0;

	/* Whether all keys fit is known beforehand, so that a write that takes
	 * but a part of its bytes never has an error to tell as well. */
	if (l->lines.n + n > most + CID_ID_TEXT) {
		if (room < CID_ANSWER_QUEUE)
			return -EAGAIN;
		n = most - CID_LINE_MAX;
	}
	left = n;
	while (cid_lines_next(&l->lines, &p, &left, &line)) {
		if (line.n == 0 && !line.over)
			continue;
		if (line.over || cidstore_id_parse(line.text, line.n, &key) != 0)
			rc = -EINVAL;
		else
			cid_answers_queue(&l->answers, key);
	}
	return rc != 0 ? rc : (ssize_t)n;
}

static int lookup_text_flush(void *stream)
{
	const struct lookup *l = stream;

	return cid_lines_begun(&l->lines) ? -EINVAL : 0;
}

/* Where the next piece goes: right to the reader, or aside where it may not fit. */
static size_t put(struct lookup *l, uint8_t *out, size_t room, size_t i, bool head)
{
	uint8_t *to = room >= PIECE_MAX ? out : l->piece;
	size_t n = head ? l->format->head(&l->run, to) : l->format->value(&l->run, i, to);

	if (to == out)
		return n;
	l->piece_at = 0;
	l->piece_n = n;
	return 0;
}

static ssize_t lookup_read(void *stream, void *buf, size_t n)
{
	struct lookup *l = stream;
	uint8_t *out = buf;
	size_t done = 0, part;
	uint64_t keys = 0;
	int rc = l->failed;

	l->failed = 0;
	if (rc != 0)
		return rc;
	while (done < n) {
		if (l->piece_at < l->piece_n) {
			part = l->piece_n - l->piece_at;
			if (part > n - done)
				part = n - done;
			memcpy(out + done, l->piece + l->piece_at, part);
			l->piece_at += part;
			done += part;
		} else if (l->at < l->run.n) {
			done += put(l, out + done, n - done, l->at, false);
			l->at++;
		} else {
			rc = cid_answers_next(&l->answers, &l->run);
			l->at = 0;
			if (rc <= 0) {
				l->run.n = 0;
				break;
			}
			if (l->run.first) {
				keys++;
				done += put(l, out + done, n - done, 0, true);
			}
		}
	}
	cid_ctl_count(&l->c->total.lookup_keys, keys);
	if (rc < 0 && done == 0)
		return rc;
	if (rc < 0)
		l->failed = rc;
	return (ssize_t)done;
}

static void lookup_release(void *stream)
{
	struct lookup *l = stream;

	cid_answers_fini(&l->answers);
	free(l);
}

const struct cid_ctl_stream cid_stream_lookup = {
	.open = lookup_open,
	.read = lookup_read,
	.write = lookup_write,
	.flush = lookup_flush,
	.release = lookup_release,
};

const struct cid_ctl_stream cid_stream_lookup_text = {
	.open = lookup_text_open,
	.read = lookup_read,
	.write = lookup_text_write,
	.flush = lookup_text_flush,
	.release = lookup_release,
};
