/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libkill.c - kills a process that writes a store through the library
 *
 * usage: libkill [SECONDS [SEED]]
 *
 * A child opens the store and several of its threads, each a client with a
 * journal, change it until the child is killed. Every other time the next
 * child is killed while it opens. Then the store is opened here, to write or
 * only to read, and compared with the journals.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kill/journal.h"
#include "kill/look.h"
#include "lib/tap.h"

enum { CLIENTS = 3, MIN_ROUNDS = 5, LONGEST_MS = 300 };

static char dir[300], store_path[340];
static uint64_t seed;
static struct cidstore *store; /* of the child */

static void journal_path(unsigned client, char out[400])
{
	(void)snprintf(out, 400, "%s/journal.%u", dir, client);
}

/* ---- the child ---- */

static int one(struct cidstore *s, unsigned c, const struct kill_op *op)
{
	struct cidstore_id key = kill_key(c, op->key), value = kill_value(op->value);

	switch (op->verb) {
	case KILL_MKDIR:
		return cidstore_mkkey(s, key);
	case KILL_CREATE:
		return cidstore_add(s, key, value);
	case KILL_UNLINK:
		return cidstore_remove(s, key, value);
	case KILL_RMDIR:
		return cidstore_rmkey(s, key);
	case KILL_RENAME:
	case KILL_RENAME_NEW:
		return cidstore_move(s, key, value, kill_key(c, op->to_key),
				     kill_value(op->to_value), op->verb == KILL_RENAME_NEW);
	case KILL_MAINTAIN:
		switch (op->seed % 3) {
		case 0:
			return cidstore_checkpoint(s);
		case 1:
			return cidstore_compact(s);
		default:
			return cidstore_gc(s);
		}
	default:
		return cidstore_sync(s);
	}
}

static int many(struct cidstore *s, unsigned c, const struct kill_op *op,
		const struct kill_step *step, size_t n, struct kill_journal *j)
{
	struct cidstore_pair *p = calloc(n, sizeof(*p));
	struct cidstore_op *o = calloc(n, sizeof(*o));
	size_t first = 1 + (size_t)op->seed % n;
	int rc;

	for (size_t i = 0; i < n; i++) {
		p[i] = (struct cidstore_pair){ kill_key(c, step[i].key),
					       kill_value(step[i].value) };
		o[i] = (struct cidstore_op){ step[i].verb, p[i].key, p[i].value };
	}
	if (op->verb == KILL_BATCH) {
		rc = cidstore_apply(s, o, n);
	} else {
		rc = cidstore_insert(s, p, first, NULL);
		if (rc == 0)
			rc = kill_journal_part(j, (uint32_t)first);
		if (rc == 0)
			rc = cidstore_insert(s, p + first, n - first, NULL);
	}
	free(p);
	free(o);
	return rc;
}

static void *work(void *arg)
{
	unsigned c = *(unsigned *)arg;
	struct kill_step *step = calloc(KILL_STEPS, sizeof(*step));
	struct kill_history *h = malloc(sizeof(*h));
	uint64_t rng = seed + c;
	struct kill_journal j;
	char path[400];

	journal_path(c, path);
	if (!step || !h || kill_journal_load(path, h) || kill_journal_open(&j, path))
		_exit(2);
	for (;;) {
		struct kill_op op;
		size_t n;
		int rc, want;

		kill_choose(&rng, &h->state, &op);
		n = kill_expand(&op, step);
		want = kill_expect(&h->state, &op);
		if (kill_journal_intent(&j, &op))
			_exit(2);
		rc = op.verb == KILL_INGEST || op.verb == KILL_BATCH
			     ? many(store, c, &op, step, n, &j)
			     : one(store, c, &op);
		if ((rc ? cidstore_errno(rc) : 0) != want) {
			printf("# %s of key %u value %u: %s, expected %s\n",
			       kill_verb_name[op.verb], op.key, op.value, cidstore_strerror(rc),
			       strerror(want));
			(void)fflush(stdout);
			_exit(3);
		}
		if (kill_journal_ack(&j, want))
			_exit(2);
		for (size_t i = 0; want == 0 && i < n; i++)
			kill_apply(&h->state, &step[i]);
	}
	return NULL;
}

static _Noreturn void child(int ready, bool opening)
{
	static unsigned number[CLIENTS];
	struct cidstore_error err;
	pthread_t t;

	if (cidstore_open(store_path, 0, &store, &err)) {
		printf("# child: %s\n", err.message);
		(void)fflush(stdout);
		_exit(4);
	}
	(void)cidstore_config_set(store, "reader_grace_ms", seed % 2 ? 0 : 50);
	(void)cidstore_config_set(store, "checkpoint_interval_ms", 100);
	if (write(ready, "", 1) != 1)
		_exit(2);
	for (unsigned c = 0; c < CLIENTS && !opening; c++) {
		number[c] = c;
		if (pthread_create(&t, NULL, work, &number[c]))
			_exit(2);
	}
	for (;;)
		pause();
}

