/* SPDX-License-Identifier: BSD-2-Clause */
/* load.c - inserting, durable in groups; deleting; killed and opened again */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/meter.h"
#include "peers/work.h"

#define GROUP_OPS     65536u
#define GROUP_SECONDS 0.1

void work_group_init(struct work_group *g, const struct peer *p)
{
	memset(g, 0, sizeof(*g));
	g->peer = p;
	g->at = cid_seconds();
}

bool work_group_tick(struct work_group *g, uint64_t ops, bool force)
{
	double now = cid_seconds();

	g->ops += ops;
	if (!force && g->ops < GROUP_OPS && now - g->at < GROUP_SECONDS)
		return false;
	g->peer->sync();
	g->at = cid_seconds();
	cid_hist_add(&g->sync, (g->at - now) * 1e9);
	g->ops = 0;
	return true;
}

void work_open(const struct work *w, bool durable)
{
	struct peer_config c = { durable, w->n };

	w->peer->open(w->dir, &c);
}

void work_fresh(const struct work *w)
{
	char cmd[1200];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s' && mkdir -p '%s'", w->dir, w->dir);
	PEER_TRY(system(cmd));
}

struct cidstore_pair work_one_value(const struct work *w, uint64_t i)
{
	return cid_data_pair(&w->data, i, 0);
}

/* How many pairs a load that was cut off left, for the works after it. */
static void leave_count(const struct work *w, uint64_t n)
{
	char path[1200];
	FILE *f;

	snprintf(path, sizeof(path), "%s.count", w->dir);
	f = fopen(path, "w");
	if (f == NULL || fprintf(f, "%llu\n", (unsigned long long)n) < 0 || fclose(f) != 0)
		PEER_DIE("writing", path);
}

uint64_t work_load(const struct work *w, work_pair_fn *pair, uint64_t n, bool durable)
{
	struct cidstore_pair p[WORK_BATCH];
	struct cid_hist *batch = calloc(1, sizeof(*batch));
	struct work_group g;
	double begin = cid_seconds(), tenth = begin, first = 0, last = 0, took;
	uint64_t i = 0, at = 0;

	if (batch == NULL)
		PEER_DIE("memory", "");
	work_group_init(&g, w->peer);
	while (i < n && cid_seconds() - begin < w->limit) {
		size_t m = n - i < WORK_BATCH ? (size_t)(n - i) : WORK_BATCH;
		double t;

		for (size_t j = 0; j < m; j++)
			p[j] = pair(w, i + j);
		t = cid_seconds();
		w->peer->put(p, m);
		if (durable)
			work_group_tick(&g, m, false);
		cid_hist_add(batch, (cid_seconds() - t) * 1e9);
		i += m;
		if ((i - at) * 10 >= n) {
			last = (double)(i - at) / (cid_seconds() - tenth);
			first = first > 0 ? first : last;
			at = i;
			tenth = cid_seconds();
		}
	}
	if (durable)
		work_group_tick(&g, 0, true);
	took = cid_seconds() - begin;
	work_say(w, "pairs", (double)i, "");
	work_say(w, "rate", (double)i / took, "/s");
	work_say(w, "last_of_first", first > 0 ? last / first : 0, "");
	work_say_hist(w, "batch", batch, 1e6, "ms");
	leave_count(w, i);
	free(batch);
	return i;
}

static void insert(struct work *w, work_pair_fn *pair)
{
	struct cid_io_count begin, end;
	struct cid_memory m;
	struct timespec cpu;
	uint64_t n;
	double t;

	work_fresh(w);
	cid_meter_io(w->dir, &begin);
	work_open(w, true);
	n = work_load(w, pair, w->n, true);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	work_say(w, "cpu", ((double)cpu.tv_sec * 1e6 + (double)cpu.tv_nsec / 1e3) / (double)n,
		 "us");
	cid_meter_memory(&m);
	work_say(w, "memory", (double)(m.anon + m.shmem) / 1048576, "MiB");
	t = cid_seconds();
	w->peer->close();
	work_say(w, "close", cid_seconds() - t, "s");
	cid_meter_io(w->dir, &end);
	work_say(w, "process_written",
		 (double)(end.written_bytes - begin.written_bytes) / (double)n, "B/pair");
	work_say(w, "disk", (double)cid_meter_disk(w->dir) / (double)n, "B/pair");
}

void work_insert(struct work *w)
{
	insert(w, work_one_value);
}

static const struct cid_zipf *zipf;

static struct cidstore_pair zipf_pair(const struct work *w, uint64_t i)
{
	(void)w;
	return cid_zipf_pair(zipf, i);
}

void work_zipf(struct work *w)
{
	struct cid_zipf *z = cid_zipf_new(&w->data, 1000000, 0.9);

	if (z == NULL)
		PEER_DIE("memory", "");
	zipf = z;
	insert(w, zipf_pair);
	cid_zipf_free(z);
}

