/* SPDX-License-Identifier: BSD-2-Clause */
/* control_tree.c - the nodes: names, modes, text, settings, triggers, callers */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "lib/tap.h"
#include "lib/ctlstore.h"

#define KEY "9a0364b9e99bb480dd25e1f0284c8555"

static const struct {
	const char *path;
	mode_t mode;
	int stream;
} expected[] = {
	{ "version", S_IFREG | 0444, 0 },    { "health", S_IFREG | 0444, 0 },
	{ "ready", S_IFREG | 0444, 0 },	     { "stats", S_IFREG | 0444, 0 },
	{ "metrics", S_IFREG | 0444, 0 },    { "durable_seq", S_IFREG | 0444, 0 },
	{ "last_seq", S_IFREG | 0444, 0 },   { "sync", S_IFREG | 0200, 0 },
	{ "checkpoint", S_IFREG | 0200, 0 }, { "compact", S_IFREG | 0644, 0 },
	{ "gc", S_IFREG | 0644, 0 },	     { "verify", S_IFREG | 0644, 0 },
	{ "ingest", S_IFREG | 0200, 1 },     { "batch", S_IFREG | 0200, 1 },
	{ "lookup", S_IFREG | 0666, 1 },     { "lookup.txt", S_IFREG | 0666, 1 },
	{ "export", S_IFREG | 0444, 1 },     { "import", S_IFREG | 0644, 1 },
	{ "events", S_IFREG | 0666, 1 },
	{ "config", S_IFDIR | 0555, 0 },     { "debug", S_IFDIR | 0555, 0 },
};
#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

static int opens(struct fixture *f, const char *path, int flags, const struct cid_ctl_caller *who)
{
	struct cid_ctl_file *file;
	int rc = cid_control_open(f->control, path, flags, who, &file);

	if (rc == 0)
		cid_control_release(file);
	return rc;
}

static void nodes(struct fixture *f)
{
	static const char *const missing[] = {
		"nope",
		"/",
		"/stats",
		"stats/",
		"stats/x",
		"config/",
		"config/nope",
		"debug/key/",
		"debug/bucket/",
		"debug/key/?",
		"debug/bucket/?",
		"debug/?",
		"debug/key/" KEY,
		"debug/key/x",
		"debug/bucket/00",
		"debug/bucket/x",
		"debug/bucket/-1",
		"debug/bucket/18446744073709551616",
		"debug/key/9A0364B9E99BB480DD25E1F0284C8555",
	};
	struct cid_ctl_stat st, child;
	const struct cid_setting *s;
	uint32_t seen[256];
	size_t numbers = 0;
	const char *name;
	bool unique = true;
	char path[128];

	tap_ok(cid_control_stat(f->control, "", &st) == 0 && st.mode == (S_IFDIR | 0555),
	       "the root is a directory");
	for (size_t i = 0; i < EXPECTED; i++) {
		const char *p = expected[i].path;

		tap_ok(cid_control_stat(f->control, p, &st) == 0 && st.mode == expected[i].mode &&
			       !st.stream == !expected[i].stream && st.number >= 2,
		       "%s has its mode", p);
		tap_ok(cid_control_child(f->control, "", i, &name, &child) == 0 &&
			       strcmp(name, p) == 0 && child.number == st.number &&
			       child.mode == st.mode && child.stream == st.stream,
		       "%s is listed", p);
		seen[numbers++] = st.number;
	}
	tap_int(cid_control_child(f->control, "", EXPECTED, &name, &child), -ENOENT,
		"nothing else is listed");
	for (s = cid_store_settings(); s->name != NULL; s++) {
		size_t i = (size_t)(s - cid_store_settings());

		(void)snprintf(path, sizeof(path), "config/%s", s->name);
		tap_ok(cid_control_stat(f->control, path, &st) == 0 &&
			       st.mode == (S_IFREG | 0644) && !st.stream,
		       "%s has its mode", path);
		tap_ok(cid_control_child(f->control, "config", i, &name, &child) == 0 &&
			       strcmp(name, s->name) == 0 && child.number == st.number,
		       "%s is listed", path);
		seen[numbers++] = st.number;
	}
	tap_int(cid_control_child(f->control, "config", (size_t)(s - cid_store_settings()), &name,
				  &child),
		-ENOENT, "and no other setting");
	tap_ok(cid_control_child(f->control, "debug", 0, &name, &child) == 0 &&
		       strcmp(name, "bucket") == 0 &&
		       cid_control_child(f->control, "debug", 1, &name, &child) == 0 &&
		       strcmp(name, "key") == 0 &&
		       cid_control_child(f->control, "debug", 2, &name, &child) == -ENOENT,
	       "debug holds bucket and key");
	tap_ok(cid_control_child(f->control, "debug/key", 0, &name, &child) == -ENOENT &&
		       cid_control_child(f->control, "debug/bucket", 0, &name, &child) == -ENOENT,
	       "whose content is not listed");
	tap_ok(cid_control_child(f->control, "stats", 0, &name, &child) == -ENOENT &&
		       cid_control_child(f->control, "nope", 0, &name, &child) == -ENOENT,
	       "what is no directory has no children");
	for (size_t i = 0; i < numbers; i++)
		for (size_t j = 0; j < i; j++)
			unique = unique && seen[i] != seen[j];
	tap_ok(unique, "numbers are unique");
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		tap_ok(cid_control_stat(f->control, missing[i], &st) == -ENOENT &&
			       opens(f, missing[i], O_RDONLY, &root) == -ENOENT,
		       "there is no %s", missing[i]);
	tap_int(opens(f, "config", O_RDONLY, &root), -EISDIR, "a directory is not opened");
}

