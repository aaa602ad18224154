/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * format.h - what lies on disk besides entries, value lists and log records
 *
 * A store is a tree of references, each of which carries the XXH3-128 of what
 * it refers to:
 *
 *     root record -> table of directory pages -> directory pages (slots)
 *                    -> part (footer, index) -> entries -> value lists
 *                 -> list of runs (slots) -> part ...
 *                 -> tables of space maps -> space map pages
 *                 -> list of freed extents
 *
 * Nothing that is referred to is ever overwritten. A commit writes new blocks,
 * syncs them, writes the root record of the next generation over the older of
 * the two kept, twice, and syncs it. What is not reachable from the newest
 * valid root does not exist.
 *
 * A *part* is an extent of the buckets pool: entries sorted by (hash, key),
 * their index, and in its last 256 bytes a footer. There are two kinds. A
 * *bucket* holds one full entry per key for one slot range of the directory:
 * the sorted region. A *run* holds what one or more checkpoints brought, for
 * all keys at once: the unsorted regions of all buckets, pooled, so that they
 * are written in one go. Runs have increasing numbers; a bucket knows the
 * newest run that was merged into it.
 *
 * A position is a byte offset in a pool, whose segment files stand one behind
 * the other; 0 is nowhere (the first page of a pool is never given out).
 * Pages have 4096 bytes; extents are whole pages and never straddle segments.
 */
#ifndef CID_STORE_FORMAT_H
#define CID_STORE_FORMAT_H

#include <assert.h>
#include "base/hash.h"
#include "base/limits.h"
#include "wal/ring.h"

#define CID_FORMAT_VERSION 1
#define CID_PAGE 4096
#define CID_ROOT_COPIES 4 /* generation g is in copies (g & 1) * 2 and the next */
#define CID_CONFIG_SLOTS 32

enum cid_pool_kind { CID_POOL_META, CID_POOL_PARTS, CID_POOL_VALUES, CID_POOLS };

/* Reference to a part: a directory slot, or a line of the run list. */
struct cid_slot {
	uint64_t pos;	     /* 0: no entries */
	uint32_t entries;
	uint32_t pages;
	uint64_t generation; /* of the part; where pos is 0, the newest run merged */
	uint64_t depth;	     /* local depth of a bucket; runs: CID_SLOT_* flags */
	uint64_t keys;	     /* of a run: change of the counts, two's complement */
	uint64_t values;
	struct cid_sum sum;  /* of the footer */
};
_Static_assert(sizeof(struct cid_slot) == 64, "64 slots a page");

#define CID_SLOT_COUNTED 1 /* a run's keys and values are exact */

#define CID_PART_MAGIC 0x50444943u /* "CIDP" */
enum { CID_PART_BUCKET = 1, CID_PART_RUN = 2 };

struct cid_footer {
	uint32_t magic;
	uint16_t version;
	uint8_t kind;
	uint8_t depth;	       /* 0 for runs */
	uint64_t prefix;       /* hash bits of the bucket, left-aligned in 62 bits */
	uint64_t generation;
	uint64_t pos;
	uint32_t entries;
	uint32_t bins_log2;
	uint64_t first_run;    /* runs this one stands for; a bucket: */
	uint64_t last_run;     /* last_run is the newest merged into it */
	uint64_t keys;
	uint64_t values;
	uint64_t packed_pos;   /* extent of packed lists in the values pool, or 0 */
	uint64_t packed_bytes;
	uint64_t packed_pages;
	uint64_t trees;	       /* entries whose values lie in own extents */
	uint64_t deletes;      /* tombstones and deletions among the entries */
	struct cid_sum index_sum;
	struct cid_sum own;    /* of the footer with this field zero; a repair that */
	uint8_t reserved[112]; /* lost the slot knows a part by it */
};
_Static_assert(sizeof(struct cid_footer) == 256, "footer");

/* Reference to a page of the directory or of a space map. */
struct cid_page_ref {
	uint64_t pos; /* 0: all zero */
	uint64_t generation;
	struct cid_sum sum;
};
_Static_assert(sizeof(struct cid_page_ref) == 32, "128 a page");

/* Reference to a block of the meta pool of any length. */
struct cid_block_ref {
	uint64_t pos; /* 0: empty */
	uint64_t bytes;
	struct cid_sum sum;
};
_Static_assert(sizeof(struct cid_block_ref) == 32, "block reference");

