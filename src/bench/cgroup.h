/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.h - this process in a memory cgroup of its own, for a while
 *
 * Works with the controller of either version; root only. What was charged
 * before, page cache as well, stays charged to where the process came from:
 * evict it first. One at a time.
 */
#ifndef CID_BENCH_CGROUP_H
#define CID_BENCH_CGROUP_H

#include <stddef.h>
#include <stdint.h>

struct cid_cgroup {
	int version; /* 0: not entered */
	char path[256], home[256];
};

/* Makes a group limited to `bytes` and moves into it. 0, or -1 with a sentence
 * in `why`. */
int cid_cgroup_enter(struct cid_cgroup *g, uint64_t bytes, char *why, size_t cap);
/* The most it held, page cache included; 0 where the kernel does not tell. */
uint64_t cid_cgroup_peak(const struct cid_cgroup *g);
/* Moves back and removes the group. Harmless when none was entered. */
void cid_cgroup_leave(struct cid_cgroup *g);

#endif
