/* SPDX-License-Identifier: BSD-2-Clause */
#include "power/history.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kill/journal.h"

/* ---- reading ---- */

static void *grown(void *p, size_t need, size_t *room, size_t size)
{
	if (need <= *room)
		return p;
	*room = need > 2 * *room ? need : 2 * *room;
	p = realloc(p, *room * size);
	if (!p)
		abort();
	return p;
}

/* The operation a client is in. */
struct under_way {
	bool any;
	struct kill_op op;
	size_t begin;
	size_t units, left; /* of them, not acknowledged */
};

static void begin(struct history_client *c, struct under_way *u, const struct kill_op *op,
		  size_t at)
{
	static struct kill_step step[KILL_STEPS];
	size_t n = kill_expect(c->state, op) ? 0 : kill_expand(op, step), units;

	*u = (struct under_way){ .any = true, .op = *op, .begin = at };
	units = n == 0 ? 0 : op->verb == KILL_INGEST ? n : 1;
	c->unit = grown(c->unit, c->n + units, &c->room, sizeof(*c->unit));
	c->step = grown(c->step, c->nsteps + n, &c->step_room, sizeof(*c->step));
	for (size_t i = 0; i < units; i++)
		c->unit[c->n++] = (struct history_unit){
			.begin = at, .ack = HISTORY_NEVER, .step = c->nsteps + i, .steps = n / units
		};
	for (size_t i = 0; i < n; i++) {
		c->step[c->nsteps++] = step[i];
		kill_apply(c->state, &step[i]);
	}
	u->units = u->left = units;
}

/* Its first `n` units were acknowledged; the others begin now. */
static void acknowledge(struct history_client *c, struct under_way *u, size_t n, size_t at,
			uint64_t ns)
{
	for (; u->left && u->units - u->left < n; u->left--) {
		c->unit[c->n - u->left].ack = at;
		c->unit[c->n - u->left].acked_ns = ns;
	}
	for (size_t i = c->n - u->left; i < c->n; i++)
		c->unit[i].begin = at;
}

static int take(struct history *h, struct under_way *u, const struct trace *t, size_t i)
{
	const struct trace_record *r = trace_at(t, i);
	struct history_client *c;
	struct kill_entry e;

	if (r->at >= HISTORY_CLIENTS || r->bytes != sizeof(e))
		return -EINVAL;
	memcpy(&e, trace_bytes(t, i), sizeof(e));
	c = &h->client[r->at];
	u += r->at;
	if (r->at >= h->clients)
		h->clients = (unsigned)r->at + 1;
	if (!c->state)
		c->state = calloc(1, sizeof(*c->state));
	if (!c->state)
		abort();
	if (u->any != (e.kind != KILL_INTENT))
		return -EINVAL;
	switch (e.kind) {
	case KILL_INTENT:
		begin(c, u, &e.op, i);
		return 0;
	case KILL_PART:
		acknowledge(c, u, e.number, i, r->ns);
		return 0;
	case KILL_ACK:
		/* What it must answer was known: a client compares. */
		acknowledge(c, u, u->units, i, r->ns);
		if (e.number == 0 && kill_is_sync(&u->op)) {
			h->syncs++;
			if (u->begin > h->sync_begin)
				h->sync_begin = u->begin;
		}
		u->any = false;
		return 0;
	default:
		return -EINVAL;
	}
}

/* How many units were acknowledged before a record. */
static size_t acked_before(const struct history_client *c, size_t at)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->unit[mid].ack < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int history_read(const struct trace *t, size_t to, struct history *h)
{
	struct under_way u[HISTORY_CLIENTS] = { 0 };
	int rc = 0;

	memset(h, 0, sizeof(*h));
	if (to > t->n)
		return -ERANGE;
	for (size_t i = 0; i < to && rc == 0; i++)
		if (trace_at(t, i)->kind == TRACE_MARK)
			rc = take(h, u, t, i);
	if (to)
		h->cut_ns = trace_at(t, to < t->n ? to : to - 1)->ns;
	for (unsigned c = 0; c < h->clients; c++)
		h->client[c].synced = acked_before(&h->client[c], h->sync_begin);
	if (rc)
		history_free(h);
	return rc;
}

