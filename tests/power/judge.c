/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * judge.c - is a store what it may be after the first TO records of a trace?
 *
 *     judge [-m] [-u] [-o STATE] [-e STATE] TRACE TO STORE
 *     judge -l TRACE
 *     judge -s TRACE
 *
 * The store is opened for writing, which recovers it, and what it holds is
 * compared with the histories of the clients. With -m STORE is a mount point,
 * read with system calls. With -o what it holds is written to a file, with -e
 * it must be what such a file says. With -u the store is then used: it takes
 * changes, keeps them, and has not forgotten the others. With -l the writes and
 * flushes of a trace are listed: number, kind, place, bytes, time in ns. With -s
 * its clients' work is summed up, a name and a figure a line.
 *
 * Otherwise prints one line of figures. Exit status: 0 fine, 1 the store is wrong, 2 the
 * test is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kill/look.h"
#include "power/history.h"

enum { WRONG = 1, BROKEN = 2, USER = HISTORY_CLIENTS - 1, USED = 40 };

static struct kill_state seen[HISTORY_CLIENTS];

static _Noreturn void fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void fail(int status, const char *fmt, ...)
{
	va_list ap;

	(void)fputs("judge: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(status);
}

static void say(void *arg, const char *text)
{
	(void)arg;
	(void)fprintf(stderr, "judge: %s\n", text);
}

/* ---- looking ---- */

static struct cidstore *open_store(const char *path, unsigned flags)
{
	struct cidstore_error err;
	struct cidstore *s;

	if (cidstore_open(path, flags, &s, &err))
		fail(WRONG, "%s does not open: %s", path, err.message);
	return s;
}

static void look(struct cidstore *s)
{
	unsigned wrong;

	memset(seen, 0, sizeof(seen));
	wrong = kill_look(s, HISTORY_CLIENTS, seen, say, NULL);
	if (wrong)
		fail(WRONG, "%u things that cannot be", wrong);
}

static int each(int at, const char *name, void (*fn)(int, const char *, void *), void *arg)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		fail(WRONG, "%s: %s", name, strerror(errno));
	while (errno = 0, (e = readdir(d)) != NULL)
		if (*e->d_name != '.')
			fn(fd, e->d_name, arg);
	if (errno)
		fail(WRONG, "listing %s: %s", name, strerror(errno));
	closedir(d);
	return 0;
}

struct place {
	struct kill_state *state;
	uint32_t key;
};

static void one_value(int fd, const char *name, void *arg)
{
	struct place *p = arg;
	struct cidstore_id id;
	uint32_t v;

	(void)fd;
	if (cidstore_id_parse(name, strlen(name), &id) || !kill_value_number(id, &v))
		fail(WRONG, "%s: nobody made this value", name);
	if (p->state->have[p->key][v]++)
		fail(WRONG, "%s: listed twice", name);
	p->state->count[p->key]++;
}

static void one_key(int fd, const char *name, void *arg)
{
	struct place p;
	struct cidstore_id id;
	unsigned c;

	(void)arg;
	if (cidstore_id_parse(name, strlen(name), &id) ||
	    !kill_key_number(id, HISTORY_CLIENTS, &c, &p.key))
		fail(WRONG, "%s: nobody made this key", name);
	p.state = &seen[c];
	if (p.state->exists[p.key]++)
		fail(WRONG, "%s: listed twice", name);
	each(fd, name, one_value, &p);
}

/* ---- comparing ---- */

static void keep(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f || fwrite(seen, sizeof(seen), 1, f) != 1 || fclose(f))
		fail(BROKEN, "%s: %s", path, strerror(errno));
}

static void compare(const char *path)
{
	static struct kill_state was[HISTORY_CLIENTS];
	FILE *f = fopen(path, "re");
	uint64_t n = 0;

	if (!f || fread(was, sizeof(was), 1, f) != 1)
		fail(BROKEN, "%s: %s", path, strerror(errno));
	(void)fclose(f);
	for (unsigned c = 0; c < HISTORY_CLIENTS; c++)
		n += kill_differences(&was[c], &seen[c]);
	if (n)
		fail(WRONG, "not what was there before: %llu differences", (unsigned long long)n);
}

static bool judge(const char *trace_path, size_t to)
{
	struct history_verdict v;
	struct history h;
	struct trace t;
	bool right;
	int rc = trace_open(&t, trace_path, false);

	if (rc == 0)
		rc = history_read(&t, to, &h);
	if (rc)
		fail(BROKEN, "%s: %s", trace_path, strerror(-rc));
	right = history_judge(&h, seen, say, NULL, &v);
	for (unsigned c = h.clients; c < HISTORY_CLIENTS; c++)
		for (uint32_t k = 0; k < KILL_KEYS; k++)
			if (seen[c].exists[k])
				fail(WRONG, "keys of clients that are not there yet");
	if (right)
		printf("judged units=%zu synced=%zu kept=%zu unsynced_lost=%zu loss_us=%llu "
		       "syncs=%zu\n",
		       v.units, v.synced, v.kept, v.unsynced_lost,
		       (unsigned long long)(v.loss_ns / 1000), h.syncs);
	history_free(&h);
	trace_close(&t);
	return right;
}

