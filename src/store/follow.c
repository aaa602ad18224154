/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.c - refreshing what a read-only store shows
 *
 * A view is a root's tree and, over it, a table of all records from some lsn
 * up to the newest; the first of them is at or before the root's log_first.
 * Records that are in the tree as well do no harm: the newest word on a value
 * wins, and the table holds all that came after any of its records.
 *
 * The writer uses the log's slots again only after a newer root is in place.
 * So a record that is not there is the end of the log if the root's marks are
 * still the same; and if they are not, the next round begins with that root.
 */
#include <stdlib.h>
#include <string.h>

#include "store/follow.h"

enum {
	ROUNDS = 24,
	HOLDS = 50,		/* pins that a commit overtook */
	AGAIN = 200,		/* answers thrown away before giving up */
	PAUSE_NS = 100000,
	TABLE_WAIT = 20000,	/* pauses until a lookup leaves a table */
	SMALL = 8,		/* rebuild a table of so many times what it must hold */
};

#define UNREADABLE "main.h5: the root cannot be read"

static uint64_t now(struct cidstore *s)
{
	return s->io->monotonic(s->io->self);
}

static void nap(struct cidstore *s)
{
	if (s->io->pause)
		s->io->pause(s->io->self, PAUSE_NS);
}

/* ---- marks ---- */

struct look {
	const volatile struct cid_root *root;
	uint64_t *word;
};

static void look(void *arg)
{
	struct look *l = arg;

	l->word[0] = l->root->generation;
	l->word[1] = l->root->sum.low;
}

bool cid_follow_mark(const struct cidstore *s, struct cid_root_mark *out)
{
	struct cid_root_mark m;

	for (int pair = 0; pair < CID_ROOT_COPIES / 2; pair++) {
		const volatile struct cid_root *r = s->follow->root + 2 * pair;
		struct look l = { r, &m.word[2 * pair] }, twin = { r + 1, l.word };

		if (!cid_mapped_run(look, &l) && !cid_mapped_run(look, &twin))
			return false;
	}
	atomic_thread_fence(memory_order_seq_cst);
	*out = m;
	return true;
}

static bool same(const struct cid_root_mark *m, const _Atomic uint64_t seen[4])
{
	for (int i = 0; i < 4; i++)
		if (m->word[i] != atomic_load_explicit(&seen[i], memory_order_relaxed))
			return false;
	return true;
}

bool cid_follow_same(const struct cidstore *s, const struct cid_root_mark *m)
{
	struct cid_root_mark n;

	atomic_thread_fence(memory_order_seq_cst);
	return cid_follow_mark(s, &n) && memcmp(&n, m, sizeof(n)) == 0;
}

static void remember(struct cidstore *s, struct cid_view *v, const struct cid_root_mark *m,
		     uint64_t when)
{
	for (int i = 0; i < 4; i++) {
		atomic_store_explicit(&v->mark[i], m->word[i], memory_order_relaxed);
		atomic_store_explicit(&s->follow->mark[i], m->word[i], memory_order_relaxed);
	}
	atomic_store(&v->current_ns, when);
}

/* ---- tables ---- */

/* A table nobody looks at, with its memory given back in between. */
static struct cid_mem *take_table(struct cidstore *s)
{
	for (int wait = 0; wait < TABLE_WAIT; wait++) {
		for (int i = 0; i < CID_MEMS; i++) {
			if (s->mem_retired[i] == UINT64_MAX ||
			    (s->mem_retired[i] && !cid_ebr_passed(&s->ebr, s->mem_retired[i])))
				continue;
			if (s->mem[i].op)
				cid_mem_fini(&s->mem[i]);
			s->mem_retired[i] = 0;
			if (cid_mem_init(&s->mem[i], (uint32_t)s->root.log_records, s->t.seed))
				return NULL;
			s->mem_retired[i] = UINT64_MAX;
			return &s->mem[i];
		}
		nap(s);
	}
	return NULL;
}

