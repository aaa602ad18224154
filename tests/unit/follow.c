/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.c - read-only handles beside a writer in another process
 *
 * usage: follow [SEED [ROUNDS]]
 *
 * A child writes, steps maintenance, is killed, is killed within a
 * transaction, and recovers; what it does follows from a seed that it is told,
 * so the parent can do the same to a model. Behind each round the parent's
 * readers answer all questions exactly: one that pins, one that cannot, one
 * that sees commits only (a state it was told of before), and a snapshot that
 * is kept for some rounds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/tap.h"
#include "store/engine.h"

enum { KEYS = 50, VALUES = 300 };

struct model {
	unsigned char have[KEYS][VALUES];
	unsigned char exists[KEYS];
};

/* What the child is asked: so many operations of this seed, and then. */
enum action { NOTHING, CHECKPOINT, STEPS, COMPACT, REOPEN, DIE, TEAR };
struct order {
	uint64_t seed;
	unsigned ops;
	enum action then;
};

static char dir[200];
static struct model now;
static int to_child = -1, from_child = -1;
static pid_t child;
static uint64_t rng, round_no;

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static struct cidstore_id key_id(uint64_t k)
{
	return (struct cidstore_id){ k * 0x9E3779B97F4A7C15ull, k };
}

static struct cidstore_id value_id(uint64_t v)
{
	return (struct cidstore_id){ v, v * 0xC2B2AE3D27D4EB4Full };
}

static _Noreturn void die(const char *what, int rc)
{
	printf("Bail out! round %llu: %s: %s\n", (unsigned long long)round_no, what,
	       cidstore_strerror(rc));
	fflush(stdout);
	if (child > 0)
		kill(child, SIGKILL);
	_exit(1);
}

static void must(const char *what, int rc)
{
	if (rc)
		die(what, rc);
}

/* ---- the same changes for the store and the model ---- */

static void change(struct cidstore *s, struct model *m, struct cidstore_op *op, size_t n)
{
	for (size_t i = 0; m && i < n; i++) {
		uint64_t k = op[i].key.low, v = op[i].value.high;

		switch (op[i].verb) {
		case CIDSTORE_OP_INSERT:
			m->exists[k] = m->have[k][v] = 1;
			break;
		case CIDSTORE_OP_DELETE:
			m->have[k][v] = 0;
			break;
		case CIDSTORE_OP_MKKEY:
			m->exists[k] = 1;
			break;
		case CIDSTORE_OP_RMKEY:
			m->exists[k] = 0;
			memset(m->have[k], 0, VALUES);
			break;
		}
	}
	if (s)
		must("apply", cidstore_apply(s, op, n));
}

static void perform(const struct order *o, struct cidstore *s, struct model *m)
{
	struct cidstore_op op[64];
	uint64_t x = o->seed;

	for (unsigned done = 0; done < o->ops;) {
		size_t n = 1 + next(&x) % 20;

		for (size_t i = 0; i < n; i++) {
			uint64_t kind = next(&x) % 100;

			op[i].key = key_id(next(&x) % KEYS);
			op[i].value = value_id(next(&x) % VALUES);
			op[i].verb = kind < 60 ? CIDSTORE_OP_INSERT :
				     kind < 94 ? CIDSTORE_OP_DELETE :
				     kind < 97 ? CIDSTORE_OP_MKKEY :
						 CIDSTORE_OP_RMKEY;
		}
		change(s, m, op, n);
		done += (unsigned)n;
	}
}

/* ---- the writer ---- */

static struct cidstore *open_writer(void)
{
	struct cidstore_error err;
	struct cidstore *s;

	if (cidstore_open(dir, CIDSTORE_MANUAL, &s, &err)) {
		printf("Bail out! round %llu: %s\n", (unsigned long long)round_no, err.message);
		fflush(stdout);
		_exit(1);
	}
	return s;
}

