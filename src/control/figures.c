/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/figures.h"

#include <assert.h>

#define S(field)   #field, offsetof(struct cid_figures, store.field)
#define C(field)   #field, offsetof(struct cid_figures, control.field)
#define GAUGE	   CID_FIGURE_GAUGE
#define COUNTER	   CID_FIGURE_COUNTER
#define GAUGE_NS   CID_FIGURE_GAUGE_NS
#define GAUGE_US   CID_FIGURE_GAUGE_US
#define GAUGE_MS   CID_FIGURE_GAUGE_MS
#define RATIO	   CID_FIGURE_GAUGE_RATIO
#define COUNTER_NS CID_FIGURE_COUNTER_NS

/* The order is that of the files. */
const struct cid_figure cid_figures[] = {
	{ S(keys), GAUGE, "keys", "Keys in the store; may lag bulk changes." },
	{ S(values), GAUGE, "values", "Values in the store; may lag bulk changes." },
	{ S(uncertain), GAUGE, "uncounted_changes", "Changes not yet counted in keys and values." },
	{ S(last_seq), GAUGE, "last_seq", "Sequence number of the newest change." },
	{ S(durable_seq), GAUGE, "durable_seq",
	  "Sequence number up to which changes survive the loss of power." },
	{ S(epoch), GAUGE, "epoch", "Number of the newest commit." },
	{ S(created_ns), GAUGE_NS, "created_timestamp_seconds", "When the store was made." },
	{ S(failed), GAUGE, "failed", "1 after a failed sync: the store is read-only." },
	{ S(maintaining), GAUGE, "maintaining", "1 while maintenance has work to do." },
	{ S(inserts), COUNTER, "inserts_total", "Values inserted, known ones included." },
	{ S(deletes), COUNTER, "deletes_total", "Values deleted, missing ones included." },
	{ S(mkkeys), COUNTER, "mkkeys_total", "Keys made, existing ones included." },
	{ S(rmkeys), COUNTER, "rmkeys_total", "Keys removed, missing ones included." },
	{ S(txns), COUNTER, "txns_total", "Batches and transactions committed." },
	{ S(lookups), COUNTER, "lookups_total", "Reads of a key, sampled." },
	{ S(syncs), COUNTER, "syncs_total", "Syncs of the log." },
	{ S(sync_ns), COUNTER_NS, "sync_seconds_total", "Time spent in syncs of the log." },
	{ S(sync_max_ns), GAUGE_NS, "sync_max_seconds", "The longest sync of the log." },
	{ S(log_records), GAUGE, "log_capacity_records", "Records that the log has room for." },
	{ S(log_used), GAUGE, "log_used_records", "Records that the log holds." },
	{ S(checkpoints), COUNTER, "checkpoints_total", "Checkpoints written." },
	{ S(checkpoint_ns), COUNTER_NS, "checkpoint_seconds_total", "Time spent in checkpoints." },
	{ S(flushes), COUNTER, "flushes_total", "Tables flushed to runs." },
	{ S(flush_ns), COUNTER_NS, "flush_seconds_total", "Time spent in flushes." },
	{ S(run_merges), COUNTER, "run_merges_total", "Merges of runs with each other." },
	{ S(sweeps), COUNTER, "sweeps_total", "Merges of the runs into the buckets." },
	{ S(bucket_merges), COUNTER, "bucket_rewrites_total",
	  "Buckets rewritten with what was merged into them." },
	{ S(runs), GAUGE, "runs", "Runs not merged yet." },
	{ S(run_entries), GAUGE, "run_entries", "Entries in runs not merged yet." },
	{ S(global_depth), GAUGE, "directory_depth", "Bits that index the directory." },
	{ S(buckets), GAUGE, "buckets", "Buckets." },
	{ S(splits), COUNTER, "splits_total", "Buckets split." },
	{ S(merges), COUNTER, "merges_total", "Buckets joined." },
	{ S(promotions), COUNTER, "promotions_total", "Sets moved out of their entry." },
	{ S(demotions), COUNTER, "demotions_total", "Sets moved back into their entry." },
	{ S(gc_records), COUNTER, "gc_records_total", "Deletion records collected." },
	{ S(gc_pending), GAUGE, "gc_pending_records", "Deletion records to collect." },
	{ S(gc_freed_bytes), COUNTER, "gc_freed_bytes_total", "Space given back." },
	{ S(corrected_bits), COUNTER, "corrected_flips_total", "Flipped bits corrected." },
	{ S(corrupt_units), COUNTER, "corrupt_units_total",
	  "Units met with damage that cannot be corrected." },
	{ S(scrub_permille), GAUGE, "scrub_progress_permille",
	  "How far the scrubber's round is, in thousandths of the buckets." },
	{ S(scrub_rounds), COUNTER, "scrub_rounds_total", "Rounds of the scrubber." },
	{ S(scrub_bytes), COUNTER, "scrub_bytes_total", "Bytes that the scrubber read." },
	{ S(scrub_rewritten), COUNTER, "scrub_rewritten_total",
	  "Buckets and runs the scrubber put right." },
	{ S(scrub_errors), COUNTER, "scrub_errors_total",
	  "Damage beyond correction that the scrubber met, each round anew." },
	{ S(errors), COUNTER, "errors_total", "Calls that failed by the store's fault." },
	{ S(stall_ns), COUNTER_NS, "stall_seconds_total",
	  "Time that writers waited for maintenance." },
	{ S(alloc_bytes), GAUGE, "allocated_bytes", "Space in use in all pools." },
	{ S(pending_bytes), GAUGE, "pending_bytes", "Space freed and not yet to be reused." },
	{ S(free_bytes), GAUGE, "free_bytes", "Free space of the file system." },
	{ S(memory_bytes), GAUGE, "memory_bytes", "Memory of tables, indexes and buffers." },
	{ S(following), GAUGE, "following", "1 where another process may write the store." },
	{ S(reader_epoch), GAUGE, "reader_epoch", "Number of the commit that a follower shows." },
	{ S(lag_ms), GAUGE_MS, "lag_seconds",
	  "Time since a follower showed all there is; 0: it does." },
	{ S(pinned), GAUGE, "pinned", "1 while a follower holds a pin." },
	{ S(refreshes), COUNTER, "refreshes_total", "Times a follower took up what is new." },
	{ S(retries), COUNTER, "retries_total", "Reads repeated because a commit overtook them." },
	{ S(latency_p99), GAUGE_NS, "latency_p99_seconds",
	  "What 99 of 100 recent calls did not exceed." },
	{ S(change_latency_p99), GAUGE_NS, "change_latency_p99_seconds",
	  "The same of changes: single ones and pieces of bulk ones." },
	{ S(lookup_latency_p99), GAUGE_NS, "lookup_latency_p99_seconds", "The same of lookups." },
	{ S(sync_latency_p99), GAUGE_NS, "sync_latency_p99_seconds",
	  "The same of calls that waited for a sync." },
	{ S(throughput_ops), GAUGE, "throughput_ops_per_second",
	  "Changes and lookups a second, of late." },
	{ S(buffer_occupancy), RATIO, "buffer_occupancy_ratio",
	  "How full the tables of changes or the log are." },
	{ S(flush_duration), GAUGE_NS, "flush_duration_seconds", "Time the last flush took." },
	{ S(lock_contention_ratio), RATIO, "lock_contention_ratio",
	  "Share of recent changes that waited for other writers." },
	{ S(error_rate), RATIO, "error_ratio", "Share of recent calls that failed." },
	{ S(tune_decisions), COUNTER, "tune_decisions_total", "Decisions of autotune." },
	{ S(tune_trips), COUNTER, "tune_trips_total",
	  "Times autotune went back to what is set." },
	{ S(tuned_batch_size), GAUGE, "tuned_batch_size", "The batch_size in use." },
	{ S(tuned_flush_interval_us), GAUGE_US, "tuned_flush_interval_seconds",
	  "The flush_interval_us in use." },
	{ C(ingest_records), COUNTER, "ingest_records_total", "Records taken by ingest." },
	{ C(ingest_torn), COUNTER, "ingest_torn_total",
	  "Incomplete records dropped when an ingest file was closed." },
	{ C(batch_commits), COUNTER, "batch_commits_total", "Batches committed by batch." },
	{ C(batch_ops), COUNTER, "batch_ops_total", "Operations committed by batch." },
	{ C(batch_errors), COUNTER, "batch_errors_total", "Batches refused." },
	{ C(batch_dropped), COUNTER, "batch_dropped_ops_total",
	  "Operations dropped because a batch file was closed without a commit." },
	{ C(lookup_keys), COUNTER, "lookup_keys_total", "Keys answered by lookup." },
	{ C(export_pairs), COUNTER, "export_pairs_total", "Pairs given by export." },
	{ C(export_keys), COUNTER, "export_keys_total", "Keys without values given by export." },
	{ C(import_pairs), COUNTER, "import_pairs_total", "Pairs taken by import." },
	{ C(import_keys), COUNTER, "import_keys_total", "Keys without values taken by import." },
	{ C(import_blocks), COUNTER, "import_blocks_total", "Blocks taken by import." },
	{ C(import_errors), COUNTER, "import_errors_total", "Imports that broke or were cut off." },
	{ C(open_files), GAUGE, "open_control_files", "Control files open now." },
};

const size_t cid_figures_count = sizeof(cid_figures) / sizeof(cid_figures[0]);

static_assert(sizeof(cid_figures) / sizeof(cid_figures[0]) ==
		      sizeof(struct cid_figures) / sizeof(uint64_t),
	      "each number has a row");

void cid_figures_take(struct cid_control *c, struct cid_figures *out)
{
	struct cid_ctl_totals *t = &c->total;
	struct cid_job_state job;

	cidstore_stats(c->store, &out->store);
	for (int i = 0; i < CID_JOBS; i++) {
		cid_job_state(&c->job[i], &job);
		if (job.running)
			out->store.maintaining = 1;
	}
#define TAKE(field) out->control.field = atomic_load_explicit(&t->field, memory_order_relaxed)
	TAKE(ingest_records);
	TAKE(ingest_torn);
	TAKE(batch_commits);
	TAKE(batch_ops);
	TAKE(batch_errors);
	TAKE(batch_dropped);
	TAKE(lookup_keys);
	TAKE(export_pairs);
	TAKE(export_keys);
	TAKE(import_pairs);
	TAKE(import_keys);
	TAKE(import_blocks);
	TAKE(import_errors);
	TAKE(open_files);
#undef TAKE
}
