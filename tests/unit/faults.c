/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults.c - each call of a small workload fails in its turn
 *
 * usage: faults [STRIDE [KIND [FIRST]]]
 *
 * The workload makes, opens, changes, merges, closes and opens a store again.
 * It is run once to count its calls of each kind, and then once for each call
 * that fails, alone or with all that follow, with each error it may have; with
 * a STRIDE for every so manieth only. Each time: codes name the fault and not
 * something else, what was refused did not happen, what is read is right,
 * nothing is left open, and once the fault is over the store holds exactly
 * what was acknowledged, and fsck finds nothing. After a failed sync nothing
 * is accepted any more.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/faultio.h"
#include "lib/ids.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "store/store.h"

enum { KEYS = 20, VALUES = 400 };

struct world {
	uint8_t exists[KEYS];
	uint8_t have[KEYS][VALUES];
};

static char dir[200], master[240], path[240];
static const struct cidstore_geometry geo = {
	.log_bytes = 256u << 10,
	.segment_bytes = 4u << 20,
	.bucket_bytes = 8192,
	.promotion_threshold = 16,
	.hash_seed = 7,
};
static struct fault fault;
static struct world now, at_start; /* what was acknowledged */
static struct cidstore *s;
static char where[160];		   /* the fault, for messages */
static unsigned wrong;

static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (wrong++ < 50)
		tap_note("%s: %s", where, text);
}

/* ---- codes ---- */

static int code_of_fault(void)
{
	switch (fault.error) {
	case ENOSPC:
		return CIDSTORE_ENOSPC;
	case ENOMEM:
		return CIDSTORE_ENOMEM;
	case EIO:
		return CIDSTORE_EIO;
	default:
		return CIDSTORE_ESYSTEM;
	}
}

/* True when the call did what it was asked to. */
static bool went(const char *what, int rc, int want)
{
	if (rc == want)
		return rc == 0;
	if (!fault_state.fired)
		complain("%s: %s, expected %s, without a fault", what, cidstore_strerror(rc),
			 cidstore_strerror(want));
	else if (fault.error == 0)
		complain("%s: %s: a short transfer was not resumed", what, cidstore_strerror(rc));
	else if (rc != code_of_fault() && rc != CIDSTORE_EFAILED)
		complain("%s: %s", what, cidstore_strerror(rc));
	return false;
}

/* ---- changes ---- */

static void apply(enum cidstore_verb verb, unsigned k, unsigned v)
{
	switch (verb) {
	case CIDSTORE_OP_INSERT:
		now.exists[k] = now.have[k][v] = 1;
		break;
	case CIDSTORE_OP_DELETE:
		now.have[k][v] = 0;
		break;
	case CIDSTORE_OP_MKKEY:
		now.exists[k] = 1;
		break;
	case CIDSTORE_OP_RMKEY:
		now.exists[k] = 0;
		memset(now.have[k], 0, VALUES);
		break;
	}
}

/* Pairs key, value; then the next `step` further. */
static void bulk(enum cidstore_verb verb, unsigned k, unsigned v, unsigned step, unsigned n)
{
	static struct cidstore_pair p[VALUES * 4];
	size_t done = n;
	int rc;

	for (unsigned i = 0; i < n; i++)
		p[i] = (struct cidstore_pair){ key_id((k + i * step) % KEYS),
					       value_id((v + i) % VALUES) };
	rc = verb == CIDSTORE_OP_INSERT ? cidstore_insert(s, p, n, &done) :
					  cidstore_delete(s, p, n, &done);
	if (went(verb == CIDSTORE_OP_INSERT ? "insert" : "delete", rc, 0) && done != n)
		complain("bulk: %zu of %u done without an error", done, n);
	for (unsigned i = 0; i < done && i < n; i++)
		apply(verb, (k + i * step) % KEYS, (v + i) % VALUES);
}