static void callers(struct fixture *f)
{
	for (size_t i = 0; i < EXPECTED; i++) {
		const char *p = expected[i].path;
		mode_t mode = expected[i].mode;
		bool readable = mode & 0444, writable = mode & 0222, anyone = mode & 0022;

		if (S_ISDIR(mode))
			continue;
		tap_int(opens(f, p, O_RDONLY, &stranger), readable ? 0 : -EACCES,
			"%s, reading by anyone", p);
		tap_int(opens(f, p, O_WRONLY, &stranger),
			anyone	   ? 0
			: writable ? -EPERM
				   : -EACCES,
			"%s, writing by a stranger", p);
		tap_int(opens(f, p, O_WRONLY, &owner), writable ? 0 : -EACCES,
			"%s, writing by the owner", p);
		tap_int(opens(f, p, O_WRONLY, &root), writable ? 0 : -EACCES, "%s, writing by root",
			p);
		tap_int(opens(f, p, O_RDWR, &root), readable && writable ? 0 : -EACCES, "%s, both",
			p);
	}
	tap_int(opens(f, "config/batch_size", O_WRONLY, &stranger), -EPERM,
		"a stranger sets nothing");
	tap_int(opens(f, "config/batch_size", O_WRONLY, &owner), 0, "the owner does");
}

static void texts(struct fixture *f)
{
	struct cidstore_pair pair = { { 1, 2 }, { 3, 4 } };
	struct cid_ctl_file *before;
	char *text, *again, buf[32];
	uint64_t random = 7;
	size_t n, lines = 0;
	bool form = true;
	int error;

	text = get_text(f, "version", NULL);
	(void)snprintf(buf, sizeof(buf), "%s\n", cidstore_version());
	tap_str(text, buf, "version");
	free(text);
	text = get_text(f, "health", NULL);
	tap_str(text, "ok\n", "health");
	free(text);
	text = get_text(f, "ready", NULL);
	tap_str(text, "1\n", "ready");
	free(text);

	before = must_open(f, "stats", O_RDONLY);
	text = get_text(f, "stats", NULL);
	if (cidstore_insert(f->store, &pair, 1, NULL) != 0)
		tap_bail("insert");
	again = (char *)drain(before, 3, &random, &n, &error);
	again[n] = '\0';
	cid_control_release(before);
	tap_ok(strstr(again, "\ninserts 0\n") != NULL, "stats is a snapshot of the open");
	free(again);
	tap_ok(get_row(f, "stats", "inserts") == 1, "and a new open shows what is new");
	for (char *p = text; *p != '\0'; p = strchr(p, '\n') + 1, lines++) {
		unsigned long long v;
		char key[64];
		int len = 0;

		form = form && strchr(p, '\n') != NULL &&
		       sscanf(p, "%63[a-z0-9_] %llu%n", key, &v, &len) == 2 && p[len] == '\n';
	}
	tap_ok(form && lines > 50, "stats are lines KEY VALUE (%zu)", lines);
	free(text);

	before = must_open(f, "health", O_RDONLY);
	tap_int(cid_control_read(before, buf, 2, 1), 2, "text is read at an offset");
	tap_ok(memcmp(buf, "k\n", 2) == 0, "from there on");
	tap_int(cid_control_read(before, buf, 2, 3), 0, "and ends");
	tap_int(cid_control_read(before, buf, 2, -1), -EINVAL, "there is none before the start");
	tap_int(cid_control_write(before, "x", 1, 0), -EBADF,
		"what is open to read is not written");
	cid_control_release(before);

	text = get_text(f, "debug/key/00000000000000010000000000000002", NULL);
	tap_ok(text != NULL && text[0] != '\0' && text[strlen(text) - 1] == '\n',
	       "a key is described");
	free(text);
	text = get_text(f, "debug/bucket/0", NULL);
	tap_ok(text != NULL && text[0] != '\0' && text[strlen(text) - 1] == '\n',
	       "a bucket is described");
	free(text);
}

