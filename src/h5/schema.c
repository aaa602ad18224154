/* SPDX-License-Identifier: BSD-2-Clause */
#include "h5/schema.h"

static const struct cid_h5_field id_parts[] = {
	{ "high", 0, 8, 1, NULL, "" },
	{ "low", 8, 8, 1, NULL, "" },
	{ 0 },
};

static const struct cid_h5_field sum_parts[] = {
	{ "low", 0, 8, 1, NULL, "" },
	{ "high", 8, 8, 1, NULL, "" },
	{ 0 },
};

static const struct cid_h5_field block_parts[] = {
	{ "pos", 0, 8, 1, NULL, "" },
	{ "bytes", 8, 8, 1, NULL, "" },
	{ "checksum", 16, 16, 1, sum_parts, "" },
	{ 0 },
};

static const struct cid_h5_field span_parts[] = {
	{ "first", 0, 8, 1, NULL, "" },
	{ "generation", 8, 4, 1, NULL, "" },
	{ "reserved", 12, 4, 1, NULL, "" },
	{ 0 },
};

static const struct cid_h5_field root_fields[] = {
	{ "magic", 0, 1, 8, NULL, "CIDROOT and a newline" },
	{ "format_version", 8, 4, 1, NULL, "of the store" },
	{ "flags", 12, 4, 1, NULL, "0" },
	{ "generation", 16, 8, 1, NULL, "the epoch: one more with each commit" },
	{ "uuid", 24, 8, 2, NULL, "of the store" },
	{ "hash_seed", 40, 8, 1, NULL, "seed of the order of keys and of values" },
	{ "created_ns", 48, 8, 1, NULL, "Unix time" },
	{ "committed_ns", 56, 8, 1, NULL, "Unix time of this commit" },
	{ "segment_shift", 64, 4, 1, NULL, "log2 of a segment's data bytes" },
	{ "bucket_bytes", 68, 4, 1, NULL, "a bucket above this is split" },
	{ "log_records", 72, 8, 1, NULL, "capacity of the log" },
	{ "deletion_pages", 80, 8, 1, NULL, "capacity of the deletion log" },
	{ "data_offset", 88, 8, 5, NULL,
	  "where data begin in directory, buckets, values, wal, deletions files" },
	{ "segments", 128, 4, 3, NULL, "files of the directory, buckets and values pools" },
	{ "global_depth", 140, 4, 1, NULL, "the directory has 2^global_depth slots" },
	{ "log_first", 144, 8, 1, NULL, "first record of the log not yet in the tables" },
	{ "log_durable", 152, 8, 1, NULL, "last record known to be on disk" },
	{ "log_nanos", 160, 8, 1, NULL, "no later record is older than this" },
	{ "log_spans", 168, 4, 1, NULL, "elements of log_span in use" },
	{ "reserved0", 172, 4, 1, NULL, "0" },
	{ "log_span", 176, 16, 8, span_parts,
	  "from record `first` on, records carry `generation`" },
	{ "directory", 304, 32, 1, block_parts,
	  "page_ref of each directory page, 64 slots a page" },
	{ "runs", 336, 32, 1, block_parts, "a slot for each run, oldest first" },
	{ "space", 368, 32, 3, block_parts,
	  "page_ref of each space map page of the directory, buckets and values pools" },
	{ "freed", 464, 32, 1, block_parts, "extents that must not be reused yet" },
	{ "deletion_head", 496, 8, 1, NULL, "number of the next deletion page to write" },
	{ "deletion_tail", 504, 8, 1, NULL, "number of the oldest page not worked through" },
	{ "next_generation", 512, 8, 1, NULL, "of parts" },
	{ "next_run", 520, 8, 1, NULL, "number of the next run" },
	{ "sweep_run", 528, 8, 1, NULL, "runs up to this are being merged into buckets; 0: none" },
	{ "keys", 536, 8, 1, NULL, "in buckets, as of the last whole sweep" },
	{ "values", 544, 8, 1, NULL, "of those keys" },
	{ "sweep_keys", 552, 8, 1, NULL, "change of keys by the sweep under way" },
	{ "sweep_values", 560, 8, 1, NULL, "change of values by it" },
	{ "config", 568, 8, 32, NULL, "settings" },
	{ "counter", 824, 8, 16, NULL, "statistics" },
	{ "reserved", 952, 8, 391, NULL, "0" },
	{ "checksum", 4080, 16, 1, sum_parts, "XXH3-128 of the 4080 bytes before" },
	{ 0 },
};

