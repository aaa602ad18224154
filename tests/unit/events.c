/* SPDX-License-Identifier: BSD-2-Clause */
/* events.c - the change feed: the ring read while it is written, and as text */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/ctlstore.h"
#include "lib/tap.h"
#include "wal/feed.h"

#define RING  1024u /* records: groups of up to 320 */
#define PAIRS 400000u

static const struct cidstore_id none = { 0, 0 };

/* ---- the ring ---- */

struct ring {
	struct cid_wal wal;
	int fd;
};

static void ring_init(struct ring *r, const struct cid_wal_span *span, unsigned spans)
{
	char name[] = "ring.XXXXXX";

	r->fd = mkstemp(name);
	if (r->fd < 0 || unlink(name) != 0 ||
	    cid_wal_zero(&cid_io_posix, r->fd, 0, RING) != 0 ||
	    cid_wal_init(&r->wal, &cid_io_posix, r->fd, 0, RING, true) != 0)
		tap_bail("no ring");
	r->wal.next = 1;
	r->wal.generation = 1;
	cid_wal_spans(&r->wal, span, spans);
}

static void ring_fini(struct ring *r)
{
	cid_wal_fini(&r->wal);
	close(r->fd);
}

static void put(struct ring *r, unsigned n)
{
	while (n-- > 0)
		(void)cid_wal_put(&r->wal, CID_OP_MKKEY, (struct cidstore_id){ 0, r->wal.next },
				  none);
}

static void test_ring(void)
{
	const struct cid_wal_span one[] = { { .first = 1, .generation = 1 } };
	const struct cid_wal_span two[] = { { .first = 1, .generation = 1 },
					    { .first = 11, .generation = 2 } };
	struct cid_wal_span all[CID_WAL_SPANS];
	struct cid_record rec[64];
	struct ring r;
	bool right = true;

	ring_init(&r, one, 1);
	tap_int(cid_wal_oldest(&r.wal), 1, "an empty ring begins with 1");
	tap_int(cid_wal_copy(&r.wal, 1, rec, 64), 0, "and holds nothing");
	put(&r, 20);
	tap_int(cid_wal_copy(&r.wal, 1, rec, 64), 0, "what is not published is not there");
	cid_wal_publish(&r.wal);
	tap_int(cid_wal_copy(&r.wal, 1, rec, 64), 20, "then it is");
	tap_int(cid_wal_copy(&r.wal, 5, rec, 3), 3, "as many as wanted");
	tap_ok(rec[0].lsn == 5 && rec[2].key.low == 7, "from the place wanted");
	for (unsigned i = 0; i < 10; i++) {
		put(&r, 200);
		cid_wal_publish(&r.wal);
	}
	tap_int(cid_wal_oldest(&r.wal), 2020 + 1 - (RING - CID_WAL_GROUP(RING)),
		"after some laps all but the reach of a writer is there");
	tap_int(cid_wal_copy(&r.wal, 1, rec, 64), CIDSTORE_EEXPIRED, "the rest is gone");
	for (uint64_t lsn = cid_wal_oldest(&r.wal); lsn <= 2020; lsn++)
		right &= cid_wal_copy(&r.wal, lsn, rec, 1) == 1 && rec[0].key.low == lsn;
	tap_ok(right, "and what is there is right");

	/* Damage: one bit is put right, many are no record. */
	r.wal.map[(2019 & (RING - 1)) * 64 + 30] ^= 4;
	memset(r.wal.map + (2018 & (RING - 1)) * 64 + 20, 0x5a, 20);
	tap_int(cid_wal_copy(&r.wal, 2018, rec, 3), 3, "damage in the ring");
	tap_int(rec[0].opcode, CID_OP_NONE, "is not shown");
	tap_ok(rec[1].opcode == CID_OP_MKKEY && rec[1].key.low == 2019, "or is put right");
	ring_fini(&r);

	/* A tail that a recovery gave up, partly written over. */
	ring_init(&r, two, 1);
	put(&r, 20);
	r.wal.next = 11;
	r.wal.generation = 2;
	cid_wal_spans(&r.wal, two, 2);
	put(&r, 5);
	cid_wal_publish(&r.wal);
	tap_int(cid_wal_copy(&r.wal, 1, rec, 64), 15, "two generations");
	tap_ok(rec[9].opcode == CID_OP_MKKEY && rec[14].opcode == CID_OP_MKKEY &&
		       rec[10].generation == 2, "both are read");
	r.wal.next = 21;
	cid_wal_publish(&r.wal);
	tap_int(cid_wal_copy(&r.wal, 16, rec, 64), 5, "where a write was lost");
	tap_int(rec[0].opcode, CID_OP_NONE, "the record of the dead generation does not show");
	ring_fini(&r);

	/* A list of spans that is full gives up its oldest. */
	for (unsigned i = 0; i < CID_WAL_SPANS; i++)
		all[i] = (struct cid_wal_span){ .first = 1 + 10 * i, .generation = i };
	ring_init(&r, one, 1);
	r.wal.generation = CID_WAL_SPANS;
	r.wal.next = 200;
	cid_wal_spans(&r.wal, all, CID_WAL_SPANS);
	tap_int(cid_wal_oldest(&r.wal), 11, "what the oldest of too many spans covered is gone");
	tap_int(r.wal.span[CID_WAL_SPANS - 1].first, 200, "the newest begins now");
	ring_fini(&r);
}

