/* SPDX-License-Identifier: BSD-2-Clause */
/* control_frame.c - the framed stream, and export and import over it */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/frame.h"
#include "base/hash.h"
#include "base/wire.h"
#include "lib/ctlstore.h"
#include "lib/tap.h"

static uint64_t seed;

/* ---- the frame by itself ---- */

struct stream {
	uint8_t *p;
	size_t n;
	size_t end[16]; /* of the header, then of each block */
	size_t ends;
};

static void grow(struct stream *s, size_t n)
{
	s->n += n;
	s->end[s->ends++] = s->n;
}

/* Small blocks: 3 pairs, 2 keys, 1 pair, end. */
static void make_stream(struct stream *s, uint64_t frame_seed)
{
	static const struct {
		enum cid_frame_kind kind;
		uint32_t count;
	} block[] = { { CID_FRAME_PAIRS, 3 }, { CID_FRAME_KEYS, 2 }, { CID_FRAME_PAIRS, 1 } };
	struct cid_frame_encoder e;
	uint64_t random = frame_seed;

	*s = (struct stream){ .p = malloc(4096) };
	if (s->p == NULL)
		tap_bail("out of memory");
	cid_frame_start(&e, frame_seed, s->p);
	grow(s, CID_FRAME_HEADER);
	for (size_t i = 0; i < 3; i++) {
		uint8_t *b = s->p + s->n;
		size_t ids = block[i].count * (block[i].kind == CID_FRAME_PAIRS ? 2 : 1);

		for (size_t j = 0; j < ids; j++)
			cid_wire_put_id(b + CID_FRAME_LEAD + j * CID_WIRE_ID, random_id(&random));
		grow(s, cid_frame_seal(&e, block[i].kind, block[i].count, b));
	}
	grow(s, cid_frame_finish(&e, s->p + s->n));
}

/* Decodes all of it in pieces; 0, or the failure. The payloads of the blocks
 * that came through are copied behind each other. */
static int decode(const uint8_t *p, size_t n, size_t most, uint64_t *random, uint8_t *payload,
		  size_t *payload_n, unsigned *blocks)
{
	struct cid_frame_decoder *d = malloc(sizeof(*d));
	int rc = 0;

	if (d == NULL)
		tap_bail("out of memory");
	cid_frame_decoder_init(d);
	*payload_n = 0;
	*blocks = 0;
	while (n > 0 && rc >= 0) {
		size_t part = 1 + random_below(random, most), left;
		struct cid_frame_block b;

		if (part > n)
			part = n;
		left = part;
		n -= part;
		while ((rc = cid_frame_decode(d, &p, &left, &b, NULL)) > 0) {
			size_t size = b.kind == CID_FRAME_END
					      ? 0
					      : b.count * (b.kind == CID_FRAME_PAIRS ? 32u : 16u);

			memcpy(payload + *payload_n, b.payload, size);
			*payload_n += size;
			++*blocks;
		}
		if (rc == 0 && left != 0)
			tap_bail("bytes were left");
	}
	if (rc == 0)
		rc = cid_frame_decode_end(d, NULL);
	free(d);
	return rc;
}

