/* SPDX-License-Identifier: BSD-2-Clause */
/* read.c - lookups: no lock, one pass over the layers of a view */
#include <stdlib.h>
#include <string.h>

#include "os/mapped.h"
#include "store/follow.h"

enum { FOLLOWS = 1, TIMED = 2 }; /* the latter: one lookup in many */

struct reading {
	struct cidstore *s;
	const struct cid_view *v;
	unsigned slot, tries;
	unsigned odd; /* of the above; 0 as a rule */
	uint64_t began;
	bool whole; /* `full` is all there is, and k is empty */
	struct cid_found full;
	struct cid_key k;
};

static void start(struct cidstore *s, struct reading *r)
{
	r->s = s;
	r->tries = 0;
	r->odd = s->follow ? FOLLOWS : 0;
	cid_follow_enter(s);
}

static __attribute__((noinline, cold)) void note_time(struct reading *r)
{
	r->odd |= TIMED;
	r->began = r->s->io->monotonic(r->s->io->self);
}

static int begin(struct reading *r, struct cidstore_id key)
{
	struct cidstore *s = r->s;
	struct cid_ebr_entry entry = cid_ebr_come(&s->ebr);
	int rc;

	r->slot = entry.slot;
	if (__builtin_expect(entry.times % CID_GAUGE_READS == 0, 0))
		note_time(r);
	r->v = cid_view_now(s);
	cid_key_init(&r->k, key, cid_hash(key, s->t.seed));
	rc = cid_key_find(&r->k, &s->t, r->v, &r->full);
	r->whole = rc == 1;
	if (r->whole)
		return 0;
	if (rc == 0 && !cid_key_exists(&r->k))
		rc = CIDSTORE_ENOENT;
	return rc;
}

static __attribute__((noinline)) bool end_odd(struct reading *r, int *rc)
{
	struct cidstore *s = r->s;
	bool holds = !(r->odd & FOLLOWS) || cid_follow_holds(s, r->v);

	cid_key_fini(&r->k);
	if (r->odd & TIMED) {
		r->odd &= ~(unsigned)TIMED;
		cid_gauge_read(&s->gauge, r->slot, s->io->monotonic(s->io->self) - r->began,
			       CID_GAUGE_READS);
	}
	cid_ebr_leave(&s->ebr, r->slot);
	return holds || !cid_follow_again(s, &r->tries, rc);
}

/* True where *rc and what was found may be given; false: once more. */
static bool end(struct reading *r, int *rc)
{
	if (__builtin_expect(r->odd, 0))
		return end_odd(r, rc);
	cid_key_fini(&r->k);
	cid_ebr_leave(&r->s->ebr, r->slot);
	return true;
}

int cidstore_count(struct cidstore *s, struct cidstore_id key, uint64_t *out)
{
	struct reading r;
	uint64_t n;
	int rc;

	start(s, &r);
	do {
		rc = begin(&r, key);
		if (rc == 0 && r.whole)
			n = cid_entry_count(&r.full.e, (enum cid_state)r.full.state);
		else if (rc == 0)
			rc = cid_key_count(&r.k, &s->t, &n);
	} while (!end(&r, &rc));
	if (rc == 0)
		*out = n;
	return rc;
}

int cidstore_contains(struct cidstore *s, struct cidstore_id key, struct cidstore_id value)
{
	struct reading r;
	int rc;

	start(s, &r);
	do {
		rc = begin(&r, key);
		if (rc == 0) {
			rc = r.whole ? cid_full_has(&r.full, &s->t, value)
				     : cid_key_has(&r.k, &s->t, value);
			rc = rc < 0 ? rc : rc ? 0 : CIDSTORE_ENOENT;
		}
	} while (!end(&r, &rc));
	return rc;
}