/* The memory of tables that are not wanted while the writer lends its own. */
static void drop_tables(struct cidstore *s)
{
	for (int i = 0; i < CID_MEMS; i++)
		if (s->mem[i].op && s->mem_retired[i] != UINT64_MAX &&
		    cid_ebr_passed(&s->ebr, s->mem_retired[i])) {
			cid_mem_fini(&s->mem[i]);
			s->mem_retired[i] = 0;
		}
}

/* ---- the log ---- */

static void adopt_log(struct cid_wal_scan *log, const struct cid_root *r)
{
	log->first = r->log_first;
	log->nspans = r->log_spans;
	memcpy(log->spans, r->log_span, sizeof(log->spans));
	log->known_durable = r->log_durable;
	log->hole = 0;
}

/* Where a recovery began a new generation: what came before, as far as this
 * reader has it, must be what the recovery found. */
static void heed_recoveries(struct cid_follow *f, const struct cid_root *r)
{
	uint64_t sure = f->replay.begin ? f->replay.begin : f->next;
	uint32_t last = r->log_span[r->log_spans - 1].generation;

	if (last == f->generation)
		return;
	for (uint32_t i = 0; i < r->log_spans; i++)
		if (r->log_span[i].generation > f->generation && r->log_span[i].first < sure)
			f->rebuild = true;
	cid_replay_drop_group(&f->replay);
	f->next = sure;
	f->generation = last;
}

/* Applies what is there. 0: to the end. CIDSTORE_EAGAIN: the table is full.
 * CIDSTORE_EEXPIRED: a newer root tells how to go on. */
static int apply_tail(struct cidstore *s, struct cid_mem *m)
{
	struct cid_follow *f = s->follow;
	struct cid_record rec[CID_WAL_PEEK];
	int rc = 1;

	if (f->no_log)
		return 0;
	f->replay.m = m;
	while (rc == 1) {
		unsigned n;
		int bad = 0;

		rc = cid_wal_peek(&s->wal, &f->log, f->next, rec, CID_WAL_PEEK, &n);
		for (unsigned i = 0; i < n; i++)
			if (rec[i].opcode <= CID_OP_MKKEY)
				cid_mem_prefetch(m, cid_hash(rec[i].key, s->t.seed));
		/* Reports look at the table's sums. */
		pthread_mutex_lock(&s->write);
		for (unsigned i = 0; i < n && bad == 0; i++) {
			if (rec[i].version != CID_RECORD_VERSION)
				bad = CIDSTORE_EVERSION;
			else if (m->cap - m->count < f->replay.have + 2)
				bad = CIDSTORE_EAGAIN;
			else
				bad = cid_replay_record(&f->replay, &rec[i]);
			if (bad == 0)
				f->next++;
		}
		pthread_mutex_unlock(&s->write);
		if (bad)
			return bad;
	}
	return rc;
}

/* ---- from one root to the next ---- */

/* Pins what the oldest view still in use looks at, and snapshots. */
void cid_follow_pin(struct cidstore *s, uint64_t low)
{
	const struct cid_view *v = cid_view_now(s);
	uint64_t snapshot = cid_pin_lowest(s);

	if (v && v->generation < low)
		low = v->generation;
	for (struct cid_retired_view *o = s->old_views; o; o = o->next)
		if (o->view->generation < low)
			low = o->view->generation;
	cid_pin_set(s, low, snapshot == UINT64_MAX ? 0 : snapshot);
}

