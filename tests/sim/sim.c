/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim.c - the power-cut simulator
 *
 * usage: sim [--seed N] [--ops N] [--states N] [--seconds N] [--at STEP.EVENT.STATE]
 *            [--verbose]
 *
 * Runs histories of random operations on a store whose disk is in memory, one
 * seed after the other, until so many crash states were judged or so many
 * seconds are over. Everything follows from the seed. A failure prints the line
 * that repeats it and ends with status 1.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/world.h"

struct options options = {
	.seed = 1, .ops = 1500, .states = 20000, .seconds = 60,
	.at_op = -1, .at_event = -1, .at_state = -1, .depth = 2,
};

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A crash of the engine, or a loop without end, also names its place. */
static void caught(int sig)
{
	static const char text[] = "not ok 1 - the engine died or hangs\n";
	const struct world *w = world_current(), *first = NULL, *top;
	char where[500], line[900];
	int n;

	(void)signal(sig, SIG_DFL);
	(void)!write(1, text, sizeof(text) - 1);
	if (!w)
		_exit(1);
	for (top = w; top->parent; top = top->parent)
		first = top;
	world_where(w, where, sizeof(where));
	n = snprintf(line, sizeof(line), "# signal %d at %s\n# repeat: sim --seed %llu --ops %llu", sig,
		     where, (unsigned long long)options.seed, (unsigned long long)options.ops);
	if (first)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " --at %llu.%llu.%llu",
			      (unsigned long long)top->op, (unsigned long long)first->at_event,
			      (unsigned long long)first->at_state);
	line[n++] = '\n';
	(void)!write(1, line, (size_t)n);
	if (sig == SIGALRM)
		_exit(1);
	(void)raise(sig);
}

/* The power went: the image is judged, and the history goes on from it. */
static void resurrect(struct world *w, struct rng *r)
{
	char message[500];

	for (;;) {
		enum crash_kind k = (enum crash_kind)rng_below(r, CRASH_KINDS);
		uint64_t seed = rng_next(r), at;
		int rc;

		figures.cuts++;
		if (w->s)
			world_count(w);
		world_kill(w);
		disk_release(w->disk);
		w->disk->event = NULL;
		w->dying = 0;
		w->child->at_event = w->disk->events - w->op_events;
		w->child->at_state = 999;
		at = oracle_judge(w, k, seed, k == CRASH_KEPT);
		crash_build(w->child->disk, w->disk, k, seed);
		disk_adopt(w->disk, w->child->disk);
		ledger_rollback(w->ledger, at);
		w->ledger->acked = at;
		w->todos = w->done = 0;
		w->disk->event = oracle_event;
		if (rng_one_in(r, 4))
			w->dying = rng_below(r, 12) + 1;
		rc = world_open(w, message, sizeof(message));
		if (w->disk->dead)
			continue;
		if (rc)
			world_fail(w, "opening again: %s", message);
		w->dying = 0;
		world_compare(w, at);
		return;
	}
}

static void run(struct world *w, double until)
{
	static const uint32_t threshold[] = { 4, 8, 8, 16 };
	struct rng r = { options.seed };
	struct cidstore_geometry geo = {
		.log_bytes = 256u << 10,
		.segment_bytes = 4u << 20,
		.bucket_bytes = 8192,
		.promotion_threshold = threshold[rng_below(&r, 4)],
		.hash_seed = rng_next(&r) | 1,
	};
	struct cidstore_error err = { 0, "" };
	char message[500];
	int rc;

	disk_reset(w->disk, rng_next(&r));
	ledger_init(&w->own);
	w->ledger = &w->own;
	w->seed = options.seed;
	w->op = w->op_events = 0;
	w->dying = 0;
	w->todos = w->done = 0;
	w->disk->short_writes = true;
	w->disk->event = oracle_event;
	w->disk->record = work_record;
	w->creating = true;
	rc = cid_store_create_io(&w->disk->io, DISK_PATH, &geo, &err);
	if (rc)
		world_fail(w, "create: %s", err.message);
	w->creating = false;
	if (world_open(w, message, sizeof(message)))
		world_fail(w, "open: %s", message);
	for (w->op = 1; w->op <= options.ops; w->op++) {
		struct rng o = { rng_mix(options.seed, w->op) };

		if (options.skip && options.skip[w->op])
			continue;
		(void)alarm(120);
		w->op_events = w->disk->events;
		if (!w->dying && rng_one_in(&o, 60)) {
			w->dying = rng_below(&o, 100) + 1;
			w->dying_writes = !rng_one_in(&o, 4);
		}
		work_step(w, &o, (unsigned)(w->op / 200 % WORK_PHASES));
		if (w->disk->dead)
			resurrect(w, &o);
		if (rng_one_in(&o, 50))
			world_compare(w, ledger_end(w->ledger));
		if (options.at_op < 0 && (figures.states + figures.nested >= options.states ||
					  (w->op % 16 == 0 && seconds() > until)))
			break;
		if (options.at_op >= 0 && (int64_t)w->op > options.at_op)
			break;
	}
	w->dying = 0;
	w->disk->event = NULL;
	world_count(w);
	world_kill(w);
	world_check(w);
	figures.files += (uint64_t)w->disk->files;
}

