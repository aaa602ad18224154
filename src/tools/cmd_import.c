/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_import.c - cidctl import: an exported file into a target */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"
#include "tools/cidctl.h"
#include "tools/progress.h"
#include "tools/report.h"

#define PIECE (1u << 20)

static const char usage[] =
	"Usage: cidctl import [OPTION]... TARGET [FILE]\n"
	"Insert what an export holds, from FILE or from standard input. What is in TARGET\n"
	"already stays. All is durable when the command ends.\n"
	"\n"
	"      --json   the figures as JSON\n"
	"  -q, --quiet  no progress bar, no figures\n"
	"  -h, --help   print this and exit\n";

struct import {
	const char *name; /* of the file */
	int fd;
	uint64_t bytes, size;
};

/* 0 or an exit status, after a message. */
static int import_all(struct import *x, struct cid_target *t, char *buf)
{
	ssize_t got;

	while ((got = read(x->fd, buf, PIECE)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			cid_report("reading %s: %s", x->name, strerror(errno));
			return CID_EXIT_FAILED;
		}
		if (t->ops->import(t, buf, (size_t)got) != 0) {
			cid_err_prefix(&t->err, "%s", x->name);
			return cid_ctl_failed(&t->err);
		}
		x->bytes += (uint64_t)got;
		cid_progress_set(x->size > 0 ? (double)x->bytes / (double)x->size : -1, x->bytes);
	}
	if (t->ops->import(t, NULL, 0) == 0)
		return CID_EXIT_OK;
	cid_err_prefix(&t->err, "%s", x->name);
	return cid_ctl_failed(&t->err);
}

static int open_file(struct import *x, const char *file)
{
	struct stat st;

	x->fd = STDIN_FILENO;
	x->name = "standard input";
	if (file != NULL && strcmp(file, "-") != 0) {
		x->name = file;
		x->fd = open(file, O_RDONLY | O_CLOEXEC);
	}
	if (x->fd < 0 || fstat(x->fd, &st) != 0) {
		cid_report("%s: %s", x->name, strerror(errno));
		return -1;
	}
	x->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	return 0;
}

static void tell(const struct cid_ctl *ctl, const struct import *x, double seconds)
{
	char b[2][16];

	if (ctl->json)
		printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f}\n", x->bytes, seconds);
	else if (cid_progress_on_terminal(ctl->quiet))
		fprintf(stderr, "imported %s in %.2f s, %s/s\n",
			cid_report_bytes((double)x->bytes, b[0]), seconds,
			cid_report_bytes((double)x->bytes / (seconds > 1e-6 ? seconds : 1e-6),
					 b[1]));
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	static const struct option options[] = { CID_COMMON_OPTIONS };
	struct import x = { 0 };
	struct cid_target *t;
	double seconds;
	char *buf;
	int c, status;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1)
		cid_ctl_option(ctl, self, c);
	if (argc - optind < 1 || argc - optind > 2)
		return cid_ctl_usage(self, "TARGET and at most one FILE are needed");
	if (open_file(&x, argv[optind + 1]) != 0)
		return CID_EXIT_FAILED;
	buf = malloc(PIECE);
	t = buf != NULL ? cid_ctl_open(argv[optind], true) : NULL;
	if (t == NULL) {
		if (buf == NULL)
			cid_report("out of memory");
		status = CID_EXIT_FAILED;
	} else {
		cid_progress_start("importing", "bytes", ctl->quiet);
		status = import_all(&x, t, buf);
		seconds = cid_progress_end();
		if (status == CID_EXIT_OK)
			tell(ctl, &x, seconds);
		status = cid_ctl_close(t, status);
	}
	if (x.fd > STDERR_FILENO)
		close(x.fd);
	free(buf);
	return status;
}

const struct cid_command cid_command_import = { "import", "read an exported file", usage, run };