/* Dies with half a transaction in the log. */
static _Noreturn void tear(struct cidstore *s)
{
	const struct cidstore_id none = { 0, 0 };

	pthread_mutex_lock(&s->write);
	cid_wal_stamp(&s->wal);
	(void)cid_wal_put(&s->wal, CID_OP_BEGIN, none, (struct cidstore_id){ 0, 5 });
	for (uint64_t i = 0; i < 4; i++)
		(void)cid_wal_put(&s->wal, CID_OP_INSERT, key_id(i), value_id(VALUES - 1));
	cid_wal_publish(&s->wal);
	_exit(0);
}

static _Noreturn void writer(int in, int out)
{
	struct cidstore *s = open_writer();
	struct order o;
	char ok = 'k';
	int more = 1;

	(void)!write(out, &ok, 1);
	while (read(in, &o, sizeof(o)) == sizeof(o)) {
		perform(&o, s, NULL);
		switch (o.then) {
		case CHECKPOINT:
			must("checkpoint", cidstore_checkpoint(s));
			break;
		case STEPS:
			for (unsigned i = 0; i < o.seed % 7; i++)
				must("step", cidstore_step(s, &more));
			break;
		case COMPACT:
			must("compact", cidstore_compact(s));
			break;
		case REOPEN:
			must("close", cidstore_close(s));
			s = open_writer();
			break;
		case TEAR:
			tear(s);
		case DIE:
			_exit(0);
		case NOTHING:
			break;
		}
		(void)!write(out, &ok, 1);
	}
	_exit(0);
}

static void start_writer(void)
{
	int a[2], b[2];
	char ok;

	fflush(stdout);
	if (pipe(a) || pipe(b) || (child = fork()) < 0)
		die("fork", CIDSTORE_ESYSTEM);
	if (child == 0) {
		close(a[1]);
		close(b[0]);
		writer(a[0], b[1]);
	}
	close(a[0]);
	close(b[1]);
	to_child = a[1];
	from_child = b[0];
	if (read(from_child, &ok, 1) != 1)
		die("the writer did not come up", 0);
}

static void stop_writer(void)
{
	int status;

	close(to_child);
	close(from_child);
	waitpid(child, &status, 0);
	child = 0;
}

static void command(const struct order *o)
{
	bool ends = o->then == DIE || o->then == TEAR;
	char ok;

	if (write(to_child, o, sizeof(*o)) != sizeof(*o))
		die("the writer is gone", 0);
	perform(o, NULL, &now);
	if (!ends) {
		if (read(from_child, &ok, 1) != 1)
			die("the writer failed", 0);
		return;
	}
	stop_writer();
}

/* ---- the readers ---- */

static void compare_key(struct cidstore *r, const char *who, const struct model *m, unsigned k)
{
	struct cidstore_id got[VALUES];
	unsigned char seen[VALUES] = { 0 };
	uint64_t n = 0, want = 0;
	int rc = cidstore_get(r, key_id(k), got, VALUES, &n);

	if (rc != (m->exists[k] ? 0 : CIDSTORE_ENOENT))
		die(who, rc ? rc : CIDSTORE_EEXIST);
	if (rc)
		return;
	for (unsigned v = 0; v < VALUES; v++)
		want += m->have[k][v];
	if (n != want)
		die(who, CIDSTORE_EINVAL);
	for (uint64_t i = 0; i < n; i++) {
		if (got[i].high >= VALUES || seen[got[i].high] || !m->have[k][got[i].high])
			die(who, CIDSTORE_EINVAL);
		seen[got[i].high] = 1;
	}
}

static void compare(struct cidstore *r, const char *who, const struct model *m)
{
	struct cidstore_pos pos = { 0 };
	struct cidstore_item it[16];
	size_t n, keys = 0, want = 0;

	for (unsigned k = 0; k < KEYS; k++) {
		compare_key(r, who, m, k);
		want += m->exists[k];
	}
	do {
		must(who, cidstore_scan_keys(r, &pos, it, 16, &n));
		keys += n;
	} while (n);
	if (keys != want)
		die(who, CIDSTORE_EINVAL);
}

