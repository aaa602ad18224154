/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open.c - opening and recovering, closing
 *
 * Recovery reads root and log past the page cache, because after a failed sync
 * the cache may show what the disk does not hold. It replays the log from the
 * root's first record into a table; nothing else is written, unless the log
 * ends in records that do not count (a hole, half a transaction): then a
 * commit makes the end of the log and a new generation of records durable, so
 * that no later recovery can take them for real. Recovering twice finds the
 * same.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"
#include "store/file.h"

const char *cidstore_version(void)
{
	return PACKAGE_VERSION;
}

static struct cidstore *new_store(const struct cid_io *io, const char *path, unsigned flags)
{
	struct cidstore *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);
	pthread_condattr_t mono;

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->io = io;
	s->path = strdup(path);
	s->readonly = flags & CIDSTORE_RDONLY;
	s->manual = flags & CIDSTORE_MANUAL;
	s->dirfd = s->lockfd = s->mainfd = s->walfd = s->delfd = -1;
	s->buddy_at = UINT64_MAX;
	cid_ebr_init(&s->ebr);
	pthread_mutex_init(&s->write, NULL);
	pthread_mutex_init(&s->publish, NULL);
	pthread_mutex_init(&s->maint, NULL);
	pthread_mutex_init(&s->wake_lock, NULL);
	pthread_mutex_init(&s->pin_lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&s->room, &mono);
	pthread_cond_init(&s->work, &mono);
	pthread_condattr_destroy(&mono);
	cid_config_defaults(s);
	return s;
}

static void close_fd(struct cidstore *s, int fd)
{
	if (fd >= 0)
		(void)s->io->close(s->io->self, fd);
}

static void free_store(struct cidstore *s)
{
	struct cid_view *v = atomic_load(&s->view);

	cid_retired_free(s, true);
	if (v) {
		for (uint32_t i = 0; i < v->nruns; i++)
			cid_part_free(v->run[i]);
		cid_dir_free_all(v->dir);
		free(v);
	}
	cid_sweep_drop(s);
	cid_builder_fini(&s->builder);
	free(s->lists.leaf);
	cid_space_fini(&s->space);
	for (int i = 0; i < CID_MEMS; i++)
		if (s->mem[i].op)
			cid_mem_fini(&s->mem[i]);
	for (int k = 0; k < CID_POOLS; k++)
		cid_pool_fini(&s->pool[k]);
	cid_wal_fini(&s->wal);
	free(s->dir_dirty);
	free(s->dir_ref);
	free(s->del);
	close_fd(s, s->walfd);
	close_fd(s, s->delfd);
	close_fd(s, s->mainfd);
	close_fd(s, s->lockfd);
	close_fd(s, s->dirfd);
	pthread_mutex_destroy(&s->write);
	pthread_mutex_destroy(&s->publish);
	pthread_mutex_destroy(&s->maint);
	pthread_mutex_destroy(&s->wake_lock);
	pthread_mutex_destroy(&s->pin_lock);
	pthread_cond_destroy(&s->room);
	pthread_cond_destroy(&s->idle);
	pthread_cond_destroy(&s->work);
	free(s->path);
	free(s);
}

/* ---- files ---- */

static int open_file(struct cidstore *s, const char *name, int flags, int *fd,
		     struct cidstore_error *err)
{
	int f = s->io->open(s->io->self, s->dirfd, name, flags | O_NOFOLLOW, 0644);

	if (f < 0)
		return cid_err_set(err, cid_err_from_errno(f), "%s: %s", name, strerror(-f));
	*fd = f;
	return 0;
}

static int take_lock(struct cidstore *s, struct cidstore_error *err)
{
	int rc = open_file(s, "LOCK", O_RDWR | O_CREAT, &s->lockfd, err);

	if (rc)
		return rc;
	rc = cid_io_lock_wait(s->io, s->lockfd, true, CID_LOCK_PATIENCE_NS);
	if (rc == -EWOULDBLOCK)
		return cid_err_set(err, CIDSTORE_EBUSY,
				   "another process writes this store; unmount it there first");
	return rc ? cid_err_set(err, cid_err_from_errno(rc), "LOCK: %s", strerror(-rc)) : 0;
}

