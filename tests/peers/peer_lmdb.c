/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_lmdb.c - LMDB: sorted duplicates of fixed size in a writable map
 *
 * Durable: one transaction a group, committed with its fsync. Else a
 * transaction a batch, without.
 */
#include <lmdb.h>
#include <unistd.h>

#include "peers/peer.h"

#define MAP_BYTES (64ull << 30)

static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *txn;
static MDB_cursor *cursor;
static bool durable;

static void open_env(const char *dir, const struct peer_config *c)
{
	unsigned flags = MDB_NORDAHEAD | MDB_NOMEMINIT | MDB_WRITEMAP;
	MDB_txn *t;

	durable = c->durable;
	if (!durable)
		flags |= MDB_NOSYNC | MDB_NOMETASYNC;
	PEER_TRY(mdb_env_create(&env));
	PEER_TRY(mdb_env_set_mapsize(env, MAP_BYTES));
	PEER_TRY(mdb_env_open(env, dir, flags, 0644));
	PEER_TRY(mdb_txn_begin(env, NULL, 0, &t));
	PEER_TRY(mdb_dbi_open(t, NULL, MDB_DUPSORT | MDB_DUPFIXED | MDB_CREATE, &dbi));
	PEER_TRY(mdb_txn_commit(t));
}

static void begin(void)
{
	if (txn != NULL)
		return;
	PEER_TRY(mdb_txn_begin(env, NULL, 0, &txn));
	PEER_TRY(mdb_cursor_open(txn, dbi, &cursor));
}

static void commit(void)
{
	if (txn == NULL)
		return;
	mdb_cursor_close(cursor);
	PEER_TRY(mdb_txn_commit(txn));
	txn = NULL;
}

static MDB_val val(const struct cidstore_id *id)
{
	return (MDB_val){ sizeof(*id), (void *)(uintptr_t)id };
}

static void put(const struct cidstore_pair *p, size_t n)
{
	begin();
	for (size_t i = 0; i < n; i++) {
		MDB_val k = val(&p[i].key), v = val(&p[i].value);
		int rc = mdb_cursor_put(cursor, &k, &v, MDB_NODUPDATA);

		if (rc != 0 && rc != MDB_KEYEXIST)
			PEER_DIE("put", mdb_strerror(rc));
	}
	if (!durable)
		commit();
}

static void sync_env(void)
{
	commit();
	if (!durable)
		PEER_TRY(mdb_env_sync(env, 1));
}

struct reader {
	MDB_txn *txn;
	MDB_cursor *cursor;
};

static void *reader(void)
{
	struct reader *r = malloc(sizeof(*r));

	if (r == NULL)
		PEER_DIE("memory", "");
	PEER_TRY(mdb_txn_begin(env, NULL, MDB_RDONLY, &r->txn));
	PEER_TRY(mdb_cursor_open(r->txn, dbi, &r->cursor));
	return r;
}

static void renew(void *arg)
{
	struct reader *r = arg;

	mdb_txn_reset(r->txn);
	PEER_TRY(mdb_txn_renew(r->txn));
	PEER_TRY(mdb_cursor_renew(r->txn, r->cursor));
}

static void end(void *arg)
{
	struct reader *r = arg;

	mdb_cursor_close(r->cursor);
	mdb_txn_abort(r->txn);
	free(r);
}

static size_t get(void *arg, const struct cidstore_id *key, struct cidstore_id *out, size_t cap)
{
	struct reader *r = arg;
	MDB_val k = val(key), v;
	size_t n = 0;

	if (mdb_cursor_get(r->cursor, &k, &v, MDB_SET_KEY) != 0)
		return 0;
	PEER_TRY(mdb_cursor_get(r->cursor, &k, &v, MDB_GET_MULTIPLE));
	do {
		size_t m = v.mv_size / sizeof(*out);
		const struct cidstore_id *id = v.mv_data;

		for (size_t i = 0; i < m && n + i < cap; i++)
			out[n + i] = id[i];
		n += m;
	} while (mdb_cursor_get(r->cursor, &k, &v, MDB_NEXT_MULTIPLE) == 0);
	return n;
}

static void remove_one(MDB_val k, MDB_val *v)
{
	int rc = mdb_del(txn, dbi, &k, v);

	if (rc != 0 && rc != MDB_NOTFOUND)
		PEER_DIE("delete", mdb_strerror(rc));
}

static void del(const struct cidstore_pair *p, size_t n)
{
	begin();
	for (size_t i = 0; i < n; i++) {
		MDB_val v = val(&p[i].value);

		remove_one(val(&p[i].key), &v);
	}
	if (!durable)
		commit();
}

static void del_keys(const struct cidstore_id *k, size_t n)
{
	begin();
	for (size_t i = 0; i < n; i++)
		remove_one(val(&k[i]), NULL);
	if (!durable)
		commit();
}

static void close_env(void)
{
	commit();
	mdb_env_close(env);
}

const struct peer peer_lmdb = { "lmdb", true, true, open_env, put,	sync_env, reader,
				renew,	end,  get,  del,      del_keys, close_env };