static void compare_snapshot(struct cidstore_snapshot *v, const struct model *m)
{
	for (unsigned k = 0; k < KEYS; k++) {
		struct cidstore_pos pos = { 0 };
		struct cidstore_item it[32];
		uint64_t got = 0, want = 0;
		size_t n = 0;
		int rc;

		do {
			rc = cidstore_snapshot_values(v, key_id(k), &pos, it, 32, &n);
			if (rc && !(rc == CIDSTORE_ENOENT && !m->exists[k]))
				die("snapshot", rc);
			for (size_t i = 0; rc == 0 && i < n; i++)
				if (!m->have[k][it[i].id.high])
					die("a value of later in a snapshot", CIDSTORE_EINVAL);
			got += rc ? 0 : n;
		} while (rc == 0 && n);
		for (unsigned i = 0; i < VALUES; i++)
			want += m->have[k][i];
		if (got != want)
			die("values of a snapshot", CIDSTORE_EINVAL);
	}
}

static struct cidstore *open_reader(const struct cid_io *io, unsigned flags)
{
	struct cidstore_error err;
	struct cidstore *r;

	if (cid_store_open_io(io, dir, CIDSTORE_RDONLY | flags, &r, &err)) {
		printf("Bail out! round %llu: reader: %s\n", (unsigned long long)round_no,
		       err.message);
		fflush(stdout);
		kill(child, SIGKILL);
		_exit(1);
	}
	must("interval", cidstore_config_set(r, "refresh_interval_ms", 0));
	return r;
}

static struct order any_order(void)
{
	static const enum action often[] = { NOTHING, NOTHING, STEPS,  STEPS, STEPS, CHECKPOINT,
					     COMPACT, REOPEN,  DIE,    TEAR };

	return (struct order){ .seed = next(&rng) | 1, .ops = (unsigned)(next(&rng) % 900),
			       .then = often[next(&rng) % 10] };
}

static void rounds(unsigned count)
{
	struct cid_io blind = cid_io_posix, alone = cid_io_posix, both;
	struct cidstore *pinned, *unpinned, *committed, *fresh, *own, *own_unpinned;
	struct cidstore_snapshot *kept = NULL;
	struct model then;
	struct cidstore_stats st;
	unsigned snapshots = 0, retries;

	blind.claim = NULL;
	alone.borrow = NULL; /* makes its own tables of the log */
	both = alone;
	both.claim = NULL;
	start_writer();
	own = open_reader(&alone, 0);
	own_unpinned = open_reader(&both, 0);
	pinned = open_reader(&cid_io_posix, 0);
	unpinned = open_reader(&blind, 0);
	committed = open_reader(&cid_io_posix, CIDSTORE_COMMITTED);
	for (round_no = 1; round_no <= count; round_no++) {
		struct order o = any_order();

		command(&o);
		/* Before the next recovery, too, everything is there. */
		compare(pinned, "the pinned reader", &now);
		compare(unpinned, "the reader without a pin", &now);
		compare(own, "the pinned reader with its own table", &now);
		compare(own_unpinned, "the reader with its own table and without a pin", &now);
		if (o.then == CHECKPOINT || o.then == COMPACT)
			compare(committed, "the reader of commits", &now);
		if (!child)
			start_writer();
		compare(pinned, "the pinned reader beside the new writer", &now);
		compare(own, "that with its own table beside the new writer", &now);
		if (round_no % 50 == 0) {
			fresh = open_reader(&cid_io_posix, 0);
			compare(fresh, "a new reader", &now);
			must("close", cidstore_close(fresh));
		}
		if (kept) {
			compare_snapshot(kept, &then);
			if (next(&rng) % 6 == 0) {
				cidstore_snapshot_close(kept);
				kept = NULL;
			}
		} else if (next(&rng) % 4 == 0) {
			must("snapshot", cidstore_snapshot_open(pinned, &kept));
			then = now;
			snapshots++;
		}
	}
	cidstore_stats(pinned, &st);
	tap_ok(st.following && st.pinned && st.lag_ms == 0, "%u rounds; epoch %llu, %u snapshots",
	       count, (unsigned long long)st.reader_epoch, snapshots);
	cidstore_stats(unpinned, &st);
	retries = (unsigned)st.retries;
	tap_ok(st.following && !st.pinned, "without a pin: %llu refreshes, %u retries",
	       (unsigned long long)st.refreshes, retries);
	if (kept)
		cidstore_snapshot_close(kept);
	cidstore_stats(own, &st);
	tap_ok(st.following && st.lag_ms == 0, "with its own table: %llu refreshes",
	       (unsigned long long)st.refreshes);
	tap_int(cidstore_close(pinned) | cidstore_close(unpinned) | cidstore_close(committed) |
			cidstore_close(own) | cidstore_close(own_unpinned),
		0, "the readers close");
	stop_writer();
}

