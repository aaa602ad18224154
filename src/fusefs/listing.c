/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/listing.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_BATCH 32u	  /* the first names at once */
#define LARGEST_BATCH 2048u /* 80 KiB for each open directory */

void cid_listing_init(struct cid_listing *l, struct cid_fusefs *f, const struct cidstore_id *key)
{
	memset(l, 0, sizeof(*l));
	l->fs = f;
	l->of_values = key != NULL;
	if (key)
		l->key = *key;
}

void cid_listing_fini(struct cid_listing *l)
{
	free(l->item);
}

void cid_listing_seek(struct cid_listing *l, uint64_t hash, bool fresh)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->item[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	/* Held, or exactly behind what is held. */
	if (!fresh && l->count && hash >= l->before &&
	    (low < l->count || l->end || hash == l->item[l->count - 1].hash + 1)) {
		l->next = low;
		return;
	}
	l->count = l->next = 0;
	l->before = hash;
	l->end = false;
	cidstore_seek(hash, &l->pos);
}

static int grow(struct cid_listing *l)
{
	size_t cap = l->cap ? l->cap * 4 : FIRST_BATCH;
	struct cidstore_item *item = realloc(l->item, cap * sizeof(*item));

	if (!item)
		return CIDSTORE_ENOMEM;
	l->item = item;
	l->cap = cap;
	return 0;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double cid_listing_age(const struct cid_listing *l)
{
	return l->fs->opt.foreign_writer ? seconds() - l->read_at : 0;
}

static int scan(struct cid_listing *l, size_t *n)
{
	struct cidstore_item *to = l->item + l->count;
	size_t room = l->cap - l->count;
	int rc = l->of_values ? cidstore_scan_values(l->fs->store, l->key, &l->pos, to, room, n) :
				cidstore_scan_keys(l->fs->store, &l->pos, to, room, n);

	/* The key was removed while its directory is open. */
	if (rc == CIDSTORE_ENOENT) {
		*n = 0;
		rc = 0;
	}
	return rc;
}

/* Gives up the last group of a full batch: it may go on behind it. */
static bool cut(struct cid_listing *l)
{
	size_t n = l->count - 1;

	while (n && l->item[n - 1].hash == l->item[l->count - 1].hash)
		n--;
	if (!n)
		return false;
	l->count = n;
	l->pos = (struct cidstore_pos){ l->item[n - 1].hash, l->item[n - 1].id, 1 };
	return true;
}

/* Reads the next batch in place of the one held; whole groups only. */
static int refill(struct cid_listing *l)
{
	size_t n;
	int rc;

	if (l->count)
		l->before = l->item[l->count - 1].hash + 1;
	l->count = l->next = 0;
	l->changes = atomic_load(&l->fs->changes);
	l->read_at = l->fs->opt.foreign_writer ? seconds() : 0;
	if (l->cap < LARGEST_BATCH) {
		rc = grow(l);
		if (rc)
			return rc;
	}
	for (;;) {
		rc = scan(l, &n);
		if (rc)
			break;
		l->count += n;
		l->end = n == 0;
		if (l->end || (l->count == l->cap && cut(l)))
			return 0;
		if (l->count == l->cap) {
			rc = grow(l); /* one hash fills the batch */
			if (rc)
				break;
		}
	}
	l->count = 0; /* what was read is in no order with `pos` any more */
	cidstore_seek(l->before, &l->pos);
	return rc;
}

int cid_listing_group(struct cid_listing *l, const struct cidstore_item **out, size_t *n)
{
	size_t i;

	if (l->next == l->count && !l->end) {
		int rc = refill(l);

		if (rc)
			return rc;
	}
	for (i = l->next; i < l->count && l->item[i].hash == l->item[l->next].hash; i++)
		;
	*out = l->item + l->next;
	*n = i - l->next;
	return 0;
}

void cid_listing_advance(struct cid_listing *l, size_t n)
{
	l->next += n;
}