static void tell(struct cidstore *s, const struct cid_root *r, const struct cid_follow_tree *t)
{
	int64_t keys = 0, values = 0;

	for (uint32_t i = 0; i < t->nruns; i++) {
		keys += (int64_t)t->run[i]->slot.keys;
		values += (int64_t)t->run[i]->slot.values;
	}
	atomic_store(&s->run_keys, keys);
	atomic_store(&s->run_values, values);
	atomic_store(&s->base_keys, r->keys);
	atomic_store(&s->base_values, r->values);
	atomic_store(&s->nbuckets, t->buckets);
	atomic_store(&s->epoch, r->generation);
	atomic_store(&s->gc_pending, r->deletion_head - r->deletion_tail);
	atomic_store(&s->wal.first, r->log_first);
	atomic_store(&s->follow->grace_ns, r->config[CID_CFG_READER_GRACE_MS] * 1000000);
	atomic_store(&s->follow->pin_ns, r->config[CID_CFG_READER_PIN_MS] * 1000000);
}

/* m: the newest first, up to three; of the writer's board, or of our own. */
static int publish(struct cidstore *s, const struct cid_root *r, struct cid_mem *const *m,
		   const struct cid_board_state *lent, const struct cid_root_mark *mark,
		   uint64_t when)
{
	struct cid_view *old = cid_view_now(s), *v;
	struct cid_mem *active = m[0], *frozen = m[1];
	struct cid_follow_tree t;
	int rc = cid_follow_load(s, r, old, &t);

	if (rc)
		return rc;
	v = cid_view_new(active, frozen, t.dir, t.run, t.nruns);
	if (!v) {
		cid_follow_unload(&t, true);
		return CIDSTORE_ENOMEM;
	}
	v->generation = r->generation;
	if (lent) {
		v->lent = lent->seq;
		v->older = m[2];
		for (unsigned i = 0; i < lent->tables; i++)
			v->turn[i] = lent->table[i].turn;
		if (!cid_borrow_same(s, lent)) {
			free(v);
			cid_follow_unload(&t, true);
			return CIDSTORE_EAGAIN;
		}
	}
	remember(s, v, mark, when);
	rc = cid_view_replace(s, v);
	if (rc) {
		free(v);
		cid_follow_unload(&t, true);
		return rc;
	}
	atomic_store(&s->follow->borrow.shown, v->lent);
	if (old)
		cid_follow_retire(s, old, &t);
	if (old && !old->lent) {
		if (old->active != active && old->active != frozen)
			cid_mem_give(s, old->active);
		if (old->frozen && old->frozen != frozen)
			cid_mem_give(s, old->frozen);
	}
	if (!t.same_dir) {
		free(s->dir_ref);
		s->dir_ref = t.ref;
		s->dir_pages = t.pages;
	}
	tell(s, r, &t);
	s->root = *r;
	cid_follow_unload(&t, false);
	return 0;
}

/* A table with what the log has from the root's first record on. */
static int build_table(struct cidstore *s, const struct cid_root *r,
		       const struct cid_root_mark *mark, struct cid_mem **out)
{
	struct cid_follow *f = s->follow;
	uint64_t was = f->next;
	struct cid_mem *m = take_table(s);
	int rc;

	if (!m)
		return CIDSTORE_ENOMEM;
	f->rebuild = true; /* until it is published */
	cid_replay_drop_group(&f->replay);
	f->next = m->first_lsn = r->log_first;
	f->generation = r->log_span[r->log_spans - 1].generation;
	rc = apply_tail(s, m);
	if (rc == CIDSTORE_EEXPIRED && !cid_follow_same(s, mark))
		rc = 0;
	/* Time does not go backwards: the log that is gone is in a newer root. */
	if (rc == 0 && f->next < was && !cid_follow_same(s, mark))
		rc = CIDSTORE_EAGAIN;
	if (rc) {
		if (f->next < was)
			f->next = was;
		cid_mem_give(s, m);
		return rc;
	}
	cid_mem_publish(m);
	*out = m;
	return 0;
}

static int open_segments(struct cidstore *s, const struct cid_root *r, struct cidstore_error *err)
{
	int rc = 0;

	for (int k = 0; rc == 0 && k < CID_POOLS; k++)
		if (r->segments[k] > atomic_load(&s->pool[k].segments))
			rc = cid_pool_open(&s->pool[k], r->segments[k], err);
	return rc;
}

