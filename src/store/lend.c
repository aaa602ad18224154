/* SPDX-License-Identifier: BSD-2-Clause */
/* lend.c - the writer's side: tables in memory that others map, and the board */
#include <stdio.h>
#include <string.h>

#include "store/lend.h"

static struct cid_loan *loan_of(struct cidstore *s, const struct cid_mem *m)
{
	return &s->lend.table[m - s->mem];
}

int cid_table_new(struct cidstore *s, struct cid_mem *m, uint32_t cap)
{
	struct cid_loan *l = loan_of(s, m);
	int rc;

	if (!s->lend.on || s->io->lend(s->io->self, cid_mem_bytes(cap), l)) {
		l->p = NULL;
		return cid_mem_init(m, cap, s->t.seed);
	}
	rc = cid_mem_init_in(m, l->p, cap, s->t.seed);
	if (rc)
		s->io->unlend(s->io->self, l);
	return rc;
}

void cid_table_free(struct cidstore *s, struct cid_mem *m)
{
	struct cid_loan *l = loan_of(s, m);

	/* Who has it mapped keeps the memory, but it is not the store's now. */
	if (l->p)
		atomic_fetch_add(&m->face->turn, 1);
	cid_mem_fini(m);
	if (l->p)
		s->io->unlend(s->io->self, l);
}

void cid_lend_tell(struct cidstore *s)
{
	const struct cid_view *v = cid_view_now(s);
	const struct cid_mem *m[CID_VIEW_TABLES] = { v->active, v->frozen, s->awaiting };
	struct cid_board *b = s->lend.b;
	uint64_t seq, n = 0;

	if (!b)
		return;
	seq = atomic_load_explicit(&b->seq, memory_order_relaxed);
	atomic_store_explicit(&b->seq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	for (int i = 0; i < CID_VIEW_TABLES; i++) {
		struct cid_board_table *t = &b->table[n];
		const struct cid_loan *l;

		if (!m[i])
			continue;
		l = loan_of(s, m[i]);
		if (!l->p) {
			n = 0;
			break;
		}
		atomic_store_explicit(&t->ino, l->ino, memory_order_relaxed);
		atomic_store_explicit(&t->fd, (uint64_t)l->fd, memory_order_relaxed);
		atomic_store_explicit(&t->cap, m[i]->cap, memory_order_relaxed);
		atomic_store_explicit(&t->turn, m[i]->face->turn, memory_order_relaxed);
		atomic_store_explicit(&t->first_lsn, m[i]->first_lsn, memory_order_relaxed);
		n++;
	}
	atomic_store_explicit(&b->tables, n, memory_order_relaxed);
	atomic_store_explicit(&b->seq, seq + 2, memory_order_release);
}

void cid_lend_reached(struct cidstore *s)
{
	struct cid_board *b = s->lend.b;

	if (b)
		atomic_store_explicit(&b->reached,
				      atomic_load_explicit(&s->wal.appended, memory_order_relaxed),
				      memory_order_release);
}

void cid_lend_forget(struct cidstore *s)
{
	struct stat st;

	if (s->io->stat(s->io->self, s->lockfd, &st) == 0 && st.st_size)
		(void)s->io->truncate(s->io->self, s->lockfd, 0);
}

void cid_lend_open(struct cidstore *s)
{
	struct cid_lending *d = &s->lend;
	char text[CID_LENDS_TEXT];
	struct cid_board *b;
	struct stat st;
	uint64_t seq;
	int n;

	if (!d->on || s->io->stat(s->io->self, s->lockfd, &st) ||
	    s->io->lend(s->io->self, CID_BOARD_BYTES, &d->board))
		return;
	b = d->board.p;
	b->lock_dev = st.st_dev;
	b->lock_ino = st.st_ino;
	b->seed = s->t.seed;
	/* Those of two boards are never the same, and none is 0. */
	s->io->random(s->io->self, &seq, sizeof(seq));
	atomic_store(&b->seq, (seq >> 2 << 1) + 2);
	b->magic = CID_BOARD_MAGIC;
	pthread_mutex_lock(&s->write);
	pthread_mutex_lock(&s->publish);
	d->b = b;
	cid_lend_tell(s);
	cid_lend_reached(s);
	pthread_mutex_unlock(&s->publish);
	pthread_mutex_unlock(&s->write);
	atomic_store(&b->durable, atomic_load(&s->wal.durable));
	s->wal.told = &b->durable;
	n = snprintf(text, sizeof(text), CID_LENDS_FORMAT, (unsigned long long)d->board.pid,
		     d->board.fd, (unsigned long long)d->board.ino);
	(void)cid_io_write_full(s->io, s->lockfd, text, (size_t)n, 0);
}

void cid_lend_close(struct cidstore *s)
{
	if (!s->lend.b)
		return;
	cid_lend_forget(s);
	s->wal.told = NULL;
	s->lend.b = NULL;
	s->io->unlend(s->io->self, &s->lend.board);
}
