/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maintain.c - what is done behind the writers' backs, step by step
 *
 * Each step leaves the store in a state that may be committed. A full log goes
 * first, as writers wait for it; then a sweep under way, small buckets, the
 * deletion log; then giving space back. With CIDSTORE_MANUAL the caller runs
 * the steps, otherwise a thread does.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "store/engine.h"

#define MS 1000000ull

enum {
	QUIET_MS = 300,	     /* without a change for so long, writers are at rest */
	COMMIT_MS = 1000,    /* at most so long between commits of a sweep */
	RETRY_MS = 200,	     /* after a failed step */
	SWEEP_LOGS = 8,	     /* a sweep is due when the runs hold so many logs' worth */
	SWEEP_SHARE = 4,     /* and at least this share of the buckets */
	IDLE_SHARE = 16,     /* at rest, this share is enough */
	MAX_RUNS = 96,
	PUNCH_PAGES = 16384,
};

static uint64_t now(struct cidstore *s)
{
	return s->io->monotonic(s->io->self);
}

static uint64_t run_entries(const struct cid_view *v)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < v->nruns; i++)
		n += v->run[i]->slot.entries;
	return n;
}

static bool at_rest(struct cidstore *s)
{
	uint64_t lsn = atomic_load(&s->wal.appended);

	if (lsn != s->last_write_lsn) {
		s->last_write_lsn = lsn;
		s->last_write_time = now(s);
	}
	return s->want_rest || now(s) - s->last_write_time >= QUIET_MS * MS;
}

static bool sweep_due(struct cidstore *s, const struct cid_view *v, bool rest)
{
	uint64_t l0, base = atomic_load(&s->base_keys), log = s->root.log_records;

	if (s->sweep.upto || s->sweep_blocked || v->nruns == 0)
		return false;
	if (s->want_sweep || v->nruns >= MAX_RUNS || atomic_load(&s->nospace))
		return true;
	l0 = run_entries(v);
	/* The first sweep gives the directory its shape. */
	if (base == 0 && l0 >= log / 4)
		return true;
	if (rest && l0 * IDLE_SHARE >= base)
		return true;
	return l0 >= SWEEP_LOGS * log && l0 >= base / SWEEP_SHARE;
}

static void measure_runs(struct cidstore *s, const struct cid_view *v)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < v->nruns; i++)
		pages += v->run[i]->slot.pages;
	atomic_store(&s->run_bytes, pages * CID_PAGE);
}

static void reclaim(struct cidstore *s)
{
	uint64_t grace = atomic_load(&s->nospace) || s->manual ?
				 0 :
				 cid_cfg(s, CID_CFG_READER_GRACE_MS) * MS;

	if (s->old_views || s->old_parts)
		cid_retired_free(s, false);
	if (s->space.nretired)
		cid_space_reclaim(&s->space, s->root.generation, cid_pin_lowest(s), now(s), grace);
}

static int sweep_some(struct cidstore *s)
{
	int rc = cid_sweep_step(s);

	if (rc == CIDSTORE_ECORRUPT) {
		/* A part that cannot be read cannot be merged. What is there
		 * stays as it is; fsck tells what to do. */
		s->sweep_blocked = true;
		cid_sweep_drop(s);
		s->c.errors++;
		rc = 0;
	}
	return rc;
}

/* A run that cannot be read blocks what would read all of it. */
static int count_some(struct cidstore *s)
{
	int rc = cid_count_step(s);

	if (rc == CIDSTORE_ECORRUPT) {
		s->sweep_blocked = true;
		s->c.errors++;
		rc = 0;
	}
	return rc;
}

int cid_maintain_step(struct cidstore *s, bool *more)
{
	bool rest = at_rest(s);
	uint64_t t = now(s);
	struct cid_view *v;

	*more = true;
	if (atomic_load(&s->broken) || atomic_load(&s->wal.failed)) {
		*more = false;
		return CIDSTORE_EFAILED;
	}
	reclaim(s); /* may free the view of a moment ago */
	v = cid_view_now(s);
	measure_runs(s, v);
	if (v->frozen || s->awaiting)
		return cid_flush(s);
	if (s->changed && (t - s->last_commit >= COMMIT_MS * MS ||
			   (atomic_load(&s->nospace) && s->space.nretired)))
		return cid_commit(s);
	if (s->sweep.upto)
		return sweep_some(s);
	if (sweep_due(s, v, rest)) {
		s->want_sweep = false;
		return cid_sweep_start(s);
	}
	if (s->buddy_at != UINT64_MAX) {
		bool again;

		return cid_bucket_merge_step(s, &again);
	}
	if (s->root.deletion_tail < s->root.deletion_head || s->ndel) {
		bool again;

		/* Records not committed yet are not there yet. */
		if (s->root.deletion_tail < s->root.deletion_head)
			return cid_collect(s, &again);
		return cid_commit(s);
	}
	if (s->changed)
		return cid_commit(s);
	if (rest && cid_count_due(s))
		return count_some(s);
	if (rest && s->leaks_due) {
		uint64_t freed;

		return cid_collect_leaks(s, &freed);
	}
	if ((rest || atomic_load(&s->nospace)) && cid_space_punch(&s->space, PUNCH_PAGES))
		return 0;
	if (((rest && t - s->last_commit >= cid_cfg(s, CID_CFG_CHECKPOINT_INTERVAL_MS) * MS) ||
	     atomic_load(&s->nospace)) && atomic_load(&v->active->visible)) {
		int sealed;

		pthread_mutex_lock(&s->write);
		sealed = cid_write_seal(s);
		pthread_mutex_unlock(&s->write);
		if (sealed)
			return sealed > 0 ? 0 : sealed;
	}
	*more = false;
	return 0;
}