/* The same with the writer's own tables. CIDSTORE_EAGAIN: it went on. */
static int step_lent(struct cidstore *s, const struct cid_root *r, struct cid_board_state *lent,
		     const struct cid_root_mark *mark, uint64_t when, struct cidstore_error *err)
{
	struct cid_follow *f = s->follow;
	struct cid_mem *m[CID_VIEW_TABLES];
	int rc = open_segments(s, r, err);

	if (rc)
		return rc;
	/* The tables begin behind what this root holds: there is another. */
	if (lent->table[lent->tables - 1].first_lsn > r->log_first)
		return CIDSTORE_EEXPIRED;
	if (!cid_borrow_tables(s, lent, m))
		return CIDSTORE_EAGAIN;
	adopt_log(&f->log, r);
	cid_replay_drop_group(&f->replay);
	f->replay.generation = r->generation;
	f->generation = r->log_span[r->log_spans - 1].generation;
	rc = publish(s, r, m, lent, mark, when);
	if (rc)
		return rc;
	f->next = lent->reached + 1;
	f->rebuild = true; /* should there be need of a table of our own */
	return 0;
}

static int step_to(struct cidstore *s, const struct cid_root *r, const struct cid_root_mark *mark,
		   uint64_t when, struct cidstore_error *err)
{
	struct cid_follow *f = s->follow;
	struct cid_view *v = cid_view_now(s);
	struct cid_mem *active = v ? v->active : NULL, *frozen = v ? v->frozen : NULL;
	int rc = open_segments(s, r, err);

	if (rc)
		return rc;
	adopt_log(&f->log, r);
	f->replay.generation = r->generation;
	heed_recoveries(f, r);
	if (!f->rebuild) {
		uint64_t live, have;

		rc = apply_tail(s, active);
		if (rc && rc != CIDSTORE_EEXPIRED && rc != CIDSTORE_EAGAIN)
			return rc;
		cid_mem_publish(active);
		live = f->next - r->log_first;
		have = active->count + (frozen ? frozen->count : 0);
		if (rc == CIDSTORE_EAGAIN || f->next < r->log_first)
			f->rebuild = true;
		else if (frozen && r->log_first >= active->first_lsn)
			frozen = NULL;
		else if (have && live * SMALL <= have && !f->replay.begin)
			f->rebuild = true;
	}
	if (f->rebuild) {
		rc = build_table(s, r, mark, &active);
		if (rc)
			return rc;
		frozen = NULL;
	}
	rc = publish(s, r, (struct cid_mem *[]){ active, frozen }, NULL, mark, when);
	if (rc && f->rebuild)
		cid_mem_give(s, active);
	else
		f->rebuild = false;
	return rc;
}

/* A table that is half full makes way for the next. */
static int seal(struct cidstore *s)
{
	struct cid_follow *f = s->follow;
	struct cid_view *v = cid_view_now(s), *n;
	struct cid_mem *m;
	int rc;

	if (v->frozen || v->active->count < v->active->cap / 2 || f->replay.begin)
		return 0;
	m = take_table(s);
	if (!m)
		return 0;
	m->first_lsn = f->next;
	n = cid_view_new(m, v->active, v->dir, v->run, v->nruns);
	if (n) {
		n->generation = v->generation;
		for (int i = 0; i < 4; i++)
			atomic_store(&n->mark[i], atomic_load(&v->mark[i]));
		atomic_store(&n->current_ns, atomic_load(&v->current_ns));
	}
	rc = n ? cid_view_replace(s, n) : CIDSTORE_ENOMEM;
	if (rc) {
		free(n);
		cid_mem_give(s, m);
	}
	return rc;
}

