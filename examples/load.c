/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load.c - a bulk loader
 *
 *     load STORE < PAIRS
 *
 * Reads lines "KEY VALUE" of 32 hexadecimal digits each and inserts them in
 * batches; a store that is not there is made. Inserting is blind and changes
 * nothing where the pair is there already, so a load that was cut off is simply
 * run again.
 *
 *     cc load.c -o load $(pkg-config --cflags --libs cidstore)
 */
#include <cidstore/cidstore.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 65536, LINE = 32 + 1 + 32 + 1 };

/* 1: a pair, 0: the end of the input, -1: a line that is none. */
static int read_pair(struct cidstore_pair *out)
{
	char line[LINE + 2];

	if (!fgets(line, sizeof(line), stdin))
		return 0;
	if (strlen(line) != LINE || line[32] != ' ' || line[LINE - 1] != '\n' ||
	    cidstore_id_parse(line, 32, &out->key) != 0 ||
	    cidstore_id_parse(line + 33, 32, &out->value) != 0)
		return -1;
	return 1;
}

static int load(struct cidstore *store)
{
	static struct cidstore_pair pair[BATCH];
	unsigned long total = 0;
	int more = 1, rc = 0;

	while (rc == 0 && more == 1) {
		size_t n = 0;

		while (n < BATCH && (more = read_pair(&pair[n])) == 1)
			n++;
		if (n > 0)
			rc = cidstore_insert(store, pair, n, NULL);
		total += n;
	}
	/* Until here the pairs survive the death of this process; from here on
	 * the loss of power as well. */
	if (rc == 0)
		rc = cidstore_sync(store);
	if (rc != 0)
		fprintf(stderr, "load: %s\n", cidstore_strerror(rc));
	else if (more < 0)
		fprintf(stderr, "load: line %lu is not a pair\n", total + 1);
	else
		printf("%lu pairs\n", total);
	return rc != 0 || more < 0;
}

int main(int argc, char **argv)
{
	struct cidstore_error err;
	struct cidstore *store;
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: load STORE < PAIRS\n");
		return 2;
	}
	if (cidstore_open(argv[1], CIDSTORE_CREATE, &store, &err) != 0) {
		fprintf(stderr, "load: %s\n", err.message);
		return 1;
	}
	status = load(store);
	return cidstore_close(store) != 0 || status;
}
