/* SPDX-License-Identifier: BSD-2-Clause */
#include "hash/memtable.h"
#include "hash/values.h"

#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 8, NUMBER_BITS = 27, PAGE = 4096 };

static uint32_t home(const struct cid_mem *m, uint64_t hash)
{
	return (uint32_t)(hash << 2 >> (64 - m->slot_bits));
}

/* The top bits of the hash, as a slot holds them: those that chose it, and as
 * many more as there is room for. Walking the slots so tells the order of the
 * keys without looking at one. */
static uint64_t fragment(uint64_t hash)
{
	return hash << 2 >> NUMBER_BITS;
}

static uint32_t number(uint64_t slot)
{
	return (uint32_t)(slot & ((1u << NUMBER_BITS) - 1));
}

static void size(struct cid_mem *m, uint32_t cap)
{
	m->cap = cap;
	m->slot_bits = 8;
	while ((1u << m->slot_bits) < 2 * (uint64_t)cap)
		m->slot_bits++;
	m->slot_spare = (1u << m->slot_bits) / 16 + 256;
	m->pair_mask = (1u << m->slot_bits) - 1;
}

static size_t pages(size_t n)
{
	return (n + PAGE - 1) / PAGE * PAGE;
}

/* Face, operations, slots, pairs; the bytes of all. */
static size_t lay_out(struct cid_mem *m, uintptr_t p)
{
	size_t at = PAGE;

	m->face = (struct cid_mem_face *)p;
	m->op = (struct cid_mem_op *)(p + at);
	at += pages(sizeof(*m->op) * m->cap);
	m->slot = (_Atomic uint64_t *)(p + at);
	at += pages(cid_mem_slots(m) * sizeof(*m->slot));
	m->pair = (_Atomic uint64_t *)(p + at);
	return at + pages(((size_t)m->pair_mask + 1) * sizeof(*m->pair));
}

uint64_t cid_mem_bytes(uint32_t cap)
{
	struct cid_mem m;

	size(&m, cap);
	return lay_out(&m, 0);
}

int cid_mem_init_in(struct cid_mem *m, void *memory, uint32_t cap, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed;
	m->elsewhere = true;
	size(m, cap);
	m->sets = cid_mem_sets_new();
	if (!m->sets)
		return CIDSTORE_ENOMEM;
	(void)lay_out(m, (uintptr_t)memory);
	return 0;
}

void cid_mem_sums(const struct cid_mem *m, struct cid_mem_face *out)
{
	const struct cid_mem_face *f = m->face;

	if (m->elsewhere) {
		*out = (struct cid_mem_face){ f->turn, f->visible, f->count, f->keys, f->multi,
					      f->pairs, f->unknown, f->net_keys, f->net_values };
		return;
	}
	*out = (struct cid_mem_face){ 0, m->count, m->count, m->keys, m->multi, m->pairs,
				      m->unknown, m->net_keys, m->net_values };
}

void cid_mem_publish(struct cid_mem *m)
{
	struct cid_mem_face *f = m->face;

	if (m->elsewhere) {
		atomic_store_explicit(&f->count, m->count, memory_order_relaxed);
		atomic_store_explicit(&f->keys, m->keys, memory_order_relaxed);
		atomic_store_explicit(&f->pairs, m->pairs, memory_order_relaxed);
		atomic_store_explicit(&f->unknown, m->unknown, memory_order_relaxed);
		atomic_store_explicit(&f->net_keys, m->net_keys, memory_order_relaxed);
		atomic_store_explicit(&f->net_values, m->net_values, memory_order_relaxed);
	}
	atomic_store_explicit(&f->visible, m->count, memory_order_release);
}

int cid_mem_init(struct cid_mem *m, uint32_t cap, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed;
	m->face = &m->own;
	size(m, cap);
	m->op = malloc(sizeof(*m->op) * cap);
	m->slot = calloc(cid_mem_slots(m), sizeof(*m->slot));
	m->pair = calloc((size_t)m->pair_mask + 1, sizeof(*m->pair));
	m->sets = cid_mem_sets_new();
	if (!m->op || !m->slot || !m->pair || !m->sets) {
		cid_mem_fini(m);
		return CIDSTORE_ENOMEM;
	}
	return 0;
}

void cid_mem_fini(struct cid_mem *m)
{
	if (!m->elsewhere) {
		free(m->op);
		free(m->slot);
		free(m->pair);
	}
	if (m->sets)
		cid_mem_sets_clear(m->sets);
	free(m->sets);
	memset(m, 0, sizeof(*m));
}