void cid_maintain_wake(struct cidstore *s)
{
	if (s->manual)
		return;
	pthread_mutex_lock(&s->wake_lock);
	s->wake = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->wake_lock);
}

/* Waits for `ms`, or until woken (the work thread) or told to stop. */
static bool nap(struct cidstore *s, uint64_t ms, bool work)
{
	uint64_t end = now(s) + ms * MS;
	struct timespec t = { (time_t)(end / 1000000000), (long)(end % 1000000000) };
	bool stop;

	pthread_mutex_lock(&s->wake_lock);
	while (!s->stop && !(work && s->wake) &&
	       pthread_cond_timedwait(&s->work, &s->wake_lock, &t) != ETIMEDOUT)
		;
	if (work)
		s->wake = false;
	stop = s->stop;
	pthread_mutex_unlock(&s->wake_lock);
	return !stop;
}

static void set_busy(struct cidstore *s, bool busy)
{
	pthread_mutex_lock(&s->wake_lock);
	s->busy = busy;
	if (!busy) {
		s->idle_count++;
		pthread_cond_broadcast(&s->idle);
	}
	pthread_mutex_unlock(&s->wake_lock);
}

static bool settled(struct cidstore *s)
{
	return s->space.nretired == 0;
}

static void *maintain(void *arg)
{
	struct cidstore *s = arg;
	uint64_t wait = 50;

	while (nap(s, wait, true)) {
		bool more = true;
		int rc = 0;

		set_busy(s, true);
		while (more && rc == 0 && !s->stop) {
			while (atomic_load(&s->maint_waiters))
				sched_yield();
			pthread_mutex_lock(&s->maint);
			rc = cid_maintain_step(s, &more);
			atomic_store(&s->stuck, rc == CIDSTORE_ENOSPC);
			if (rc == CIDSTORE_ENOSPC) {
				atomic_store(&s->nospace, 1);
				pthread_mutex_lock(&s->write);
				pthread_cond_broadcast(&s->room);
				pthread_mutex_unlock(&s->write);
				/* What is committed and free helps the next try. */
				(void)cid_space_punch(&s->space, PUNCH_PAGES);
			} else if (rc == 0 && !more) {
				atomic_store(&s->nospace, 0);
			}
			more = more && rc == 0;
			if (!more)
				s->settled = rc == 0 && settled(s);
			pthread_mutex_unlock(&s->maint);
		}
		set_busy(s, false);
		wait = rc ? RETRY_MS : 50;
	}
	return NULL;
}

static void *sync_often(void *arg)
{
	struct cidstore *s = arg;

	while (nap(s, cid_cfg(s, CID_CFG_SYNC_INTERVAL_MS), false)) {
		uint64_t upto = atomic_load(&s->wal.appended);

		if (upto > atomic_load(&s->wal.durable) && cid_wal_sync(&s->wal, upto))
			cid_store_fail(s, CIDSTORE_EFAILED);
	}
	return NULL;
}

int cid_maintain_start(struct cidstore *s)
{
	s->stop = false;
	if (pthread_create(&s->maint_thread, NULL, maintain, s))
		return CIDSTORE_ENOMEM;
	if (pthread_create(&s->sync_thread, NULL, sync_often, s)) {
		pthread_mutex_lock(&s->wake_lock);
		s->stop = true;
		pthread_cond_broadcast(&s->work);
		pthread_mutex_unlock(&s->wake_lock);
		pthread_join(s->maint_thread, NULL);
		return CIDSTORE_ENOMEM;
	}
	s->threads = true;
	return 0;
}

void cid_maintain_stop(struct cidstore *s)
{
	if (!s->threads)
		return;
	pthread_mutex_lock(&s->wake_lock);
	s->stop = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->wake_lock);
	pthread_join(s->maint_thread, NULL);
	pthread_join(s->sync_thread, NULL);
	s->threads = false;
}

