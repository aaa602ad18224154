/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/opened.h"

#include <pthread.h>
#include <stddef.h>

#include "fusefs/fs.h"

void cid_opened_add(struct cid_fusefs *f, struct cid_opened *o, cid_opened_free *close)
{
	o->close = close;
	pthread_mutex_lock(&f->opened_lock);
	o->next = f->opened;
	o->at = &f->opened;
	if (o->next)
		o->next->at = &o->next;
	f->opened = o;
	pthread_mutex_unlock(&f->opened_lock);
}

void cid_opened_close(struct cid_fusefs *f, struct cid_opened *o)
{
	pthread_mutex_lock(&f->opened_lock);
	*o->at = o->next;
	if (o->next)
		o->next->at = o->at;
	pthread_mutex_unlock(&f->opened_lock);
	o->close(f, o);
}

void cid_opened_close_all(struct cid_fusefs *f)
{
	while (f->opened)
		cid_opened_close(f, f->opened);
}
