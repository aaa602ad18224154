/* SPDX-License-Identifier: BSD-2-Clause */
/* work.h - what the peers are given to do */
#ifndef CID_PEER_WORK_H
#define CID_PEER_WORK_H

#include "bench/data.h"
#include "bench/hist.h"
#include "peers/peer.h"

struct work {
	const struct peer *peer;
	const char *name; /* of the work, for the output */
	const char *dir;
	uint64_t n, lookups;
	double limit; /* seconds a load may take */
	unsigned threads;
	struct cid_data data;
};

#define WORK_BATCH 1024u

/* "PEER,WORK,N,METRIC,VALUE,UNIT" on standard output. */
void work_say(const struct work *w, const char *metric, double value, const char *unit);
void work_say_hist(const struct work *w, const char *metric, const struct cid_hist *h, double div,
		   const char *unit);
void work_open(const struct work *w, bool durable);
void work_fresh(const struct work *w);

/* A sync each 64 Ki operations or 100 ms. */
struct work_group {
	const struct peer *peer;
	uint64_t ops;
	double at;
	struct cid_hist sync;
};
void work_group_init(struct work_group *g, const struct peer *p);
/* Whether it synced. */
bool work_group_tick(struct work_group *g, uint64_t ops, bool force);

/* Pair i of a stream; inserts until n or the limit. The number done. */
typedef struct cidstore_pair work_pair_fn(const struct work *w, uint64_t i);
uint64_t work_load(const struct work *w, work_pair_fn *pair, uint64_t n, bool durable);
struct cidstore_pair work_one_value(const struct work *w, uint64_t i);

/* The works. */
void work_insert(struct work *w);
void work_lookup(struct work *w);
void work_zipf(struct work *w);
void work_sets(struct work *w);
void work_single(struct work *w);
void work_reopen(struct work *w);
void work_delete(struct work *w);

#endif
