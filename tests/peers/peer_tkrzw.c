/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_tkrzw.c - tkrzw's HashDBM, memory-mapped, changed in place, without a log
 *
 * A crash amidst a change leaves what it leaves: not crash-safe, whatever sync
 * does. A set is one record; finding a duplicate scans it, so large sets take
 * time that grows with their square.
 */
#include <string.h>
#include <tkrzw_langc.h>

#include "peers/peer.h"

#define ID ((int32_t)sizeof(struct cidstore_id))

static TkrzwDBM *db;

static void check(bool done, const char *what)
{
	if (!done)
		PEER_DIE(what, tkrzw_get_last_status_message());
}

static void open_db(const char *dir, const struct peer_config *c)
{
	char path[1200], options[300];

	snprintf(path, sizeof(path), "%s/kv.tkh", dir);
	snprintf(options, sizeof(options),
		 "dbm=HashDBM,file=MemoryMapParallelFile,update_mode=UPDATE_IN_PLACE,"
		 "offset_width=5,align_pow=3,num_buckets=%llu,cache_buckets=false",
		 (unsigned long long)c->pairs);
	db = tkrzw_dbm_open(path, true, options);
	check(db != NULL, "open");
}

struct change {
	const struct cidstore_id *value;
	char *set; /* the new one */
};

static const char *add(void *arg, const char *key, int32_t key_len, const char *set, int32_t len,
		       int32_t *new_len)
{
	struct change *c = arg;

	(void)key;
	(void)key_len;
	if (set == NULL) {
		*new_len = ID;
		return (const char *)c->value;
	}
	for (int32_t i = 0; i < len; i += ID)
		if (memcmp(set + i, c->value, (size_t)ID) == 0)
			return TKRZW_REC_PROC_NOOP;
	c->set = malloc((size_t)len + (size_t)ID);
	if (c->set == NULL)
		PEER_DIE("memory", "");
	memcpy(c->set, set, (size_t)len);
	memcpy(c->set + len, c->value, (size_t)ID);
	*new_len = len + ID;
	return c->set;
}

static const char *take(void *arg, const char *key, int32_t key_len, const char *set, int32_t len,
			int32_t *new_len)
{
	struct change *c = arg;

	(void)key;
	(void)key_len;
	for (int32_t i = 0; set != NULL && i < len; i += ID) {
		if (memcmp(set + i, c->value, (size_t)ID) != 0)
			continue;
		if (len == ID)
			return TKRZW_REC_PROC_REMOVE;
		c->set = malloc((size_t)len);
		if (c->set == NULL)
			PEER_DIE("memory", "");
		memcpy(c->set, set, (size_t)i);
		memcpy(c->set + i, set + i + ID, (size_t)(len - i - ID));
		*new_len = len - ID;
		return c->set;
	}
	return TKRZW_REC_PROC_NOOP;
}

static void change_all(const struct cidstore_pair *p, size_t n, tkrzw_record_processor f)
{
	for (size_t i = 0; i < n; i++) {
		struct change c = { &p[i].value, NULL };

		check(tkrzw_dbm_process(db, (const char *)&p[i].key, ID, f, &c, true), "process");
		free(c.set);
	}
}

static void put(const struct cidstore_pair *p, size_t n)
{
	change_all(p, n, add);
}

static void del(const struct cidstore_pair *p, size_t n)
{
	change_all(p, n, take);
}

static void del_keys(const struct cidstore_id *k, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tkrzw_dbm_remove(db, (const char *)&k[i], ID);
}

static void sync_db(void)
{
	check(tkrzw_dbm_synchronize(db, true, NULL, NULL, ""), "sync");
}

static void *reader(void)
{
	return db;
}

static void nothing(void *r)
{
	(void)r;
}

struct got {
	struct cidstore_id *out;
	size_t cap, n;
};

static const char *copy(void *arg, const char *key, int32_t key_len, const char *set, int32_t len,
			int32_t *new_len)
{
	struct got *g = arg;

	(void)key;
	(void)key_len;
	(void)new_len;
	if (set != NULL) {
		g->n = (size_t)len / sizeof(*g->out);
		memcpy(g->out, set, sizeof(*g->out) * (g->n < g->cap ? g->n : g->cap));
	}
	return TKRZW_REC_PROC_NOOP;
}

static size_t get(void *r, const struct cidstore_id *key, struct cidstore_id *out, size_t cap)
{
	struct got g = { out, cap, 0 };

	tkrzw_dbm_process(r, (const char *)key, ID, copy, &g, false);
	return g.n;
}

static void close_db(void)
{
	check(tkrzw_dbm_close(db), "close");
}

const struct peer peer_tkrzw = { "tkrzw", false,   false, open_db, put,	     sync_db, reader,
				 nothing, nothing, get,	  del,	   del_keys, close_db };
