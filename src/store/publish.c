/* SPDX-License-Identifier: BSD-2-Clause */
/* publish.c - replacing what readers see, and freeing what they saw */
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"

struct cid_view *cid_view_new(struct cid_mem *active, struct cid_mem *frozen, struct cid_dir *dir,
			      struct cid_part *const *run, uint32_t nruns)
{
	struct cid_view *v = calloc(1, sizeof(*v) + nruns * sizeof(v->run[0]));

	if (!v)
		return NULL;
	v->active = active;
	v->frozen = frozen;
	v->dir = dir;
	v->nruns = nruns;
	if (nruns)
		memcpy(v->run, run, nruns * sizeof(v->run[0]));
	return v;
}

int cid_view_replace(struct cidstore *s, struct cid_view *v)
{
	struct cid_retired_view *r = malloc(sizeof(*r));
	struct cid_view *old;

	if (!r)
		return CIDSTORE_ENOMEM;
	old = atomic_load(&s->view);
	atomic_store_explicit(&s->view, v, memory_order_release);
	if (!old) {
		free(r);
		return 0;
	}
	r->view = old;
	r->dir = old->dir != v->dir ? old->dir : NULL;
	r->ebr = cid_ebr_retire(&s->ebr);
	r->next = s->old_views;
	s->old_views = r;
	return 0;
}

int cid_view_publish(struct cidstore *s, struct cid_mem *active, struct cid_mem *frozen,
		     struct cid_dir *dir, struct cid_part *const *run, uint32_t nruns)
{
	struct cid_view *v = cid_view_new(active, frozen, dir, run, nruns);
	int rc = v ? cid_view_replace(s, v) : CIDSTORE_ENOMEM;

	if (rc)
		free(v);
	return rc;
}

void cid_part_retire(struct cidstore *s, struct cid_part *p)
{
	p->ebr = cid_ebr_retire(&s->ebr);
	p->next_retired = s->old_parts;
	s->old_parts = p;
}

void cid_retired_free(struct cidstore *s, bool all)
{
	uint64_t passed = 0;

	/* Writers look at the view with their lock held and without entering. */
	pthread_mutex_lock(&s->write);
	pthread_mutex_lock(&s->publish);
	for (struct cid_retired_view *_Atomic *v = &s->old_views; *v;) {
		struct cid_retired_view *x = *v;

		if (all || x->ebr <= passed || cid_ebr_passed(&s->ebr, x->ebr)) {
			passed = x->ebr > passed ? x->ebr : passed;
			*v = x->next;
			free(x->view);
			free(x->dir);
			free(x);
		} else {
			v = &x->next;
		}
	}
	pthread_mutex_unlock(&s->publish);
	pthread_mutex_unlock(&s->write);
	for (struct cid_part **p = &s->old_parts; *p;) {
		struct cid_part *x = *p;

		if (all || x->ebr <= passed || cid_ebr_passed(&s->ebr, x->ebr)) {
			passed = x->ebr > passed ? x->ebr : passed;
			*p = x->next_retired;
			cid_part_free(x);
		} else {
			p = &x->next_retired;
		}
	}
}

int cid_mem_take(struct cidstore *s, struct cid_mem **out)
{
	int rc = 0;

	*out = NULL;
	for (int i = 0; i < CID_MEMS; i++) {
		if (s->mem_retired[i] == UINT64_MAX)
			continue;
		if (s->mem_retired[i] && !cid_ebr_passed(&s->ebr, s->mem_retired[i]))
			continue;
		/* Mostly maintenance emptied it already. */
		if (s->mem[i].op && s->mem[i].cap != cid_mem_cap(s))
			cid_table_free(s, &s->mem[i]);
		if (!s->mem[i].op) {
			int failed = cid_table_new(s, &s->mem[i], cid_mem_cap(s));

			if (failed) {
				rc = failed;
				continue;
			}
		} else if (s->mem_retired[i]) {
			cid_mem_reset(&s->mem[i]);
		}
		s->mem_retired[i] = UINT64_MAX;
		*out = &s->mem[i];
		return 0;
	}
	return rc;
}

void cid_mem_give(struct cidstore *s, struct cid_mem *m)
{
	s->mem_retired[m - s->mem] = cid_ebr_retire(&s->ebr);
}
