/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/random.h"

static void *grow(void *p, size_t *cap, size_t size)
{
	*cap = *cap ? *cap * 2 : 256;
	p = realloc(p, *cap * size);
	if (!p) {
		fprintf(stderr, "sim: out of memory\n");
		abort();
	}
	return p;
}

static void fold(struct digest *d, uint64_t a, uint64_t b, uint64_t c, uint64_t e, bool add)
{
	uint64_t x = rng_mix(rng_mix(a, b), rng_mix(c, e)), y = rng_mix(x, a + c);

	d->a += add ? x : -x;
	d->b += add ? y : -y;
}

void digest_key(struct digest *d, struct cidstore_id key, bool add)
{
	fold(d, key.high, key.low, 7, 77, add);
}

void digest_pair(struct digest *d, struct cidstore_id key, struct cidstore_id value, bool add)
{
	fold(d, key.high, key.low, value.high, ~value.low, add);
}

unsigned model_width(unsigned key)
{
	return key < MODEL_WIDE ? MODEL_WIDE_VALUES :
	       key < MODEL_MIDDLE ? MODEL_MIDDLE_VALUES : MODEL_NARROW_VALUES;
}

unsigned model_at(unsigned key, unsigned value)
{
	if (key < MODEL_WIDE)
		return key * MODEL_WIDE_VALUES + value;
	if (key < MODEL_MIDDLE)
		return MODEL_WIDE * MODEL_WIDE_VALUES + (key - MODEL_WIDE) * MODEL_MIDDLE_VALUES +
		       value;
	return MODEL_WIDE * MODEL_WIDE_VALUES + (MODEL_MIDDLE - MODEL_WIDE) * MODEL_MIDDLE_VALUES +
	       (key - MODEL_MIDDLE) * MODEL_NARROW_VALUES + value;
}

/* Key 0 is all zero, the last one all ones; values likewise. */
struct cidstore_id model_key(unsigned key)
{
	if (key == MODEL_KEYS - 1)
		return (struct cidstore_id){ UINT64_MAX, UINT64_MAX };
	return (struct cidstore_id){ key * 0x9E3779B97F4A7C15ull, key };
}

struct cidstore_id model_value(unsigned value)
{
	if (value == 1)
		return (struct cidstore_id){ UINT64_MAX, UINT64_MAX };
	return (struct cidstore_id){ value, value * 0xC2B2AE3D27D4EB4Full };
}

int model_key_number(struct cidstore_id id)
{
	unsigned k = id.low == UINT64_MAX ? MODEL_KEYS - 1 : (unsigned)id.low;
	struct cidstore_id want;

	if (k >= MODEL_KEYS)
		return -1;
	want = model_key(k);
	return want.high == id.high && want.low == id.low ? (int)k : -1;
}

int model_value_number(struct cidstore_id id)
{
	unsigned v = id.high == UINT64_MAX ? 1 : (unsigned)id.high;
	struct cidstore_id want;

	if (v >= MODEL_WIDE_VALUES)
		return -1;
	want = model_value(v);
	return want.high == id.high && want.low == id.low ? (int)v : -1;
}

/* ---- the ledger ---- */

void ledger_init(struct ledger *l)
{
	struct unit *u = l->unit;
	struct change *c = l->change;
	size_t cu = l->cap_units, cc = l->cap_changes;

	memset(l, 0, sizeof(*l));
	l->unit = u;
	l->change = c;
	l->cap_units = cu;
	l->cap_changes = cc;
}

void ledger_fini(struct ledger *l)
{
	free(l->unit);
	free(l->change);
	memset(l, 0, sizeof(*l));
}

static void flip(struct model *m, const struct change *c, bool on)
{
	if (c->value < 0) {
		m->exists[c->key] = on;
		digest_key(&m->digest, model_key(c->key), on);
		m->keys += on ? 1u : -1u;
	} else {
		m->have[model_at(c->key, (unsigned)c->value)] = on;
		m->count[c->key] = (uint16_t)(m->count[c->key] + (on ? 1 : -1));
		digest_pair(&m->digest, model_key(c->key), model_value((unsigned)c->value), on);
		m->values += on ? 1u : -1u;
	}
}

static void change(struct ledger *l, unsigned key, int value, bool on)
{
	struct change c = { .key = (uint16_t)key, .value = (int16_t)value, .on = on };

	if ((value < 0 ? l->now.exists[key] : l->now.have[model_at(key, (unsigned)value)]) == on)
		return;
	if (l->changes == l->cap_changes)
		l->change = grow(l->change, &l->cap_changes, sizeof(*l->change));
	l->change[l->changes++] = c;
	flip(&l->now, &c, on);
}

void ledger_apply(struct ledger *l, const struct todo *t, size_t n, uint64_t lsn)
{
	for (size_t i = 0; i < n; i++)
		switch (t[i].verb) {
		case CIDSTORE_OP_INSERT:
			change(l, t[i].key, -1, true);
			change(l, t[i].key, t[i].value, true);
			break;
		case CIDSTORE_OP_DELETE:
			change(l, t[i].key, t[i].value, false);
			break;
		case CIDSTORE_OP_MKKEY:
			change(l, t[i].key, -1, true);
			break;
		case CIDSTORE_OP_RMKEY:
			for (unsigned v = 0; l->now.count[t[i].key] && v < model_width(t[i].key); v++)
				change(l, t[i].key, (int)v, false);
			change(l, t[i].key, -1, false);
			break;
		}
	if (l->units == l->cap_units)
		l->unit = grow(l->unit, &l->cap_units, sizeof(*l->unit));
	l->unit[l->units++] = (struct unit){ lsn, l->changes, l->now.digest };
}

uint64_t ledger_find(const struct ledger *l, uint64_t lsn)
{
	size_t lo = 0, hi = l->units;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->unit[mid].lsn <= lsn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return l->base + lo;
}

struct digest ledger_digest(const struct ledger *l, uint64_t at)
{
	return at == l->base ? l->before : l->unit[at - l->base - 1].after;
}

static size_t changes_at(const struct ledger *l, uint64_t at)
{
	return at == l->base ? 0 : l->unit[at - l->base - 1].changes;
}

static void undo(struct model *m, const struct ledger *l, uint64_t at)
{
	for (size_t i = l->changes, end = changes_at(l, at); i > end; i--)
		flip(m, &l->change[i - 1], !l->change[i - 1].on);
}

void ledger_fork(struct ledger *l, const struct ledger *from, uint64_t at)
{
	ledger_init(l);
	l->now = from->now;
	undo(&l->now, from, at);
	l->before = l->now.digest;
}

void ledger_rollback(struct ledger *l, uint64_t at)
{
	undo(&l->now, l, at);
	l->changes = changes_at(l, at);
	l->units = (size_t)(at - l->base);
	if (l->acked > at)
		l->acked = at;
	l->floor = at;
}

void ledger_trim(struct ledger *l)
{
	size_t drop = (size_t)(l->floor - l->base), changes;

	if (drop < 50000)
		return;
	changes = changes_at(l, l->floor);
	l->before = ledger_digest(l, l->floor);
	l->base = l->floor;
	l->units -= drop;
	l->changes -= changes;
	memmove(l->unit, l->unit + drop, l->units * sizeof(*l->unit));
	memmove(l->change, l->change + changes, l->changes * sizeof(*l->change));
	for (size_t i = 0; i < l->units; i++)
		l->unit[i].changes -= changes;
}