int cidstore_get(struct cidstore *s, struct cidstore_id key, struct cidstore_id *out, size_t cap,
		 uint64_t *total)
{
	struct reading r;
	uint64_t n;
	int rc;

	start(s, &r);
	do {
		rc = begin(&r, key);
		if (rc == 0)
			rc = r.whole ? cid_full_copy(&r.full, &s->t, out, cap, &n)
				     : cid_key_copy(&r.k, &s->t, out, cap, &n);
	} while (!end(&r, &rc));
	if (rc == 0)
		*total = n;
	return rc;
}

uint64_t cid_store_hash(struct cidstore *s, struct cidstore_id id)
{
	return cid_hash(id, s->t.seed);
}

/* `key` NULL: of the keys. */
static int scan(struct cidstore *s, const struct cidstore_id *key, struct cidstore_pos *pos,
		struct cidstore_item *out, size_t cap, size_t *n)
{
	unsigned tries = 0;
	bool again;
	int rc;

	cid_follow_enter(s);
	do {
		unsigned slot = cid_ebr_enter(&s->ebr);
		const struct cid_view *v = cid_view_now(s);
		struct cidstore_pos at = *pos;
		size_t got = 0;

		rc = key ? cid_scan_values(&s->t, v, *key, &at, out, cap, &got)
			 : cid_scan_keys(&s->t, v, &at, out, cap, &got);
		again = s->follow && !cid_follow_holds(s, v);
		cid_ebr_leave(&s->ebr, slot);
		if (!again && rc == 0) {
			*pos = at;
			*n = got;
		}
	} while (again && cid_follow_again(s, &tries, &rc));
	return rc;
}

int cidstore_scan_keys(struct cidstore *s, struct cidstore_pos *pos, struct cidstore_item *out,
		       size_t cap, size_t *n)
{
	return scan(s, NULL, pos, out, cap, n);
}

int cidstore_scan_values(struct cidstore *s, struct cidstore_id key, struct cidstore_pos *pos,
			 struct cidstore_item *out, size_t cap, size_t *n)
{
	return scan(s, &key, pos, out, cap, n);
}

void cidstore_seek(uint64_t hash, struct cidstore_pos *out)
{
	memset(out, 0, sizeof(*out));
	if (hash == 0)
		return;
	/* Behind everything of the hash before. */
	out->hash = hash - 1;
	out->id = (struct cidstore_id){ UINT64_MAX, UINT64_MAX };
	out->begun = 1;
}

static int key_info(struct reading *r, struct cid_key_info *out)
{
	struct cidstore *s = r->s;
	const struct cid_layer *l = &r->k.layer[r->k.n - 1];
	const struct cid_dir *d = r->v->dir;
	struct cid_key_info i = { 0 };
	int rc = cid_key_count(&r->k, &s->t, &i.count);

	if (rc)
		return rc;
	i.bucket = cid_dir_index(d, cid_dir_get(d, r->k.hash)->prefix);
	i.pending = r->k.n > 1 || l->mem || !l->hides;
	if (!i.pending)
		i.state = cid_state_table[l->add.state].name;
	else
		/* What it will be when its changes are merged. */
		i.state = i.count == 0					      ? "empty"
			  : i.count <= 2				      ? "inline"
			  : i.count < cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD) ? "packed"
									      : "extents";
	i.disk_bytes = CID_ENTRY_BYTES + (i.count > 2 ? i.count * 16 : 0);
	*out = i;
	return 0;
}

int cid_store_key_info(struct cidstore *s, struct cidstore_id key, struct cid_key_info *out)
{
	struct cid_key_info i;
	struct reading r;
	int rc;

	start(s, &r);
	do {
		rc = begin(&r, key);
		if (rc == 0 && r.whole)
			rc = cid_key_push(&r.k, &r.full, 1);
		if (rc == 0)
			rc = key_info(&r, &i);
	} while (!end(&r, &rc));
	if (rc == 0)
		*out = i;
	return rc;
}

int cidstore_sigbus(void *context)
{
	return cid_mapped_fault(context);
}
