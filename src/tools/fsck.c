/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck.c - fsck.cidstore: verifies a store that nobody writes, and repairs it */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cidstore/cidstore.h"
#include "tools/losses.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/sigbus.h"

/* Exit codes of fsck(8). */
enum {
	FSCK_CLEAN = 0,
	FSCK_CORRECTED = 1,
	FSCK_UNCORRECTED = 4,
	FSCK_FAILED = 8,
	FSCK_USAGE = 16,
	FSCK_CANCELLED = 32
};

static const char usage[] =
	"Usage: fsck.cidstore [OPTION]... STORE\n"
	"Verify every checksum and the structure of a store that nobody writes.\n"
	"\n"
	"  -n          change nothing (the default)\n"
	"  -a, -p      correct what can be corrected without loss\n"
	"  -y          the same, and save the rest: what is lost stands in a report\n"
	"      --report FILE\n"
	"              the report (STORE.lost); made only where something is lost\n"
	"      --quick structure only: the values are not read\n"
	"  -q          print nothing but errors of the program itself\n"
	"  -v          print all figures\n"
	"      --json  one JSON object on standard output\n"
	"  -h, --help  print this and exit\n"
	"  -V, --version\n"
	"              print the version and exit\n"
	"\n"
	"Exit status, as of fsck(8): 0 clean, 1 errors corrected, 4 errors left,\n"
	"8 the check could not be done, 16 usage, 32 cancelled by a signal.\n";

struct check {
	bool quick, quiet, verbose, json;
	uint64_t findings;
	struct cid_losses *losses; /* of -y */
};

/* Every step of a repair can be cut off (the store is then as after a crash),
 * so leaving at once is safe. */
static void cancel(int signal_number)
{
	static const char message[] = "\nfsck.cidstore: cancelled\n";

	(void)signal_number;
	if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
		_exit(FSCK_CANCELLED);
	_exit(FSCK_CANCELLED);
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = cancel };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static void say(void *arg, const char *message, double progress)
{
	struct check *c = arg;

	if (message == NULL) {
		/* permille, so that the rate is one of the whole */
		cid_progress_set(progress, (uint64_t)(progress * 100));
		return;
	}
	c->findings++;
	if (c->json) {
		fputs(c->findings > 1 ? "," : "", stdout);
		cid_report_json(stdout, message, strlen(message));
	} else if (!c->quiet) {
		cid_progress_wipe();
		printf("%s\n", message);
	}
	fflush(stdout);
}

static int lost(void *arg, const char *line)
{
	struct check *c = arg;
	int rc = cid_losses_add(c->losses, line);

	if (rc == 0)
		return 0;
	cid_report("%s: %s", cid_losses_path(c->losses), strerror(-rc));
	return rc == -ENOSPC ? CIDSTORE_ENOSPC : CIDSTORE_EIO;
}

static int status_of(const struct cidstore_report *r)
{
	if (r->errors > r->corrected)
		return FSCK_UNCORRECTED;
	return r->corrected > 0 ? FSCK_CORRECTED : FSCK_CLEAN;
}

static const char *verdict(int status)
{
	switch (status) {
	case FSCK_CLEAN:
		return "clean";
	case FSCK_CORRECTED:
		return "errors corrected";
	case FSCK_UNCORRECTED:
		return "errors left";
	default:
		return "not checked";
	}
}

static void print_json_end(const char *path, const struct cidstore_report *r, int status,
			   double seconds, const char *message)
{
	printf("],\"store\":");
	cid_report_json(stdout, path, strlen(path));
	printf(",\"status\":%d,\"verdict\":\"%s\"", status, verdict(status));
	if (message != NULL) {
		printf(",\"message\":");
		cid_report_json(stdout, message, strlen(message));
	} else {
		printf(",\"keys\":%" PRIu64 ",\"values\":%" PRIu64 ",\"buckets\":%" PRIu64
		       ",\"runs\":%" PRIu64 ",\"log_records\":%" PRIu64 ",\"units\":%" PRIu64
		       ",\"bytes\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"corrected\":%" PRIu64
		       ",\"leaked_bytes\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"seconds\":%.3f",
		       r->keys, r->values, r->buckets, r->runs, r->log_records, r->units, r->bytes,
		       r->errors, r->corrected, r->leaked_bytes, r->lost, seconds);
	}
	puts("}");
}

