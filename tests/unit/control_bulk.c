/* SPDX-License-Identifier: BSD-2-Clause */
/* control_bulk.c - the ingest and batch streams, cut anywhere */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/wire.h"
#include "control/batch_parse.h"
#include "lib/ctlstore.h"
#include "lib/tap.h"

#define RECORDS 20000u
#define BATCHES 400u
#define LIMIT	16u

static uint64_t seed;

/* Few enough keys that they repeat. */
static struct cidstore_id some_key(uint64_t *random)
{
	uint64_t k = random_below(random, 500);

	return (struct cidstore_id){ k * 0x0123456789abcdef, k };
}

static bool holds(struct fixture *f, struct content *want)
{
	struct content got;
	bool equal;

	content_settle(want);
	content_of(f->store, &got);
	equal = content_equal(&got, want);
	content_fini(&got);
	return equal;
}

static void ingest_pieces(size_t most)
{
	uint8_t *bytes = malloc((size_t)RECORDS * CID_WIRE_PAIR);
	uint64_t random = seed + most;
	struct content want = { 0 };
	struct cid_ctl_file *file;
	struct fixture f;
	uint64_t last;

	if (bytes == NULL)
		tap_bail("out of memory");
	fixture_init(&f);
	for (size_t i = 0; i < RECORDS; i++) {
		struct cidstore_pair p = { some_key(&random), random_id(&random) };

		cid_wire_put_pair(bytes + i * CID_WIRE_PAIR, p);
		content_add(&want, p.key, &p.value);
	}
	file = must_open(&f, "ingest", O_WRONLY);
	tap_int(feed(file, bytes, (size_t)RECORDS * CID_WIRE_PAIR, most, &random), 0,
		"ingest in pieces of up to %zu", most);
	tap_int(cid_control_flush(file), 0, "ends well");
	/* Maintenance tells the log of its own steps meanwhile. */
	last = cidstore_last_seq(f.store);
	tap_int(cid_control_fsync(file), 0, "and is synced");
	tap_ok(cidstore_durable_seq(f.store) >= last, "which is the barrier");
	tap_ok(holds(&f, &want), "all records are there, and nothing else");
	tap_ok(get_row(&f, "stats", "ingest_records") == RECORDS, "and counted");
	cid_control_release(file);
	tap_ok(get_row(&f, "stats", "ingest_torn") == 0, "none was torn");
	content_fini(&want);
	free(bytes);
	fixture_fini(&f);
}

static void ingest_torn(void)
{
	uint8_t bytes[3 * CID_WIRE_PAIR];
	struct cid_ctl_file *file;
	struct fixture f;

	fixture_init(&f);
	memset(bytes, 0xff, sizeof(bytes)); /* all ones is an identifier */
	file = must_open(&f, "ingest", O_WRONLY);
	tap_int(cid_control_write(file, bytes, 2 * CID_WIRE_PAIR + 7, 0), 2 * CID_WIRE_PAIR + 7,
		"a record may be torn");
	tap_int(cid_control_flush(file), -EINVAL, "which a close says");
	tap_int(cid_control_flush(file), -EINVAL, "each time");
	tap_ok(get_row(&f, "stats", "ingest_records") == 2, "the whole ones are applied");
	tap_int(cid_control_write(file, bytes, CID_WIRE_PAIR - 7, 0), CID_WIRE_PAIR - 7,
		"its rest may come later");
	tap_int(cid_control_flush(file), 0, "and all is well");
	tap_ok(get_row(&f, "stats", "ingest_records") == 3, "it is applied");
	tap_int(cid_control_write(file, bytes, 31, 0), 31, "another one is torn");
	cid_control_release(file);
	tap_ok(get_row(&f, "stats", "ingest_torn") == 1, "dropped, and counted");
	tap_ok(get_row(&f, "stats", "ingest_records") == 3, "and not applied");
	fixture_fini(&f);
}

/* ---- batch ---- */

struct text {
	char *p;
	size_t n, cap;
};

static void say(struct text *t, const char *line)
{
	size_t n = strlen(line);

	if (t->cap - t->n < n) {
		t->cap = t->cap * 2 + n;
		t->p = realloc(t->p, t->cap);
		if (t->p == NULL)
			tap_bail("out of memory");
	}
	memcpy(t->p + t->n, line, n);
	t->n += n;
}

static void line_of(const struct cidstore_op *op, char out[80])
{
	static const char *const verb[] = { "", "insert", "delete", "mkkey", "delete" };
	bool two = op->verb == CIDSTORE_OP_INSERT || op->verb == CIDSTORE_OP_DELETE;
	char k[33] = "", v[33] = "";

	cidstore_id_format(op->key, k);
	cidstore_id_format(op->value, v);
	(void)snprintf(out, 80, "%s %s%s%s\n", verb[op->verb], k, two ? " " : "", two ? v : "");
}

/* Few values, so that deletions meet some. */
static struct cidstore_op some_op(uint64_t *random)
{
	struct cidstore_op op = { .verb = (enum cidstore_verb)(1 + random_below(random, 4)) };