/* An extent that was freed and must not be reused yet. */
struct cid_freed {
	uint64_t pos;
	uint32_t pages;
	uint32_t pool;
	uint64_t epoch; /* the commit that made it unreachable */
};
_Static_assert(sizeof(struct cid_freed) == 24, "freed extent");

/* A large set that lost its key or became small. 127 behind a header a page. */
struct cid_deletion {
	struct cidstore_id key;
	uint64_t value_group; /* position of the tree's root block, level in the low bits */
	uint64_t deleted_ns;
};
_Static_assert(sizeof(struct cid_deletion) == 32, "deletion record");
#define CID_DELETIONS_PER_PAGE 127
#define CID_DELETION_MAGIC 0x44444943u /* "CIDD" */

struct cid_deletion_page {
	uint32_t magic;
	uint32_t count;
	uint64_t number; /* of the page, from 0; it lies at number % pages */
	struct cid_sum sum; /* of the records and, as seed, number and count */
	struct cid_deletion rec[CID_DELETIONS_PER_PAGE];
};
_Static_assert(sizeof(struct cid_deletion_page) == CID_PAGE, "a page");

/*
 * The file `readers`: a page with the header, then slots. Who locks the first
 * byte of a slot may write it; an unlocked slot says nothing. Anybody of the
 * store's group may write anything here: a number is at most an epoch that is
 * kept for a while longer.
 */
#define CID_READERS_NAME "readers"
#define CID_READERS_MAGIC "CIDREAD\n"
#define CID_READER_SLOTS 1024
struct cid_readers_head {
	uint8_t magic[8];
	uint32_t version;
	uint32_t slots;
};
struct cid_reader_slot {
	uint64_t view;	   /* the epoch that lookups look at; 0: none */
	uint64_t snapshot; /* the lowest epoch that is to stay; 0: none */
};
_Static_assert(sizeof(struct cid_reader_slot) == 16, "reader slot");
#define CID_READERS_BYTES (CID_PAGE + CID_READER_SLOTS * sizeof(struct cid_reader_slot))

#define CID_ROOT_MAGIC "CIDROOT\n"

struct cid_root {
	uint8_t magic[8];
	uint32_t format_version;
	uint32_t flags;
	uint64_t generation; /* the epoch: one more with each commit */
	uint64_t uuid[2];
	uint64_t hash_seed;
	uint64_t created_ns;
	uint64_t committed_ns;
	uint32_t segment_shift;
	uint32_t bucket_bytes;
	uint64_t log_records;
	uint64_t deletion_pages;
	uint64_t data_offset[5];  /* in directory, buckets, values, wal, deletions files */
	uint32_t segments[CID_POOLS];
	uint32_t global_depth;
	/* the log */
	uint64_t log_first;	  /* replay from here */
	uint64_t log_durable;	  /* known to be synced */
	uint64_t log_nanos;	  /* no later stamp is before this */
	uint32_t log_spans;
	uint32_t reserved0;
	struct cid_wal_span log_span[CID_WAL_SPANS];
	/* the tree */
	struct cid_block_ref directory; /* cid_page_ref per 64 slots */
	struct cid_block_ref runs;	/* cid_slot each, oldest first */
	struct cid_block_ref space[CID_POOLS]; /* cid_page_ref per 32,768 pages */
	struct cid_block_ref freed;
	uint64_t deletion_head, deletion_tail; /* page numbers: next to write, to read */
	uint64_t next_generation;  /* of parts */
	uint64_t next_run;
	uint64_t sweep_run;	   /* a sweep up to this run is under way; 0: none */
	uint64_t keys, values;	   /* in buckets, as of the last whole sweep */
	uint64_t sweep_keys, sweep_values; /* changes by the sweep under way */
	uint64_t config[CID_CONFIG_SLOTS]; /* settings; see config.c */
	uint64_t counter[16];	   /* statistics that outlive a process: CID_COUNTER_* */
	uint8_t reserved[3128];
	struct cid_sum sum;	   /* of all before */
};
enum {
	CID_COUNTER_PACKED = 0, /* pages of packed lists of all buckets */
	CID_COUNTER_SCRUB = 1	/* hash at which the scrubber goes on */
};
_Static_assert(sizeof(struct cid_root) == CID_PAGE, "a root copy is a page");

#endif
