/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/part.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/plant.h"
#include "os/arena.h"
#include "os/mapped.h"

/* Entries of a part in which guessing a place is worth while. */
enum { GUESS_MAX = 32768 };

static uint64_t extent_bytes(const struct cid_slot *s)
{
	return (uint64_t)s->pages * CID_PAGE;
}

static uint64_t index_offset(const struct cid_slot *s)
{
	return (uint64_t)s->entries * CID_ENTRY_BYTES;
}

int cid_part_new(const struct cid_pool *parts, uint64_t store_seed, const struct cid_slot *slot,
		 uint64_t prefix, struct cid_part **out)
{
	struct cid_part *p = cid_arena_alloc(sizeof(*p));

	if (!p)
		return CIDSTORE_ENOMEM;
	memset(p, 0, sizeof(*p));
	p->slot = *slot;
	p->prefix = prefix;
	p->seed = cid_part_seed(store_seed, slot->generation);
	p->entry_seed = p->seed + slot->pos;
	p->entries = slot->entries;
	if (slot->pos) {
		uint64_t bytes = extent_bytes(slot);

		if (bytes < index_offset(slot) + sizeof(struct cid_footer) ||
		    slot->pos % CID_PAGE || !cid_pool_holds(parts, slot->pos, bytes)) {
			cid_arena_free(p, sizeof(*p));
			return CIDSTORE_ECORRUPT;
		}
		p->entry = cid_pool_at(parts, slot->pos, bytes);
		p->packed_pages = UINT64_MAX;
	} else {
		p->newest_run = slot->generation;
	}
	*out = p;
	return 0;
}

void cid_part_free(struct cid_part *p)
{
	if (!p)
		return;
	cid_part_index_free(atomic_load(&p->index));
	cid_arena_free(p, sizeof(*p));
}

struct cid_part_index *cid_part_index_new(size_t bytes)
{
	size_t room = sizeof(struct cid_part_index) + bytes;
	struct cid_part_index *x = cid_arena_alloc(room);

	if (x)
		x->room = room;
	return x;
}

void cid_part_index_free(struct cid_part_index *x)
{
	if (x)
		cid_arena_free(x, x->room);
}

void cid_part_index_set(struct cid_part_index *x, const struct cid_footer *f)
{
	x->footer = *f;
	x->bytes = sizeof(*x) + cid_index_bytes(f->entries, f->bins_log2);
	x->x = (struct cid_index){
		.bins_log2 = f->bins_log2,
		.depth = f->depth,
		.entries = f->entries,
		.start = (const uint32_t *)(const void *)x->data,
		.tag = (const uint16_t *)(const void *)(x->data +
							(((size_t)1 << f->bins_log2) + 1) * 4),
	};
}

struct cid_part_index *cid_part_index_publish(struct cid_part *p, struct cid_part_index *x)
{
	/* Several may have loaded it at once. */
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct cid_part_index *old;

