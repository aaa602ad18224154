/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/job.h"

#include <errno.h>
#include "base/thread.h"

void cid_job_init(struct cid_job *j, struct cidstore *s, int (*run)(struct cidstore *s))
{
	*j = (struct cid_job){ .store = s, .run = run };
	pthread_mutex_init(&j->lock, NULL);
}

void cid_job_fini(struct cid_job *j)
{
	/* Nobody starts a job any more: joinable stays as it is. */
	if (j->joinable)
		pthread_join(j->thread, NULL);
	pthread_mutex_destroy(&j->lock);
}

static void *work(void *arg)
{
	struct cid_job *j = arg;
	int code = j->run(j->store);

	pthread_mutex_lock(&j->lock);
	j->code = code;
	j->done++;
	if (code != 0)
		j->failed++;
	j->running = false;
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

int cid_job_start(struct cid_job *j)
{
	int rc;

	pthread_mutex_lock(&j->lock);
	if (j->running) {
		pthread_mutex_unlock(&j->lock);
		return -EBUSY;
	}
	if (j->joinable) {
		/* It has left its last critical section. */
		pthread_join(j->thread, NULL);
		j->joinable = false;
	}
	rc = cid_thread_start(&j->thread, work, j);
	if (rc == 0)
		j->running = j->joinable = true;
	pthread_mutex_unlock(&j->lock);
	return -rc;
}

void cid_job_state(struct cid_job *j, struct cid_job_state *out)
{
	pthread_mutex_lock(&j->lock);
	*out = (struct cid_job_state){ j->running, j->done, j->failed, j->code };
	pthread_mutex_unlock(&j->lock);
}
