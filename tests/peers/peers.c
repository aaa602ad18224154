/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers.c - one work by one peer, as lines of CSV
 *
 *	peers WORK -b PEER -d DIR [-n PAIRS] [-l LOOKUPS] [-T SECONDS] [-t THREADS]
 *	      [-s SEED]
 *
 * lookup and single work on what insert left in DIR.
 * `peers list` prints the peers, `peers raw -d DIR` the speed of the disk alone.
 * scripts/bench-peers runs it and makes the table.
 */
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/machine.h"
#include "bench/meter.h"
#include "peers/work.h"

static const struct peer *const peers[] = { &peer_cidstore, &peer_tkrzw, &peer_rocksdb,
					    &peer_bdb,	    &peer_lmdb,	 &peer_sqlite };

#define PEERS (sizeof(peers) / sizeof(peers[0]))

static const struct {
	const char *name;
	void (*run)(struct work *w);
} works[] = {
	{ "insert", work_insert }, { "lookup", work_lookup }, { "zipf", work_zipf },
	{ "sets", work_sets },	   { "single", work_single }, { "reopen", work_reopen },
	{ "delete", work_delete },
};

#define WORKS (sizeof(works) / sizeof(works[0]))

void peer_die(const char *file, int line, const char *what, const char *why)
{
	fprintf(stderr, "peers: %s:%d: %s failed%s%s\n", file, line, what, *why ? ": " : "", why);
	exit(1);
}

void work_say(const struct work *w, const char *metric, double value, const char *unit)
{
	printf("%s,%s,%llu,%s,%.7g,%s\n", w->peer != NULL ? w->peer->name : "raw", w->name,
	       (unsigned long long)w->n, metric, value, unit);
	fflush(stdout);
}

void work_say_hist(const struct work *w, const char *metric, const struct cid_hist *h, double div,
		   const char *unit)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_mean", metric);
	work_say(w, name, cid_hist_mean(h) / div, unit);
	snprintf(name, sizeof(name), "%s_p50", metric);
	work_say(w, name, cid_hist_at(h, .5) / div, unit);
	snprintf(name, sizeof(name), "%s_p999", metric);
	work_say(w, name, cid_hist_at(h, .999) / div, unit);
}

static void raw(const struct work *w)
{
	double per_second, us;

	if (cid_machine_write(w->dir, w->n * 64, &per_second) != 0 ||
	    cid_machine_sync(w->dir, 2000, &us) != 0)
		PEER_DIE("writing", w->dir);
	work_say(w, "write", per_second / 1e6, "MB/s");
	work_say(w, "append_and_sync", us, "us");
}

static int usage(void)
{
	fputs("usage: peers WORK -b PEER -d DIR [-n PAIRS] [-l LOOKUPS] [-T SECONDS] [-t THREADS] "
	      "[-s SEED]\n       peers list; peers raw -d DIR [-n RECORDS]\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct work w = {
		.dir = "peers.db", .n = 10000000, .lookups = 2000000, .limit = 1e9, .threads = 2
	};
	uint64_t seed = 1;
	int c;

	if (argc < 2)
		return usage();
	w.name = argv[1];
	for (size_t i = 0; strcmp(w.name, "list") == 0 && i < PEERS; i++)
		printf("%s%s\n", peers[i]->name, peers[i]->crash_safe ? "" : " (not crash-safe)");
	if (strcmp(w.name, "list") == 0)
		return 0;
	optind = 2;
	while ((c = getopt(argc, argv, "b:d:n:l:T:t:s:")) != -1) {
		switch (c) {
		case 'b':
			for (size_t i = 0; i < PEERS; i++)
				if (strcmp(peers[i]->name, optarg) == 0)
					w.peer = peers[i];
			break;
		case 'd':
			w.dir = optarg;
			break;
		case 'n':
			w.n = (uint64_t)atof(optarg);
			break;
		case 'l':
			w.lookups = (uint64_t)atof(optarg);
			break;
		case 'T':
			w.limit = atof(optarg);
			break;
		case 't':
			w.threads = (unsigned)atoi(optarg);
			break;
		case 's':
			seed = (uint64_t)atoll(optarg);
			break;
		default:
			return usage();
		}
	}
	cid_data_init(&w.data, seed);
	if (strcmp(w.name, "raw") == 0) {
		raw(&w);
		return 0;
	}
	for (size_t i = 0; i < WORKS; i++)
		if (w.peer != NULL && strcmp(works[i].name, w.name) == 0) {
			works[i].run(&w);
			return 0;
		}
	return usage();
}