static const struct cid_h5_field slot_fields[] = {
	{ "bucket_pos", 0, 8, 1, NULL, "position of the part in the buckets pool; 0: no entries" },
	{ "entries", 8, 4, 1, NULL, "entries in the part" },
	{ "pages", 12, 4, 1, NULL, "pages of 4096 bytes it takes" },
	{ "generation", 16, 8, 1, NULL,
	  "of the part, for the seed of its checksums; where bucket_pos is 0, the newest run "
	  "merged" },
	{ "depth", 24, 8, 1, NULL, "of a bucket: hash bits all its keys share; of a run: flags" },
	{ "keys", 32, 8, 1, NULL, "keys in the bucket; of a run: change of their number" },
	{ "values", 40, 8, 1, NULL, "values of those keys; of a run: change of their number" },
	{ "checksum_low", 48, 8, 1, NULL, "XXH3-128 of the part's footer, low half" },
	{ "checksum_high", 56, 8, 1, NULL, "high half" },
	{ 0 },
};

static const struct cid_h5_field entry_fields[] = {
	{ "key_high", 0, 8, 1, NULL, "first 16 hexadecimal digits of the key" },
	{ "key_low", 8, 8, 1, NULL, "last 16 hexadecimal digits of the key" },
	{ "slot", 16, 16, 2, id_parts,
	  "up to two values; or a reference to a list of values, as /types/list_ref" },
	{ "checksum_low", 48, 8, 1, NULL, "low 64 of 120 bits of XXH3-128 of the 48 bytes before" },
	{ "checksum_high", 56, 8, 1, NULL,
	  "the high 56 bits; above them, in the top byte, the state as an (8,4) code word" },
	{ 0 },
};

static const struct cid_h5_field value_fields[] = {
	{ "high", 0, 8, 1, NULL, "first 16 hexadecimal digits of the value" },
	{ "low", 8, 8, 1, NULL, "last 16 hexadecimal digits of the value" },
	{ 0 },
};

static const struct cid_h5_field record_fields[] = {
	{ "opcode", 0, 1, 1, NULL, "version << 6 | opcode" },
	{ "flags", 1, 1, 1, NULL, "reserved, 0" },
	{ "nanos", 2, 8, 1, NULL, "Unix time, never decreases" },
	{ "seq", 10, 4, 1, NULL, "place among records of equal nanos" },
	{ "shard", 14, 4, 1, NULL, "0" },
	{ "key_high", 18, 8, 1, NULL, "key, first half" },
	{ "key_low", 26, 8, 1, NULL, "key, second half" },
	{ "value_high", 34, 8, 1, NULL, "value, first half" },
	{ "value_low", 42, 8, 1, NULL, "value, second half" },
	{ "crc32c", 50, 4, 1, NULL, "CRC-32C of the 64 bytes with this field zero" },
	{ "lsn_low", 54, 4, 1, NULL, "place in the order of all records: low 32 of 48 bits" },
	{ "lsn_high", 58, 2, 1, NULL, "high 16 bits of it" },
	{ "generation", 60, 4, 1, NULL, "of the log; a record of a wrong generation is void" },
	{ 0 },
};

static const struct cid_h5_field deletion_fields[] = {
	{ "key_high", 0, 8, 1, NULL, "key, first half" },
	{ "key_low", 8, 8, 1, NULL, "key, second half" },
	{ "value_group", 16, 8, 1, NULL,
	  "the root block that was orphaned: page in the values pool << 16 | (children - 1) << 4 | "
	  "level" },
	{ "deleted_ns", 24, 8, 1, NULL, "Unix time" },
	{ 0 },
};