static int check_root(const struct cid_root *r, struct cidstore_error *err)
{
	if (r->segment_shift < 22 || r->segment_shift > 32 || r->bucket_bytes < 8192 ||
	    r->log_records < 4096 || (r->log_records & (r->log_records - 1)) ||
	    r->log_records > 1ull << 26 || r->log_spans == 0 || r->log_spans > CID_WAL_SPANS ||
	    r->deletion_pages < 2 || r->log_first == 0 || r->log_first > CID_LSN_MAX)
		return cid_err_set(err, CIDSTORE_ECORRUPT, "main.h5: the root is not sensible");
	for (int i = 0; i < 5; i++)
		if (r->data_offset[i] % CID_PAGE)
			return cid_err_set(err, CIDSTORE_ECORRUPT, "main.h5: the root is not sensible");
	return 0;
}

/* Opens past the page cache where the file system can. */
static int open_direct(struct cidstore *s, const char *name, struct cidstore_error *err)
{
	int fd = s->io->open(s->io->self, s->dirfd, name, O_RDONLY | O_DIRECT | O_NOFOLLOW, 0);

	if (fd == -EINVAL || fd == -EOPNOTSUPP)
		fd = s->io->open(s->io->self, s->dirfd, name, O_RDONLY | O_NOFOLLOW, 0);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return cid_err_set(err, CIDSTORE_ENOTSTORE,
				   "%s is missing: not a store (mkfs.cidstore makes one)", name);
	if (fd < 0)
		return cid_err_set(err, cid_err_from_errno(fd), "%s: %s", name, strerror(-fd));
	return fd;
}

static int read_root(struct cidstore *s, unsigned *bad, struct cidstore_error *err)
{
	int fd = open_direct(s, CID_H5_MAIN_NAME, err), rc;

	if (fd < 0)
		return fd;
	rc = cid_root_read(s->io, fd, &s->root, bad, err);
	close_fd(s, fd);
	return rc ? rc : check_root(&s->root, err);
}

static int open_files(struct cidstore *s, struct cidstore_error *err)
{
	int rw = s->readonly ? O_RDONLY : O_RDWR, rc;
	struct stat st;

	rc = open_file(s, CID_H5_MAIN_NAME, rw, &s->mainfd, err);
	if (rc == 0)
		rc = open_file(s, "wal-0.h5", rw, &s->walfd, err);
	if (rc == 0)
		rc = open_file(s, "deletions-0.h5", rw, &s->delfd, err);
	if (rc)
		return rc;
	rc = s->io->stat(s->io->self, s->delfd, &st);
	if (rc)
		return cid_err_set(err, cid_err_from_errno(rc), "deletions-0.h5: %s",
				   strerror(-rc));
	if ((uint64_t)st.st_size < s->root.data_offset[4] + s->root.deletion_pages * CID_PAGE)
		return cid_err_set(err, CIDSTORE_ECORRUPT, "deletions-0.h5: file is cut off");
	if (!s->readonly) {
		(void)s->io->lock(s->io->self, s->mainfd, false);
		(void)s->io->lock(s->io->self, s->walfd, false);
		(void)s->io->lock(s->io->self, s->delfd, false);
	}
	for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
		rc = cid_pool_init(&s->pool[k], s->io, s->dirfd, (enum cid_pool_kind)k,
				   s->root.segment_shift, s->root.data_offset[k], s->readonly,
				   &s->params);
		if (rc == 0)
			rc = cid_pool_open(&s->pool[k], s->root.segments[k], err);
	}
	return rc;
}

/* ---- the tree ---- */

