/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_snapshot.c - cidctl snapshot: a copy of a store in use */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/cidctl.h"
#include "tools/mounted.h"
#include "tools/progress.h"
#include "tools/report.h"

static const char usage[] =
	"Usage: cidctl snapshot [OPTION]... TARGET DEST\n"
	"Copy a store, in use or not, as it is at one moment, to the new directory DEST.\n"
	"TARGET is a store's directory, or the mount point of a mounted one. Blocks are\n"
	"shared where the file system can. DEST is a store once all of it is on disk.\n"
	"\n"
	"      --json   {\"seq\", \"epoch\", \"bytes\", \"shared\", \"seconds\"}\n"
	"  -q, --quiet  no progress bar, no figures\n"
	"  -h, --help   print this and exit\n"
	"\n"
	"Exit status: 0 done, 2 usage, 4 failed; nothing is left of DEST then.\n";

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void set_signals(void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static int more(void *arg, uint64_t done, uint64_t all)
{
	(void)arg;
	cid_progress_set(all ? (double)done / (double)all : -1, done);
	return caught;
}

static int copy(const struct cid_ctl *ctl, const char *store, const char *dest)
{
	struct cidstore_error err = { 0 };
	struct cidstore_copied out;
	char bytes[16], shared[16];
	double seconds;
	int rc;

	set_signals(on_signal);
	cid_progress_start("copying", "B", ctl->quiet);
	rc = cidstore_snapshot_copy(store, dest, more, NULL, &out, &err);
	seconds = cid_progress_end();
	set_signals(SIG_DFL);
	if (caught && rc == caught)
		raise(caught); /* what was made is gone; end as without a handler */
	if (rc != 0) {
		cid_report("%s%s", err.message,
			   rc == CIDSTORE_ENOSPC ? "; free some space there" : "");
		return CID_EXIT_FAILED;
	}
	if (ctl->json)
		printf("{\"seq\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"bytes\":%" PRIu64
		       ",\"shared\":%" PRIu64 ",\"seconds\":%.3f}\n",
		       out.seq, out.epoch, out.bytes, out.shared, seconds);
	else if (cid_progress_on_terminal(ctl->quiet))
		fprintf(stderr, "%s up to change %" PRIu64 ": %s, %s of it shared, in %.2f s\n",
			dest, out.seq, cid_report_bytes((double)out.bytes, bytes),
			cid_report_bytes((double)out.shared, shared), seconds);
	return CID_EXIT_OK;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	static const struct option options[] = { CID_COMMON_OPTIONS };
	const char *target;
	char *store = NULL;
	int c, status;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		cid_ctl_option(ctl, self, c);
	if (argc - optind != 2)
		return cid_ctl_usage(self, "TARGET and DEST are needed");
	target = argv[optind];
	if (!cid_is_store(target) && cid_is_mounted(target)) {
		store = cid_mounted_from(target);
		if (store == NULL || !cid_is_store(store)) {
			cid_report("%s: its store cannot be found from here%s%s; name the store's "
				   "directory",
				   target, store ? ": " : "", store ? store : "");
			free(store);
			return CID_EXIT_FAILED;
		}
		target = store;
	}
	status = cid_ctl_close(NULL, copy(ctl, target, argv[optind + 1]));
	free(store);
	return status;
}

const struct cid_command cid_command_snapshot = { "snapshot", "copy a store that is in use", usage,
						  run };
