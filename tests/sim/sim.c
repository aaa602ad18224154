/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim.c - the power-cut simulator
 *
 * usage: sim [--seed N] [--ops N] [--recoveries N] [--seconds N] [--verbose] [--whole]
 *            [--every N] [--length N] [--thorough N] [--nested N] [--drill EVENT[:PATH]]
 *            [--patience SECONDS] [--at STEP[.EVENT.STATE] [--skip STEPS]]
 *
 * First come all sequences of up to --length operations around each structural
 * event (drill.c), crashed in --thorough ways (15: all) at each I/O, the recovery
 * of one in --nested states at each of its own; --drill 0 .. runs one event's
 * alone. Then it runs histories of random operations on a store whose disk is in
 * memory, one seed after the other, until so many crash states were recovered or
 * so many seconds are over. Crash states that are like one of these to whoever
 * recovers them (seen.h) are judged without that. Everything follows from the seed. A failure
 * prints the line that repeats it (--every, for longer histories with fewer crashes, makes no
 * difference to it), looks for the fewest steps that still fail (not with
 * --whole), and ends with status 1.
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "sim/shrink.h"
#include "sim/world.h"
#include "store/format.h"
#include "wal/record.h"

struct options options = {
	.seed = 1,
	.ops = 1500,
	.every = 1,
#ifdef CID_SMALL
	.recoveries = 120000,
	.seconds = 150,
	.length = 2,
#else
	.recoveries = 3000,
	.seconds = 30,
#endif
	.thorough = 1,
	.nested = 256,
	.at_op = -1,
	.at_event = -1,
	.at_state = -1,
	.shrink = true,
	.patience = PATIENCE,
};

double world_seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool world_enough(void)
{
	return options.at_op < 0 &&
	       (figures->recovered >= options.recoveries || world_seconds() > options.until);
}

static volatile sig_atomic_t impatient;

void world_goes_on(void)
{
	impatient = 0;
	(void)alarm(options.patience);
}

/* A crash of the engine, or a loop without end, also names its place. */
static void caught(int sig, siginfo_t *info, void *context)
{
	const struct world *w = world_current();
	char line[1600];
	size_t n;

	(void)info;
	if (rot_caught(sig, context))
		return;
	if (sig == SIGALRM && !impatient) {
		impatient = 1;
		(void)alarm(options.patience);
		return;
	}
	(void)signal(sig, SIG_DFL);
	if (!w)
		_exit(1);
	n = world_note(w, sig == SIGALRM ? "the engine hangs" : "the engine died", line,
		       sizeof(line));
	failure->hung = sig == SIGALRM;
	(void)!write(1, line, n);
	_exit(1);
}

/* One of the next syncs, or the log's next one, fails. */
static void fail_a_sync(struct world *w, struct rng *r)
{
	w->disk->fail_file = rng_one_in(r, 2) ? disk_find(w->disk, "wal-0.h5") : -1;
	w->disk->fail_sync = w->disk->fail_file >= 0 ? 1 : rng_below(r, 12) + 1;
}

/* The power went: the image is judged, and the history goes on from it. */
static void resurrect(struct world *w, struct rng *r)
{
	char message[500];
	/* Now and then one cut follows another, with hardly anything between. */
	unsigned storm = rng_one_in(r, 4) ? (unsigned)rng_below(r, 50) : 0;

	for (;;) {
		enum crash_kind k = (enum crash_kind)rng_below(r, CRASH_KINDS);
		uint64_t seed = rng_next(r), at, floor = w->ledger->floor;
		int rc;

		/* Holes in the log: each makes recovery start a generation. */
		if (storm && !rng_one_in(r, 3))
			k = CRASH_ONE_LOST;

		figures->cuts++;
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
		/* Where only the process died, what is not durable may yet be lost. */
		if (k != CRASH_KEPT || w->disk->failed) {
			crash_choose(&w->crash, w->disk, k, seed);
			crash_build(w->child->disk, w->disk, &w->crash);
			disk_adopt(w->disk, w->child->disk);
		}
		ledger_rollback(w->ledger, at);
		if (k == CRASH_KEPT && !w->disk->failed)
			w->ledger->floor = floor;
		w->disk->dead = false;
		w->ledger->acked = at;
		work_forget(w);
		world_forget(w);
		w->disk->event = oracle_event;
		if (rng_one_in(r, 4))
			w->dying = rng_below(r, 12) + 1;
		if (rng_one_in(r, 8))
			fail_a_sync(w, r);
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
		observe_again(w);
		if (storm == 0 || w->disk->failed)
			return;
		storm--;
		for (unsigned n = (unsigned)rng_below(r, 24) + 1; n && w->s && !w->disk->dead; n--)
			work_drill(w, r, 1);
	}
}