static void group(unsigned n)
{
	struct cidstore_op op[64] = { 0 };

	for (unsigned i = 0; i < n; i++)
		op[i] = (struct cidstore_op){ (enum cidstore_verb)(1 + i % 7 % 4),
					      key_id(i * 3 % KEYS), value_id(i * 11 % VALUES) };
	if (!went("apply", cidstore_apply(s, op, n), 0))
		return;
	for (unsigned i = 0; i < n; i++)
		apply(op[i].verb, i * 3 % KEYS, i * 11 % VALUES);
}

static void singles(unsigned k, unsigned v)
{
	unsigned k2 = (k + 1) % KEYS;
	bool empty;

	if (went("mkkey", cidstore_mkkey(s, key_id(k)), now.exists[k] ? CIDSTORE_EEXIST : 0))
		apply(CIDSTORE_OP_MKKEY, k, 0);
	if (went("add", cidstore_add(s, key_id(k), value_id(v)),
		 !now.exists[k] ? CIDSTORE_ENOENT : now.have[k][v] ? CIDSTORE_EEXIST : 0))
		apply(CIDSTORE_OP_INSERT, k, v);
	if (went("move", cidstore_move(s, key_id(k), value_id(v), key_id(k2), value_id(v), 0),
		 now.have[k][v] && now.exists[k2] ? 0 : CIDSTORE_ENOENT)) {
		apply(CIDSTORE_OP_DELETE, k, v);
		apply(CIDSTORE_OP_INSERT, k2, v);
	}
	if (went("remove", cidstore_remove(s, key_id(k2), value_id(v)),
		 now.have[k2][v] ? 0 : CIDSTORE_ENOENT))
		apply(CIDSTORE_OP_DELETE, k2, v);
	empty = !memchr(now.have[k], 1, VALUES);
	if (went("rmkey", cidstore_rmkey(s, key_id(k)),
		 !now.exists[k] ? CIDSTORE_ENOENT : empty ? 0 : CIDSTORE_ENOTEMPTY))
		apply(CIDSTORE_OP_RMKEY, k, 0);
}

static void remove_keys(unsigned k, unsigned n)
{
	struct cidstore_id id[KEYS] = { { 0 } };
	size_t done = n;

	for (unsigned i = 0; i < n; i++)
		id[i] = key_id(k + i);
	(void)went("delete_keys", cidstore_delete_keys(s, id, n, &done), 0);
	for (unsigned i = 0; i < done && i < n; i++)
		apply(CIDSTORE_OP_RMKEY, k + i, 0);
}

/* ---- reading ---- */

/* What can be read must be right. */
static void compare(const char *when)
{
	static struct cidstore_id out[VALUES];
	static uint8_t got[VALUES];
	uint64_t total;

	for (unsigned k = 0; k < KEYS; k++) {
		int rc = cidstore_get(s, key_id(k), out, VALUES, &total);

		if (!went("get", rc, now.exists[k] ? 0 : CIDSTORE_ENOENT))
			continue;
		memset(got, 0, sizeof(got));
		for (uint64_t i = 0; i < total && i < VALUES; i++)
			if (out[i].high < VALUES)
				got[out[i].high] = 1;
		for (unsigned v = 0; v < VALUES; v++)
			if (got[v] != now.have[k][v]) {
				complain("%s: key %u value %u %s", when, k, v,
					 got[v] ? "came back" : "is lost");
				return;
			}
	}
}

static void list(const char *when)
{
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[8];
	unsigned keys = 0, want = 0;
	size_t n = 0;
	int rc;

	for (unsigned k = 0; k < KEYS; k++)
		want += now.exists[k];
	do {
		rc = cidstore_scan_keys(s, &pos, item, 8, &n);
		for (size_t i = 0; rc == 0 && i < n; i++) {
			if (item[i].id.low >= KEYS || !now.exists[item[i].id.low])
				complain("%s: key %llu should not be listed", when,
					 (unsigned long long)item[i].id.low);
			keys++;
		}
	} while (rc == 0 && n);
	if (went("scan_keys", rc, 0) && keys != want)
		complain("%s: %u keys listed, expected %u", when, keys, want);
}

