/* SPDX-License-Identifier: BSD-2-Clause */
/* borrow.c - the reader's side: a view on the tables of the writer; lend.h */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/follow.h"
#include "store/lend.h"

enum {
	LOOKS = 5, /* at a board that is being changed */
	PAUSE_NS = 50000,
	AGAIN_NS = 500000000, /* between two attempts at the same board */
};

/* Memory of the writer, mapped. */
struct cid_borrowed {
	struct cid_loan l;
	uint64_t ebr; /* 0: of a handle in use */
	struct cid_borrowed *next;
};

/* A table there, in one of its turns. */
struct cid_borrowed_table {
	struct cid_mem m;
	struct cid_borrowed *map;
	uint64_t turn;
	uint64_t ebr; /* 0: in the newest view */
	struct cid_borrowed_table *next;
};

/* ---- the board ---- */

static bool read_board(struct cidstore *s, const struct cid_board *b, struct cid_board_state *out)
{
	for (int i = 0; i < LOOKS; i++) {
		struct cid_board_state x = { .seq = atomic_load_explicit(&b->seq,
									 memory_order_acquire) };

		x.tables = (unsigned)atomic_load_explicit(&b->tables, memory_order_relaxed);
		for (unsigned k = 0; k < CID_VIEW_TABLES; k++) {
			const struct cid_board_table *t = &b->table[k];

			x.table[k].loan = (struct cid_loan){
				.fd = (int)atomic_load_explicit(&t->fd, memory_order_relaxed),
				.ino = atomic_load_explicit(&t->ino, memory_order_relaxed),
			};
			x.table[k].cap =
				(uint32_t)atomic_load_explicit(&t->cap, memory_order_relaxed);
			x.table[k].turn = atomic_load_explicit(&t->turn, memory_order_relaxed);
			x.table[k].first_lsn =
				atomic_load_explicit(&t->first_lsn, memory_order_relaxed);
		}
		atomic_thread_fence(memory_order_seq_cst);
		if (!(x.seq & 1) && atomic_load_explicit(&b->seq, memory_order_relaxed) == x.seq) {
			x.reached = atomic_load_explicit(&b->reached, memory_order_acquire);
			*out = x;
			return x.tables >= 1 && x.tables <= CID_VIEW_TABLES;
		}
		if (s->io->pause)
			s->io->pause(s->io->self, PAUSE_NS);
	}
	return false;
}

static bool is_ours(struct cidstore *s, const struct cid_board *b, const struct stat *lock)
{
	return b->magic == CID_BOARD_MAGIC && b->lock_dev == lock->st_dev &&
	       b->lock_ino == lock->st_ino && b->seed == s->t.seed;
}

static void attach(struct cidstore *s)
{
	struct cid_borrow *w = &s->follow->borrow;
	struct cid_loan l = { .n = CID_BOARD_BYTES };
	unsigned long long pid, ino;
	struct cid_board_state st;
	struct stat lock;
	int fd;

	w->again_ns = s->io->monotonic(s->io->self) + AGAIN_NS;
	if (sscanf(w->text, CID_LENDS_FORMAT, &pid, &fd, &ino) != 3 ||
	    s->io->stat(s->io->self, s->lockfd, &lock))
		return;
	l.pid = pid;
	l.fd = fd;
	l.ino = ino;
	/* Lookups look at it without a lock: it stays where it is, while one board
	 * takes another's place. Nobody looks at one that is not a view's. */
	l.p = w->board.p;
	w->lender_uid = lock.st_uid;
	if (s->io->borrow(s->io->self, &l, w->lender_uid))
		return;
	w->board = l;
	w->b = l.p;
	w->attached = is_ours(s, l.p, &lock) && read_board(s, l.p, &st);
}

static void detach(struct cidstore *s)
{
	struct cid_follow *f = s->follow;
	struct cid_borrow *w = &f->borrow;

	if (w->attached && w->reached + 1 > f->next)
		f->next = w->reached + 1;
	w->attached = false;
}