static int load_space(struct cidstore *s)
{
	const struct cid_root *r = &s->root;
	struct cid_freed *freed;
	int rc = cid_space_init(&s->space, s->pool, &s->ebr);

	for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
		struct cid_page_ref *leaf;

		rc = cid_load_block(&s->pool[CID_POOL_META], &r->space[k], (void **)&leaf);
		if (rc == 0)
			rc = cid_space_load(&s->space, (enum cid_pool_kind)k, leaf,
					    r->space[k].bytes / sizeof(*leaf));
		free(leaf);
	}
	if (rc == 0)
		rc = cid_load_block(&s->pool[CID_POOL_META], &r->freed, (void **)&freed);
	if (rc)
		return rc;
	rc = cid_space_load_freed(&s->space, freed, r->freed.bytes / sizeof(*freed),
				  s->io->monotonic(s->io->self));
	free(freed);
	s->space.epoch = r->generation + 1;
	return rc;
}

int cid_space_load_readonly(struct cidstore *s)
{
	return load_space(s);
}

static int load_view(struct cidstore *s, struct cid_mem *active)
{
	struct cid_part **run;
	struct cid_dir *dir;
	uint64_t buckets;
	uint32_t nruns = 0;
	int rc = cid_load_tree(s->pool, &s->root, &dir, &run, &s->dir_ref, &buckets);

	if (rc)
		return rc;
	s->dir_pages = dir->depth > 6 ? 1ull << (dir->depth - 6) : 1;
	s->dir_dirty = calloc(s->dir_pages, 1);
	s->nbuckets = buckets;
	atomic_store(&s->epoch, s->root.generation);
	atomic_store(&s->gc_pending, s->root.deletion_head - s->root.deletion_tail);
	s->base_keys = s->root.keys;
	s->base_values = s->root.values;
	for (; run[nruns]; nruns++) {
		s->run_keys += (int64_t)run[nruns]->slot.keys;
		s->run_values += (int64_t)run[nruns]->slot.values;
	}
	rc = s->dir_dirty ? cid_view_publish(s, active, NULL, dir, run, nruns) : CIDSTORE_ENOMEM;
	if (rc) {
		for (uint32_t i = 0; i < nruns; i++)
			cid_part_free(run[i]);
		cid_dir_free_all(dir);
	}
	free(run);
	return rc;
}

/* ---- replay ---- */

struct replay {
	struct cidstore *s;
	struct cid_mem *m;
	struct cid_op *group;	/* operations since a BEGIN */
	uint64_t expect, have;	/* how many it announced, how many came */
	uint64_t begin;		/* its lsn; 0: none is open */
	bool overrun;
};

static int replay_record(void *arg, const struct cid_record *r)
{
	static const enum cid_mem_kind kind[] = {
		[CID_OP_INSERT] = CID_MEM_INSERT,
		[CID_OP_DELETE] = CID_MEM_DELETE,
		[CID_OP_RMKEY] = CID_MEM_RMKEY,
		[CID_OP_MKKEY] = CID_MEM_MKKEY,
	};
	struct replay *p = arg;
	struct cid_op op = { .key = r->key, .value = r->value };

	switch (r->opcode) {
	case CID_OP_INSERT:
	case CID_OP_DELETE:
	case CID_OP_RMKEY:
	case CID_OP_MKKEY:
		op.kind = kind[r->opcode];
		if (p->begin) {
			if (p->have == p->expect)
				return CIDSTORE_ECORRUPT;
			p->group[p->have++] = op;
			return 0;
		}
		return cid_apply(p->m, &op, p->s->t.seed) ? 0 : CIDSTORE_ECORRUPT;
	case CID_OP_BEGIN:
		if (p->begin || r->value.low == 0 || r->value.low > p->s->root.log_records)
			return CIDSTORE_ECORRUPT;
		p->group = malloc(r->value.low * sizeof(*p->group));
		if (!p->group)
			return CIDSTORE_ENOMEM;
		p->begin = r->lsn;
		p->expect = r->value.low;
		p->have = 0;
		return 0;
	case CID_OP_COMMIT:
		if (!p->begin || p->have != p->expect || r->value.low != p->begin)
			return CIDSTORE_ECORRUPT;
		for (uint64_t i = 0; i < p->have; i++)
			if (!cid_apply(p->m, &p->group[i], p->s->t.seed))
				return CIDSTORE_ECORRUPT;
		free(p->group);
		p->group = NULL;
		p->begin = 0;
		return 0;
	case CID_OP_CHECKPOINT:
		/* It was written after its root was durable: that root is gone. */
		if (r->value.high > p->s->root.generation)
			return CIDSTORE_EEXPIRED;
		return 0;
	case CID_OP_SPLIT:
	case CID_OP_MERGE:
	case CID_OP_PROMOTE:
	case CID_OP_DEMOTE:
	case CID_OP_DURABLE:
		return 0;
	}
	return CIDSTORE_EVERSION;
}