void cid_mem_reset(struct cid_mem *m)
{
	atomic_fetch_add(&m->face->turn, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (m->keys)
		memset(m->slot, 0, cid_mem_slots(m) * sizeof(*m->slot));
	if (m->pairs)
		memset(m->pair, 0, ((size_t)m->pair_mask + 1) * sizeof(*m->pair));
	m->count = m->keys = m->multi = m->pairs = m->unknown = 0;
	m->net_keys = m->net_values = 0;
	m->first_lsn = m->end_lsn = 0;
	cid_mem_sets_clear(m->sets);
	cid_mem_publish(m);
}

void cid_mem_prefetch(const struct cid_mem *m, uint64_t hash)
{
	__builtin_prefetch((const void *)&m->slot[home(m, hash)], 1);
}

/* The slot of a key, or the free one where it belongs; NULL when the table's
 * end was reached. */
static _Atomic uint64_t *find_slot(const struct cid_mem *m, struct cidstore_id key, uint64_t hash)
{
	uint64_t frag = fragment(hash);
	uint32_t end = cid_mem_slots(m);

	for (uint32_t i = home(m, hash); i < end; i++) {
		uint64_t s = atomic_load_explicit(&m->slot[i], memory_order_acquire);

		if (s == 0)
			return &m->slot[i];
		if (s >> NUMBER_BITS == frag && cid_id_eq(m->op[number(s) - 1].key, key))
			return &m->slot[i];
	}
	return NULL;
}

static uint64_t pair_hash(const struct cid_mem *m, struct cidstore_id key, struct cidstore_id value)
{
	return cid_mix(cid_mix(m->seed ^ key.low, value.low), key.high ^ value.high);
}

static _Atomic uint64_t *find_pair(const struct cid_mem *m, struct cidstore_id key,
				   struct cidstore_id value)
{
	uint64_t h = pair_hash(m, key, value), frag = h >> 32;
	uint32_t i = (uint32_t)h & m->pair_mask;

	for (;; i = (i + 1) & m->pair_mask) {
		uint64_t s = atomic_load_explicit(&m->pair[i], memory_order_acquire);

		if (s == 0)
			return &m->pair[i];
		if (s >> 32 == frag) {
			const struct cid_mem_op *op = &m->op[(uint32_t)s - 1];

			if (cid_id_eq(op->value, value) && cid_id_eq(op->key, key))
				return &m->pair[i];
		}
	}
}

static void enter_pair(struct cid_mem *m, uint32_t n)
{
	const struct cid_mem_op *op = &m->op[n];
	_Atomic uint64_t *p;

	if (op->kind != CID_MEM_INSERT && op->kind != CID_MEM_DELETE)
		return;
	p = find_pair(m, op->key, op->value);
	if (atomic_load_explicit(p, memory_order_relaxed) == 0)
		m->pairs++;
	atomic_store_explicit(p, pair_hash(m, op->key, op->value) >> 32 << 32 | (n + 1),
			      memory_order_release);
}

/* Enters a chain of CHAIN_MAX, oldest first: the newest word on a value stays. */
static void enter_chain(struct cid_mem *m, const struct cid_mem_op *head)
{
	const struct cid_mem_op *chain[CHAIN_MAX];
	int n = 0;

	for (const struct cid_mem_op *o = head; o && n < CHAIN_MAX; o = cid_mem_prev(m, o))
		chain[n++] = o;
	while (n-- > 0)
		enter_pair(m, (uint32_t)(chain[n] - m->op));
}

bool cid_mem_add(struct cid_mem *m, enum cid_mem_kind kind, struct cidstore_id key,
		 struct cidstore_id value, uint64_t hash, const struct cid_mem_effect *e)
{
	_Atomic uint64_t *s = find_slot(m, key, hash);
	uint64_t old;
	uint32_t n;
	struct cid_mem_op *op;

	if (!s || cid_mem_full(m))
		return false;
	old = atomic_load_explicit(s, memory_order_relaxed);
	n = m->count++;
	op = &m->op[n];
	const struct cid_mem_op *head = old ? &m->op[number(old) - 1] : NULL;

	*op = (struct cid_mem_op){ .key = key, .value = value, .kind = (uint8_t)kind };
	op->prev = number(old);
	if (e->known) {
		m->net_keys += e->keys;
		m->net_values += e->values;
	} else {
		m->unknown++;
	}
	if (kind == CID_MEM_RMKEY) {
		op->barrier = n + 1;
		op->depth = 1;
		op->flags = CID_MEM_KNOWN;
	} else {
		op->depth = 1;
		op->flags = e->known ? CID_MEM_KNOWN : 0;
		op->net = e->known ? (int32_t)e->values : 0;
		if (kind != CID_MEM_DELETE)
			op->flags |= CID_MEM_EXISTS;
		if (head) {
			op->barrier = head->barrier;
			op->depth = head->depth == UINT16_MAX ? UINT16_MAX :
								(uint16_t)(head->depth + 1);
			op->net += head->net;
			op->flags |= head->flags & CID_MEM_EXISTS;
			if (!(head->flags & CID_MEM_KNOWN))
				op->flags &= (uint8_t)~CID_MEM_KNOWN;
		}
	}
	if (op->depth == CHAIN_MAX + 1)
		enter_chain(m, head);
	if (op->depth > CHAIN_MAX)
		enter_pair(m, n);
	if (!old)
		m->keys++;
	m->multi += op->depth == 2;
	atomic_store_explicit(s, fragment(hash) << NUMBER_BITS | (n + 1), memory_order_release);
	return true;
}

static const struct cid_mem_op *clip(const struct cid_mem *m, uint64_t slot, uint32_t visible)
{
	uint32_t n = number(slot);

	while (n > visible)
		n = m->op[n - 1].prev;
	return n ? &m->op[n - 1] : NULL;
}

const struct cid_mem_op *cid_mem_head(const struct cid_mem *m, uint32_t visible,
				      struct cidstore_id key, uint64_t hash)
{
	_Atomic uint64_t *s = find_slot(m, key, hash);

	return s ? clip(m, atomic_load_explicit(s, memory_order_acquire), visible) : NULL;
}

static int word_of(const struct cid_mem_op *op)
{
	return op->kind == CID_MEM_INSERT;
}

int cid_mem_contains(const struct cid_mem *m, uint32_t visible, const struct cid_mem_op *head,
		     struct cidstore_id value)
{
	if (head->depth > CHAIN_MAX) {
		_Atomic uint64_t *p = find_pair(m, head->key, value);
		uint32_t n = (uint32_t)atomic_load_explicit(p, memory_order_acquire);

		if (n <= visible) {
			if (n > head->barrier)
				return word_of(&m->op[n - 1]);
			return head->barrier ? 0 : -1;
		}
		/* A batch in flight overtook us: the chain knows. */
	}
	for (const struct cid_mem_op *op = head; op; op = cid_mem_prev(m, op)) {
		if (op->kind == CID_MEM_RMKEY)
			return 0;
		if (op->kind != CID_MEM_MKKEY && cid_id_eq(op->value, value))
			return word_of(op);
	}
	return -1;
}

static bool before(const struct cid_mem *m, uint64_t hash, struct cidstore_id key,
		   const struct cid_mem_key *k)
{
	return cid_value_cmp(hash, key, k->hash, m->op[k->op].key) < 0;
}

static bool out_of_order(const struct cid_mem *m, const struct cid_mem_key *a,
			 const struct cid_mem_key *b)
{
	struct cidstore_id ka, kb;

	if (a->hash != b->hash)
		return a->hash > b->hash;
	ka = m->op[a->op].key;
	kb = m->op[b->op].key;
	return cid_value_cmp(cid_hash(ka, m->seed), ka, cid_hash(kb, m->seed), kb) > 0;
}

size_t cid_mem_sorted(const struct cid_mem *m, struct cid_mem_key *out)
{
	uint32_t end = cid_mem_slots(m);
	size_t n = 0;

	for (uint32_t i = 0; i < end && n < m->keys; i++) {
		uint64_t s = atomic_load_explicit(&m->slot[i], memory_order_relaxed);
		struct cid_mem_key x;
		size_t j = n;

		if (!s)
			continue;
		x.op = number(s) - 1;
		x.hash = s >> NUMBER_BITS << NUMBER_BITS >> 2;
		/* Slots are nearly in order already: this moves little. */
		for (; j > 0 && out_of_order(m, &out[j - 1], &x); j--)
			out[j] = out[j - 1];
		out[j] = x;
		n++;
	}
	return n;
}

size_t cid_mem_keys_after(const struct cid_mem *m, uint32_t visible, bool begun,
			  uint64_t after_hash, struct cidstore_id after_id,
			  struct cid_mem_key *out, size_t cap)
{
	uint32_t end = cid_mem_slots(m), i = begun ? home(m, after_hash) : 0;
	size_t n = 0;

	/* A key lies at or behind its home with no free slot between, so walking
	 * from after_hash's home on meets all keys that sort behind it; and behind
	 * a free slot all keys have later homes. Within a neighbourhood that
	 * overflows `out`, the smallest are kept. */
	for (; i < end; i++) {
		uint64_t s = atomic_load_explicit(&m->slot[i], memory_order_acquire), h;
		const struct cid_mem_op *op;

		if (!s) {
			if (n >= (cap + 1) / 2)
				break;
			continue;
		}
		op = clip(m, s, visible);
		if (!op)
			continue;
		h = cid_hash(op->key, m->seed);
		if (begun && (h < after_hash ||
			      (h == after_hash && cid_id_cmp(op->key, after_id) <= 0)))
			continue;
		if (n == cap) {
			if (!before(m, h, op->key, &out[n - 1]))
				continue;
			n--;
		}
		out[n].hash = h;
		out[n].op = (uint32_t)(op - m->op);
		n++;
		for (size_t j = n - 1; j > 0 && before(m, h, op->key, &out[j - 1]); j--) {
			struct cid_mem_key t = out[j];

			out[j] = out[j - 1];
			out[j - 1] = t;
		}
	}
	return n;
}
