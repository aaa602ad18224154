/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.c - verifying a store from the outside in
 *
 * Root copies, the HDF5 shape of each file, every reference, checksum, order
 * and count, that no page belongs to two, and that the space maps say just
 * that; then the log, by replaying it into nothing.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"
#include "store/reach.h"

struct check {
	struct cidstore *s;
	unsigned flags;
	void (*say)(void *, const char *, double);
	void *arg;
	struct cidstore_report *out;
	uint8_t *map[CID_POOLS]; /* a bit per page that something refers to */
};

static void found(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void found(struct check *c, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->out->errors++;
	if (c->say)
		c->say(c->arg, text, 0);
}

static void damage(void *arg, const char *what)
{
	found(arg, "%s", what);
}

static int progress(void *arg, double share)
{
	struct check *c = arg;

	if (c->say)
		c->say(c->arg, NULL, share);
	return 0;
}

static int claim(void *arg, enum cid_pool_kind k, uint64_t pos, uint64_t pages)
{
	struct check *c = arg;

	for (uint64_t p = pos / CID_PAGE; p < pos / CID_PAGE + pages; p++) {
		if (c->map[k][p / 8] >> (p % 8) & 1) {
			found(c, "pool %d: page %" PRIu64 " belongs to two", (int)k, p);
			return 0;
		}
		c->map[k][p / 8] |= (uint8_t)(1 << (p % 8));
	}
	return 0;
}

static void check_maps(struct check *c)
{
	const struct cid_space *sp = &c->s->space;
	uint64_t leaked = 0, lost = 0;

	for (int k = 0; k < CID_POOLS; k++)
		for (uint64_t p = 1; p < sp->p[k].pages; p++) {
			bool used = cid_space_used(sp, (enum cid_pool_kind)k, p);
			bool referred = c->map[k][p / 8] >> (p % 8) & 1;

			leaked += used && !referred;
			lost += !used && referred;
		}
	c->out->leaked_bytes = leaked * CID_PAGE;
	if (lost)
		found(c, "%" PRIu64 " pages in use are marked free in the space maps", lost);
	if (leaked)
		found(c, "%" PRIu64 " pages are marked in use and belong to nobody (a mount "
			 "collects them)", leaked);
}

static void check_files(struct check *c)
{
	struct cidstore *s = c->s;
	struct cidstore_error err;
	struct cid_h5_params p = s->params;
	char path[4400];

	for (int k = 0; k < CID_H5_KINDS; k++) {
		uint32_t n = 1;

		if (k == CID_H5_DIRECTORY || k == CID_H5_BUCKETS || k == CID_H5_VALUES)
			n = s->root.segments[k - CID_H5_DIRECTORY];
		for (uint32_t i = 0; i < n; i++) {
			char name[64];
			int rc;

			if (!cid_h5_file_name((enum cid_h5_kind)k, i, name, sizeof(name)))
				continue;
			(void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
			p.segment_number = i;
			rc = cid_h5_check_file(path, (enum cid_h5_kind)k, &p, &err);
			c->out->units++;
			if (rc)
				found(c, "%s: HDF5 tools cannot read it: %s", name, err.message);
		}
	}
}

static int run(struct check *c)
{
	struct cidstore *s = c->s;
	struct cid_reach w = {
		.pool = s->pool,
		.root = &s->root,
		.io = s->io,
		.delfd = s->delfd,
		.deep = !(c->flags & CIDSTORE_CHECK_QUICK),
		.extent = claim,
		.damage = damage,
		.progress = progress,
		.arg = c,
	};
	int rc = 0;

	for (int k = 0; k < CID_POOLS; k++) {
		c->map[k] = calloc(s->space.p[k].pages / 8 + 1, 1);
		if (!c->map[k])
			rc = CIDSTORE_ENOMEM;
	}
	if (rc == 0 && s->io == &cid_io_posix)
		check_files(c);
	if (rc == 0)
		rc = cid_reach(&w);
	if (rc == 0)
		check_maps(c);
	c->out->buckets = w.buckets;
	c->out->runs = w.runs;
	c->out->keys = w.keys;
	c->out->values = w.values;
	c->out->units += w.units;
	c->out->bytes += w.bytes;
	if (rc == 0 && w.corrected)
		found(c, "%" PRIu64 " flipped bits in entries can be corrected", w.corrected);
	/* During a sweep buckets are ahead of the root's count. */
	if (rc == 0 && w.deep && s->root.sweep_run == 0 &&
	    (w.keys != s->root.keys || w.values != s->root.values))
		found(c, "the root counts %" PRIu64 " keys and %" PRIu64 " values in buckets; there "
			 "are %" PRIu64 " and %" PRIu64,
		      s->root.keys, s->root.values, w.keys, w.values);
	for (int k = 0; k < CID_POOLS; k++)
		free(c->map[k]);
	return rc;
}

int cid_store_check_io(const struct cid_io *io, const char *path, unsigned flags,
		       void (*say)(void *, const char *, double), void *arg,
		       struct cidstore_report *out, struct cidstore_error *err)
{
	struct cidstore_report report;
	struct check c = { .flags = flags, .say = say, .arg = arg, .out = &report };
	int lockfd = -1, dirfd, rc;

	memset(&report, 0, sizeof(report));
	dirfd = io->open(io->self, -1, path, O_RDONLY | O_DIRECTORY, 0);
	if (dirfd >= 0) {
		lockfd = io->open(io->self, dirfd, "LOCK", O_RDONLY | O_NOFOLLOW, 0);
		(void)io->close(io->self, dirfd);
	}
	if (lockfd >= 0 && cid_io_lock_wait(io, lockfd, true, CID_LOCK_PATIENCE_NS) != 0) {
		(void)io->close(io->self, lockfd);
		return cid_err_set(err, CIDSTORE_EBUSY,
				   "%s: the store is mounted; unmount it first", path);
	}
	if (flags & CIDSTORE_CHECK_REPAIR) {
		/* Opening for writing recovers, corrects root copies, and a whole
		 * merge writes every entry anew, corrected. */
		struct cidstore *s;

		if (lockfd >= 0)
			(void)io->close(io->self, lockfd);
		lockfd = -1;
		rc = cid_store_open_io(io, path, CIDSTORE_MANUAL, &s, err);
		if (rc)
			return rc;
		rc = cidstore_gc(s);
		report.corrected = s->t.corrected;
		if (rc == 0)
			rc = cidstore_close(s);
		else
			(void)cidstore_close(s);
		if (rc)
			return cid_err_set(err, rc, "%s: repairing: %s", path,
					   cidstore_strerror(rc));
	}
	rc = cid_store_open_io(io, path, CIDSTORE_RDONLY, &c.s, err);
	if (rc == 0) {
		rc = cid_space_load_readonly(c.s);
		if (rc == CIDSTORE_ECORRUPT) {
			found(&c, "the space maps do not verify");
			rc = 0;
		}
		report.log_records = cidstore_last_seq(c.s) + 1 - c.s->root.log_first;
		if (c.s->t.corrected)
			found(&c, "%" PRIu64 " flipped bits in the log can be corrected",
			      (uint64_t)c.s->t.corrected);
		if (rc == 0)
			rc = run(&c);
		if (rc)
			cid_err_set(err, rc, "%s: %s", path, cidstore_strerror(rc));
		(void)cidstore_close(c.s);
	} else if (rc == CIDSTORE_ECORRUPT) {
		/* Too damaged to open: that is a finding, not a failure. */
		found(&c, "%s", err ? err->message : "the store cannot be opened");
		rc = 0;
	}
	if (lockfd >= 0)
		(void)io->close(io->self, lockfd);
	if (rc == 0)
		*out = report;
	return rc;
}

int cidstore_check(const char *path, unsigned flags,
		   void (*say)(void *, const char *, double), void *arg,
		   struct cidstore_report *out, struct cidstore_error *err)
{
	return cid_store_check_io(&cid_io_posix, path, flags, say, arg, out, err);
}

/* ---- of a store in use ---- */

int cid_store_verify_start(struct cidstore *s)
{
	bool was;

	if (s->readonly)
		return CIDSTORE_EROFS;
	pthread_mutex_lock(&s->wake_lock);
	was = s->verify.running;
	if (!was) {
		memset(&s->verify, 0, sizeof(s->verify));
		s->verify.running = 1;
	}
	pthread_mutex_unlock(&s->wake_lock);
	return was ? CIDSTORE_EBUSY : cid_verify_run(s);
}

void cid_store_verify_state(struct cidstore *s, struct cid_verify_state *out)
{
	pthread_mutex_lock(&s->wake_lock);
	*out = s->verify;
	pthread_mutex_unlock(&s->wake_lock);
}
