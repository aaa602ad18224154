/* SPDX-License-Identifier: BSD-2-Clause */
/* cidctl.h - what the commands of cidctl share */
#ifndef CID_TOOLS_CIDCTL_H
#define CID_TOOLS_CIDCTL_H

#include <getopt.h>
#include <stdbool.h>
#include "tools/target.h"

enum cid_ctl_exit {
	CID_EXIT_OK = 0,
	CID_EXIT_ABSENT = 1, /* what was asked for is not there */
	CID_EXIT_USAGE = 2,
	CID_EXIT_INPUT = 3, /* malformed input */
	CID_EXIT_FAILED = 4
};

struct cid_ctl {
	bool json, quiet;
};

struct cid_command {
	const char *name;
	const char *summary;
	const char *usage; /* from "Usage: cidctl NAME" on */
	int (*run)(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv);
};

extern const struct cid_command cid_command_load, cid_command_export, cid_command_import,
	cid_command_get, cid_command_put, cid_command_delete, cid_command_hash, cid_command_resolve,
	cid_command_and, cid_command_stat, cid_command_watch, cid_command_snapshot,
	cid_command_compact, cid_command_bench;

/* Options every command takes; they stand at the end of its table, which they
 * close. cid_ctl_option() handles what the command itself does not know: it
 * returns when the option was a common one and exits otherwise. */
enum { CID_OPTION_JSON = 1000 };
#define CID_COMMON_OPTIONS                                                                   \
	{ "json", no_argument, NULL, CID_OPTION_JSON }, { "quiet", no_argument, NULL, 'q' }, \
		{ "help", no_argument, NULL, 'h' },                                          \
	{                                                                                    \
		NULL, 0, NULL, 0                                                             \
	}
void cid_ctl_option(struct cid_ctl *ctl, const struct cid_command *cmd, int option);

/* "cidctl NAME: text", a pointer to the help, CID_EXIT_USAGE. */
int cid_ctl_usage(const struct cid_command *cmd, const char *text);

/* NULL after a message. */
struct cid_target *cid_ctl_open(const char *path, bool change);
/* Says what t->err holds; the exit status for it. */
int cid_ctl_failed(const struct cidstore_error *err);
/* Closes t and flushes stdout; a failure of either makes the status worse. */
int cid_ctl_close(struct cid_target *t, int status);

#endif
