/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_watch.c - cidctl watch: the changes of a mounted store as they are made */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/cidctl.h"
#include "tools/mounted.h"
#include "tools/report.h"

static const char usage[] =
	"Usage: cidctl watch [OPTION]... TARGET\n"
	"Print the changes of a mounted store as they are made, one operation a line:\n"
	"'SEQ insert KEY VALUE', 'SEQ delete KEY [VALUE]', 'SEQ mkkey KEY'; 'SEQ begin N'\n"
	"and 'SEQ commit N' around the N operations of a transaction; 'SEQ lost N' where N\n"
	"numbers were gone before they were read. TARGET is a mount point, or the directory\n"
	"of a store that is mounted.\n"
	"\n"
	"      --from=SEQ  begin with this number, 0 for the oldest; else with what comes\n"
	"      --count=N   end after N operations\n"
	"      --json      a line is an object {\"seq\", \"op\", \"key\", \"value\", \"count\"}\n"
	"  -q, --quiet     say nothing when the mount ends\n"
	"  -h, --help      print this and exit\n"
	"\n"
	"Exit status: 0 after N operations, 1 there is no such number yet, 2 usage, 4 failed,\n"
	"or the mount ended.\n";

struct watch {
	const char *path;
	bool json, quiet, from_given, count_given;
	uint64_t from, count;
	uint64_t next; /* the number to go on with; 0: none was seen */
	char line[256];
	size_t n;
};

static void print_json(const char *line, size_t n)
{
	static const char *const shape[] = { "key", "value" };
	char text[256], *save, *word;
	bool counted;

	memcpy(text, line, n);
	text[n] = '\0';
	word = strtok_r(text, " ", &save);
	printf("{\"seq\":%s", word != NULL ? word : "0");
	word = strtok_r(NULL, " ", &save);
	printf(",\"op\":\"%s\"", word != NULL ? word : "");
	counted = word != NULL && (strcmp(word, "begin") == 0 || strcmp(word, "commit") == 0 ||
				   strcmp(word, "lost") == 0);
	for (int i = 0; i < 2 && (word = strtok_r(NULL, " ", &save)) != NULL; i++) {
		if (counted)
			printf(",\"count\":%s", word);
		else
			printf(",\"%s\":\"%s\"", shape[i], word);
	}
	puts("}");
}

/* One line, without its end. True after the last that was asked for. */
static bool take_line(struct watch *w)
{
	char *verb;
	uint64_t count;

	w->line[w->n] = '\0';
	w->next = strtoull(w->line, &verb, 10) + 1;
	if (sscanf(verb, " lost %" SCNu64, &count) == 1)
		w->next += count - 1;
	if (w->json)
		print_json(w->line, w->n);
	else
		puts(w->line);
	w->n = 0;
	if (!w->count_given || (strncmp(verb, " insert", 7) != 0 &&
				strncmp(verb, " delete", 7) != 0 && strncmp(verb, " mkkey", 6) != 0))
		return false;
	return --w->count == 0;
}

static int fail(const struct watch *w, int error)
{
	switch (error) {
	case EOPNOTSUPP:
		cid_report("%s is mounted read-only: the mount that writes the store tells its "
			   "changes", w->path);
		break;
	case ENOENT:
		cid_report("%s: the mount is of a version that tells no changes", w->path);
		break;
	default:
		cid_report("%s/.cidstore/events: %s", w->path, strerror(error));
	}
	return CID_EXIT_FAILED;
}

static int ended(const struct watch *w)
{
	if (!w->quiet && w->next > 0)
		cid_report("%s: the mount has ended; --from=%" PRIu64 " goes on", w->path, w->next);
	else if (!w->quiet)
		cid_report("%s: the mount has ended", w->path);
	return CID_EXIT_FAILED;
}

static int follow(struct watch *w, int fd)
{
	static char buf[64 << 10];
	ssize_t got;

	for (;;) {
		/* What is there is out before waiting for more. */
		if (fflush(stdout) != 0)
			return CID_EXIT_OK; /* closing says what became of it */
		got = read(fd, buf, sizeof(buf));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno != ENOTCONN && errno != ECONNABORTED && errno != ENODEV)
			return fail(w, errno);
		if (got <= 0)
			return ended(w);
		for (ssize_t i = 0; i < got; i++) {
			if (buf[i] != '\n' && w->n < sizeof(w->line) - 1)
				w->line[w->n++] = buf[i];
			else if (buf[i] == '\n' && take_line(w))
				return CID_EXIT_OK;
		}
	}
}

static int open_feed(const struct watch *w, int *fd)
{
	char *name = NULL, text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", w->from);
	int status = CID_EXIT_OK;

	if (asprintf(&name, "%s/.cidstore/events", w->path) < 0) {
		cid_report("out of memory");
		return CID_EXIT_FAILED;
	}
	*fd = open(name, (w->from_given ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	free(name);
	if (*fd < 0)
		return fail(w, errno == EROFS ? EOPNOTSUPP : errno);
	if (w->from_given && write(*fd, text, (size_t)n) < 0) {
		if (errno == EINVAL) {
			cid_report("%s: there is no number %" PRIu64 " yet; .cidstore/last_seq has "
				   "the newest", w->path, w->from);
			status = CID_EXIT_ABSENT;
		} else {
			status = fail(w, errno);
		}
		close(*fd);
	}
	return status;
}

static int watch(struct watch *w, const char *target)
{
	char *mnt = NULL;
	int fd, status;

	w->path = target;
	if (!cid_is_mounted(target) && cid_is_store(target)) {
		mnt = cid_mounted_at(target);
		if (mnt == NULL) {
			cid_report("%s is a store that is not mounted: its changes are told by the "
				   "mount that makes them; mount it with cidstore(8)", target);
			return CID_EXIT_FAILED;
		}
		w->path = mnt;
	} else if (!cid_is_mounted(target)) {
		cid_report("%s is neither a store's directory nor a mounted root", target);
		return CID_EXIT_FAILED;
	}
	status = open_feed(w, &fd);
	if (status == CID_EXIT_OK) {
		status = w->count_given && w->count == 0 ? CID_EXIT_OK : follow(w, fd);
		close(fd);
	}
	free(mnt);
	return status;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	enum { FROM = 1, COUNT = 2 };
	static const struct option options[] = {
		{ "from", required_argument, NULL, FROM },
		{ "count", required_argument, NULL, COUNT },
		CID_COMMON_OPTIONS,
	};
	struct watch w = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1) {
		if (c == FROM) {
			w.from_given = true;
			if (cid_report_parse_number(optarg, &w.from) != 0)
				return cid_ctl_usage(self, "--from takes a sequence number");
		} else if (c == COUNT) {
			w.count_given = true;
			if (cid_report_parse_number(optarg, &w.count) != 0)
				return cid_ctl_usage(self, "--count takes a number");
		} else {
			cid_ctl_option(ctl, self, c);
		}
	}
	if (argc - optind != 1)
		return cid_ctl_usage(self, "one TARGET is needed");
	w.json = ctl->json;
	w.quiet = ctl->quiet;
	return cid_ctl_close(NULL, watch(&w, argv[optind]));
}

const struct cid_command cid_command_watch = { "watch", "print changes as they are made", usage,
					       run };
