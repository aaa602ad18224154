/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/save.h"

#include <stdlib.h>
#include <sys/random.h>
#include "base/err.h"
#include "base/frame.h"
#include "base/wire.h"
#include "tools/outfile.h"

/* A block that fills up. */
struct filling {
	enum cid_frame_kind kind;
	uint32_t count;
	uint8_t bytes[CID_FRAME_BLOCK_MAX];
};

struct cid_save {
	struct cid_outfile *out;
	struct cid_frame_encoder encoder;
	struct filling pairs, keys;
};

int cid_save_new(struct cid_outfile *out, struct cid_save **save, struct cidstore_error *err)
{
	struct cid_save *s = malloc(sizeof(*s));
	uint8_t header[CID_FRAME_HEADER];
	uint64_t seed;
	int rc;

	if (s == NULL)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
		free(s);
		return cid_err_set(err, CIDSTORE_ESYSTEM, "no random bytes to be had");
	}
	s->out = out;
	s->pairs.kind = CID_FRAME_PAIRS;
	s->pairs.count = 0;
	s->keys.kind = CID_FRAME_KEYS;
	s->keys.count = 0;
	cid_frame_start(&s->encoder, seed, header);
	rc = cid_outfile_put(out, header, sizeof(header), err);
	if (rc != 0)
		free(s);
	else
		*save = s;
	return rc;
}

static int flush(struct cid_save *s, struct filling *f, struct cidstore_error *err)
{
	size_t n;

	if (f->count == 0)
		return 0;
	n = cid_frame_seal(&s->encoder, f->kind, f->count, f->bytes);
	f->count = 0;
	return cid_outfile_put(s->out, f->bytes, n, err);
}

int cid_save_pairs(struct cid_save *s, const struct cidstore_pair *p, size_t n,
		   struct cidstore_error *err)
{
	struct filling *f = &s->pairs;
	uint8_t *to;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		to = f->bytes + CID_FRAME_LEAD + f->count * CID_WIRE_PAIR;
		cid_wire_put_pair(to, p[i]);
		if (++f->count == CID_FRAME_PAIRS_MAX)
			rc = flush(s, f, err);
	}
	return rc;
}

int cid_save_keys(struct cid_save *s, const struct cidstore_id *k, size_t n,
		  struct cidstore_error *err)
{
	struct filling *f = &s->keys;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		cid_wire_put_id(f->bytes + CID_FRAME_LEAD + f->count * CID_WIRE_ID, k[i]);
		if (++f->count == CID_FRAME_KEYS_MAX)
			rc = flush(s, f, err);
	}
	return rc;
}

int cid_save_end(struct cid_save *s, struct cidstore_error *err)
{
	uint8_t end[CID_FRAME_END_BYTES];
	int rc = flush(s, &s->pairs, err);

	if (rc == 0)
		rc = flush(s, &s->keys, err);
	if (rc == 0)
		rc = cid_outfile_put(s->out, end, cid_frame_finish(&s->encoder, end), err);
	return rc;
}

void cid_save_free(struct cid_save *s)
{
	free(s);
}
