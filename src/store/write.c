/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write.c - the one path of every change: log record, table, published
 *
 * A call holds `write` while it stores records and fills the table, and raises
 * first the log's and then the table's limit when its records are complete.
 * So a reader never sees what the log does not hold, and a death of the
 * process at any point leaves a prefix of whole operations.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/plant.h"
#include "store/engine.h"

enum {
	MEM_CHUNK = 4096, /* half of the smallest table */
	NOTES = CID_WRITE_NOTES,
	SPACE_EVERY = CID_SPACE_EVERY,	   /* operations between two looks at the file system */
	SPACE_PER_OP = 160,	   /* bytes of run and bucket an operation may cost */
	SPACE_RESERVE = CID_SPACE_RESERVE,
	ROOM_NS = 2000000,
	PACE_NS = 500000,
};

#define SPACE_WAIT_NS 10000000000ull /* at most so long for what maintenance may give back */
#define SPACE_FULL_NS 200000000ull   /* and so long not again, where that was in vain */

struct space_wait {
	uint64_t began; /* 0: not yet */
	uint64_t rounds; /* of maintenance, then */
};

bool cid_apply(struct cid_mem *m, const struct cid_op *op, uint64_t seed)
{
	return cid_mem_add(m, op->kind, op->key, op->value, cid_hash(op->key, seed), &op->effect);
}

static enum cid_opcode opcode_of(enum cid_mem_kind k)
{
	static const enum cid_opcode code[] = {
		[CID_MEM_INSERT] = CID_OP_INSERT,
		[CID_MEM_DELETE] = CID_OP_DELETE,
		[CID_MEM_MKKEY] = CID_OP_MKKEY,
		[CID_MEM_RMKEY] = CID_OP_RMKEY,
	};

	return code[k];
}

static void count(struct cidstore *s, enum cid_mem_kind k, uint64_t n)
{
	_Atomic uint64_t *const c[] = { NULL, &s->c.inserts, &s->c.deletes, &s->c.mkkeys,
					&s->c.rmkeys };

	atomic_fetch_add_explicit(c[k], n, memory_order_relaxed);
}

int cid_write_seal(struct cidstore *s)
{
	struct cid_view *v;
	struct cid_mem *m;
	int sealed = 1;

	pthread_mutex_lock(&s->publish);
	v = cid_view_now(s);
	if (!v->frozen) {
		m = v->active;
		sealed = 0;
		if (m->count) {
			struct cid_mem *next;

			sealed = cid_mem_take(s, &next);
			if (next) {
				m->end_lsn = s->wal.next;
				atomic_store(&s->flush_share, 0);
				next->first_lsn = s->wal.next;
				sealed = cid_view_publish(s, next, m, v->dir, v->run, v->nruns);
				if (sealed < 0)
					s->mem_retired[next - s->mem] = 0;
				else
					sealed = 1;
				cid_lend_tell(s);
			}
		}
	}
	pthread_mutex_unlock(&s->publish);
	return sealed;
}

static int refusal(struct cidstore *s)
{
	if (s->readonly)
		return CIDSTORE_EROFS;
	if (atomic_load(&s->broken) || atomic_load(&s->wal.failed))
		return CIDSTORE_EFAILED;
	return 0;
}

/*
 * Is there room on the file system for all that follows from n more
 * operations? They become a run, and the runs become buckets while they are
 * still there themselves; so what the runs hold must be free once more, and a
 * reserve besides, from which deletions and merges can always work, and a
 * directory of twice the size: a commit that doubles it writes all of it anew.
 * Asks the file system once in SPACE_EVERY operations.
 */
static bool space_for(struct cidstore *s, const struct cid_view *v, uint64_t n)
{
	uint64_t pending, need, free_bytes;

	if (s->space_credit >= n) {
		s->space_credit -= n;
		return true;
	}
	pending = v->active->count + (v->frozen ? v->frozen->count : 0) + n + SPACE_EVERY;
	need = SPACE_RESERVE + pending * SPACE_PER_OP + atomic_load(&s->run_bytes) +
	       (sizeof(struct cid_slot) << (v->dir->depth + 1));
	if (s->io->space(s->io->self, s->dirfd, &free_bytes) == 0 && free_bytes < need) {
		atomic_store(&s->nospace, 1);
		cid_maintain_wake(s);
		return false;
	}
	s->space_credit = SPACE_EVERY;
	return true;
}