/* A reader that comes before the first writer goes by what the root of a new store
 * promises: its snapshot is kept for so long. */
static void before_the_first_writer(void)
{
	const uint64_t promise = cid_config_initial(CID_CFG_READER_PIN_MS);
	struct cidstore_snapshot *v;
	struct cidstore *r, *w;
	struct cidstore_error err;
	struct cidstore_item item[4];
	struct cidstore_pos pos = { 0 };
	size_t n = 9;

	must("open", cidstore_open(dir, CIDSTORE_RDONLY | CIDSTORE_MANUAL, &r, &err));
	tap_ok(promise > 0 && r->root.config[CID_CFG_READER_PIN_MS] == promise,
	       "a new store's root promises a pin of %llu ms",
	       (unsigned long long)r->root.config[CID_CFG_READER_PIN_MS]);
	must("snapshot", cidstore_snapshot_open(r, &v));
	must("open", cidstore_open(dir, CIDSTORE_MANUAL, &w, &err));
	for (unsigned i = 0; i < 3; i++) {
		must("insert", cidstore_insert(w, &(struct cidstore_pair){ key_id(i), value_id(i) },
					       1, NULL));
		must("compact", cidstore_compact(w));
	}
	must("delete", cidstore_delete_keys(w, (struct cidstore_id[]){ key_id(0), key_id(1),
								       key_id(2) }, 3, NULL));
	must("compact", cidstore_compact(w));
	tap_int(cidstore_snapshot_keys(v, &pos, item, 4, &n), 0, "and is kept to");
	tap_int((long long)n, 0, "its snapshot is that of the empty store");
	cidstore_snapshot_close(v);
	must("close", cidstore_close(w));
	must("close", cidstore_close(r));
}

int main(int argc, char **argv)
{
	const struct cidstore_geometry geo = { .log_bytes = 256 << 10, .segment_bytes = 4 << 20,
					       .bucket_bytes = 8192, .promotion_threshold = 16 };
	unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 300;
	struct cidstore_report rep;
	struct cidstore_error err;
	char cmd[260];

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	rng = argc > 1 ? strtoull(argv[1], NULL, 0) : ((uint64_t)getpid() << 20) ^ 0x9E3779B97F4A7C15ull;
	rng |= 1;
	tap_note("seed %llu", (unsigned long long)rng);
	(void)snprintf(dir, sizeof(dir), "%s/cid-follow-XXXXXX",
		       getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir) || cidstore_create(dir, &geo, &err))
		die("create", err.code);
	before_the_first_writer();
	rounds(count);
	tap_int(cidstore_check(dir, 0, NULL, NULL, &rep, &err), 0, "fsck");
	tap_int(rep.errors, 0, "no errors");
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	(void)!system(cmd);
	return tap_done();
}
