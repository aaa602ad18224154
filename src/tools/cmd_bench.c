/* SPDX-License-Identifier: BSD-2-Clause */
/* cmd_bench.c - cidctl bench: which runs, with what, and where the results go */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/cidctl.h"
#include "tools/commit.h"
#include "tools/outfile.h"
#include "tools/progress.h"
#include "tools/report.h"

#define ROUNDS 64u

static const char usage[] =
	"Usage: cidctl bench [OPTION]... RUN...\n"
	"       cidctl bench --list\n"
	"Measure the store on this machine. Each RUN makes its data from a seed, in a\n"
	"directory of its own that is removed afterwards.\n"
	"\n"
	"      --list          what runs there are\n"
	"      --keys=N        keys (10M is ten million); each run has a default\n"
	"      --values=N      values of each key\n"
	"      --spread        the values of a key come apart, not one after the other\n"
	"      --lookups=N     lookups of each kind (2M)\n"
	"      --seconds=N     the most a measurement takes that has no end (10)\n"
	"      --threads=N     readers at once, at most (2)\n"
	"      --batch=N       pairs handed over at once (1024)\n"
	"      --seed=N        of the data (1)\n"
	"      --rounds=N      do all runs N times, in turns; the table has medians\n"
	"      --dir=DIR       where stores are made (the working directory)\n"
	"      --keep          leave the stores there\n"
	"      --reuse         use a store that is there if it holds the keys; keep it\n"
	"      --cgroup=SIZE   in a memory cgroup of SIZE bytes (root only)\n"
	"      --log=SIZE      size of the write-ahead log\n"
	"  -o NAME=VALUE       a setting of the store; may be given several times\n"
	"      --json=FILE     the results as a file; without FILE on standard output\n"
	"      --plot=FILE     a picture of the long runs, .png or .svg, by gnuplot\n"
	"  -q, --quiet         no progress, no table\n"
	"  -h, --help          print this and exit\n";

static const struct cid_bench_run *const runs[] = {
	&cid_bench_insert,	&cid_bench_zipf,   &cid_bench_lookup, &cid_bench_sets,
	&cid_bench_single,	&cid_bench_delete, &cid_bench_reopen, &cid_bench_cold_lookup,
	&cid_bench_cold_insert, &cid_bench_mount,  &cid_bench_raw,    &cid_bench_costs,
	&cid_bench_readers,	&cid_bench_tune,
};

#define RUNS (sizeof(runs) / sizeof(runs[0]))

struct request {
	struct cid_bench b;
	const char *dir, *json, *plot;
	uint64_t rounds, threads;
	bool quiet, to_stdout;
	const struct cid_bench_run *run[RUNS];
	size_t n;
};

static int list(const struct cid_ctl *ctl)
{
	for (size_t i = 0; i < RUNS; i++)
		if (ctl->json)
			printf("%s{\"run\":\"%s\",\"keys\":%" PRIu64 ",\"values\":%" PRIu64
			       ",\"summary\":\"%s\"}%s",
			       i == 0 ? "[" : "", runs[i]->name, runs[i]->keys, runs[i]->values,
			       runs[i]->summary, i + 1 < RUNS ? ",\n" : "]\n");
		else
			printf("%-12s %s\n", runs[i]->name, runs[i]->summary);
	return cid_report_flush() == 0 ? CID_EXIT_OK : CID_EXIT_FAILED;
}

/* "10M" is ten million here: these are things, not bytes. */
static int parse_count(const char *text, uint64_t min, uint64_t *out)
{
	char *end;
	uint64_t v, unit = 1;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *text == '-')
		return -1;
	if (*end != '\0') {
		const char *at = strchr("kMG", *end == 'K' ? 'k' : *end);

		if (at == NULL || end[1] != '\0')
			return -1;
		unit = *at == 'k' ? 1000 : *at == 'M' ? 1000000 : 1000000000;
	}
	if (v > UINT64_MAX / unit || v * unit < min)
		return -1;
	*out = v * unit;
	return 0;
}