static void one_setting(struct fixture *f, const struct cid_setting *s)
{
	static const char *const bad[] = { "\n",  "x\n",   "-1\n", "1 2\n", "+5",
					   " 5",  "5 ",	   "0x10", "5\n\n", "18446744073709551616",
					   "1e3", "5\n6\n" };
	char path[64], value[64], own[64], *text;
	uint64_t good[3] = { s->max, s->min };
	bool held = true;
	int rc;

	(void)snprintf(path, sizeof(path), "config/%s", s->name);
	if (cidstore_config_get(f->store, s->name, &good[2]) != 0)
		tap_bail("%s", path);
	(void)snprintf(own, sizeof(own), "%llu\n", (unsigned long long)good[2]);
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(value, sizeof(value), "%llu\n", (unsigned long long)good[i]);
		rc = put_text(f, path, value);
		/* The largest batch is also bounded by the log. */
		if (i == 0 && strcmp(s->name, "batch_limit") == 0 && rc == -EINVAL)
			continue;
		tap_int(rc, 0, "%s takes %llu", path, (unsigned long long)good[i]);
		text = get_text(f, path, NULL);
		tap_str(text, value, "and shows it");
		free(text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		held = held && put_text(f, path, bad[i]) == -EINVAL;
	if (s->min > 0) {
		(void)snprintf(value, sizeof(value), "%llu", (unsigned long long)s->min - 1);
		held = held && put_text(f, path, value) == -EINVAL;
	}
	if (s->max < UINT64_MAX) {
		(void)snprintf(value, sizeof(value), "%llu", (unsigned long long)s->max + 1);
		held = held && put_text(f, path, value) == -EINVAL;
	}
	text = get_text(f, path, NULL);
	tap_ok(held && strcmp(text, own) == 0, "%s refuses bad values and keeps its own", path);
	free(text);
}

static void settings(struct fixture *f)
{
	char big[8192];

	for (const struct cid_setting *s = cid_store_settings(); s->name != NULL; s++)
		one_setting(f, s);
	memset(big, '1', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	tap_int(put_text(f, "config/batch_size", big), -EINVAL, "a long value is refused");
	tap_int(put_text(f, "config/batch_size", ""), 0, "an empty write is none");
}

static bool wait_done(struct fixture *f, const char *path)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 60;
	while (get_row(f, path, "running") != 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec)
			return false;
		sched_yield();
	}
	return true;
}