static void frame_whole(void)
{
	static const size_t most[] = { 1, 5, 100, 4096 };
	uint8_t payload[512], first[512];
	uint64_t random = seed;
	struct stream s;
	size_t n, first_n = 0;
	unsigned blocks;

	make_stream(&s, 42);
	tap_int(s.n, 32 + (32 + 96) + (32 + 32) + (32 + 32) + 64, "a stream's length");
	tap_ok(memcmp(s.p, "CIDX\1\0\40\0\52\0\0\0\0\0\0\0", 16) == 0, "its header");
	tap_ok(memcmp(s.p + 32, "\1\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0", 16) == 0, "its first block");
	tap_ok(memcmp(s.p + s.n - 64, "\3\0\0\0\1\0\0\0\3\0\0\0\0\0\0\0", 16) == 0, "its end");
	tap_ok(memcmp(s.p + s.n - 48, "\4\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 24) == 0,
	       "and the totals there");
	for (size_t i = 0; i < 4; i++) {
		tap_int(decode(s.p, s.n, most[i], &random, payload, &n, &blocks), 0,
			"read in pieces of up to %zu", most[i]);
		if (i == 0) {
			memcpy(first, payload, n);
			first_n = n;
		}
		tap_ok(n == 160 && blocks == 4 && n == first_n && memcmp(first, payload, n) == 0,
		       "the payloads are the same");
	}
	free(s.p);
}

static void frame_damage(void)
{
	uint8_t payload[512], *copy;
	uint64_t random = seed;
	struct stream s, other;
	size_t n, found = 0, cut = 0;
	unsigned blocks;
	bool before = true;

	make_stream(&s, 42);
	copy = malloc(s.n + 64);
	if (copy == NULL)
		tap_bail("out of memory");
	for (size_t bit = 0; bit < s.n * 8; bit++) {
		size_t whole = 0;

		memcpy(copy, s.p, s.n);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		found += decode(copy, s.n, 64, &random, payload, &n, &blocks) != 0;
		/* Nothing of the damaged block or behind it came through. */
		for (size_t i = 1; i < s.ends && bit / 8 >= s.end[i]; i++)
			whole++;
		before = before && blocks == (bit / 8 < s.end[0] ? 0 : whole);
	}
	tap_int(found, s.n * 8, "each flipped bit is found");
	tap_ok(before, "what stands before it comes through, and nothing else");
	for (n = 0; n < s.n; n++) {
		size_t got;

		cut += decode(s.p, n, 64, &random, payload, &got, &blocks) == CIDSTORE_EINVAL;
	}
	tap_int(cut, s.n, "each cut is found");
	memcpy(copy, s.p, s.n);
	copy[s.n] = 0;
	tap_int(decode(copy, s.n + 1, 64, &random, payload, &n, &blocks), CIDSTORE_EINVAL,
		"nothing follows the end");
	memmove(copy + s.end[0], s.p + s.end[1], s.n - s.end[1]);
	tap_int(decode(copy, s.n - (s.end[1] - s.end[0]), 64, &random, payload, &n, &blocks),
		CIDSTORE_ECORRUPT, "a missing block is found");
	memcpy(copy, s.p, s.end[1]);
	memcpy(copy + s.end[1], s.p + s.end[0], s.end[1] - s.end[0]);
	tap_int(decode(copy, 2 * s.end[1] - s.end[0], 64, &random, payload, &n, &blocks),
		CIDSTORE_ECORRUPT, "a repeated block is found");
	make_stream(&other, 43);
	memcpy(copy, s.p, s.n);
	memcpy(copy + s.end[0], other.p + s.end[0], s.end[1] - s.end[0]);
	tap_int(decode(copy, s.n, 64, &random, payload, &n, &blocks), CIDSTORE_ECORRUPT,
		"a block of another stream is found");
	free(other.p);
	free(copy);
	free(s.p);
}

static void frame_version(void)
{
	uint8_t header[CID_FRAME_HEADER], payload[16];
	uint64_t random = seed;
	struct cid_frame_encoder e;
	struct cid_sum sum;
	unsigned blocks;
	size_t n;

	cid_frame_start(&e, 1, header);
	header[4] = 2;
	sum = cid_sum_of(header, 16, 0);
	memcpy(header + 16, &sum, 16);
	tap_int(decode(header, sizeof(header), 8, &random, payload, &n, &blocks), CIDSTORE_EVERSION,
		"a newer version is refused");
	memset(header, 'x', sizeof(header));
	tap_int(decode(header, sizeof(header), 8, &random, payload, &n, &blocks), CIDSTORE_EINVAL,
		"and what is no such stream");
}

/* ---- export and import ---- */

static void fill(struct fixture *f, uint64_t *random)
{
	const struct cidstore_id zero = { 0, 0 }, ones = { UINT64_MAX, UINT64_MAX };
	const struct cidstore_pair edge[] = { { zero, zero }, { zero, ones }, { ones, ones } };
	struct cidstore_pair *p = calloc(20000, sizeof(*p));
	struct cidstore_id *k = calloc(9000, sizeof(*k)), big = random_id(random);

	if (p == NULL || k == NULL)
		tap_bail("out of memory");
	for (size_t i = 0; i < 20000; i++)
		p[i] = (struct cidstore_pair){ i < 5000 ? big : random_id(random),
					       random_id(random) };
	for (size_t i = 0; i < 9000; i++)
		k[i] = random_id(random);
	for (size_t i = 10000; i < 12000; i++)
		p[i].key = p[i / 10].key; /* sets of ten */
	if (cidstore_insert(f->store, p, 20000, NULL) != 0 ||
	    cidstore_insert(f->store, edge, 3, NULL) != 0 ||
	    cidstore_make_keys(f->store, k, 9000, NULL) != 0)
		tap_bail("fill");
	free(p);
	free(k);
}

static bool same(struct fixture *a, const struct content *want)
{
	struct content got;
	bool equal;

	content_of(a->store, &got);
	equal = content_equal(&got, want);
	content_fini(&got);
	return equal;
}

static uint8_t *export_all(struct fixture *f, size_t most, uint64_t *random, size_t *n)
{
	struct cid_ctl_file *file = must_open(f, "export", O_RDONLY);
	uint8_t *bytes;
	int error;

	bytes = drain(file, most, random, n, &error);
	if (error != 0)
		tap_bail("export: %s", strerror(-error));
	cid_control_release(file);
	return bytes;
}

static bool status_is(struct fixture *f, const char *want)
{
	char *text = get_text(f, "import", NULL);
	bool held = text != NULL && strstr(text, want) != NULL;

	if (!held)
		tap_note("%s", text != NULL ? text : "");
	free(text);
	return held;
}

static void copies(struct fixture *f, const struct content *want)
{
	static const size_t most[] = { 1 << 20, 3, 5000, 65536 };
	uint64_t random = seed;

	for (size_t i = 0; i < 4; i++) {
		struct cid_ctl_file *file;
		struct fixture to;
		uint8_t *bytes;
		size_t n;

		fixture_init(&to);
		tap_ok(status_is(&to, "state none\n"), "no import yet");
		bytes = export_all(f, most[i], &random, &n);
		file = must_open(&to, "import", O_WRONLY);
		tap_int(feed(file, bytes, n, most[(i + 1) % 4], &random), 0,
			"export in pieces of up to %zu, import of up to %zu", most[i],
			most[(i + 1) % 4]);
		tap_int(cid_control_flush(file), 0, "ends well");
		tap_ok(same(&to, want), "the copy has the same content");
		tap_ok(status_is(&to, "state done\n") &&
			       get_row(&to, "import", "pairs") ==
				       get_row(&to, "stats", "import_pairs") &&
			       get_row(&to, "import", "keys") == 9000,
		       "and tells so");
		tap_int(cid_control_write(file, "x", 1, 0), -EINVAL, "nothing may follow");
		cid_control_release(file);
		tap_ok(get_row(&to, "stats", "import_errors") == 1 &&
			       status_is(&to, "after the end"),
		       "which is told as well");
		free(bytes);
		fixture_fini(&to);
	}
	tap_int(get_row(f, "stats", "export_keys"), 4 * 9000, "exported keys are counted");
}

static void consistent(struct fixture *f, const struct content *want)
{
	struct cid_ctl_file *from = must_open(f, "export", O_RDONLY), *file;
	struct cidstore_pair p[1000];
	uint64_t random = seed + 1;
	struct content now;
	struct fixture to;
	uint8_t head[70000], *rest;
	size_t n;
	int error;

	tap_int(cid_control_read(from, head, sizeof(head), 0), sizeof(head), "an export begins");
	for (size_t i = 0; i < 1000; i++)
		p[i] = (struct cidstore_pair){ random_id(&random), random_id(&random) };
	content_of(f->store, &now);
	for (size_t i = 0; i < now.n; i += 3)
		(void)cidstore_delete_keys(f->store, &now.row[i].key, 1, NULL);
	if (cidstore_insert(f->store, p, 1000, NULL) != 0)
		tap_bail("insert");
	cidstore_checkpoint(f->store);
	rest = drain(from, 1 << 16, &random, &n, &error);
	tap_int(error, 0, "and goes on while the store changes");
	cid_control_release(from);
	fixture_init(&to);
	file = must_open(&to, "import", O_WRONLY);
	tap_int(cid_control_write(file, head, sizeof(head), 0), sizeof(head), "it is imported");
	tap_int(feed(file, rest, n, 1 << 20, &random), 0, "as a whole");
	tap_int(cid_control_flush(file), 0, "to its end");
	cid_control_release(file);
	tap_ok(same(&to, want), "and has the state of its open");
	free(rest);
	content_fini(&now);
	fixture_fini(&to);
}

/* The offset of block `index` in a stream of full blocks. */
static size_t block_at(const uint8_t *p, unsigned index)
{
	size_t at = CID_FRAME_HEADER;

	for (; index > 0; index--) {
		uint32_t kind, count;

		memcpy(&kind, p + at, 4);
		memcpy(&count, p + at + 4, 4);
		at += 32 + count * (kind == CID_FRAME_PAIRS ? 32u : 16u);
	}
	return at;
}

static void damaged(struct fixture *f)
{
	uint64_t random = seed + 2;
	struct cid_ctl_file *file;
	struct fixture to;
	uint8_t *bytes;
	size_t n, at;

	fixture_init(&to);
	bytes = export_all(f, 1 << 20, &random, &n);
	at = block_at(bytes, 3);
	bytes[at + 777] ^= 1;
	file = must_open(&to, "import", O_WRONLY);
	tap_int(feed(file, bytes, at + 500, 1000, &random), 0, "a stream is good up to its damage");
	tap_int(cid_control_flush(file), -EINVAL, "but not over");
	tap_int(feed(file, bytes + at + 500, n - at - 500, 1000, &random), -EIO,
		"damage is refused where it is");
	tap_int(cid_control_write(file, bytes, 10, 0), -EIO, "and all that follows");
	tap_int(cid_control_flush(file), -EIO, "and a close");
	tap_ok(get_row(&to, "import", "blocks") == 3 && status_is(&to, "state failed\n") &&
		       status_is(&to, "block 3: the checksum does not match\n"),
	       "what was applied is told, and why it ended");
	cid_control_release(file);
	tap_int(get_row(&to, "stats", "import_errors"), 1, "once");
	tap_int(get_row(&to, "stats", "import_blocks"), 3, "blocks are counted");

	bytes[at + 777] ^= 1;
	file = must_open(&to, "import", O_WRONLY);
	tap_int(feed(file, bytes, n - 1, 1 << 20, &random), 0, "a cut stream");
	tap_int(cid_control_flush(file), -EINVAL, "is told at a close");
	cid_control_release(file);
	tap_ok(status_is(&to, "error the stream was cut off at byte"), "and afterwards");
	tap_int(put_text(&to, "import", "a text that is long enough to be a header"), -EINVAL,
		"no stream at all");
	tap_int(put_text(&to, "import", "short"), -EINVAL, "a very short one");
	tap_int(put_text(&to, "import", ""), 0, "nothing at all is no import");
	tap_int(get_row(&to, "stats", "import_errors"), 4, "all of them are counted");
	free(bytes);
	fixture_fini(&to);
}

static void nothing(void)
{
	uint64_t random = seed + 3;
	struct fixture f;
	uint8_t *bytes;
	struct cid_ctl_file *file;
	size_t n;

	fixture_init(&f);
	bytes = export_all(&f, 100, &random, &n);
	tap_int(n, CID_FRAME_HEADER + CID_FRAME_END_BYTES, "an empty store is a header and an end");
	file = must_open(&f, "import", O_WRONLY);
	tap_int(feed(file, bytes, n, 10, &random), 0, "which is imported");
	tap_int(cid_control_flush(file), 0, "to its end");
	cid_control_release(file);
	tap_ok(status_is(&f, "state done\nblocks 0\n"), "with nothing");
	free(bytes);
	fixture_fini(&f);
}

int main(void)
{
	struct content want;
	struct fixture f;
	uint64_t random;

	random = seed = random_seed();
	frame_whole();
	frame_damage();
	frame_version();
	nothing();
	fixture_init(&f);
	fill(&f, &random);
	content_of(f.store, &want);
	copies(&f, &want);
	consistent(&f, &want);
	damaged(&f);
	content_fini(&want);
	fixture_fini(&f);
	return tap_done();
}