/* Was the log used again from where this root would read it? */
static bool overtaken(const uint8_t *ring, const struct cid_root *r)
{
	struct cid_record rec;

	return cid_record_unpack(ring + (r->log_first & (r->log_records - 1)) * CID_RECORD_BYTES,
				 &rec) &&
	       rec.lsn > r->log_first && rec.generation >= r->log_span[r->log_spans - 1].generation;
}

static int replay(struct cidstore *s, struct cid_mem *m, struct cid_wal_scan *sc, bool *torn,
		  struct cidstore_error *err)
{
	const struct cid_root *r = &s->root;
	size_t bytes = (size_t)(r->log_records * CID_RECORD_BYTES);
	struct replay p = { .s = s, .m = m };
	uint8_t *ring = aligned_alloc(CID_PAGE, bytes);
	int fd, rc;

	if (!ring)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory for the log");
	fd = open_direct(s, "wal-0.h5", err);
	if (fd < 0) {
		free(ring);
		return fd;
	}
	rc = cid_io_read_full(s->io, fd, ring, bytes, r->data_offset[3]);
	close_fd(s, fd);
	if (rc) {
		free(ring);
		return cid_err_set(err, cid_err_from_errno(rc), "wal-0.h5: cannot read the log: %s",
				   strerror(-rc));
	}
	memset(sc, 0, sizeof(*sc));
	sc->first = r->log_first;
	sc->nspans = r->log_spans;
	memcpy(sc->spans, r->log_span, sizeof(sc->spans));
	sc->known_durable = r->log_durable;
	rc = overtaken(ring, r) ? CIDSTORE_EEXPIRED :
				  cid_wal_scan(ring, r->log_records, sc, replay_record, &p);
	*torn = sc->dirty_tail;
	if (rc == 0 && p.begin) {
		/* Half a transaction: it never was. */
		sc->next = p.begin;
		*torn = true;
	}
	free(p.group);
	free(ring);
	s->t.corrected += sc->corrected;
	if (rc == CIDSTORE_EEXPIRED)
		return cid_err_set(err, CIDSTORE_ECORRUPT,
				   "main.h5: the newest root copies are damaged and the log has "
				   "moved on; opening the older root would lose durable changes. "
				   "Restore main.h5 from a copy");
	if (rc == CIDSTORE_EVERSION)
		return cid_err_set(err, rc, "the log holds records of a newer version: "
					    "use a newer program");
	if (rc == CIDSTORE_ECORRUPT)
		return cid_err_set(err, rc, "wal-0.h5: a durable record of the log is damaged "
					    "beyond correction");
	return rc ? cid_err_set(err, rc, "replaying the log: %s", cidstore_strerror(rc)) : 0;
}

