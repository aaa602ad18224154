/* SPDX-License-Identifier: BSD-2-Clause */
/* control_threads.c - all files used at once: writers, readers, maintenance */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/frame.h"
#include "base/wire.h"
#include "lib/ctlstore.h"
#include "lib/tap.h"

#define WRITERS 2
#define ROUNDS	60u
#define RECORDS 1000u
#define BIG	70000u /* values of the one large set */

static struct fixture f;
static uint64_t seed;
static _Atomic unsigned writing; /* writers at work */

static const struct cidstore_id big = { 1, 1 };

static struct cidstore_pair pair_of(unsigned writer, unsigned round, unsigned i)
{
	uint64_t random = seed + ((uint64_t)writer << 48) + round * RECORDS + i;

	return (struct cidstore_pair){ { writer + 10, random_below(&random, 3000) },
				       random_id(&random) };
}

static struct cid_ctl_file *open_file(const char *path, int flags)
{
	return must_open(&f, path, flags);
}

static void *ingest(void *arg)
{
	unsigned writer = *(unsigned *)arg;
	struct cid_ctl_file *file = open_file("ingest", O_WRONLY);
	uint8_t *bytes = malloc(RECORDS * CID_WIRE_PAIR);
	uint64_t random = seed + writer;
	long failures = 0;

	if (bytes == NULL)
		tap_bail("out of memory");
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < RECORDS; i++)
			cid_wire_put_pair(bytes + i * CID_WIRE_PAIR, pair_of(writer, round, i));
		failures += feed(file, bytes, RECORDS * CID_WIRE_PAIR, 20000, &random) != 0;
	}
	cid_control_release(file);
	free(bytes);
	writing--;
	return (void *)failures;
}

static void *batch(void *arg)
{
	struct cid_ctl_file *file = open_file("batch", O_WRONLY);
	char text[256], k[33] = "";
	long failures = 0;

	(void)arg;
	for (unsigned i = 0; i < ROUNDS * 10; i++) {
		cidstore_id_format((struct cidstore_id){ 2, i % 7 }, k);
		(void)snprintf(text, sizeof(text), "mkkey %s\ninsert %s %s\ncommit\n", k, k, k);
		failures += cid_control_write(file, text, strlen(text), 0) < 0;
		if (i % 50 == 0)
			failures += cid_control_fsync(file) != 0;
	}
	cid_control_release(file);
	writing--;
	return (void *)failures;
}

/* The large set never changes: each answer is all of it. */
static void *lookup(void *arg)
{
	struct cid_ctl_file *file = open_file("lookup", O_RDWR);
	uint64_t random = seed, count = 0;
	uint8_t key[2 * CID_WIRE_ID], *bytes;
	long failures = 0;
	size_t n;
	int error;

	(void)arg;
	cid_wire_put_id(key, big);
	cid_wire_put_id(key + CID_WIRE_ID, (struct cidstore_id){ 9, 9 });
	do {
		failures += feed(file, key, sizeof(key), 40, &random) != 0;
		bytes = drain(file, 1 << 18, &random, &n, &error);
		if (n > 8)
			memcpy(&count, bytes, 8);
		failures += error != 0 || n != 16 + BIG * CID_WIRE_ID || le64toh(count) != BIG;
		free(bytes);
	} while (writing > 0);
	cid_control_release(file);
	return (void *)failures;
}

static void *export(void *arg)
{
	struct cid_frame_decoder *d = malloc(sizeof(*d));
	uint64_t random = seed, last = 0;
	long failures = 0;

	(void)arg;
	if (d == NULL)
		tap_bail("out of memory");
	do {
		struct cid_ctl_file *file = open_file("export", O_RDONLY);
		struct cid_frame_block block;
		const uint8_t *p;
		uint8_t *bytes;
		size_t n;
		int error;

		bytes = drain(file, 1 << 18, &random, &n, &error);
		p = bytes;
		cid_control_release(file);
		cid_frame_decoder_init(d);
		while (cid_frame_decode(d, &p, &n, &block, NULL) > 0)
			;
		/* Whole, and never less than before: nothing is deleted here. */
		failures += error != 0 || cid_frame_decode_end(d, NULL) != 0 || d->pairs < last ||
			    d->pairs < BIG;
		last = d->pairs;
		free(bytes);
	} while (writing > 0);
	free(d);
	return (void *)failures;
}