/* A flush tells when it made room; a reader that leaves a table does not. */
static void wait_for_room(struct cidstore *s, uint64_t ns)
{
	uint64_t end = s->io->monotonic(s->io->self) + ns;
	struct timespec t = { (time_t)(end / 1000000000), (long)(end % 1000000000) };

	(void)pthread_cond_timedwait(&s->room, &s->write, &t);
}

/*
 * A disk is full when maintenance, told of it, has looked at everything and
 * given back what it could; as a file system tries once more after its journal
 * was committed. `rounds` is how many of them had ended before the disk was
 * looked at, where this waited before.
 */
static bool space_may_come(struct cidstore *s, struct space_wait *w, uint64_t rounds)
{
	uint64_t now;

	if (s->manual)
		return false;
	now = s->io->monotonic(s->io->self);
	if (!w->began) {
		if (now < s->full_until)
			return false;
		w->began = now;
		w->rounds = cid_maintain_rounds(s);
	} else if (rounds >= w->rounds + 2 || now - w->began > SPACE_WAIT_NS) {
		/* The first may have been about to end. */
		s->full_until = now + SPACE_FULL_NS;
		return false;
	}
	cid_maintain_wake(s);
	wait_for_room(s, ROOM_NS);
	return true;
}

/* A table is sealed when it or the log is half full. */
static uint64_t seal_at(struct cidstore *s, const struct cid_mem *m)
{
	return (m->cap < s->wal.records ? m->cap : s->wal.records) / 2;
}

/*
 * Where flushing does not keep up, a writer waits a little now and then rather
 * than long at the end: after a third of the table it goes on only as fast as
 * the table before it is being written.
 */
static bool pace(struct cidstore *s, const struct cid_mem *m)
{
	uint64_t full = seal_at(s, m), t0;

	if (s->manual || m->count <= full / 3 || !cid_view_now(s)->frozen ||
	    m->count <= full / 3 + full * atomic_load(&s->flush_share) * 2 / 3 / 1024)
		return false;
	t0 = s->io->monotonic(s->io->self);
	wait_for_room(s, PACE_NS);
	s->c.stall_ns += s->io->monotonic(s->io->self) - t0;
	return true;
}

/* Waits until n records and n operations fit. `write` is held. */
static int make_room(struct cidstore *s, uint64_t n, bool frees)
{
	struct space_wait space = { 0, 0 };
	uint64_t t0 = 0;
	bool paced = false;
	int rc;

	for (;;) {
		uint64_t rounds = space.began ? cid_maintain_rounds(s) : 0;
		struct cid_mem *m = cid_view_now(s)->active;
		bool sealed;

		rc = refusal(s);
		if (rc)
			break;
		if (!frees && (atomic_load(&s->nospace) || !space_for(s, cid_view_now(s), n))) {
			if (space_may_come(s, &space, rounds)) {
				if (!t0)
					t0 = space.began;
				continue;
			}
			rc = CIDSTORE_ENOSPC;
			break;
		}
		if (m->count == 0 && m->cap < n) {
			rc = CIDSTORE_ETOOBIG; /* memory_limit was lowered just now */
			break;
		}
		if (!paced) {
			paced = true;
			if (pace(s, m))
				continue;
		}
		if (cid_wal_room(&s->wal) >= n + NOTES && m->cap - m->count >= n) {
			if (m->count >= seal_at(s, m) && cid_write_seal(s) > 0)
				cid_maintain_wake(s);
			break;
		}
		sealed = cid_write_seal(s) > 0;
		if (s->manual) {
			pthread_mutex_unlock(&s->write);
			rc = cidstore_checkpoint(s);
			pthread_mutex_lock(&s->write);
			if (rc)
				break;
			continue;
		}
		/* Deletions wait for maintenance, which works from the reserve. */
		rc = atomic_load(&s->stuck);
		if (rc)
			break;
		if (!t0)
			t0 = s->io->monotonic(s->io->self);
		if (sealed)
			cid_maintain_wake(s);
		wait_for_room(s, ROOM_NS);
	}
	if (t0)
		s->c.stall_ns += s->io->monotonic(s->io->self) - t0;
	return rc;
}

static bool put(struct cidstore *s, struct cid_mem *m, const struct cid_op *op)
{
	if (!cid_wal_put(&s->wal, opcode_of(op->kind), op->key, op->value))
		return false;
	(void)cid_apply(m, op, s->t.seed);
	return true;
}