static int list(const char *path)
{
	struct trace t;
	int rc = trace_open(&t, path, false);

	if (rc)
		fail(BROKEN, "%s: %s", path, strerror(-rc));
	for (size_t i = 0; i < t.n; i++) {
		const struct trace_record *r = trace_at(&t, i);

		if (r->kind != TRACE_MARK)
			printf("%zu %s %llu %u %llu\n", i,
			       r->kind == TRACE_WRITE ? "write" : "flush",
			       (unsigned long long)r->at, r->bytes, (unsigned long long)r->ns);
	}
	trace_close(&t);
	return fflush(stdout) ? BROKEN : 0;
}

static int sum_up(const char *path)
{
	size_t units = 0, acked = 0;
	struct history h;
	struct trace t;
	int rc = trace_open(&t, path, false);

	if (rc == 0)
		rc = history_read(&t, t.n, &h);
	if (rc)
		fail(BROKEN, "%s: %s", path, strerror(-rc));
	for (unsigned c = 0; c < h.clients; c++) {
		units += h.client[c].n;
		for (size_t i = 0; i < h.client[c].n; i++)
			acked += h.client[c].unit[i].ack != HISTORY_NEVER;
	}
	printf("clients %u\nclient_units %zu\nclient_acknowledged %zu\nclient_syncs %zu\n",
	       h.clients, units, acked, h.syncs);
	history_free(&h);
	trace_close(&t);
	return fflush(stdout) ? BROKEN : 0;
}

/* ---- using ---- */

static void must(int rc, const char *what)
{
	if (rc)
		fail(WRONG, "%s: %s", what, cidstore_strerror(rc));
}

static void use(struct cidstore *s)
{
	struct kill_state *mine = &seen[USER];

	memset(mine, 0, sizeof(*mine));
	for (uint32_t k = 0; k < USED; k++) {
		uint32_t n = k < 2 ? KILL_VALUES : k;
		struct kill_step t = { CIDSTORE_OP_MKKEY, k, 0 };

		must(cidstore_delete_keys(s, &(struct cidstore_id){ kill_key(USER, k).high, k }, 1,
					  NULL),
		     "deleting a key");
		must(cidstore_mkkey(s, kill_key(USER, k)), "making a key");
		kill_apply(mine, &t);
		for (t.value = 0; t.value < n; t.value++) {
			t.verb = CIDSTORE_OP_INSERT;
			must(cidstore_add(s, kill_key(USER, k), kill_value(t.value)), "adding");
			kill_apply(mine, &t);
			if (t.value % 3)
				continue;
			t.verb = CIDSTORE_OP_DELETE;
			must(cidstore_remove(s, kill_key(USER, k), kill_value(t.value)),
			     "removing");
			kill_apply(mine, &t);
		}
		if (k % 16 == 1)
			must(cidstore_sync(s), "a sync");
		if (k % 16 == 2)
			must(cidstore_compact(s), "a sweep");
	}
}

int main(int argc, char **argv)
{
	const char *out = NULL, *expect = NULL;
	bool mounted = false, used = false, right;
	struct cidstore *s = NULL;
	int c;

	while ((c = getopt(argc, argv, "l:s:muo:e:")) >= 0) {
		switch (c) {
		case 'l':
			return list(optarg);
		case 's':
			return sum_up(optarg);
		case 'm':
			mounted = true;
			break;
		case 'u':
			used = true;
			break;
		case 'o':
			out = optarg;
			break;
		case 'e':
			expect = optarg;
			break;
		default:
			return BROKEN;
		}
	}
	if (optind + 3 != argc || (mounted && used)) {
		(void)fprintf(stderr,
			      "usage: judge [-m] [-u] [-o STATE] [-e STATE] TRACE TO STORE\n");
		return BROKEN;
	}
	if (mounted) {
		each(AT_FDCWD, argv[optind + 2], one_key, NULL);
	} else {
		s = open_store(argv[optind + 2], 0);
		look(s);
	}
	right = judge(argv[optind], (size_t)strtoull(argv[optind + 1], NULL, 10));
	if (right && expect)
		compare(expect);
	if (out)
		keep(out);
	if (right && used) {
		static struct kill_state wanted[HISTORY_CLIENTS];
		uint64_t n = 0;

		use(s);
		memcpy(wanted, seen, sizeof(wanted));
		must(cidstore_close(s), "closing");
		s = open_store(argv[optind + 2], CIDSTORE_RDONLY);
		look(s);
		for (unsigned i = 0; i < HISTORY_CLIENTS; i++)
			n += kill_differences(&wanted[i], &seen[i]);
		if (n)
			fail(WRONG, "after using it: %llu differences", (unsigned long long)n);
	}
	if (s)
		must(cidstore_close(s), "closing");
	return right ? 0 : WRONG;
}