void history_free(struct history *h)
{
	for (unsigned c = 0; c < HISTORY_CLIENTS; c++) {
		free(h->client[c].unit);
		free(h->client[c].step);
		free(h->client[c].state);
	}
}

/* ---- judging ---- */

struct teller {
	void (*say)(void *arg, const char *text);
	void *arg;
};

static void tell(const struct teller *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void tell(const struct teller *t, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->say(t->arg, text);
}

/* Which numbers of units explain what is seen, of those an fsync allows. */
static bool candidates(const struct history_client *c, const struct kill_state *seen, bool *may,
		       const struct teller *t, unsigned number)
{
	struct kill_state *s = calloc(1, sizeof(*s));
	int64_t least = INT64_MAX, d;
	size_t nearest = 0;
	bool any = false;

	if (!s)
		abort();
	d = (int64_t)kill_differences(s, seen);
	for (size_t n = 0; n <= c->n; n++) {
		const struct history_unit *u = &c->unit[n];

		may[n] = d == 0 && n >= c->synced;
		any |= may[n];
		if (n >= c->synced && d < least) {
			least = d;
			nearest = n;
		}
		for (size_t i = 0; n < c->n && i < u->steps; i++)
			d += kill_advance(s, seen, &c->step[u->step + i]);
	}
	free(s);
	if (!any)
		tell(t,
		     "client %u: of its %zu units, %zu below an fsync, no first ones give what is "
		     "there; %zu come nearest, with %lld differences",
		     number, c->n, c->synced, nearest, (long long)least);
	return any;
}

static bool lower(const bool *may, size_t *n)
{
	while (*n > 0)
		if (may[--*n])
			return true;
	return false;
}

/* The largest choice in which nobody has what began after something that is
 * missing was acknowledged; false where there is none. */
static bool choose(const struct history *h, bool *const *may, size_t *n, const struct teller *t)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (unsigned c = 0; c < h->clients; c++) {
			for (unsigned d = 0; d < h->clients && n[c] > 0; d++) {
				size_t at = h->client[c].unit[n[c] - 1].begin;

				if (n[d] >= acked_before(&h->client[d], at))
					continue;
				changed = true;
				if (lower(may[c], &n[c]))
					break;
				tell(t,
				     "client %u has what began after client %u was told of what is "
				     "missing: not a prefix",
				     c, d);
				return false;
			}
		}
	}
	return true;
}

static void sum_up(const struct history *h, const size_t *n, struct history_verdict *v)
{
	for (unsigned i = 0; i < h->clients; i++) {
		const struct history_client *c = &h->client[i];
		size_t acked = acked_before(c, HISTORY_NEVER);

		v->units += c->n;
		v->synced += c->synced;
		v->kept += n[i];
		if (n[i] >= acked)
			continue;
		v->unsynced_lost += acked - n[i];
		if (h->cut_ns - c->unit[n[i]].acked_ns > v->loss_ns)
			v->loss_ns = h->cut_ns - c->unit[n[i]].acked_ns;
	}
}

bool history_judge(const struct history *h, const struct kill_state *seen,
		   void (*say)(void *arg, const char *text), void *arg, struct history_verdict *out)
{
	struct teller t = { say, arg };
	bool *may[HISTORY_CLIENTS] = { 0 }, right = true;
	size_t n[HISTORY_CLIENTS] = { 0 };

	memset(out, 0, sizeof(*out));
	for (unsigned c = 0; c < h->clients; c++) {
		may[c] = calloc(h->client[c].n + 1, 1);
		if (!may[c])
			abort();
		n[c] = h->client[c].n;
		right &= candidates(&h->client[c], &seen[c], may[c], &t, c);
		if (right && !may[c][n[c]])
			(void)lower(may[c], &n[c]);
	}
	right = right && choose(h, may, n, &t);
	if (right)
		sum_up(h, n, out);
	for (unsigned c = 0; c < h->clients; c++)
		free(may[c]);
	return right;
}
