/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_stat.c - cidctl stat and compact */
#include <stdio.h>
#include <string.h>
#include "tools/cidctl.h"
#include "tools/progress.h"
#include "tools/report.h"

static const char stat_usage[] = "Usage: cidctl stat [OPTION]... TARGET\n"
				 "Print the statistics of a target, 'NAME VALUE' a line.\n"
				 "\n"
				 "      --json   one JSON object\n"
				 "  -q, --quiet  (changes nothing here)\n"
				 "  -h, --help   print this and exit\n";

static const char compact_usage[] =
	"Usage: cidctl compact [OPTION]... TARGET\n"
	"Merge what waits outside the buckets, collect what deletions left and give the\n"
	"space back to the file system.\n"
	"\n"
	"      --json   {\"seconds\": N}\n"
	"  -q, --quiet  no progress bar\n"
	"  -h, --help   print this and exit\n";

struct print {
	bool json;
	int n;
};

static int is_number(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	if (digits == 0 || (s[0] == '0' && digits > 1))
		return 0;
	s += digits;
	if (*s == '.' && strspn(s + 1, "0123456789") > 0)
		s += 1 + strspn(s + 1, "0123456789");
	return *s == '\0';
}

static int print_one(void *arg, const char *name, const char *value)
{
	struct print *p = arg;

	if (!p->json) {
		printf("%s %s\n", name, value);
		return 0;
	}
	fputs(p->n++ > 0 ? "," : "{", stdout);
	cid_report_json(stdout, name, strlen(name));
	putchar(':');
	if (is_number(value))
		fputs(value, stdout);
	else
		cid_report_json(stdout, value, strlen(value));
	return 0;
}

static int parse(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	static const struct option options[] = { CID_COMMON_OPTIONS };
	int c;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		cid_ctl_option(ctl, self, c);
	return argc - optind == 1 ? 0 : cid_ctl_usage(self, "one TARGET is needed");
}

static int run_stat(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	struct print p = { 0 };
	struct cid_target *t;
	int status = parse(ctl, self, argc, argv);

	if (status != 0)
		return status;
	t = cid_ctl_open(argv[optind], false);
	if (t == NULL)
		return CID_EXIT_FAILED;
	p.json = ctl->json;
	if (t->ops->stats(t, print_one, &p) != 0)
		status = cid_ctl_failed(&t->err);
	else if (p.json)
		puts("}");
	return cid_ctl_close(t, status);
}

static void show(double part)
{
	cid_progress_set(part, part > 0 ? (uint64_t)(part * 100) : 0);
}

static int run_compact(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	struct cid_target *t;
	double seconds;
	int status = parse(ctl, self, argc, argv);

	if (status != 0)
		return status;
	t = cid_ctl_open(argv[optind], true);
	if (t == NULL)
		return CID_EXIT_FAILED;
	cid_progress_start("compacting", "%", ctl->quiet);
	if (t->ops->compact(t, show) != 0)
		status = cid_ctl_failed(&t->err);
	seconds = cid_progress_end();
	if (status == 0 && ctl->json)
		printf("{\"seconds\":%.3f}\n", seconds);
	return cid_ctl_close(t, status);
}

const struct cid_command cid_command_stat = { "stat", "print statistics", stat_usage, run_stat };
const struct cid_command cid_command_compact = { "compact", "merge, collect, give space back",
						 compact_usage, run_compact };
