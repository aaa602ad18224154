/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node.c - the table of nodes: slots in chunks that never move, an index of
 * identities by open addressing, and a list by age.
 *
 * The index keeps 32 bits of the hash beside each slot number, so that a probe
 * rarely touches a slot. Deletion shifts entries back and leaves no tombstones.
 * The hash has a random seed: names are chosen by strangers.
 */
#include "fusefs/node.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/hash.h"

#define CHUNK_BITS 10u
#define CHUNK_SLOTS (1u << CHUNK_BITS)
#define MAX_CHUNKS (1u << 17) /* 134 M nodes */
#define NIL UINT32_MAX
#define FIRST_NODE 2u /* slot 0; 1 is the root */
#define MIN_INDEX 1024u

struct slot {
	struct cidstore_id key, value;
	char *path;
	uint64_t nlookup;
	uint32_t older, newer; /* list by age; of a free slot, `newer` is the next */
	uint32_t generation;
	uint16_t telling; /* threads at it; there are far fewer */
	uint8_t kind;
	bool gone : 1, granted : 1;
};

struct cell {
	uint32_t slot; /* NIL: free */
	uint32_t tag;
};

struct cid_nodes {
	pthread_mutex_t lock; /* protects all below */
	struct slot *chunk[MAX_CHUNKS];
	uint32_t made;	  /* slots ever used */
	uint32_t free;	  /* list of slots */
	uint32_t oldest, newest;
	_Atomic size_t count; /* read without the lock */
	size_t soft;
	struct cell *index;
	size_t mask, filled;
	uint64_t seed;
};

static struct slot *slot_at(struct cid_nodes *t, uint32_t i)
{
	return &t->chunk[i >> CHUNK_BITS][i & (CHUNK_SLOTS - 1)];
}

/* ---- index ---- */

static uint64_t hash_of(const struct cid_nodes *t, unsigned kind, struct cidstore_id key,
			struct cidstore_id value)
{
	struct cidstore_id both[2] = { key, value };

	return XXH3_64bits_withSeed(both, sizeof(both), t->seed ^ kind);
}

static size_t home(const struct cid_nodes *t, uint32_t tag)
{
	/* The low half of the hash is the tag and gives the place: it is enough
	 * for 2^32 cells, and the index can grow without hashing again. */
	return tag & t->mask;
}

static size_t index_find(struct cid_nodes *t, unsigned kind, struct cidstore_id key,
			 struct cidstore_id value, uint32_t tag)
{
	size_t i = home(t, tag);

	for (; t->index[i].slot != NIL; i = (i + 1) & t->mask) {
		struct slot *s;

		if (t->index[i].tag != tag)
			continue;
		s = slot_at(t, t->index[i].slot);
		if (s->kind == kind && cid_id_eq(s->key, key) && cid_id_eq(s->value, value))
			break;
	}
	return i;
}

static void index_put(struct cid_nodes *t, struct cell c)
{
	size_t i = home(t, c.tag);

	while (t->index[i].slot != NIL)
		i = (i + 1) & t->mask;
	t->index[i] = c;
	t->filled++;
}

static int index_resize(struct cid_nodes *t, size_t size)
{
	struct cell *old = t->index;
	size_t old_size = old ? t->mask + 1 : 0;
	struct cell *index = malloc(size * sizeof(*index));

	if (!index)
		return CIDSTORE_ENOMEM;
	memset(index, 0xff, size * sizeof(*index)); /* NIL everywhere */
	t->index = index;
	t->mask = size - 1;
	t->filled = 0;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].slot != NIL)
			index_put(t, old[i]);
	free(old);
	return 0;
}

static void index_delete(struct cid_nodes *t, size_t i)
{
	size_t j = i;

	for (;;) {
		size_t h;

		j = (j + 1) & t->mask;
		if (t->index[j].slot == NIL)
			break;
		h = home(t, t->index[j].tag);
		if (((j - h) & t->mask) < ((j - i) & t->mask))
			continue; /* it lies between its home and the hole */
		t->index[i] = t->index[j];
		i = j;
	}
	t->index[i].slot = NIL;
	t->filled--;
	if (t->mask + 1 > MIN_INDEX && t->filled < (t->mask + 1) / 8)
		(void)index_resize(t, (t->mask + 1) / 2); /* stays as it is on failure */
}

static uint32_t tag_of(const struct cid_nodes *t, const struct slot *s)
{
	return (uint32_t)hash_of(t, s->kind, s->key, s->value);
}

/* Takes a slot out of the index; it keeps answering to its node id. */
static void unname(struct cid_nodes *t, struct slot *s)
{
	if (s->gone)
		return;
	index_delete(t, index_find(t, s->kind, s->key, s->value, tag_of(t, s)));
	s->gone = true;
}

/* ---- list by age ---- */

static void age_unlink(struct cid_nodes *t, struct slot *s)
{
	if (s->older != NIL)
		slot_at(t, s->older)->newer = s->newer;
	else
		t->oldest = s->newer;
	if (s->newer != NIL)
		slot_at(t, s->newer)->older = s->older;
	else
		t->newest = s->older;
}

