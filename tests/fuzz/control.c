/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.c - the control files of an open store: settings, triggers, and the
 * streams ingest, batch, lookup, lookup.txt, import and export, mixed
 *
 * The input is a list of steps: one byte for what is done and to which of four
 * open files, one for the path or the length, then the bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include "control/control.h"
#include "store/store.h"
#include "fuzz/fuzz.h"

enum { FILES = 4, RENEW = 2000 };

static const char *const path[] = {
	"ingest",     "batch",	 "lookup", "lookup.txt", "export",	 "import",
	"sync",	      "stats",	 "config", "metrics",	 "debug/key/", "debug/bucket/",
	"config/batch_limit", "config/batch_size", "config/promotion_threshold",
	"config/sync_interval_ms", "config/autotune", "checkpoint", "events", "",
	"version", "health", "import", "compact", "gc", "verify",
};

static struct cidstore *store;
static struct cid_control *control;

static void open_store(void)
{
	static const struct cidstore_geometry geo = { .log_bytes = 256 << 10,
						      .segment_bytes = 4 << 20,
						      .bucket_bytes = 8192,
						      .promotion_threshold = 4,
						      .hash_seed = 7 };
	static unsigned runs, number;
	char dir[300];
	struct cidstore_error err;

	if (store && ++runs % RENEW)
		return;
	if (store) {
		cid_control_free(control);
		fuzz_must(cidstore_close(store) == 0, "the store is closed without a failure");
	}
	(void)snprintf(dir, sizeof(dir), "%s/%u", fuzz_dir(), number++ % 2);
	if (number > 2) {
		char command[400];

		(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
		if (system(command) != 0)
			exit(99);
	}
	if (cidstore_create(dir, &geo, &err) || cidstore_open(dir, 0, &store, &err) ||
	    cid_control_new(store, 1000, &control)) {
		fprintf(stderr, "%s\n", err.message);
		exit(99);
	}
}

/* What takes as long as the store is large is only started by what is no "1". */
static bool is_slow(const char *p, const uint8_t *data, size_t n)
{
	return (strcmp(p, "compact") == 0 || strcmp(p, "gc") == 0 || strcmp(p, "verify") == 0) &&
	       n > 0 && data[0] == '1';
}

static void step(struct cid_ctl_file *file[FILES], const char *name[FILES], struct fuzz_in *in)
{
	static uint8_t answer[4096];
	uint64_t what = fuzz_take(in, 1), arg = fuzz_take(in, 1);
	unsigned f = what & 3;
	struct cid_ctl_caller who = { what & 0x80 ? 1001 : 0 };
	char full[80];
	size_t n;

	switch (what >> 2 & 7) {
	case 0:
	case 1: /* open */
		cid_control_release(file[f]);
		file[f] = NULL;
		name[f] = path[arg % (sizeof(path) / sizeof(path[0]))];
		(void)snprintf(full, sizeof(full), "%s", name[f]);
		n = strlen(full);
		if (n > 0 && full[n - 1] == '/') {
			size_t some = fuzz_take(in, 1) % 40;

			some = some < in->n ? some : in->n;
			memcpy(full + n, in->p, some);
			full[n + some] = '\0';
			(void)fuzz_take(in, 8);
		}
		if (cid_control_open(control, full, (int)(arg >> 6 & 3) | O_NONBLOCK, &who,
				     &file[f]) == 0)
			fuzz_must(who.uid == 0 || (arg >> 6 & 3) == O_RDONLY ||
					  strncmp(full, "lookup", 6) == 0 ||
					  strcmp(full, "events") == 0,
				  "strangers change nothing");
		else
			file[f] = NULL;
		break;
	case 2:
	case 3:
	case 4: { /* write */
		n = (size_t)arg * (what & 0x40 ? 32 : 1);
		n = n < in->n ? n : in->n;
		if (file[f] && !is_slow(name[f], in->p, n)) {
			uint8_t *copy = malloc(n ? n : 1);

			if (!copy)
				return;
			memcpy(copy, in->p, n);
			fuzz_must(cid_control_write(file[f], copy, n, 0) <= (ssize_t)n,
				  "no more is taken than there is");
			free(copy);
		}
		in->p += n;
		in->n -= n;
		break;
	}
	case 5:
	case 6:
		n = (size_t)arg * 16 + (what >> 5);
		if (file[f])
			fuzz_must(cid_control_read(file[f], answer, n, (off_t)arg) <= (ssize_t)n,
				  "no more is read than asked for");
		break;
	default:
		if (file[f])
			(void)cid_control_flush(file[f]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cid_ctl_file *file[FILES] = { NULL };
	const char *name[FILES] = { NULL };
	struct fuzz_in in = { data, n };
	struct cidstore_stats st;

	open_store();
	for (int steps = 0; in.n > 0 && steps < 200; steps++)
		step(file, name, &in);
	for (int i = 0; i < FILES; i++)
		cid_control_release(file[i]);
	cidstore_stats(store, &st);
	fuzz_must(st.failed == 0, "the store goes on");
	return 0;
}
