/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_rocksdb.c - RocksDB: the pair is the key, the set a prefix
 *
 * Levelled, log on, Bloom filters of 10 bits on prefixes and whole keys, no
 * compression (identifiers are random), checksums verified.
 */
#include <rocksdb/c.h>
#include <string.h>

#include "peers/peer.h"

#define ID   sizeof(struct cidstore_id)
#define PAIR sizeof(struct cidstore_pair)

static rocksdb_t *db;
static rocksdb_writeoptions_t *write_options;
static rocksdb_readoptions_t *read_options;
static rocksdb_writebatch_t *batch;
static char *error;

static void check(const char *what)
{
	if (error != NULL)
		PEER_DIE(what, error);
}

static void table(rocksdb_options_t *o)
{
	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(t, rocksdb_cache_create_lru(1u << 30));
	rocksdb_block_based_options_set_block_size(t, 4096);
	rocksdb_block_based_options_set_filter_policy(t,
						      rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_whole_key_filtering(t, 1);
	rocksdb_block_based_options_set_format_version(t, 5);
	rocksdb_options_set_block_based_table_factory(o, t);
}

static void open_db(const char *dir, const struct peer_config *c)
{
	rocksdb_options_t *o = rocksdb_options_create();

	(void)c;
	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_write_buffer_size(o, 128u << 20);
	rocksdb_options_set_max_write_buffer_number(o, 4);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_target_file_size_base(o, 64u << 20);
	rocksdb_options_set_max_bytes_for_level_base(o, 512u << 20);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_max_open_files(o, -1);
	rocksdb_options_set_bytes_per_sync(o, 1u << 20);
	rocksdb_options_set_prefix_extractor(o, rocksdb_slicetransform_create_fixed_prefix(ID));
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.1);
	table(o);
	db = rocksdb_open(o, dir, &error);
	check("open");
	write_options = rocksdb_writeoptions_create();
	read_options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_prefix_same_as_start(read_options, 1);
	rocksdb_readoptions_set_verify_checksums(read_options, 1);
	batch = rocksdb_writebatch_create();
}

static void write_batch(void)
{
	rocksdb_write(db, write_options, batch, &error);
	check("write");
	rocksdb_writebatch_clear(batch);
}

static void put(const struct cidstore_pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rocksdb_writebatch_put(batch, (const char *)&p[i], PAIR, "", 0);
	write_batch();
}

static void sync_db(void)
{
	rocksdb_flush_wal(db, 1, &error);
	check("sync");
}

struct reader {
	rocksdb_iterator_t *it;
};

static void *reader(void)
{
	struct reader *r = malloc(sizeof(*r));

	if (r == NULL)
		PEER_DIE("memory", "");
	r->it = rocksdb_create_iterator(db, read_options);
	return r;
}

static void renew(void *arg)
{
	struct reader *r = arg;

	rocksdb_iter_destroy(r->it);
	r->it = rocksdb_create_iterator(db, read_options);
}

static void end(void *arg)
{
	struct reader *r = arg;

	rocksdb_iter_destroy(r->it);
	free(r);
}

static size_t get(void *arg, const struct cidstore_id *key, struct cidstore_id *out, size_t cap)
{
	struct reader *r = arg;
	size_t n = 0, len;

	for (rocksdb_iter_seek(r->it, (const char *)key, ID); rocksdb_iter_valid(r->it);
	     rocksdb_iter_next(r->it)) {
		const char *k = rocksdb_iter_key(r->it, &len);

		if (memcmp(k, key, ID) != 0)
			break;
		if (n < cap)
			memcpy(&out[n], k + ID, ID);
		n++;
	}
	return n;
}

static void del(const struct cidstore_pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rocksdb_writebatch_delete(batch, (const char *)&p[i], PAIR);
	write_batch();
}

static void del_keys(const struct cidstore_id *key, size_t n)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator(db, read_options);
	size_t len;

	for (size_t i = 0; i < n; i++)
		for (rocksdb_iter_seek(it, (const char *)&key[i], ID); rocksdb_iter_valid(it);
		     rocksdb_iter_next(it)) {
			const char *k = rocksdb_iter_key(it, &len);

			if (memcmp(k, &key[i], ID) != 0)
				break;
			rocksdb_writebatch_delete(batch, k, PAIR);
		}
	rocksdb_iter_destroy(it);
	write_batch();
}

static void close_db(void)
{
	rocksdb_close(db);
}

const struct peer peer_rocksdb = { "rocksdb", true, true, open_db, put,	     sync_db, reader,
				   renew,     end,  get,  del,	   del_keys, close_db };