static void snapshot(void)
{
	struct cidstore_snapshot *v;
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[8];
	size_t n;
	int rc = cidstore_snapshot_open(s, &v);

	if (!went("snapshot_open", rc, 0))
		return;
	do {
		rc = cidstore_snapshot_keys(v, &pos, item, 8, &n);
	} while (rc == 0 && n);
	(void)went("snapshot_keys", rc, 0);
	cidstore_snapshot_close(v);
}

/* ---- the workload ---- */

/* A failed sync is known to all, and for good. */
static void after_a_failed_sync(bool failed)
{
	struct cidstore_pair p = { key_id(0), value_id(0) };
	struct cidstore_stats st;

	cidstore_stats(s, &st);
	if (st.failed != failed)
		complain("failed is %llu after %s", (unsigned long long)st.failed,
			 failed ? "a failed sync" : "no failed sync");
	if (!st.failed)
		return;
	for (int i = 0; i < 2; i++) {
		if (cidstore_sync(s) != CIDSTORE_EFAILED)
			complain("a sync after a failed one is not EFAILED");
		if (cidstore_insert(s, &p, 1, NULL) != CIDSTORE_EFAILED ||
		    cidstore_mkkey(s, p.key) != CIDSTORE_EFAILED ||
		    cidstore_remove(s, p.key, p.value) != CIDSTORE_EFAILED ||
		    cidstore_delete_keys(s, &p.key, 1, NULL) != CIDSTORE_EFAILED)
			complain("a change after a failed sync is not EFAILED");
		if (cidstore_checkpoint(s) != CIDSTORE_EFAILED)
			complain("a checkpoint after a failed sync is not EFAILED");
	}
}

static void change(void)
{
	bool failed = false;
	int more;

	bulk(CIDSTORE_OP_INSERT, 3, 5, 1, 300);
	singles(4, 7);
	failed |= !went("sync", cidstore_sync(s), 0);
	group(20);
	bulk(CIDSTORE_OP_INSERT, 2, 0, 0, 150);
	(void)went("checkpoint", cidstore_checkpoint(s), 0);
	bulk(CIDSTORE_OP_DELETE, 1, 20, 0, 200);
	remove_keys(0, 1);
	singles(9, 3);
	for (int i = 0; i < 3; i++)
		(void)went("step", cidstore_step(s, &more), 0);
	(void)went("compact", cidstore_compact(s), 0);
	compare("after merging");
	list("after merging");
	bulk(CIDSTORE_OP_INSERT, 7, 100, 3, 250);
	snapshot();
	remove_keys(2, 2);
	(void)went("gc", cidstore_gc(s), 0);
	singles(11, 90);
	failed |= !went("sync", cidstore_sync(s), 0);
	compare("at the end");
	if (fault.kind == FAULT_SYNC && fault_state.fired)
		failed = true;
	after_a_failed_sync(failed);
}

static int open_store(unsigned flags)
{
	struct cidstore_error err = { 0, "" };
	int rc = cid_store_open_io(&fault_io, path, flags, &s, &err);

	if (rc && (err.code != rc || err.message[0] == '\0'))
		complain("open: %s, but the message is of %s: %s", cidstore_strerror(rc),
			 cidstore_strerror(err.code), err.message);
	return rc;
}

static void nothing_left(const char *when)
{
	if (fault_state.open_files)
		complain("%s: %lld files left open", when, (long long)fault_state.open_files);
	if (fault_state.mappings)
		complain("%s: %lld mappings left", when, (long long)fault_state.mappings);
}

static void finding(void *arg, const char *message, double progress)
{
	(void)progress;
	if (message)
		complain("fsck %s: %s", (const char *)arg, message);
}

