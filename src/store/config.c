/* SPDX-License-Identifier: BSD-2-Clause */
/* config.c - settings: one table; kept in the root */
#include <string.h>

#include "store/engine.h"

static const struct cid_setting table[CID_CFG_COUNT + 1] = {
	[CID_CFG_PROMOTION_THRESHOLD] = { "promotion_threshold", 4, 4096, 128,
		"values from which a set gets extents of its own; a power of two" },
	[CID_CFG_BATCH_SIZE] = { "batch_size", 64, 65536, 1024,
		"operations that bulk streams hand to the log at once" },
	[CID_CFG_FLUSH_INTERVAL_US] = { "flush_interval_us", 0, 60000000, 0,
		"a sync that a caller waits for may be put off by this, to share it" },
	[CID_CFG_SYNC_INTERVAL_MS] = { "sync_interval_ms", 1, 3600000, 50,
		"changes are made durable without being asked within this time" },
	[CID_CFG_MEMORY_LIMIT] = { "memory_limit", 64ull << 20, 1ull << 44, 1ull << 30,
		"bytes of memory for tables, indexes and buffers" },
	[CID_CFG_AUTOTUNE] = { "autotune", 0, 1, 0, "let the store move batch_size and "
		"flush_interval_us" },
	[CID_CFG_BATCH_LIMIT] = { "batch_limit", 1, 1ull << 24, 262144,
		"operations in one transaction" },
	[CID_CFG_READER_GRACE_MS] = { "reader_grace_ms", 0, 3600000, 10000,
		"freed space is not reused before this time is over" },
	[CID_CFG_CHECKPOINT_INTERVAL_MS] = { "checkpoint_interval_ms", 100, 86400000, 5000,
		"the log is moved into the tables at least this often" },
};

const struct cid_setting *cid_store_settings(void)
{
	return table;
}

static int find(const char *name)
{
	for (int i = 0; i < CID_CFG_COUNT; i++)
		if (strcmp(table[i].name, name) == 0)
			return i;
	return -1;
}

int cidstore_config_get(struct cidstore *s, const char *name, uint64_t *out)
{
	int i = find(name);

	if (i < 0)
		return CIDSTORE_ENOENT;
	*out = cid_cfg(s, (enum cid_config)i);
	return 0;
}

int cidstore_config_set(struct cidstore *s, const char *name, uint64_t value)
{
	int i = find(name);

	if (i < 0)
		return CIDSTORE_ENOENT;
	if (value < table[i].min || value > table[i].max)
		return CIDSTORE_EINVAL;
	if (i == CID_CFG_PROMOTION_THRESHOLD && (value & (value - 1)))
		return CIDSTORE_EINVAL;
	if (i == CID_CFG_BATCH_LIMIT && !s->readonly && value > s->wal.records / 4)
		return CIDSTORE_EINVAL;
	atomic_store(&s->config[i], value);
	return 0;
}

void cid_config_defaults(struct cidstore *s)
{
	for (int i = 0; i < CID_CFG_COUNT; i++)
		atomic_store(&s->config[i], table[i].initial);
}

void cid_config_load(struct cidstore *s, const struct cid_root *r)
{
	const struct cid_setting *t = &table[CID_CFG_PROMOTION_THRESHOLD];
	uint64_t v = r->config[CID_CFG_PROMOTION_THRESHOLD];

	if (v >= t->min && v <= t->max)
		atomic_store(&s->config[CID_CFG_PROMOTION_THRESHOLD], v);
}

void cid_config_save(struct cidstore *s, struct cid_root *r)
{
	/* What describes the store stays with it; what describes a machine or a
	 * mount is given anew each time. */
	r->config[CID_CFG_PROMOTION_THRESHOLD] = cid_cfg(s, CID_CFG_PROMOTION_THRESHOLD);
}
