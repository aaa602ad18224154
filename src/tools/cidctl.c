/* SPDX-License-Identifier: BSD-2-Clause */
/* cidctl.c - cidctl: the commands' table and what they share */
#include "tools/cidctl.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/report.h"
#include "tools/sigbus.h"

static const struct cid_command *const commands[] = {
	&cid_command_load,    &cid_command_export, &cid_command_import,	 &cid_command_get,
	&cid_command_put,     &cid_command_delete, &cid_command_and,	 &cid_command_hash,
	&cid_command_resolve, &cid_command_stat,   &cid_command_watch,
	&cid_command_snapshot, &cid_command_compact, &cid_command_bench,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *f)
{
	fputs("Usage: cidctl [--json] [--quiet] COMMAND [ARGUMENT]...\n"
	      "Work on a store: on its directory, or, where it is mounted, on the mount point.\n"
	      "\n",
	      f);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "      --json     results as JSON on standard output\n"
	      "  -q, --quiet    no progress bar, no figures\n"
	      "  -h, --help     print this and exit; cidctl COMMAND --help tells more\n"
	      "  -V, --version  print the version and exit\n"
	      "\n"
	      "Exit status: 0 done, 1 what was asked for is not there, 2 usage,\n"
	      "3 malformed input, 4 failed.\n",
	      f);
}

void cid_ctl_option(struct cid_ctl *ctl, const struct cid_command *cmd, int option)
{
	switch (option) {
	case CID_OPTION_JSON:
		ctl->json = true;
		break;
	case 'q':
		ctl->quiet = true;
		break;
	case 'h':
		fputs(cmd->usage, stdout);
		exit(cid_report_flush() == 0 ? CID_EXIT_OK : CID_EXIT_FAILED);
	default:
		fprintf(stderr, "Try 'cidctl %s --help'.\n", cmd->name);
		exit(CID_EXIT_USAGE);
	}
}

int cid_ctl_usage(const struct cid_command *cmd, const char *text)
{
	cid_report("%s", text);
	fprintf(stderr, "Try 'cidctl %s --help'.\n", cmd->name);
	return CID_EXIT_USAGE;
}

struct cid_target *cid_ctl_open(const char *path, bool change)
{
	struct cidstore_error err = { 0 };
	struct cid_target *t;

	if (cid_target_open(path, change, &t, &err) == 0)
		return t;
	cid_report("%s", err.message);
	return NULL;
}

int cid_ctl_failed(const struct cidstore_error *err)
{
	cid_report("%s", err->message);
	if (err->code == CIDSTORE_ENOENT)
		return CID_EXIT_ABSENT;
	return err->code == CIDSTORE_EINVAL ? CID_EXIT_INPUT : CID_EXIT_FAILED;
}

int cid_ctl_close(struct cid_target *t, int status)
{
	struct cidstore_error err = { 0 };

	if (t != NULL && t->ops->close(t, &err) != 0) {
		cid_report("%s", err.message);
		status = CID_EXIT_FAILED;
	}
	if (cid_report_flush() != 0)
		status = CID_EXIT_FAILED;
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, CID_OPTION_JSON },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct cid_ctl ctl = { 0 };
	char name[32];
	int c;

	cid_report_name("cidctl");
	cid_sigbus_install();
	/* A pipe that closes early is seen at the next write, so that a store
	 * that is open for changes is closed in order. */
	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt_long(argc, argv, "+qhV", options, NULL)) != -1) {
		switch (c) {
		case CID_OPTION_JSON:
			ctl.json = true;
			break;
		case 'q':
			ctl.quiet = true;
			break;
		case 'h':
			print_help(stdout);
			return cid_report_flush() == 0 ? CID_EXIT_OK : CID_EXIT_FAILED;
		case 'V':
			printf("cidctl %s\n", cidstore_version());
			return cid_report_flush() == 0 ? CID_EXIT_OK : CID_EXIT_FAILED;
		default:
			fputs("Try 'cidctl --help'.\n", stderr);
			return CID_EXIT_USAGE;
		}
	}
	if (optind == argc) {
		print_help(stderr);
		return CID_EXIT_USAGE;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[optind], commands[i]->name) != 0)
			continue;
		snprintf(name, sizeof(name), "cidctl %s", commands[i]->name);
		cid_report_name(name);
		argc -= optind;
		argv += optind;
		optind = 0; /* start over, with this command's options */
		return commands[i]->run(&ctl, commands[i], argc, argv);
	}
	cid_report("unknown command '%s'", argv[optind]);
	fputs("Try 'cidctl --help'.\n", stderr);
	return CID_EXIT_USAGE;
}