static int parse_setting(struct cid_bench *b, const char *text)
{
	const char *is = strchr(text, '=');
	size_t len = is != NULL ? (size_t)(is - text) : 0;
	uint64_t v;

	if (len == 0 || len >= sizeof(b->setting[0].name) || b->settings == CID_BENCH_SETTINGS ||
	    cid_report_parse_size(is + 1, &v) != 0)
		return -1;
	memcpy(b->setting[b->settings].name, text, len);
	b->setting[b->settings++].value = v;
	return 0;
}

enum {
	OPTION_LIST = CID_OPTION_JSON + 1,
	OPTION_KEYS,
	OPTION_VALUES,
	OPTION_SPREAD,
	OPTION_LOOKUPS,
	OPTION_SECONDS,
	OPTION_THREADS,
	OPTION_BATCH,
	OPTION_SEED,
	OPTION_ROUNDS,
	OPTION_DIR,
	OPTION_KEEP,
	OPTION_REUSE,
	OPTION_CGROUP,
	OPTION_LOG,
	OPTION_JSON_FILE,
	OPTION_PLOT
};

static const struct option options[] = {
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "keys", required_argument, NULL, OPTION_KEYS },
	{ "values", required_argument, NULL, OPTION_VALUES },
	{ "spread", no_argument, NULL, OPTION_SPREAD },
	{ "lookups", required_argument, NULL, OPTION_LOOKUPS },
	{ "seconds", required_argument, NULL, OPTION_SECONDS },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "batch", required_argument, NULL, OPTION_BATCH },
	{ "seed", required_argument, NULL, OPTION_SEED },
	{ "rounds", required_argument, NULL, OPTION_ROUNDS },
	{ "dir", required_argument, NULL, OPTION_DIR },
	{ "keep", no_argument, NULL, OPTION_KEEP },
	{ "reuse", no_argument, NULL, OPTION_REUSE },
	{ "cgroup", required_argument, NULL, OPTION_CGROUP },
	{ "log", required_argument, NULL, OPTION_LOG },
	{ "json", optional_argument, NULL, OPTION_JSON_FILE },
	{ "plot", required_argument, NULL, OPTION_PLOT },
	CID_COMMON_OPTIONS,
};

/* The counts among the options: what they set, and from where on they may. */
static int count_option(struct request *q, int c)
{
	uint64_t seconds, *to = NULL, min = 1;

	switch (c) {
	case OPTION_KEYS:
		to = &q->b.keys;
		break;
	case OPTION_VALUES:
		to = &q->b.values;
		break;
	case OPTION_LOOKUPS:
		to = &q->b.lookups;
		break;
	case OPTION_BATCH:
		to = &q->b.batch;
		break;
	case OPTION_ROUNDS:
		to = &q->rounds;
		break;
	case OPTION_THREADS:
		to = &q->threads;
		break;
	case OPTION_SECONDS:
		to = &seconds;
		break;
	case OPTION_SEED:
		to = &q->b.seed;
		min = 0;
		break;
	default:
		return 1;
	}
	if (parse_count(optarg, min, to) != 0)
		return -1;
	if (c == OPTION_SECONDS)
		q->b.seconds = (double)seconds;
	return 0;
}

static int other_option(struct cid_ctl *ctl, const struct cid_command *self, struct request *q,
			int c)
{
	switch (c) {
	case OPTION_SPREAD:
		q->b.spread = true;
		return 0;
	case OPTION_KEEP:
		q->b.keep = true;
		return 0;
	case OPTION_REUSE:
		q->b.keep = q->b.reuse = true;
		return 0;
	case OPTION_DIR:
		q->dir = optarg;
		return 0;
	case OPTION_PLOT:
		q->plot = optarg;
		return 0;
	case OPTION_JSON_FILE:
		q->json = optarg;
		q->to_stdout = optarg == NULL;
		return 0;
	case OPTION_CGROUP:
		return cid_report_parse_size(optarg, &q->b.cgroup);
	case OPTION_LOG:
		return cid_report_parse_size(optarg, &q->b.log_bytes);
	case 'o':
		return parse_setting(&q->b, optarg);
	default:
		cid_ctl_option(ctl, self, c);
		return 0;
	}
}

