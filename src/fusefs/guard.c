/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/guard.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include "store/store.h"

/* What __builtin_setjmp keeps; the recovery point of this thread, or NULL. */
static _Thread_local void **volatile armed;
static _Thread_local struct cidstore *recovered; /* the store that is read */

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	void **point = armed;

	(void)info;
	(void)context;
	if (point) {
		armed = NULL;
		__builtin_longjmp(point, 1);
	}
	/* Returning runs into the fault again, now with the default action. */
	signal(sig, SIG_DFL);
}

void cid_guard_install(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_sigbus;
	/* NODEFER: the handler is left by a jump, which restores no mask. */
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGBUS, &sa, NULL);
}

struct call {
	struct cidstore *s;
	const struct cidstore_id *key, *value;
	uint64_t *count;
	struct cid_key_info *info;
	struct cidstore_pos *pos;
	struct cidstore_item *items;
	size_t cap, *n;
};

/* Not inlined: the frame that is jumped back to must hold nothing else. */
static __attribute__((noinline)) int guarded(int (*fn)(const struct call *), const struct call *c)
{
	void *point[5];
	int rc;

	if (__builtin_setjmp(point)) {
		cid_store_abandon_read(recovered);
		return CIDSTORE_EIO;
	}
	recovered = c->s;
	armed = point;
	rc = fn(c);
	armed = NULL;
	return rc;
}

static int do_count(const struct call *c)
{
	return cidstore_count(c->s, *c->key, c->count);
}

static int do_contains(const struct call *c)
{
	return cidstore_contains(c->s, *c->key, *c->value);
}

static int do_key_info(const struct call *c)
{
	return cid_store_key_info(c->s, *c->key, c->info);
}

static int do_scan(const struct call *c)
{
	if (c->key)
		return cidstore_scan_values(c->s, *c->key, c->pos, c->items, c->cap, c->n);
	return cidstore_scan_keys(c->s, c->pos, c->items, c->cap, c->n);
}

int cid_guard_count(struct cidstore *s, struct cidstore_id key, uint64_t *out)
{
	return guarded(do_count, &(struct call){ .s = s, .key = &key, .count = out });
}

int cid_guard_contains(struct cidstore *s, struct cidstore_id key, struct cidstore_id value)
{
	return guarded(do_contains, &(struct call){ .s = s, .key = &key, .value = &value });
}

int cid_guard_key_info(struct cidstore *s, struct cidstore_id key, struct cid_key_info *out)
{
	return guarded(do_key_info, &(struct call){ .s = s, .key = &key, .info = out });
}

int cid_guard_scan(struct cidstore *s, const struct cidstore_id *key, struct cidstore_pos *pos,
		   struct cidstore_item *out, size_t cap, size_t *n)
{
	return guarded(do_scan, &(struct call){ .s = s, .key = key, .pos = pos, .items = out,
						.cap = cap, .n = n });
}