/* What LOCK says. False where that is not what it said before. */
static bool look_at_lock(struct cidstore *s)
{
	struct cid_borrow *w = &s->follow->borrow;
	char text[CID_LENDS_TEXT] = { 0 };
	ssize_t n = s->io->pread(s->io->self, s->lockfd, text, sizeof(text) - 1, 0);

	if (n < 0)
		n = 0;
	memset(text + n, 0, sizeof(text) - (size_t)n);
	if (memcmp(text, w->text, sizeof(text)) == 0)
		return true;
	detach(s);
	memcpy(w->text, text, sizeof(text));
	w->again_ns = 0;
	return false;
}

bool cid_borrow_look(struct cidstore *s, struct cid_board_state *out)
{
	struct cid_borrow *w = &s->follow->borrow;
	uint64_t shown = atomic_load(&w->shown);

	if (!w->on)
		return false;
	(void)look_at_lock(s);
	if (!w->attached && *w->text && s->io->monotonic(s->io->self) >= w->again_ns)
		attach(s);
	if (!w->attached)
		return false;
	if (!read_board(s, w->b, out) ||
	    /* A record that stays behind those that are in the tables: who put it
	     * there is gone, or about to go on. */
	    (out->seq == shown && out->reached == w->reached &&
	     cid_wal_came(&s->wal, out->reached + 1) && !s->io->lends(s->io->self, &w->board))) {
		detach(s);
		return false;
	}
	/* By itself this reader has come further, into what is being written. */
	if (!shown && out->reached + 1 < s->follow->next)
		return false;
	w->reached = out->reached;
	return true;
}

bool cid_borrow_same(struct cidstore *s, const struct cid_board_state *st)
{
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load(&s->follow->borrow.b->seq) == st->seq && look_at_lock(s);
}

/* ---- tables ---- */

static struct cid_borrowed *map_of(struct cidstore *s, const struct cid_loan *l, uint64_t bytes)
{
	struct cid_borrow *w = &s->follow->borrow;
	struct cid_borrowed *m;

	for (m = w->maps; m; m = m->next)
		if (m->l.ino == l->ino && m->l.pid == w->board.pid && m->l.n == bytes)
			return m;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->l = (struct cid_loan){ .n = bytes, .fd = l->fd, .pid = w->board.pid, .ino = l->ino };
	if (s->io->borrow(s->io->self, &m->l, w->lender_uid)) {
		free(m);
		return NULL;
	}
	m->next = w->maps;
	w->maps = m;
	return m;
}

static struct cid_borrowed_table *table_of(struct cidstore *s, const struct cid_table_state *t)
{
	struct cid_borrow *w = &s->follow->borrow;
	struct cid_borrowed_table *x;
	struct cid_borrowed *map;

	if (t->cap == 0 || t->cap > s->root.log_records)
		return NULL;
	map = map_of(s, &t->loan, cid_mem_bytes(t->cap));
	if (!map)
		return NULL;
	for (x = w->tables; x; x = x->next)
		if (x->map == map && x->turn == t->turn)
			return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	if (cid_mem_init_in(&x->m, map->l.p, t->cap, s->t.seed)) {
		free(x);
		return NULL;
	}
	x->map = map;
	x->turn = t->turn;
	x->next = w->tables;
	w->tables = x;
	return x;
}

bool cid_borrow_tables(struct cidstore *s, const struct cid_board_state *st, struct cid_mem **out)
{
	struct cid_mem *m[CID_VIEW_TABLES] = { NULL };

	for (unsigned i = 0; i < st->tables; i++) {
		struct cid_borrowed_table *x = table_of(s, &st->table[i]);

		if (!x) {
			if (cid_borrow_same(s, st)) {
				detach(s);
				s->follow->borrow.again_ns =
					s->io->monotonic(s->io->self) + AGAIN_NS;
			}
			return false;
		}
		m[i] = &x->m;
	}
	memcpy(out, m, sizeof(m));
	return true;
}