static void age_append(struct cid_nodes *t, uint32_t i)
{
	struct slot *s = slot_at(t, i);

	s->older = t->newest;
	s->newer = NIL;
	if (t->newest != NIL)
		slot_at(t, t->newest)->newer = i;
	else
		t->oldest = i;
	t->newest = i;
}

static void age_renew(struct cid_nodes *t, uint32_t i)
{
	if (t->newest == i)
		return;
	age_unlink(t, slot_at(t, i));
	age_append(t, i);
}

/* ---- slots ---- */

static uint32_t slot_take(struct cid_nodes *t)
{
	uint32_t i = t->free;

	if (i != NIL) {
		t->free = slot_at(t, i)->newer;
		return i;
	}
	i = t->made;
	if (!(i & (CHUNK_SLOTS - 1))) {
		if (i >> CHUNK_BITS >= MAX_CHUNKS)
			return NIL;
		t->chunk[i >> CHUNK_BITS] = calloc(CHUNK_SLOTS, sizeof(struct slot));
		if (!t->chunk[i >> CHUNK_BITS])
			return NIL;
	}
	t->made++;
	return i;
}

static void slot_give(struct cid_nodes *t, uint32_t i)
{
	struct slot *s = slot_at(t, i);

	unname(t, s);
	age_unlink(t, s);
	free(s->path);
	s->path = NULL;
	s->kind = CID_NODE_NONE;
	s->newer = t->free;
	t->free = i;
	t->count--;
}

static struct slot *slot_of(struct cid_nodes *t, uint64_t node)
{
	struct slot *s;

	if (node < FIRST_NODE || node - FIRST_NODE >= t->made)
		return NULL;
	s = slot_at(t, (uint32_t)(node - FIRST_NODE));
	return s->kind == CID_NODE_NONE ? NULL : s;
}

/* ---- interface ---- */

int cid_nodes_new(size_t soft_limit, struct cid_nodes **out)
{
	struct cid_nodes *t = calloc(1, sizeof(*t));

	if (!t)
		return CIDSTORE_ENOMEM;
	if (index_resize(t, MIN_INDEX)) {
		free(t);
		return CIDSTORE_ENOMEM;
	}
	pthread_mutex_init(&t->lock, NULL);
	t->free = t->oldest = t->newest = NIL;
	t->soft = soft_limit;
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
		t->seed = (uintptr_t)t; /* early at boot; only evenness suffers */
	*out = t;
	return 0;
}