/* Between the process that loads and the one that kills it. */
struct shared {
	_Atomic uint64_t put, durable;
};

static void load_on(const struct work *w, struct shared *x)
{
	struct cidstore_pair p[WORK_BATCH];
	struct work_group g;

	work_open(w, true);
	work_group_init(&g, w->peer);
	for (uint64_t i = 0; i < w->n * 2; i += WORK_BATCH) {
		for (size_t j = 0; j < WORK_BATCH; j++)
			p[j] = work_one_value(w, i + j);
		w->peer->put(p, WORK_BATCH);
		atomic_store(&x->put, i + WORK_BATCH);
		if (work_group_tick(&g, WORK_BATCH, false))
			atomic_store(&x->durable, i + WORK_BATCH);
	}
}

void work_reopen(struct work *w)
{
	struct shared *x =
		mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double begin = cid_seconds();
	uint64_t lost = 0, durable;
	struct cid_draw draw = { 11 };
	struct cidstore_id k, v;
	void *r;
	pid_t pid;

	if (x == MAP_FAILED)
		PEER_DIE("mmap", "");
	work_fresh(w);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		load_on(w, x);
		_exit(0);
	}
	while (atomic_load(&x->put) < w->n && cid_seconds() - begin < w->limit) {
		usleep(1000);
		if (pid < 0 || waitpid(pid, NULL, WNOHANG) == pid)
			PEER_DIE("loading", "");
	}
	usleep(37000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	durable = x->durable;
	begin = cid_seconds();
	work_open(w, true);
	r = w->peer->reader();
	k = cid_data_key(&w->data, 0);
	lost += w->peer->get(r, &k, &v, 1) < 1;
	work_say(w, "reopen", (cid_seconds() - begin) * 1e3, "ms");
	for (unsigned i = 0; i < 200000 && durable > 0; i++) {
		k = cid_data_key(&w->data, cid_draw_below(&draw, durable));
		lost += w->peer->get(r, &k, &v, 1) < 1;
	}
	work_say(w, "durable", (double)durable, "pairs");
	work_say(w, "lost_of_sample", (double)lost, "pairs");
	w->peer->end(r);
	w->peer->close();
	munmap(x, sizeof(*x));
}

static struct cidstore_pair two_values(const struct work *w, uint64_t i)
{
	return cid_data_pair(&w->data, i % (w->n / 2), i / (w->n / 2));
}

/* n pairs are n/2 keys with two values: one of each goes, then half the keys. */
void work_delete(struct work *w)
{
	struct cidstore_pair p[WORK_BATCH];
	struct cidstore_id k[WORK_BATCH], v[4];
	uint64_t keys = w->n / 2, wrong = 0;
	struct work_group g;
	double begin;
	void *r;

	work_fresh(w);
	work_open(w, false);
	work_load(w, two_values, w->n, false);
	w->peer->close();
	work_say(w, "disk_full", (double)cid_meter_disk(w->dir) / 1e6, "MB");
	work_open(w, true);
	work_group_init(&g, w->peer);
	begin = cid_seconds();
	for (uint64_t i = 0; i < keys; i += WORK_BATCH) {
		size_t m = keys - i < WORK_BATCH ? (size_t)(keys - i) : WORK_BATCH;

		for (size_t j = 0; j < m; j++)
			p[j] = cid_data_pair(&w->data, cid_shuffled(i + j, keys), 1);
		w->peer->del(p, m);
		work_group_tick(&g, m, i + m == keys);
	}
	work_say(w, "values_rate", (double)keys / (cid_seconds() - begin), "/s");
	begin = cid_seconds();
	for (uint64_t i = 0; i < keys / 2; i += WORK_BATCH) {
		size_t m = keys / 2 - i < WORK_BATCH ? (size_t)(keys / 2 - i) : WORK_BATCH;

		for (size_t j = 0; j < m; j++)
			k[j] = cid_data_key(&w->data, cid_shuffled(i + j, keys));
		w->peer->del_keys(k, m);
		work_group_tick(&g, m, i + m == keys / 2);
	}
	work_say(w, "keys_rate", (double)(keys / 2) / (cid_seconds() - begin), "/s");
	w->peer->close();
	work_say(w, "disk_after", (double)cid_meter_disk(w->dir) / 1e6, "MB");
	work_open(w, false);
	r = w->peer->reader();
	for (uint64_t i = 0; i < keys; i += 7) {
		struct cidstore_id q = cid_data_key(&w->data, cid_shuffled(i, keys));

		wrong += w->peer->get(r, &q, v, 4) != (i < keys / 2 ? 0u : 1u);
	}
	w->peer->end(r);
	w->peer->close();
	work_say(w, "wrong", (double)wrong, "keys");
}