static void check(const char *when)
{
	struct cidstore_report r;
	struct cidstore_error err = { 0, "" };
	char name[40];

	(void)snprintf(name, sizeof(name), "%s", when);
	if (cid_store_check_io(&fault_io, path, 0, finding, name, &r, &err))
		complain("fsck %s: %s", when, err.message);
}

/* Opens without a fault: all that was acknowledged is there, and no more. */
static void settle(void)
{
	fault_clear();
	check("after the fault");
	if (open_store(CIDSTORE_MANUAL)) {
		complain("cannot be opened after the fault");
		return;
	}
	compare("after the fault");
	list("after the fault");
	if (cidstore_gc(s))
		complain("gc failed after the fault");
	compare("after gc");
	if (cidstore_close(s))
		complain("closing failed after the fault");
	check("at last");
	nothing_left("at last");
}

static void on_signal(int n)
{
	(void)n;
	if (write(1, "# died with this fault: ", 24) < 0 ||
	    write(1, where, strlen(where)) < 0 || write(1, "\n", 1) < 0)
		_exit(3);
	_exit(2);
}

/* ---- making a store ---- */

static void creation(void)
{
	struct cidstore_error err = { 0, "" };
	int rc = cid_store_create_io(&fault_io, path, &geo, &err), opened;

	(void)went("create", rc, 0);
	if (rc && (err.code != rc || err.message[0] == '\0'))
		complain("create: %s without a message", cidstore_strerror(rc));
	nothing_left("create");
	fault_clear();
	memset(&now, 0, sizeof(now));
	opened = open_store(CIDSTORE_MANUAL);
	/* What failed at the very end may be whole. */
	if (rc == 0 ? opened != 0 : opened != 0 && opened != CIDSTORE_ENOTSTORE &&
					    opened != CIDSTORE_ENOENT)
		complain("opening what create made: %s", cidstore_strerror(opened));
	if (opened == 0) {
		compare("made");
		if (cidstore_close(s))
			complain("closing what create made failed");
		check("made");
	}
	nothing_left("made");
	remove_store(path);
}

/* ---- using one ---- */

static void use(void)
{
	int rc;

	now = at_start;
	rc = open_store(CIDSTORE_MANUAL);
	if (went("open", rc, 0)) {
		compare("opened");
		change();
		(void)went("close", cidstore_close(s), 0);
		nothing_left("close");
	} else {
		nothing_left("open");
	}
	rc = open_store(CIDSTORE_MANUAL);
	if (went("open again", rc, 0)) {
		compare("opened again");
		(void)went("close again", cidstore_close(s), 0);
	}
	nothing_left("second close");
	settle();
}

/* A log to replay, runs to merge, large and small sets, something to collect. */
static void fill(void)
{
	struct cidstore_error err;

	if (cid_store_create_io(&fault_io, path, &geo, &err) || open_store(CIDSTORE_MANUAL))
		tap_bail("%s", err.message);
	bulk(CIDSTORE_OP_INSERT, 0, 0, 1, 700);
	bulk(CIDSTORE_OP_INSERT, 1, 0, 0, 300);
	bulk(CIDSTORE_OP_INSERT, 0, 0, 0, 100);
	if (cidstore_compact(s))
		tap_bail("compact failed");
	bulk(CIDSTORE_OP_DELETE, 5, 0, 1, 200);
	if (cidstore_checkpoint(s))
		tap_bail("checkpoint failed");
	bulk(CIDSTORE_OP_INSERT, 6, 50, 2, 100);
	if (cidstore_checkpoint(s))
		tap_bail("checkpoint failed");
	remove_keys(1, 1);
	bulk(CIDSTORE_OP_INSERT, 1, 10, 0, 60);
	group(30);
	if (cidstore_sync(s))
		tap_bail("sync failed");
	/* As after a death: the log is full of records. */
	copy_store(path, master);
	at_start = now;
	if (cidstore_close(s))
		tap_bail("close failed");
	remove_store(path);
}