static int follow_log(struct cidstore *s)
{
	struct cid_view *v = cid_view_now(s);
	int rc = apply_tail(s, v->active);

	cid_mem_publish(v->active);
	if (rc == CIDSTORE_EAGAIN)
		s->follow->rebuild = true;
	if (rc == 0)
		rc = seal(s);
	return rc;
}

/* The newest root of this store that is valid now. */
static int newest(struct cidstore *s, struct cid_root *out, struct cidstore_error *err)
{
	struct cid_root *copy = aligned_alloc(CID_PAGE, CID_ROOT_COPIES * sizeof(*copy));
	unsigned bad, lost = 0;
	int rc = 0;

	if (!copy)
		return CIDSTORE_ENOMEM;
	for (unsigned i = 0; i < CID_ROOT_COPIES; i++)
		if (!cid_mapped_copy(&copy[i], &s->follow->root[i], sizeof(*copy))) {
			memset(&copy[i], 0xff, sizeof(*copy));
			lost |= 1u << i;
		}
	if ((lost & 3) == 3 || (lost & 12) == 12)
		rc = cid_err_set(err, CIDSTORE_EIO, UNREADABLE);
	if (rc == 0)
		rc = cid_root_choose(copy, out, &bad, err);
	if (rc == 0)
		rc = cid_root_check(out, err);
	if (rc == 0 && (memcmp(out->uuid, s->root.uuid, sizeof(out->uuid)) != 0 ||
			out->log_records != s->root.log_records ||
			out->segment_shift != s->root.segment_shift))
		rc = cid_err_set(err, CIDSTORE_ECORRUPT, "main.h5: the root is of another store");
	free(copy);
	return rc;
}

static int one_round(struct cidstore *s, const struct cid_root_mark *mark, uint64_t when,
		     struct cidstore_error *err)
{
	struct cid_follow *f = s->follow;
	struct cid_view *v = cid_view_now(s);
	struct cid_board_state lent;
	struct cid_root r;
	bool borrows = cid_borrow_look(s, &lent);
	int rc;

	if (borrows && v && lent.seq == v->lent && same(mark, v->mark)) {
		atomic_store(&v->current_ns, when);
		f->next = lent.reached + 1;
		return 0;
	}
	if (!borrows && v && v->lent)
		f->rebuild = true;
	if (!borrows && v && !f->rebuild && same(mark, v->mark)) {
		atomic_store(&v->current_ns, when);
		return follow_log(s);
	}
	rc = newest(s, &r, err);
	if (rc)
		return rc;
	if (!borrows && v && !f->rebuild && r.generation == v->generation) {
		/* One is being written, or a copy was damaged. */
		remember(s, v, mark, when);
		return follow_log(s);
	}
	if (v && r.generation < v->generation)
		return CIDSTORE_EAGAIN;
	if (!v) {
		cid_follow_pin(s, r.generation);
		if (!cid_follow_same(s, mark))
			return CIDSTORE_EAGAIN;
	}
	if (borrows)
		return step_lent(s, &r, &lent, mark, when, err);
	return step_to(s, &r, mark, when, err);
}

