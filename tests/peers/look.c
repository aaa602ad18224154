/* SPDX-License-Identifier: BSD-2-Clause */
/* look.c - lookups by one thread and by several; single inserts */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "peers/work.h"

#define THREADS 16u
#define WARM	4000000u

static uint64_t count(const struct work *w)
{
	unsigned long long n = 0;
	char path[1200];
	FILE *f;

	snprintf(path, sizeof(path), "%s.count", w->dir);
	f = fopen(path, "r");
	if (f == NULL || fscanf(f, "%llu", &n) != 1)
		PEER_DIE("reading", path);
	fclose(f);
	return n;
}

struct reader {
	const struct work *w;
	uint64_t keys, n, wrong;
	bool absent;
	struct cid_draw draw;
	double seconds;
	struct cid_hist hist;
};

static void *read_keys(void *arg)
{
	struct reader *r = arg;
	const struct peer *p = r->w->peer;
	struct cidstore_id k, v[4], want;
	double ns = cid_tick_ns(), begin = cid_seconds();
	uint64_t tick, next;
	void *h = p->reader();

	tick = cid_ticks();
	for (uint64_t i = 0; i < r->n; i++) {
		uint64_t q = cid_draw_below(&r->draw, r->keys);
		size_t got;

		if (i % 256 == 255) {
			p->renew(h);
			tick = cid_ticks();
		}
		k = r->absent ? cid_data_absent(&r->w->data, q) : cid_data_key(&r->w->data, q);
		got = p->get(h, &k, v, 4);
		if (!r->absent) {
			want = cid_data_value(&r->w->data, q, 0);
			got = got == 1 && memcmp(&want, v, sizeof(want)) == 0 ? 0 : 1;
		}
		r->wrong += got != 0;
		next = cid_ticks();
		cid_hist_add(&r->hist, (double)(next - tick) * ns);
		tick = next;
	}
	r->seconds = cid_seconds() - begin;
	p->end(h);
	return NULL;
}

/* A stream of keys of its own for each process, call and thread. */
static void seed(struct reader *r)
{
	static uint64_t calls;

	r->draw.state = cid_mix(cid_mix((uint64_t)getpid()) ^ ++calls ^ cid_ticks());
}

static void read_all(const struct work *w, uint64_t keys, bool absent, unsigned threads, uint64_t n,
		     bool say)
{
	pthread_t thread[THREADS];
	struct reader *r = calloc(threads, sizeof(*r));
	struct cid_hist *h = calloc(1, sizeof(*h));
	double rate = 0;
	uint64_t wrong = 0;
	char name[64];

	if (r == NULL || h == NULL || threads > THREADS)
		PEER_DIE("memory", "");
	for (unsigned i = 0; i < threads; i++) {
		r[i] = (struct reader){ .w = w, .keys = keys, .n = n, .absent = absent };
		seed(&r[i]);
		PEER_TRY(pthread_create(&thread[i], NULL, read_keys, &r[i]));
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		cid_hist_merge(h, &r[i].hist);
		rate += (double)r[i].n / r[i].seconds;
		wrong += r[i].wrong;
	}
	if (say) {
		snprintf(name, sizeof(name), "%s_%ut", absent ? "miss" : "hit", threads);
		work_say_hist(w, name, h, 1, "ns");
		snprintf(name, sizeof(name), "%s_%ut_rate", absent ? "miss" : "hit", threads);
		work_say(w, name, rate, "/s");
	}
	if (wrong > 0)
		work_say(w, "wrong", (double)wrong, "lookups");
	free(r);
	free(h);
}

void work_lookup(struct work *w)
{
	uint64_t keys = count(w);

	work_open(w, false);
	read_all(w, keys, false, 1, keys / 4 < WARM ? keys / 4 : WARM, false);
	for (unsigned t = 1; t <= w->threads; t++) {
		read_all(w, keys, false, t, w->lookups, true);
		read_all(w, keys, true, t, w->lookups, true);
	}
	w->peer->close();
}

/* New keys behind those that are there; each call of the program its own. */
void work_single(struct work *w)
{
	uint64_t at = 1ull << 36 | (uint64_t)getpid() << 22;
	struct cid_hist h = { 0 };
	double begin, t;

	work_open(w, true);
	begin = cid_seconds();
	for (unsigned i = 0; i < 5000 && cid_seconds() - begin < 5; i++) {
		struct cidstore_pair p = work_one_value(w, at++);

		t = cid_seconds();
		w->peer->put(&p, 1);
		w->peer->sync();
		if (i >= 20)
			cid_hist_add(&h, (cid_seconds() - t) * 1e9);
	}
	work_say_hist(w, "durable", &h, 1e3, "us");
	w->peer->close();
	memset(&h, 0, sizeof(h));
	work_open(w, false);
	begin = cid_seconds();
	for (unsigned i = 0; i < 500000 && cid_seconds() - begin < 4; i++) {
		struct cidstore_pair p = work_one_value(w, at++);

		t = cid_seconds();
		w->peer->put(&p, 1);
		cid_hist_add(&h, (cid_seconds() - t) * 1e9);
	}
	work_say_hist(w, "not_durable", &h, 1e3, "us");
	w->peer->sync();
	w->peer->close();
}
