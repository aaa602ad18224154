/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_change.c - cidctl put and delete: a few changes, all or nothing */
#include <stdio.h>
#include <stdlib.h>
#include "tools/cidctl.h"
#include "tools/idtext.h"
#include "tools/report.h"

static const char put_usage[] =
	"Usage: cidctl put [OPTION]... TARGET KEY [VALUE]...\n"
	"Make KEY where it does not exist, and put the values into its set. All of it is\n"
	"done, or none, and it is durable when the command ends.\n"
	"\n"
	"      --json   {\"operations\": N}\n"
	"  -q, --quiet  (changes nothing here)\n"
	"  -h, --help   print this and exit\n";

static const char delete_usage[] =
	"Usage: cidctl delete [OPTION]... TARGET KEY [VALUE]...\n"
	"Take the values out of KEY's set; the key stays, perhaps empty. Without a VALUE\n"
	"the key goes, with all its values. What does not exist is passed over. All of it\n"
	"is done, or none, and it is durable when the command ends.\n"
	"\n"
	"      --json   {\"operations\": N}\n"
	"  -q, --quiet  (changes nothing here)\n"
	"  -h, --help   print this and exit\n";

/* `alone` is done to a key given without values, `each` to every value. */
static int change(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv,
		  enum cidstore_verb alone, enum cidstore_verb each)
{
	static const struct option options[] = { CID_COMMON_OPTIONS };
	struct cidstore_op *op;
	struct cidstore_id key;
	struct cid_target *t;
	int c, n, status = CID_EXIT_OK;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		cid_ctl_option(ctl, self, c);
	if (argc - optind < 2)
		return cid_ctl_usage(self, "TARGET and KEY are needed");
	if (!cid_idtext_argument(argv[optind + 1], "key", &key))
		return CID_EXIT_USAGE;
	n = argc - optind - 2;
	op = calloc((size_t)n + 1, sizeof(*op));
	if (op == NULL) {
		cid_report("out of memory");
		return CID_EXIT_FAILED;
	}
	op[0].verb = alone;
	op[0].key = key;
	for (int i = 0; i < n && status == CID_EXIT_OK; i++) {
		op[i].verb = each;
		op[i].key = key;
		if (!cid_idtext_argument(argv[optind + 2 + i], "value", &op[i].value))
			status = CID_EXIT_USAGE;
	}
	if (n == 0)
		n = 1;
	t = status == CID_EXIT_OK ? cid_ctl_open(argv[optind], true) : NULL;
	if (status == CID_EXIT_OK && t == NULL)
		status = CID_EXIT_FAILED;
	if (t != NULL) {
		if (t->ops->apply(t, op, (size_t)n) != 0 || t->ops->sync(t) != 0)
			status = cid_ctl_failed(&t->err);
		else if (ctl->json)
			printf("{\"operations\":%d}\n", n);
		status = cid_ctl_close(t, status);
	}
	free(op);
	return status;
}

static int put(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	return change(ctl, self, argc, argv, CIDSTORE_OP_MKKEY, CIDSTORE_OP_INSERT);
}

static int delete (struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	return change(ctl, self, argc, argv, CIDSTORE_OP_RMKEY, CIDSTORE_OP_DELETE);
}

const struct cid_command cid_command_put = { "put", "put values into a key's set", put_usage, put };
const struct cid_command cid_command_delete = { "delete", "delete values, or keys", delete_usage,
						delete };
