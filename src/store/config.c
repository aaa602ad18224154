/* SPDX-License-Identifier: BSD-2-Clause */
/* config.c - settings: one table; kept in the root */
#include <string.h>

#include "store/engine.h"

static const struct cid_setting table[CID_CFG_COUNT + 1] = {
	[CID_CFG_PROMOTION_THRESHOLD] = { "promotion_threshold", 4, CID_LEAF_MAX, 128,
		"values from which a set gets extents of its own; a power of two" },
	[CID_CFG_BATCH_SIZE] = { "batch_size", 64, 4096, CID_WRITE_CHUNK,
		"operations of a bulk call that are logged, and become visible, at once" },
	[CID_CFG_FLUSH_INTERVAL_US] = { "flush_interval_us", 0, 60000000, 0,
		"a sync that a caller asks for waits so long for others to share it" },
	[CID_CFG_SYNC_INTERVAL_MS] = { "sync_interval_ms", 1, 3600000, 50,
		"changes are made durable without being asked within this time" },
	[CID_CFG_MEMORY_LIMIT] = { "memory_limit", 64ull << 20, 1ull << 44, 1ull << 30,
		"bytes of memory for tables, indexes and buffers" },
	[CID_CFG_AUTOTUNE] = { "autotune", 0, 1, 0,
		"1: the store moves what it uses of batch_size and flush_interval_us" },
	[CID_CFG_BATCH_LIMIT] = { "batch_limit", 1, 1ull << 24, 262144,
		"operations in one transaction" },
	[CID_CFG_READER_GRACE_MS] = { "reader_grace_ms", 0, 3600000, 10000,
		"freed space is not reused before this time is over" },
	[CID_CFG_CHECKPOINT_INTERVAL_MS] = { "checkpoint_interval_ms", 100, 86400000, 5000,
		"the log is moved into the tables at least this often" },
	[CID_CFG_SCRUB_RATE] = { "scrub_rate", 0, 1ull << 40, 1ull << 20,
		"bytes a second that are read again in search of damage; 0: none" },
	[CID_CFG_READER_PIN_MS] = { "reader_pin_ms", 1000, 86400000, 600000,
		"a snapshot of another process keeps freed space for so long at most" },
	[CID_CFG_REFRESH_INTERVAL_MS] = { "refresh_interval_ms", 0, 3600000, 10,
		"a read-only store looks for changes no more often than this" },
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
	if (atomic_exchange(&s->config[i], value) == value)
		return 0;
	if (i == CID_CFG_SYNC_INTERVAL_MS)
		cid_maintain_wake(s); /* it may be over by the new one */
	if (i == CID_CFG_BATCH_SIZE || i == CID_CFG_FLUSH_INTERVAL_US || i == CID_CFG_AUTOTUNE)
		cid_tune_reset(s);
	return 0;
}

uint64_t cid_config_initial(enum cid_config c)
{
	return table[c].initial;
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
	/* Promises to readers in other processes, see pin.c. */
	r->config[CID_CFG_READER_GRACE_MS] = cid_cfg(s, CID_CFG_READER_GRACE_MS);
	r->config[CID_CFG_READER_PIN_MS] = cid_cfg(s, CID_CFG_READER_PIN_MS);
}
