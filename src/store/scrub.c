/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scrub.c - everything in the buckets and runs is read again, slowly
 *
 * Damage that nobody reads stays unknown until a second flip makes it more than
 * can be corrected. The scrubber goes round all parts at `scrub_rate` bytes a
 * second, with the lists their entries lead to, and has those with damage that
 * can be corrected written anew. It reads by pread, never through a mapping: a
 * bad sector is an error here and not a signal.
 *
 * The part under its eyes is pinned like a snapshot, for as long as it is read;
 * its place in the round is told by a hash, so that the buckets may be split
 * and joined meanwhile. The place outlives the process in the root.
 */
#include <stdlib.h>
#include <string.h>

#include "store/repair.h"

#define MS 1000000ull

enum { CHUNK = 1024, NAP_MS = 200 };

struct scrub {
	struct cidstore *s;
	struct cid_slot slot;
	struct cid_part *p; /* a handle of its own */
	struct cid_entry *buf;
	uint64_t bytes, corrected, errors;
};

static void add_damage(struct scrub *c, int rc)
{
	if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO)
		c->errors++;
}

/* A block as its reference says; a bit of it may be wrong. */
static int look_block(struct scrub *c, uint64_t pos, void *p, size_t n, struct cid_sum sum)
{
	unsigned bits;
	int rc = cid_block_read(&c->s->pool[CID_POOL_VALUES], pos, p, n, 0, sum, &bits);

	c->bytes += n;
	if (rc == 0)
		c->corrected += bits;
	return rc;
}

static int look_tree(struct scrub *c, const struct cid_node_ref *ref)
{
	size_t n = cid_block_bytes(ref->level, ref->children);
	struct cid_node_ref *block;
	int rc;

	if (n == 0 || ref->level >= CID_TREE_LEVELS)
		return CIDSTORE_ECORRUPT;
	block = malloc(n);
	if (!block)
		return CIDSTORE_ENOMEM;
	rc = look_block(c, ref->pos, block, n, ref->sum);
	for (uint32_t i = 0; rc == 0 && ref->level && i < ref->children; i++) {
		rc = block[i].level + 1 == ref->level ? look_tree(c, &block[i]) :
							CIDSTORE_ECORRUPT;
		add_damage(c, rc);
		rc = rc == CIDSTORE_ENOMEM ? rc : 0;
	}
	free(block);
	return rc;
}

static int look_list(struct scrub *c, const struct cid_entry *e, enum cid_state st)
{
	struct cid_list_ref ref = cid_entry_list(e);
	size_t n = (size_t)ref.count * sizeof(struct cidstore_id);
	void *p;
	int rc;

	if (cid_state_table[st].form == CID_FORM_TREE)
		return look_tree(c, &(struct cid_node_ref){ .pos = ref.pos, .count = ref.count,
							    .children = ref.children,
							    .level = ref.level, .sum = ref.sum });
	if (ref.count == 0 || ref.count > CID_LEAF_MAX)
		return CIDSTORE_ECORRUPT;
	p = malloc(n);
	if (!p)
		return CIDSTORE_ENOMEM;
	rc = look_block(c, ref.pos, p, n, ref.sum);
	free(p);
	return rc;
}

static int look_entry(struct scrub *c, struct cid_entry *e, uint64_t i)
{
	uint64_t pos = cid_part_entry_pos(c->p, i);
	int flipped = 0, st = cid_entry_state(e, c->p->seed, pos);

	if (st < 0 || (uint8_t)(e->check_high >> 56) != cid_state_encode((enum cid_state)st)) {
		st = cid_entry_correct(e, c->p->seed, pos, 2, &flipped);
		if (st < 0)
			return CIDSTORE_ECORRUPT;
		c->corrected += (uint64_t)flipped;
	}
	return cid_state_table[st].form == CID_FORM_INLINE ? 0 :
							     look_list(c, e, (enum cid_state)st);
}

static int look_part(struct scrub *c)
{
	const struct cid_pool *parts = &c->s->pool[CID_POOL_PARTS];
	struct cid_part_index *x;
	int rc = cid_part_new(parts, c->s->t.seed, &c->slot, 0, &c->p);

	if (rc)
		return rc;
	/* Footer and index of the handle: read and verified. */
	rc = cid_part_load(parts, c->p, &x);
	add_damage(c, rc);
	for (uint64_t i = 0; rc != CIDSTORE_ENOMEM && i < c->slot.entries; i += CHUNK) {
		uint64_t n = c->slot.entries - i < CHUNK ? c->slot.entries - i : CHUNK;

		rc = cid_pool_read(parts, c->slot.pos + i * sizeof(*c->buf), c->buf,
				   (size_t)n * sizeof(*c->buf));
		c->bytes += n * sizeof(*c->buf);
		add_damage(c, rc);
		for (uint64_t k = 0; rc == 0 && k < n; k++) {
			rc = look_entry(c, &c->buf[k], i + k);
			add_damage(c, rc);
			rc = rc == CIDSTORE_ENOMEM ? rc : 0;
		}
	}
	cid_part_free(c->p);
	return rc == CIDSTORE_ENOMEM ? rc : 0;
}

/* ---- the round ---- */

