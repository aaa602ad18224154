/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_hash.c - cidctl hash: identifiers of files, strings and lines */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/hash.h"
#include "tools/cidctl.h"
#include "tools/dict.h"
#include "tools/idtext.h"
#include "tools/report.h"

static const char usage[] =
	"Usage: cidctl hash [OPTION]... [FILE]...\n"
	"       cidctl hash --text [OPTION]... STRING...\n"
	"       cidctl hash --lines [OPTION]... [FILE]...\n"
	"       cidctl hash --md5|--uuid [OPTION]... [STRING]...\n"
	"Print identifiers, one a line: the XXH128 of the content of each FILE (standard\n"
	"input where there is none, or for -), of each STRING, or of each line of the\n"
	"files. --md5 and --uuid take over an MD5 (32 digits) or a UUID (with dashes) as\n"
	"the identifier, from arguments or from the lines of standard input; the rest of\n"
	"a line, as md5sum(1) writes it, is then its name.\n"
	"\n"
	"      --dict=FILE  add 'ID<TAB>name' to the dictionary FILE, for cidctl resolve\n"
	"  -n, --names      print 'ID  name'\n"
	"      --xxh128     hash with XXH128 (the default)\n"
	"      --json       an array of {\"id\", \"name\"}\n"
	"  -q, --quiet      with --dict: print nothing\n"
	"  -h, --help       print this and exit\n"
	"\n"
	"Exit status: 0 done, 2 usage, 3 malformed input, 4 failed.\n";

#define DICT_WAITS (4u << 20) /* bytes gathered before the file is locked */
#define BUFFER	   (256u << 10)

enum source { OF_FILES, OF_STRINGS, OF_LINES };
enum kind { BY_XXH128, BY_MD5, BY_UUID };

struct hash {
	enum source source;
	enum kind kind;
	bool names, json, quiet;
	const char *dict_path;
	struct cid_dict *dict;
	uint64_t printed;
};

static int save(struct hash *h)
{
	struct cidstore_error err = { 0 };

	if (h->dict == NULL || cid_dict_save(h->dict, h->dict_path, &err) == 0)
		return CID_EXIT_OK;
	cid_report("%s", err.message);
	return CID_EXIT_FAILED;
}

static int give(struct hash *h, struct cidstore_id id, const char *name, size_t len)
{
	char text[33];

	if (h->json) {
		fputs(h->printed > 0 ? ",\n" : "", stdout);
		printf("{\"id\":\"%s\",\"name\":", cid_idtext(id, text));
		cid_report_json(stdout, name, len);
		putchar('}');
	} else if (!h->quiet || h->dict == NULL) {
		fputs(cid_idtext(id, text), stdout);
		if (h->names) {
			fputs("  ", stdout);
			fwrite(name, 1, len, stdout);
		}
		putchar('\n');
	}
	h->printed++;
	if (ferror(stdout))
		return CID_EXIT_FAILED;
	if (h->dict == NULL || len == 0)
		return CID_EXIT_OK;
	if (cid_dict_add(h->dict, id, name, len) != 0) {
		cid_report("out of memory");
		return CID_EXIT_FAILED;
	}
	return cid_dict_waiting(h->dict) >= DICT_WAITS ? save(h) : CID_EXIT_OK;
}

/* An identifier taken over, and the name that may follow it. */
static int take_over(struct hash *h, const char *p, size_t n, const char *where, uint64_t line)
{
	bool uuid = h->kind == BY_UUID;
	struct cidstore_id id;
	size_t at = cid_idtext_scan(p, n, &id);

	if (at != (uuid ? 36 : 32) || (at < n && p[at] != ' ' && p[at] != '\t')) {
		if (line > 0)
			cid_report("%s:%llu: '%.*s' is no %s", where, (unsigned long long)line,
				   (int)(n < 60 ? n : 60), p, uuid ? "UUID" : "MD5");
		else
			cid_report("'%.*s' is no %s", (int)(n < 60 ? n : 60), p,
				   uuid ? "UUID with dashes" : "MD5 of 32 digits");
		return CID_EXIT_INPUT;
	}
	if (at == n)
		return give(h, id, p, uuid ? n : 0);
	/* "DIGEST  name" or "DIGEST *name" */
	at++;
	if (at < n && (p[at] == ' ' || p[at] == '*'))
		at++;
	return give(h, id, p + at, n - at);
}

static int hash_text(struct hash *h, const char *p, size_t n, const char *where, uint64_t line)
{
	if (h->kind != BY_XXH128)
		return take_over(h, p, n, where, line);
	return give(h, cidstore_id_hash(p, n), p, n);
}