int cid_follow_refresh(struct cidstore *s, struct cidstore_error *err)
{
	struct cid_follow *f = s->follow;
	int rc = 0;

	s->c.refreshes++;
	if (s->old_views || s->old_parts)
		cid_retired_free(s, false);
	if (cid_view_now(s))
		cid_follow_pin(s, UINT64_MAX);
	for (int i = 0; i < ROUNDS; i++) {
		struct cid_root_mark mark;
		uint64_t when = now(s);

		if (!cid_follow_mark(s, &mark)) {
			rc = cid_err_set(err, CIDSTORE_EIO, UNREADABLE);
			break;
		}
		atomic_store(&f->begun_ns, when);
		rc = one_round(s, &mark, when, err);
		if (cid_follow_same(s, &mark) && rc != CIDSTORE_EAGAIN) {
			/* Nothing moved: so it is. */
			if (rc == CIDSTORE_EEXPIRED)
				rc = cid_err_set(err, CIDSTORE_ECORRUPT,
						 "main.h5: the newest root copies are damaged "
						 "and the log has moved on. Restore main.h5 from "
						 "a copy");
			break;
		}
		if (rc && rc != CIDSTORE_EAGAIN && rc != CIDSTORE_EEXPIRED &&
		    rc != CIDSTORE_ECORRUPT)
			break;
		if (rc && i > 2)
			nap(s);
	}
	/* Something to show, and news on the way: not an error. */
	if ((rc == CIDSTORE_EAGAIN || rc == CIDSTORE_EEXPIRED) && cid_view_now(s))
		rc = 0;
	if (f->borrow.tables) {
		cid_borrow_tidy(s, false);
		drop_tables(s);
	}
	if (f->next - 1 > atomic_load(&s->wal.appended))
		atomic_store(&s->wal.appended, f->next - 1);
	if (f->replay.durable > atomic_load(&s->wal.durable))
		atomic_store(&s->wal.durable, f->replay.durable);
	if (s->root.log_durable > atomic_load(&s->wal.durable))
		atomic_store(&s->wal.durable, s->root.log_durable);
	atomic_store(&f->peek, f->no_log || f->rebuild ? 0 : f->next);
	s->t.corrected += f->log.corrected;
	f->log.corrected = 0;
	if (rc)
		s->c.errors++;
	return rc;
}

/* ---- for lookups ---- */

/* `soon`: also of what is about to be shown, if its writer lives. */
static bool news(const struct cidstore *s, bool soon)
{
	const struct cid_follow *f = s->follow;
	uint64_t peek = atomic_load_explicit(&f->peek, memory_order_relaxed);
	uint64_t lent = atomic_load_explicit(&f->borrow.shown, memory_order_acquire);
	struct cid_root_mark m;

	/* Reading it tells what is wrong with a root that cannot be looked at. */
	if (!cid_follow_mark(s, &m) || !same(&m, f->mark))
		return true;
	if (lent)
		return cid_borrow_news(s, lent) || (soon && cid_borrow_came(s));
	return peek && cid_wal_came(&s->wal, peek);
}

void cid_follow_look(struct cidstore *s)
{
	uint64_t interval;

	if (!news(s, true))
		return;
	interval = cid_cfg(s, CID_CFG_REFRESH_INTERVAL_MS) * 1000000;
	if (interval && now(s) - atomic_load_explicit(&s->follow->begun_ns, memory_order_relaxed) <
				interval)
		return;
	/* Whoever refreshes now does so for all. */
	if (pthread_mutex_trylock(&s->maint))
		return;
	(void)cid_follow_refresh(s, NULL);
	pthread_mutex_unlock(&s->maint);
}

bool cid_follow_holds(struct cidstore *s, const struct cid_view *v)
{
	struct cid_root_mark m;

	atomic_thread_fence(memory_order_seq_cst);
	if (cid_follow_mark(s, &m) && same(&m, v->mark) &&
	    (!v->lent || !cid_borrow_news(s, v->lent)))
		return true;
	if (v->lent && !cid_borrow_holds(v))
		return false;
	return atomic_load_explicit(&s->reader_pins.held, memory_order_relaxed) &&
	       now(s) - atomic_load(&v->current_ns) < atomic_load(&s->follow->grace_ns) / 2;
}

bool cid_follow_again(struct cidstore *s, unsigned *tries, int *rc)
{
	int got;

	if (++*tries > AGAIN) {
		*rc = *rc == 0 || *rc == CIDSTORE_ENOENT ? CIDSTORE_EAGAIN : *rc;
		return false;
	}
	s->c.retries++;
	pthread_mutex_lock(&s->maint);
	got = cid_follow_refresh(s, NULL);
	pthread_mutex_unlock(&s->maint);
	if (got == 0)
		return true;
	*rc = got;
	return false;
}

