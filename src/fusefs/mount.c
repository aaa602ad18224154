/* SPDX-License-Identifier: BSD-2-Clause */
/* mount.c - the life of a mount: session, loop, readiness, end. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <time.h>
#include "base/err.h"
#include "fusefs/attr.h"
#include "fusefs/device.h"
#include "fusefs/fs.h"
#include "fusefs/notify.h"
#include "fusefs/opened.h"
#include "fusefs/ops.h"
#include "fusefs/wait.h"
#include "store/store.h"

/* Makes the loop's thread look around; not used for anything else. */
#define WAKE_SIGNAL SIGUSR2

struct ready {
	struct cid_fusefs *fs;
	void (*fn)(void *arg, int error);
	void *arg;
};

/* ---- libfuse's words ---- */

static struct {
	pthread_mutex_t lock; /* protects `last` */
	char last[256];
} words = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_log(enum fuse_log_level level, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void on_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[sizeof(words.last)];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (level == FUSE_LOG_DEBUG) {
		fprintf(stderr, "%s\n", text);
		return;
	}
	pthread_mutex_lock(&words.lock);
	memcpy(words.last, text, sizeof(words.last));
	pthread_mutex_unlock(&words.lock);
}

static int fail(struct cidstore_error *err, const char *path)
{
	int rc;

	pthread_mutex_lock(&words.lock);
	rc = cid_err_set(err, CIDSTORE_ESYSTEM, "mounting on %s: %s", path,
			 *words.last ? words.last : "the kernel refused");
	pthread_mutex_unlock(&words.lock);
	return rc;
}

/* ---- making ---- */

void cid_fusefs_defaults(struct cid_fusefs_options *o)
{
	memset(o, 0, sizeof(*o));
	o->umask = 022;
	o->max_nodes = 1u << 18;
	o->idle_threads = 10;
	o->max_threads = 64;
}

/* -o with one value, in which commas and backslashes are text. */
static int add_text(struct fuse_args *args, const char *name, const char *text)
{
	char *both = NULL, *opts = NULL;
	int rc = asprintf(&both, "%s=%s", name, text) < 0 ? -1 : 0;

	if (!rc)
		rc = fuse_opt_add_opt_escaped(&opts, both);
	if (!rc)
		rc = fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, opts) ? -1 : 0;
	free(both);
	free(opts);
	return rc;
}

static int add_args(struct fuse_args *args, const struct cid_fusefs_options *o)
{
	if (fuse_opt_add_arg(args, "cidstore") || add_text(args, "fsname", o->source) ||
	    add_text(args, "subtype", "cidstore"))
		return -1;
	if (o->readonly && fuse_opt_add_arg(args, "-oro"))
		return -1;
	if (o->debug && fuse_opt_add_arg(args, "-d"))
		return -1;
	if (o->mount_options && *o->mount_options)
		return fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, o->mount_options) ?
			       -1 :
			       0;
	return 0;
}

static int open_session(struct cid_fusefs *f, struct cidstore_error *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	fuse_set_log_func(on_log);
	if (!add_args(&args, &f->opt))
		f->session = fuse_session_new(&args, &cid_ops, sizeof(cid_ops), f);
	fuse_opt_free_args(&args);
	if (!f->session)
		return fail(err, f->path);
	if (fuse_session_mount(f->session, f->path)) {
		int rc = fail(err, f->path);

		fuse_session_destroy(f->session);
		f->session = NULL;
		return rc;
	}
	cid_device_attach(f->session);
	return 0;
}

int cid_fusefs_new(struct cidstore *s, struct cid_control *c, const char *path,
		   const struct cid_fusefs_options *o, struct cid_fusefs **out,
		   struct cidstore_error *err)
{
	struct cid_fusefs *f = aligned_alloc(_Alignof(struct cid_fusefs), sizeof(*f));
	int rc = CIDSTORE_ENOMEM;