static uint64_t number(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 0);

	if (*end || end == s) {
		fprintf(stderr, "sim: not a number: %s\n", s);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv)
{
	static const struct option list[] = {
		{ "seed", required_argument, NULL, 's' },    { "ops", required_argument, NULL, 'o' },
		{ "states", required_argument, NULL, 'n' },  { "seconds", required_argument, NULL, 't' },
		{ "at", required_argument, NULL, 'a' },	     { "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	long long a, b, c;
	int o;

	while ((o = getopt_long(argc, argv, "", list, NULL)) != -1)
		switch (o) {
		case 's':
			options.seed = number(optarg);
			break;
		case 'o':
			options.ops = number(optarg);
			break;
		case 'n':
			options.states = number(optarg);
			break;
		case 't':
			options.seconds = number(optarg);
			break;
		case 'a':
			if (sscanf(optarg, "%lld.%lld.%lld", &a, &b, &c) != 3) {
				fprintf(stderr, "sim: --at wants STEP.EVENT.STATE\n");
				exit(2);
			}
			options.at_op = a;
			options.at_event = b;
			options.at_state = c;
			break;
		case 'v':
			options.verbose = true;
			break;
		default:
			exit(2);
		}
}

int main(int argc, char **argv)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM };
	double start = seconds(), until;
	struct world *w[3];
	uint64_t first, histories = 0, trace = 0;

	parse(argc, argv);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		(void)signal(fatal[i], caught);
	for (int i = 0; i < 3; i++)
		w[i] = world_new(i ? w[i - 1] : NULL);
	first = options.seed;
	until = start + (double)options.seconds;
	printf("1..1\n# seed %llu\n", (unsigned long long)first);
	for (;; options.seed++) {
		(void)fflush(stdout);
		run(w[0], until);
		histories++;
		trace = rng_mix(trace, w[0]->disk->trace);
		if (options.verbose)
			printf("# seed %llu: trace %016llx, %llu states, %llu nested, %d files\n",
			       (unsigned long long)options.seed,
			       (unsigned long long)w[0]->disk->trace,
			       (unsigned long long)figures.states,
			       (unsigned long long)figures.nested, w[0]->disk->files);
		if (options.at_op >= 0 || figures.states + figures.nested >= options.states ||
		    seconds() > until)
			break;
	}
	printf("ok 1 - %llu crash states, no violation\n",
	       (unsigned long long)(figures.states + figures.nested));
	printf("# %llu histories from seed %llu, trace %016llx; %llu states, %llu nested, %.0f a second\n",
	       (unsigned long long)histories, (unsigned long long)first, (unsigned long long)trace,
	       (unsigned long long)figures.states, (unsigned long long)figures.nested,
	       (double)(figures.states + figures.nested) / (seconds() - start));
	printf("# %llu units, %llu power cuts survived, %llu checks, %llu second uses\n",
	       (unsigned long long)figures.units, (unsigned long long)figures.cuts,
	       (unsigned long long)figures.checks, (unsigned long long)figures.uses);
	printf("# %llu commits %llu flushes %llu sweeps %llu splits %llu merges %llu promotions "
	       "%llu demotions %llu deletion records, %llu files\n",
	       (unsigned long long)figures.commits, (unsigned long long)figures.flushes,
	       (unsigned long long)figures.sweeps, (unsigned long long)figures.splits,
	       (unsigned long long)figures.merges, (unsigned long long)figures.promotions,
	       (unsigned long long)figures.demotions, (unsigned long long)figures.gc_records,
	       (unsigned long long)figures.files);
	for (int i = 3; i-- > 0;)
		world_free(w[i]);
	return 0;
}