/* The pin is set, and then the root is still the same: it counts. */
int cid_follow_hold(struct cidstore *s, struct cid_hold *h, int (*take)(void *arg), void *arg)
{
	int rc = CIDSTORE_EAGAIN;

	for (int i = 0; i < HOLDS && rc; i++) {
		rc = cid_follow_refresh(s, NULL);
		if (rc)
			break;
		if (!cid_follow_mark(s, &h->mark))
			return CIDSTORE_EIO;
		h->since = now(s);
		cid_pin_add(s, &h->pin, s->root.generation);
		rc = cid_follow_refresh(s, NULL);
		if (rc == 0)
			rc = cid_follow_same(s, &h->mark) &&
					     s->root.generation == h->pin.epoch ?
				     take(arg) :
				     CIDSTORE_EAGAIN;
		if (rc == 0)
			break;
		cid_pin_drop(s, &h->pin);
		if (rc != CIDSTORE_EAGAIN && cid_follow_same(s, &h->mark))
			break;
	}
	return rc;
}

bool cid_follow_held(struct cidstore *s, const struct cid_hold *h)
{
	return cid_follow_same(s, &h->mark) ||
	       (atomic_load(&s->reader_pins.held) &&
		now(s) - h->since < atomic_load(&s->follow->pin_ns) / 4 * 3);
}

uint64_t cid_follow_lag_ms(struct cidstore *s)
{
	unsigned slot;
	uint64_t t, since;

	if (!s->follow || !news(s, false))
		return 0;
	slot = cid_ebr_enter(&s->ebr);
	since = atomic_load(&cid_view_now(s)->current_ns);
	cid_ebr_leave(&s->ebr, slot);
	t = now(s);
	return t > since ? (t - since) / 1000000 : 0;
}

int cidstore_refresh(struct cidstore *s)
{
	int rc;

	if (!s->follow)
		return 0;
	pthread_mutex_lock(&s->maint);
	rc = cid_follow_refresh(s, NULL);
	pthread_mutex_unlock(&s->maint);
	return rc;
}

/* ---- opening and closing ---- */

int cid_follow_init(struct cidstore *s, bool no_log, struct cidstore_error *err)
{
	struct cid_follow *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	s->follow = f;
	f->no_log = no_log;
	f->rebuild = true;
	f->replay.seed = s->t.seed;
	f->replay.log_records = s->root.log_records;
	f->root_base = s->io->map(s->io->self, s->mainfd, CID_H5_ROOT_OFFSET,
				  CID_ROOT_COPIES * sizeof(*f->root), false);
	if (!f->root_base)
		return cid_err_set(err, CIDSTORE_EIO, "main.h5: cannot be mapped");
	f->root = f->root_base;
	rc = cid_wal_init(&s->wal, s->io, s->walfd, s->root.data_offset[3], s->root.log_records,
			  false);
	if (rc)
		return cid_err_set(err, rc, "wal-0.h5: %s", cidstore_strerror(rc));
	(void)cid_pin_claim(s);
	cid_borrow_init(s);
	pthread_mutex_lock(&s->maint);
	rc = cid_follow_refresh(s, err);
	pthread_mutex_unlock(&s->maint);
	if (rc && (!err || err->code != rc))
		cid_err_set(err, rc, rc == CIDSTORE_ECORRUPT ?
					     "a durable record of the log, or a block the root "
					     "refers to, is damaged beyond correction" :
					     "cannot read the store");
	return rc;
}

void cid_follow_fini(struct cidstore *s)
{
	struct cid_follow *f = s->follow;

	if (!f)
		return;
	cid_replay_drop_group(&f->replay);
	cid_borrow_fini(s);
	if (f->root_base)
		s->io->unmap(s->io->self, f->root_base, CID_ROOT_COPIES * sizeof(*f->root));
	free(f);
	s->follow = NULL;
}
