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
	RETRY_IO_MS = 30000, /* after a merge that could not read */
	SWEEP_LOGS = CID_SWEEP_LOGS, /* a sweep is due when the runs take so many logs' bytes */
	SWEEP_SHARE = 2,     /* and at least this share of those of the buckets */
	IDLE_SHARE = CID_SWEEP_IDLE, /* at rest, this share is enough */
	MAX_RUNS = CID_SWEEP_RUNS,
	CROWD = 4 * CID_TIER_FAN, /* runs beyond which merging them presses */
	PUNCH_PAGES = CID_PUNCH_PAGES,
	PUNCHES = 1 << 16,
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
	uint64_t runs = atomic_load(&s->run_bytes), log = s->root.log_records;
	uint64_t base = (s->base_pages + s->base_packed) * CID_PAGE;

	if (s->sweep.upto || s->sweep_blocked || v->nruns == 0)
		return false;
	/* All but the runs that are being merged are taken. */
	if (s->tier.m.n && s->tier.m.in[0].p == v->run[0])
		return false;
	if (s->want_sweep || v->nruns >= MAX_RUNS || atomic_load(&s->nospace))
		return true;
	/* The first sweep gives the directory its shape. */
	if (base == 0 && run_entries(v) >= log / 4)
		return true;
	if ((rest && runs * IDLE_SHARE >= base) || cid_memory_short(s, v))
		return true;
	return runs >= SWEEP_LOGS * log * CID_RECORD_BYTES && runs >= base / SWEEP_SHARE;
}

static void measure_runs(struct cidstore *s, const struct cid_view *v)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < v->nruns; i++)
		bytes += cid_run_bytes(s, v->run[i]);
	atomic_store(&s->run_bytes, bytes);
}

static struct cid_keep keep_of(struct cidstore *s)
{
	/* Readers go by what the root says; it may lag a setting by a commit. */
	uint64_t grace = cid_cfg(s, CID_CFG_READER_GRACE_MS);
	uint64_t said = s->root.config[CID_CFG_READER_GRACE_MS];
	struct cid_reader_slot low = cid_pins_lowest(s);

	return (struct cid_keep){
		.own = cid_pin_lowest(s),
		.view = low.view,
		.snapshot = low.snapshot,
		.grace_ns = (said > grace ? said : grace) * MS,
		.pin_ns = cid_cfg(s, CID_CFG_READER_PIN_MS) * MS,
		.scarce = atomic_load(&s->nospace) || s->manual,
	};
}

/* May free the view of a moment ago. */
static void reclaim(struct cidstore *s)
{
	struct cid_keep keep;

	if (s->old_views || s->old_parts)
		cid_retired_free(s, false);
	if (!s->space.nretired)
		return;
	keep = keep_of(s);
	cid_space_reclaim(&s->space, s->root.generation, now(s), &keep);
}

/* On a full disk each commit gives back what was retired before it. But where
 * somebody holds that, commits take space themselves, and give none. */
static bool commit_frees(struct cidstore *s)
{
	struct cid_keep keep;

	if (!atomic_load(&s->nospace) || !s->space.nretired)
		return false;
	keep = keep_of(s);
	return keep.own >= s->space.epoch && keep.snapshot >= s->space.epoch &&
	       keep.view >= s->space.epoch;
}

static bool commit_due(struct cidstore *s)
{
	return s->changed && (now(s) - s->last_commit >= COMMIT_MS * MS || commit_frees(s));
}

static bool unreadable(int rc)
{
	return rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO;
}

/* A part that cannot be read cannot be merged. What is there stays as it is;
 * fsck tells what to do. A device that failed may do better in a while. */
int cid_maintain_merged(struct cidstore *s, int rc)
{
	if (!unreadable(rc))
		return rc;
	s->sweep_blocked = rc;
	s->sweep_retry = rc == CIDSTORE_EIO ? now(s) + RETRY_IO_MS * MS : UINT64_MAX;
	cid_sweep_give_up(s);
	cid_tier_drop(s);
	s->c.errors++;
	return 0;
}

/* A full disk: what free pages still have of it is given back, and what a commit
 * frees, too. The next try may do with that. */
static void find_space(struct cidstore *s)
{
	atomic_store(&s->nospace, 1);
	for (int i = 0; i < 2; i++) {
		reclaim(s);
		/* Not for ever: the next try goes on from there. */
		for (int n = 0; n < PUNCHES && !s->stop; n++)
			if (!cid_space_punch(&s->space, PUNCH_PAGES))
				break;
		if (i == 0 && (!s->changed || !commit_frees(s) || cid_commit(s)))
			break;
	}
}

