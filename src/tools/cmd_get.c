/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_get.c - cidctl get: the values of keys */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/cidctl.h"
#include "tools/idtext.h"
#include "tools/report.h"

static const char usage[] =
	"Usage: cidctl get [OPTION]... TARGET KEY...\n"
	"Print the values of a key, one a line; of several keys, lines 'KEY VALUE' (and\n"
	"'KEY' alone for an empty one), as 'cidctl load' reads them.\n"
	"\n"
	"  -c, --count   print the number of values instead\n"
	"  -k, --keys    lines 'KEY VALUE' for a single key as well\n"
	"  -n N          at most N values of each key\n"
	"      --json    an array of {\"key\", \"count\", \"values\"}\n"
	"  -q, --quiet   say nothing about keys that do not exist\n"
	"  -h, --help    print this and exit\n"
	"\n"
	"Exit status: 0 all keys exist, 1 some do not, 2 usage, 4 failed.\n";

enum { STOP = 1 }; /* the callback's: standard output is gone */

struct get {
	bool count, json, quiet;
	uint64_t limit;
	bool with_key;	 /* lines start with it */
	char prefix[33]; /* "KEY " */
	uint64_t printed;
};

static int print_values(void *arg, const struct cidstore_id *v, size_t n)
{
	struct get *g = arg;
	char line[2 * CID_IDTEXT_DIGITS + 4];
	size_t at;

	for (size_t i = 0; i < n; i++) {
		at = 0;
		if (g->json) {
			if (g->printed > 0)
				line[at++] = ',';
			line[at++] = '"';
		} else if (g->with_key) {
			memcpy(line, g->prefix, 33);
			at = 33;
		}
		cidstore_id_format(v[i], line + at);
		at += CID_IDTEXT_DIGITS;
		line[at++] = g->json ? '"' : '\n';
		fwrite(line, 1, at, stdout);
		g->printed++;
	}
	return ferror(stdout) ? STOP : 0;
}

/* Prints one key that has `count` values. */
static int print_key(struct get *g, struct cid_target *t, struct cidstore_id key, uint64_t count)
{
	char text[33];
	int rc = 0;

	cid_idtext(key, text);
	memcpy(g->prefix, text, 32);
	g->prefix[32] = ' ';
	g->printed = 0;
	if (g->json)
		printf("{\"key\":\"%s\",\"count\":%" PRIu64, text, count);
	if (g->count) {
		if (!g->json && g->with_key)
			printf("%s %" PRIu64 "\n", text, count);
		else if (!g->json)
			printf("%" PRIu64 "\n", count);
	} else {
		if (g->json)
			fputs(",\"values\":[", stdout);
		rc = t->ops->values(t, key, g->limit, print_values, g);
		if (g->json)
			fputs("]", stdout);
		else if (rc == 0 && g->printed == 0 && g->with_key && g->limit > 0)
			puts(text);
	}
	if (g->json)
		fputs("}", stdout);
	return rc;
}

static int get_all(struct get *g, struct cid_target *t, const struct cidstore_id *key, size_t n)
{
	int status = CID_EXIT_OK, rc;
	size_t found = 0;
	uint64_t count;
	char text[33];

	if (g->json)
		putchar('[');
	for (size_t i = 0; i < n; i++) {
		rc = t->ops->count(t, key[i], &count);
		if (rc == 0) {
			if (g->json && found++ > 0)
				putchar(',');
			rc = print_key(g, t, key[i], count);
		}
		if (rc == STOP)
			break;
		if (rc == CIDSTORE_ENOENT) {
			status = CID_EXIT_ABSENT;
			if (!g->quiet)
				cid_report("%s: no key %s", t->path, cid_idtext(key[i], text));
		} else if (rc != 0) {
			status = cid_ctl_failed(&t->err);
			break;
		}
	}
	if (g->json)
		puts("]");
	return status;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", no_argument, NULL, 'c' },
		{ "keys", no_argument, NULL, 'k' },
		CID_COMMON_OPTIONS,
	};
	struct get g = { .limit = UINT64_MAX };
	struct cidstore_id *key;
	struct cid_target *t;
	size_t n;
	int c, status;

	while ((c = getopt_long(argc, argv, "ckn:qh", options, NULL)) != -1) {
		if (c == 'c')
			g.count = true;
		else if (c == 'k')
			g.with_key = true;
		else if (c != 'n')
			cid_ctl_option(ctl, self, c);
		else if (cid_report_parse_number(optarg, &g.limit) != 0)
			return cid_ctl_usage(self, "-n takes a number");
	}
	if (argc - optind < 2)
		return cid_ctl_usage(self, "TARGET and KEY are needed");
	n = (size_t)(argc - optind - 1);
	key = malloc(n * sizeof(*key));
	if (key == NULL) {
		cid_report("out of memory");
		return CID_EXIT_FAILED;
	}
	for (size_t i = 0; i < n; i++) {
		if (!cid_idtext_argument(argv[(size_t)optind + 1 + i], "key", &key[i])) {
			free(key);
			return CID_EXIT_USAGE;
		}
	}
	t = cid_ctl_open(argv[optind], false);
	status = CID_EXIT_FAILED;
	if (t != NULL) {
		g.json = ctl->json;
		g.quiet = ctl->quiet;
		g.with_key = g.with_key || n > 1;
		status = cid_ctl_close(t, get_all(&g, t, key, n));
	}
	free(key);
	return status;
}

const struct cid_command cid_command_get = { "get", "print the values of keys", usage, run };