/* ---- asked for ---- */

static void take_maint(struct cidstore *s)
{
	s->maint_waiters++;
	pthread_mutex_lock(&s->maint);
	s->maint_waiters--;
}

static int refuse(struct cidstore *s)
{
	return s->readonly ? CIDSTORE_EROFS : 0;
}

int cidstore_step(struct cidstore *s, int *more)
{
	bool m = false;
	int rc = refuse(s);

	if (rc)
		return rc;
	take_maint(s);
	rc = cid_maintain_step(s, &m);
	if (rc == CIDSTORE_ENOSPC)
		atomic_store(&s->nospace, 1);
	else if (rc == 0)
		atomic_store(&s->nospace, 0);
	pthread_mutex_unlock(&s->maint);
	*more = m;
	return rc;
}

/* Flushes all that the tables held when it was called. maint is held. */
static int checkpoint(struct cidstore *s)
{
	uint64_t upto = atomic_load(&s->wal.appended);
	int rc = cid_flush(s);

	while (rc == 0) {
		struct cid_view *v;
		int sealed = 0;
		bool done;

		pthread_mutex_lock(&s->write);
		v = cid_view_now(s);
		done = !v->frozen && (v->active->count == 0 || v->active->first_lsn > upto);
		if (!done)
			sealed = cid_write_seal(s);
		pthread_mutex_unlock(&s->write);
		if (done)
			break;
		if (sealed)
			rc = sealed > 0 ? cid_flush(s) : sealed;
		else if (s->io->pause)
			s->io->pause(s->io->self, MS); /* until a reader leaves */
	}
	if (rc == 0 && s->changed)
		rc = cid_commit(s);
	return rc;
}

int cidstore_checkpoint(struct cidstore *s)
{
	int rc = refuse(s);

	if (rc)
		return rc;
	take_maint(s);
	rc = checkpoint(s);
	if (rc == CIDSTORE_ENOSPC)
		atomic_store(&s->nospace, 1);
	pthread_mutex_unlock(&s->maint);
	return rc;
}

/* Runs steps until none is left; want() is asked to be set under maint. */
static int run_down(struct cidstore *s)
{
	bool more = true;
	int rc = 0;

	while (more && rc == 0) {
		take_maint(s);
		s->want_rest = true;
		rc = cid_maintain_step(s, &more);
		s->want_rest = false;
		pthread_mutex_unlock(&s->maint);
	}
	return rc;
}

int cidstore_compact(struct cidstore *s)
{
	int rc = cidstore_checkpoint(s);

	if (rc)
		return rc;
	/* A sweep under way may have passed what the checkpoint brought. */
	for (int i = 0; i < 2 && rc == 0; i++) {
		take_maint(s);
		s->want_sweep = cid_view_now(s)->nruns > 0;
		pthread_mutex_unlock(&s->maint);
		rc = run_down(s);
	}
	return rc;
}

int cidstore_gc(struct cidstore *s)
{
	int rc = cidstore_checkpoint(s);
	uint64_t freed;

	if (rc == 0)
		rc = run_down(s);
	if (rc)
		return rc;
	take_maint(s);
	rc = cid_collect_leaks(s, &freed);
	pthread_mutex_unlock(&s->maint);
	return rc ? rc : run_down(s);
}

int cidstore_wait_idle(struct cidstore *s)
{
	int rc = cidstore_checkpoint(s);

	if (rc)
		return rc;
	if (s->manual)
		return run_down(s);
	pthread_mutex_lock(&s->wake_lock);
	for (;;) {
		uint64_t seen = s->idle_count;
		bool done;

		s->wake = true;
		pthread_cond_signal(&s->work);
		while (s->idle_count < seen + 2 && !s->stop)
			pthread_cond_wait(&s->idle, &s->wake_lock);
		pthread_mutex_unlock(&s->wake_lock);
		take_maint(s);
		done = s->settled || atomic_load(&s->broken) || atomic_load(&s->wal.failed);
		done = done && at_rest(s);
		pthread_mutex_unlock(&s->maint);
		if (done)
			break;
		pthread_mutex_lock(&s->wake_lock);
	}
	return atomic_load(&s->broken) || atomic_load(&s->wal.failed) ? CIDSTORE_EFAILED : 0;
}

int cidstore_sync(struct cidstore *s)
{
	int rc;

	if (s->readonly)
		return 0;
	if (atomic_load(&s->broken))
		return CIDSTORE_EFAILED;
	rc = cid_wal_sync(&s->wal, atomic_load(&s->wal.appended));
	if (rc)
		cid_store_fail(s, rc);
	return rc;
}
