/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open.c - opening and recovering, closing
 *
 * Recovery reads root and log past the page cache, because after a failed sync
 * the cache may show what the disk does not hold. It replays the log from the
 * root's first record into a table; nothing else is written but zeros over what
 * power cut off of a root or a record, unless the log ends in records that do not
 * count (a hole, half a transaction): then a commit makes the end of the log and
 * a new generation of records durable, so that no later recovery can take them
 * for real. Recovering twice finds the same.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "store/engine.h"
#include "store/file.h"
#include "store/follow.h"
#include "store/repair.h"
#include "store/replay.h"

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
	s->past_cache = !s->readonly || flags & CID_OPEN_AS_IT_IS;
	s->reader_pins.fd = -1;
	s->manual = flags & CIDSTORE_MANUAL;
	s->dirfd = s->lockfd = s->mainfd = s->walfd = s->delfd = -1;
	s->buddy_at = UINT64_MAX;
	cid_ebr_init(&s->ebr);
	pthread_mutex_init(&s->write, NULL);
	pthread_mutex_init(&s->publish, NULL);
	pthread_mutex_init(&s->maint, NULL);
	pthread_mutex_init(&s->wake_lock, NULL);
	pthread_mutex_init(&s->pin_lock, NULL);
	pthread_mutex_init(&s->tune.lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&s->room, &mono);
	pthread_cond_init(&s->work, &mono);
	pthread_condattr_destroy(&mono);
	cid_config_defaults(s);
	s->memory = io->memory ? io->memory(io->self) : UINT64_MAX;
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

	cid_lend_close(s);
	cid_retired_free(s, true);
	for (struct cid_part_index *x = s->old_indexes, *next; x; x = next) {
		next = x->next_retired;
		cid_part_index_free(x);
	}
	if (v) {
		for (uint32_t i = 0; i < v->nruns; i++)
			cid_part_free(v->run[i]);
		cid_dir_free_all(v->dir);
		free(v);
	}
	cid_sweep_drop(s);
	cid_tier_drop(s);
	cid_builder_fini(&s->tier.b);
	cid_builder_fini(&s->builder);
	free(s->lists.leaf);
	cid_space_fini(&s->space);
	for (int i = 0; i < CID_MEMS; i++)
		if (s->mem[i].op)
			cid_table_free(s, &s->mem[i]);
	for (int k = 0; k < CID_POOLS; k++)
		cid_pool_fini(&s->pool[k]);
	cid_wal_fini(&s->wal);
	cid_follow_fini(s);
	cid_pins_close(s);
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
	pthread_mutex_destroy(&s->tune.lock);
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

	/* main.h5 was there a moment ago, so this is a store. */
	if (f < 0)
		return cid_err_set(err, f == -ENOENT ? CIDSTORE_ECORRUPT : cid_err_from_errno(f),
				   "%s: %s", name, strerror(-f));
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
	if (rc)
		return cid_err_set(err, cid_err_from_errno(rc), "LOCK: %s", strerror(-rc));
	cid_lend_forget(s);
	return 0;
}

/* Opens past the page cache where the file system can. One who follows sees
 * what the writer sees, and that is in the cache. */
static int open_direct(struct cidstore *s, const char *name, struct cidstore_error *err)
{
	int direct = s->past_cache ? O_DIRECT : 0;
	int fd = s->io->open(s->io->self, s->dirfd, name, O_RDONLY | direct | O_NOFOLLOW, 0);

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
	return rc ? rc : cid_root_check(&s->root, err);
}

static int check_length(struct cidstore *s, int fd, const char *name, uint64_t want,
			struct cidstore_error *err)
{
	struct stat st;
	int rc = s->io->stat(s->io->self, fd, &st);

	if (rc)
		return cid_err_set(err, cid_err_from_errno(rc), "%s: %s", name, strerror(-rc));
	if ((uint64_t)st.st_size < want)
		return cid_err_set(err, CIDSTORE_ECORRUPT,
				   "%s: file is cut off: %lld bytes, %llu wanted; fsck.cidstore -y "
				   "makes it whole and tells what is lost",
				   name, (long long)st.st_size, (unsigned long long)want);
	return 0;
}