static void finish(struct cidstore *s, struct cid_mem *m)
{
	cid_wal_publish(&s->wal);
	cid_mem_publish(m);
	cid_lend_reached(s);
}

static void note_durable(struct cidstore *s)
{
	if (cid_wal_note_due(&s->wal)) {
		struct cidstore_id none = { 0, 0 }, v = { 0, atomic_load(&s->wal.durable) };

		(void)cid_wal_put(&s->wal, CID_OP_DURABLE, none, v);
	}
}

void cid_note_locked(struct cidstore *s, enum cid_opcode op, struct cidstore_id key,
		     struct cidstore_id value)
{
	if (!s->unnoted && cid_wal_room(&s->wal) > NOTES / 2) {
		cid_wal_stamp(&s->wal);
		if (cid_wal_put(&s->wal, op, key, value)) {
			cid_wal_publish(&s->wal);
			cid_lend_reached(s);
		}
	}
}

void cid_write_note(struct cidstore *s, enum cid_opcode op, struct cidstore_id key,
		    struct cidstore_id value)
{
	pthread_mutex_lock(&s->write);
	cid_note_locked(s, op, key, value);
	pthread_mutex_unlock(&s->write);
}

/* Blind operations of one kind; value NULL for those on keys. */
static int bulk(struct cidstore *s, enum cid_mem_kind kind, const struct cidstore_pair *p,
		const struct cidstore_id *k, size_t n, size_t *done)
{
	size_t at = 0, chunk = (size_t)cid_tuned(s, CID_TUNE_BATCH);
	int rc = 0;
	bool frees = kind == CID_MEM_DELETE || kind == CID_MEM_RMKEY;

	if (chunk > s->wal.records / 4)
		chunk = (size_t)s->wal.records / 4;
	if (chunk > MEM_CHUNK)
		chunk = MEM_CHUNK;
	while (at < n && rc == 0) {
		size_t m = n - at < chunk ? n - at : chunk, i = 0;
		struct cid_turn turn = cid_turn_take(s, m);
		struct cid_mem *mem;

		rc = make_room(s, m, frees);
		if (rc == 0) {
			mem = cid_view_now(s)->active;
			cid_wal_stamp(&s->wal);
			note_durable(s);
			for (; i < m; i++) {
				struct cid_op op = { .kind = kind };

				if (i + 8 < m)
					cid_mem_prefetch(mem, cid_hash(p ? p[at + i + 8].key :
									   k[at + i + 8],
								       s->t.seed));
				op.key = p ? p[at + i].key : k[at + i];
				if (p)
					op.value = p[at + i].value;
				if (!put(s, mem, &op))
					break;
			}
			finish(s, mem);
			at += i;
			rc = i < m ? CIDSTORE_EIO : 0;
		}
		cid_turn_end(s, &turn, rc);
	}
	count(s, kind, at);
	if (done)
		*done = at;
	if (at && s->hook) {
		if (n <= 64)
			for (size_t i = 0; i < at; i++)
				s->hook(s->hook_arg, p ? &p[i].key : &k[i], p ? &p[i].value : NULL);
		else
			s->hook(s->hook_arg, NULL, NULL);
	}
	return rc;
}

int cidstore_insert(struct cidstore *s, const struct cidstore_pair *p, size_t n, size_t *done)
{
	return bulk(s, CID_MEM_INSERT, p, NULL, n, done);
}

int cidstore_delete(struct cidstore *s, const struct cidstore_pair *p, size_t n, size_t *done)
{
	return bulk(s, CID_MEM_DELETE, p, NULL, n, done);
}

int cidstore_make_keys(struct cidstore *s, const struct cidstore_id *k, size_t n, size_t *done)
{
	return bulk(s, CID_MEM_MKKEY, NULL, k, n, done);
}

int cidstore_delete_keys(struct cidstore *s, const struct cidstore_id *k, size_t n, size_t *done)
{
	return bulk(s, CID_MEM_RMKEY, NULL, k, n, done);
}

/* ---- several as one ---- */

/* Writes n operations between BEGIN and COMMIT. `write` is held, room made. */
static int write_group(struct cidstore *s, const struct cid_op *op, size_t n)
{
	struct cid_mem *m = cid_view_now(s)->active;
	struct cidstore_id none = { 0, 0 };
	uint64_t begin;

	cid_wal_stamp(&s->wal);
	note_durable(s);
	begin = cid_wal_put(&s->wal, CID_OP_BEGIN, none, (struct cidstore_id){ 0, n });
	for (size_t i = 0; i < n; i++)
		if (!cid_wal_put(&s->wal, opcode_of(op[i].kind), op[i].key, op[i].value))
			return CIDSTORE_EIO;
	if (!begin || !cid_wal_put(&s->wal, CID_OP_COMMIT, none, (struct cidstore_id){ n, begin }))
		return CIDSTORE_EIO;
	for (size_t i = 0; i < n; i++)
		(void)cid_apply(m, &op[i], s->t.seed);
	finish(s, m);
	return 0;
}