	if (!f)
		return cid_err_set(err, rc, "mounting on %s: out of memory", path);
	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->opened_lock, NULL);
	f->store = s;
	f->control = c;
	f->opt = *o;
	f->path = strdup(path);
	if (!f->path || cid_nodes_new(o->max_nodes, &f->nodes) || cid_notify_new(f, &f->notify) ||
	    cid_wait_new(f, &f->wait)) {
		cid_err_set(err, rc, "mounting on %s: out of memory", path);
		goto failed;
	}
	cid_attr_init(f);
	rc = open_session(f, err);
	if (rc)
		goto failed;
	cid_store_on_change(s, cid_notify_foreign, f);
	*out = f;
	return 0;
failed:
	cid_wait_free(f->wait);
	cid_notify_free(f->notify);
	cid_nodes_free(f->nodes);
	pthread_mutex_destroy(&f->opened_lock);
	free(f->path);
	free(f);
	return rc;
}

/* ---- serving ---- */

static void on_wake(int sig)
{
	(void)sig;
}

static void *ready_main(void *arg)
{
	const struct ready *r = arg;
	struct statfs st;

	/* Answered by our own handlers, behind the handshake. */
	r->fn(r->arg, statfs(r->fs->path, &st) ? errno : 0);
	return NULL;
}

static int run_loop(struct cid_fusefs *f)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	int rc;

	if (!cfg)
		return CIDSTORE_ENOMEM;
	/* Each thread reads requests from a queue of its own. */
	fuse_loop_cfg_set_clone_fd(cfg, 1);
	fuse_loop_cfg_set_idle_threads(cfg, f->opt.idle_threads);
	fuse_loop_cfg_set_max_threads(cfg, f->opt.max_threads);
	rc = fuse_session_loop_mt(f->session, cfg);
	fuse_loop_cfg_destroy(cfg);
	return rc < 0 ? CIDSTORE_ESYSTEM : 0;
}

int cid_fusefs_loop(struct cid_fusefs *f, void (*ready)(void *arg, int error), void *arg)
{
	struct sigaction sa = { .sa_handler = on_wake };
	struct ready r = { f, ready, arg };
	sigset_t wake, every, old;
	pthread_t waiter;
	int rc = cid_notify_start(f->notify);

	if (!rc)
		rc = cid_wait_start(f->wait);
	if (rc)
		return rc;
	sigaction(WAKE_SIGNAL, &sa, NULL);
	sigfillset(&every);
	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &every, &old);
	if (pthread_create(&waiter, NULL, ready_main, &r)) {
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		return CIDSTORE_ENOMEM;
	}
	/* The workers inherit this: SIGBUS must reach them. */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	f->loop_thread = pthread_self();
	atomic_store(&f->looping, true);
	rc = run_loop(f);
	atomic_store(&f->looping, false);
	cid_wait_stop(f->wait);
	cid_notify_stop(f->notify);
	fuse_session_unmount(f->session);
	pthread_join(waiter, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

void cid_fusefs_stop(struct cid_fusefs *f)
{
	const struct timespec pause = { 0, 10000000 };

	fuse_session_exit(f->session);
	/* The loop's thread waits in a call that only a signal ends, and may be
	 * about to enter it. */
	while (atomic_load(&f->looping)) {
		pthread_kill(f->loop_thread, WAKE_SIGNAL);
		nanosleep(&pause, NULL);
	}
}

void cid_fusefs_free(struct cid_fusefs *f)
{
	if (!f)
		return;
	cid_store_on_change(f->store, NULL, NULL);
	cid_opened_close_all(f);
	cid_wait_free(f->wait);
	cid_notify_free(f->notify);
	fuse_session_unmount(f->session);
	fuse_session_destroy(f->session);
	cid_nodes_free(f->nodes);
	pthread_mutex_destroy(&f->opened_lock);
	free(f->path);
	free(f);
}
