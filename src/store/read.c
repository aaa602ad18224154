/* SPDX-License-Identifier: BSD-2-Clause */
/* read.c - lookups: no lock, one pass over the layers of a view */
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"

struct reading {
	struct cidstore *s;
	unsigned slot;
	struct cid_key k;
};

static int begin(struct cidstore *s, struct reading *r, struct cidstore_id key)
{
	int rc;

	r->s = s;
	r->slot = cid_ebr_enter(&s->ebr);
	cid_key_init(&r->k, key, cid_hash(key, s->t.seed));
	rc = cid_key_collect(&r->k, &s->t, cid_view_now(s));
	if (rc == 0 && !cid_key_exists(&r->k))
		rc = CIDSTORE_ENOENT;
	return rc;
}

static int end(struct reading *r, int rc)
{
	cid_key_fini(&r->k);
	cid_ebr_leave(&r->s->ebr, r->slot);
	return rc;
}

int cidstore_count(struct cidstore *s, struct cidstore_id key, uint64_t *out)
{
	struct reading r;
	int rc = begin(s, &r, key);

	if (rc == 0)
		rc = cid_key_count(&r.k, &s->t, out);
	return end(&r, rc);
}

int cidstore_contains(struct cidstore *s, struct cidstore_id key, struct cidstore_id value)
{
	struct reading r;
	int rc = begin(s, &r, key);

	if (rc == 0) {
		rc = cid_key_has(&r.k, &s->t, value);
		rc = rc < 0 ? rc : rc ? 0 : CIDSTORE_ENOENT;
	}
	return end(&r, rc);
}

int cidstore_get(struct cidstore *s, struct cidstore_id key, struct cidstore_id *out, size_t cap,
		 uint64_t *total)
{
	struct reading r;
	int rc = begin(s, &r, key);

	if (rc == 0)
		rc = cid_key_copy(&r.k, &s->t, out, cap, total);
	return end(&r, rc);
}

int cidstore_get_many(struct cidstore *s, const struct cidstore_id *keys, size_t n,
		      struct cidstore_id *out, size_t per_key, uint64_t *counts)
{
	enum { GROUP = 32 };
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += GROUP) {
		size_t m = n - at < GROUP ? n - at : GROUP;
		unsigned slot = cid_ebr_enter(&s->ebr);
		struct cid_view *v = cid_view_now(s);
		uint64_t hash[GROUP];

		/* Three passes, so that the cache misses of a group overlap. */
		for (size_t i = 0; i < m; i++) {
			hash[i] = cid_hash(keys[at + i], s->t.seed);
			__builtin_prefetch((const void *)&v->dir->slot[cid_dir_index(v->dir,
										      hash[i])]);
			if (v->active)
				cid_mem_prefetch(v->active, hash[i]);
		}
		for (size_t i = 0; i < m; i++)
			cid_part_prefetch(cid_dir_get(v->dir, hash[i]), hash[i]);
		for (size_t i = 0; i < m; i++)
			cid_part_prefetch_entry(cid_dir_get(v->dir, hash[i]), hash[i]);
		for (size_t i = 0; i < m && rc == 0; i++) {
			struct cid_key k;

			cid_key_init(&k, keys[at + i], hash[i]);
			rc = cid_key_collect(&k, &s->t, v);
			if (rc == 0 && !cid_key_exists(&k))
				counts[at + i] = UINT64_MAX;
			else if (rc == 0)
				rc = cid_key_copy(&k, &s->t, out + (at + i) * per_key, per_key,
						  &counts[at + i]);
			cid_key_fini(&k);
		}
		cid_ebr_leave(&s->ebr, slot);
	}
	return rc;
}

uint64_t cid_store_hash(struct cidstore *s, struct cidstore_id id)
{
	return cid_hash(id, s->t.seed);
}

int cidstore_scan_keys(struct cidstore *s, struct cidstore_pos *pos, struct cidstore_item *out,
		       size_t cap, size_t *n)
{
	unsigned slot = cid_ebr_enter(&s->ebr);
	int rc = cid_scan_keys(&s->t, cid_view_now(s), pos, out, cap, n);

	cid_ebr_leave(&s->ebr, slot);
	return rc;
}

int cidstore_scan_values(struct cidstore *s, struct cidstore_id key, struct cidstore_pos *pos,
			 struct cidstore_item *out, size_t cap, size_t *n)
{
	unsigned slot = cid_ebr_enter(&s->ebr);
	int rc = cid_scan_values(&s->t, cid_view_now(s), key, pos, out, cap, n);

	cid_ebr_leave(&s->ebr, slot);
	return rc;
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

int cid_store_key_info(struct cidstore *s, struct cidstore_id key, struct cid_key_info *out)
{
	struct reading r;
	struct cid_key_info i = { 0 };
	int rc = begin(s, &r, key);

	if (rc == 0)
		rc = cid_key_count(&r.k, &s->t, &i.count);
	if (rc == 0) {
		const struct cid_layer *l = &r.k.layer[r.k.n - 1];
		const struct cid_dir *d = cid_view_now(s)->dir;

		i.bucket = cid_dir_index(d, cid_dir_get(d, r.k.hash)->prefix);
		i.pending = r.k.n > 1 || l->mem || !l->hides;
		if (!i.pending)
			i.state = cid_state_table[l->add.state].name;
		else
			/* What it will be when its changes are merged. */
			i.state = i.count == 0 ? "empty" :
				  i.count <= 2 ? "inline" :
				  i.count < cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD) ? "packed" :
										      "extents";
		i.disk_bytes = CID_ENTRY_BYTES + (i.count > 2 ? i.count * 16 : 0);
		*out = i;
	}
	return end(&r, rc);
}

void cid_store_abandon_read(struct cidstore *s)
{
	cid_ebr_abandon(&s->ebr);
}
