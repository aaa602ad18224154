/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client.c - one client of a mounted store whose daemon gets killed
 *
 *     client run MNT JOURNAL NUMBER SEED [nosync] [failing]
 *     client verify MNT JOURNAL NUMBER CLIENTS
 *     client end PID SIGNAL
 *
 * `run` works until the mount dies or SIGTERM comes, by system calls alone, and
 * keeps its journal; an answer that the state before does not explain ends it.
 * With nosync it never asks for durability; with failing EIO and EROFS end it
 * as well as death does, and what they answered stays under way.
 * `verify` compares the mount with the journal, in every way a name can be
 * seen, prints one line of figures, and makes what it saw the journal's base.
 * `end` sends a signal (0: none) and returns when the process has ended, though
 * nobody may have waited for it yet.
 *
 * Exit status: 0 fine, 1 the store is wrong, 2 the test is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kill/journal.h"

enum { WRONG = 1, BROKEN = 2, RECORD = 32, LINE = 80, END_MS = 60000 };

static unsigned number;
static int root;
static struct kill_state state;
static struct kill_journal journal;
static struct kill_step step[KILL_STEPS];
static volatile sig_atomic_t stopping;
static bool nosync, failing;

static _Noreturn void fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void fail(int status, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "client %u: ", number);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(status);
}

static void check(int rc, const char *what)
{
	if (rc)
		fail(BROKEN, "%s: %s", what, strerror(-rc));
}

/* ---- names ---- */

enum { NAME = 33, PATH = 66 };

static void key_name(uint32_t key, char out[NAME])
{
	cidstore_id_format(kill_key(number, key), out);
	out[32] = '\0';
}

static void pair_name(uint32_t key, uint32_t value, char out[PATH])
{
	cidstore_id_format(kill_key(number, key), out);
	out[32] = '/';
	cidstore_id_format(kill_value(value), out + 33);
	out[65] = '\0';
}

/* ---- running ---- */

/* The kernel gives EIO for a request that it was handing over when the daemon
 * died; then nothing answers any more. */
static bool died(int error)
{
	struct stat st;

	if (error == EIO && fstatat(root, "ffffffffffffffffffffffffffffffff", &st, 0))
		error = errno;
	return error == ENOTCONN || error == ECONNABORTED;
}

/* Asks for durability, or may: a checkpoint ends in a sync, too. */
static bool syncs(const struct kill_op *op)
{
	return op->verb == KILL_FSYNC || op->verb == KILL_MAINTAIN;
}

static int answer(int rc)
{
	return rc < 0 ? errno : 0;
}

static int create(uint32_t key, uint32_t value, bool node)
{
	char path[PATH];
	int fd;

	pair_name(key, value, path);
	if (node)
		return answer(mknodat(root, path, S_IFREG | 0644, 0));
	fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno;
	close(fd); /* the name is acknowledged already */
	return 0;
}

static int rename_value(const struct kill_op *op)
{
	char from[PATH], to[PATH];

	pair_name(op->key, op->value, from);
	pair_name(op->to_key, op->to_value, to);
	return answer(renameat2(root, from, root, to,
				op->verb == KILL_RENAME_NEW ? RENAME_NOREPLACE : 0));
}

/* Writes to a control stream, which stays open for the next operation now and
 * then; `unit` is the length of a step that counts by itself, or 0. */
static int stream(int *fd, const char *name, const uint8_t *buf, size_t n, size_t unit,
		  uint64_t seed)
{
	size_t first = seed & 1 ? n : 1 + (size_t)(seed >> 1) % n, at = 0;

	if (*fd < 0)
		*fd = openat(root, name, O_WRONLY | O_CLOEXEC);
	if (*fd < 0)
		return errno;
	while (at < n) {
		ssize_t w = write(*fd, buf + at, (at < first ? first : n) - at);

		if (w <= 0)
			return w < 0 ? errno : EIO;
		at += (size_t)w;
		if (at < n && unit)
			check(kill_journal_part(&journal, (uint32_t)(at / unit)), "journal");
	}
	if ((seed >> 60) < 4) {
		close(*fd);
		*fd = -1;
	}
	return 0;
}

static int ingest(const struct kill_op *op, size_t n)
{
	static int fd = -1;
	static uint8_t buf[KILL_STEPS * RECORD];

	for (size_t i = 0; i < n; i++) {
		cidstore_id_to_bytes(kill_key(number, step[i].key), buf + i * RECORD);
		cidstore_id_to_bytes(kill_value(step[i].value), buf + i * RECORD + 16);
	}
	return stream(&fd, ".cidstore/ingest", buf, n * RECORD, RECORD, op->seed);
}

static int batch(const struct kill_op *op, size_t n)
{
	static const char *const word[] = {
		[CIDSTORE_OP_INSERT] = "insert",
		[CIDSTORE_OP_DELETE] = "delete",
		[CIDSTORE_OP_MKKEY] = "mkkey",
		[CIDSTORE_OP_RMKEY] = "delete",
	};
	static int fd = -1;
	static char buf[KILL_STEPS * LINE];
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		char key[NAME], path[PATH];

		key_name(step[i].key, key);
		pair_name(step[i].key, step[i].value, path);
		path[32] = ' ';
		at += (size_t)snprintf(buf + at, LINE, "%s %s\n", word[step[i].verb],
				       step[i].verb <= CIDSTORE_OP_DELETE ? path : key);
	}
	at += (size_t)snprintf(buf + at, LINE, "commit\n");
	return stream(&fd, ".cidstore/batch", (uint8_t *)buf, at, 0, op->seed);
}

