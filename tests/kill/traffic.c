/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TAG	  0x6b696c6c6b657900ull
#define VALUE_MIX 0xC2B2AE3D27D4EB4Full
#define KEY_MIX	  0x9E3779B97F4A7C15ull

enum { SMALL_SET = 12, SAY = 20 };

const char *const kill_verb_name[KILL_VERBS] = {
	[KILL_MKDIR] = "mkdir",	  [KILL_CREATE] = "create",
	[KILL_UNLINK] = "unlink", [KILL_RMDIR] = "rmdir",
	[KILL_RENAME] = "rename", [KILL_RENAME_NEW] = "rename, no replace",
	[KILL_INGEST] = "ingest", [KILL_BATCH] = "batch",
	[KILL_FSYNC] = "fsync",	  [KILL_MAINTAIN] = "maintain",
};

const char *const kill_trigger[KILL_TRIGGERS] = { "checkpoint", "compact", "gc", "sync", "verify" };

uint64_t kill_random(uint64_t *rng)
{
	uint64_t x = *rng += KEY_MIX;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
	return x ^ (x >> 31);
}

/* ---- names ---- */

struct cidstore_id kill_key(unsigned client, uint32_t key)
{
	return (struct cidstore_id){ (KEY_TAG + client) * KEY_MIX, key };
}

struct cidstore_id kill_value(uint32_t value)
{
	return (struct cidstore_id){ value * VALUE_MIX, value };
}

bool kill_key_number(struct cidstore_id id, unsigned clients, unsigned *client, uint32_t *key)
{
	for (unsigned c = 0; id.low < KILL_KEYS && c < clients; c++) {
		if (id.high != (KEY_TAG + c) * KEY_MIX)
			continue;
		*client = c;
		*key = (uint32_t)id.low;
		return true;
	}
	return false;
}

bool kill_value_number(struct cidstore_id id, uint32_t *value)
{
	if (id.low >= KILL_VALUES || id.high != id.low * VALUE_MIX)
		return false;
	*value = (uint32_t)id.low;
	return true;
}

/* ---- operations ---- */

static uint32_t below(uint64_t *rng, uint64_t n)
{
	return (uint32_t)(kill_random(rng) % n);
}

/* Half of all operations go to the few large sets. */
static uint32_t some_key(uint64_t *rng)
{
	return below(rng, 2) ? below(rng, KILL_BIG_KEYS) : below(rng, KILL_KEYS);
}

static uint32_t some_value(uint64_t *rng, uint32_t key)
{
	return below(rng, key < KILL_BIG_KEYS ? KILL_VALUES : SMALL_SET);
}

/* A value the key has, if a look around finds one. */
static uint32_t present_value(uint64_t *rng, const struct kill_state *s, uint32_t key)
{
	uint32_t v = some_value(rng, key), n = key < KILL_BIG_KEYS ? KILL_VALUES : SMALL_SET;

	for (uint32_t i = 0; s->count[key] && i < n; i++, v = (v + 1) % n)
		if (s->have[key][v])
			break;
	return v;
}

void kill_choose(uint64_t *rng, const struct kill_state *s, struct kill_op *out)
{
	uint32_t r = below(rng, 1000);
	struct kill_op op = { .key = some_key(rng), .to_key = some_key(rng) };

	op.value = some_value(rng, op.key);
	op.to_value = some_value(rng, op.to_key);
	op.seed = kill_random(rng);
	if (r < 150) {
		op.verb = KILL_MKDIR;
	} else if (r < 450) {
		op.verb = KILL_CREATE;
	} else if (r < 600) {
		op.verb = KILL_UNLINK;
		op.value = present_value(rng, s, op.key);
	} else if (r < 700) {
		op.verb = KILL_RMDIR;
	} else if (r < 850) {
		op.verb = r < 820 ? KILL_RENAME : KILL_RENAME_NEW;
		op.value = present_value(rng, s, op.key);
		if (r % 4 == 0)
			op.to_value = op.value;
	} else if (r < 920) {
		op.verb = KILL_INGEST;
		op.steps = below(rng, 8) ? 1 + below(rng, 200) : 1 + below(rng, KILL_STEPS);
	} else if (r < 975) {
		op.verb = KILL_BATCH;
		op.steps = below(rng, 8) ? 1 + below(rng, 30) : 1 + below(rng, 700);
	} else if (r < 995) {
		op.verb = KILL_FSYNC;
	} else {
		op.verb = KILL_MAINTAIN;
	}
	*out = op;
}