/* ---- a store ---- */

static void items(struct fixture *f, uint64_t *seq, struct cid_feed_item *out, size_t cap,
		  size_t *n)
{
	*n = cid_store_feed(f->store, seq, out, cap);
}

static void test_store(struct fixture *f)
{
	struct cidstore_id k = { 1, 2 }, v = { 3, 4 }, w = { 5, 6 };
	const struct cidstore_op op[] = { { CIDSTORE_OP_MKKEY, k, none },
					  { CIDSTORE_OP_INSERT, k, v } };
	struct cid_feed_item i[32];
	uint64_t seq = cidstore_last_seq(f->store) + 1, first = seq, lost = 0, seen = 0, at;
	static struct cidstore_pair pair[40000];
	size_t n;

	(void)cidstore_mkkey(f->store, k);
	(void)cidstore_add(f->store, k, v);
	(void)cidstore_move(f->store, k, v, k, w, 0);
	(void)cidstore_remove(f->store, k, w);
	(void)cidstore_rmkey(f->store, k);
	(void)cidstore_apply(f->store, op, 2);
	items(f, &seq, i, 32, &n);
	tap_int(n, 12, "every operation is in the feed");
	tap_ok(i[0].kind == CID_FEED_MKKEY && i[1].kind == CID_FEED_INSERT &&
		       i[2].kind == CID_FEED_BEGIN && i[2].count == 2 &&
		       i[3].kind == CID_FEED_DELETE && i[4].kind == CID_FEED_INSERT &&
		       i[5].kind == CID_FEED_COMMIT && i[5].count == 2 &&
		       i[6].kind == CID_FEED_DELETE && i[7].kind == CID_FEED_RMKEY &&
		       i[8].kind == CID_FEED_BEGIN && i[11].kind == CID_FEED_COMMIT,
	       "in order, with the borders of transactions");
	tap_ok(i[0].seq == first && i[11].seq == first + 11 && seq == first + 12,
	       "with their numbers");
	tap_int(cid_store_feed(f->store, &seq, i, 32), 0, "and then there is no more");

	/* Laps of the log later all is accounted for. */
	for (unsigned p = 0; p < 40000; p++)
		pair[p] = (struct cidstore_pair){ { 9, p }, { p, 9 } };
	(void)cidstore_insert(f->store, pair, 40000, NULL);
	at = seq;
	for (bool first_one = true; (n = cid_store_feed(f->store, &seq, i, 32)) > 0;) {
		if (first_one) {
			tap_ok(n == 1 && i[0].kind == CID_FEED_LOST && i[0].seq == at,
			       "what was overwritten is told as lost");
			lost = i[0].count;
			first_one = false;
			continue;
		}
		for (size_t j = 0; j < n; j++)
			seen += i[j].kind == CID_FEED_INSERT && i[j].key.low == i[j].value.high;
	}
	tap_ok(seen > 0 && seen + lost <= seq - at && seq - at - seen - lost < 1000,
	       "the rest is there: %llu lost, %llu seen of %llu", (unsigned long long)lost,
	       (unsigned long long)seen, (unsigned long long)(seq - at));

	/* The ring outlives the process. */
	at = seq - 100;
	n = cid_store_feed(f->store, &at, i, 32);
	fixture_reopen(f, 0);
	if (n > 0) {
		struct cid_feed_item again[32];
		bool same;

		at = i[0].seq;
		same = cid_store_feed(f->store, &at, again, n) == n;
		for (size_t j = 0; same && j < n; j++)
			same = i[j].seq == again[j].seq && i[j].kind == again[j].kind &&
			       memcmp(&i[j].key, &again[j].key, 32) == 0;
		tap_ok(same, "and after opening again it is the same");
	}
}

