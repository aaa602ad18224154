/* SPDX-License-Identifier: BSD-2-Clause */
/* repair.c - the order of a repair; see repair.h */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/reach.h"
#include "store/repair.h"

enum { COMMIT_EVERY = 64 }; /* parts written anew */

static int tell(struct cid_repair *r, const char *word, const char *fmt, va_list ap)
{
	char text[400];
	int n;

	if (!r || !r->lost)
		return CIDSTORE_ECORRUPT;
	n = snprintf(text, sizeof(text), "%s ", word);
	(void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	return r->lost(r->arg, text);
}

int cid_repair_lost(struct cid_repair *r, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = tell(r, "lost", fmt, ap);
	va_end(ap);
	if (rc == 0)
		r->losses++;
	return rc;
}

int cid_repair_maybe(struct cid_repair *r, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = tell(r, "maybe", fmt, ap);
	va_end(ap);
	return rc;
}

void cid_repair_say(struct cid_repair *r, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (!r || !r->say)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->say(r->arg, text, 0);
}

static void count(void *arg, const char *what)
{
	(void)what;
	++*(uint64_t *)arg;
}

/* Does anything of it want to be written anew? */
static int sound(struct cidstore *s, const struct cid_part *p, bool run, bool *yes)
{
	uint64_t damages = 0;
	struct cid_reach w = { .pool = s->pool, .root = &s->root, .io = s->io, .delfd = s->delfd,
			       .deep = true, .damage = count, .arg = &damages };
	int rc = cid_reach_part(&w, &p->slot, run ? 0 : p->prefix,
				run ? CID_PART_RUN : CID_PART_BUCKET);

	*yes = damages == 0 && w.corrected == 0;
	return rc;
}

/* Told before it is done. */
static int commit(struct cidstore *s, struct cid_repair *r)
{
	const struct cid_keep nobody = { .own = cid_pin_lowest(s), .view = UINT64_MAX,
					 .snapshot = UINT64_MAX };
	int rc = r->lost ? r->lost(r->arg, NULL) : 0;

	if (rc == 0)
		rc = cid_commit(s);
	if (rc == 0)
		cid_space_reclaim(&s->space, s->root.generation,
				  s->io->monotonic(s->io->self), &nobody);
	if (rc == 0)
		cid_retired_free(s, false);
	return rc;
}

static int renew(struct cidstore *s, struct cid_repair *r, struct cid_part *p, bool run,
		 unsigned *done)
{
	uint64_t pos = p->slot.pos;
	bool yes;
	int rc = pos ? sound(s, p, run, &yes) : 0;

	if (rc || pos == 0 || yes)
		return rc;
	rc = cid_part_rewrite(s, p, run, r);
	if ((rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) && !r->lost) {
		/* Nothing may be lost: it stays as it is. */
		s->sweep_blocked = rc;
		return 0;
	}
	if (rc)
		return rc;
	cid_repair_say(r, "%s at %llu: written anew", run ? "run" : "bucket",
		       (unsigned long long)pos);
	return ++*done % COMMIT_EVERY == 0 ? commit(s, r) : 0;
}

static int renew_parts(struct cidstore *s, struct cid_repair *r)
{
	unsigned done = 0;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < cid_view_now(s)->nruns;) {
		uint32_t before = cid_view_now(s)->nruns;

		rc = renew(s, r, cid_view_now(s)->run[i], true, &done);
		/* One that nothing is left of is gone from the list. */
		i += cid_view_now(s)->nruns == before;
	}
	for (uint64_t at = 0; rc == 0 && !(at >> CID_HASH_BITS);) {
		struct cid_part *p = cid_dir_get(cid_view_now(s)->dir, at);

		at = p->prefix + (1ull << (CID_HASH_BITS - p->slot.depth));
		rc = renew(s, r, p, false, &done);
		if (r->say)
			r->say(r->arg, NULL, (double)at / (double)(1ull << CID_HASH_BITS));
	}
	return rc;
}

/* A root's count of keys and values in buckets may have been of other buckets. */
static void recount(struct cidstore *s)
{
	const struct cid_dir *d = cid_view_now(s)->dir;
	uint64_t keys = 0, values = 0;

	for (uint64_t i = 0; i < 1ull << d->depth; i++) {
		const struct cid_part *p = atomic_load(&d->slot[i]);

		if (i && p == atomic_load(&d->slot[i - 1]))
			continue;
		keys += p->slot.keys;
		values += p->slot.values;
	}
	s->base_keys = keys;
	s->base_values = values;
}

int cid_repair_run(struct cidstore *s, struct cid_repair *r)
{
	int rc;

	pthread_mutex_lock(&s->maint);
	/* A sweep begins anew with what is there then. */
	cid_sweep_drop(s);
	s->root.sweep_run = s->root.sweep_keys = s->root.sweep_values = 0;
	recount(s);
	rc = renew_parts(s, r);
	if (rc == 0) {
		recount(s);
		s->changed = true;
		rc = commit(s, r);
	}
	if (rc == 0 && !s->sweep_blocked) {
		uint64_t freed;

		rc = cid_collect_leaks(s, &freed);
	}
	if (rc == 0 && s->changed)
		rc = commit(s, r);
	pthread_mutex_unlock(&s->maint);
	return rc;
}
