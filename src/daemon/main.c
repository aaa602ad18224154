/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - start order and reverse stop
 *
 * Everything that can fail, from the lock of the store to the first answer of
 * the mount, happens before the caller's command returns. The process that
 * returns is not the one that serves: the daemon forks first and opens the
 * store afterwards, because threads and locks do not survive a fork.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "base/err.h"
#include "control/control.h"
#include "daemon/background.h"
#include "daemon/exit.h"
#include "daemon/mountpoint.h"
#include "daemon/options.h"
#include "daemon/say.h"
#include "daemon/settings.h"
#include "daemon/signals.h"

/* A daemon that is ending keeps the lock until its last checkpoint is written;
 * its mount is gone by then. One that was killed may need a moment to die. */
#define WAIT_ENDING_MS 15000
#define WAIT_MOUNTED_MS 1000
#define POLL_MS 20

struct daemon {
	struct cid_options opt;
	char *store_path, *mountpoint;
	int report; /* the waiting parent, or -1 */
	struct cidstore *store;
	struct cid_control *control;
	struct cid_fusefs *fs;
	int failed; /* errno of a mount that did not answer */
};

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r))
		cid_say(LOG_WARNING, "raising the limit of open files: %s", strerror(errno));
}

/* ---- paths ---- */

/* A store that is to be made need not exist. */
static char *resolve_store(const char *path, bool create, struct cidstore_error *err)
{
	char *out = realpath(path, NULL);

	if (!out && errno == ENOENT && create && !mkdir(path, 0777))
		out = realpath(path, NULL);
	if (!out)
		cid_err_set(err, CIDSTORE_ENOTSTORE, "store %s: %s", path, strerror(errno));
	return out;
}

static int resolve(struct daemon *d, struct cidstore_error *err)
{
	d->mountpoint = cid_mountpoint_resolve(d->opt.mountpoint, err);
	if (!d->mountpoint)
		return -1;
	d->store_path = resolve_store(d->opt.store, d->opt.create, err);
	if (!d->store_path)
		return -1;
	d->opt.fs.source = d->store_path;
	return 0;
}

/* ---- the store ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int open_store(struct daemon *d, struct cidstore_error *err)
{
	const struct timespec pause = { 0, POLL_MS * 1000000L };
	unsigned flags = d->opt.fs.readonly ? CIDSTORE_RDONLY : 0;
	int64_t begun = now_ms(), waited;
	char where[PATH_MAX];
	int rc;

	if (d->opt.create && !d->opt.fs.readonly)
		flags |= CIDSTORE_CREATE;
	for (;;) {
		bool mounted;

		if (cid_mountpoint_prepare(d->mountpoint, err))
			return -1;
		rc = cidstore_open(d->store_path, flags, &d->store, err);
		if (rc != CIDSTORE_EBUSY)
			return rc;
		waited = now_ms() - begun;
		mounted = cid_mountpoint_of_store(d->store_path, where, sizeof(where));
		if (mounted && waited >= WAIT_MOUNTED_MS)
			return cid_err_set(err, rc, "%s is already mounted on %s", d->store_path,
					   where);
		if (waited >= WAIT_ENDING_MS)
			return rc;
		nanosleep(&pause, NULL);
	}
}

static void say_decision(void *arg, const char *line)
{
	(void)arg;
	cid_say(LOG_INFO, "%s", line);
}

static int start(struct daemon *d, struct cidstore_error *err)
{
	uid_t owner = d->opt.fs.uid;
	int rc;

	if (open_store(d, err))
		return -1;
	cidstore_log(d->store, say_decision, NULL);
	if (cid_settings_apply(&d->opt, d->store, err))
		return -1;
	rc = cid_control_new(d->store, owner, &d->control);
	if (rc)
		return cid_err_set(err, CIDSTORE_ENOMEM, "the control tree: %s", strerror(-rc));
	d->opt.fs.foreign_writer = d->opt.fs.readonly;
	return cid_fusefs_new(d->store, d->control, d->mountpoint, &d->opt.fs, &d->fs, err);
}

/* In reverse. The first error of closing is the daemon's. */
static int stop(struct daemon *d)
{
	int rc = 0;

	cid_fusefs_free(d->fs);
	if (d->control)
		cid_control_free(d->control);
	if (d->store)
		rc = cidstore_close(d->store);
	if (rc)
		cid_say(LOG_ERR, "closing %s: %s", d->store_path, cidstore_strerror(rc));
	return rc;
}

/* ---- events ---- */

static void on_ready(void *arg, int error)
{
	struct daemon *d = arg;

	if (error) {
		d->failed = error;
		cid_fusefs_stop(d->fs);
		return;
	}
	if (d->report >= 0)
		cid_background_ready(d->report);
	d->report = -1;
	cid_background_notify("READY=1");
}

static void on_end(void *arg)
{
	struct daemon *d = arg;

	cid_fusefs_stop(d->fs);
}

static void on_reload(void *arg)
{
	struct daemon *d = arg;
	struct cidstore_error err;

	if (cid_settings_apply(&d->opt, d->store, &err))
		cid_say(LOG_ERR, "reloading: %s", err.message);
	else
		cid_say(LOG_INFO, "settings reloaded");
}

/* ---- the daemon ---- */

static int serve(struct daemon *d)
{
	struct cid_signals signals = { .end = on_end, .reload = on_reload, .arg = d };
	struct cidstore_error err = { 0 };
	int rc;

	cid_signals_block();
	raise_limits();
	if (chdir("/"))
		cid_say(LOG_WARNING, "changing to /: %s", strerror(errno));
	rc = start(d, &err);
	if (rc)
		cid_say(LOG_ERR, "%s", err.message);
	if (!rc && cid_signals_start(&signals)) {
		cid_say(LOG_ERR, "starting a thread: %s", strerror(EAGAIN));
		rc = -1;
	}
	if (rc) {
		stop(d);
		return CID_EXIT_MOUNT;
	}
	rc = cid_fusefs_loop(d->fs, on_ready, d);
	cid_background_notify("STOPPING=1");
	cid_signals_stop(&signals);
	if (d->failed)
		cid_say(LOG_ERR, "%s does not answer: %s", d->mountpoint, strerror(d->failed));
	else if (rc)
		cid_say(LOG_ERR, "serving %s: %s", d->mountpoint, cidstore_strerror(rc));
	return stop(d) || rc || d->failed ? CID_EXIT_MOUNT : 0;
}

static int run(struct daemon *d)
{
	bool parent = false;

	if (!d->opt.foreground) {
		int rc = cid_background_start(&parent);

		if (rc < 0) {
			cid_say(LOG_ERR, "starting the daemon: %s", strerror(errno));
			return CID_EXIT_SYSTEM;
		}
		if (parent)
			return rc;
		d->report = rc;
	}
	return serve(d);
}

int main(int argc, char **argv)
{
	struct daemon d = { .report = -1 };
	struct cidstore_error err = { 0 };
	int rc = 0;

	if (cid_options_parse(&d.opt, argc, argv, &err)) {
		cid_say(LOG_ERR, "%s", err.message);
		rc = CID_EXIT_USAGE;
	} else if (d.opt.help) {
		fputs(cid_options_usage, stdout);
	} else if (d.opt.version) {
		printf("cidstore %s\n", cidstore_version());
	} else if (resolve(&d, &err)) {
		cid_say(LOG_ERR, "%s", err.message);
		rc = CID_EXIT_MOUNT;
	} else if (d.opt.fake) {
		rc = 0;
	} else {
		rc = run(&d);
	}
	free(d.store_path);
	free(d.mountpoint);
	cid_options_fini(&d.opt);
	return rc;
}
