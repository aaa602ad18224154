/* SPDX-License-Identifier: BSD-2-Clause */
/* peer_cidstore.c - CIDStore, by its public interface and with its defaults */
#include "peers/peer.h"

static struct cidstore *s;

static void check(int rc, const char *what)
{
	if (rc != 0)
		PEER_DIE(what, cidstore_strerror(rc));
}

static void open_store(const char *dir, const struct peer_config *c)
{
	struct cidstore_error err = { 0 };

	(void)c;
	if (cidstore_open(dir, CIDSTORE_CREATE, &s, &err) != 0)
		PEER_DIE("open", err.message);
}

static void put(const struct cidstore_pair *p, size_t n)
{
	check(cidstore_insert(s, p, n, NULL), "insert");
}

static void sync_store(void)
{
	check(cidstore_sync(s), "sync");
}

static void *reader(void)
{
	return s;
}

static void nothing(void *r)
{
	(void)r;
}

static size_t get(void *r, const struct cidstore_id *key, struct cidstore_id *out, size_t cap)
{
	uint64_t n = 0;
	int rc = cidstore_get(r, *key, out, cap, &n);

	if (rc != CIDSTORE_ENOENT)
		check(rc, "get");
	return rc == 0 ? (size_t)n : 0;
}

static void del(const struct cidstore_pair *p, size_t n)
{
	check(cidstore_delete(s, p, n, NULL), "delete");
}

static void del_keys(const struct cidstore_id *k, size_t n)
{
	check(cidstore_delete_keys(s, k, n, NULL), "delete of keys");
}

static void close_store(void)
{
	check(cidstore_close(s), "close");
}

const struct peer peer_cidstore = { "cidstore", true,	  true,	      open_store, put,
				    sync_store, reader,	  nothing,    nothing,	  get,
				    del,	del_keys, close_store };
