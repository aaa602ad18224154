/* SPDX-License-Identifier: BSD-2-Clause */
/* create.c - making a store */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"
#include "store/file.h"

static bool power_of_two(uint64_t n)
{
	return n && (n & (n - 1)) == 0;
}

static int choose(struct cidstore_geometry *g, const struct cidstore_geometry *in,
		  struct cidstore_error *err)
{
	memset(g, 0, sizeof(*g));
	if (in)
		*g = *in;
	if (!g->log_bytes)
		g->log_bytes = 64ull << 20;
	if (!g->segment_bytes)
		g->segment_bytes = 4ull << 30;
	if (!g->bucket_bytes)
		g->bucket_bytes = 512u << 10;
	if (!g->promotion_threshold)
		g->promotion_threshold = 128;
	if (!power_of_two(g->log_bytes) || g->log_bytes < CID_LOG_BYTES_MIN || g->log_bytes > 4ull << 30)
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "log size must be a power of two from 256 KiB to 4 GiB");
	if (!power_of_two(g->segment_bytes) || g->segment_bytes < CID_SEGMENT_BYTES_MIN ||
	    g->segment_bytes > 4ull << 30)
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "segment size must be a power of two from 4 MiB to 4 GiB");
	if (g->segment_bytes < g->log_bytes * 4)
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "segments must be at least four times as large as the log");
	if (g->bucket_bytes < CID_BUCKET_BYTES_MIN || g->bucket_bytes > g->segment_bytes / 8)
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "bucket size must be from 8 KiB to an eighth of a segment");
	if (!power_of_two(g->promotion_threshold) || g->promotion_threshold < 4 ||
	    g->promotion_threshold > 4096)
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "promotion threshold must be a power of two from 4 to 4096");
	return 0;
}

struct filling {
	const struct cid_io *io;
	struct cid_root *root;
	uint64_t offset;
};

static int fill_log(void *arg, int fd, uint64_t off)
{
	struct filling *f = arg;

	f->offset = off;
	return cid_wal_zero(f->io, fd, off, f->root->log_records);
}

static int note_offset(void *arg, int fd, uint64_t off)
{
	(void)fd;
	((struct filling *)arg)->offset = off;
	return 0;
}

static int fill_main(void *arg, int fd, uint64_t off)
{
	struct filling *f = arg;
	uint8_t *zero = calloc(CID_ROOT_COPIES, CID_PAGE);
	int rc;

	if (!zero)
		return CIDSTORE_ENOMEM;
	rc = cid_err_from_errno(
		cid_io_write_full(f->io, fd, zero, (size_t)CID_ROOT_COPIES * CID_PAGE, off));
	free(zero);
	return rc ? rc : cid_root_write(f->io, fd, f->root);
}

static int not_empty(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "lost+found") != 0;
}

/* One directory page with one empty bucket: the smallest tree there is. */
static int first_tree(const struct cid_io *io, int dirfd, struct cid_root *r,
		      const struct cid_h5_params *params)
{
	struct cid_pool meta;
	struct cid_slot slot[64];
	struct cid_page_ref ref = { .generation = r->generation };
	uint64_t map[CID_PAGE / 8] = { 0 };
	struct cid_page_ref leaf = { .generation = r->generation };
	uint64_t pos = CID_PAGE;
	int rc = cid_pool_init(&meta, io, dirfd, CID_POOL_META, r->segment_shift, r->data_offset[0],
			       false, params);

	if (rc == 0)
		rc = cid_pool_open(&meta, 1, NULL);
	if (rc)
		goto out;
	memset(slot, 0, sizeof(slot));
	ref.pos = pos;
	ref.sum = cid_sum_of(slot, sizeof(slot), ref.generation);
	rc = cid_pool_write(&meta, ref.pos, slot, sizeof(slot));
	r->directory = (struct cid_block_ref){ pos + CID_PAGE, sizeof(ref),
					       cid_sum_of(&ref, sizeof(ref), 0) };
	if (rc == 0)
		rc = cid_pool_write(&meta, r->directory.pos, &ref, sizeof(ref));
	/* Pages 1 to 4 of the pool: slots, table, map, table of maps. */
	map[0] = 0x1e;
	leaf.pos = pos + 2 * CID_PAGE;
	leaf.sum = cid_sum_of(map, sizeof(map), leaf.generation);
	if (rc == 0)
		rc = cid_pool_write(&meta, leaf.pos, map, sizeof(map));
	r->space[CID_POOL_META] = (struct cid_block_ref){ pos + 3 * CID_PAGE, sizeof(leaf),
							  cid_sum_of(&leaf, sizeof(leaf), 0) };
	if (rc == 0)
		rc = cid_pool_write(&meta, pos + 3 * CID_PAGE, &leaf, sizeof(leaf));
	if (rc == 0)
		rc = cid_pool_sync(&meta);
out:
	cid_pool_fini(&meta);
	return rc;
}

static int make_files(const struct cid_io *io, int dirfd, struct cid_root *r,
		      struct cid_h5_params *params, struct cidstore_error *err)
{
	static const enum cid_h5_kind kind[3] = { CID_H5_DIRECTORY, CID_H5_BUCKETS, CID_H5_VALUES };
	struct filling f = { .io = io, .root = r };
	char name[32];
	int rc = 0;

