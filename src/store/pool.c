/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/plant.h"
#include "h5/image.h"
#include "store/file.h"

static const char *const prefix[CID_POOLS] = { "directory", "buckets", "values" };
static const enum cid_h5_kind image_kind[CID_POOLS] = {
	CID_H5_DIRECTORY,
	CID_H5_BUCKETS,
	CID_H5_VALUES,
};

void cid_pool_name(enum cid_pool_kind kind, uint32_t n, char out[32])
{
	(void)snprintf(out, 32, "%s-%u.h5", prefix[kind], n);
}

int cid_pool_init(struct cid_pool *p, const struct cid_io *io, int dirfd, enum cid_pool_kind kind,
		  unsigned shift, uint64_t data_off, bool readonly,
		  const struct cid_h5_params *params)
{
	memset(p, 0, sizeof(*p));
	p->io = io;
	p->dirfd = dirfd;
	p->kind = kind;
	p->shift = shift;
	p->data_off = data_off;
	p->readonly = readonly;
	p->params = params;
	p->seg = calloc(CID_MAX_SEGMENTS, sizeof(*p->seg));
	return p->seg ? 0 : CIDSTORE_ENOMEM;
}

static int open_one(struct cid_pool *p, uint32_t n, struct cidstore_error *err)
{
	struct cid_segment *s = &p->seg[n];
	uint64_t len = 1ull << p->shift;
	struct stat st;
	char name[32];
	int rc;

	cid_pool_name(p->kind, n, name);
	s->fd = p->io->open(p->io->self, p->dirfd, name,
			    (p->readonly ? O_RDONLY : O_RDWR) | O_NOFOLLOW, 0);
	if (s->fd < 0) {
		rc = s->fd == -ENOENT ? CIDSTORE_ECORRUPT : cid_err_from_errno(s->fd);
		return cid_err_set(err, rc, "%s: %s", name, strerror(-s->fd));
	}
	rc = p->io->stat(p->io->self, s->fd, &st);
	if (rc == 0 && (uint64_t)st.st_size < p->data_off + len) {
		(void)p->io->close(p->io->self, s->fd);
		return cid_err_set(err, CIDSTORE_ECORRUPT,
				   "%s: file is cut off: %lld bytes, %llu wanted; fsck.cidstore -y "
				   "makes it whole and tells what is lost", name,
				   (long long)st.st_size, (unsigned long long)(p->data_off + len));
	}
	if (rc == 0 && !p->readonly)
		/* Keeps foreign writers out; without support nothing is lost. */
		(void)p->io->lock(p->io->self, s->fd, false);
	s->map_base = rc ? NULL : p->io->map(p->io->self, s->fd, p->data_off, (size_t)len, false);
	if (!s->map_base) {
		rc = rc ? rc : -errno;
		(void)p->io->close(p->io->self, s->fd);
		return cid_err_set(err, cid_err_from_errno(rc), "%s: %s", name, strerror(-rc));
	}
	s->map = s->map_base;
	atomic_store_explicit(&p->segments, n + 1, memory_order_release);
	return 0;
}

int cid_pool_open(struct cid_pool *p, uint32_t n, struct cidstore_error *err)
{
	if (n > CID_MAX_SEGMENTS)
		return cid_err_set(err, CIDSTORE_ECORRUPT, "%u segments of %s: at most %d", n,
				   prefix[p->kind], CID_MAX_SEGMENTS);
	for (uint32_t i = atomic_load(&p->segments); i < n; i++) {
		int rc = open_one(p, i, err);

		if (rc)
			return rc;
	}
	return 0;
}

int cid_pool_grow(struct cid_pool *p)
{
	uint32_t n = atomic_load(&p->segments);
	struct cid_h5_params params;
	char name[32];
	int rc;

	if (n == CID_MAX_SEGMENTS)
		return CIDSTORE_ENOSPC;
	cid_pool_name(p->kind, n, name);
	params = *p->params;
	params.segment_number = n;
	rc = cid_file_create(p->io, p->dirfd, name, image_kind[p->kind], &params, NULL, NULL, NULL);
	if (rc == CIDSTORE_EFAILED && p->broken)
		atomic_store(p->broken, 1);
	if (rc == CIDSTORE_ENOENT) /* the store's directory was removed */
		rc = CIDSTORE_EIO;
	return rc ? rc : open_one(p, n, NULL);
}

