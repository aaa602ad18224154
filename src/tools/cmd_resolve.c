/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_resolve.c - cidctl resolve: identifiers back into names */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/cidctl.h"
#include "tools/dict.h"
#include "tools/idtext.h"
#include "tools/report.h"

static const char usage[] =
	"Usage: cidctl resolve --dict=FILE [OPTION]... [ID]...\n"
	"Print the names that identifiers have in the dictionary FILE (--dict may be given\n"
	"several times). Without an ID, or for -, standard input is copied to standard\n"
	"output, and each word of 32 hexadecimal digits that has a name is replaced by it.\n"
	"\n"
	"      --dict=FILE  a file of lines 'ID<TAB>name', as cidctl hash --dict makes it\n"
	"  -a, --all        all names of an identifier, not only the first: one a line,\n"
	"                   and in a copied line separated by tabs\n"
	"      --json       of IDs only: an array of {\"id\", \"names\"}\n"
	"  -q, --quiet      say nothing about an ID without a name\n"
	"  -h, --help       print this and exit\n"
	"\n"
	"Exit status: 0 done, 1 an ID has no name, 2 usage, 4 failed.\n";

struct resolve {
	struct cid_dict *dict;
	bool all, json, quiet;
	uint64_t done;
};

/* Copies the word, or writes its names. */
static void word(const struct resolve *r, const char *p, size_t n)
{
	struct cidstore_id id;
	const char *name;
	size_t at = 0, len;

	if (n != CID_IDTEXT_DIGITS || cid_idtext_scan(p, n, &id) != n ||
	    (name = cid_dict_name(r->dict, id, &at, &len)) == NULL) {
		fwrite(p, 1, n, stdout);
		return;
	}
	fwrite(name, 1, len, stdout);
	while (r->all && (name = cid_dict_name(r->dict, id, &at, &len)) != NULL) {
		putchar('\t');
		fwrite(name, 1, len, stdout);
	}
}

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static int copy(const struct resolve *r)
{
	char *line = NULL;
	size_t cap = 0, at, start, n;
	ssize_t got;
	int status = CID_EXIT_OK;

	while (!ferror(stdout) && (got = getline(&line, &cap, stdin)) >= 0) {
		n = (size_t)got;
		for (at = 0; at < n;) {
			start = at;
			while (at < n && in_word(line[at]))
				at++;
			if (at > start)
				word(r, line + start, at - start);
			start = at;
			while (at < n && !in_word(line[at]))
				at++;
			fwrite(line + start, 1, at - start, stdout);
		}
	}
	if (ferror(stdin)) {
		cid_report("reading standard input: %s", strerror(errno));
		status = CID_EXIT_FAILED;
	}
	free(line);
	return status;
}

static int print_names(struct resolve *r, struct cidstore_id id)
{
	char text[33];
	const char *name;
	size_t at = 0, len, i;

	cid_idtext(id, text);
	if (r->json)
		printf("%s{\"id\":\"%s\",\"names\":[", r->done++ > 0 ? "," : "", text);
	for (i = 0;
	     (i == 0 || r->all || r->json) && (name = cid_dict_name(r->dict, id, &at, &len)) != NULL;
	     i++) {
		if (r->json) {
			fputs(i > 0 ? "," : "", stdout);
			cid_report_json(stdout, name, len);
		} else {
			fwrite(name, 1, len, stdout);
			putchar('\n');
		}
	}
	if (r->json)
		fputs("]}", stdout);
	if (i > 0)
		return CID_EXIT_OK;
	if (!r->quiet)
		cid_report("%s has no name in the dictionary", text);
	return CID_EXIT_ABSENT;
}

static int resolve_all(struct resolve *r, int n, char **arg)
{
	struct cidstore_id id;
	int status = CID_EXIT_OK;

	if (n == 0 || (n == 1 && strcmp(arg[0], "-") == 0))
		return copy(r);
	if (r->json)
		putchar('[');
	for (int i = 0; i < n && status != CID_EXIT_USAGE; i++) {
		if (!cid_idtext_argument(arg[i], "argument", &id))
			status = CID_EXIT_USAGE;
		else if (print_names(r, id) != CID_EXIT_OK)
			status = CID_EXIT_ABSENT;
	}
	if (r->json)
		puts("]");
	return status;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	enum { DICT = 1 };
	static const struct option options[] = {
		{ "dict", required_argument, NULL, DICT },
		{ "all", no_argument, NULL, 'a' },
		CID_COMMON_OPTIONS,
	};
	struct cidstore_error err = { 0 };
	struct resolve r = { 0 };
	int c, dicts = 0, status = CID_EXIT_OK;

	if (cid_dict_new(&r.dict) != 0) {
		cid_report("out of memory");
		return CID_EXIT_FAILED;
	}
	while (status == CID_EXIT_OK && (c = getopt_long(argc, argv, "aqh", options, NULL)) != -1) {
		if (c == 'a') {
			r.all = true;
		} else if (c != DICT) {
			cid_ctl_option(ctl, self, c);
		} else if (cid_dict_load(r.dict, optarg, &err) != 0) {
			cid_report("%s", err.message);
			status = CID_EXIT_FAILED;
		} else {
			dicts++;
		}
	}
	r.json = ctl->json;
	r.quiet = ctl->quiet;
	if (status == CID_EXIT_OK && dicts == 0)
		status = cid_ctl_usage(self, "--dict=FILE is needed");
	else if (status == CID_EXIT_OK)
		status = resolve_all(&r, argc - optind, argv + optind);
	cid_dict_free(r.dict);
	return cid_ctl_close(NULL, status);
}

const struct cid_command cid_command_resolve = { "resolve", "identifiers back into names", usage,
						 run };
