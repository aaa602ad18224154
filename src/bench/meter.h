/* SPDX-License-Identifier: BSD-2-Clause */
/* meter.h - what the kernel counts: memory, bytes, reads, blocks on disk */
#ifndef CID_BENCH_METER_H
#define CID_BENCH_METER_H

#include <stdint.h>

struct cid_memory {
	uint64_t anon, shmem; /* bytes: RssAnon, RssShmem of this process */
};
void cid_meter_memory(struct cid_memory *out);

/* Counted since the process or the machine started; only differences mean
 * something. The device's belong to all processes; 0 where it has no counters.
 * What the process wrote is counted where it dirties a page of the cache. */
struct cid_io_count {
	uint64_t read_bytes, written_bytes;	  /* this process */
	uint64_t device_reads, device_read_bytes; /* the device of dir */
	uint64_t device_writes, device_written_bytes;
	uint64_t faults; /* major ones */
};
void cid_meter_io(const char *dir, struct cid_io_count *out);

/* Bytes the files below dir take on disk. */
uint64_t cid_meter_disk(const char *dir);
/* Makes the files below dir durable and takes them out of the page cache. */
void cid_meter_evict(const char *dir);

#endif
