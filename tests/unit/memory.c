/* SPDX-License-Identifier: BSD-2-Clause */
/* memory.c - a store keeps to what machine and cgroup have, whatever its setting */
#include <stdio.h>
#include <stdlib.h>

#include "os/io.h"
#include "store/store.h"
#include "lib/tap.h"

enum { PAIRS = 1500000, BATCH = 1024, MIB = 1 << 20 };

static uint64_t little(void *self)
{
	(void)self;
	return 64 * MIB;
}

/* The most that it says to hold while it is filled. */
static uint64_t most_memory(const struct cid_io *io, const char *dir)
{
	static struct cidstore_pair p[BATCH];
	struct cidstore_error err;
	struct cidstore_stats st;
	struct cidstore *s;
	uint64_t most = 0;

	if (cid_store_open_io(io, dir, CIDSTORE_CREATE, &s, &err))
		tap_bail("%s", err.message);
	for (uint64_t i = 0; i < PAIRS; i += BATCH) {
		for (uint64_t j = 0; j < BATCH; j++)
			p[j] = (struct cidstore_pair){ { i + j, ~i }, { i, j } };
		if (cidstore_insert(s, p, BATCH, NULL))
			tap_bail("insert");
		if (i % (64 * BATCH))
			continue;
		cidstore_stats(s, &st);
		most = st.memory_bytes > most ? st.memory_bytes : most;
	}
	if (cidstore_close(s))
		tap_bail("close");
	return most;
}

int main(void)
{
	struct cid_io tight = cid_io_posix, wide = cid_io_posix;
	const char *tmp = getenv("TMPDIR");
	char dir[200], path[220], command[300];
	uint64_t with, without;

	tap_plan(3);
	tap_ok(cid_os_memory() >= 64 * MIB && cid_os_memory() < 1ull << 50,
	       "this machine says what it has");
	snprintf(dir, sizeof(dir), "%s/cid-memory-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		tap_bail("mkdtemp");
	tight.memory = little;
	wide.memory = NULL;
	snprintf(path, sizeof(path), "%s/tight", dir);
	with = most_memory(&tight, path);
	snprintf(path, sizeof(path), "%s/wide", dir);
	without = most_memory(&wide, path);
	tap_note("%llu bytes where there are 64 MiB, else %llu", (unsigned long long)with,
		 (unsigned long long)without);
	tap_ok(with < 48 * MIB, "tables and indexes keep to half of it; buffers are what they are");
	tap_ok(without > 64 * MIB, "without a bound they are larger");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		tap_note("%s is left", dir);
	return tap_done();
}