/* Others fill the disk, or free some of it. The store looks at the free space
 * now and then only, and keeps 8 MiB to itself and a directory of twice the size. */
static void squeeze(struct world *w, struct rng *r)
{
	uint64_t keeps = CID_SPACE_RESERVE;
	struct cidstore_stats st;

	cidstore_stats(w->s, &st);
	keeps += sizeof(struct cid_slot) << (st.global_depth + 1);
	w->scarce = false;
	switch (rng_below(r, 6)) {
	case 0:
		w->disk->capacity = UINT32_MAX; /* the store may not know yet */
		break;
	case 1:
	case 2:
		w->disk->capacity =
			w->disk->pages + rng_below(r, rng_one_in(r, 2) ? 8 : SQUEEZE / 6);
		w->scarce = true;
		break;
	default:
		w->disk->capacity =
			w->disk->pages + keeps / DISK_PAGE + rng_below(r, SQUEEZE);
	}
}

static void run(struct world *w)
{
	struct rng r = { options.seed };
	/* Long lives fill the log many times, short ones recover often. */
	uint64_t rarely = rng_one_in(&r, 2) ? 60 : 500, ops = options.ops;
	bool tight = rng_one_in(&r, 2);

	if (!rng_one_in(&r, 4))
		ops /= 5;
	/* Many histories, and some of them closely. */
	w->every = options.every << rng_below(&r, 3) * 2;
	world_begin(w, &r);
	for (w->op = 1; w->op <= ops; w->op++) {
		struct rng o = { rng_mix(options.seed, w->op) };

		if (options.skip && options.skip[w->op])
			continue;
		world_goes_on();
		w->op_events = w->disk->events;
		if (!w->dying && rng_one_in(&o, rarely)) {
			w->dying = rng_below(&o, 100) + 1;
			w->dying_writes = !rng_one_in(&o, 4);
		}
		if (!w->disk->failed && rng_one_in(&o, rarely))
			fail_a_sync(w, &o);
		if (tight && rng_one_in(&o, 25))
			squeeze(w, &o);
		work_step(w, &o, (unsigned)(w->op / (ops / 7 + 1) % WORK_PHASES));
		if (w->disk->failed) {
			figures->failures++;
			if (rng_one_in(&o, 4))
				w->disk->dead = true;
		}
		(void)observe(w, w->maintained);
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
	figures->files += (uint64_t)w->disk->files;
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
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "recoveries", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "at", required_argument, NULL, 'a' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "skip", required_argument, NULL, 'k' },
		{ "whole", no_argument, NULL, 'w' },
		{ "every", required_argument, NULL, 'e' },
		{ "length", required_argument, NULL, 'l' },
		{ "thorough", required_argument, NULL, 'T' },
		{ "nested", required_argument, NULL, 'N' },
		{ "drill", required_argument, NULL, 'd' },
		{ "patience", required_argument, NULL, 'p' },
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
			options.recoveries = number(optarg);
			break;
		case 't':
			options.seconds = number(optarg);
			break;
		case 'a':
			if (sscanf(optarg, "%lld.%lld.%lld", &a, &b, &c) < 1) {
				fprintf(stderr, "sim: --at wants STEP or STEP.EVENT.STATE\n");
				exit(2);
			}
			options.at_op = options.drill ? -1 : a;
			options.at_event = b;
			options.at_state = c;
			options.shrink = false;
			break;
		case 'e':
			options.every = number(optarg);
			break;
		case 'l':
			options.length = (unsigned)number(optarg);
			break;
		case 'T':
			options.thorough = (unsigned)number(optarg);
			break;
		case 'N':
			options.nested = (unsigned)number(optarg);
			break;
		case 'd':
			options.drill = optarg;
			break;
		case 'p':
			options.patience = (unsigned)number(optarg);
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
	const struct figures *f = figures;

	printf("# %llu units, %llu power cuts survived, %llu checks, %llu second uses, "
	       "%llu read-only opens\n",
	       (unsigned long long)f->units, (unsigned long long)f->cuts,
	       (unsigned long long)f->checks, (unsigned long long)f->uses,
	       (unsigned long long)f->readonly);
	printf("# %llu commits %llu flushes %llu run merges %llu sweeps %llu splits %llu merges "
	       "%llu promotions "
	       "%llu demotions %llu deletion records %llu files\n",
	       (unsigned long long)f->commits, (unsigned long long)f->flushes,
	       (unsigned long long)f->run_merges, (unsigned long long)f->sweeps,
	       (unsigned long long)f->splits, (unsigned long long)f->merges,
	       (unsigned long long)f->promotions, (unsigned long long)f->demotions,
	       (unsigned long long)f->gc_records, (unsigned long long)f->files);
	printf("# %llu calls between others, %llu steps after a failed sync, %llu on a full disk, "
	       "emptied %llu times, %llu snapshots read\n",
	       (unsigned long long)f->between, (unsigned long long)f->failures,
	       (unsigned long long)f->full, (unsigned long long)f->emptied,
	       (unsigned long long)f->snapshots);
	printf("# %llu states damaged, %llu of them refused something\n",
	       (unsigned long long)f->rots, (unsigned long long)f->rots_refused);
	printf("# events:");
	for (int e = 0; e < EVENTS; e++)
		printf(" %s %llu", event_name(e), (unsigned long long)f->happened[e]);
	printf("\n# %llu states are crashes of a recovery from a crashed recovery\n",
	       (unsigned long long)f->deep);
	printf("# records by kind:");
	for (int i = 1; i <= CID_OP_LAST; i++)
		printf(" %llu", (unsigned long long)f->opcode[i]);
	printf("\n");
}

