/* SPDX-License-Identifier: BSD-2-Clause */
/* machine.h - where and when a figure was measured */
#ifndef CID_BENCH_MACHINE_H
#define CID_BENCH_MACHINE_H

#include <stdint.h>

struct cid_machine {
	char date[32]; /* UTC, ISO 8601 */
	char name[65], cpu[128], kernel[128], filesystem[64];
	unsigned cpus;
	uint64_t memory;
	char device[32]; /* major:minor of what holds dir */
};
void cid_machine_look(const char *dir, struct cid_machine *out);

/* What the disk below dir gives without anything of ours: bytes per second of
 * `bytes` written in pieces of 1 MiB and synced; microseconds of one record of
 * 64 bytes written into a file that was filled before, and synced, mean of
 * `syncs`. 0 on success, else an errno. */
int cid_machine_write(const char *dir, uint64_t bytes, double *per_second);
int cid_machine_sync(const char *dir, unsigned syncs, double *us);

#endif