static int hash_lines(struct hash *h, FILE *f, const char *name)
{
	char *line = NULL;
	size_t cap = 0;
	uint64_t number = 0;
	ssize_t n;
	int status = CID_EXIT_OK;

	while (status == CID_EXIT_OK && (n = getline(&line, &cap, f)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			n--;
		status = hash_text(h, line, (size_t)n, name, ++number);
	}
	free(line);
	if (status == CID_EXIT_OK && ferror(f)) {
		cid_report("reading %s: %s", name, strerror(errno));
		status = CID_EXIT_FAILED;
	}
	return status;
}

static int hash_content(struct hash *h, FILE *f, const char *name)
{
	XXH3_state_t *state = XXH3_createState();
	char *buf = malloc(BUFFER);
	XXH128_hash_t sum;
	ssize_t n = -1;
	int status = CID_EXIT_FAILED;

	errno = ENOMEM;
	if (state != NULL && buf != NULL) {
		XXH3_128bits_reset(state);
		while ((n = read(fileno(f), buf, BUFFER)) != 0) {
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				break;
			XXH3_128bits_update(state, buf, (size_t)n);
		}
	}
	if (n < 0) {
		cid_report("reading %s: %s", name, strerror(errno));
	} else {
		sum = XXH3_128bits_digest(state);
		status = give(h, (struct cidstore_id){ sum.high64, sum.low64 }, name, strlen(name));
	}
	XXH3_freeState(state);
	free(buf);
	return status;
}

static int hash_file(struct hash *h, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	FILE *f = standard ? stdin : fopen(name, "re");
	int status;

	if (f == NULL) {
		cid_report("%s: %s", name, strerror(errno));
		return CID_EXIT_FAILED;
	}
	if (h->source == OF_LINES)
		status = hash_lines(h, f, standard ? "standard input" : name);
	else
		status = hash_content(h, f, name);
	if (!standard)
		fclose(f);
	return status;
}

static int hash_all(struct hash *h, int n, char **arg)
{
	static char standard[] = "-";
	char *const only[] = { standard };
	int status = CID_EXIT_OK, one;

	if (h->kind != BY_XXH128 && (n == 0 || (n == 1 && strcmp(arg[0], "-") == 0)))
		h->source = OF_LINES;
	else if (h->kind != BY_XXH128 && h->source != OF_LINES)
		h->source = OF_STRINGS;
	if (n == 0) {
		arg = (char **)(uintptr_t)only;
		n = 1;
	}
	for (int i = 0; i < n; i++) {
		if (h->source == OF_STRINGS)
			one = hash_text(h, arg[i], strlen(arg[i]), NULL, 0);
		else
			one = hash_file(h, arg[i]);
		if (one != CID_EXIT_OK)
			status = one; /* the others are still done */
	}
	one = save(h);
	return one != CID_EXIT_OK ? one : status;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	enum { TEXT = 1, LINES, MD5, UUID, XXH128, DICT };
	static const struct option options[] = {
		{ "text", no_argument, NULL, TEXT },	 { "lines", no_argument, NULL, LINES },
		{ "md5", no_argument, NULL, MD5 },	 { "uuid", no_argument, NULL, UUID },
		{ "xxh128", no_argument, NULL, XXH128 }, { "dict", required_argument, NULL, DICT },
		{ "names", no_argument, NULL, 'n' },	 CID_COMMON_OPTIONS,
	};
	struct hash h = { 0 };
	int c, status;

	while ((c = getopt_long(argc, argv, "nqh", options, NULL)) != -1) {
		switch (c) {
		case TEXT:
			h.source = OF_STRINGS;
			break;
		case LINES:
			h.source = OF_LINES;
			break;
		case MD5:
			h.kind = BY_MD5;
			break;
		case UUID:
			h.kind = BY_UUID;
			break;
		case XXH128:
			h.kind = BY_XXH128;
			break;
		case DICT:
			h.dict_path = optarg;
			break;
		case 'n':
			h.names = true;
			break;
		default:
			cid_ctl_option(ctl, self, c);
		}
	}
	h.json = ctl->json;
	h.quiet = ctl->quiet;
	if (h.source == OF_STRINGS && h.kind == BY_XXH128 && optind == argc)
		return cid_ctl_usage(self, "--text needs a STRING");
	if (h.dict_path != NULL && cid_dict_new(&h.dict) != 0) {
		cid_report("out of memory");
		return CID_EXIT_FAILED;
	}
	if (h.json)
		putchar('[');
	status = hash_all(&h, argc - optind, argv + optind);
	if (h.json)
		puts("]");
	cid_dict_free(h.dict);
	return cid_ctl_close(NULL, status);
}

const struct cid_command cid_command_hash = { "hash", "identifiers of files, strings and lines",
					      usage, run };