void cid_pool_fini(struct cid_pool *p)
{
	if (!p->seg)
		return;
	for (uint32_t i = 0; i < atomic_load(&p->segments); i++) {
		p->io->unmap(p->io->self, p->seg[i].map_base, (size_t)1 << p->shift);
		(void)p->io->close(p->io->self, p->seg[i].fd);
	}
	free(p->seg);
	p->seg = NULL;
}

bool cid_pool_holds(const struct cid_pool *p, uint64_t pos, uint64_t n)
{
	uint64_t seg = pos >> p->shift, off = pos & ((1ull << p->shift) - 1);

	return pos != 0 && seg < atomic_load_explicit(&p->segments, memory_order_acquire) &&
	       n <= (1ull << p->shift) - off;
}

int cid_pool_read(const struct cid_pool *p, uint64_t pos, void *buf, size_t n)
{
	uint64_t off = pos & ((1ull << p->shift) - 1);
	int rc;

	if (!cid_pool_holds(p, pos, n))
		return CIDSTORE_ECORRUPT;
	rc = cid_io_read_full(p->io, p->seg[pos >> p->shift].fd, buf, n, p->data_off + off);
	return rc ? cid_err_from_errno(rc) : 0;
}

const void *cid_pool_at(const struct cid_pool *p, uint64_t pos, size_t n)
{
	if (!cid_pool_holds(p, pos, n))
		return NULL;
	return p->seg[pos >> p->shift].map + (pos & ((1ull << p->shift) - 1));
}

int cid_pool_write(struct cid_pool *p, uint64_t pos, const void *buf, size_t n)
{
	struct cid_segment *s = &p->seg[pos >> p->shift];
	uint64_t off = p->data_off + (pos & ((1ull << p->shift) - 1));
	size_t rest = n % CID_PAGE, whole = n - rest;
	uint8_t page[CID_PAGE];
	int rc = 0;

	assert(pos % CID_PAGE == 0);
	if (!cid_pool_holds(p, pos, n))
		return CIDSTORE_EINVAL;
	s->dirty = true;
	p->written += n;
	if (whole)
		rc = cid_io_write_full(p->io, s->fd, buf, whole, off);
	if (rc == 0 && rest) {
		memcpy(page, (const uint8_t *)buf + whole, rest);
		memset(page + rest, 0, CID_PAGE - rest);
		rc = cid_io_write_full(p->io, s->fd, page, CID_PAGE, off + whole);
	}
	return rc ? cid_err_from_errno(rc) : 0;
}

void cid_pool_writeback(struct cid_pool *p, uint64_t pos, uint64_t n)
{
	p->io->writeback(p->io->self, p->seg[pos >> p->shift].fd,
			 p->data_off + (pos & ((1ull << p->shift) - 1)), n);
}

void cid_pool_prefetch(const struct cid_pool *p, uint64_t pos, uint64_t n)
{
	if (cid_pool_holds(p, pos, n))
		p->io->prefetch(p->io->self, p->seg[pos >> p->shift].fd,
				p->data_off + (pos & ((1ull << p->shift) - 1)), n);
}

void cid_pool_populate(const struct cid_pool *p, uint64_t pos, uint64_t n)
{
	const void *at = cid_pool_at(p, pos, n);

	if (at && p->io->populate)
		p->io->populate(p->io->self, at, n);
}

int cid_pool_sync(struct cid_pool *p)
{
	for (uint32_t i = 0; i < atomic_load(&p->segments); i++) {
		int rc;

		if (!p->seg[i].dirty)
			continue;
		rc = CID_PLANT(2) ? 0 : p->io->sync(p->io->self, p->seg[i].fd);
		if (rc)
			return cid_err_from_errno(rc);
		p->seg[i].dirty = false;
	}
	return 0;
}

void cid_pool_punch(struct cid_pool *p, uint64_t pos, uint64_t n)
{
	(void)p->io->punch(p->io->self, p->seg[pos >> p->shift].fd,
			   p->data_off + (pos & ((1ull << p->shift) - 1)), n);
}