static void triggers(struct fixture *f)
{
	static const char *const all[] = { "sync", "checkpoint", "compact", "gc", "verify" };
	static const char *const bad[] = { "0", "2\n", "yes", "\n", " 1", "1 ", "11" };
	struct cidstore_pair pair = { { 5, 6 }, { 7, 8 } };
	uint64_t checkpoints = get_row(f, "stats", "checkpoints"), last, durable, shown;
	char *text;

	for (size_t i = 0; i < 5; i++) {
		bool refused = true;

		for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++)
			refused = refused && put_text(f, all[i], bad[j]) == -EINVAL;
		tap_ok(refused, "%s takes nothing but 1", all[i]);
	}
	if (cidstore_insert(f->store, &pair, 1, NULL) != 0)
		tap_bail("insert");
	/* Numbers only grow, also by what maintenance tells the log of its steps. */
	last = cidstore_last_seq(f->store);
	tap_int(put_text(f, "sync", "1\n"), 0, "sync");
	durable = cidstore_durable_seq(f->store);
	tap_ok(durable >= last && last > 0, "makes all durable");
	text = get_text(f, "last_seq", NULL);
	shown = strtoull(text, NULL, 10);
	tap_ok(shown >= last && shown <= cidstore_last_seq(f->store), "last_seq shows it");
	free(text);
	text = get_text(f, "durable_seq", NULL);
	shown = strtoull(text, NULL, 10);
	tap_ok(shown >= durable && shown <= cidstore_durable_seq(f->store), "durable_seq too");
	free(text);
	tap_int(put_text(f, "checkpoint", "1"), 0, "checkpoint");
	tap_ok(get_row(f, "stats", "checkpoints") > checkpoints, "is counted");
	for (size_t i = 2; i < 4; i++) {
		tap_ok(get_row(f, all[i], "done") == 0, "%s has not run", all[i]);
		tap_int(put_text(f, all[i], "1\n"), 0, "%s starts", all[i]);
		tap_ok(wait_done(f, all[i]), "and ends");
		tap_ok(get_row(f, all[i], "done") == 1 && get_row(f, all[i], "failed") == 0,
		       "well");
		tap_int(put_text(f, all[i], "1\n"), 0, "and starts again");
		tap_ok(wait_done(f, all[i]) && get_row(f, all[i], "done") == 2, "and ends again");
	}
	tap_int(put_text(f, "verify", "1\n"), 0, "verify starts");
	tap_ok(wait_done(f, "verify"), "and ends");
	text = get_text(f, "verify", NULL);
	tap_ok(strstr(text, "progress 1.000\n") != NULL && strstr(text, "\nerrors 0\n") != NULL &&
		       strstr(text, "\nkeys 2\n") != NULL,
	       "with what it found");
	free(text);
	tap_int(get_row(f, "stats", "failed"), 0, "all is well after that");
}

static void many_files(struct fixture *f)
{
	static struct cid_ctl_file *file[1024];
	struct cid_ctl_file *more;
	bool all = true;

	for (size_t i = 0; i < 1024; i++)
		all = all && cid_control_open(f->control, "ready", O_RDONLY, &root, &file[i]) == 0;
	tap_ok(all, "1024 files are opened");
	tap_int(cid_control_open(f->control, "ready", O_RDONLY, &root, &more), -ENFILE,
		"and not one more");
	for (size_t i = 0; i < 1024 && all; i++)
		cid_control_release(file[i]);
	tap_int(opens(f, "ready", O_RDONLY, &root), 0, "until they are closed");
	for (size_t i = 0; i < 128; i++)
		all = all && cid_control_open(f->control, "batch", O_WRONLY, &root, &file[i]) == 0;
	tap_ok(all, "128 streams are opened");
	tap_int(cid_control_open(f->control, "lookup", O_RDONLY, &root, &more), -ENFILE,
		"and not one more");
	tap_int(opens(f, "ready", O_RDONLY, &root), 0, "which keeps nobody from other files");
	for (size_t i = 0; i < 128 && all; i++)
		cid_control_release(file[i]);
	tap_int(opens(f, "lookup", O_RDWR, &root), 0, "until they are closed");
	tap_ok(get_row(f, "stats", "open_files") == 1, "and counted down");
}

static void readonly(struct fixture *f)
{
	static const char *const refused[] = { "ingest",     "batch",	"import",
					       "checkpoint", "compact", "gc" };

	fixture_reopen(f, CIDSTORE_RDONLY);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		tap_int(opens(f, refused[i], O_WRONLY, &root), -EROFS, "%s of a read-only store",
			refused[i]);
	tap_int(opens(f, "lookup", O_RDWR, &root), 0, "lookup works there");
	tap_int(opens(f, "import", O_RDONLY, &root), 0, "and reading how the last import went");
	fixture_reopen(f, 0);
}

int main(void)
{
	struct fixture f;

	fixture_init(&f);
	nodes(&f);
	callers(&f);
	texts(&f);
	settings(&f);
	triggers(&f);
	many_files(&f);
	readonly(&f);
	fixture_fini(&f);
	return tap_done();
}
