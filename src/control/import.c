/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * import.c - the import stream takes what export gave (base/frame.h)
 *
 * A block is verified before it is applied, and a write returns when the blocks
 * it completed are. What is there already stays as it is. At the first damage
 * or failure the stream is refused for good: EIO for damage, EINVAL for what
 * is no such stream, goes on behind its end or, at close, has no end. What was
 * applied before that stays, and importing a whole stream later is harmless.
 *
 * Reading the file tells of the import that began last: "state none",
 * "running", "done" or "failed", how many blocks, pairs and keys without values
 * were applied, and why it failed.
 */
#include "control/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/err.h"
#include "base/frame.h"
#include "base/wire.h"
#include "control/stream.h"
#include "control/tree.h"

struct import {
	struct cid_control *c;
	uint64_t number, blocks, pairs, keys;
	int failed; /* negative errno */
	union {
		struct cidstore_pair pair[CID_FRAME_PAIRS_MAX];
		struct cidstore_id key[CID_FRAME_KEYS_MAX];
	} items;
	struct cid_frame_decoder decoder;
};

void cid_import_status_init(struct cid_import_status *s)
{
	*s = (struct cid_import_status){ .state = CID_IMPORT_NONE };
	pthread_mutex_init(&s->lock, NULL);
}

void cid_import_status_fini(struct cid_import_status *s)
{
	pthread_mutex_destroy(&s->lock);
}

/* `err` NULL: no failure. */
static void report(const struct import *m, enum cid_import_state state,
		   const struct cidstore_error *err)
{
	struct cid_import_status *s = &m->c->import;

	pthread_mutex_lock(&s->lock);
	if (s->number == m->number) {
		s->state = state;
		s->blocks = m->blocks;
		s->pairs = m->pairs;
		s->keys = m->keys;
		(void)snprintf(s->message, sizeof(s->message), "%s",
			       err != NULL ? err->message : "");
	}
	pthread_mutex_unlock(&s->lock);
}

static int import_open(struct cid_control *c, void **out)
{
	struct import *m = malloc(sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->c = c;
	m->number = 0;
	m->blocks = m->pairs = m->keys = 0;
	m->failed = 0;
	cid_frame_decoder_init(&m->decoder);
	*out = m;
	return 0;
}

static int apply(struct import *m, const struct cid_frame_block *b, struct cidstore_error *err)
{
	struct cid_ctl_totals *t = &m->c->total;
	size_t done = 0;
	int rc = 0;

	if (b->kind == CID_FRAME_END)
		return 0;
	if (b->kind == CID_FRAME_PAIRS) {
		for (size_t i = 0; i < b->count; i++)
			m->items.pair[i] = cid_wire_get_pair(b->payload + i * CID_WIRE_PAIR);
		rc = cidstore_insert(m->c->store, m->items.pair, b->count, &done);
		done = rc == 0 ? b->count : done;
		m->pairs += done;
		cid_ctl_count(&t->import_pairs, done);
	} else {
		for (size_t i = 0; i < b->count; i++)
			m->items.key[i] = cid_wire_get_id(b->payload + i * CID_WIRE_ID);
		rc = cidstore_make_keys(m->c->store, m->items.key, b->count, &done);
		done = rc == 0 ? b->count : done;
		m->keys += done;
		cid_ctl_count(&t->import_keys, done);
	}
	if (rc != 0)
		return cid_err_set(err, rc, "applying block %llu: %s",
				   (unsigned long long)m->blocks, cidstore_strerror(rc));
	m->blocks++;
	cid_ctl_count(&t->import_blocks, 1);
	return 0;
}

static int fail(struct import *m, int code, const struct cidstore_error *err)
{
	m->failed = cid_ctl_errno(code);
	cid_ctl_count(&m->c->total.import_errors, 1);
	report(m, CID_IMPORT_FAILED, err);
	return m->failed;
}

static ssize_t import_write(void *stream, const void *buf, size_t n)
{
	struct import *m = stream;
	const uint8_t *p = buf;
	struct cid_frame_block block;
	struct cidstore_error err;
	size_t left = n;
	int rc;

	if (m->failed != 0)
		return m->failed;
	if (m->number == 0) {
		pthread_mutex_lock(&m->c->import.lock);
		m->number = ++m->c->import.number;
		pthread_mutex_unlock(&m->c->import.lock);
	}
	do {
		rc = cid_frame_decode(&m->decoder, &p, &left, &block, &err);
		if (rc > 0 && apply(m, &block, &err) != 0)
			rc = err.code;
	} while (rc > 0);
	if (rc < 0)
		return fail(m, rc, &err);
	report(m, m->decoder.state == CID_FRAME_ENDED ? CID_IMPORT_DONE : CID_IMPORT_RUNNING, NULL);
	return (ssize_t)n;
}

/* A file that was opened and closed is no import. */
static int cut_off(const struct import *m, struct cidstore_error *err)
{
	if (m->decoder.offset == 0 && m->decoder.have == 0)
		return 0;
	return cid_frame_decode_end(&m->decoder, err);
}

static int import_flush(void *stream)
{
	const struct import *m = stream;

	return m->failed != 0 ? m->failed : cid_ctl_errno(cut_off(m, NULL));
}

static void import_release(void *stream)
{
	struct import *m = stream;
	struct cidstore_error err;
	int rc = m->failed == 0 ? cut_off(m, &err) : 0;

	if (rc != 0)
		(void)fail(m, rc, &err);
	free(m);
}

int cid_show_import(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		    struct cid_text *out)
{
	static const char *const word[] = {
		[CID_IMPORT_NONE] = "none",
		[CID_IMPORT_RUNNING] = "running",
		[CID_IMPORT_DONE] = "done",
		[CID_IMPORT_FAILED] = "failed",
	};
	struct cid_import_status *s = &c->import;

	(void)node;
	(void)name;
	pthread_mutex_lock(&s->lock);
	cid_text_printf(out, "state %s\n", word[s->state]);
	cid_text_row(out, "blocks", s->blocks);
	cid_text_row(out, "pairs", s->pairs);
	cid_text_row(out, "keys", s->keys);
	if (s->message[0] != '\0')
		cid_text_printf(out, "error %s\n", s->message);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

const struct cid_ctl_stream cid_stream_import = {
	.open = import_open,
	.write = import_write,
	.flush = import_flush,
	.release = import_release,
};
