/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_sqlite.c - SQLite: a table without row ids, its key the pair, WAL
 *
 * Durable: one transaction a group, synchronous=FULL. Else one a batch, OFF.
 */
#include <sqlite3.h>
#include <string.h>

#include "peers/peer.h"

static sqlite3 *db;
static sqlite3_stmt *insert, *delete_pair, *delete_key;
static char path[1200];
static bool durable, open_txn;

static void run_sql(sqlite3 *d, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(d, sql, NULL, NULL, &why) != SQLITE_OK)
		PEER_DIE(sql, why);
}

static sqlite3_stmt *prepare(sqlite3 *d, const char *sql)
{
	sqlite3_stmt *s;

	if (sqlite3_prepare_v2(d, sql, -1, &s, NULL) != SQLITE_OK)
		PEER_DIE(sql, sqlite3_errmsg(d));
	return s;
}

static sqlite3 *connect_db(void)
{
	sqlite3 *d;

	if (sqlite3_open_v2(path, &d,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		PEER_DIE("open", path);
	run_sql(d, "PRAGMA page_size=4096");
	run_sql(d, "PRAGMA journal_mode=WAL");
	run_sql(d, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
	run_sql(d, "PRAGMA cache_size=-1048576");
	run_sql(d, "PRAGMA mmap_size=17179869184");
	run_sql(d, "PRAGMA wal_autocheckpoint=65536");
	return d;
}

static void open_db(const char *dir, const struct peer_config *c)
{
	durable = c->durable;
	open_txn = false;
	snprintf(path, sizeof(path), "%s/kv.sqlite", dir);
	db = connect_db();
	run_sql(db, "CREATE TABLE IF NOT EXISTS kv(k BLOB, v BLOB, PRIMARY KEY(k,v)) "
		    "WITHOUT ROWID");
	insert = prepare(db, "INSERT OR IGNORE INTO kv VALUES(?1,?2)");
	delete_pair = prepare(db, "DELETE FROM kv WHERE k=?1 AND v=?2");
	delete_key = prepare(db, "DELETE FROM kv WHERE k=?1");
}

static void begin(void)
{
	if (!open_txn)
		run_sql(db, "BEGIN");
	open_txn = true;
}

static void commit(void)
{
	if (open_txn)
		run_sql(db, "COMMIT");
	open_txn = false;
}

static void bind(sqlite3_stmt *s, int at, const struct cidstore_id *id)
{
	sqlite3_bind_blob(s, at, id, (int)sizeof(*id), SQLITE_STATIC);
}

static void step(sqlite3_stmt *s, const struct cidstore_id *k, const struct cidstore_id *v)
{
	bind(s, 1, k);
	if (v != NULL)
		bind(s, 2, v);
	if (sqlite3_step(s) != SQLITE_DONE)
		PEER_DIE("step", sqlite3_errmsg(db));
	sqlite3_reset(s);
}

static void put(const struct cidstore_pair *p, size_t n)
{
	begin();
	for (size_t i = 0; i < n; i++)
		step(insert, &p[i].key, &p[i].value);
	if (!durable)
		commit();
}

static void del(const struct cidstore_pair *p, size_t n)
{
	begin();
	for (size_t i = 0; i < n; i++)
		step(delete_pair, &p[i].key, &p[i].value);
	if (!durable)
		commit();
}

static void del_keys(const struct cidstore_id *k, size_t n)
{
	begin();
	for (size_t i = 0; i < n; i++)
		step(delete_key, &k[i], NULL);
	if (!durable)
		commit();
}

static void sync_db(void)
{
	commit();
	if (durable)
		return;
	run_sql(db, "PRAGMA synchronous=FULL");
	run_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	run_sql(db, "PRAGMA synchronous=OFF");
}

struct reader {
	sqlite3 *db;
	sqlite3_stmt *query;
};

static void *reader(void)
{
	struct reader *r = malloc(sizeof(*r));

	if (r == NULL)
		PEER_DIE("memory", "");
	r->db = connect_db();
	r->query = prepare(r->db, "SELECT v FROM kv WHERE k=?1");
	run_sql(r->db, "BEGIN");
	return r;
}

static void renew(void *arg)
{
	struct reader *r = arg;

	run_sql(r->db, "COMMIT");
	run_sql(r->db, "BEGIN");
}

static void end(void *arg)
{
	struct reader *r = arg;

	run_sql(r->db, "COMMIT");
	sqlite3_finalize(r->query);
	sqlite3_close(r->db);
	free(r);
}

static size_t get(void *arg, const struct cidstore_id *key, struct cidstore_id *out, size_t cap)
{
	struct reader *r = arg;
	size_t n = 0;

	bind(r->query, 1, key);
	for (; sqlite3_step(r->query) == SQLITE_ROW; n++)
		if (n < cap)
			memcpy(&out[n], sqlite3_column_blob(r->query, 0), sizeof(out[n]));
	sqlite3_reset(r->query);
	return n;
}

static void close_db(void)
{
	commit();
	sqlite3_finalize(insert);
	sqlite3_finalize(delete_pair);
	sqlite3_finalize(delete_key);
	if (sqlite3_close(db) != SQLITE_OK)
		PEER_DIE("close", sqlite3_errmsg(db));
}

const struct peer peer_sqlite = { "sqlite", true, true, open_db, put,	   sync_db, reader,
				  renew,    end,  get,	del,	 del_keys, close_db };