const struct cid_h5_schema cid_h5_schemas[CID_H5_KINDS] = {
	[CID_H5_MAIN] = {
		.name = "root",
		.dataset = "/root",
		.type = { "/types/root", CID_H5_ROOT_COPY_BYTES, root_fields,
			  "A copy of a commit record." },
		.doc = "Commit records: generation g is in copies 2 * (g mod 2) and the next. "
		       "The copy of the highest generation whose checksum holds is the state of "
		       "the store.",
	},
	[CID_H5_DIRECTORY] = {
		.name = "directory",
		.dataset = "/data",
		.type = { "/types/slot", 64, slot_fields, "Where a part lies, a bucket or a run." },
		.doc = "The pool of directory pages (64 slots each), of the tables of their "
		       "places, of the list of runs and of space maps. The commit record says "
		       "what is where.",
	},
	[CID_H5_BUCKETS] = {
		.name = "buckets",
		.dataset = "/data",
		.type = { "/types/entry", 64, entry_fields,
			  "A key with its values or a reference to them." },
		.doc = "The pool of parts: entries in order of (hash, key), then their index, "
		       "and in the last 256 bytes of the last page a footer.",
	},
	[CID_H5_VALUES] = {
		.name = "values",
		.dataset = "/data",
		.type = { "/types/value", 16, value_fields, "A value of a key." },
		.doc = "The pool of value lists of more than two values: packed lists, and "
		       "blocks of trees.",
	},
	[CID_H5_WAL] = {
		.name = "wal",
		.dataset = "/data",
		.type = { "/types/record", 64, record_fields,
			  "A record of the write-ahead log, packed without alignment." },
		.doc = "The write-ahead log, a ring: what may not yet be in the tables.",
	},
	[CID_H5_DELETIONS] = {
		.name = "deletions",
		.dataset = "/data",
		.type = { "/types/deletion", 32, deletion_fields,
			  "A large set that lost its key or became small." },
		.doc = "The deletion log, a ring of pages of 128 elements: a deletion_page and "
		       "127 records.",
	},
};

static const struct cid_h5_field list_ref_fields[] = {
	{ "pos", 0, 8, 1, NULL, "position in the values pool" },
	{ "count", 8, 8, 1, NULL,
	  "values in the list (48 bits); above them references in the root block (12) and its "
	  "level "
	  "(4)" },
	{ "checksum", 16, 16, 1, id_parts,
	  "XXH3-128 of the list, of a tree of its root block; its high half first" },
	{ 0 },
};

static const struct cid_h5_field node_ref_fields[] = {
	{ "first", 0, 8, 1, NULL,
	  "hash of the block's first value; it covers up to the next one's" },
	{ "pos", 8, 8, 1, NULL, "position in the values pool" },
	{ "count", 16, 8, 1, NULL, "values below" },
	{ "children", 24, 4, 1, NULL, "references in the block; at level 0: values" },
	{ "level", 28, 4, 1, NULL, "of the block; 0 holds values, others hold node_refs" },
	{ "checksum", 32, 16, 1, sum_parts, "XXH3-128 of the block" },
	{ 0 },
};

static const struct cid_h5_field page_ref_fields[] = {
	{ "pos", 0, 8, 1, NULL, "position in the directory pool; 0: a page of zeros" },
	{ "generation", 8, 8, 1, NULL, "of the page" },
	{ "checksum", 16, 16, 1, sum_parts, "XXH3-128 of the page" },
	{ 0 },
};

