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
#include "store/repair.h"

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

/* A twin that verifies and is older was about to be written when power failed;
 * one that does not was being written then, or is damage: the latter where the
 * log says that this root was durable, both copies of it. Either way opening for
 * writing puts it right, as it does a copy that the device cannot read. */
static int check_roots(struct check *c)
{
	struct cidstore *s = c->s;
	struct cid_root *two = aligned_alloc(CID_PAGE, 2 * sizeof(*two));
	bool lost[2];
	int rc = 0;

	if (!two)
		return CIDSTORE_ENOMEM;
	for (unsigned pair = 0; rc == 0 && pair < CID_ROOT_COPIES / 2; pair++) {
		bool newest = (s->root.generation & 1) == pair;

		rc = cid_err_from_errno(cid_root_pair(s->io, s->mainfd, pair, two, lost));
		for (unsigned i = 0; rc == 0 && i < 2; i++) {
			c->out->units += newest;
			if (lost[i])
				found(c, "main.h5: copy %u of the root cannot be read; opening for "
					 "writing repairs it", 2 * pair + i);
			else if (newest && !cid_root_valid(&two[i]) && s->root_committed)
				found(c, "main.h5: copy %u of the newest root does not verify; the "
					 "other repairs it", 2 * pair + i);
		}
	}
	free(two);
	return rc;
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
		rc = check_roots(c);
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

/* What there is in all layers together. Buckets were counted on the way; where
 * there is more, keys are listed as a reader would. */
static int count_all(struct check *c)
{
	enum { ITEMS = 512 };
	struct cidstore_item *item;
	struct cidstore_pos pos = { 0 };
	uint64_t keys = 0, values = 0;
	size_t n = 0;
	int rc;

	if (c->flags & CIDSTORE_CHECK_QUICK) {
		struct cidstore_stats st;

		cidstore_stats(c->s, &st);
		c->out->keys = st.keys;
		c->out->values = st.values;
		return 0;
	}
	if (c->out->errors || (c->out->runs == 0 && c->out->log_records == 0))
		return 0;
	item = malloc(ITEMS * sizeof(*item));
	if (!item)
		return CIDSTORE_ENOMEM;
	while ((rc = cidstore_scan_keys(c->s, &pos, item, ITEMS, &n)) == 0 && n > 0) {
		keys += n;
		for (size_t i = 0; i < n; i++)
			values += item[i].count;
	}
	free(item);
	if (rc == CIDSTORE_ECORRUPT) {
		found(c, "the keys cannot be listed to their end");
		return 0;
	}
	if (rc == 0) {
		c->out->keys = keys;
		c->out->values = values;
	}
	return rc;
}

static int look(struct check *c, const struct cid_io *io, const char *path,
		struct cidstore_error *err)
{
	int rc = cid_store_open_io(io, path, CIDSTORE_RDONLY | CID_OPEN_AS_IT_IS, &c->s, err);

	memset(c->out, 0, sizeof(*c->out));
	if (rc == CIDSTORE_ECORRUPT) {
		/* Too damaged to open: that is a finding, not a failure. */
		found(c, "%s", err ? err->message : "the store cannot be opened");
		return 0;
	}
	if (rc)
		return rc;
	rc = cid_space_load_readonly(c->s);
	if (rc == CIDSTORE_ECORRUPT) {
		found(c, "the space maps do not verify");
		rc = 0;
	}
	c->out->log_records = cidstore_last_seq(c->s) + 1 - c->s->root.log_first;
	if (c->s->t.corrected)
		found(c, "%" PRIu64 " flipped bits in the log can be corrected",
		      (uint64_t)c->s->t.corrected);
	if (rc == 0)
		rc = run(c);
	if (rc == 0)
		rc = count_all(c);
	if (rc)
		cid_err_set(err, rc, "%s: %s", path, cidstore_strerror(rc));
	(void)cidstore_close(c->s);
	return rc;
}

/* Nobody writes while it is held; -1 where there is no such file. */
static int take_lock(const struct cid_io *io, const char *path, int *out,
		     struct cidstore_error *err)
{
	int fd = io->open(io->self, -1, path, O_RDONLY | O_DIRECTORY, 0), lockfd = -1;

	if (fd >= 0) {
		lockfd = io->open(io->self, fd, "LOCK", O_RDONLY | O_NOFOLLOW, 0);
		(void)io->close(io->self, fd);
	}
	if (lockfd >= 0 && cid_io_lock_wait(io, lockfd, true, CID_LOCK_PATIENCE_NS) != 0) {
		(void)io->close(io->self, lockfd);
		return cid_err_set(err, CIDSTORE_EBUSY,
				   "%s: the store is mounted; unmount it first", path);
	}
	*out = lockfd;
	return 0;
}

static int repair(const struct cid_io *io, const char *path, struct cid_repair *r,
		  struct cidstore_error *err)
{
	struct cidstore *s;
	int rc = cid_store_open_repair(io, path, r, &s, err), closed;

	if (rc)
		return rc;
	rc = cid_repair_run(s, r);
	closed = cidstore_close(s);
	rc = rc ? rc : closed;
	return rc ? cid_err_set(err, rc, "%s: repairing: %s", path, cidstore_strerror(rc)) : 0;
}

int cid_store_repair_io(const struct cid_io *io, const char *path, unsigned flags,
			int (*lost)(void *, const char *),
			void (*say)(void *, const char *, double), void *arg,
			struct cidstore_report *out, struct cidstore_error *err)
{
	struct cidstore_report report;
	struct check c = { .flags = flags, .say = say, .arg = arg, .out = &report };
	struct cid_repair r = { .lost = lost, .say = say, .arg = arg };
	struct cidstore_error why = { 0, "" };
	uint64_t before = 0;
	int lockfd, rc;

	rc = take_lock(io, path, &lockfd, err);
	if (rc == 0) {
		rc = look(&c, io, path, err);
		if (lockfd >= 0)
			(void)io->close(io->self, lockfd);
	}
	if (rc)
		return rc;
	before = report.errors;
	if (before) {
		rc = repair(io, path, &r, &why);
		if (rc == CIDSTORE_ECORRUPT)
			found(&c, "%s", why.message);
		else if (rc == CIDSTORE_EBUSY || rc == CIDSTORE_ENOSPC || rc == CIDSTORE_ENOMEM ||
			 rc == CIDSTORE_EIO || rc == CIDSTORE_EROFS || rc == CIDSTORE_EPERM)
			return cid_err_set(err, rc, "%s", why.message);
		rc = look(&c, io, path, err);
		if (rc)
			return rc;
		/* What is found now is what is left of what was. */
		report.corrected = before > report.errors ? before - report.errors : 0;
		report.errors = before > report.errors ? before : report.errors;
		report.lost = r.losses;
	}
	*out = report;
	return 0;
}

int cid_store_check_io(const struct cid_io *io, const char *path, unsigned flags,
		       void (*say)(void *, const char *, double), void *arg,
		       struct cidstore_report *out, struct cidstore_error *err)
{
	struct cidstore_report report;
	struct check c = { .flags = flags, .say = say, .arg = arg, .out = &report };
	int lockfd, rc;

	if (flags & CIDSTORE_CHECK_REPAIR)
		return cid_store_repair_io(io, path, flags, NULL, say, arg, out, err);
	rc = take_lock(io, path, &lockfd, err);
	if (rc)
		return rc;
	rc = look(&c, io, path, err);
	if (lockfd >= 0)
		(void)io->close(io->self, lockfd);
	if (rc == 0)
		*out = report;
	return rc;
}

int cidstore_repair(const char *path, int (*lost)(void *, const char *),
		    void (*say)(void *, const char *, double), void *arg,
		    struct cidstore_report *out, struct cidstore_error *err)
{
	return cid_store_repair_io(&cid_io_posix, path, 0, lost, say, arg, out, err);
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