static int step(struct cidstore *s, bool *more)
{
	bool rest = at_rest(s);
	uint64_t t = now(s);
	struct cid_view *v;
	uint32_t first, n;

	*more = true;
	if (atomic_load(&s->broken) || atomic_load(&s->wal.failed)) {
		*more = false;
		return CIDSTORE_EFAILED;
	}
	cid_memory_keep(s, t);
	if (s->space.nretired &&
	    s->root.config[CID_CFG_READER_GRACE_MS] > cid_cfg(s, CID_CFG_READER_GRACE_MS))
		s->changed = true; /* so that a shorter grace holds */
	if (s->sweep_blocked && t >= s->sweep_retry)
		s->sweep_blocked = 0;
	reclaim(s);
	v = cid_view_now(s);
	measure_runs(s, v);
	if (t < s->tier_until && !s->awaiting && !atomic_load(&s->nospace) &&
	    (s->tier.m.n || cid_tier_choose(s, &first, &n)))
		return cid_maintain_merged(s, s->tier.m.n ? cid_tier_step(s) : cid_tier_start(s, first, n));
	if (s->awaiting || (v->frozen && (v->nruns < CID_MAX_RUNS || s->sweep_blocked))) {
		uint32_t runs = v->nruns;
		int rc = cid_flush(s);

		/* Where flushes leave no time, runs would pile up: merging them
		 * gets the longer turns the more there are. */
		s->tier_until = now(s);
		if (runs >= CROWD)
			s->tier_until += (s->tier_until - t) * (runs - CROWD / 2) / (CROWD / 2);
		/* Committed is what waited for it; a sweep goes before the next. */
		return rc == CIDSTORE_EAGAIN ? 0 : rc;
	}
	if (commit_due(s))
		return cid_commit(s);
	if (s->tier.m.n) {
		/* It needs room for as much again: a full disk has none. */
		if (atomic_load(&s->nospace))
			cid_tier_drop(s);
		else
			return cid_maintain_merged(s, cid_tier_step(s));
	}
	/* Runs that meet the buckets at once need not meet each other before. */
	if (!sweep_due(s, v, rest) && cid_tier_choose(s, &first, &n))
		return cid_maintain_merged(s, cid_tier_start(s, first, n));
	if (s->sweep.upto)
		return cid_maintain_merged(s, cid_sweep_step(s));
	if (sweep_due(s, v, rest)) {
		s->want_sweep = false;
		return cid_maintain_merged(s, cid_sweep_start(s));
	}
	if (s->buddy_at != UINT64_MAX) {
		bool again;

		return cid_bucket_merge_step(s, &again);
	}
	if (cid_collect_due(s)) {
		/* Records not committed yet are not there yet. */
		if (s->root.deletion_tail == s->root.deletion_head)
			return cid_commit(s);
		return cid_collect(s);
	}
	if (s->changed)
		return cid_commit(s);
	if (rest && cid_count_due(s))
		return cid_maintain_merged(s, cid_count_step(s));
	if (rest && s->leaks_due) {
		uint64_t freed;
		int rc = cid_collect_leaks(s, &freed);

		/* Not before the next start, or when asked. */
		if (unreadable(rc)) {
			s->leaks_due = false;
			s->c.errors++;
			rc = 0;
		}
		return rc;
	}
	if ((rest || atomic_load(&s->nospace)) && cid_space_punch(&s->space, PUNCH_PAGES))
		return 0;
	if (((rest && t - s->last_commit >= cid_cfg(s, CID_CFG_CHECKPOINT_INTERVAL_MS) * MS) ||
	     atomic_load(&s->nospace)) && cid_mem_visible(v->active)) {
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

int cid_maintain_step(struct cidstore *s, bool *more)
{
	int rc = step(s, more);

	if (rc == CIDSTORE_ENOSPC) {
		find_space(s);
		rc = step(s, more);
	}
	return rc;
}

void cid_maintain_wake(struct cidstore *s)
{
	if (s->manual)
		return;
	pthread_mutex_lock(&s->wake_lock);
	s->wake = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->wake_lock);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/* Waits for `ms`, or until woken or told to stop. */
static bool nap(struct cidstore *s, uint64_t ms)
{
	struct timespec t = timespec_of(now(s) + ms * MS);
	bool stop;

	pthread_mutex_lock(&s->wake_lock);
	while (!s->stop && !s->wake &&
	       pthread_cond_timedwait(&s->work, &s->wake_lock, &t) != ETIMEDOUT)
		;
	s->wake = false;
	stop = s->stop;
	pthread_mutex_unlock(&s->wake_lock);
	return !stop;
}

uint64_t cid_maintain_rounds(struct cidstore *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->wake_lock);
	n = s->rounds;
	pthread_mutex_unlock(&s->wake_lock);
	return n;
}

static void set_busy(struct cidstore *s, bool busy)
{
	pthread_mutex_lock(&s->wake_lock);
	s->busy = busy;
	if (!busy) {
		s->rounds++;
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

	while (nap(s, wait)) {
		bool more = true;
		int rc = 0;

		set_busy(s, true);
		while (more && rc == 0 && !s->stop) {
			while (atomic_load(&s->maint_waiters))
				sched_yield();
			pthread_mutex_lock(&s->maint);
			rc = cid_maintain_step(s, &more);
			/* A failure is in the way of writers only where it stops a
			 * flush; who waits for room then has nothing to wait for. */
			atomic_store(&s->stuck,
				     rc == CIDSTORE_ENOSPC || cid_view_now(s)->frozen ? rc : 0);
			if (rc == 0 && !more)
				atomic_store(&s->nospace, 0);
			more = more && rc == 0;
			if (!more)
				s->settled = rc == 0 && settled(s);
			pthread_mutex_unlock(&s->maint);
		}
		set_busy(s, false);
		/* Who waits for room looks whether it is there, or never will be. */
		pthread_mutex_lock(&s->write);
		pthread_cond_broadcast(&s->room);
		pthread_mutex_unlock(&s->write);
		wait = rc ? RETRY_MS : 50;
	}
	return NULL;
}

/* Waits until the interval, as it is set by then, is over or it is told to stop. */
static bool sync_due(struct cidstore *s, uint64_t begun)
{
	bool stop;

	pthread_mutex_lock(&s->wake_lock);
	while (!s->stop) {
		uint64_t due = begun + cid_cfg(s, CID_CFG_SYNC_INTERVAL_MS) * MS;
		struct timespec t = timespec_of(due);

		if (now(s) >= due)
			break;
		(void)pthread_cond_timedwait(&s->work, &s->wake_lock, &t);
	}
	stop = s->stop;
	pthread_mutex_unlock(&s->wake_lock);
	return !stop;
}

/* From one sync's begin to the next one's, as a sync leaves out what comes
 * after it began: that waits for no more than the interval and the next sync. */
static void *sync_often(void *arg)
{
	struct cidstore *s = arg;
	uint64_t begun = now(s);

	while (sync_due(s, begun)) {
		uint64_t upto = atomic_load(&s->wal.appended);

		begun = now(s);
		if (upto > atomic_load(&s->wal.durable) && cid_wal_sync(&s->wal, upto))
			cid_store_fail(s, CIDSTORE_EFAILED);
	}
	return NULL;
}

/* Whoever wakes others does not mean this one. */
static bool window_over(struct cidstore *s)
{
	struct timespec t = timespec_of(now(s) + CID_TUNE_WINDOW_MS * MS);
	bool stop;

	pthread_mutex_lock(&s->wake_lock);
	while (!s->stop && pthread_cond_timedwait(&s->work, &s->wake_lock, &t) != ETIMEDOUT)
		;
	stop = s->stop;
	pthread_mutex_unlock(&s->wake_lock);
	return !stop;
}

static void *tune(void *arg)
{
	struct cidstore *s = arg;

	while (window_over(s))
		cid_tune_look(s);
	return NULL;
}

int cid_maintain_start(struct cidstore *s)
{
	s->stop = false;
	cid_scrub_resume(s); /* the root is still this thread's */
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
	s->tune.started = pthread_create(&s->tune.thread, NULL, tune, s) == 0;
	if (!s->tune.started || cid_scrub_start(s)) {
		cid_maintain_stop(s);
		return CIDSTORE_ENOMEM;
	}
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
	if (s->tune.started)
		pthread_join(s->tune.thread, NULL);
	cid_scrub_join(s);
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
	cid_tune_look(s);
	take_maint(s);
	rc = cid_maintain_step(s, &m);
	if (rc == 0)
		atomic_store(&s->nospace, 0);
	pthread_mutex_unlock(&s->maint);
	*more = m;
	return rc;
}

/* A step of whatever makes fewer runs. */
static int fewer_runs(struct cidstore *s)
{
	int rc;

	if (s->sweep.upto)
		rc = cid_sweep_step(s);
	else if (s->tier.m.n)
		rc = cid_tier_step(s);
	else
		rc = cid_sweep_start(s);
	return cid_maintain_merged(s, rc);
}

/* It rewrites as much as there is, in a store that may be large: space comes
 * back and memory is kept on the way, as between any steps. */
int cid_maintain_run_room(struct cidstore *s)
{
	bool tried = false;

	while (cid_view_now(s)->nruns == CID_MAX_RUNS) {
		int rc = s->sweep_blocked;

		if (rc)
			return rc;
		cid_memory_keep(s, now(s));
		reclaim(s);
		rc = commit_due(s) ? cid_commit(s) : fewer_runs(s);
		if (rc == CIDSTORE_ENOSPC && !tried)
			find_space(s);
		else if (rc)
			return rc;
		tried = rc != 0;
	}
	return 0;
}

/* A flush; where there are as many runs as there can be, a sweep goes first. */
static int flush(struct cidstore *s)
{
	bool tried = false;
	int rc;

	reclaim(s);
	for (;;) {
		rc = cid_flush(s);
		if (rc == CIDSTORE_EAGAIN) {
			rc = cid_maintain_run_room(s);
			if (rc)
				return rc;
		} else if (rc == CIDSTORE_ENOSPC && !tried) {
			tried = true;
			find_space(s);
		} else {
			return rc;
		}
	}
}

/* Flushes what the tables hold up to there. maint is held. */
static int flush_upto(struct cidstore *s, uint64_t upto)
{
	int rc = flush(s);

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
			rc = sealed > 0 ? flush(s) : sealed;
		else if (s->io->pause)
			s->io->pause(s->io->self, MS); /* until a reader leaves */
	}
	return rc == 0 && s->changed ? cid_commit(s) : rc;
}

/* Flushes all that the tables held when it was called. maint is held. */
static int checkpoint(struct cidstore *s)
{
	uint64_t upto = atomic_load(&s->wal.appended);
	int rc = flush_upto(s, upto);

	if (rc == CIDSTORE_ENOSPC) {
		find_space(s);
		rc = flush_upto(s, upto);
	}
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
	else if (rc == 0 && s->manual)
		atomic_store(&s->nospace, 0);
	pthread_mutex_unlock(&s->maint);
	return rc;
}

/* Runs steps until none is left; want() is asked to be set under maint. */
static int run_down(struct cidstore *s)
{
	bool more = true;
	int rc = 0;

	while (more && rc == 0) {
		if (atomic_load(&s->cancelled))
			return CIDSTORE_EAGAIN;
		take_maint(s);
		s->want_rest = true;
		rc = cid_maintain_step(s, &more);
		s->want_rest = false;
		if (rc == 0 && !more)
			atomic_store(&s->nospace, 0);
		pthread_mutex_unlock(&s->maint);
	}
	return rc;
}

void cid_store_cancel(struct cidstore *s, int on)
{
	atomic_store(&s->cancelled, on);
	pthread_mutex_lock(&s->wake_lock);
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->wake_lock);
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
		if (s->sweep_blocked == CIDSTORE_EIO)
			s->sweep_blocked = 0;
		pthread_mutex_unlock(&s->maint);
		rc = run_down(s);
		if (rc == 0) {
			take_maint(s);
			rc = s->sweep_blocked;
			pthread_mutex_unlock(&s->maint);
		}
	}
	return rc;
}