static const struct cid_h5_field footer_fields[] = {
	{ "magic", 0, 4, 1, NULL, "CIDP" },
	{ "version", 4, 2, 1, NULL, "of the format" },
	{ "kind", 6, 1, 1, NULL, "1: bucket, 2: run" },
	{ "depth", 7, 1, 1, NULL, "hash bits all keys share; 0 for runs" },
	{ "prefix", 8, 8, 1, NULL, "those bits, left-aligned in 62" },
	{ "generation", 16, 8, 1, NULL, "of the part" },
	{ "pos", 24, 8, 1, NULL, "position of the part" },
	{ "entries", 32, 4, 1, NULL, "entries from there on" },
	{ "bins_log2", 36, 4, 1, NULL, "of the index" },
	{ "first_run", 40, 8, 1, NULL, "oldest run this one stands for" },
	{ "last_run", 48, 8, 1, NULL, "newest such run; of a bucket: the newest merged into it" },
	{ "keys", 56, 8, 1, NULL, "as in the slot" },
	{ "values", 64, 8, 1, NULL, "as in the slot" },
	{ "packed_pos", 72, 8, 1, NULL, "extent of its packed lists in the values pool; 0: none" },
	{ "packed_bytes", 80, 8, 1, NULL, "bytes in use of that extent" },
	{ "packed_pages", 88, 8, 1, NULL, "pages of that extent" },
	{ "trees", 96, 8, 1, NULL, "entries whose values lie in trees" },
	{ "deletes", 104, 8, 1, NULL, "tombstones and deletions among the entries" },
	{ "index_checksum", 112, 16, 1, sum_parts, "XXH3-128 of the index" },
	{ "own_checksum", 128, 16, 1, sum_parts, "XXH3-128 of the footer with this field 0" },
	{ "reserved", 144, 8, 14, NULL, "0" },
	{ 0 },
};

static const struct cid_h5_field freed_fields[] = {
	{ "pos", 0, 8, 1, NULL, "of the extent" },
	{ "pages", 8, 4, 1, NULL, "pages it takes" },
	{ "pool", 12, 4, 1, NULL, "0: directory, 1: buckets, 2: values" },
	{ "epoch", 16, 8, 1, NULL, "the commit that made it unreachable" },
	{ 0 },
};

static const struct cid_h5_field deletion_page_fields[] = {
	{ "magic", 0, 4, 1, NULL, "CIDD" },
	{ "count", 4, 4, 1, NULL, "records behind this" },
	{ "number", 8, 8, 1, NULL, "of the page, from 0; it lies at number modulo deletion_pages" },
	{ "checksum", 16, 16, 1, sum_parts, "XXH3-128 of the records" },
	{ 0 },
};

const struct cid_h5_type cid_h5_other_types[] = {
	{ "/types/list_ref", 32, list_ref_fields, "The slots of an entry that refers to a list." },
	{ "/types/node_ref", 48, node_ref_fields,
	  "Reference from one block of a tree to another." },
	{ "/types/page_ref", 32, page_ref_fields, "Reference to a page of the directory pool." },
	{ "/types/footer", 256, footer_fields, "The end of a part." },
	{ "/types/freed", 24, freed_fields, "An extent that waits until nobody reads it." },
	{ "/types/deletion_page", 32, deletion_page_fields, "The head of a page of deletions." },
	{ 0 },
};

const struct cid_h5_note cid_h5_notes[] = {
	{ "about",
	  "A CIDStore: 128-bit keys, each with a set of 128-bit values. This file shows the whole "
	  "store; the data lie in the segment files beside it. cidstore(5) describes the format." },
	{ "read_fresh",
	  "HDF5 keeps what it read in a buffer of 64 KiB. To see what a live store wrote since, "
	  "open "
	  "main.h5 or a segment with H5Pset_sieve_buf_size(fapl, 0); or open the view again before "
	  "each reading; or refresh the dataset of a segment (not a view). Nothing but the store's "
	  "own programs may open these files for writing." },
	{ "read_views",
	  "/directory, /buckets, /values, /wal and /deletions join the segments of a kind in "
	  "order; "
	  "positions are byte offsets in them. A view grows with its segments when it is opened. "
	  "What cannot be read of it shows as the bytes FILL over and over, or is missing at the "
	  "end, without an error." },
	{ "read_order",
	  "Take the newest valid copy of /root. Its directory table names the directory pages; the "
	  "top global_depth bits of a key's hash are the number of its slot. Look for the key in "
	  "the "
	  "bucket of that slot, in the runs that are newer than it, and in the log from log_first "
	  "on; what is newer wins. Verify the checksum of each step. Where one does not hold, "
	  "something was rewritten meanwhile: begin again with /root." },
	{ "hash",
	  "XXH3-64 with the seed hash_seed of 16 bytes (high, then low, little-endian), shifted "
	  "right by 2: 62 bits" },
	{ 0 },
};