static bool shown_in(const struct cid_view *v, const struct cid_mem *m)
{
	return v && v->lent && (v->active == m || v->frozen == m || v->older == m);
}

/* Frees what no view shows and nobody looks at. */
void cid_borrow_tidy(struct cidstore *s, bool all)
{
	struct cid_borrow *w = &s->follow->borrow;
	const struct cid_view *v = cid_view_now(s);

	for (struct cid_borrowed_table **p = &w->tables; *p;) {
		struct cid_borrowed_table *x = *p;

		if (!all && shown_in(v, &x->m))
			x->ebr = 0;
		else if (!all && !x->ebr)
			x->ebr = cid_ebr_retire(&s->ebr);
		if (all || (x->ebr && cid_ebr_passed(&s->ebr, x->ebr))) {
			*p = x->next;
			cid_mem_fini(&x->m);
			free(x);
		} else {
			p = &x->next;
		}
	}
	for (struct cid_borrowed **p = &w->maps; *p;) {
		struct cid_borrowed *x = *p;
		bool used = false;

		for (const struct cid_borrowed_table *t = w->tables; t; t = t->next)
			used |= t->map == x;
		/* The writer uses a table again and again: it is there next time. */
		if (used || (!all && w->attached && x->l.pid == w->board.pid &&
			     s->io->lends(s->io->self, &x->l))) {
			p = &x->next;
			continue;
		}
		*p = x->next;
		s->io->give_back(s->io->self, x->l.p, x->l.n);
		free(x);
	}
}

/* ---- for lookups ---- */

bool cid_borrow_news(const struct cidstore *s, uint64_t shown)
{
	const struct cid_board *b = s->follow->borrow.b;

	return atomic_load_explicit(&b->seq, memory_order_acquire) != shown;
}

bool cid_borrow_came(const struct cidstore *s)
{
	const struct cid_board *b = s->follow->borrow.b;

	return cid_wal_came(&s->wal, atomic_load_explicit(&b->reached, memory_order_acquire) + 1);
}

bool cid_borrow_holds(const struct cid_view *v)
{
	return (!v->active || cid_mem_same_turn(v->active, v->turn[0])) &&
	       (!v->frozen || cid_mem_same_turn(v->frozen, v->turn[1])) &&
	       (!v->older || cid_mem_same_turn(v->older, v->turn[2]));
}

static void raise(_Atomic uint64_t *at, uint64_t to)
{
	uint64_t was = atomic_load(at);

	while (was < to && !atomic_compare_exchange_weak(at, &was, to))
		;
}

void cid_borrow_reached(struct cidstore *s)
{
	struct cid_borrow *w = &s->follow->borrow;
	uint64_t shown = atomic_load(&w->shown), reached, durable;

	if (!shown)
		return;
	reached = atomic_load(&w->b->reached);
	durable = atomic_load(&w->b->durable);
	/* Of the tables that are shown, and not of what another board says. */
	if (cid_borrow_news(s, shown))
		return;
	raise(&s->wal.appended, reached);
	raise(&s->wal.durable, durable);
}

/* ---- beginning and end ---- */

void cid_borrow_init(struct cidstore *s)
{
	struct cid_borrow *w = &s->follow->borrow;

	/* One who refreshes by hand sees nothing come in between. */
	if (s->manual || s->follow->no_log || !s->io->borrow)
		return;
	s->lockfd = s->io->open(s->io->self, s->dirfd, "LOCK", O_RDONLY | O_NOFOLLOW, 0);
	if (s->lockfd < 0)
		s->lockfd = -1;
	w->on = s->lockfd >= 0;
}

void cid_borrow_fini(struct cidstore *s)
{
	struct cid_borrow *w = &s->follow->borrow;

	w->attached = false;
	cid_borrow_tidy(s, true);
	if (w->board.p)
		s->io->give_back(s->io->self, w->board.p, w->board.n);
}