/* The next part, pinned; false at the end of a round. */
static bool next(struct cidstore *s, struct scrub *c, struct cid_pin *pin, bool *run)
{
	const struct cid_view *v;
	bool have = true;

	pthread_mutex_lock(&s->maint);
	v = cid_view_now(s);
	*run = s->scrub.at >> CID_HASH_BITS;
	if (!*run) {
		const struct cid_part *p = cid_dir_get(v->dir, s->scrub.at);

		c->slot = p->slot;
		s->scrub.at = p->prefix + (1ull << (CID_HASH_BITS - p->slot.depth));
	} else {
		/* Runs by their generation, which goes up. */
		const struct cid_part *best = NULL;

		for (uint32_t i = 0; i < v->nruns; i++)
			if (v->run[i]->slot.generation > s->scrub.generation &&
			    (!best || v->run[i]->slot.generation < best->slot.generation))
				best = v->run[i];
		have = best != NULL;
		if (best) {
			c->slot = best->slot;
			s->scrub.generation = best->slot.generation;
		} else {
			s->scrub.at = s->scrub.generation = 0;
			s->scrub.rounds++;
		}
	}
	s->root.counter[CID_COUNTER_SCRUB] = s->scrub.at;
	pthread_mutex_lock(&s->pin_lock);
	*pin = (struct cid_pin){ .epoch = s->root.generation, .next = s->pins };
	s->pins = pin;
	pthread_mutex_unlock(&s->pin_lock);
	pthread_mutex_unlock(&s->maint);
	return have;
}

static void unpin(struct cidstore *s, struct cid_pin *pin)
{
	pthread_mutex_lock(&s->pin_lock);
	for (struct cid_pin **p = &s->pins; *p; p = &(*p)->next)
		if (*p == pin) {
			*p = pin->next;
			break;
		}
	pthread_mutex_unlock(&s->pin_lock);
}

/* Still the part that was looked at? Then it is written anew. */
static void renew(struct cidstore *s, const struct cid_slot *slot, bool run)
{
	const struct cid_view *v;
	struct cid_part *p = NULL;

	pthread_mutex_lock(&s->maint);
	v = cid_view_now(s);
	for (uint32_t i = 0; run && i < v->nruns; i++)
		if (v->run[i]->slot.pos == slot->pos)
			p = v->run[i];
	for (uint64_t i = 0; !run && i < 1ull << v->dir->depth; i++)
		if (atomic_load(&v->dir->slot[i])->slot.pos == slot->pos)
			p = atomic_load(&v->dir->slot[i]);
	if (p && p->slot.generation == slot->generation && !atomic_load(&s->broken) &&
	    cid_part_rewrite(s, p, run, NULL) == 0)
		s->scrub.rewritten++;
	pthread_mutex_unlock(&s->maint);
	cid_maintain_wake(s);
}

int cid_scrub_step(struct cidstore *s, uint64_t *bytes, bool *more)
{
	struct scrub c = { .s = s };
	struct cid_pin pin;
	bool run;
	int rc = 0;

	*bytes = 0;
	c.buf = malloc(CHUNK * sizeof(*c.buf));
	if (!c.buf)
		return CIDSTORE_ENOMEM;
	*more = next(s, &c, &pin, &run);
	if (*more && c.slot.pos)
		rc = look_part(&c);
	unpin(s, &pin);
	free(c.buf);
	s->scrub.bytes += c.bytes;
	s->scrub.errors += c.errors;
	s->t.corrected += c.corrected;
	s->t.corrupt += c.errors;
	if (rc == 0 && c.corrected)
		renew(s, &c.slot, run);
	*bytes = c.bytes;
	return rc;
}

int cid_store_scrub(struct cidstore *s)
{
	uint64_t bytes;
	bool more = true;
	int rc = s->readonly ? CIDSTORE_EROFS : 0;

	while (rc == 0 && more)
		rc = cid_scrub_step(s, &bytes, &more);
	return rc;
}

/* False when told to stop. */
static bool nap(struct cidstore *s, uint64_t ns)
{
	uint64_t end = s->io->monotonic(s->io->self) + ns;
	struct timespec t = { (time_t)(end / 1000000000), (long)(end % 1000000000) };
	bool stop;

	pthread_mutex_lock(&s->wake_lock);
	while (!s->stop && s->io->monotonic(s->io->self) < end)
		(void)pthread_cond_timedwait(&s->work, &s->wake_lock, &t);
	stop = s->stop;
	pthread_mutex_unlock(&s->wake_lock);
	return !stop;
}

static void *scrub(void *arg)
{
	struct cidstore *s = arg;
	uint64_t owed = 0; /* bytes read and not yet paid for by waiting */

	while (nap(s, NAP_MS * MS)) {
		uint64_t rate = cid_cfg(s, CID_CFG_SCRUB_RATE), bytes = 0;
		bool more;

		owed -= owed < rate * NAP_MS / 1000 ? owed : rate * NAP_MS / 1000;
		if (rate == 0 || owed || atomic_load(&s->broken) || atomic_load(&s->wal.failed))
			continue;
		(void)cid_scrub_step(s, &bytes, &more);
		/* A small store is not gone round more often than this. */
		owed = bytes + 4096;
		if (!more)
			owed += rate * CID_SCRUB_PAUSE_S;
	}
	return NULL;
}

void cid_scrub_resume(struct cidstore *s)
{
	s->scrub.at = s->root.counter[CID_COUNTER_SCRUB];
	if (s->scrub.at > 1ull << CID_HASH_BITS)
		s->scrub.at = 0;
}

int cid_scrub_start(struct cidstore *s)
{
	if (pthread_create(&s->scrub.thread, NULL, scrub, s))
		return CIDSTORE_ENOMEM;
	s->scrub.started = true;
	return 0;
}

void cid_scrub_join(struct cidstore *s)
{
	if (s->scrub.started)
		pthread_join(s->scrub.thread, NULL);
	s->scrub.started = false;
}
