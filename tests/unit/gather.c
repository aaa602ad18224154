/* SPDX-License-Identifier: BSD-2-Clause */
/* gather.c - sorted sets of a key's operations, kept with the table */
#include <stdlib.h>
#include <string.h>

#include "hash/memtable.h"
#include "hash/values.h"
#include "lib/tap.h"

enum { OPS = 60000, VALUES = 20000, EVERY = 1500 };

static const struct cidstore_id key = { 1, 2 }, other = { 3, 4 };

static void add(struct cid_mem *m, enum cid_mem_kind kind, struct cidstore_id k, uint64_t v)
{
	struct cid_mem_effect e = { .known = false };

	if (!cid_mem_add(m, kind, k, (struct cidstore_id){ v, ~v }, cid_hash(k, m->seed), &e))
		tap_bail("the table is full");
	cid_mem_publish(m);
}

static bool agrees(const struct cid_mem *m, const struct cid_mem_set *set, const int8_t *word)
{
	size_t n = 0;

	for (size_t i = 0; i < VALUES; i++)
		n += word[i] != 0;
	if (n != set->n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct cid_mem_value *v = &set->v[i];

		if (v->hash != cid_hash(v->id, m->seed) || word[v->id.high] != (v->present ? 1 : -1))
			return false;
		if (i && cid_value_cmp(v[-1].hash, v[-1].id, v->hash, v->id) >= 0)
			return false;
	}
	return true;
}

static const struct cid_mem_op *head(const struct cid_mem *m, uint32_t visible)
{
	return cid_mem_head(m, visible, key, cid_hash(key, m->seed));
}

int main(void)
{
	int8_t *word = calloc(VALUES, 1);
	const struct cid_mem_op *early;
	struct cid_mem_set a, b;
	bool right = true, kept = true;
	uint32_t sum = 1, at;
	struct cid_mem m;
	size_t n;

	if (!word || cid_mem_init(&m, 4 * OPS, 42))
		tap_bail("no memory");
	for (int i = 1; i <= OPS; i++) {
		uint64_t v = (sum = sum * 1103515245u + 12345u) / 65536 % VALUES;
		bool in = i % 3 != 0;

		add(&m, in ? CID_MEM_INSERT : CID_MEM_DELETE, key, v);
		word[v] = in ? 1 : -1;
		if (i % 7 == 0)
			add(&m, CID_MEM_INSERT, other, v);
		if (i % EVERY)
			continue;
		if (cid_mem_gather(&m, head(&m, m.face->visible), &a))
			tap_bail("no memory");
		right = right && agrees(&m, &a, word);
		free(a.own);
	}
	tap_ok(right, "sets are right while the chain grows");

	/* A reader that began earlier must not see what came since. */
	at = m.face->visible;
	early = head(&m, at);
	add(&m, CID_MEM_DELETE, key, 5);
	for (int i = 0; i < 2 * OPS; i++)
		add(&m, CID_MEM_INSERT, key, 5);
	for (int i = 0; i < 2; i++) {
		if (cid_mem_gather(&m, early, &a))
			tap_bail("no memory");
		right = right && agrees(&m, &a, word);
		free(a.own);
	}
	tap_ok(right, "a younger set is not for an older reader");
	word[5] = 1;
	if (cid_mem_gather(&m, head(&m, m.face->visible), &a) ||
	    cid_mem_gather(&m, head(&m, m.face->visible), &b))
		tap_bail("no memory");
	tap_ok(agrees(&m, &a, word) && agrees(&m, &b, word), "one value many times is one value");
	free(a.own);
	free(b.own);

	/* Nothing is sorted twice, and what is kept is bounded. */
	cid_mem_reset(&m);
	memset(word, 0, VALUES);
	for (int i = 0; i < VALUES; i++) {
		add(&m, CID_MEM_INSERT, key, (uint64_t)i);
		word[i] = 1;
	}
	for (int i = 0; i < 3; i++) {
		if (cid_mem_gather(&m, head(&m, m.face->visible), i ? &b : &a))
			tap_bail("no memory");
		kept = kept && !a.own && (i == 0 || (b.v == a.v && b.n == a.n));
	}
	tap_ok(kept && agrees(&m, &a, word), "a second reader gets what the first one sorted");
	for (n = 0; n < 2000; n++) {
		add(&m, CID_MEM_DELETE, key, n);
		word[n] = -1;
		if (cid_mem_gather(&m, head(&m, m.face->visible), &b))
			tap_bail("no memory");
		kept = kept && b.own;
		right = right && (n % 100 || agrees(&m, &b, word));
		free(b.own);
	}
	tap_ok(kept && right, "and a little that came since is added for one reader");

	add(&m, CID_MEM_RMKEY, key, 0);
	memset(word, 0, VALUES);
	for (int i = 0; i < 3000; i++) {
		add(&m, CID_MEM_INSERT, key, (uint64_t)i);
		word[i] = 1;
	}
	if (cid_mem_gather(&m, head(&m, m.face->visible), &a))
		tap_bail("no memory");
	tap_ok(agrees(&m, &a, word), "nothing from before the key was deleted");
	free(a.own);
	cid_mem_fini(&m);
	free(word);
	return tap_done();
}