/* ---- threads ---- */

static struct fixture f;
static _Atomic bool over;

static struct cidstore_pair pair_of(uint64_t n)
{
	return (struct cidstore_pair){ { 77, n }, { n * 0x9E3779B97F4A7C15, ~n } };
}

static void *writer(void *arg)
{
	struct cidstore_pair p[64];

	(void)arg;
	for (uint64_t n = 0; n < PAIRS; n += 64) {
		for (unsigned i = 0; i < 64; i++)
			p[i] = pair_of(n + i);
		if (cidstore_insert(f.store, p, 64, NULL) != 0)
			tap_bail("insert failed");
	}
	over = true;
	cid_store_feed_wake(f.store);
	return NULL;
}

struct follower {
	bool slow;
	uint64_t seen, lost, gaps, wrong;
};

/* Every pair is seen once, in order, unless a LOST says otherwise. */
static void *follow(void *arg)
{
	struct follower *x = arg;
	uint64_t seq = 1, next = 0;
	struct cid_feed_item i[64];
	bool after_loss = true;
	unsigned rounds = 0;

	for (;;) {
		bool ended = over;
		size_t n = cid_store_feed(f.store, &seq, i, x->slow ? 16 : 64);

		if (n == 0 && ended)
			break;
		if (n == 0 && !x->slow)
			cid_store_feed_await(f.store, seq - 1);
		if (x->slow && ++rounds % 8 == 0)
			usleep(100);
		for (size_t j = 0; j < n; j++) {
			struct cidstore_pair want = pair_of(i[j].key.low);

			if (i[j].kind == CID_FEED_LOST) {
				x->lost += i[j].count;
				after_loss = true;
			} else if (i[j].kind == CID_FEED_INSERT && i[j].key.high == 77) {
				x->wrong += memcmp(&want.value, &i[j].value, 16) != 0;
				x->gaps += !after_loss && i[j].key.low != next;
				next = i[j].key.low + 1;
				after_loss = false;
				x->seen++;
			}
		}
	}
	x->gaps += next != PAIRS;
	return NULL;
}

static void test_threads(void)
{
	struct follower x[2] = { { .slow = false }, { .slow = true } };
	pthread_t t[3];

	(void)pthread_create(&t[0], NULL, writer, NULL);
	for (int i = 0; i < 2; i++)
		(void)pthread_create(&t[i + 1], NULL, follow, &x[i]);
	for (int i = 0; i < 3; i++)
		(void)pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++) {
		tap_note("%s follower: %llu seen, %llu numbers lost", x[i].slow ? "slow" : "quick",
			 (unsigned long long)x[i].seen, (unsigned long long)x[i].lost);
		tap_int(x[i].wrong, 0, "nothing torn");
		tap_int(x[i].gaps, 0, "nothing missed without a word");
		tap_ok(x[i].seen > 0 && x[i].seen + x[i].lost >= PAIRS, "all is accounted for");
	}
}

/* ---- the file ---- */

/* Takes the first word off each line, in place, where it rises; the log may
 * hold notes in between. */
