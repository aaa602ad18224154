/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.c - the change feed: one line per operation, in the order of the log
 *
 *	SEQ insert KEY VALUE
 *	SEQ delete KEY VALUE
 *	SEQ delete KEY			the key with all its values
 *	SEQ mkkey KEY
 *	SEQ begin N, SEQ commit N	around the N operations of a transaction
 *	SEQ lost N			N numbers from SEQ on were overwritten
 *					before they were read, or are damaged
 *
 * Numbers rise, and not each is an operation's: the log also holds notes. Only
 * what is acknowledged is shown, and only whole transactions.
 *
 * A reader begins with what comes after its open. Writing a number to the open
 * file moves it there, to the next operation with that number or a higher one;
 * 0 is the oldest the log holds. EINVAL for a number beyond the one to come.
 *
 * Where nothing is there yet reading fails with EAGAIN: to wait is the front
 * end's business. A reader takes a few kilobytes, whatever it misses.
 */
#include "control/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/id.h"
#include "control/number.h"
#include "control/tree.h"

#define ITEMS     64u
#define EVENT_MAX (20u + 8u + 2u * (1u + CID_ID_TEXT) + 1u)

struct events {
	struct cid_control *c;
	uint64_t seq; /* wanted next */
	size_t at, n; /* items at hand */
	struct cid_feed_item item[ITEMS];
	size_t piece_at, piece_n;
	char piece[EVENT_MAX]; /* of a line, what did not fit into the last read */
};

static int events_open(struct cid_control *c, void **out)
{
	struct events *e;

	/* Another process writes, and its log is not followed. */
	if (cid_store_readonly(c->store))
		return -EOPNOTSUPP;
	e = malloc(sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	e->c = c;
	e->seq = cidstore_last_seq(c->store) + 1;
	e->at = e->n = e->piece_at = e->piece_n = 0;
	*out = e;
	return 0;
}

static char *put_number(char *p, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	while (n > 0)
		*p++ = digits[--n];
	return p;
}

static char *put_id(char *p, struct cidstore_id id)
{
	*p++ = ' ';
	cidstore_id_format(id, p);
	return p + CID_ID_TEXT;
}

/* At most EVENT_MAX bytes; their number. */
static size_t put_line(char *out, const struct cid_feed_item *i)
{
	static const char *const verb[] = {
		[CID_FEED_INSERT] = " insert", [CID_FEED_DELETE] = " delete",
		[CID_FEED_RMKEY] = " delete",  [CID_FEED_MKKEY] = " mkkey",
		[CID_FEED_BEGIN] = " begin ",  [CID_FEED_COMMIT] = " commit ",
		[CID_FEED_LOST] = " lost ",
	};
	char *p = stpcpy(put_number(out, i->seq), verb[i->kind]);

	if (i->kind >= CID_FEED_BEGIN)
		p = put_number(p, i->count);
	else
		p = put_id(p, i->key);
	if (i->kind == CID_FEED_INSERT || i->kind == CID_FEED_DELETE)
		p = put_id(p, i->value);
	*p++ = '\n';
	return (size_t)(p - out);
}

static bool fetch(struct events *e)
{
	if (e->at == e->n) {
		e->at = 0;
		e->n = cid_store_feed(e->c->store, &e->seq, e->item, ITEMS);
	}
	return e->at < e->n;
}

static ssize_t events_read(void *stream, void *buf, size_t n)
{
	struct events *e = stream;
	char *out = buf;
	size_t done = 0, part;

	while (done < n) {
		if (e->piece_at < e->piece_n) {
			part = e->piece_n - e->piece_at;
			if (part > n - done)
				part = n - done;
			memcpy(out + done, e->piece + e->piece_at, part);
			e->piece_at += part;
			done += part;
		} else if (!fetch(e)) {
			break;
		} else if (n - done >= EVENT_MAX) {
			done += put_line(out + done, &e->item[e->at++]);
		} else if (done > 0) {
			break; /* whole lines, where there is one */
		} else {
			e->piece_at = 0;
			e->piece_n = put_line(e->piece, &e->item[e->at++]);
		}
	}
	return done > 0 || n == 0 ? (ssize_t)done : -EAGAIN;
}

static ssize_t events_write(void *stream, const void *buf, size_t n)
{
	struct events *e = stream;
	uint64_t seq;

	if (!cid_number_written(buf, n, &seq) || seq > cidstore_last_seq(e->c->store) + 1)
		return -EINVAL;
	e->seq = seq > 0 ? seq : cid_store_feed_oldest(e->c->store);
	e->at = e->n = e->piece_at = e->piece_n = 0;
	return (ssize_t)n;
}

static bool events_ready(void *stream)
{
	struct events *e = stream;

	return e->piece_at < e->piece_n || fetch(e);
}

static void events_release(void *stream)
{
	free(stream);
}

const struct cid_ctl_stream cid_stream_events = {
	.light = true,
	.open = events_open,
	.read = events_read,
	.write = events_write,
	.ready = events_ready,
	.release = events_release,
};