int cidstore_apply(struct cidstore *s, const struct cidstore_op *in, size_t n)
{
	static const enum cid_mem_kind kind[] = {
		[CIDSTORE_OP_INSERT] = CID_MEM_INSERT,
		[CIDSTORE_OP_DELETE] = CID_MEM_DELETE,
		[CIDSTORE_OP_MKKEY] = CID_MEM_MKKEY,
		[CIDSTORE_OP_RMKEY] = CID_MEM_RMKEY,
	};
	struct cid_op *op;
	struct cid_turn turn;
	bool frees = true;
	int rc;

	if (n == 0)
		return 0;
	if (n > cid_cfg(s, CID_CFG_BATCH_LIMIT) || n > s->wal.records / 4 ||
	    n > cid_mem_cap(s) / 2)
		return CIDSTORE_ETOOBIG;
	op = calloc(n, sizeof(*op));
	if (!op)
		return CIDSTORE_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (in[i].verb < CIDSTORE_OP_INSERT || in[i].verb > CIDSTORE_OP_RMKEY) {
			free(op);
			return CIDSTORE_EINVAL;
		}
		op[i].kind = kind[in[i].verb];
		op[i].key = in[i].key;
		op[i].value = in[i].value;
		frees &= op[i].kind == CID_MEM_DELETE || op[i].kind == CID_MEM_RMKEY;
	}
	turn = cid_turn_take(s, n);
	rc = make_room(s, n + 2, frees);
	if (rc == 0)
		rc = write_group(s, op, n);
	cid_turn_end(s, &turn, rc);
	free(op);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++)
		count(s, kind[in[i].verb], 1);
	s->c.txns++;
	if (s->hook) {
		bool many = n > 64;

		for (size_t i = 0; i < (many ? 1 : n); i++)
			s->hook(s->hook_arg, many ? NULL : &in[i].key,
				many || in[i].verb > CIDSTORE_OP_DELETE ? NULL : &in[i].value);
	}
	return 0;
}

struct cidstore_txn {
	struct cidstore *s;
	struct cidstore_op *op;
	size_t n, cap;
};

int cidstore_txn_begin(struct cidstore *s, struct cidstore_txn **out)
{
	struct cidstore_txn *t = calloc(1, sizeof(*t));

	if (!t)
		return CIDSTORE_ENOMEM;
	t->s = s;
	*out = t;
	return 0;
}

int cidstore_txn_op(struct cidstore_txn *t, enum cidstore_verb verb, struct cidstore_id key,
		    struct cidstore_id value)
{
	int rc;

	if (t->n >= cid_cfg(t->s, CID_CFG_BATCH_LIMIT))
		return CIDSTORE_ETOOBIG;
	rc = cid_array_room((void **)&t->op, t->n, &t->cap, sizeof(*t->op));
	if (rc == 0)
		t->op[t->n++] = (struct cidstore_op){ verb, key, value };
	return rc;
}

int cidstore_txn_commit(struct cidstore_txn *t)
{
	int rc = cidstore_apply(t->s, t->op, t->n);

	cidstore_txn_abort(t);
	return rc;
}

void cidstore_txn_abort(struct cidstore_txn *t)
{
	free(t->op);
	free(t);
}

/* ---- single changes with an answer ---- */

/* What holds now of a key and one value of it. `write` is held, so it stays. */
struct answer {
	bool key, value;
	uint64_t count;
};

static int ask(struct cidstore *s, struct cidstore_id key, const struct cidstore_id *value,
	       bool want_count, struct answer *a)
{
	unsigned slot = cid_ebr_enter(&s->ebr);
	struct cid_key k;
	int rc;

	cid_key_init(&k, key, cid_hash(key, s->t.seed));
	rc = cid_key_collect(&k, &s->t, cid_view_now(s));
	a->key = rc == 0 && cid_key_exists(&k);
	a->value = false;
	a->count = 0;
	if (a->key && value) {
		rc = cid_key_has(&k, &s->t, *value);
		a->value = rc == 1;
		rc = rc < 0 ? rc : 0;
	}
	if (rc == 0 && a->key && want_count)
		rc = cid_key_count(&k, &s->t, &a->count);
	cid_key_fini(&k);
	cid_ebr_leave(&s->ebr, slot);
	return rc;
}

