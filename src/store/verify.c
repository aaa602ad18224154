/* SPDX-License-Identifier: BSD-2-Clause */
/* verify.c - verification of a committed state while the store is in use */
#include <string.h>

#include "store/engine.h"
#include "store/reach.h"

static void damage(void *arg, const char *what)
{
	struct cidstore *s = arg;

	(void)what;
	pthread_mutex_lock(&s->wake_lock);
	s->verify.report.errors++;
	pthread_mutex_unlock(&s->wake_lock);
	s->t.corrupt++;
}

static int progress(void *arg, double share)
{
	struct cidstore *s = arg;
	bool stop;

	pthread_mutex_lock(&s->wake_lock);
	s->verify.progress = share;
	stop = s->stop;
	pthread_mutex_unlock(&s->wake_lock);
	return stop ? CIDSTORE_EAGAIN : 0;
}

static void *verify(void *arg)
{
	struct cidstore *s = arg;
	struct cid_pin pin;
	struct cid_root root;
	struct cid_reach w = { .pool = s->pool, .root = &root, .io = s->io, .delfd = s->delfd,
			       .deep = true, .damage = damage, .progress = progress, .arg = s };

	pthread_mutex_lock(&s->maint);
	root = s->root;
	/* What is changed in it ahead of a commit does not matter here. */
	root.deletion_head = root.deletion_tail;
	pthread_mutex_lock(&s->pin_lock);
	pin = (struct cid_pin){ .epoch = root.generation, .next = s->pins };
	s->pins = &pin;
	pthread_mutex_unlock(&s->pin_lock);
	pthread_mutex_unlock(&s->maint);
	(void)cid_reach(&w);
	pthread_mutex_lock(&s->pin_lock);
	for (struct cid_pin **p = &s->pins; *p; p = &(*p)->next)
		if (*p == &pin) {
			*p = pin.next;
			break;
		}
	pthread_mutex_unlock(&s->pin_lock);
	pthread_mutex_lock(&s->wake_lock);
	s->verify.report.keys = w.keys;
	s->verify.report.values = w.values;
	s->verify.report.buckets = w.buckets;
	s->verify.report.runs = w.runs;
	s->verify.report.units = w.units;
	s->verify.report.bytes = w.bytes;
	s->verify.report.corrected = w.corrected;
	s->verify.progress = 1;
	s->verify.running = 0;
	pthread_mutex_unlock(&s->wake_lock);
	return NULL;
}

int cid_verify_run(struct cidstore *s)
{
	if (s->manual) {
		(void)verify(s);
		return 0;
	}
	cid_verify_join(s);
	if (pthread_create(&s->verify_thread, NULL, verify, s)) {
		pthread_mutex_lock(&s->wake_lock);
		s->verify.running = 0;
		pthread_mutex_unlock(&s->wake_lock);
		return CIDSTORE_ENOMEM;
	}
	s->verify_started = true;
	return 0;
}

void cid_verify_join(struct cidstore *s)
{
	if (s->verify_started)
		pthread_join(s->verify_thread, NULL);
	s->verify_started = false;
}