/* 0, a status above 0 that ends the command, or -1 after --list. */
static int parse(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv,
		 struct request *q)
{
	bool want_list = false;
	int c, rc;

	q->to_stdout = ctl->json;
	while ((c = getopt_long(argc, argv, "qho:", options, NULL)) != -1) {
		if (c == OPTION_LIST) {
			want_list = true;
			continue;
		}
		rc = count_option(q, c);
		if (rc > 0)
			rc = other_option(ctl, self, q, c);
		if (rc != 0)
			return cid_ctl_usage(self, "an option has a value that it cannot have");
	}
	ctl->json = q->to_stdout;
	q->quiet = ctl->quiet;
	if (want_list)
		return -1;
	for (; optind < argc; optind++) {
		size_t i = 0;

		while (i < RUNS && strcmp(runs[i]->name, argv[optind]) != 0)
			i++;
		if (i == RUNS || q->n == RUNS)
			return cid_ctl_usage(self, "no such run; --list has them");
		q->run[q->n++] = runs[i];
	}
	if (q->n == 0)
		return cid_ctl_usage(self, "name at least one run; --list has them");
	if (q->rounds > ROUNDS || q->b.batch > 1u << 20)
		return cid_ctl_usage(self, "at most 64 rounds, batches of 1048576");
	return 0;
}

static int one(const struct request *q, const struct cid_bench_run *run, unsigned round,
	       struct cid_result *r)
{
	struct cid_bench b = q->b;
	struct cid_cgroup g = { 0 };
	char why[256];
	double begin = cid_seconds();
	int rc = 0;

	if (b.keys == 0)
		b.keys = run->keys;
	if (b.values == 0)
		b.values = run->values;
	if (b.cgroup == 0)
		b.cgroup = run->cgroup;
	cid_data_init(&b.data, b.seed);
	snprintf(b.store, sizeof(b.store), "%s/pairs-%" PRIu64 "x%" PRIu64 "-%" PRIu64, b.dir,
		 b.keys, b.values, b.seed);
	r->run = run->name;
	r->round = round;
	r->keys = b.keys;
	r->values = b.values;
	/* A run that has a limit of its own loads outside it. */
	if (b.cgroup != 0 && run->cgroup == 0) {
		rc = cid_cgroup_enter(&g, b.cgroup, why, sizeof(why));
		if (rc != 0)
			cid_report("%s", why);
	}
	cid_progress_start(run->name, "pairs", q->quiet);
	if (rc == 0)
		rc = run->run(&b, r);
	cid_progress_end();
	if (rc == 0 && g.version != 0)
		cid_result_add(r, "cgroup_peak", (double)cid_cgroup_peak(&g) / (1 << 20), "MiB");
	cid_cgroup_leave(&g);
	if (!b.keep)
		cid_bench_remove(b.store);
	/* What a run leaves in the heap is not the next one's memory. */
	malloc_trim(0);
	r->seconds = cid_seconds() - begin;
	if (rc == 0 && r->failed) {
		cid_report("out of memory");
		rc = -1;
	}
	return rc;
}

static int write_json(const char *path, const struct cid_result_head *h, const struct cid_result *r,
		      size_t n)
{
	struct cidstore_error err = { 0 };
	struct cid_outfile *f;
	char *text = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&text, &len);
	int rc;

	if (m == NULL)
		return cid_bench_check(CIDSTORE_ENOMEM, "results");
	cid_result_json(m, h, r, n);
	rc = fclose(m) == 0 ? cid_outfile_open(path, &f, &err)
			    : cid_bench_check(CIDSTORE_ENOMEM, "results");
	if (rc == 0) {
		rc = cid_outfile_put(f, text, len, &err);
		if (rc == 0)
			rc = cid_outfile_commit(f, &err);
		else
			cid_outfile_abandon(f);
		if (rc != 0)
			cid_report("%s", err.message);
	} else if (err.code != 0) {
		cid_report("%s", err.message);
	}
	free(text);
	return rc == 0 ? 0 : -1;
}