/* ---- the parent ---- */

static void pass_ms(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* A child that is killed `ms` after it opened the store; or, doing nothing
 * else, after it began to open it. */
static void live(uint64_t ms, bool opening)
{
	int p[2], status;
	char c;
	pid_t pid;

	(void)fflush(stdout);
	if (pipe(p))
		tap_bail("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		tap_bail("fork: %s", strerror(errno));
	if (pid == 0) {
		close(p[0]);
		child(p[1], opening);
	}
	close(p[1]);
	if (!opening && read(p[0], &c, 1) != 1)
		tap_bail("the child did not open the store");
	pass_ms(ms);
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	close(p[0]);
	if (WIFEXITED(status))
		tap_bail("the child ended with status %d", WEXITSTATUS(status));
}

static void say(void *arg, const char *text)
{
	printf("# client %u: %s\n", *(unsigned *)arg, text);
}

static void say_look(void *arg, const char *text)
{
	(void)arg;
	printf("# %s\n", text);
}

struct totals {
	uint64_t operations, lost, resurrected, wrong;
};

static void verify(unsigned flags, struct totals *t)
{
	static struct kill_state seen[CLIENTS];
	struct kill_history *h = malloc(sizeof(*h));
	struct cidstore_error err;
	struct cidstore *s;

	if (cidstore_open(store_path, flags, &s, &err))
		tap_bail("%s", err.message);
	memset(seen, 0, sizeof(seen));
	if (kill_look(s, CLIENTS, seen, say_look, NULL))
		tap_bail("what the store holds cannot be");
	t->operations = 0;
	for (unsigned c = 0; c < CLIENTS; c++) {
		struct kill_verdict v;
		char path[400];

		journal_path(c, path);
		if (!h || kill_journal_load(path, h))
			tap_bail("%s is not a journal", path);
		if (!kill_judge(&h->state, &seen[c], h->under_way ? &h->op : NULL, h->acked, say,
				&c, &v))
			t->wrong++;
		t->lost += v.lost;
		t->resurrected += v.resurrected;
		t->operations += h->operations;
		if (kill_journal_rebase(path, h))
			tap_bail("%s: cannot write", path);
	}
	if (cidstore_close(s))
		tap_bail("closing failed");
	free(h);
}

static void finding(void *arg, const char *message, double progress)
{
	(void)arg;
	(void)progress;
	if (message)
		printf("# fsck: %s\n", message);
}

static uint64_t check(void)
{
	struct cidstore_report r;
	struct cidstore_error err;

	if (cidstore_check(store_path, 0, finding, NULL, &r, &err))
		tap_bail("%s", err.message);
	return r.errors;
}

int main(int argc, char **argv)
{
	const struct cidstore_geometry small = {
		.log_bytes = 256 << 10,
		.segment_bytes = 4 << 20,
		.bucket_bytes = 8192,
		.promotion_threshold = 16,
	};
	uint64_t rng, errors = 0;
	struct totals t = { 0 };
	struct cidstore_error err;
	unsigned rounds = 0;
	const char *tmp = getenv("TMPDIR");
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 15);
	char command[400];

	rng = argc > 2 ? (uint64_t)strtoull(argv[2], NULL, 10)
		       : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	tap_note("seed %llu", (unsigned long long)rng);
	(void)snprintf(dir, sizeof(dir), "%s/cidstore-libkill.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(store_path, sizeof(store_path), "%s/store", dir);
	if (cidstore_create(store_path, &small, &err))
		tap_bail("%s", err.message);
	for (; (time(NULL) < end || rounds < MIN_ROUNDS) && t.wrong == 0 && errors == 0; rounds++) {
		seed = kill_random(&rng);
		live(kill_random(&rng) % LONGEST_MS, false);
		if (kill_random(&rng) % 2)
			live(kill_random(&rng) % 8, true);
		if (kill_random(&rng) % 4 == 0)
			errors += check();
		verify(kill_random(&rng) % 2 ? CIDSTORE_RDONLY : 0, &t);
		if (kill_random(&rng) % 4 == 0)
			errors += check();
	}
	tap_note("%u rounds, %llu operations acknowledged", rounds,
		 (unsigned long long)t.operations);
	tap_int(t.lost, 0, "nothing acknowledged is lost");
	tap_int(t.resurrected, 0, "nothing deleted came back");
	tap_int(t.wrong, 0, "each store agrees with its journals");
	tap_int(errors, 0, "the checks find nothing");
	tap_ok(t.operations > 100 * rounds, "there was traffic");
	if (t.wrong || errors) {
		tap_note("the store and the journals stay in %s", dir);
	} else {
		(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
		if (system(command))
			tap_note("%s is left", dir);
	}
	return tap_done();
}
