/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limits.h - the sizes that decide how soon something happens
 *
 * The engine that people use has the sizes of the second half. The simulator
 * compiles it once more with CID_SMALL: then a few hundred operations fill the
 * log many times, split buckets, deepen trees and make segments, and opening a
 * store costs microseconds. What differs is here and nowhere else, so that
 * what is proved of the small one holds for the other. Stores of one are not
 * for the other.
 */
#ifndef CID_BASE_LIMITS_H
#define CID_BASE_LIMITS_H

#ifdef CID_SMALL
#define CID_LOG_BYTES_MIN (16u << 10)
#define CID_SEGMENT_BYTES_MIN (256u << 10)
#define CID_BUCKET_BYTES_MIN 192u
#define CID_LEAF_MAX 16
#define CID_LEAF_FILL 12
#define CID_NODE_MAX 4
#define CID_INDEX_PER_BIN 4
#define CID_MAX_SEGMENTS 120
#define CID_MAX_RUNS 14
#define CID_WRITE_CHUNK 16    /* operations in one go of a bulk call */
#define CID_WRITE_NOTES 16    /* records kept free for notes */
#define CID_NOTE_EVERY 64     /* records between two that tell what is durable */
#define CID_SWEEP_RUNS 10     /* so many runs make a sweep due */
#define CID_SWEEP_LOGS 2      /* or so many logs' worth of entries */
#define CID_TIER_FAN 3	      /* runs of a size that are merged into one */
#define CID_TIER_STEP 6       /* keys merged in a step */
#define CID_MERGE_AHEAD 16    /* entries of an input read ahead */
#define CID_SWEEP_IDLE 2      /* at rest, this share of the keys */
#define CID_BUILD_ENTRIES 64  /* entries written at once: whole pages */
#define CID_BUILD_VALUES 512
#define CID_COUNT_STEP 16     /* entries counted in a step */
#define CID_SCAN_KEYS 16      /* keys of a table taken at once by a listing */
#define CID_PUNCH_PAGES 16    /* punched in a step */
#define CID_SPACE_EVERY 64    /* operations between two looks at the file system */
#define CID_SPACE_RESERVE (1u << 20)
#define CID_EBR_SLOTS 8
#else
#define CID_LOG_BYTES_MIN (256u << 10)
#define CID_SEGMENT_BYTES_MIN (4u << 20)
#define CID_BUCKET_BYTES_MIN 8192u
#define CID_LEAF_MAX 4096   /* values in a block of level 0: 64 KiB */
#define CID_LEAF_FILL 3072  /* values a fresh one gets */
#define CID_NODE_MAX 1024   /* references in a block of a higher level: 48 KiB */
#define CID_INDEX_PER_BIN 32
#define CID_MAX_SEGMENTS 4096
#define CID_MAX_RUNS 512
#define CID_WRITE_CHUNK 1024
#define CID_WRITE_NOTES 64
#define CID_NOTE_EVERY 4096
#define CID_SWEEP_RUNS 96
#define CID_SWEEP_LOGS 16
#define CID_TIER_FAN 16
#define CID_TIER_STEP 16384
#define CID_MERGE_AHEAD 4096
#define CID_SWEEP_IDLE 16
#define CID_BUILD_ENTRIES 8192
#define CID_BUILD_VALUES 32768
#define CID_COUNT_STEP 4096
#define CID_SCAN_KEYS 4096
#define CID_PUNCH_PAGES 16384
#define CID_SPACE_EVERY 8192
#define CID_SPACE_RESERVE (8u << 20)
#define CID_EBR_SLOTS 256
#endif

#endif
