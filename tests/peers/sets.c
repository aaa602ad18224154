/* SPDX-License-Identifier: BSD-2-Clause */
/* sets.c - whole sets of 1 to 100,000 values, among n keys of one value */
#include "bench/clock.h"
#include "peers/work.h"

static const struct {
	uint64_t values, keys, reads;
} class[] = { { 1, 1000, 20000 },
	      { 2, 1000, 20000 },
	      { 10, 1000, 20000 },
	      { 1000, 100, 2000 },
	      { 100000, 3, 60 } };

#define CLASSES 5u

static uint64_t number(unsigned c, uint64_t j)
{
	return 1ull << 36 | (uint64_t)c << 32 | j;
}

static uint64_t pairs_of_sets(void)
{
	uint64_t n = 0;

	for (unsigned c = 0; c < CLASSES; c++)
		n += class[c].values * class[c].keys;
	return n;
}

/* All in no order. */
static struct cidstore_pair pair(const struct work *w, uint64_t i)
{
	uint64_t p = cid_shuffled(i, pairs_of_sets() + w->n);

	for (unsigned c = 0; c < CLASSES; c++) {
		uint64_t n = class[c].values * class[c].keys;

		if (p < n)
			return cid_data_pair(&w->data, number(c, p % class[c].keys),
					     p / class[c].keys);
		p -= n;
	}
	return cid_data_pair(&w->data, p, 0);
}

static void read_class(const struct work *w, void *reader, unsigned c, struct cidstore_id *v)
{
	struct cid_draw draw = { 3 };
	struct cid_hist h = { 0 };
	double ns = cid_tick_ns();
	uint64_t wrong = 0, tick;
	char name[64];
	size_t n;

	/* The first half warms. */
	for (uint64_t i = 0; i < class[c].reads * 2; i++) {
		struct cidstore_id k =
			cid_data_key(&w->data, number(c, cid_draw_below(&draw, class[c].keys)));

		tick = cid_ticks();
		n = w->peer->get(reader, &k, v, (size_t) class[c].values);
		tick = cid_ticks() - tick;
		wrong += n != class[c].values;
		if (i >= class[c].reads)
			cid_hist_add(&h, (double)tick * ns);
		if (i % 256 == 255)
			w->peer->renew(reader);
	}
	snprintf(name, sizeof(name), "set_%llu", (unsigned long long)class[c].values);
	work_say_hist(w, name, &h, 1e3, "us");
	if (wrong > 0)
		work_say(w, "wrong", (double)wrong, "sets");
}

void work_sets(struct work *w)
{
	struct cidstore_id *v = malloc(class[CLASSES - 1].values * sizeof(*v));
	uint64_t n = pairs_of_sets() + w->n;
	void *reader;

	if (v == NULL)
		PEER_DIE("memory", "");
	work_fresh(w);
	work_open(w, false);
	if (work_load(w, pair, n, false) < n) {
		fprintf(stderr, "peers: %s: not all sets were loaded in time\n", w->peer->name);
		exit(1);
	}
	w->peer->sync();
	w->peer->close();
	work_open(w, false);
	reader = w->peer->reader();
	for (unsigned c = 0; c < CLASSES; c++)
		read_class(w, reader, c, v);
	w->peer->end(reader);
	w->peer->close();
	free(v);
}
