/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * link.c - a transaction
 *
 *     link STORE A B
 *
 * Relates two identifiers both ways: B comes into the set of A and A into the
 * set of B, or, whatever happens meanwhile, neither. What holds afterwards is
 * printed.
 *
 *     cc link.c -o link $(pkg-config --cflags --libs cidstore)
 */
#include <cidstore/cidstore.h>
#include <stdio.h>
#include <string.h>

static int relate(struct cidstore *store, struct cidstore_id a, struct cidstore_id b)
{
	struct cidstore_txn *txn;
	int rc = cidstore_txn_begin(store, &txn);

	if (rc != 0)
		return rc;
	rc = cidstore_txn_op(txn, CIDSTORE_OP_INSERT, a, b);
	if (rc == 0)
		rc = cidstore_txn_op(txn, CIDSTORE_OP_INSERT, b, a);
	if (rc != 0) {
		cidstore_txn_abort(txn);
		return rc;
	}
	rc = cidstore_txn_commit(txn);
	return rc != 0 ? rc : cidstore_sync(store);
}

static int show(struct cidstore *store, struct cidstore_id key)
{
	struct cidstore_id value[100];
	uint64_t total, n;
	char text[33] = "";
	int rc = cidstore_get(store, key, value, 100, &total);

	if (rc != 0)
		return rc;
	cidstore_id_format(key, text);
	printf("%s: %llu\n", text, (unsigned long long)total);
	n = total < 100 ? total : 100;
	for (uint64_t i = 0; i < n; i++) {
		cidstore_id_format(value[i], text);
		printf("    %s\n", text);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct cidstore_error err;
	struct cidstore_id a, b;
	struct cidstore *store;
	int rc;

	if (argc != 4 || cidstore_id_parse(argv[2], strlen(argv[2]), &a) != 0 ||
	    cidstore_id_parse(argv[3], strlen(argv[3]), &b) != 0) {
		fprintf(stderr, "usage: link STORE A B, identifiers of 32 hexadecimal digits\n");
		return 2;
	}
	if (cidstore_open(argv[1], CIDSTORE_CREATE, &store, &err) != 0) {
		fprintf(stderr, "link: %s\n", err.message);
		return 1;
	}
	rc = relate(store, a, b);
	if (rc == 0)
		rc = show(store, a);
	if (rc == 0)
		rc = show(store, b);
	if (rc != 0)
		fprintf(stderr, "link: %s\n", cidstore_strerror(rc));
	return cidstore_close(store) != 0 || rc != 0;
}
