/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.c - a reader beside the writer
 *
 *     follow STORE [KEY [COUNT]]
 *
 * Shows how many keys and values a store has, or the size of one set, and again
 * whenever the process that writes it changed that; with COUNT, so many times.
 * A store opened for reading takes no lock and follows its writer, through
 * crashes and all: each call answers with what is there by then.
 *
 *     cc follow.c -o follow $(pkg-config --cflags --libs cidstore)
 */
#include <cidstore/cidstore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct shown {
	uint64_t keys, values;
};

static int look(struct cidstore *store, const struct cidstore_id *key, struct shown *now,
		uint64_t *epoch)
{
	struct cidstore_stats stats;
	int rc = cidstore_refresh(store);

	if (rc != 0)
		return rc;
	cidstore_stats(store, &stats);
	*now = (struct shown){ stats.keys, stats.values };
	*epoch = stats.reader_epoch;
	if (!key)
		return 0;
	now->keys = now->values = 0;
	rc = cidstore_count(store, *key, &now->values);
	return rc == CIDSTORE_ENOENT ? 0 : rc;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { 0, 20000000 };
	struct shown last = { UINT64_MAX, UINT64_MAX }, now;
	struct cidstore_error err;
	struct cidstore_id key;
	struct cidstore *store;
	long count = argc > 3 ? atol(argv[3]) : -1;
	uint64_t epoch;
	int rc = 0;

	if (argc < 2 || argc > 4 ||
	    (argc > 2 && cidstore_id_parse(argv[2], strlen(argv[2]), &key) != 0)) {
		fprintf(stderr, "usage: follow STORE [KEY [COUNT]]\n");
		return 2;
	}
	if (cidstore_open(argv[1], CIDSTORE_RDONLY, &store, &err) != 0) {
		fprintf(stderr, "follow: %s\n", err.message);
		return 1;
	}
	while (count != 0 && (rc = look(store, argc > 2 ? &key : NULL, &now, &epoch)) == 0) {
		if (now.keys == last.keys && now.values == last.values) {
			(void)nanosleep(&pause, NULL);
			continue;
		}
		last = now;
		printf("epoch %llu: ", (unsigned long long)epoch);
		if (argc == 2)
			printf("%llu keys, ", (unsigned long long)now.keys);
		printf("%llu values\n", (unsigned long long)now.values);
		(void)fflush(stdout);
		if (count > 0)
			count--;
	}
	if (rc != 0)
		fprintf(stderr, "follow: %s\n", cidstore_strerror(rc));
	cidstore_close(store);
	return rc != 0;
}