int cidstore_gc(struct cidstore *s)
{
	int rc = cidstore_checkpoint(s);
	uint64_t freed;

	if (rc == 0) {
		take_maint(s);
		s->collect.retry = 0;
		pthread_mutex_unlock(&s->maint);
		rc = run_down(s);
	}
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
		uint64_t seen = s->rounds;
		bool done;

		s->wake = true;
		pthread_cond_broadcast(&s->work);
		while (s->rounds < seen + 2 && !s->stop && !atomic_load(&s->cancelled))
			pthread_cond_wait(&s->idle, &s->wake_lock);
		pthread_mutex_unlock(&s->wake_lock);
		take_maint(s);
		done = s->settled || atomic_load(&s->broken) || atomic_load(&s->wal.failed);
		done = done && at_rest(s);
		pthread_mutex_unlock(&s->maint);
		if (done)
			break;
		if (atomic_load(&s->cancelled))
			return CIDSTORE_EAGAIN;
		pthread_mutex_lock(&s->wake_lock);
	}
	return atomic_load(&s->broken) || atomic_load(&s->wal.failed) ? CIDSTORE_EFAILED : 0;
}

int cidstore_sync(struct cidstore *s)
{
	uint64_t wait = cid_tuned(s, CID_TUNE_INTERVAL), upto, t0 = 0;
	int rc;

	if (s->readonly)
		return 0;
	if (atomic_load(&s->broken))
		return CIDSTORE_EFAILED;
	upto = atomic_load(&s->wal.appended);
	if (upto > atomic_load(&s->wal.durable)) {
		t0 = now(s);
		/* Group commit: who comes meanwhile is durable with the same sync. */
		if (wait && s->io->pause)
			s->io->pause(s->io->self, wait * 1000);
	}
	rc = cid_wal_sync(&s->wal, upto);
	if (t0) {
		t0 = now(s) - t0;
		s->gauge.sync_calls++;
		s->gauge.sync_call_ns += t0;
		cid_gauge_add(&s->gauge.sync, t0, 1);
	}
	if (rc)
		cid_store_fail(s, rc);
	return rc;
}
