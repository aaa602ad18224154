/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cmd_and.c - cidctl and: the values that several keys have in common
 *
 * The sets are walked together in the one order all of them have; whoever is
 * behind jumps to where the foremost stands. The smallest set sets the pace,
 * so that a small one costs little beside a very large one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/id.h"
#include "tools/cidctl.h"
#include "tools/idtext.h"
#include "tools/report.h"

static const char usage[] =
	"Usage: cidctl and [OPTION]... TARGET KEY KEY...\n"
	"Print the values that are in the sets of all keys, one a line.\n"
	"\n"
	"  -c, --count  print their number instead\n"
	"      --json   {\"count\", \"values\"}\n"
	"  -q, --quiet  say nothing about keys that do not exist\n"
	"  -h, --help   print this and exit\n"
	"\n"
	"Exit status: 0 done (the intersection may be empty), 1 a key does not exist,\n"
	"2 usage, 4 failed.\n";

struct and
{
	bool count, json, quiet;
	size_t n;
	struct cidstore_id *key; /* by size of the set, smallest first */
	uint64_t *size;
	struct cid_cursor *cursor;
	uint64_t found;
};

static int compare(const struct cidstore_item *a, const struct cidstore_item *b)
{
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return cid_id_cmp(a->id, b->id);
}

/* Moves to the first item that is not before `to`. 1: there is one; 0: the
 * end; or a negative code. */
static int advance(struct cid_target *t, struct cid_cursor *c, const struct cidstore_item *to)
{
	size_t low, high, step = 1;
	int rc;

	while (c->at == c->n || compare(&c->item[c->n - 1], to) < 0) {
		rc = t->ops->cursor_fill(t, c, to->hash);
		if (rc != 0)
			return rc;
		if (c->n == 0)
			return 0;
	}
	/* Doubling steps first: the next item is mostly near. */
	low = c->at;
	high = c->at;
	while (high < c->n && compare(&c->item[high], to) < 0) {
		low = high + 1;
		high += step;
		step *= 2;
	}
	if (high > c->n)
		high = c->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&c->item[middle], to) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	c->at = low;
	return 1;
}

static void emit(struct and*a, struct cidstore_id id)
{
	char text[33];

	if (!a->count) {
		cid_idtext(id, text);
		if (a->json)
			printf(a->found > 0 ? ",\"%s\"" : "\"%s\"", text);
		else
			puts(text);
	}
	a->found++;
}

static int intersect(struct and*a, struct cid_target *t)
{
	struct cidstore_item at = { 0 };
	size_t agree = 0;
	int rc;

	for (size_t i = 0;; i = (i + 1) % a->n) {
		struct cid_cursor *c = &a->cursor[i];

		rc = advance(t, c, &at);
		if (rc <= 0)
			return rc;
		if (agree > 0 && compare(&c->item[c->at], &at) == 0) {
			agree++;
		} else {
			at = c->item[c->at];
			agree = 1;
		}
		if (agree < a->n)
			continue;
		emit(a, at.id);
		if (ferror(stdout))
			return 0;
		c->at++;
		rc = advance(t, c, &at);
		if (rc <= 0)
			return rc;
		at = c->item[c->at];
		agree = 1;
	}
}

/* Looks the keys up and sorts them by size. CIDSTORE_ENOENT after a message. */
static int measure(struct and*a, struct cid_target *t)
{
	char text[33];
	int rc, result = 0;

	for (size_t i = 0; i < a->n; i++) {
		struct cidstore_id key = a->key[i];
		uint64_t size;
		size_t j = i;

		rc = t->ops->count(t, key, &size);
		if (rc == CIDSTORE_ENOENT) {
			if (!a->quiet)
				cid_report("%s: no key %s", t->path, cid_idtext(key, text));
			result = rc;
			continue;
		}
		if (rc != 0)
			return rc;
		for (; j > 0 && a->size[j - 1] > size; j--) {
			a->key[j] = a->key[j - 1];
			a->size[j] = a->size[j - 1];
		}
		a->key[j] = key;
		a->size[j] = size;
	}
	return result;
}

static int run_on(struct and*a, struct cid_target *t)
{
	int rc = measure(a, t);
	int status = CID_EXIT_OK;

	if (a->json && !a->count)
		fputs("{\"values\":[", stdout);
	if (rc == CIDSTORE_ENOENT) {
		status = CID_EXIT_ABSENT;
	} else {
		for (size_t i = 0; i < a->n && rc == 0; i++)
			rc = t->ops->cursor_open(t, a->key[i], &a->cursor[i]);
		if (rc == 0)
			rc = intersect(a, t);
		for (size_t i = 0; i < a->n; i++)
			free(a->cursor[i].item);
		if (rc != 0)
			status = cid_ctl_failed(&t->err);
	}
	if (a->json)
		printf(a->count ? "{\"count\":%" PRIu64 "}\n" : "],\"count\":%" PRIu64 "}\n",
		       a->found);
	else if (a->count && status != CID_EXIT_FAILED)
		printf("%" PRIu64 "\n", a->found);
	return status;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", no_argument, NULL, 'c' },
		CID_COMMON_OPTIONS,
	};
	struct and a = { 0 };
	struct cid_target *t;
	int c, status = CID_EXIT_OK;

	while ((c = getopt_long(argc, argv, "cqh", options, NULL)) != -1) {
		if (c == 'c')
			a.count = true;
		else
			cid_ctl_option(ctl, self, c);
	}
	if (argc - optind < 3)
		return cid_ctl_usage(self, "TARGET and two KEYs or more are needed");
	a.json = ctl->json;
	a.quiet = ctl->quiet;
	a.n = (size_t)(argc - optind - 1);
	a.key = calloc(a.n, sizeof(*a.key));
	a.size = calloc(a.n, sizeof(*a.size));
	a.cursor = calloc(a.n, sizeof(*a.cursor));
	if (a.key == NULL || a.size == NULL || a.cursor == NULL) {
		cid_report("out of memory");
		status = CID_EXIT_FAILED;
	}
	for (size_t i = 0; i < a.n && status == CID_EXIT_OK; i++)
		if (!cid_idtext_argument(argv[(size_t)optind + 1 + i], "key", &a.key[i]))
			status = CID_EXIT_USAGE;
	t = status == CID_EXIT_OK ? cid_ctl_open(argv[optind], false) : NULL;
	if (t != NULL)
		status = cid_ctl_close(t, run_on(&a, t));
	else if (status == CID_EXIT_OK)
		status = CID_EXIT_FAILED;
	free(a.key);
	free(a.size);
	free(a.cursor);
	return status;
}

const struct cid_command cid_command_and = { "and", "print what the sets of keys share", usage,
					     run };
