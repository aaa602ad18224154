/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim.c - the power-cut simulator
 *
 * usage: sim [--seed N] [--ops N] [--states N] [--seconds N] [--verbose] [--whole]
 *            [--every N]
 *            [--at STEP[.EVENT.STATE] [--skip STEPS]]
 *
 * Runs histories of random operations on a store whose disk is in memory, one
 * seed after the other, until so many crash states were judged or so many
 * seconds are over. Everything follows from the seed. A failure prints the line
 * that repeats it (--every, for longer histories with fewer crashes, makes no
 * difference to it), looks for the fewest steps that still fail (not with
 * --whole), and ends with status 1.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/shrink.h"
#include "sim/world.h"
#include "wal/record.h"

struct options options = {
	.seed = 1, .ops = 1500, .states = 20000, .seconds = 60, .every = 1,
	.at_op = -1, .at_event = -1, .at_state = -1, .shrink = true,
};

double world_seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool world_enough(void)
{
	return options.at_op < 0 && (figures.states + figures.nested >= options.states ||
				     world_seconds() > options.until);
}

/* A crash of the engine, or a loop without end, also names its place. */
static void caught(int sig)
{
	const struct world *w = world_current();
	char line[1600];
	size_t n;

	(void)signal(sig, SIG_DFL);
	if (!w)
		_exit(1);
	n = world_note(w, sig == SIGALRM ? "the engine hangs" : "the engine died", line, sizeof(line));
	failure->hung = sig == SIGALRM;
	(void)!write(1, line, n);
	_exit(1);
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
		w->full = false;
		w->disk->capacity = 0;
		w->child->at_event = w->disk->events - w->op_events;
		w->child->at_state = 999;
		at = oracle_judge(w, k, seed, k == CRASH_KEPT);
		crash_build(w->child->disk, w->disk, k, seed);
		disk_adopt(w->disk, w->child->disk);
		ledger_rollback(w->ledger, at);
		w->ledger->acked = at;
		work_forget(w);
		w->disk->event = oracle_event;
		if (rng_one_in(r, 4))
			w->dying = rng_below(r, 12) + 1;
		if (rng_one_in(r, 8))
			w->disk->fail_sync = rng_below(r, 4) + 1;
		rc = world_open(w, 0, message, sizeof(message));
		if (rc && w->disk->failed)
			w->disk->dead = true;
		if (w->disk->dead)
			continue;
		w->disk->fail_sync = 0;
		if (rc)
			world_fail(w, "opening again: %s", message);
		w->dying = 0;
		world_compare(w, at);
		return;
	}
}

/* Others fill the disk, or free some of it. The store looks at the free space
 * now and then only, and keeps 8 MiB to itself. */
static void squeeze(struct world *w, struct rng *r)
{
	w->scarce = false;
	switch (rng_below(r, 6)) {
	case 0:
		w->disk->capacity = 0;
		break;
	case 1:
	case 2:
		w->disk->capacity = w->disk->pages + rng_below(r, 400);
		w->scarce = true;
		break;
	default:
		w->disk->capacity = w->disk->pages + 2048 + rng_below(r, 2500);
	}
}

static void run(struct world *w)
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
	/* Long lives fill the log many times, short ones recover often. */
	uint64_t rarely = rng_one_in(&r, 2) ? 60 : 500;
	bool tight = rng_one_in(&r, 3);
	char message[500];
	int rc;

	(void)alarm(PATIENCE);
	disk_reset(w->disk, rng_next(&r));
	ledger_init(&w->own);
	w->ledger = &w->own;
	w->seed = options.seed;
	w->op = w->op_events = 0;
	w->dying = 0;
	w->full = false;
	work_forget(w);
	w->disk->short_writes = true;
	w->disk->event = oracle_event;
	w->disk->record = work_record;
	w->creating = true;
	rc = cid_store_create_io(&w->disk->io, DISK_PATH, &geo, &err);
	if (rc)
		world_fail(w, "create: %s", err.message);
	w->creating = false;
	if (world_open(w, 0, message, sizeof(message)))
		world_fail(w, "open: %s", message);
	for (w->op = 1; w->op <= options.ops; w->op++) {
		struct rng o = { rng_mix(options.seed, w->op) };

		if (options.skip && options.skip[w->op])
			continue;
		(void)alarm(PATIENCE);
		w->op_events = w->disk->events;
		if (!w->dying && rng_one_in(&o, rarely)) {
			w->dying = rng_below(&o, 100) + 1;
			w->dying_writes = !rng_one_in(&o, 4);
		}
		if (!w->disk->failed && rng_one_in(&o, 4 * rarely))
			w->disk->fail_sync = rng_below(&o, 12) + 1;
		if (tight && rng_one_in(&o, 40))
			squeeze(w, &o);
		work_step(w, &o, (unsigned)(w->op / 200 % WORK_PHASES));
		if (w->disk->failed) {
			figures.failures++;
			if (rng_one_in(&o, 4))
				w->disk->dead = true;
		}
		if (w->disk->dead)
			resurrect(w, &o);
		if (rng_one_in(&o, 50))
			world_compare(w, ledger_end(w->ledger));
		if (world_enough())
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

/* "3-40,44": the steps to leave out. */
static const uint8_t *parse_skip(const char *s)
{
	uint8_t *skip = calloc(options.ops + 2, 1);
	unsigned long long from, to;

	while (skip && *s) {
		char *end;

		from = to = strtoull(s, &end, 10);
		if (*end == '-')
			to = strtoull(end + 1, &end, 10);
		for (unsigned long long i = from; i <= to && i <= options.ops; i++)
			skip[i] = 1;
		s = *end ? end + 1 : end;
	}
	return skip;
}

static void parse(int argc, char **argv)
{
	static const struct option list[] = {
		{ "seed", required_argument, NULL, 's' },    { "ops", required_argument, NULL, 'o' },
		{ "states", required_argument, NULL, 'n' },  { "seconds", required_argument, NULL, 't' },
		{ "at", required_argument, NULL, 'a' },	     { "verbose", no_argument, NULL, 'v' },
		{ "skip", required_argument, NULL, 'k' },    { "whole", no_argument, NULL, 'w' },
		{ "every", required_argument, NULL, 'e' },
		{ NULL, 0, NULL, 0 },
	};
	long long a, b = -1, c = -1;
	const char *skip = NULL;
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
			if (sscanf(optarg, "%lld.%lld.%lld", &a, &b, &c) < 1) {
				fprintf(stderr, "sim: --at wants STEP or STEP.EVENT.STATE\n");
				exit(2);
			}
			options.at_op = a;
			options.at_event = b;
			options.at_state = c;
			options.shrink = false;
			break;
		case 'e':
			options.every = number(optarg);
			break;
		case 'k':
			skip = optarg;
			break;
		case 'w':
			options.shrink = false;
			break;
		case 'v':
			options.verbose = true;
			break;
		default:
			exit(2);
		}
	if (skip)
		options.skip = parse_skip(skip);
}

