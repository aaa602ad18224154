/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job.h - maintenance that was asked for and takes long
 *
 * A job runs in a thread of its own, so that neither a front end's thread nor
 * the one who asks waits. One of a kind runs at a time.
 */
#ifndef CID_CONTROL_JOB_H
#define CID_CONTROL_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct cidstore;

enum cid_job_kind { CID_JOB_COMPACT, CID_JOB_GC, CID_JOBS };

struct cid_job {
	struct cidstore *store;
	int (*run)(struct cidstore *s);
	pthread_mutex_t lock; /* protects all below */
	pthread_t thread;
	bool running;
	bool joinable;	       /* thread is to be joined */
	uint64_t done, failed; /* runs ended, and those of them with an error */
	int code;	       /* of the last one */
};

struct cid_job_state {
	bool running;
	uint64_t done, failed;
	int code;
};

void cid_job_init(struct cid_job *j, struct cidstore *s, int (*run)(struct cidstore *s));
/* Waits for the job to end; cid_store_cancel() makes that soon. */
void cid_job_fini(struct cid_job *j);
/* 0, -EBUSY while it runs, -EAGAIN or -ENOMEM where no thread can be had. */
int cid_job_start(struct cid_job *j);
void cid_job_state(struct cid_job *j, struct cid_job_state *out);

#endif