static int sync_something(const struct kill_op *op)
{
	char path[PATH];
	int fd, error;

	pair_name(op->key, op->value, path);
	if (!state.have[op->key][op->value])
		path[32] = '\0';
	if (!state.exists[op->key])
		return answer(fsync(root));
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	error = answer(fsync(fd));
	close(fd);
	return error;
}

static int maintain(const struct kill_op *op)
{
	char path[64];
	int fd, error;

	(void)snprintf(path, sizeof(path), ".cidstore/%s", kill_trigger[op->seed % KILL_TRIGGERS]);
	fd = openat(root, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	error = answer(write(fd, "1", 1) == 1 ? 0 : -1);
	close(fd);
	return error == EBUSY ? 0 : error; /* it runs already */
}

static int perform(const struct kill_op *op)
{
	char path[PATH];

	key_name(op->key, path);
	switch (op->verb) {
	case KILL_MKDIR:
		return answer(mkdirat(root, path, 0755));
	case KILL_CREATE:
		return create(op->key, op->value, op->seed & 1);
	case KILL_UNLINK:
		pair_name(op->key, op->value, path);
		return answer(unlinkat(root, path, 0));
	case KILL_RMDIR:
		return answer(unlinkat(root, path, AT_REMOVEDIR));
	case KILL_RENAME:
	case KILL_RENAME_NEW:
		return rename_value(op);
	case KILL_INGEST:
		return ingest(op, kill_expand(op, step));
	case KILL_BATCH:
		return batch(op, kill_expand(op, step));
	case KILL_FSYNC:
		return sync_something(op);
	default:
		return maintain(op);
	}
}

static void on_term(int signal_number)
{
	(void)signal_number;
	stopping = 1;
}

static void run(const char *path, uint64_t seed)
{
	struct sigaction sa = { .sa_handler = on_term };
	uint64_t rng = seed, operations = 0;
	struct kill_history *h = malloc(sizeof(*h));
	bool dead = false, failed = false;

	sigaction(SIGTERM, &sa, NULL);
	check(h ? kill_journal_load(path, h) : -ENOMEM, path);
	if (h->under_way)
		fail(BROKEN, "%s: an operation is under way: verify first", path);
	state = h->state;
	free(h);
	check(kill_journal_open(&journal, path), path);
	while (!stopping) {
		struct kill_op op;
		int want, error;

		kill_choose(&rng, &state, &op);
		if (nosync && syncs(&op))
			continue;
		want = kill_expect(&state, &op);
		check(kill_journal_intent(&journal, &op), "journal");
		error = perform(&op);
		dead = died(error);
		failed = failing && (error == EIO || error == EROFS);
		if (dead || failed)
			break;
		if (error != want)
			fail(WRONG, "%s of key %u value %u to key %u value %u: %s, expected %s",
			     kill_verb_name[op.verb], op.key, op.value, op.to_key, op.to_value,
			     error ? strerror(error) : "success",
			     want ? strerror(want) : "success");
		check(kill_journal_ack(&journal, error), "journal");
		operations++;
		if (error)
			continue;
		for (size_t i = 0, n = kill_expand(&op, step); i < n; i++)
			kill_apply(&state, &step[i]);
	}
	kill_journal_close(&journal);
	printf("ran operations=%llu ended=%s\n", (unsigned long long)operations,
	       dead	? "killed"
	       : failed ? "failed"
			: "stopped");
}

/* ---- verifying ---- */

static uint64_t wrong;

static void say(void *arg, const char *text)
{
	(void)arg;
	wrong++;
	(void)fprintf(stderr, "client %u: %s\n", number, text);
}

static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(NULL, text);
}

static DIR *open_dir(const char *name)
{
	int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		fail(WRONG, "%s: %s", name, strerror(errno));
	return d;
}

static struct dirent *next(DIR *d, const char *name)
{
	struct dirent *e;

