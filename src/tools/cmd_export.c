/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_export.c - cidctl export: everything in a target to a file */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/wire.h"
#include "tools/cidctl.h"
#include "tools/outfile.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/save.h"

static const char usage[] =
	"Usage: cidctl export [OPTION]... TARGET [FILE]\n"
	"Write all keys and values to FILE, or to standard output. FILE appears when it is\n"
	"whole and on disk.\n"
	"\n"
	"      --format=FORMAT  frame: checksummed, for cidctl import (the default)\n"
	"                       hex: lines 'KEY VALUE', and 'KEY' for an empty key\n"
	"                       bin: 32-byte records, without empty keys\n"
	"      --json           the figures as JSON (with a FILE only)\n"
	"  -q, --quiet          no progress bar, no figures\n"
	"  -h, --help           print this and exit\n";

enum format { FORMAT_FRAME, FORMAT_HEX, FORMAT_BIN };

struct export
{
	enum format format;
	struct cid_outfile *out;
	struct cid_save *save; /* of FORMAT_FRAME */
	struct cidstore_error err;
	uint64_t pairs, keys; /* met; keys are those without values */
	double total;	      /* of both, 0 where it is not known */
};

static int put_line(struct export *x, struct cidstore_id key, const struct cidstore_id *value)
{
	char *to = cid_outfile_room(x->out, 66, &x->err);
	size_t n = 32;

	if (to == NULL)
		return x->err.code;
	cidstore_id_format(key, to);
	if (value != NULL) {
		to[n++] = ' ';
		cidstore_id_format(*value, to + n);
		n += 32;
	}
	to[n++] = '\n';
	cid_outfile_used(x->out, n);
	return 0;
}

static int put_record(struct export *x, const struct cidstore_pair *p)
{
	char *to = cid_outfile_room(x->out, CID_WIRE_PAIR, &x->err);

	if (to == NULL)
		return x->err.code;
	cid_wire_put_pair((uint8_t *)to, *p);
	cid_outfile_used(x->out, CID_WIRE_PAIR);
	return 0;
}

static void show(const struct export *x)
{
	double met = (double)(x->pairs + x->keys);

	cid_progress_set(x->total > 0 ? met / x->total : -1, x->pairs + x->keys);
}

static int export_pairs(void *arg, const struct cidstore_pair *p, size_t n)
{
	struct export *x = arg;
	int rc = 0;

	if (x->format == FORMAT_FRAME)
		rc = cid_save_pairs(x->save, p, n, &x->err);
	for (size_t i = 0; i < n && rc == 0 && x->format != FORMAT_FRAME; i++)
		rc = x->format == FORMAT_HEX ? put_line(x, p[i].key, &p[i].value)
					     : put_record(x, &p[i]);
	x->pairs += n;
	show(x);
	return rc;
}

static int export_keys(void *arg, const struct cidstore_id *k, size_t n)
{
	struct export *x = arg;
	int rc = 0;

	if (x->format == FORMAT_FRAME)
		rc = cid_save_keys(x->save, k, n, &x->err);
	for (size_t i = 0; i < n && rc == 0 && x->format == FORMAT_HEX; i++)
		rc = put_line(x, k[i], NULL);
	x->keys += n;
	show(x);
	return rc;
}

static int find_total(void *arg, const char *name, const char *value)
{
	struct export *x = arg;

	if (strcmp(name, "values") == 0)
		x->total = strtod(value, NULL);
	return 0;
}

/* Writes it all; x->err or t->err tells what failed. */
static int export_all(struct export *x, struct cid_target *t)
{
	struct cid_sink sink = { export_pairs, export_keys, x };
	int rc = 0;

	t->ops->stats(t, find_total, x); /* for the bar only */
	if (x->format == FORMAT_FRAME)
		rc = cid_save_new(x->out, &x->save, &x->err);
	if (rc == 0)
		rc = t->ops->dump(t, &sink);
	if (rc == 0 && x->format == FORMAT_FRAME)
		rc = cid_save_end(x->save, &x->err);
	cid_save_free(x->save);
	if (rc == 0)
		rc = cid_outfile_commit(x->out, &x->err);
	else
		cid_outfile_abandon(x->out);
	return rc;
}

static void tell(const struct cid_ctl *ctl, const struct export *x, bool to_file, double seconds)
{
	char b[2][16];

	if (x->format == FORMAT_BIN && x->keys > 0)
		cid_report("%" PRIu64 " empty keys were left out: bin has no form for them",
			   x->keys);
	if (ctl->json && to_file)
		printf("{\"pairs\":%" PRIu64 ",\"keys\":%" PRIu64 ",\"seconds\":%.6f}\n", x->pairs,
		       x->keys, seconds);
	else if (cid_progress_on_terminal(ctl->quiet))
		fprintf(stderr, "exported %s pairs and %s empty keys in %.2f s\n",
			cid_report_count((double)x->pairs, b[0]),
			cid_report_count((double)x->keys, b[1]), seconds);
}

static int parse_format(const char *name, enum format *out)
{
	static const char *const names[] = { "frame", "hex", "bin" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum format)i;
			return 0;
		}
	}
	return -1;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' },
		CID_COMMON_OPTIONS,
	};
	struct export x = { 0 };
	struct cid_target *t;
	double seconds;
	bool to_file;
	int c, rc, status = CID_EXIT_OK;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1) {
		if (c != 'f')
			cid_ctl_option(ctl, self, c);
		else if (parse_format(optarg, &x.format) != 0)
			return cid_ctl_usage(self, "--format is frame, hex or bin");
	}
	if (argc - optind < 1 || argc - optind > 2)
		return cid_ctl_usage(self, "TARGET and at most one FILE are needed");
	to_file = argc - optind == 2 && strcmp(argv[optind + 1], "-") != 0;
	if (!to_file && x.format != FORMAT_HEX && isatty(STDOUT_FILENO))
		return cid_ctl_usage(self, "this is no text for a terminal; name a FILE, or use "
					   "--format=hex");
	t = cid_ctl_open(argv[optind], false);
	if (t == NULL)
		return CID_EXIT_FAILED;
	if (cid_outfile_open(argv[optind + 1], &x.out, &x.err) != 0) {
		cid_report("%s", x.err.message);
		return cid_ctl_close(t, CID_EXIT_FAILED);
	}
	cid_progress_start("exporting", "pairs", ctl->quiet);
	rc = export_all(&x, t);
	seconds = cid_progress_end();
	if (rc == 0) {
		tell(ctl, &x, to_file, seconds);
	} else {
		const struct cidstore_error *err = x.err.code != 0 ? &x.err : &t->err;

		if (err->message[0] != '\0') /* else the reader of a pipe left */
			cid_report("%s", err->message);
		status = CID_EXIT_FAILED;
	}
	return cid_ctl_close(t, status);
}

const struct cid_command cid_command_export = { "export", "write everything to a file", usage,
						run };
