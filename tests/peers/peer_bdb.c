/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_bdb.c - Berkeley DB 5.3: a hash with sorted duplicates, transactions, log
 *
 * One transaction a batch that does not wait for the log; sync() flushes it.
 * A checkpoint each 4 M changes.
 */
#include <db.h>
#include <string.h>

#include "peers/peer.h"

#define CACHE_GIB	2u
#define CHECKPOINT_EACH 4000000u
#define BUFFER		(1u << 20)

static DB_ENV *env;
static DB *db;
static uint64_t changed;

static void open_db(const char *dir, const struct peer_config *c)
{
	PEER_TRY(db_env_create(&env, 0));
	PEER_TRY(env->set_cachesize(env, CACHE_GIB, 0, 1));
	PEER_TRY(env->set_lg_bsize(env, 16u << 20));
	PEER_TRY(env->set_lg_max(env, 256u << 20));
	PEER_TRY(env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1));
	PEER_TRY(env->set_flags(env, DB_TXN_WRITE_NOSYNC, 1));
	env->set_errfile(env, stderr);
	PEER_TRY(env->open(env, dir,
			   DB_CREATE | DB_INIT_MPOOL | DB_INIT_LOG | DB_INIT_TXN | DB_RECOVER |
				   DB_PRIVATE | DB_THREAD,
			   0644));
	PEER_TRY(db_create(&db, env, 0));
	PEER_TRY(db->set_flags(db, DB_DUPSORT));
	PEER_TRY(db->set_pagesize(db, 4096));
	PEER_TRY(db->set_h_nelem(db, (uint32_t)c->pairs));
	PEER_TRY(db->set_h_ffactor(db, 60));
	PEER_TRY(db->open(db, NULL, "kv.db", NULL, DB_HASH, DB_CREATE | DB_AUTO_COMMIT | DB_THREAD,
			  0644));
	changed = 0;
}

static DBT dbt(const struct cidstore_id *id)
{
	DBT t;

	memset(&t, 0, sizeof(t));
	t.data = (void *)(uintptr_t)id;
	t.size = t.ulen = sizeof(*id);
	t.flags = DB_DBT_USERMEM;
	return t;
}

static void commit(DB_TXN *t, size_t n)
{
	PEER_TRY(t->commit(t, DB_TXN_WRITE_NOSYNC));
	changed += n;
	if (changed <= CHECKPOINT_EACH)
		return;
	changed = 0;
	PEER_TRY(env->txn_checkpoint(env, 0, 0, 0));
}

static void put(const struct cidstore_pair *p, size_t n)
{
	DB_TXN *t;

	PEER_TRY(env->txn_begin(env, NULL, &t, 0));
	for (size_t i = 0; i < n; i++) {
		DBT k = dbt(&p[i].key), v = dbt(&p[i].value);
		int rc = db->put(db, t, &k, &v, DB_NODUPDATA);

		if (rc != 0 && rc != DB_KEYEXIST)
			PEER_DIE("put", db_strerror(rc));
	}
	commit(t, n);
}

static void sync_db(void)
{
	PEER_TRY(env->log_flush(env, NULL));
}

static void *reader(void)
{
	DBC *c;

	PEER_TRY(db->cursor(db, NULL, &c, 0));
	return c;
}

static void renew(void *r)
{
	(void)r;
}

static void end(void *arg)
{
	DBC *c = arg;

	PEER_TRY(c->close(c));
}

static size_t get_all(DBC *c, DBT *k, struct cidstore_id *out, size_t cap)
{
	static __thread char *buf;
	size_t n = 0;
	DBT v;
	int rc;

	if (buf == NULL)
		buf = malloc(BUFFER);
	memset(&v, 0, sizeof(v));
	v.data = buf;
	v.ulen = BUFFER;
	v.flags = DB_DBT_USERMEM;
	for (rc = c->get(c, k, &v, DB_SET | DB_MULTIPLE); rc == 0;
	     rc = c->get(c, k, &v, DB_NEXT_DUP | DB_MULTIPLE)) {
		void *p, *d;
		size_t len;

		DB_MULTIPLE_INIT(p, &v);
		for (;;) {
			DB_MULTIPLE_NEXT(p, &v, d, len);
			if (p == NULL)
				break;
			if (n < cap)
				memcpy(&out[n], d, len);
			n++;
		}
	}
	return n;
}

static size_t get(void *arg, const struct cidstore_id *key, struct cidstore_id *out, size_t cap)
{
	DBC *c = arg;
	struct cidstore_id one;
	DBT k = dbt(key), v = dbt(&one);
	db_recno_t n = 1;

	if (c->get(c, &k, &v, DB_SET) != 0)
		return 0;
	PEER_TRY(c->count(c, &n, 0));
	if (n > 1)
		return get_all(c, &k, out, cap);
	if (cap > 0)
		out[0] = one;
	return 1;
}

static void del(const struct cidstore_pair *p, size_t n)
{
	DB_TXN *t;
	DBC *c;

	PEER_TRY(env->txn_begin(env, NULL, &t, 0));
	PEER_TRY(db->cursor(db, t, &c, 0));
	for (size_t i = 0; i < n; i++) {
		DBT k = dbt(&p[i].key), v = dbt(&p[i].value);

		if (c->get(c, &k, &v, DB_GET_BOTH) == 0)
			PEER_TRY(c->del(c, 0));
	}
	PEER_TRY(c->close(c));
	commit(t, n);
}

static void del_keys(const struct cidstore_id *key, size_t n)
{
	DB_TXN *t;

	PEER_TRY(env->txn_begin(env, NULL, &t, 0));
	for (size_t i = 0; i < n; i++) {
		DBT k = dbt(&key[i]);
		int rc = db->del(db, t, &k, 0);

		if (rc != 0 && rc != DB_NOTFOUND)
			PEER_DIE("delete", db_strerror(rc));
	}
	commit(t, n);
}

static void close_db(void)
{
	PEER_TRY(env->txn_checkpoint(env, 0, 0, DB_FORCE));
	PEER_TRY(db->close(db, 0));
	PEER_TRY(env->close(env, 0));
}

const struct peer peer_bdb = { "bdb", true, true, open_db, put,	     sync_db, reader,
			       renew, end,  get,  del,	   del_keys, close_db };