/* The script lies beside the picture; without gnuplot it is what there is. */
static int draw(const char *picture, const struct cid_result *r, size_t n)
{
	char script[4096];
	size_t drawn;
	int status;
	FILE *f;
	pid_t pid;

	snprintf(script, sizeof(script), "%s.gnuplot", picture);
	f = fopen(script, "we");
	if (f == NULL) {
		cid_report("%s: %s", script, strerror(errno));
		return -1;
	}
	drawn = cid_result_plot(f, picture, r, n);
	if (fclose(f) != 0) {
		cid_report("%s: %s", script, strerror(errno));
		return -1;
	}
	if (drawn == 0) {
		unlink(script);
		cid_report("none of these runs has a picture");
		return 0;
	}
	pid = fork();
	if (pid == 0) {
		execlp("gnuplot", "gnuplot", script, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 127)) {
		cid_report("gnuplot failed on %s", script);
		return -1;
	}
	if (WEXITSTATUS(status) == 127)
		cid_report("gnuplot is not installed; draw it elsewhere with 'gnuplot %s'", script);
	return 0;
}

static int measure(const struct cid_ctl *ctl, const struct request *q, int argc, char **argv)
{
	struct cid_result_head head = { .version = cidstore_version(),
					.commit = cid_built_commit,
					.argc = argc,
					.argv = argv };
	struct cid_result *r = calloc(q->rounds * q->n, sizeof(*r));
	size_t done = 0;
	int rc = r != NULL ? 0 : cid_bench_check(CIDSTORE_ENOMEM, "results");

	cid_machine_look(q->b.dir, &head.machine);
	for (unsigned round = 1; rc == 0 && round <= q->rounds; round++)
		for (size_t i = 0; rc == 0 && i < q->n; i++) {
			rc = one(q, q->run[i], round, &r[done]);
			done += rc == 0;
		}
	/* What was measured before a failure is still worth having. */
	if (done > 0) {
		if (q->json != NULL && write_json(q->json, &head, r, done) != 0)
			rc = -1;
		if (ctl->json)
			cid_result_json(stdout, &head, r, done);
		else if (!ctl->quiet)
			cid_result_table(stdout, &head, r, done);
		if (q->plot != NULL && draw(q->plot, r, done) != 0)
			rc = -1;
	}
	for (size_t i = 0; r != NULL && i < q->rounds * q->n; i++)
		cid_result_free(&r[i]);
	free(r);
	return rc == 0 ? CID_EXIT_OK : CID_EXIT_FAILED;
}

static int make_dir(struct request *q)
{
	if (q->b.keep) {
		snprintf(q->b.dir, sizeof(q->b.dir), "%s", q->dir);
		if (access(q->b.dir, W_OK) == 0)
			return 0;
	} else {
		snprintf(q->b.dir, sizeof(q->b.dir), "%s/cidstore-bench.XXXXXX", q->dir);
		if (mkdtemp(q->b.dir) != NULL)
			return 0;
	}
	cid_report("%s: %s", q->dir, strerror(errno));
	return -1;
}

static int run(struct cid_ctl *ctl, const struct cid_command *self, int argc, char **argv)
{
	struct request q = { .dir = ".",
			     .rounds = 1,
			     .threads = 2,
			     .b = { .seed = 1, .batch = 1024, .lookups = 2000000, .seconds = 10 } };
	int status = parse(ctl, self, argc, argv, &q);

	if (status != 0)
		return status < 0 ? list(ctl) : status;
	if (strlen(q.dir) > 900)
		return cid_ctl_usage(self, "the path of --dir is too long");
	q.b.threads = (unsigned)(q.threads < 64 ? q.threads : 64);
	if (make_dir(&q) != 0)
		return CID_EXIT_FAILED;
	status = measure(ctl, &q, argc, argv);
	if (!q.b.keep)
		cid_bench_remove(q.b.dir);
	return cid_report_flush() == 0 ? status : CID_EXIT_FAILED;
}

const struct cid_command cid_command_bench = { "bench", "measure the store on this machine", usage,
					       run };
