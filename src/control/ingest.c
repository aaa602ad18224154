/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ingest.c - the ingest stream: records of 32 bytes, key then value, each 16
 * bytes big-endian; key and value are inserted
 *
 * A write may end inside a record: the rest is taken from the next one. It
 * returns when its whole records are applied. A write that fails takes nothing
 * of its bytes, though records before the failure may have been applied;
 * writing it again is harmless. A record that is not complete when a
 * descriptor is closed is EINVAL there, and is dropped and counted when the
 * file is.
 */
#include "control/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/wire.h"
#include "control/tree.h"

/* Handed to the store at once: what stays in the processor's cache. */
#define PAIRS 8192u

struct ingest {
	struct cid_control *c;
	size_t torn; /* bytes of a record in `tail` */
	uint8_t tail[CID_WIRE_PAIR];
	struct cidstore_pair pair[PAIRS];
};

static int ingest_open(struct cid_control *c, void **out)
{
	struct ingest *s = malloc(sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->c = c;
	s->torn = 0;
	*out = s;
	return 0;
}

static int insert(struct ingest *s, size_t n)
{
	size_t done = 0;
	int rc = cidstore_insert(s->c->store, s->pair, n, &done);

	cid_ctl_count(&s->c->total.ingest_records, rc == 0 ? n : done);
	return cid_ctl_errno(rc);
}

static ssize_t ingest_write(void *stream, const void *buf, size_t n)
{
	struct ingest *s = stream;
	const uint8_t *p = buf;
	size_t left = n, fill = 0;
	int rc = 0;

	if (s->torn > 0) {
		uint8_t whole[CID_WIRE_PAIR];
		size_t rest = CID_WIRE_PAIR - s->torn;

		if (n < rest) {
			memcpy(s->tail + s->torn, p, n);
			s->torn += n;
			return (ssize_t)n;
		}
		/* The tail stays as it is until the write succeeds. */
		memcpy(whole, s->tail, s->torn);
		memcpy(whole + s->torn, p, rest);
		s->pair[fill++] = cid_wire_get_pair(whole);
		p += rest;
		left -= rest;
	}
	while (rc == 0 && (fill > 0 || left >= CID_WIRE_PAIR)) {
		size_t some = left / CID_WIRE_PAIR;

		if (some > PAIRS - fill)
			some = PAIRS - fill;
		for (size_t i = 0; i < some; i++)
			s->pair[fill + i] = cid_wire_get_pair(p + i * CID_WIRE_PAIR);
		p += some * CID_WIRE_PAIR;
		left -= some * CID_WIRE_PAIR;
		rc = insert(s, fill + some);
		fill = 0;
	}
	if (rc != 0)
		return rc;
	memcpy(s->tail, p, left);
	s->torn = left;
	return (ssize_t)n;
}

static int ingest_flush(void *stream)
{
	const struct ingest *s = stream;

	return s->torn > 0 ? -EINVAL : 0;
}

static void ingest_release(void *stream)
{
	struct ingest *s = stream;

	if (s->torn > 0)
		cid_ctl_count(&s->c->total.ingest_torn, 1);
	free(s);
}

const struct cid_ctl_stream cid_stream_ingest = {
	.open = ingest_open,
	.write = ingest_write,
	.flush = ingest_flush,
	.release = ingest_release,
};
