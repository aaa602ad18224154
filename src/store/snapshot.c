/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot.c - the state of one commit, kept */
#include <stdlib.h>
#include <string.h>

#include "store/dump.h"
#include "store/follow.h"

struct cidstore_snapshot {
	struct cidstore *s;
	struct cid_tables t;
	struct cid_hold hold;
	struct cid_dir *dir;
	struct cid_part **run;
	struct cid_view *view;
	struct cid_dump *dump; /* of cidstore_snapshot_read(), once it was called */
	/* of a follower */
	struct cid_mem mem;
};

uint64_t cid_pin_lowest(struct cidstore *s)
{
	uint64_t low = UINT64_MAX;

	pthread_mutex_lock(&s->pin_lock);
	for (const struct cid_pin *p = s->pins; p; p = p->next)
		if (p->epoch < low)
			low = p->epoch;
	pthread_mutex_unlock(&s->pin_lock);
	return low;
}

void cid_pin_add(struct cidstore *s, struct cid_pin *p, uint64_t epoch)
{
	pthread_mutex_lock(&s->pin_lock);
	p->epoch = epoch;
	p->next = s->pins;
	s->pins = p;
	pthread_mutex_unlock(&s->pin_lock);
}

void cid_pin_drop(struct cidstore *s, struct cid_pin *pin)
{
	pthread_mutex_lock(&s->pin_lock);
	for (struct cid_pin **p = &s->pins; *p; p = &(*p)->next)
		if (*p == pin) {
			*p = pin->next;
			break;
		}
	pthread_mutex_unlock(&s->pin_lock);
}

/* What the log held when the store was refreshed, as a table of our own. */
static int copy_log(struct cidstore_snapshot *v)
{
	struct cidstore *s = v->s;
	struct cid_follow *f = s->follow;
	uint64_t end = f->replay.begin ? f->replay.begin : f->next, lsn = s->root.log_first;
	struct cid_wal_scan log = f->log;
	struct cid_replay p = { .m = &v->mem, .seed = s->t.seed,
				.log_records = s->root.log_records,
				.generation = s->root.generation };
	struct cid_record r[CID_WAL_PEEK];
	int rc;

	if (f->no_log || lsn >= end)
		return 0;
	rc = cid_mem_init(&v->mem, (uint32_t)(end - lsn), s->t.seed);
	while (rc == 0 && lsn < end) {
		unsigned n, max = end - lsn < CID_WAL_PEEK ? (unsigned)(end - lsn) : CID_WAL_PEEK;

		rc = cid_wal_peek(&s->wal, &log, lsn, r, max, &n);
		/* Less than there was: a commit released it. */
		if (n)
			rc = 0;
		else if (rc != CIDSTORE_EIO)
			rc = CIDSTORE_EAGAIN;
		for (unsigned i = 0; rc == 0 && i < n; i++, lsn++)
			rc = cid_replay_record(&p, &r[i]);
	}
	cid_replay_drop_group(&p);
	if (rc == 0)
		cid_mem_publish(&v->mem);
	else if (v->mem.op)
		cid_mem_fini(&v->mem);
	return rc;
}

struct opening {
	struct cidstore_snapshot *v;
	uint64_t *buckets;
};

static int take_view(void *arg)
{
	struct cidstore_snapshot *v = ((struct opening *)arg)->v;
	struct cidstore *s = v->s;
	int rc = copy_log(v);

	if (rc == 0)
		rc = cid_load_tree(s->pool, &s->root, &v->dir, &v->run, NULL,
				   ((struct opening *)arg)->buckets);
	if (rc && v->mem.op)
		cid_mem_fini(&v->mem);
	return rc;
}

static int open_own(struct cidstore_snapshot *v, uint64_t *buckets)
{
	struct cidstore *s = v->s;
	int rc = cidstore_checkpoint(s);

	if (rc)
		return rc;
	pthread_mutex_lock(&s->maint);
	rc = cid_load_tree(s->pool, &s->root, &v->dir, &v->run, NULL, buckets);
	if (rc == 0)
		cid_pin_add(s, &v->hold.pin, s->root.generation);
	pthread_mutex_unlock(&s->maint);
	return rc;
}