static int histories(void)
{
	double start = world_seconds();
	struct world *w[DEPTH];
	uint64_t first = options.seed, count = 0, trace = 0, recoveries = options.recoveries;
	char missing[400];

	memset(figures, 0, sizeof(*figures));
	for (int i = 0; i < DEPTH; i++)
		w[i] = world_new(i ? w[i - 1] : NULL);
	if ((options.length || options.drill) && options.at_op < 0) {
		/* Without --drill, half of the states are for random histories. */
		if (!options.drill)
			options.recoveries /= 2;
		drill_run(w[0], options.length, options.thorough, options.nested, options.drill);
		options.recoveries = recoveries;
		count = figures->sequences;
		printf("# %llu sequences around %d events: %llu states, %llu nested\n",
		       (unsigned long long)count, EVENTS, (unsigned long long)figures->states,
		       (unsigned long long)figures->nested);
		count = 0;
	}
	w[0]->drill = -1;
	for (; !options.drill; options.seed++) {
		run(w[0]);
		count++;
		trace = rng_mix(trace, w[0]->disk->trace);
		if (options.verbose)
			printf("# seed %llu: trace %016llx, %llu states, %llu nested, %d files\n",
			       (unsigned long long)options.seed,
			       (unsigned long long)w[0]->disk->trace,
			       (unsigned long long)figures->states,
			       (unsigned long long)figures->nested, w[0]->disk->files);
		(void)fflush(stdout);
		if (options.at_op >= 0 || world_enough())
			break;
	}
	printf("ok 1 - %llu crash states, no violation\n",
	       (unsigned long long)(figures->states + figures->nested));
	printf("# %llu recovered, %llu alike to one of these, %llu of which recovered too\n",
	       (unsigned long long)figures->recovered, (unsigned long long)figures->alike,
	       (unsigned long long)figures->audits);
	printf("# %llu histories from seed %llu, trace %016llx; %llu states, %llu nested "
	       "(%016llx), %.0f a second\n",
	       (unsigned long long)count, (unsigned long long)first, (unsigned long long)trace,
	       (unsigned long long)figures->states, (unsigned long long)figures->nested,
	       (unsigned long long)figures->trace,
	       (double)(figures->states + figures->nested) / (world_seconds() - start));
	print_figures();
	for (int i = DEPTH; i-- > 0;)
		world_free(w[i]);
	/* Long runs meet everything. */
	if (observe_missing(missing, sizeof(missing)) && options.at_op < 0 && !options.drill &&
	    figures->recovered >= 90000) {
		printf("not ok 2 - these never happened:%s\n", missing);
		return 1;
	}
	printf("ok 2 - every event happened%s%s\n", missing[0] ? " but" : "", missing);
	return 0;
}

int main(int argc, char **argv)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM };
	static const struct sigaction on_fatal = { .sa_sigaction = caught,
						     .sa_flags = SA_SIGINFO };

	/* Stores are opened thousands of times a second: keep the memory. */
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	parse(argc, argv);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		(void)sigaction(fatal[i], &on_fatal, NULL);
	options.until = world_seconds() + (double)options.seconds;
	figures = mmap(NULL, sizeof(*figures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (figures == MAP_FAILED)
		return 2;
	printf("1..2\n# seed %llu\n", (unsigned long long)options.seed);
	return shrink_run(histories, 60);
}