	for (int k = 0; rc == 0 && k < CID_POOLS; k++) {
		cid_pool_name((enum cid_pool_kind)k, 0, name);
		rc = cid_file_create(io, dirfd, name, kind[k], params, note_offset, &f,
				     err);
		r->data_offset[k] = f.offset;
		r->segments[k] = 1;
	}
	if (rc == 0)
		rc = cid_file_create(io, dirfd, "wal-0.h5", CID_H5_WAL, params, fill_log, &f,
				     err);
	r->data_offset[3] = f.offset;
	if (rc == 0)
		rc = cid_file_create(io, dirfd, "deletions-0.h5", CID_H5_DELETIONS, params,
				     note_offset, &f, err);
	r->data_offset[4] = f.offset;
	if (rc == 0)
		rc = first_tree(io, dirfd, r, params);
	/* main.h5 is last: a directory without it is no store. */
	if (rc == 0)
		rc = cid_file_create(io, dirfd, CID_H5_MAIN_NAME, CID_H5_MAIN, params, fill_main,
				     &f, err);
	return rc;
}

/* What is left of a store that could not be made: the same directory will do
 * for the next try. First what makes it a store. */
static void remove_files(const struct cid_io *io, int dirfd)
{
	static const char *const name[] = { CID_H5_MAIN_NAME, "LOCK", CID_READERS_NAME,
					    "directory-0.h5",
					    "buckets-0.h5", "values-0.h5", "wal-0.h5",
					    "deletions-0.h5" };

	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		(void)io->unlink(io->self, dirfd, name[i]);
}

int cid_store_create_io(const struct cid_io *io, const char *path,
			const struct cidstore_geometry *geo, struct cidstore_error *err)
{
	struct cidstore_geometry g;
	struct cidstore_error why = { 0 };
	struct cid_h5_params params;
	struct cid_root *r;
	int dirfd, fd, rc = choose(&g, geo, err);

	if (rc)
		return rc;
	rc = io->mkdir(io->self, path, 0755);
	if (rc && rc != -EEXIST)
		return cid_err_set(err, cid_err_from_errno(rc), "%s: cannot make the directory: %s",
				   path, strerror(-rc));
	dirfd = io->open(io->self, -1, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dirfd < 0)
		return cid_err_set(err, cid_err_from_errno(dirfd), "%s: %s", path,
				   strerror(-dirfd));
	rc = io->list(io->self, dirfd, not_empty, NULL);
	if (rc) {
		(void)io->close(io->self, dirfd);
		return rc < 0 ? cid_err_set(err, cid_err_from_errno(rc), "%s: %s", path,
					    strerror(-rc)) :
				cid_err_set(err, CIDSTORE_EEXIST,
					    "%s: the directory is not empty; name a new one, or "
					    "empty it", path);
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		(void)io->close(io->self, dirfd);
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	}
	r->format_version = CID_FORMAT_VERSION;
	r->generation = 1;
	io->random(io->self, r->uuid, sizeof(r->uuid));
	r->hash_seed = g.hash_seed;
	if (!r->hash_seed)
		io->random(io->self, &r->hash_seed, sizeof(r->hash_seed));
	r->created_ns = r->committed_ns = io->realtime(io->self);
	r->segment_shift = (uint32_t)__builtin_ctzll(g.segment_bytes);
	r->bucket_bytes = g.bucket_bytes;
	r->log_records = g.log_bytes / CID_RECORD_BYTES;
	r->deletion_pages = CID_H5_DELETIONS_BYTES / CID_PAGE;
	r->log_first = 1;
	r->log_spans = 1;
	r->log_span[0] = (struct cid_wal_span){ .first = 1, .generation = 1 };
	r->next_generation = 1;
	r->next_run = 1;
	r->config[CID_CFG_PROMOTION_THRESHOLD] = g.promotion_threshold;
	/* A reader may come before the first commit of a writer. */
	r->config[CID_CFG_READER_PIN_MS] = cid_config_initial(CID_CFG_READER_PIN_MS);
	params = (struct cid_h5_params){
		.segment_bytes = g.segment_bytes,
		.log_bytes = g.log_bytes,
		.created_ns = r->created_ns,
		.hash_seed = r->hash_seed,
		.uuid_high = r->uuid[0],
		.uuid_low = r->uuid[1],
		.format_version = CID_FORMAT_VERSION,
		.promotion_threshold = g.promotion_threshold,
		.bucket_bytes = g.bucket_bytes,
		.version_string = cidstore_version(),
	};
	rc = make_files(io, dirfd, r, &params, &why);
	if (rc == 0) {
		fd = io->open(io->self, dirfd, "LOCK", O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
		rc = fd < 0 ? cid_err_from_errno(fd) : 0;
		if (fd >= 0)
			(void)io->close(io->self, fd);
	}
	if (rc == 0 && io->claim)
		rc = cid_readers_create(io, dirfd);
	if (rc == 0)
		rc = cid_err_from_errno(io->sync_dir(io->self, dirfd));
	if (rc == CIDSTORE_EFAILED) /* there is no store yet that could be opened anew */
		rc = why.code;
	if (rc)
		remove_files(io, dirfd);
	(void)io->close(io->self, dirfd);
	free(r);
	if (rc)
		return cid_err_set(err, rc, "%.200s: cannot make the store: %.250s", path,
				   why.code ? why.message : cidstore_strerror(rc));
	return 0;
}

int cidstore_create(const char *path, const struct cidstore_geometry *geo,
		    struct cidstore_error *err)
{
	return cid_store_create_io(&cid_io_posix, path, geo, err);
}