/* Takes up the log where the replay ended. */
static int resume_log(struct cidstore *s, const struct cid_wal_scan *sc, bool torn)
{
	struct cid_wal *w = &s->wal;
	struct cid_root *r = &s->root;
	int rc = cid_wal_init(w, s->io, s->walfd, r->data_offset[3], r->log_records,
			      !s->readonly);

	if (rc)
		return rc;
	w->next = sc->next;
	w->nanos = sc->last_nanos > r->log_nanos ? sc->last_nanos : r->log_nanos;
	w->generation = r->log_span[r->log_spans - 1].generation;
	w->marked = sc->next - 1;
	atomic_store(&w->first, r->log_first);
	atomic_store(&w->appended, sc->next - 1);
	if (s->readonly) {
		atomic_store(&w->durable, sc->next - 1);
		return 0;
	}
	/* The direct read wrote dirty pages back; now past the device's cache. */
	if (sc->next > r->log_first) {
		rc = s->io->sync(s->io->self, s->walfd);
		if (rc)
			return cid_err_from_errno(rc);
	}
	atomic_store(&w->durable, sc->next - 1);
	if (torn) {
		if (r->log_spans == CID_WAL_SPANS) {
			/* The oldest two become one only when replay needs neither;
			 * so many recoveries without a checkpoint: make one. */
			s->merge_spans = true;
		}
		w->generation++;
		if (r->log_spans < CID_WAL_SPANS)
			r->log_span[r->log_spans++] =
				(struct cid_wal_span){ .first = sc->next,
						       .generation = w->generation };
		s->changed = true;
	}
	return 0;
}

static int recover(struct cidstore *s, struct cidstore_error *err)
{
	struct cid_wal_scan sc;
	bool torn = false;
	int rc = 0;

	for (int i = 0; rc == 0 && i < (s->readonly ? 1 : CID_MEMS); i++)
		rc = cid_mem_init(&s->mem[i], (uint32_t)s->root.log_records, s->root.hash_seed);
	if (rc == 0) {
		s->mem_retired[0] = UINT64_MAX;
		s->mem[0].first_lsn = s->root.log_first;
		rc = replay(s, &s->mem[0], &sc, &torn, err);
		if (rc)
			return rc;
		cid_mem_publish(&s->mem[0]);
		rc = load_view(s, &s->mem[0]);
	}
	if (rc == 0 && !s->readonly)
		rc = load_space(s);
	if (rc == 0)
		rc = resume_log(s, &sc, torn);
	if (rc == 0 && !s->readonly)
		rc = cid_sweep_resume(s);
	if (rc == 0 && s->changed && !s->readonly) {
		if (s->merge_spans) {
			struct cid_root *r = &s->root;

			pthread_mutex_lock(&s->write);
			rc = cid_write_seal(s);
			pthread_mutex_unlock(&s->write);
			if (rc < 0)
				return cid_err_set(err, rc, "cannot recover the store: %s",
						   cidstore_strerror(rc));
			r->log_span[0] = (struct cid_wal_span){ .first = s->wal.next,
								.generation = s->wal.generation };
			r->log_spans = 1;
			rc = cid_flush(s);
		}
		if (rc == 0)
			rc = cid_commit(s);
	}
	return rc ? cid_err_set(err, rc, "cannot recover the store: %s", cidstore_strerror(rc)) : 0;
}

static int repair_roots(struct cidstore *s, unsigned bad)
{
	/* Rewriting the pair of the newest generation puts its bad copy right;
	 * the older pair is written by the next commit. */
	unsigned mine = 3u << ((s->root.generation & 1) * 2);
	struct cid_root r = s->root;

	if (s->readonly || !(bad & mine))
		return 0;
	s->t.corrected++;
	return cid_root_write(s->io, s->mainfd, &r);
}

static int open_once(const struct cid_io *io, const char *path, unsigned flags,
		     struct cidstore **out, struct cidstore_error *err)
{
	struct cidstore *s;
	unsigned bad = 0;
	int rc;

