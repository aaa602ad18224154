/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_reopen.c - cidctl bench reopen: after kill -9 amidst a load, with a full log */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "tools/bench.h"
#include "tools/report.h"

#define SAMPLE	     200000u
#define TAIL	     65536u
#define WAIT_SECONDS 3.0

/* Between the process that loads and the one that kills it. */
struct shared {
	_Atomic uint64_t inserted, durable, log_used, log_most;
	atomic_int failed;
};

static void load_on(const struct cid_bench *b, struct shared *x)
{
	struct cidstore_pair *p = malloc(b->batch * sizeof(*p));
	struct cidstore_stats stats;
	struct cid_group g;
	struct cidstore *s;
	uint64_t syncs = 0;

	if (p == NULL || cid_bench_open(b, true, &s) != 0) {
		atomic_store(&x->failed, 1);
		return;
	}
	cid_group_init(&g, s);
	for (uint64_t i = 0;; i += b->batch) {
		for (uint64_t j = 0; j < b->batch; j++)
			p[j] = cid_data_pair(&b->data, i + j, 0);
		if (cid_bench_check(cidstore_insert(s, p, b->batch, NULL), "insert") != 0 ||
		    cid_group_tick(&g, b->batch, false) != 0)
			break;
		atomic_store(&x->inserted, i + b->batch);
		if (g.sync.n != syncs)
			atomic_store(&x->durable, i + b->batch);
		syncs = g.sync.n;
		cidstore_stats(s, &stats);
		atomic_store(&x->log_used, stats.log_used);
		if (stats.log_used > atomic_load(&x->log_most))
			atomic_store(&x->log_most, stats.log_used);
	}
	atomic_store(&x->failed, 1);
}

/* Once the keys are in, as soon as the log is as full as it was before. */
static int kill_at_full(const struct cid_bench *b, pid_t pid, struct shared *x)
{
	double since = 0;

	for (;;) {
		if (atomic_load(&x->failed) || waitpid(pid, NULL, WNOHANG) == pid)
			return -1;
		if (atomic_load(&x->inserted) >= b->keys) {
			if (since <= 0)
				since = cid_seconds();
			if (cid_seconds() - since > WAIT_SECONDS ||
			    atomic_load(&x->log_used) * 20 >= atomic_load(&x->log_most) * 19)
				break;
		}
		usleep(500);
	}
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static int check(const struct cid_bench *b, struct cidstore *s, const struct shared *x,
		 struct cid_result *r)
{
	uint64_t durable = x->durable, inserted = x->inserted, lost = 0, n;
	struct cid_draw draw = { b->seed };

	for (uint64_t i = 0; i < SAMPLE && durable > 0; i++)
		lost += cidstore_count(s, cid_data_key(&b->data, cid_draw_below(&draw, durable)),
				       &n) != 0;
	/* What was acknowledged survives the process, durable or not. */
	for (uint64_t i = inserted > TAIL ? inserted - TAIL : 0; i < inserted; i++)
		lost += cidstore_count(s, cid_data_key(&b->data, i), &n) != 0;
	cid_result_add(r, "inserted", (double)inserted, "pairs");
	cid_result_add(r, "lost_of_sample", (double)lost, "pairs");
	cid_result_bar(r, '<', 0);
	if (lost > 0)
		cid_report("%llu acknowledged pairs are lost", (unsigned long long)lost);
	return lost > 0 ? -1 : 0;
}

static int reopen(const struct cid_bench *b, const struct shared *x, struct cid_result *r)
{
	double begin = cid_seconds(), opened;
	struct cidstore_stats stats;
	struct cid_memory m;
	struct cidstore *s;
	uint64_t n;
	int rc;

	if (cid_bench_open(b, false, &s) != 0)
		return -1;
	opened = cid_seconds();
	rc = cid_bench_check(cidstore_count(s, cid_data_key(&b->data, 0), &n), "first lookup");
	cid_result_add(r, "reopen", cid_seconds() - begin, "s");
	cid_result_bar(r, '<', b->keys > 20000000 ? 2 : 0.3);
	cid_result_add(r, "open", opened - begin, "s");
	cidstore_stats(s, &stats);
	cid_meter_memory(&m);
	cid_result_add(r, "log_at_kill", 100.0 * (double)x->log_used / (double)stats.log_records,
		       "%");
	cid_result_add(r, "runs", (double)stats.runs, "");
	cid_result_add(r, "memory", (double)(m.anon + m.shmem) / (1 << 20), "MiB");
	if (rc == 0)
		rc = check(b, s, x, r);
	return cid_bench_close(s) != 0 ? -1 : rc;
}

static int run(struct cid_bench *b, struct cid_result *r)
{
	struct shared *x =
		mmap(NULL, sizeof(*x), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int rc;

	if (x == MAP_FAILED)
		return cid_bench_check(CIDSTORE_ENOMEM, "shared page");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		load_on(b, x);
		_exit(1);
	}
	rc = pid > 0 ? kill_at_full(b, pid, x) : -1;
	if (rc != 0)
		cid_report("the process that loads ended early");
	else
		rc = reopen(b, x, r);
	munmap(x, sizeof(*x));
	return rc;
}

const struct cid_bench_run cid_bench_reopen = {
	"reopen", "kill -9 amidst a load, then open and look up", 10000000, 1, 0, run
};