	op.key = (struct cidstore_id){ 0, random_below(random, 12) };
	if (op.verb == CIDSTORE_OP_INSERT || op.verb == CIDSTORE_OP_DELETE)
		op.value = (struct cidstore_id){ random_below(random, 6), UINT64_MAX };
	return op;
}

/* Random batches as text, some of them refused; the others also go into `model`
 * by the library's own call. */
static void make_batches(uint64_t *random, struct text *t, struct fixture *model, size_t *good,
			 size_t *bad)
{
	static const char *const nonsense[] = { "insert\n", "commit \n", "delete 12\n",
						"x\n",	    " \n",	 "COMMIT\n" };
	struct cidstore_op op[LIMIT + 3];
	char line[256];

	*good = *bad = 0;
	for (size_t i = 0; i < BATCHES; i++) {
		size_t n = random_below(random, LIMIT + 4), at = random_below(random, LIMIT * 2);
		bool refused = n > LIMIT;

		for (size_t j = 0; j < n; j++) {
			if (j == at) {
				refused = true;
				memset(line, 'y', sizeof(line));
				(void)snprintf(line + 200, 3, "\n");
				say(t, random_below(random, 4) ? nonsense[random_below(random, 6)]
							       : line);
			}
			op[j] = some_op(random);
			line_of(&op[j], line);
			say(t, line);
			if (random_below(random, 10) == 0)
				say(t, "\n");
		}
		say(t, "commit\n");
		if (!refused && n > 0 && cidstore_apply(model->store, op, n) != 0)
			tap_bail("apply");
		*(refused ? bad : good) += 1;
	}
}

static void batch_pieces(const struct text *t, struct fixture *model, size_t good, size_t bad,
			 size_t most)
{
	uint64_t random = seed + most;
	struct cid_ctl_file *file;
	struct content want;
	struct fixture f;

	fixture_init(&f);
	(void)cidstore_config_set(f.store, "batch_limit", LIMIT);
	file = must_open(&f, "batch", O_WRONLY);
	tap_ok(feed(file, t->p, t->n, most, &random) < 0, "batches in pieces of up to %zu", most);
	tap_int(cid_control_flush(file), 0, "all of them are over");
	cid_control_release(file);
	content_of(model->store, &want);
	tap_ok(holds(&f, &want), "the good ones are applied, the bad ones are not");
	tap_int(get_row(&f, "stats", "batch_commits"), good, "good ones are counted");
	tap_int(get_row(&f, "stats", "batch_errors"), bad, "bad ones too");
	tap_ok(get_row(&f, "stats", "batch_dropped") == 0, "nothing was dropped");
	content_fini(&want);
	fixture_fini(&f);
}

static void batch_random(void)
{
	static const size_t most[] = { 1, 7, 100, 5000, 1 << 20 };
	struct text t = { 0 };
	uint64_t random = seed;
	struct fixture model;
	size_t good, bad;

	fixture_init(&model);
	make_batches(&random, &t, &model, &good, &bad);
	tap_ok(good > 0 && bad > 0, "%zu good batches, %zu bad ones", good, bad);
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		batch_pieces(&t, &model, good, bad, most[i]);
	fixture_fini(&model);
	free(t.p);
}

#define K1 "00000000000000000000000000000000"
#define K2 "ffffffffffffffffffffffffffffffff"
#define V1 "9a0364b9e99bb480dd25e1f0284c8555"

static int write_text(struct cid_ctl_file *file, const char *text)
{
	ssize_t n = cid_control_write(file, text, strlen(text), 0);

	return n < 0 ? (int)n : (size_t)n == strlen(text) ? 0 : -EIO;
}