	if (flags & CIDSTORE_CREATE) {
		int fd = io->open(io->self, -1, path, O_RDONLY | O_DIRECTORY, 0), main = -1;

		if (fd >= 0)
			main = io->open(io->self, fd, CID_H5_MAIN_NAME, O_RDONLY, 0);
		if (main >= 0)
			(void)io->close(io->self, main);
		if (fd >= 0)
			(void)io->close(io->self, fd);
		if (main < 0) {
			rc = cid_store_create_io(io, path, NULL, err);
			if (rc)
				return rc;
		}
	}
	s = new_store(io, path, flags);
	if (!s || !s->path) {
		free(s);
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	}
	s->dirfd = io->open(io->self, -1, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (s->dirfd < 0) {
		rc = s->dirfd == -ENOTDIR || s->dirfd == -ELOOP ? CIDSTORE_ENOTSTORE :
								  cid_err_from_errno(s->dirfd);
		cid_err_set(err, rc, "%s", strerror(-s->dirfd));
		goto fail;
	}
	rc = read_root(s, &bad, err);
	if (rc == 0 && !s->readonly)
		rc = take_lock(s, err);
	if (rc == 0 && !s->readonly)
		/* Now that nobody else writes: what was read may be old. */
		rc = read_root(s, &bad, err);
	if (rc)
		goto fail;
	s->params = (struct cid_h5_params){
		.segment_bytes = 1ull << s->root.segment_shift,
		.log_bytes = s->root.log_records * CID_RECORD_BYTES,
		.created_ns = s->root.created_ns,
		.hash_seed = s->root.hash_seed,
		.uuid_high = s->root.uuid[0],
		.uuid_low = s->root.uuid[1],
		.format_version = s->root.format_version,
		.promotion_threshold = (uint32_t)s->root.config[CID_CFG_PROMOTION_THRESHOLD],
		.bucket_bytes = s->root.bucket_bytes,
		.version_string = cidstore_version(),
	};
	cid_config_load(s, &s->root);
	if (cid_cfg(s, CID_CFG_BATCH_LIMIT) > s->root.log_records / 4)
		atomic_store(&s->config[CID_CFG_BATCH_LIMIT], s->root.log_records / 4);
	s->t.parts = &s->pool[CID_POOL_PARTS];
	s->t.values = &s->pool[CID_POOL_VALUES];
	s->t.seed = s->root.hash_seed;
	s->lists = (struct cid_lists){
		.values = s->t.values,
		.space = &s->space,
		.seed = s->t.seed,
		.leaf = malloc((CID_LEAF_MAX + CID_LEAF_FILL) * sizeof(struct cidstore_id)),
	};
	rc = s->lists.leaf ? 0 : cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	if (rc == 0 && !s->readonly)
		rc = cid_file_sweep(io, s->dirfd);
	if (rc == 0)
		rc = open_files(s, err);
	if (rc == 0)
		rc = repair_roots(s, bad);
	if (rc == 0)
		rc = recover(s, err);
	s->last_commit = io->monotonic(io->self);
	if (rc == 0 && !s->readonly && !s->manual)
		rc = cid_maintain_start(s);
	if (rc)
		goto fail;
	*out = s;
	return 0;
fail:
	if (err && err->code == rc)
		cid_err_prefix(err, "%s", path);
	else
		cid_err_set(err, rc, "%s: %s", path, cidstore_strerror(rc));
	free_store(s);
	return rc;
}

/* A reader beside a writer may read a root whose log or blocks move on while it
 * reads them; what it sees then does not verify, and it starts again. */
int cid_store_open_io(const struct cid_io *io, const char *path, unsigned flags,
		      struct cidstore **out, struct cidstore_error *err)
{
	enum { TRIES = 20, PAUSE_NS = 5000000 };
	int rc = open_once(io, path, flags, out, err);

	for (int i = 0; i < TRIES && rc == CIDSTORE_ECORRUPT && (flags & CIDSTORE_RDONLY) &&
			io->pause; i++) {
		io->pause(io->self, PAUSE_NS);
		rc = open_once(io, path, flags, out, err);
	}
	return rc;
}

int cidstore_open(const char *path, unsigned flags, struct cidstore **out,
		  struct cidstore_error *err)
{
	return cid_store_open_io(&cid_io_posix, path, flags, out, err);
}

int cidstore_close(struct cidstore *s)
{
	int rc = 0;

	if (!s->readonly) {
		cid_maintain_stop(s);
		cid_verify_join(s);
		rc = cidstore_sync(s);
		if (rc == 0) {
			rc = cidstore_checkpoint(s);
			/* A full disk keeps the log as it is: durable. */
			if (rc == CIDSTORE_ENOSPC)
				rc = 0;
		}
	}
	free_store(s);
	return rc;
}