static struct kill_step batch_step(uint64_t *rng)
{
	struct kill_step t = { .key = some_key(rng) };
	uint32_t r = below(rng, 100);

	t.value = some_value(rng, t.key);
	if (r < 55)
		t.verb = CIDSTORE_OP_INSERT;
	else if (r < 88)
		t.verb = CIDSTORE_OP_DELETE;
	else if (r < 97)
		t.verb = CIDSTORE_OP_MKKEY;
	else
		t.verb = CIDSTORE_OP_RMKEY;
	return t;
}

size_t kill_expand(const struct kill_op *op, struct kill_step *out)
{
	uint64_t rng = op->seed;

	switch (op->verb) {
	case KILL_MKDIR:
		out[0] = (struct kill_step){ CIDSTORE_OP_MKKEY, op->key, 0 };
		return 1;
	case KILL_CREATE:
		out[0] = (struct kill_step){ CIDSTORE_OP_INSERT, op->key, op->value };
		return 1;
	case KILL_UNLINK:
		out[0] = (struct kill_step){ CIDSTORE_OP_DELETE, op->key, op->value };
		return 1;
	case KILL_RMDIR:
		out[0] = (struct kill_step){ CIDSTORE_OP_RMKEY, op->key, 0 };
		return 1;
	case KILL_RENAME:
	case KILL_RENAME_NEW:
		out[0] = (struct kill_step){ CIDSTORE_OP_DELETE, op->key, op->value };
		out[1] = (struct kill_step){ CIDSTORE_OP_INSERT, op->to_key, op->to_value };
		return 2;
	case KILL_INGEST:
		for (uint32_t i = 0; i < op->steps; i++) {
			out[i].verb = CIDSTORE_OP_INSERT;
			out[i].key = some_key(&rng);
			out[i].value = some_value(&rng, out[i].key);
		}
		return op->steps;
	case KILL_BATCH:
		for (uint32_t i = 0; i < op->steps; i++)
			out[i] = batch_step(&rng);
		return op->steps;
	default:
		return 0;
	}
}

int kill_expect(const struct kill_state *s, const struct kill_op *op)
{
	bool same = op->key == op->to_key && op->value == op->to_value;

	switch (op->verb) {
	case KILL_MKDIR:
		return s->exists[op->key] ? EEXIST : 0;
	case KILL_CREATE:
		return !s->exists[op->key] ? ENOENT : s->have[op->key][op->value] ? EEXIST : 0;
	case KILL_UNLINK:
		return s->have[op->key][op->value] ? 0 : ENOENT;
	case KILL_RMDIR:
		return !s->exists[op->key] ? ENOENT : s->count[op->key] ? ENOTEMPTY : 0;
	case KILL_RENAME:
	case KILL_RENAME_NEW:
		if (!s->have[op->key][op->value] || !s->exists[op->to_key])
			return ENOENT;
		if (op->verb == KILL_RENAME_NEW && (same || s->have[op->to_key][op->to_value]))
			return EEXIST;
		return 0;
	default:
		return 0;
	}
}

bool kill_is_sync(const struct kill_op *op)
{
	return op->verb == KILL_FSYNC ||
	       (op->verb == KILL_MAINTAIN &&
		strcmp(kill_trigger[op->seed % KILL_TRIGGERS], "sync") == 0);
}

/* ---- states ---- */