static void run(bool making, const struct fault *f)
{
	fault = *f;
	(void)snprintf(where, sizeof(where), "%s, %s %llu %s %s", making ? "create" : "use",
		       fault_kind_name[f->kind], (unsigned long long)f->number,
		       f->error ? strerror(f->error) : "short",
		       f->number == 0 ? "(none)" : f->forever ? "for ever" : "once");
	if (!making)
		copy_store(master, path);
	alarm(tap_deadline());
	fault_set(f);
	if (making)
		creation();
	else
		use();
	alarm(0);
	remove_store(path);
}

static uint64_t sweep(bool making, enum fault_kind kind, uint64_t calls, uint64_t first,
		      uint64_t stride)
{
	static const int errors[FAULT_KINDS][3] = {
		[FAULT_OPEN] = { EIO, EMFILE },	   [FAULT_CLOSE] = { EIO },
		[FAULT_READ] = { EIO, -1 },	   [FAULT_WRITE] = { EIO, ENOSPC, -1 },
		[FAULT_SYNC] = { EIO, ENOSPC },	   [FAULT_SYNC_DIR] = { EIO },
		[FAULT_TRUNCATE] = { ENOSPC, EIO }, [FAULT_ALLOCATE] = { ENOSPC, EIO },
		[FAULT_PUNCH] = { EIO },	   [FAULT_RENAME] = { EIO, ENOSPC },
		[FAULT_UNLINK] = { EIO },	   [FAULT_MKDIR] = { ENOSPC, EIO },
		[FAULT_LIST] = { EIO },		   [FAULT_STAT] = { EIO },
		[FAULT_SPACE] = { EIO },	   [FAULT_LOCK] = { EIO },
		[FAULT_MAP] = { ENOMEM },	   [FAULT_MEMORY] = { ENOMEM },
	};
	uint64_t runs = 0;

	for (uint64_t n = first; n <= calls; n += stride)
		for (int e = 0; e < 3 && errors[kind][e]; e++)
			for (int forever = 0; forever < 2; forever++) {
				struct fault f = { kind, n, forever, errors[kind][e] };

				if (f.error < 0)
					f.error = 0;
				run(making, &f);
				runs++;
			}
	return runs;
}

int main(int argc, char **argv)
{
	static const struct fault none = { .number = 0 };
	uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 7, runs = 0;
	uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	const char *tmp = getenv("TMPDIR");

	/* Nothing needs to last. */
	if (!tmp)
		tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	(void)snprintf(dir, sizeof(dir), "%s/cidstore-faults.XXXXXX", tmp);
	if (stride == 0 || !mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(master, sizeof(master), "%s/master", dir);
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	signal(SIGABRT, on_signal);
	signal(SIGALRM, on_signal);
	fill();
	for (int making = 1; making >= 0; making--) {
		uint64_t calls[FAULT_KINDS];

		run(making, &none);
		memcpy(calls, fault_state.calls, sizeof(calls));
		if (!tap_ok(wrong == 0, "%s: right without a fault", making ? "create" : "use"))
			break;
		for (int k = 0; k < FAULT_KINDS; k++) {
			unsigned before = wrong;
			uint64_t n = calls[k], step = stride;

			if (n == 0 || (argc > 2 && strcmp(argv[2], fault_kind_name[k]) != 0))
				continue;
			if (argc < 2)
				step = n / 40 + 1;
			runs += sweep(making, (enum fault_kind)k, n, first, step);
			tap_int(wrong - before, 0, "%s: %llu calls of %s fail in turn",
				making ? "create" : "use", (unsigned long long)n,
				fault_kind_name[k]);
		}
	}
	tap_note("%llu runs", (unsigned long long)runs);
	remove_store(master);
	if (rmdir(dir))
		tap_note("%s is left", dir);
	return tap_done();
}