static const char *without_numbers(char *text)
{
	char *out = text, *in = text, *space, *end;
	unsigned long long last = 0, seq;

	for (; *in; in = end + 1) {
		seq = strtoull(in, &space, 10);
		end = strchr(in, '\n');
		if (end == NULL || *space != ' ' || seq <= last)
			return "numbers that do not rise";
		last = seq;
		memmove(out, space + 1, (size_t)(end - space));
		out += end - space;
	}
	*out = '\0';
	return text;
}

static void test_file(void)
{
	const struct cidstore_op op[] = { { CIDSTORE_OP_RMKEY, { 1, 2 }, none },
					  { CIDSTORE_OP_MKKEY, { 3, 4 }, none } };
	struct cidstore_pair p = { { 1, 2 }, { 3, 4 } };
	struct cid_ctl_file *file, *many[200];
	static const char want[] =
		"insert 00000000000000010000000000000002 00000000000000030000000000000004\n"
		"delete 00000000000000010000000000000002 00000000000000030000000000000004\n"
		"begin 2\n"
		"delete 00000000000000010000000000000002\n"
		"mkkey 00000000000000030000000000000004\n"
		"commit 2\n";
	char text[1024], whole[1024], byte;
	unsigned long long s;
	size_t at = 0, opened = 0;
	ssize_t n;

	file = must_open(&f, "events", O_RDWR);
	s = cidstore_last_seq(f.store) + 1;
	tap_ok(cid_control_waits(file), "the file is one that is waited for");
	tap_ok(!cid_control_ready(file), "nothing is there yet");
	tap_int(cid_control_read(file, text, sizeof(text), 0), -EAGAIN, "and reading says so");
	(void)cidstore_insert(f.store, &p, 1, NULL);
	(void)cidstore_delete(f.store, &p, 1, NULL);
	(void)cidstore_apply(f.store, op, 2);
	tap_ok(cid_control_ready(file), "then there is");
	n = cid_control_read(file, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	(void)strcpy(whole, text);
	tap_str(without_numbers(text), want, "one line per operation");
	tap_int(cid_control_read(file, text, sizeof(text), 0), -EAGAIN, "and no more");

	(void)snprintf(text, sizeof(text), "%llu\n", s);
	tap_int(cid_control_write(file, text, strlen(text), 0), (ssize_t)strlen(text),
		"going back to a number");
	while (at < sizeof(text) - 1 && cid_control_read(file, &byte, 1, 0) == 1)
		text[at++] = byte;
	text[at] = '\0';
	tap_str(text, whole, "the same, byte by byte");
	tap_int(cid_control_write(file, "0", 1, 0), 1, "going back to the oldest");
	n = cid_control_read(file, text, sizeof(text), 0);
	tap_ok(n > 0 && strtoull(text, NULL, 10) <= cid_store_feed_oldest(f.store) + 10,
	       "is where the log begins");
	for (const char *const *bad = (const char *const[]){ "x", "", "-1", "1 2", NULL }; *bad; bad++)
		if (**bad != '\0')
			tap_int(cid_control_write(file, *bad, strlen(*bad), 0), -EINVAL,
				"\"%s\" is no number", *bad);
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)cidstore_last_seq(f.store) + 2);
	tap_int(cid_control_write(file, text, strlen(text), 0), -EINVAL, "nor is one to come");
	(void)cid_control_write(file, "1", 1, 0);
	n = cid_control_read(file, text, 100, 0);
	tap_ok(n > 0 && strncmp(text, "1 lost ", 7) == 0, "what the log has no more is told");
	cid_control_release(file);

	for (; opened < 200; opened++) {
		struct cid_ctl_file *one;

		if (cid_control_open(f.control, "events", O_RDONLY, &stranger, &one) != 0)
			break;
		many[opened] = one;
	}
	tap_int(opened, 200, "readers are not counted among the streams");
	while (opened > 0)
		cid_control_release(many[--opened]);
	fixture_reopen(&f, CIDSTORE_RDONLY);
	tap_int(cid_control_open(f.control, "events", O_RDONLY, &root, &file), -EOPNOTSUPP,
		"who does not write has no feed");
}

int main(void)
{
	test_ring();
	fixture_init(&f);
	test_store(&f);
	test_threads();
	test_file();
	fixture_fini(&f);
	return tap_done();
}
