/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_raw.c - cidctl bench raw: the disk without a store */
#include <string.h>

#include "tools/bench.h"
#include "tools/report.h"

static int run(struct cid_bench *b, struct cid_result *r)
{
	uint64_t bytes = b->keys * 64;
	double per_second, us;
	int rc;

	rc = cid_machine_write(b->dir, bytes, &per_second);
	if (rc == 0)
		rc = cid_machine_sync(b->dir, 2000, &us);
	if (rc != 0) {
		cid_report("%s: %s", b->dir, strerror(rc));
		return -1;
	}
	cid_result_add(r, "written", (double)bytes / 1e6, "MB");
	cid_result_add(r, "write", per_second / 1e6, "MB/s");
	cid_result_add(r, "append_and_sync", us, "us");
	return 0;
}

const struct cid_bench_run cid_bench_raw = {
	"raw", "the disk alone: 64 bytes a key in one file; a record and its sync", 20000000, 1, 0,
	run
};