void cid_nodes_free(struct cid_nodes *t)
{
	if (!t)
		return;
	for (uint32_t i = t->oldest; i != NIL; i = slot_at(t, i)->newer)
		free(slot_at(t, i)->path);
	for (size_t i = 0; i < MAX_CHUNKS && t->chunk[i]; i++)
		free(t->chunk[i]);
	free(t->index);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static int ref_new(struct cid_nodes *t, const struct cid_node *id, uint32_t tag, uint32_t *out)
{
	char *path = NULL;
	struct slot *s;
	uint32_t i;

	if (t->filled + 1 > (t->mask + 1) / 2 && index_resize(t, (t->mask + 1) * 2))
		return CIDSTORE_ENOMEM;
	if (id->path) {
		path = strdup(id->path);
		if (!path)
			return CIDSTORE_ENOMEM;
	}
	i = slot_take(t);
	if (i == NIL) {
		free(path);
		return CIDSTORE_ENOMEM;
	}
	s = slot_at(t, i);
	s->key = id->key;
	s->value = id->value;
	s->path = path;
	s->kind = (uint8_t)id->kind;
	s->gone = s->granted = false;
	s->telling = 0;
	s->nlookup = 0;
	s->generation++;
	index_put(t, (struct cell){ i, tag });
	age_append(t, i);
	t->count++;
	*out = i;
	return 0;
}

int cid_nodes_ref(struct cid_nodes *t, const struct cid_node *id, uint64_t *node,
		  uint64_t *generation, bool *known)
{
	uint32_t tag = (uint32_t)hash_of(t, id->kind, id->key, id->value), i;
	struct slot *s;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	i = t->index[index_find(t, id->kind, id->key, id->value, tag)].slot;
	*known = i != NIL;
	if (i == NIL)
		rc = ref_new(t, id, tag, &i);
	else
		age_renew(t, i);
	if (!rc) {
		s = slot_at(t, i);
		s->nlookup++;
		s->granted |= *known;
		*node = (uint64_t)i + FIRST_NODE;
		*generation = s->generation;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void cid_nodes_forget(struct cid_nodes *t, uint64_t node, uint64_t nlookup)
{
	struct slot *s;

	pthread_mutex_lock(&t->lock);
	s = slot_of(t, node);
	if (s) {
		s->nlookup -= nlookup < s->nlookup ? nlookup : s->nlookup;
		if (!s->nlookup)
			slot_give(t, (uint32_t)(node - FIRST_NODE));
	}
	pthread_mutex_unlock(&t->lock);
}

int cid_nodes_get(struct cid_nodes *t, uint64_t node, struct cid_node *out)
{
	struct slot *s;

	if (node == CID_ROOT) {
		*out = (struct cid_node){ .kind = CID_NODE_ROOT };
		return 0;
	}
	pthread_mutex_lock(&t->lock);
	s = slot_of(t, node);
	if (s)
		*out = (struct cid_node){ (enum cid_node_kind)s->kind, s->gone, s->key, s->value,
					  s->path };
	pthread_mutex_unlock(&t->lock);
	return s ? 0 : CIDSTORE_ENOENT;
}

uint64_t cid_nodes_find(struct cid_nodes *t, const struct cid_node *id)
{
	uint32_t tag = (uint32_t)hash_of(t, id->kind, id->key, id->value), i;

	pthread_mutex_lock(&t->lock);
	i = t->index[index_find(t, id->kind, id->key, id->value, tag)].slot;
	pthread_mutex_unlock(&t->lock);
	return i == NIL ? 0 : (uint64_t)i + FIRST_NODE;
}

void cid_nodes_grant(struct cid_nodes *t, uint64_t node)
{
	struct slot *s;

	pthread_mutex_lock(&t->lock);
	s = slot_of(t, node);
	if (s)
		s->granted = true;
	pthread_mutex_unlock(&t->lock);
}

bool cid_nodes_changed(struct cid_nodes *t, uint64_t node)
{
	struct slot *s;
	bool tell;

	pthread_mutex_lock(&t->lock);
	s = slot_of(t, node);
	/* What another one is telling the kernel may not be there yet. */
	tell = s && (s->granted || s->telling);
	if (tell) {
		s->granted = false;
		s->telling++;
	}
	pthread_mutex_unlock(&t->lock);
	return tell;
}

void cid_nodes_told(struct cid_nodes *t, uint64_t node)
{
	struct slot *s;

	pthread_mutex_lock(&t->lock);
	s = slot_of(t, node);
	if (s && s->telling)
		s->telling--;
	pthread_mutex_unlock(&t->lock);
}

void cid_nodes_remove(struct cid_nodes *t, const struct cid_node *id)
{
	uint32_t tag = (uint32_t)hash_of(t, id->kind, id->key, id->value), i;

	pthread_mutex_lock(&t->lock);
	i = t->index[index_find(t, id->kind, id->key, id->value, tag)].slot;
	if (i != NIL)
		unname(t, slot_at(t, i));
	pthread_mutex_unlock(&t->lock);
}

uint64_t cid_nodes_move(struct cid_nodes *t, const struct cid_node *from,
			const struct cid_node *to)
{
	uint32_t from_tag = (uint32_t)hash_of(t, from->kind, from->key, from->value);
	uint32_t to_tag = (uint32_t)hash_of(t, to->kind, to->key, to->value);
	uint32_t old, i;

	pthread_mutex_lock(&t->lock);
	old = t->index[index_find(t, to->kind, to->key, to->value, to_tag)].slot;
	i = t->index[index_find(t, from->kind, from->key, from->value, from_tag)].slot;
	if (old != NIL && old != i)
		unname(t, slot_at(t, old));
	if (i != NIL && old != i) {
		struct slot *s = slot_at(t, i);

		unname(t, s);
		s->key = to->key;
		s->value = to->value;
		s->gone = false;
		index_put(t, (struct cell){ i, to_tag });
	}
	pthread_mutex_unlock(&t->lock);
	return i == NIL ? 0 : (uint64_t)i + FIRST_NODE;
}

size_t cid_nodes_count(struct cid_nodes *t)
{
	return atomic_load_explicit(&t->count, memory_order_relaxed);
}

size_t cid_nodes_excess(struct cid_nodes *t)
{
	size_t n = cid_nodes_count(t);

	return n > t->soft ? n - t->soft : 0;
}

size_t cid_nodes_oldest(struct cid_nodes *t, uint64_t *out, size_t cap)
{
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	for (; n < cap && n < t->count; n++) {
		uint32_t i = t->oldest;

		out[n] = (uint64_t)i + FIRST_NODE;
		age_renew(t, i);
	}
	pthread_mutex_unlock(&t->lock);
	return n;
}

bool cid_nodes_walk(struct cid_nodes *t, bool keys_only, uint64_t *cursor, uint64_t *out,
		    size_t *n)
{
	uint64_t end = *cursor + CID_NODES_STEP;
	bool more;

	*n = 0;
	pthread_mutex_lock(&t->lock);
	for (; *cursor < t->made && *cursor < end; (*cursor)++) {
		const struct slot *s = slot_at(t, (uint32_t)*cursor);

		if (s->kind == CID_NODE_KEY || (!keys_only && s->kind == CID_NODE_VALUE))
			out[(*n)++] = *cursor + FIRST_NODE;
	}
	more = *cursor < t->made || *n;
	pthread_mutex_unlock(&t->lock);
	return more;
}