static void print_text_end(const struct check *c, const char *path, const struct cidstore_report *r,
			   int status, double seconds)
{
	char b[2][16];

	if (c->verbose)
		printf("buckets %" PRIu64 ", runs %" PRIu64 ", log records %" PRIu64
		       "\nverified %" PRIu64 " units, %s, in %.1f s (%s/s)\n"
		       "allocated but unreachable: %" PRIu64 " bytes\n",
		       r->buckets, r->runs, r->log_records, r->units,
		       cid_report_bytes((double)r->bytes, b[0]), seconds,
		       cid_report_bytes((double)r->bytes / (seconds > 1e-3 ? seconds : 1e-3), b[1]),
		       r->leaked_bytes);
	/* What lies in several layers is counted by reading it. */
	printf("%s: %s, %s%" PRIu64 " keys and %" PRIu64 " values", path, verdict(status),
	       c->quick && r->runs + r->log_records > 0 ? "about " : "", r->keys, r->values);
	if (r->errors > 0)
		printf(", %" PRIu64 " errors, %" PRIu64 " corrected", r->errors, r->corrected);
	putchar('\n');
}

static int run(struct check *c, const char *path, unsigned flags)
{
	struct cidstore_report r = { 0 };
	struct cidstore_error err = { 0 };
	double seconds;
	int rc, status;

	/* Children look at HDF5's part of the files: none may end with something
	 * of ours to print, as those of ThreadSanitizer do. */
	if (c->json)
		fputs("{\"findings\":[", stdout);
	fflush(stdout);
	cid_progress_start("checking", "%", c->quiet);
	rc = c->losses ? cidstore_repair(path, lost, say, c, &r, &err) :
			 cidstore_check(path, flags, say, c, &r, &err);
	seconds = cid_progress_end();
	if (rc != 0) {
		status = rc == CIDSTORE_ECORRUPT ? FSCK_UNCORRECTED : FSCK_FAILED;
		if (c->json)
			print_json_end(path, &r, status, seconds, err.message);
		cid_report("%s", err.message);
		if (rc == CIDSTORE_EBUSY)
			cid_report("%s is in use; unmount it first, or write to "
				   "MOUNTPOINT/.cidstore/verify to check it while it is mounted",
				   path);
	} else {
		status = status_of(&r);
		if (c->json)
			print_json_end(path, &r, status, seconds, NULL);
		else if (!c->quiet)
			print_text_end(c, path, &r, status, seconds);
		if (r.lost > 0)
			cid_report("%" PRIu64 " losses; %s tells of them", r.lost,
				   cid_losses_path(c->losses));
		if (status == FSCK_UNCORRECTED && !c->losses && !c->quiet && !c->json)
			cid_report("run fsck.cidstore %s %s to %s",
				   flags & CIDSTORE_CHECK_REPAIR ? "-y" : "-p", path,
				   flags & CIDSTORE_CHECK_REPAIR ?
					   "save what is left, on a copy first" :
					   "correct what can be corrected without loss");
	}
	return cid_report_flush() == 0 ? status : status | FSCK_FAILED;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 256 },
		{ "json", no_argument, NULL, 257 },
		{ "report", required_argument, NULL, 258 },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct check c = { 0 };
	bool repair = false, salvage = false, readonly = false;
	const char *report = NULL;
	unsigned flags = 0;
	int o, status;

	cid_report_name("fsck.cidstore");
	cid_sigbus_install();
	while ((o = getopt_long(argc, argv, "napyqvhV", options, NULL)) != -1) {
		switch (o) {
		case 'n':
			readonly = true;
			break;
		case 'a':
		case 'p':
			repair = true;
			break;
		case 'y':
			salvage = true;
			break;
		case 'q':
			c.quiet = true;
			break;
		case 'v':
			c.verbose = true;
			break;
		case 256:
			flags |= CIDSTORE_CHECK_QUICK;
			c.quick = true;
			break;
		case 257:
			c.json = true;
			break;
		case 258:
			report = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return cid_report_flush() == 0 ? FSCK_CLEAN : FSCK_FAILED;
		case 'V':
			printf("fsck.cidstore %s\n", cidstore_version());
			return cid_report_flush() == 0 ? FSCK_CLEAN : FSCK_FAILED;
		default:
			fputs("Try 'fsck.cidstore --help'.\n", stderr);
			return FSCK_USAGE;
		}
	}
	if (readonly && (repair || salvage)) {
		cid_report("-n (change nothing) contradicts -a, -p and -y");
		return FSCK_USAGE;
	}
	if (argc - optind != 1) {
		cid_report("one STORE directory is needed");
		fputs("Try 'fsck.cidstore --help'.\n", stderr);
		return FSCK_USAGE;
	}
	if (report != NULL && !salvage) {
		cid_report("--report goes with -y");
		return FSCK_USAGE;
	}
	if (repair)
		flags |= CIDSTORE_CHECK_REPAIR;
	catch_signals();
	if (!salvage)
		return run(&c, argv[optind], flags);
	c.losses = cid_losses_new(argv[optind], report);
	if (c.losses == NULL) {
		cid_report("out of memory");
		return FSCK_FAILED;
	}
	status = run(&c, argv[optind], flags);
	cid_losses_free(c.losses);
	return status;
}
