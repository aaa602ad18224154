/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "base/thread.h"
#include "control/control.h"
#include "fusefs/ctl.h"

#define ROUND_NS    1000000
#define BUFFER	    (128u << 10)

struct parked {
	struct parked *next;
	fuse_req_t req;
	struct cid_ctl_handle *h; /* stays: its file is in use by the request */
	size_t size;
};

struct cid_wait {
	struct cid_fusefs *fs;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t work;
	struct parked *parked;	     /* the newest first */
	struct cid_ctl_handle *poll; /* those with a poll handle */
	bool stop;
	char *buf; /* the helper's */
};

/* ---- putting aside; any thread ---- */

/* May be called with the request's lock held: answering is the helper's. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct cid_wait *w = data;

	(void)req;
	cid_control_wake(w->fs->control);
}

bool cid_wait_read(struct cid_wait *w, fuse_req_t req, struct cid_ctl_handle *h, size_t size)
{
	struct parked *p = malloc(sizeof(*p));

	if (!p)
		return false;
	*p = (struct parked){ .req = req, .h = h, .size = size };
	/* From here on the helper looks, in each round, whether it was
	 * interrupted; before it is in the list nobody else answers it. */
	fuse_req_interrupt_func(req, on_interrupt, w);
	pthread_mutex_lock(&w->lock);
	p->next = w->parked;
	w->parked = p;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	/* What came between the caller's try and now has woken nobody. */
	cid_control_wake(w->fs->control);
	return true;
}

void cid_wait_poll(struct cid_wait *w, struct cid_ctl_handle *h, struct fuse_pollhandle *ph)
{
	pthread_mutex_lock(&w->lock);
	if (h->poll) {
		fuse_pollhandle_destroy(h->poll);
	} else {
		h->poll_next = w->poll;
		w->poll = h;
	}
	h->poll = ph;
	h->poll_seen = cid_control_seen(w->fs->control);
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}

void cid_wait_forget(struct cid_wait *w, struct cid_ctl_handle *h)
{
	struct cid_ctl_handle **at;

	pthread_mutex_lock(&w->lock);
	if (h->poll) {
		for (at = &w->poll; *at != h; at = &(*at)->poll_next)
			;
		*at = h->poll_next;
		fuse_pollhandle_destroy(h->poll);
		h->poll = NULL;
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---- answering; the helper ---- */

static bool answer(struct cid_wait *w, struct parked *p)
{
	ssize_t n;

	if (fuse_req_interrupted(p->req)) {
		fuse_reply_err(p->req, EINTR);
		return true;
	}
	n = cid_ctl_handle_read(p->h, w->buf, p->size < BUFFER ? p->size : BUFFER, 0);
	if (n == -EAGAIN)
		return false;
	if (n < 0)
		fuse_reply_err(p->req, (int)-n);
	else
		fuse_reply_buf(p->req, w->buf, (size_t)n);
	return true;
}

/* `lock` is held. The kernel asks again before it tells anybody. */
static void tell_polls(struct cid_wait *w, uint64_t seen)
{
	struct cid_ctl_handle **at = &w->poll, *h;

	while ((h = *at)) {
		if (h->poll_seen >= seen) {
			at = &h->poll_next;
			continue;
		}
		*at = h->poll_next;
		(void)fuse_lowlevel_notify_poll(h->poll);
		fuse_pollhandle_destroy(h->poll);
		h->poll = NULL;
	}
}

static void put_back(struct cid_wait *w, struct parked *p)
{
	p->next = w->parked;
	w->parked = p;
}

/* What stands in the list is the helper's as soon as it took it. */
static struct parked *take(struct cid_wait *w)
{
	struct parked *p = w->parked;

	w->parked = NULL;
	return p;
}

static void rest(struct timespec *begun)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (now.tv_sec - begun->tv_sec) * 1000000000 + now.tv_nsec - begun->tv_nsec;
	if (ns >= 0 && ns < ROUND_NS) {
		now = (struct timespec){ 0, ROUND_NS - ns };
		nanosleep(&now, NULL);
	}
	clock_gettime(CLOCK_MONOTONIC, begun);
}

static void *wait_main(void *arg)
{
	struct cid_wait *w = arg;
	struct timespec begun = { 0, 0 };
	struct parked *p, *next;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		uint64_t seen;

		while (!w->stop && !w->parked && !w->poll)
			pthread_cond_wait(&w->work, &w->lock);
		if (w->stop)
			break;
		seen = cid_control_seen(w->fs->control);
		tell_polls(w, seen);
		p = take(w);
		pthread_mutex_unlock(&w->lock);
		for (; p; p = next) {
			next = p->next;
			if (answer(w, p)) {
				free(p);
				continue;
			}
			pthread_mutex_lock(&w->lock);
			put_back(w, p);
			pthread_mutex_unlock(&w->lock);
		}
		pthread_mutex_lock(&w->lock);
		if (w->stop)
			break;
		if (!w->parked && !w->poll)
			continue;
		pthread_mutex_unlock(&w->lock);
		cid_control_await(w->fs->control, seen);
		rest(&begun);
		pthread_mutex_lock(&w->lock);
	}
	for (p = take(w); p; p = next) {
		next = p->next;
		fuse_reply_buf(p->req, NULL, 0);
		free(p);
	}
	tell_polls(w, UINT64_MAX);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- life ---- */

int cid_wait_new(struct cid_fusefs *f, struct cid_wait **out)
{
	struct cid_wait *w = calloc(1, sizeof(*w));

	if (w)
		w->buf = malloc(BUFFER);
	if (!w || !w->buf) {
		free(w);
		return CIDSTORE_ENOMEM;
	}
	w->fs = f;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	*out = w;
	return 0;
}

int cid_wait_start(struct cid_wait *w)
{
	int rc = cid_thread_start(&w->thread, wait_main, w);

	w->running = !rc;
	return rc ? CIDSTORE_ENOMEM : 0;
}

void cid_wait_stop(struct cid_wait *w)
{
	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	cid_control_wake(w->fs->control);
	pthread_join(w->thread, NULL);
	w->running = false;
}

void cid_wait_free(struct cid_wait *w)
{
	if (!w)
		return;
	cid_wait_stop(w);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w->buf);
	free(w);
}