int cidstore_snapshot_open(struct cidstore *s, struct cidstore_snapshot **out)
{
	struct cidstore_snapshot *v = calloc(1, sizeof(*v));
	uint64_t buckets;
	struct opening o = { v, &buckets };
	uint32_t nruns = 0;
	int rc;

	if (!v)
		return CIDSTORE_ENOMEM;
	v->s = s;
	v->t.parts = s->t.parts;
	v->t.values = s->t.values;
	v->t.seed = s->t.seed;
	if (s->follow) {
		pthread_mutex_lock(&s->maint);
		rc = cid_follow_hold(s, &v->hold, take_view, &o);
		pthread_mutex_unlock(&s->maint);
	} else {
		rc = open_own(v, &buckets);
	}
	if (rc) {
		free(v);
		return rc;
	}
	while (v->run[nruns])
		nruns++;
	v->view = cid_view_new(v->mem.op ? &v->mem : NULL, NULL, v->dir, v->run, nruns);
	if (!v->view) {
		cidstore_snapshot_close(v);
		return CIDSTORE_ENOMEM;
	}
	*out = v;
	return 0;
}

/* Of a follower: could what was just read have been reused? */
static int judge(struct cidstore_snapshot *v, int rc)
{
	return !v->s->follow || cid_follow_held(v->s, &v->hold) ? rc : CIDSTORE_EEXPIRED;
}

int cidstore_snapshot_keys(struct cidstore_snapshot *v, struct cidstore_pos *pos,
			   struct cidstore_item *out, size_t cap, size_t *n)
{
	struct cidstore_pos at = *pos;
	size_t got;
	int rc = judge(v, cid_scan_keys(&v->t, v->view, &at, out, cap, &got));

	if (rc == 0) {
		*pos = at;
		*n = got;
	}
	return rc;
}

int cidstore_snapshot_values(struct cidstore_snapshot *v, struct cidstore_id key,
			     struct cidstore_pos *pos, struct cidstore_item *out, size_t cap,
			     size_t *n)
{
	struct cidstore_pos at = *pos;
	size_t got;
	int rc = judge(v, cid_scan_values(&v->t, v->view, key, &at, out, cap, &got));

	if (rc == 0) {
		*pos = at;
		*n = got;
	}
	return rc;
}

int cidstore_snapshot_read(struct cidstore_snapshot *v, struct cidstore_pair *pair,
			   size_t pair_cap, size_t *pairs, struct cidstore_id *key, size_t key_cap,
			   size_t *keys)
{
	struct cid_dump_out o = { .pair = pair, .pair_cap = pair_cap, .key = key,
				  .key_cap = key_cap };
	int rc = 0;

	if (pair_cap == 0 || key_cap == 0)
		return CIDSTORE_EINVAL;
	if (!v->dump)
		rc = cid_dump_new(&v->t, v->view, &v->dump);
	if (rc == 0)
		rc = judge(v, cid_dump_read(v->dump, &o));
	if (rc)
		return rc;
	*pairs = o.pairs;
	*keys = o.keys;
	return 0;
}

void cidstore_snapshot_rewind(struct cidstore_snapshot *v)
{
	cid_dump_free(v->dump);
	v->dump = NULL;
}

void cidstore_snapshot_close(struct cidstore_snapshot *v)
{
	cid_dump_free(v->dump);
	cid_pin_drop(v->s, &v->hold.pin);
	if (v->s->follow) {
		pthread_mutex_lock(&v->s->maint);
		cid_follow_pin(v->s, UINT64_MAX);
		pthread_mutex_unlock(&v->s->maint);
	}
	for (uint32_t i = 0; v->run && v->run[i]; i++)
		cid_part_free(v->run[i]);
	cid_dir_free_all(v->dir);
	if (v->mem.op)
		cid_mem_fini(&v->mem);
	free(v->run);
	free(v->view);
	free(v);
}
