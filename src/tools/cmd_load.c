/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_load.c - cidctl load: pairs from text or records into a target */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "tools/cidctl.h"
#include "tools/pairs.h"
#include "tools/progress.h"
#include "tools/report.h"

#define BATCH	  (64u << 10)
#define BATCH_MAX (16u << 20)

static const char usage[] =
	"Usage: cidctl load [OPTION]... TARGET [FILE]\n"
	"Insert the pairs of FILE, or of standard input. Missing keys are made; what is\n"
	"there already stays as it is. All is durable when the command ends.\n"
	"\n"
	"      --format=FORMAT  hex: lines 'KEY VALUE', or 'KEY' alone for an empty key\n"
	"                       csv: KEY,VALUE; a header line is skipped\n"
	"                       bin: 32-byte records, key then value, big-endian\n"
	"                       auto: told from the first bytes (the default)\n"
	"      --batch=N        pairs handed over at once (65536)\n"
	"      --json           the figures as JSON\n"
	"  -q, --quiet          no progress bar, no figures\n"
	"  -h, --help           print this and exit\n";

struct totals {
	uint64_t pairs, keys;
};

static int load_all(struct cid_target *t, struct cid_pairs *in, struct cid_pairs_batch *b,
		    struct totals *sum)
{
	struct cidstore_error err = { 0 };

	for (;;) {
		if (cid_pairs_next(in, b, &err) != 0)
			return cid_ctl_failed(&err);
		if (b->pairs == 0 && b->keys == 0)
			break;
		if ((b->pairs > 0 && t->ops->insert(t, b->pair, b->pairs) != 0) ||
		    (b->keys > 0 && t->ops->make_keys(t, b->key, b->keys) != 0))
			return cid_ctl_failed(&t->err);
		sum->pairs += b->pairs;
		sum->keys += b->keys;
		cid_progress_set(cid_pairs_part(in), sum->pairs + sum->keys);
	}
	return t->ops->sync(t) == 0 ? CID_EXIT_OK : cid_ctl_failed(&t->err);
}

static int load(struct cid_target *t, struct cid_pairs *in, size_t cap, struct totals *sum)
{
	struct cid_pairs_batch b = { .cap = cap };
	int status = CID_EXIT_FAILED;

	b.pair = malloc(cap * sizeof(*b.pair));
	b.key = malloc(cap * sizeof(*b.key));
	if (b.pair == NULL || b.key == NULL)
		cid_report("out of memory; use a smaller --batch");
	else
		status = load_all(t, in, &b, sum);
	free(b.pair);
	free(b.key);
	return status;
}

static void tell(const struct cid_ctl *ctl, const struct totals *sum, double seconds)
{
	char b[3][16];
	double rate = (double)(sum->pairs + sum->keys) / (seconds > 1e-6 ? seconds : 1e-6);

	if (ctl->json)
		printf("{\"pairs\":%" PRIu64 ",\"keys\":%" PRIu64
		       ",\"seconds\":%.6f,\"per_second\":%.0f}\n",
		       sum->pairs, sum->keys, seconds, rate);
	else if (cid_progress_on_terminal(ctl->quiet))
		fprintf(stderr, "loaded %s pairs and %s keys alone in %.2f s, %s/s\n",
			cid_report_count((double)sum->pairs, b[0]),
			cid_report_count((double)sum->keys, b[1]), seconds,
			cid_report_count(rate, b[2]));
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' },
		{ "batch", required_argument, NULL, 'b' },
		CID_COMMON_OPTIONS,
	};
	enum cid_pairs_format format = CID_PAIRS_AUTO;
	struct cidstore_error err = { 0 };
	struct totals sum = { 0 };
	struct cid_target *t;
	struct cid_pairs *in;
	uint64_t cap = BATCH;
	double seconds;
	int c, status;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1) {
		if (c == 'f') {
			if (cid_pairs_format(optarg, &format) != 0)
				return cid_ctl_usage(self, "--format is auto, hex, csv or bin");
		} else if (c == 'b') {
			if (cid_report_parse_number(optarg, &cap) != 0 || cap == 0 ||
			    cap > BATCH_MAX)
				return cid_ctl_usage(self,
						     "--batch is a number from 1 to 16777216");
		} else {
			cid_ctl_option(ctl, self, c);
		}
	}
	if (argc - optind < 1 || argc - optind > 2)
		return cid_ctl_usage(self, "TARGET and at most one FILE are needed");
	if (cid_pairs_open(argv[optind + 1], format, &in, &err) != 0) {
		cid_report("%s", err.message);
		return CID_EXIT_FAILED;
	}
	t = cid_ctl_open(argv[optind], true);
	if (t == NULL) {
		cid_pairs_close(in);
		return CID_EXIT_FAILED;
	}
	cid_progress_start("loading", "pairs", ctl->quiet);
	status = load(t, in, (size_t)cap, &sum);
	seconds = cid_progress_end();
	cid_pairs_close(in);
	if (status == CID_EXIT_OK)
		tell(ctl, &sum, seconds);
	return cid_ctl_close(t, status);
}

const struct cid_command cid_command_load = { "load",
					      "insert pairs from text, CSV or binary records",
					      usage, run };