static int one(struct cidstore *s, const struct cid_op *op)
{
	struct cid_mem *m = cid_view_now(s)->active;

	cid_wal_stamp(&s->wal);
	note_durable(s);
	if (!put(s, m, op))
		return CIDSTORE_EIO;
	finish(s, m);
	count(s, op->kind, 1);
	return 0;
}

int cidstore_mkkey(struct cidstore *s, struct cidstore_id key)
{
	struct cid_op op = { CID_MEM_MKKEY, key, { 0, 0 }, { true, 1, 0 } };
	struct cid_turn turn = cid_turn_take(s, 1);
	struct answer a;
	int rc;

	rc = make_room(s, 1, false);
	if (rc == 0)
		rc = ask(s, key, NULL, false, &a);
	if (rc == 0)
		rc = a.key ? CIDSTORE_EEXIST : one(s, &op);
	cid_turn_end(s, &turn, rc);
	return rc;
}

int cidstore_rmkey(struct cidstore *s, struct cidstore_id key)
{
	struct cid_op op = { CID_MEM_RMKEY, key, { 0, 0 }, { true, -1, 0 } };
	struct cid_turn turn = cid_turn_take(s, 1);
	struct answer a;
	int rc;

	rc = make_room(s, 1, true);
	if (rc == 0)
		rc = ask(s, key, NULL, true, &a);
	if (rc == 0)
		rc = !a.key ? CIDSTORE_ENOENT : a.count ? CIDSTORE_ENOTEMPTY : one(s, &op);
	cid_turn_end(s, &turn, rc);
	return rc;
}

int cidstore_add(struct cidstore *s, struct cidstore_id key, struct cidstore_id value)
{
	struct cid_op op = { CID_MEM_INSERT, key, value, { true, 0, 1 } };
	struct cid_turn turn = cid_turn_take(s, 1);
	struct answer a;
	int rc;

	rc = make_room(s, 1, false);
	if (rc == 0)
		rc = ask(s, key, &value, false, &a);
	if (rc == 0)
		rc = !a.key ? CIDSTORE_ENOENT : a.value ? CIDSTORE_EEXIST : one(s, &op);
	cid_turn_end(s, &turn, rc);
	return rc;
}

int cidstore_remove(struct cidstore *s, struct cidstore_id key, struct cidstore_id value)
{
	struct cid_op op = { CID_MEM_DELETE, key, value, { true, 0, -1 } };
	struct cid_turn turn = cid_turn_take(s, 1);
	struct answer a;
	int rc;

	rc = make_room(s, 1, true);
	if (rc == 0)
		rc = ask(s, key, &value, false, &a);
	if (rc == 0)
		rc = a.value ? one(s, &op) : CIDSTORE_ENOENT;
	cid_turn_end(s, &turn, rc);
	return rc;
}

int cidstore_move(struct cidstore *s, struct cidstore_id key, struct cidstore_id value,
		  struct cidstore_id to_key, struct cidstore_id to_value, int noreplace)
{
	struct cid_turn turn = cid_turn_take(s, 2);
	struct answer from, to;
	int rc;

	rc = make_room(s, 4, false);
	if (rc == 0)
		rc = ask(s, key, &value, false, &from);
	if (rc == 0)
		rc = ask(s, to_key, &to_value, false, &to);
	if (rc == 0 && (!from.value || !to.key))
		rc = CIDSTORE_ENOENT;
	else if (rc == 0 && to.value && noreplace)
		rc = CIDSTORE_EEXIST;
	else if (rc == 0 && !(cid_id_eq(key, to_key) && cid_id_eq(value, to_value))) {
		const struct cid_op op[2] = {
			{ CID_MEM_DELETE, key, value, { true, 0, -1 } },
			{ CID_MEM_INSERT, to_key, to_value, { true, 0, to.value ? 0 : 1 } },
		};

		if (CID_PLANT(23)) {
			(void)one(s, &op[0]);
			(void)one(s, &op[1]);
		} else {
			rc = write_group(s, op, 2);
		}
		s->c.txns += rc == 0;
	}
	cid_turn_end(s, &turn, rc);
	return rc;
}
