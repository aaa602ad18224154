/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.c - a reader beside the writer
 *
 *     follow STORE [KEY [COUNT]]
 *
 * Shows how many keys and values a store has, or the size of one set, and again
 * after each commit of the process that writes it; with COUNT, so many times. A
 * store opened for reading takes no lock and shows the state of that moment;
 * the next state is there to be opened when main.h5 is written to.
 *
 *     cc follow.c -o follow $(pkg-config --cflags --libs cidstore)
 */
#include <cidstore/cidstore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { TRIES = 20 };

/* A state that is replaced while it is opened or read may be gone half-way:
 * then it does not verify, and the newer one does. */
static int look(const char *path, const struct cidstore_id *key, uint64_t *epoch,
		struct cidstore_error *err)
{
	struct cidstore_stats stats;
	struct cidstore *store;
	uint64_t n = 0;
	int rc = CIDSTORE_ECORRUPT;

	for (int i = 0; i < TRIES && rc == CIDSTORE_ECORRUPT; i++) {
		rc = cidstore_open(path, CIDSTORE_RDONLY, &store, err);
		if (rc != 0)
			continue;
		cidstore_stats(store, &stats);
		if (key)
			rc = cidstore_count(store, *key, &n);
		cidstore_close(store);
		if (rc != 0)
			(void)snprintf(err->message, sizeof(err->message), "%s: %s", path,
				       cidstore_strerror(rc));
	}
	if (key && rc == CIDSTORE_ENOENT)
		rc = 0;
	if (rc != 0 || stats.epoch == *epoch)
		return rc;
	*epoch = stats.epoch;
	if (key)
		printf("epoch %llu: %llu values\n", (unsigned long long)stats.epoch,
		       (unsigned long long)n);
	else
		printf("epoch %llu: %llu keys, %llu values\n", (unsigned long long)stats.epoch,
		       (unsigned long long)stats.keys, (unsigned long long)stats.values);
	(void)fflush(stdout);
	return 0;
}

/* Returns when the file was written to since the last call. */
static int await_change(int watch)
{
	char events[4096];

	return read(watch, events, sizeof(events)) > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct cidstore_error err = { 0 };
	struct cidstore_id key;
	char file[4096];
	uint64_t epoch = 0;
	long count = argc > 3 ? atol(argv[3]) : -1;
	int watch = inotify_init1(IN_CLOEXEC);

	if (argc < 2 || argc > 4 ||
	    (argc > 2 && cidstore_id_parse(argv[2], strlen(argv[2]), &key) != 0)) {
		fprintf(stderr, "usage: follow STORE [KEY [COUNT]]\n");
		return 2;
	}
	(void)snprintf(file, sizeof(file), "%s/main.h5", argv[1]);
	if (watch < 0 || inotify_add_watch(watch, file, IN_MODIFY) < 0) {
		perror(file);
		return 1;
	}
	while (count != 0) {
		uint64_t seen = epoch;

		if (look(argv[1], argc > 2 ? &key : NULL, &epoch, &err) != 0) {
			fprintf(stderr, "follow: %s\n", err.message);
			return 1;
		}
		if (count > 0 && epoch != seen)
			count--;
		if (count != 0 && await_change(watch) != 0) {
			perror("inotify");
			return 1;
		}
	}
	(void)close(watch);
	return 0;
}