void kill_apply(struct kill_state *s, const struct kill_step *t)
{
	switch (t->verb) {
	case CIDSTORE_OP_INSERT:
		s->exists[t->key] = 1;
		s->count[t->key] += !s->have[t->key][t->value];
		s->have[t->key][t->value] = 1;
		break;
	case CIDSTORE_OP_DELETE:
		s->count[t->key] -= s->have[t->key][t->value];
		s->have[t->key][t->value] = 0;
		break;
	case CIDSTORE_OP_MKKEY:
		s->exists[t->key] = 1;
		break;
	case CIDSTORE_OP_RMKEY:
		s->exists[t->key] = 0;
		s->count[t->key] = 0;
		memset(s->have[t->key], 0, KILL_VALUES);
		break;
	}
}

static uint64_t key_differences(const struct kill_state *a, const struct kill_state *b, uint32_t k)
{
	uint64_t n = a->exists[k] != b->exists[k];

	if (memcmp(a->have[k], b->have[k], KILL_VALUES) != 0)
		for (uint32_t v = 0; v < KILL_VALUES; v++)
			n += a->have[k][v] != b->have[k][v];
	return n;
}

uint64_t kill_differences(const struct kill_state *a, const struct kill_state *b)
{
	uint64_t n = 0;

	for (uint32_t k = 0; k < KILL_KEYS; k++)
		n += key_differences(a, b, k);
	return n;
}

int64_t kill_advance(struct kill_state *s, const struct kill_state *seen, const struct kill_step *t)
{
	bool whole = t->verb == CIDSTORE_OP_RMKEY;
	int64_t before, after;

	if (whole) {
		before = (int64_t)key_differences(s, seen, t->key);
		kill_apply(s, t);
		after = (int64_t)key_differences(s, seen, t->key);
		return after - before;
	}
	before = (s->exists[t->key] != seen->exists[t->key]) +
		 (s->have[t->key][t->value] != seen->have[t->key][t->value]);
	kill_apply(s, t);
	after = (s->exists[t->key] != seen->exists[t->key]) +
		(s->have[t->key][t->value] != seen->have[t->key][t->value]);
	return after - before;
}

static void tell(const struct kill_state *want, const struct kill_state *seen,
		 void (*say)(void *, const char *), void *arg, struct kill_verdict *out)
{
	char text[120];
	unsigned said = 0;

	for (uint32_t k = 0; k < KILL_KEYS; k++) {
		if (want->exists[k] != seen->exists[k]) {
			*(want->exists[k] ? &out->lost : &out->resurrected) += 1;
			(void)snprintf(text, sizeof(text), "key %u %s", k,
				       want->exists[k] ? "is lost" : "came back");
			if (said++ < SAY)
				say(arg, text);
		}
		for (uint32_t v = 0; v < KILL_VALUES; v++) {
			if (want->have[k][v] == seen->have[k][v])
				continue;
			*(want->have[k][v] ? &out->lost : &out->resurrected) += 1;
			(void)snprintf(text, sizeof(text), "key %u value %u %s", k, v,
				       want->have[k][v] ? "is lost" : "came back");
			if (said++ < SAY)
				say(arg, text);
		}
	}
}

bool kill_judge(struct kill_state *s, const struct kill_state *seen, const struct kill_op *op,
		size_t acked, void (*say)(void *, const char *), void *arg,
		struct kill_verdict *out)
{
	struct kill_step *step = calloc(KILL_STEPS, sizeof(*step));
	struct kill_state *now = malloc(sizeof(*now));
	int64_t differ = (int64_t)kill_differences(s, seen), least = INT64_MAX;
	size_t n, best = 0;

	if (!step || !now)
		abort();
	memset(out, 0, sizeof(*out));
	n = op ? kill_expand(op, step) : 0;
	out->steps = n;
	*now = *s;
	for (size_t i = 0; i <= n; i++) {
		bool allowed = i >= acked && (i == 0 || i == n || op->verb == KILL_INGEST);

		if (allowed && differ < least) {
			least = differ;
			best = i;
		}
		if (i < n)
			differ += kill_advance(now, seen, &step[i]);
	}
	for (size_t i = 0; i < best; i++)
		kill_apply(s, &step[i]);
	out->done = best;
	if (least)
		tell(s, seen, say, arg, out);
	free(step);
	free(now);
	return least == 0;
}