static void batch_syntax(void)
{
	static const char *const bad[] = {
		"insert " K1 "\n",
		"insert " K1 " " V1 " \n",
		"insert  " K1 " " V1 "\n",
		"insert " K1 "  " V1 "\n",
		"insert " K1 "\t" V1 "\n",
		"insert " K1 " " V1 "\r\n",
		"mkkey " K1 " " V1 "\n",
		"mkkey\n",
		"delete\n",
		"delete " K1 " \n",
		"Insert " K1 " " V1 "\n",
		"rm " K1 "\n",
		"insert " K1 "0 " V1 "\n",
		"mkkey " K1 "0\n",
		"#\n",
		"mkkey 9A0364b9e99bb480dd25e1f0284c8555\n",
		"commits\n",
		"commit\r\n",
	};
	const struct cidstore_id k1 = { 0, 0 }, k2 = { UINT64_MAX, UINT64_MAX };
	struct cid_ctl_file *file;
	struct fixture f;
	uint64_t count;

	fixture_init(&f);
	file = must_open(&f, "batch", O_WRONLY);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bool held = write_text(file, "mkkey " K1 "\n") == 0 &&
			    write_text(file, bad[i]) == -EINVAL &&
			    write_text(file, "mkkey " K1 "\n") == -EINVAL &&
			    cid_control_flush(file) == -EINVAL &&
			    write_text(file, "commit\n") == -EINVAL &&
			    cid_control_flush(file) == 0 &&
			    cidstore_count(f.store, k1, &count) == CIDSTORE_ENOENT;

		tap_ok(held, "refused, with all of its batch: %.*s", (int)strlen(bad[i]) - 1,
		       bad[i]);
	}
	tap_int(write_text(file, "mkkey " K1 "\ninsert " K2 " " V1 "\n\ncommit\n"), 0,
		"the next batch is taken");
	tap_ok(cidstore_count(f.store, k1, &count) == 0 && count == 0 &&
		       cidstore_count(f.store, k2, &count) == 0 && count == 1,
	       "and applied");
	tap_int(write_text(file, "commit\n"), 0, "an empty batch is one");
	tap_int(write_text(file, "x\ncommit\ndelete " K1 "\ncommit\n"), -EINVAL,
		"a write tells of its first error");
	tap_ok(cidstore_count(f.store, k1, &count) == CIDSTORE_ENOENT, "and takes what follows it");

	tap_int(write_text(file, "delete " K2 " " V1 "\ndel"), 0, "a batch without a commit");
	tap_int(cid_control_flush(file), -EINVAL, "is not over");
	tap_ok(cidstore_count(f.store, k2, &count) == 0 && count == 1, "not applied");
	tap_int(write_text(file, "ete " K2 " " K1 "\ncommit"), 0, "may go on");
	tap_int(cid_control_flush(file), -EINVAL, "and still not be over");
	tap_int(write_text(file, "\n"), 0, "until it is");
	tap_ok(cidstore_count(f.store, k2, &count) == 0 && count == 0, "then it is applied");
	tap_int(write_text(file, "mkkey " K1 "\nmkkey " V1 "\n"), 0, "another one");
	cid_control_release(file);
	tap_ok(get_row(&f, "stats", "batch_dropped") == 2, "is dropped with its file, and counted");
	tap_ok(cidstore_count(f.store, k1, &count) == CIDSTORE_ENOENT, "and not applied");
	fixture_fini(&f);
}

static void batch_limit(void)
{
	const struct cidstore_id zero = { 0, 0 };
	struct text t = { 0 };
	struct cid_ctl_file *file;
	struct fixture f;
	uint64_t limit, count;

	fixture_init(&f);
	tap_int(put_text(&f, "config/batch_limit", "100\n"), 0, "batch_limit is set");
	(void)cidstore_config_get(f.store, "batch_limit", &limit);
	for (uint64_t i = 0; i < limit; i++)
		say(&t, "mkkey " K1 "\n");
	file = must_open(&f, "batch", O_WRONLY);
	tap_int((int)cid_control_write(file, t.p, t.n, 0), (int)t.n, "a batch up to the limit");
	tap_int(write_text(file, "mkkey " K2 "\n"), -EFBIG, "beyond it is refused");
	tap_int(write_text(file, "mkkey"), -EFBIG, "and what follows");
	tap_int(cid_control_flush(file), -EFBIG, "and a close");
	tap_int(write_text(file, "\ncommit\n"), -EFBIG, "up to its commit");
	tap_ok(cidstore_count(f.store, zero, &count) == CIDSTORE_ENOENT,
	       "nothing of it is applied");
	tap_int((int)cid_control_write(file, t.p, t.n, 0), (int)t.n, "one that fits");
	tap_int(write_text(file, "commit\n"), 0, "is committed");
	tap_ok(cidstore_count(f.store, zero, &count) == 0, "and applied");
	cid_control_release(file);
	free(t.p);
	fixture_fini(&f);
}

/* What is taken for an operation is exactly what the operation is written as. */
static void batch_lines(void)
{
	uint64_t random = seed, taken = 0;
	bool held = true;

	for (size_t i = 0; i < 300000 && held; i++) {
		struct cidstore_op op = some_op(&random), got;
		char line[80], back[80];
		size_t n, hits = random_below(&random, 3);

		line_of(&op, line);
		n = strlen(line) - 1;
		for (; hits > 0; hits--)
			line[random_below(&random, n)] = "0f g\n"[random_below(&random, 5)];
		if (random_below(&random, 4) == 0)
			n = random_below(&random, n + 1);
		if (cid_batch_parse(line, n, &got) != CID_BATCH_OP)
			continue;
		taken++;
		line_of(&got, back);
		held = strlen(back) == n + 1 && memcmp(line, back, n) == 0;
	}
	tap_ok(held && taken > 1000, "a line has one form (%llu taken)", (unsigned long long)taken);
}

int main(void)
{
	static const size_t most[] = { 1, 33, 4096, 1 << 20 };

	seed = random_seed();
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		ingest_pieces(most[i]);
	ingest_torn();
	batch_random();
	batch_syntax();
	batch_limit();
	batch_lines();
	return tap_done();
}