	pthread_mutex_lock(&lock);
	old = atomic_load_explicit(&p->index, memory_order_relaxed);
	if (!old) {
		if (!p->bins_log2) {
			p->depth = (uint8_t)x->x.depth;
			p->bins_log2 = (uint8_t)x->x.bins_log2;
		}
		__atomic_store_n(&p->packed_pages, x->footer.packed_pages, __ATOMIC_RELAXED);
		__atomic_store_n(&p->newest_run, x->footer.last_run, __ATOMIC_RELAXED);
		atomic_store_explicit(&p->index, x, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	if (!old)
		return x;
	cid_part_index_free(x);
	return old;
}

size_t cid_part_memory(const struct cid_part *p)
{
	const struct cid_part_index *x = atomic_load(&p->index);

	return sizeof(*p) + (x ? x->bytes : 0);
}

/* Judges a footer against the slot that led to it. */
bool cid_footer_fits(const struct cid_footer *f, const struct cid_part *p)
{
	const struct cid_slot *s = &p->slot;

	return f->magic == CID_PART_MAGIC && f->version == CID_FORMAT_VERSION && f->pos == s->pos &&
	       f->generation == s->generation && f->entries == s->entries && f->bins_log2 >= 1 &&
	       f->bins_log2 < 32 && f->depth + f->bins_log2 + 16u <= CID_HASH_BITS &&
	       index_offset(s) + cid_index_bytes(f->entries, f->bins_log2) +
			       sizeof(struct cid_footer) <=
		       extent_bytes(s);
}

int cid_part_footer(const struct cid_pool *parts, const struct cid_part *p, struct cid_footer *out)
{
	const struct cid_slot *s = &p->slot;
	struct cid_footer f;
	int rc = cid_pool_read(parts, s->pos + extent_bytes(s) - sizeof(f), &f, sizeof(f));

	if (rc)
		return rc;
	if (!cid_sum_eq(cid_sum_of(&f, sizeof(f), p->seed), s->sum) || !cid_footer_fits(&f, p))
		return CIDSTORE_ECORRUPT;
	*out = f;
	return 0;
}

int cid_part_load(const struct cid_pool *parts, struct cid_part *p, struct cid_part_index **out)
{
	const struct cid_slot *s = &p->slot;
	struct cid_part_index *x = NULL;
	uint64_t bytes = extent_bytes(s) - index_offset(s), want;
	struct cid_footer f;
	uint8_t *buf = malloc(bytes);
	int rc;

	if (!buf)
		return CIDSTORE_ENOMEM;
	/* Index and footer in one read. */
	rc = cid_pool_read(parts, s->pos + index_offset(s), buf, bytes);
	if (rc)
		goto out;
	memcpy(&f, buf + bytes - sizeof(f), sizeof(f));
	rc = CIDSTORE_ECORRUPT;
	if (!cid_sum_eq(cid_sum_of(&f, sizeof(f), p->seed), s->sum) || !cid_footer_fits(&f, p))
		goto out;
	want = cid_index_bytes(f.entries, f.bins_log2);
	if (!CID_PLANT(36) && !cid_sum_eq(cid_sum_of(buf, want, p->seed), f.index_sum))
		goto out;
	x = cid_part_index_new(want);
	if (!x) {
		rc = CIDSTORE_ENOMEM;
		goto out;
	}
	memcpy(x->data, buf, want);
	cid_part_index_set(x, &f);
	if (cid_index_valid(&x->x))
		rc = 0;
out:
	free(buf);
	if (rc)
		cid_part_index_free(x);
	else
		*out = cid_part_index_publish(p, x);
	return rc;
}

/* An entry that does not verify as it stands, or whose state's code has a flip. */
static int correct_entry(struct cid_entry *e, uint64_t seed, uint64_t pos, int bits,
			 _Atomic uint64_t *corrected)
{
	int flipped = 0, s = cid_entry_correct(e, seed, pos, bits, &flipped);

	if (s < 0)
		return CIDSTORE_ECORRUPT;
	if (corrected)
		*corrected += (uint64_t)flipped;
	return s;
}

static int entry_of(const struct cid_part *p, uint64_t i, int bits, struct cid_entry *out,
		    int *state, _Atomic uint64_t *corrected)
{
	uint64_t pos = i * CID_ENTRY_BYTES;
	struct cid_entry e;
	int s;

	if (!cid_mapped_line(&e, &p->entry[i]))
		return CIDSTORE_EIO;
	s = cid_entry_state(&e, p->entry_seed, pos);
	if (s < 0 || (uint8_t)(e.check_high >> 56) != cid_state_encode((enum cid_state)s)) {
		s = correct_entry(&e, p->entry_seed, pos, bits, corrected);
		if (s < 0)
			return s;
	}
	*out = e;
	*state = s;
	return 0;
}

int cid_part_entry(const struct cid_part *p, uint64_t i, struct cid_entry *out, int *state,
		   _Atomic uint64_t *corrected)
{
	return entry_of(p, i, 1, out, state, corrected);
}

int cid_part_entry_deep(const struct cid_part *p, uint64_t i, struct cid_entry *out, int *state,
			_Atomic uint64_t *corrected)
{
	return entry_of(p, i, 2, out, state, corrected);
}

int cid_part_full_at(const struct cid_part *p, struct cidstore_id key, uint32_t at,
		     struct cid_found *out)
{
	uint64_t pos = (uint64_t)at * CID_ENTRY_BYTES;
	int s;

	if (at >= p->entries)
		return 0;
	if (!cid_mapped_line(&out->e, &p->entry[at]))
		return -1;
	s = cid_entry_state(&out->e, p->entry_seed, pos);
	if (s < 0 || cid_state_table[s].role != CID_ROLE_FULL || !cid_id_eq(out->e.key, key) ||
	    (uint8_t)(out->e.check_high >> 56) != cid_state_encode((enum cid_state)s))
		return -1;
	out->state = s;
	return 1;
}

int cid_part_find_at(struct cid_part *p, const struct cid_part_index *x, struct cidstore_id key,
		     uint64_t hash, uint32_t at, struct cid_found out[2], int *n,
		     _Atomic uint64_t *corrected)
{
	int rc, k = 0;

	for (uint32_t i = at; i < p->entries && k < 2; i = cid_part_candidate(p, x, hash, i + 1)) {
		/* Verified before it is compared: a flipped bit in the key of the
		 * entry that is wanted must not make it another's. */
		rc = cid_part_entry(p, i, &out[k].e, &out[k].state, corrected);
		if (rc)
			return rc;
		if (!cid_id_eq(out[k].e.key, key))
			continue;
		/* Besides one that hides all else there is none. */
		if (cid_role_hides(cid_state_table[out[k++].state].role))
			break;
	}
	*n = k;
	return 0;
}

int cid_part_find(const struct cid_pool *parts, struct cid_part *p, struct cidstore_id key,
		  uint64_t hash, struct cid_found out[2], int *n, _Atomic uint64_t *corrected)
{
	struct cid_part_index *x;
	int rc;

	*n = 0;
	if (!p->entry)
		return 0;
	rc = cid_part_index(parts, p, &x);
	return rc ? rc
		  : cid_part_find_at(p, x, key, hash, cid_part_candidate(p, x, hash, 0), out, n,
				     corrected);
}

void cid_part_prefetch_guess(const struct cid_part *p, uint64_t hash, bool entry)
{
	const struct cid_part_index *x = atomic_load_explicit(&p->index, memory_order_acquire);
	struct cid_index f;
	uint32_t at;

	if (!x)
		return;
	f = cid_part_fences(p, x);
	cid_index_prefetch_bin(&f, hash);
	/* A uniform hash tells where its entry lies to within sqrt(n) / 2: some
	 * 40 in a bucket. That is the line of the tags, or the next, and the page
	 * of the entry, mostly; its translation is what takes long to come. */
	if (p->entries > GUESS_MAX)
		return;
	at = cid_index_guess(&f, hash);
	__builtin_prefetch(&f.tag[at] - 32);
	__builtin_prefetch(&f.tag[at]);
	__builtin_prefetch(&f.tag[at] + 32);
	if (!entry)
		return;
	__builtin_prefetch(&p->entry[at < 24 ? 0 : at - 24]);
	__builtin_prefetch(&p->entry[at + 24 < p->entries ? at + 24 : at]);
}

int cid_part_bound(const struct cid_pool *parts, struct cid_part *p, uint64_t store_seed,
		   uint64_t hash, struct cidstore_id key, uint64_t *out,
		   _Atomic uint64_t *corrected)
{
	struct cid_part_index *x;
	uint64_t lo, hi;
	int rc;

	if (p->slot.pos == 0) {
		*out = 0;
		return 0;
	}
	rc = cid_part_index(parts, p, &x);
	if (rc)
		return rc;
	if (hash >> CID_HASH_BITS) { /* the end of all hashes */
		*out = x->x.entries;
		return 0;
	}
	if (x->x.depth && hash >> (CID_HASH_BITS - x->x.depth) !=
				  x->footer.prefix >> (CID_HASH_BITS - x->x.depth)) {
		*out = hash < x->footer.prefix ? 0 : x->x.entries;
		return 0;
	}
	lo = x->x.start[cid_index_bin(hash, x->x.depth, x->x.bins_log2)];
	hi = x->x.start[cid_index_bin(hash, x->x.depth, x->x.bins_log2) + 1];
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		struct cid_entry e;
		int s;

		rc = cid_part_entry(p, mid, &e, &s, corrected);
		if (rc)
			return rc;
		if (cid_value_cmp(cid_hash(e.key, store_seed), e.key, hash, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*out = lo;
	return 0;
}