	do {
		errno = 0;
		e = readdir(d);
	} while (e && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")));
	if (!e && errno)
		fail(WRONG, "reading %s: %s", name, strerror(errno));
	return e;
}

static void list_keys(unsigned clients, struct kill_state *seen)
{
	DIR *d = open_dir(".");
	struct dirent *e;

	while ((e = next(d, "the root")) != NULL) {
		struct cidstore_id id;
		unsigned client;
		uint32_t key;

		if (cidstore_id_parse(e->d_name, strlen(e->d_name), &id) ||
		    !kill_key_number(id, clients, &client, &key))
			complain("%s: nobody made this key", e->d_name);
		else if (e->d_type != DT_DIR)
			complain("%s: not a directory in the listing", e->d_name);
		else if (client == number && seen->exists[key]++)
			complain("%s: key listed twice", e->d_name);
	}
	closedir(d);
}

static void list_values(uint32_t key, struct kill_state *seen)
{
	char name[NAME];
	struct dirent *e;
	struct stat st;
	DIR *d;

	key_name(key, name);
	d = open_dir(name);
	while ((e = next(d, name)) != NULL) {
		struct cidstore_id id;
		uint32_t value;

		if (cidstore_id_parse(e->d_name, strlen(e->d_name), &id) ||
		    !kill_value_number(id, &value))
			complain("%s/%s: nobody made this value", name, e->d_name);
		else if (seen->have[key][value]++)
			complain("%s/%s: value listed twice", name, e->d_name);
		else
			seen->count[key]++;
	}
	closedir(d);
	if (fstatat(root, name, &st, 0))
		complain("%s: stat: %s", name, strerror(errno));
	else if (st.st_size != (off_t)seen->count[key])
		complain("%s: %lld values by stat, %u listed", name, (long long)st.st_size,
			 seen->count[key]);
}

/* What lookups say must be what listings said. */
static void probe(const struct kill_state *seen, uint64_t *rng)
{
	char path[PATH];
	struct stat st;

	for (uint32_t key = 0; key < KILL_KEYS; key++) {
		int error;

		key_name(key, path);
		error = answer(fstatat(root, path, &st, 0));
		if (error != (seen->exists[key] ? 0 : ENOENT))
			complain("%s: lookup says %s, the listing %s", path, strerror(error),
				 seen->exists[key] ? "lists it" : "does not list it");
		for (int i = 0; seen->exists[key] && i < 16; i++) {
			uint32_t value = (uint32_t)(kill_random(rng) %
						    (key < KILL_BIG_KEYS ? KILL_VALUES : 12));

			pair_name(key, value, path);
			error = answer(fstatat(root, path, &st, 0));
			if (error != (seen->have[key][value] ? 0 : ENOENT))
				complain("%s: lookup says %s, the listing %s", path,
					 strerror(error),
					 seen->have[key][value] ? "lists it" : "does not list it");
		}
	}
}

static int verify(const char *path, unsigned clients)
{
	struct kill_history *h = malloc(sizeof(*h));
	struct kill_state *seen = calloc(1, sizeof(*seen));
	struct kill_verdict v;
	uint64_t rng = 1, keys = 0, values = 0;
	bool right;

	check(h && seen ? kill_journal_load(path, h) : -ENOMEM, path);
	list_keys(clients, seen);
	for (uint32_t k = 0; k < KILL_KEYS; k++) {
		if (seen->exists[k])
			list_values(k, seen);
		keys += seen->exists[k];
		values += seen->count[k];
	}
	probe(seen, &rng);
	right = kill_judge(&h->state, seen, h->under_way ? &h->op : NULL, h->acked, say, NULL, &v);
	printf("verified operations=%llu steps=%llu lost=%llu resurrected=%llu keys=%llu "
	       "values=%llu",
	       (unsigned long long)h->operations, (unsigned long long)h->steps,
	       (unsigned long long)v.lost, (unsigned long long)v.resurrected,
	       (unsigned long long)keys, (unsigned long long)values);
	if (h->under_way)
		printf(" under-way=%s:%zu/%zu", kill_verb_name[h->op.verb], v.done, v.steps);
	putchar('\n');
	if (right && wrong == 0)
		check(kill_journal_rebase(path, h), "journal");
	free(seen);
	free(h);
	return right && wrong == 0 ? 0 : WRONG;
}

static int end(pid_t pid, int signal_number)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (p.fd < 0 && errno == ESRCH)
		return 0;
	if (p.fd < 0 ||
	    (signal_number && syscall(SYS_pidfd_send_signal, p.fd, signal_number, NULL, 0)))
		fail(BROKEN, "process %d: %s", (int)pid, strerror(errno));
	if (poll(&p, 1, END_MS) != 1)
		fail(WRONG, "process %d does not end", (int)pid);
	close(p.fd);
	return 0;
}

int main(int argc, char **argv)
{
	bool running = argc >= 6 && argc <= 8 && strcmp(argv[1], "run") == 0;

	if (argc == 4 && strcmp(argv[1], "end") == 0)
		return end((pid_t)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10));
	if (!running && !(argc == 6 && strcmp(argv[1], "verify") == 0)) {
		(void)fprintf(stderr,
			      "usage: client run MNT JOURNAL NUMBER SEED [nosync] [failing]\n"
			      "       client verify MNT JOURNAL NUMBER CLIENTS\n"
			      "       client end PID SIGNAL\n");
		return BROKEN;
	}
	for (int i = 6; running && i < argc; i++) {
		nosync |= strcmp(argv[i], "nosync") == 0;
		failing |= strcmp(argv[i], "failing") == 0;
	}
	number = (unsigned)strtoul(argv[4], NULL, 10);
	root = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		fail(running && died(errno) ? 0 : BROKEN, "%s: %s", argv[2], strerror(errno));
	if (!running)
		return verify(argv[3], (unsigned)strtoul(argv[5], NULL, 10));
	run(argv[3], strtoull(argv[5], NULL, 10));
	return 0;
}
