/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/thread.h"
#include "fusefs/kernel.h"

#define QUEUE 1024u
#define MS 1000000ll
/* A waiting request goes on after this long, told or not: a kernel without an
 * epoch may make the helper wait for a directory. */
#define SETTLE_LIMIT (200 * MS)
/* Sweeps over all nodes take at most a tenth of the helper's time. */
#define SWEEP_REST 9
#define PRUNE_REST (20 * MS)

struct cid_notify {
	struct cid_fusefs *fs;
	struct cid_kernel kernel; /* the helper's */
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* protects all below, but for the atomics */
	pthread_cond_t work, done;
	uint64_t queue[QUEUE]; /* nodes */
	size_t queued;
	bool all;   /* everything may have changed */
	bool sweep; /* go through all nodes when the time has come */
	bool stop;
	_Atomic bool prune;
	_Atomic uint64_t posted, settled; /* foreign changes queued; told */
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

static struct timespec deadline(int64_t ns)
{
	return (struct timespec){ ns / (1000 * MS), ns % (1000 * MS) };
}

/* ---- posting; any thread ---- */

static void post(struct cid_notify *n, uint64_t node, bool all)
{
	pthread_mutex_lock(&n->lock);
	if (all || n->queued == QUEUE)
		n->all = true;
	else
		n->queue[n->queued++] = node;
	atomic_fetch_add(&n->posted, 1);
	pthread_cond_signal(&n->work);
	pthread_mutex_unlock(&n->lock);
}

void cid_notify_grown(struct cid_notify *n)
{
	if (!cid_nodes_excess(n->fs->nodes) || atomic_exchange(&n->prune, true))
		return;
	pthread_mutex_lock(&n->lock);
	pthread_cond_signal(&n->work);
	pthread_mutex_unlock(&n->lock);
}

void cid_notify_foreign(void *arg, const struct cidstore_id *key, const struct cidstore_id *value)
{
	struct cid_fusefs *f = arg;
	struct cid_node id = { .kind = CID_NODE_KEY };
	uint64_t node;

	atomic_fetch_add(&f->changes, 1);
	atomic_fetch_add(&f->foreign, 1);
	if (!key) {
		post(f->notify, 0, true);
		return;
	}
	id.key = *key;
	node = cid_nodes_find(f->nodes, &id);
	if (node)
		post(f->notify, node, false);
	if (!value)
		return;
	id.kind = CID_NODE_VALUE;
	id.value = *value;
	node = cid_nodes_find(f->nodes, &id);
	if (node)
		post(f->notify, node, false);
}

void cid_notify_settle(struct cid_notify *n)
{
	uint64_t goal = atomic_load(&n->posted);
	struct timespec limit;

	if (atomic_load(&n->settled) >= goal)
		return;
	limit = deadline(now() + SETTLE_LIMIT);
	pthread_mutex_lock(&n->lock);
	while (!n->stop && atomic_load(&n->settled) < goal)
		if (pthread_cond_timedwait(&n->done, &n->lock, &limit) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&n->lock);
}

/* ---- sending; the helper ---- */

static void drop_name(struct cid_notify *n, uint64_t node)
{
	struct cid_nodes *nodes = n->fs->nodes;
	struct cid_node id, dir = { .kind = CID_NODE_KEY };
	uint64_t parent = CID_ROOT;
	char name[33];

	if (cid_nodes_get(nodes, node, &id) || id.gone)
		return;
	if (id.kind == CID_NODE_VALUE) {
		dir.key = id.key;
		parent = cid_nodes_find(nodes, &dir);
	} else if (id.kind != CID_NODE_KEY) {
		return;
	}
	if (!parent)
		return;
	cidstore_id_format(id.kind == CID_NODE_VALUE ? id.value : id.key, name);
	name[32] = '\0';
	cid_kernel_drop_name(&n->kernel, parent, name);
}

static void send_nodes(struct cid_notify *n, const uint64_t *node, size_t count, bool all)
{
	for (size_t i = 0; i < count; i++)
		cid_kernel_drop_attr(n->fs->session, node[i]);
	if (all)
		cid_kernel_drop_attr(n->fs->session, CID_ROOT);
	if ((!count && !all) || cid_kernel_new_epoch(&n->kernel))
		return;
	for (size_t i = 0; i < count; i++)
		drop_name(n, node[i]);
}

/* A piece of a walk over all nodes; false at its end. With an epoch the names
 * are outdated already, and of attributes only those of keys can change. */
static bool sweep_step(struct cid_notify *n, uint64_t *cursor)
{
	bool epoch = n->kernel.has_epoch;
	uint64_t node[CID_NODES_STEP];
	size_t count;
	bool more = cid_nodes_walk(n->fs->nodes, epoch, cursor, node, &count);

	for (size_t i = 0; i < count; i++) {
		cid_kernel_drop_attr(n->fs->session, node[i]);
		if (!epoch)
			drop_name(n, node[i]);
	}
	return more;
}

/* Asks for a piece of the excess, and an eighth more so as not to be back at
 * once. Nodes in use stay and count as new. */
static bool prune_step(struct cid_notify *n, size_t *left)
{
	uint64_t node[CID_NODES_STEP];
	size_t want = *left < CID_NODES_STEP ? *left : CID_NODES_STEP;
	size_t count = cid_nodes_oldest(n->fs->nodes, node, want);

	if (!cid_kernel_prune(&n->kernel, node, count))
		for (size_t i = 0; i < count; i++)
			drop_name(n, node[i]);
	*left -= count;
	return count && *left;
}

struct helper {
	uint64_t node[QUEUE];
	uint64_t cursor;    /* of the sweep under way */
	bool sweeping;
	int64_t sweep_begun, sweep_next;
	size_t prune_left;  /* of the round of pruning under way */
	int64_t prune_next;
};

/* Waits for something to do; takes the queue. False: stop. */
static bool await(struct cid_notify *n, struct helper *h, size_t *count, bool *all, uint64_t *goal)
{
	bool stop;

	pthread_mutex_lock(&n->lock);
	while (!n->stop && !n->queued && !n->all && !h->sweeping && !h->prune_left) {
		int64_t t = now(), until = INT64_MAX;
		struct timespec limit;

		if (n->sweep)
			until = h->sweep_next;
		if (atomic_load(&n->prune) && h->prune_next < until)
			until = h->prune_next;
		if (until <= t)
			break;
		if (until == INT64_MAX) {
			pthread_cond_wait(&n->work, &n->lock);
			continue;
		}
		limit = deadline(until);
		pthread_cond_timedwait(&n->work, &n->lock, &limit);
	}
	memcpy(h->node, n->queue, n->queued * sizeof(*h->node));
	*count = n->queued;
	*all = n->all;
	n->sweep |= n->all;
	n->queued = 0;
	n->all = false;
	*goal = atomic_load(&n->posted);
	if (n->sweep && !h->sweeping && now() >= h->sweep_next) {
		n->sweep = false;
		h->sweeping = true;
		h->sweep_begun = now();
		h->cursor = 0;
	}
	stop = n->stop;
	pthread_mutex_unlock(&n->lock);
	return !stop;
}

static void told(struct cid_notify *n, uint64_t goal)
{
	if (atomic_load(&n->settled) >= goal)
		return;
	pthread_mutex_lock(&n->lock);
	atomic_store(&n->settled, goal);
	pthread_cond_broadcast(&n->done);
	pthread_mutex_unlock(&n->lock);
}

static void *helper_main(void *arg)
{
	struct cid_notify *n = arg;
	struct helper *h = calloc(1, sizeof(*h));
	size_t count;
	uint64_t goal;
	bool all;

	while (h && await(n, h, &count, &all, &goal)) {
		send_nodes(n, h->node, count, all);
		told(n, goal);
		if (h->sweeping && !sweep_step(n, &h->cursor)) {
			h->sweeping = false;
			h->sweep_next = now() + SWEEP_REST * (now() - h->sweep_begun);
		}
		if (!h->prune_left && atomic_load(&n->prune) && now() >= h->prune_next) {
			atomic_store(&n->prune, false);
			h->prune_left = cid_nodes_excess(n->fs->nodes);
			h->prune_left += h->prune_left ? n->fs->opt.max_nodes / 8 : 0;
		}
		if (h->prune_left && !prune_step(n, &h->prune_left)) {
			h->prune_left = 0;
			h->prune_next = now() + PRUNE_REST;
			/* Forgets arrive later: look again then. */
			atomic_store(&n->prune, true);
		}
	}
	free(h);
	return NULL;
}

/* ---- life ---- */

int cid_notify_new(struct cid_fusefs *f, struct cid_notify **out)
{
	struct cid_notify *n = calloc(1, sizeof(*n));
	pthread_condattr_t attr;

	if (!n)
		return CIDSTORE_ENOMEM;
	n->fs = f;
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->work, &attr);
	pthread_cond_init(&n->done, &attr);
	pthread_condattr_destroy(&attr);
	*out = n;
	return 0;
}

int cid_notify_start(struct cid_notify *n)
{
	int rc;

	cid_kernel_init(&n->kernel, n->fs->session);
	rc = cid_thread_start(&n->thread, helper_main, n);
	n->running = !rc;
	return rc ? CIDSTORE_ENOMEM : 0;
}

void cid_notify_stop(struct cid_notify *n)
{
	if (!n->running)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_broadcast(&n->work);
	pthread_cond_broadcast(&n->done);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	n->running = false;
}

void cid_notify_free(struct cid_notify *n)
{
	if (!n)
		return;
	cid_notify_stop(n);
	pthread_cond_destroy(&n->work);
	pthread_cond_destroy(&n->done);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
