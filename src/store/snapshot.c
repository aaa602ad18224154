/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot.c - the state of one commit, kept */
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"

struct cidstore_snapshot {
	struct cidstore *s;
	struct cid_tables t;
	struct cid_pin pin;
	struct cid_dir *dir;
	struct cid_part **run;
	struct cid_view *view;
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

static void unpin(struct cidstore_snapshot *v)
{
	pthread_mutex_lock(&v->s->pin_lock);
	for (struct cid_pin **p = &v->s->pins; *p; p = &(*p)->next)
		if (*p == &v->pin) {
			*p = v->pin.next;
			break;
		}
	pthread_mutex_unlock(&v->s->pin_lock);
}

int cidstore_snapshot_open(struct cidstore *s, struct cidstore_snapshot **out)
{
	struct cidstore_snapshot *v = calloc(1, sizeof(*v));
	struct cid_mem *mem = NULL;
	uint64_t buckets;
	uint32_t nruns = 0;
	int rc;

	if (!v)
		return CIDSTORE_ENOMEM;
	v->s = s;
	v->t.parts = s->t.parts;
	v->t.values = s->t.values;
	v->t.seed = s->t.seed;
	if (s->readonly) {
		mem = cid_view_now(s)->active;
	} else {
		rc = cidstore_checkpoint(s);
		if (rc) {
			free(v);
			return rc;
		}
	}
	pthread_mutex_lock(&s->maint);
	rc = cid_load_tree(s->pool, &s->root, &v->dir, &v->run, NULL, &buckets);
	if (rc == 0) {
		pthread_mutex_lock(&s->pin_lock);
		v->pin.epoch = s->root.generation;
		v->pin.next = s->pins;
		s->pins = &v->pin;
		pthread_mutex_unlock(&s->pin_lock);
	}
	pthread_mutex_unlock(&s->maint);
	if (rc) {
		free(v);
		return rc;
	}
	while (v->run[nruns])
		nruns++;
	v->view = calloc(1, sizeof(*v->view) + nruns * sizeof(v->run[0]));
	if (!v->view) {
		cidstore_snapshot_close(v);
		return CIDSTORE_ENOMEM;
	}
	v->view->active = mem;
	v->view->dir = v->dir;
	v->view->nruns = nruns;
	memcpy(v->view->run, v->run, nruns * sizeof(v->run[0]));
	*out = v;
	return 0;
}

int cidstore_snapshot_keys(struct cidstore_snapshot *v, struct cidstore_pos *pos,
			   struct cidstore_item *out, size_t cap, size_t *n)
{
	return cid_scan_keys(&v->t, v->view, pos, out, cap, n);
}

int cidstore_snapshot_values(struct cidstore_snapshot *v, struct cidstore_id key,
			     struct cidstore_pos *pos, struct cidstore_item *out, size_t cap,
			     size_t *n)
{
	return cid_scan_values(&v->t, v->view, key, pos, out, cap, n);
}

void cidstore_snapshot_close(struct cidstore_snapshot *v)
{
	unpin(v);
	for (uint32_t i = 0; v->run && v->run[i]; i++)
		cid_part_free(v->run[i]);
	cid_dir_free_all(v->dir);
	free(v->run);
	free(v->view);
	free(v);
}