static void print_figures(void)
{
	const struct figures *f = &figures;

	printf("# %llu units, %llu power cuts survived, %llu checks, %llu second uses, "
	       "%llu read-only opens\n",
	       (unsigned long long)f->units, (unsigned long long)f->cuts,
	       (unsigned long long)f->checks, (unsigned long long)f->uses,
	       (unsigned long long)f->readonly);
	printf("# %llu commits %llu flushes %llu sweeps %llu splits %llu merges %llu promotions "
	       "%llu demotions %llu deletion records %llu files\n",
	       (unsigned long long)f->commits, (unsigned long long)f->flushes,
	       (unsigned long long)f->sweeps, (unsigned long long)f->splits,
	       (unsigned long long)f->merges, (unsigned long long)f->promotions,
	       (unsigned long long)f->demotions, (unsigned long long)f->gc_records,
	       (unsigned long long)f->files);
	printf("# %llu calls between others, %llu steps after a failed sync, %llu on a full disk, "
	       "emptied %llu times, %llu snapshots read\n",
	       (unsigned long long)f->between, (unsigned long long)f->failures,
	       (unsigned long long)f->full, (unsigned long long)f->emptied,
	       (unsigned long long)f->snapshots);
	printf("# records by kind:");
	for (int i = 1; i <= CID_OP_LAST; i++)
		printf(" %llu", (unsigned long long)f->opcode[i]);
	printf("\n");
}

static int histories(void)
{
	double start = world_seconds();
	struct world *w[3];
	uint64_t first = options.seed, count = 0, trace = 0;

	for (int i = 0; i < 3; i++)
		w[i] = world_new(i ? w[i - 1] : NULL);
	for (;; options.seed++) {
		run(w[0]);
		count++;
		trace = rng_mix(trace, w[0]->disk->trace);
		if (options.verbose)
			printf("# seed %llu: trace %016llx, %llu states, %llu nested, %d files\n",
			       (unsigned long long)options.seed,
			       (unsigned long long)w[0]->disk->trace,
			       (unsigned long long)figures.states,
			       (unsigned long long)figures.nested, w[0]->disk->files);
		(void)fflush(stdout);
		if (options.at_op >= 0 || world_enough())
			break;
	}
	printf("ok 1 - %llu crash states, no violation\n",
	       (unsigned long long)(figures.states + figures.nested));
	printf("# %llu histories from seed %llu, trace %016llx; %llu states, %llu nested "
	       "(%016llx), %.0f a second\n",
	       (unsigned long long)count, (unsigned long long)first, (unsigned long long)trace,
	       (unsigned long long)figures.states, (unsigned long long)figures.nested,
	       (unsigned long long)figures.trace,
	       (double)(figures.states + figures.nested) / (world_seconds() - start));
	print_figures();
	for (int i = 3; i-- > 0;)
		world_free(w[i]);
	return 0;
}

int main(int argc, char **argv)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM };

	parse(argc, argv);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		(void)signal(fatal[i], caught);
	options.until = world_seconds() + (double)options.seconds;
	printf("1..1\n# seed %llu\n", (unsigned long long)options.seed);
	return shrink_run(histories, 60);
}