static void *watch(void *arg)
{
	static const char *const shown[] = { "stats",  "metrics", "health",	   "compact",
					     "verify", "import",  "debug/bucket/0" };
	static const char *const done[] = { "compact", "gc", "verify", "checkpoint" };
	long failures = 0;
	unsigned i = 0;

	(void)arg;
	do {
		int error = 0, rc;

		free(get_text(&f, shown[i % 7], &error));
		failures += error != 0;
		rc = i % 16 == 0 ? put_text(&f, done[i / 16 % 4], "1\n") : 0;
		failures += rc != 0 && rc != -EBUSY;
		i++;
	} while (writing > 0);
	return (void *)failures;
}

static void fill(void)
{
	struct cidstore_pair *p = calloc(BIG, sizeof(*p));
	uint64_t random = seed;

	if (p == NULL)
		tap_bail("out of memory");
	for (size_t i = 0; i < BIG; i++)
		p[i] = (struct cidstore_pair){ big, random_id(&random) };
	if (cidstore_insert(f.store, p, BIG, NULL) != 0)
		tap_bail("insert");
	free(p);
}

static bool all_there(void)
{
	uint64_t count;
	bool held = cidstore_count(f.store, big, &count) == 0 && count == BIG;

	for (unsigned w = 0; w < WRITERS; w++)
		for (unsigned r = 0; r < ROUNDS; r++)
			for (unsigned i = 0; i < RECORDS && held; i++) {
				struct cidstore_pair p = pair_of(w, r, i);

				held = cidstore_contains(f.store, p.key, p.value) == 0;
			}
	return held;
}

/* Whoever unmounts does not wait for a compaction. */
static void cancelled(void)
{
	struct cidstore_stats st;
	struct cid_control *c;
	uint64_t random = seed;

	for (unsigned i = 0; i < 4; i++) {
		struct cidstore_pair p = { random_id(&random), random_id(&random) };

		if (cidstore_insert(f.store, &p, 1, NULL) != 0)
			tap_bail("insert");
		(void)cidstore_checkpoint(f.store);
	}
	cid_store_cancel(f.store, 1);
	tap_int(cidstore_compact(f.store), CIDSTORE_EAGAIN, "a compaction is called off");
	tap_int(cidstore_gc(f.store), CIDSTORE_EAGAIN, "and a collection");
	cid_store_cancel(f.store, 0);
	if (cid_control_new(f.store, OWNER, &c) != 0)
		tap_bail("control");
	cid_control_free(c);
	tap_int(cidstore_compact(f.store), 0, "the next one is not");
	cidstore_stats(f.store, &st);
	tap_int((long)st.runs, 0, "and merges all");
}

int main(void)
{
	static const struct {
		const char *name;
		void *(*run)(void *arg);
	} other[] = {
		{ "batch", batch }, { "lookup", lookup }, { "export", export }, { "watch", watch }
	};
	unsigned number[WRITERS];
	pthread_t writer[WRITERS], thread[4];
	void *failures;

	seed = random_seed();
	fixture_init(&f);
	fill();
	writing = WRITERS + 1;
	for (unsigned i = 0; i < WRITERS; i++) {
		number[i] = i;
		if (pthread_create(&writer[i], NULL, ingest, &number[i]) != 0)
			tap_bail("no thread");
	}
	for (unsigned i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, other[i].run, NULL) != 0)
			tap_bail("no thread");
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(writer[i], &failures);
		tap_int((long)failures, 0, "ingest by writer %u", i);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(thread[i], &failures);
		tap_int((long)failures, 0, "%s beside all others", other[i].name);
	}
	tap_ok(all_there(), "every record is there");
	cancelled();
	fixture_fini(&f);
	return tap_done();
}