static int open_files(struct cidstore *s, struct cidstore_error *err)
{
	int rw = s->readonly ? O_RDONLY : O_RDWR, rc;

	rc = open_file(s, CID_H5_MAIN_NAME, rw, &s->mainfd, err);
	if (rc == 0)
		rc = open_file(s, "wal-0.h5", rw, &s->walfd, err);
	if (rc == 0)
		rc = open_file(s, "deletions-0.h5", rw, &s->delfd, err);
	if (rc)
		return rc;
	rc = check_length(s, s->walfd, "wal-0.h5",
			  s->root.data_offset[3] + s->root.log_records * CID_RECORD_BYTES, err);
	if (rc == 0)
		rc = check_length(s, s->delfd, "deletions-0.h5",
				  s->root.data_offset[4] + s->root.deletion_pages * CID_PAGE, err);
	if (rc)
		return rc;
	if (!s->readonly) {
		(void)s->io->lock(s->io->self, s->mainfd, false);
		(void)s->io->lock(s->io->self, s->walfd, false);
		(void)s->io->lock(s->io->self, s->delfd, false);
	}
	for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
		rc = cid_pool_init(&s->pool[k], s->io, s->dirfd, (enum cid_pool_kind)k,
				   s->root.segment_shift, s->root.data_offset[k], s->readonly,
				   &s->params);
		s->pool[k].broken = &s->broken;
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

	if ((rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) && s->repair) {
		rc = cid_repair_tree(s, s->repair, &dir, &run, &s->dir_ref, &buckets);
		s->changed = true;
	}
	if (rc)
		return rc;
	s->dir_pages = dir->depth > 6 ? 1ull << (dir->depth - 6) : 1;
	s->dir_dirty = calloc(s->dir_pages, 1);
	s->nbuckets = buckets;
	s->base_packed = s->root.counter[CID_COUNTER_PACKED];
	for (uint64_t i = 0; i < 1ull << dir->depth; i++) {
		const struct cid_part *p = atomic_load(&dir->slot[i]);

		if (i == 0 || p != atomic_load(&dir->slot[i - 1]))
			s->base_pages += p->slot.pages;
	}
	atomic_store(&s->epoch, s->root.generation);
	atomic_store(&s->gc_pending, s->root.deletion_head - s->root.deletion_tail);
	s->collect.tail = s->root.deletion_tail;
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

static int replay(struct cidstore *s, struct cid_mem *m, struct cid_wal_scan *sc, bool *torn,
		  struct cidstore_error *err)
{
	const struct cid_root *r = &s->root;
	size_t bytes = (size_t)(r->log_records * CID_RECORD_BYTES);
	struct cid_replay p = { .m = m, .seed = s->t.seed, .log_records = r->log_records,
				.generation = r->generation };
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
	sc->ahead = cid_replay_ahead;
	rc = cid_wal_scan(ring, r->log_records, sc, cid_replay_record, &p);
	/* Was the log used again from where this root would read it, or by a
	 * generation that this root does not know? */
	if ((rc == 0 || rc == CIDSTORE_ECORRUPT) && sc->overtaken)
		rc = CIDSTORE_EEXPIRED;
	if ((rc == CIDSTORE_EEXPIRED || rc == CIDSTORE_ECORRUPT) && s->repair) {
		if (rc == CIDSTORE_EEXPIRED)
			cid_repair_say(s->repair, "the newest root is lost; going on from the one "
						  "before");
		free(p.group);
		p = (struct cid_replay){ .m = m, .seed = s->t.seed,
					 .log_records = r->log_records,
					 .generation = r->generation };
		cid_mem_reset(m);
		m->first_lsn = r->log_first;
		rc = cid_repair_log(s->repair, ring, r, sc, cid_replay_record, &p);
	}
	s->root_committed = p.committed || r->generation == 1;
	*torn = sc->dirty_tail || CID_PLANT(9);
	if (rc == 0 && p.begin) {
		for (uint64_t i = 0; CID_PLANT(11) && i < p.have; i++)
			(void)cid_apply(p.m, &p.group[i], s->t.seed);
		/* Half a transaction: it never was. */
		sc->next = p.begin;
		*torn = true;
	}
	cid_replay_drop_group(&p);
	if (rc == 0 && sc->remnants && !s->readonly)
		rc = cid_wal_void(s->io, s->walfd, r->data_offset[3], ring, r->log_records, sc);
	free(ring);
	s->t.corrected += sc->corrected;
	if (rc == CIDSTORE_EEXPIRED)
		return cid_err_set(err, CIDSTORE_ECORRUPT,
				   "main.h5: the newest root copies are damaged and the log has "
				   "moved on; opening the older root would lose durable changes. "
				   "fsck.cidstore -y saves what is left");
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
	cid_wal_spans(w, r->log_span, r->log_spans);
	if (s->readonly) {
		atomic_store(&w->durable, sc->next - 1);
		return 0;
	}
	/* The direct read wrote dirty pages back; now past the device's cache. */
	if (sc->next > r->log_first && !CID_PLANT(33)) {
		rc = s->io->sync(s->io->self, s->walfd);
		if (rc)
			return cid_err_from_errno(rc);
	}
	atomic_store(&w->durable, sc->next - 1);
	if (s->repair && s->repair->log_mended) {
		s->merge_spans = torn = true;
		w->generation = s->repair->log_generation;
		/* Parts of a root that is lost may have the next ones. */
		r->next_generation += 1u << 20;
	}
	if (torn) {
		if (r->log_spans == CID_WAL_SPANS) {
			/* The oldest two become one only when replay needs neither;
			 * so many recoveries without a checkpoint: make one. */
			s->merge_spans = true;
		}
		w->generation++;
		cid_wal_spans(w, r->log_span, r->log_spans);
		if (r->log_spans < CID_WAL_SPANS)
			r->log_span[r->log_spans++] =
				(struct cid_wal_span){ .first = sc->next,
						       .generation = w->generation };
		s->changed = !CID_PLANT(8);
	}
	return 0;
}

/* Where there are as many runs as there can be, a sweep makes room for another.
 * No root tells of the end of the log yet, so nothing may be noted behind it. */
static int make_room_for_run(struct cidstore *s)
{
	int rc;

	s->unnoted = true;
	rc = cid_maintain_run_room(s);
	s->unnoted = false;
	return rc;
}

/* What the root leads to lies in one file, mostly. */
static int spoilt(struct cidstore *s, int rc, const char *what, struct cidstore_error *err)
{
	const char *file = s->root.segments[CID_POOL_META] == 1 ? "directory-0.h5" :
								  "directory-*.h5";

	if (rc == CIDSTORE_ECORRUPT)
		return cid_err_set(err, rc, "%s: %s does not verify; fsck.cidstore -y saves what is "
					    "left", file, what);
	if (rc == CIDSTORE_EIO)
		return cid_err_set(err, rc, "%s: %s cannot be read from the device; "
					    "fsck.cidstore -y saves what is left", file, what);
	return cid_err_set(err, rc, "cannot recover the store: %s", cidstore_strerror(rc));
}

static int recover(struct cidstore *s, unsigned torn_roots, struct cidstore_error *err)
{
	struct cid_wal_scan sc;
	bool torn = false;
	int rc = 0;

	/* The log may hold more than memory_limit gives a table later. */
	rc = cid_table_new(s, &s->mem[0], (uint32_t)s->root.log_records);
	if (rc == 0) {
		s->mem_retired[0] = UINT64_MAX;
		s->mem[0].first_lsn = s->root.log_first;
		rc = replay(s, &s->mem[0], &sc, &torn, err);
		if (rc)
			return rc;
		/* The log knows of no newer root: what is left of one never was. */
		if (torn_roots && !s->readonly)
			rc = cid_root_void(s->io, s->mainfd, torn_roots);
		if (rc)
			return cid_err_set(err, rc, "main.h5: %s", cidstore_strerror(rc));
		cid_mem_publish(&s->mem[0]);
		rc = load_view(s, &s->mem[0]);
	}
	if (rc)
		return spoilt(s, rc, "the directory or the list of runs", err);
	if (!s->readonly) {
		rc = load_space(s);
		if ((rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) && s->repair)
			rc = cid_repair_space(s, s->repair);
	}
	if (rc)
		return spoilt(s, rc, "the space maps or the list of freed extents", err);
	rc = resume_log(s, &sc, torn);
	/* What a sweep cannot read keeps nobody from using the rest. */
	if (rc == 0 && !s->readonly && !s->repair)
		rc = cid_maintain_merged(s, cid_sweep_resume(s));
	if (rc == 0 && s->repair && s->repair->lost)
		rc = s->repair->lost(s->repair->arg, NULL);
	if (rc == 0 && s->changed && !s->readonly) {
		if (s->merge_spans) {
			struct cid_root *r = &s->root;

			pthread_mutex_lock(&s->write);
			rc = cid_write_seal(s);
			pthread_mutex_unlock(&s->write);
			if (rc > 0)
				rc = make_room_for_run(s);
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

/* The root may be that of a process which died before it was durable; from now
 * on what it says counts, and what it gave up may be written over. */
static int settle_root(struct cidstore *s, unsigned bad)
{
	/* Rewriting the pair of the newest generation puts its bad copy right. */
	unsigned mine = 3u << ((s->root.generation & 1) * 2);
	struct cid_root r = s->root;

	if (s->readonly)
		return 0;
	if (!(bad & mine))
		return cid_err_from_errno(s->io->sync(s->io->self, s->mainfd));
	s->t.corrected++;
	return cid_root_write(s->io, s->mainfd, &r);
}

static int open_once(const struct cid_io *io, const char *path, unsigned flags,
		     struct cid_repair *repair, struct cidstore **out, struct cidstore_error *err)
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
	s->repair = repair;
	s->lend.on = !s->readonly && !repair && io->lend;
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
	if (rc == 0 && s->repair)
		rc = cid_repair_files(s, s->repair, err);
	if (rc == 0)
		rc = open_files(s, err);
	if (rc == 0)
		rc = settle_root(s, bad);
	if (rc == 0 && s->readonly && !(flags & CID_OPEN_AS_IT_IS))
		rc = cid_follow_init(s, flags & CIDSTORE_COMMITTED, err);
	else if (rc == 0) {
		/* Recovery may free what readers hold. */
		if (!s->readonly)
			cid_pins_open(s);
		rc = recover(s, bad & ~(3u << ((s->root.generation & 1) * 2)), err);
	}
	if (rc == 0 && !s->readonly)
		cid_lend_open(s);
	s->last_commit = s->tune.taker.at = io->monotonic(io->self);
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

/* One who looks without following, beside a writer all the same, may read a
 * root whose log or blocks move on; what it sees then does not verify, and it
 * starts again. */
int cid_store_open_io(const struct cid_io *io, const char *path, unsigned flags,
		      struct cidstore **out, struct cidstore_error *err)
{
	enum { TRIES = 20, PAUSE_NS = 5000000 };
	int rc;

	if (!(flags & CIDSTORE_RDONLY))
		cid_h5_prepare(); /* before this store has threads */
	rc = open_once(io, path, flags, NULL, out, err);
	for (int i = 0; i < TRIES && rc == CIDSTORE_ECORRUPT && (flags & CID_OPEN_AS_IT_IS) &&
			io->pause; i++) {
		io->pause(io->self, PAUSE_NS);
		rc = open_once(io, path, flags, NULL, out, err);
	}
	return rc;
}

int cid_store_open_repair(const struct cid_io *io, const char *path, struct cid_repair *r,
			  struct cidstore **out, struct cidstore_error *err)
{
	return open_once(io, path, CIDSTORE_MANUAL, r, out, err);
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
