/* SPDX-License-Identifier: BSD-2-Clause */
/* load.c - the root record, and from it the tree that readers see */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "store/engine.h"

static struct cid_sum root_sum(const struct cid_root *r)
{
	return cid_sum_of(r, offsetof(struct cid_root, sum), 0);
}

bool cid_root_valid(const struct cid_root *r)
{
	return memcmp(r->magic, CID_ROOT_MAGIC, sizeof(r->magic)) == 0 &&
	       (CID_PLANT(16) || cid_sum_eq(root_sum(r), r->sum));
}

static bool empty(const struct cid_root *r)
{
	static const struct cid_root none;

	return memcmp(r, &none, sizeof(none)) == 0;
}

int cid_root_choose(const struct cid_root r[CID_ROOT_COPIES], struct cid_root *out,
		    unsigned *bad_copies, struct cidstore_error *err)
{
	int best = -1;

	*bad_copies = 0;
	for (int i = 0; i < CID_ROOT_COPIES; i++)
		if (cid_root_valid(&r[i]) && (best < 0 || r[i].generation > r[best].generation))
			best = i;
	if (best < 0)
		return cid_err_set(err, CIDSTORE_ECORRUPT,
				   "main.h5: none of the four root copies is valid; "
				   "fsck.cidstore tells what is left");
	/* The other copy of this generation; and what else is neither a root nor
	 * nothing. */
	for (int i = 0; i < CID_ROOT_COPIES; i++)
		if (i / 2 == best / 2 ? i != best && (!cid_root_valid(&r[i]) ||
						      r[i].generation != r[best].generation)
				      : !cid_root_valid(&r[i]) && !empty(&r[i]))
			*bad_copies |= 1u << i;
	*out = r[best];
	if (out->format_version > CID_FORMAT_VERSION)
		return cid_err_set(err, CIDSTORE_EVERSION,
				   "the store has format version %u; this program knows %d: "
				   "use a newer one",
				   out->format_version, CID_FORMAT_VERSION);
	return 0;
}

int cid_root_pair(const struct cid_io *io, int mainfd, unsigned pair, struct cid_root out[2],
		  bool lost[2])
{
	const uint64_t off = CID_H5_ROOT_OFFSET + 2 * pair * sizeof(*out);
	int rc = cid_io_read_full(io, mainfd, out, 2 * sizeof(*out), off);

	lost[0] = lost[1] = false;
	for (unsigned i = 0; rc && i < 2; i++)
		if (cid_io_read_full(io, mainfd, &out[i], sizeof(*out), off + i * sizeof(*out))) {
			memset(&out[i], 0xff, sizeof(*out));
			lost[i] = true;
		}
	return lost[0] && lost[1] ? rc : 0;
}

int cid_root_read(const struct cid_io *io, int mainfd, struct cid_root *out, unsigned *bad_copies,
		  struct cidstore_error *err)
{
	struct cid_root *r = aligned_alloc(CID_PAGE, CID_ROOT_COPIES * sizeof(*r));
	const uint64_t end = CID_H5_ROOT_OFFSET + CID_ROOT_COPIES * sizeof(*r);
	bool lost[2];
	struct stat st;
	int rc = 0;

	if (!r)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	for (unsigned pair = 0; rc == 0 && pair < CID_ROOT_COPIES / 2; pair++)
		rc = cid_root_pair(io, mainfd, pair, r + 2 * pair, lost);
	if (io->stat(io->self, mainfd, &st) == 0 && (uint64_t)st.st_size < end)
		rc = cid_err_set(err, CIDSTORE_ECORRUPT,
				 "main.h5: file is cut off: %lld bytes, the root copies end at %llu; "
				 "put back main.h5 as it was, or the store from a copy or an export",
				 (long long)st.st_size, (unsigned long long)end);
	else if (rc)
		rc = cid_err_set(err, cid_err_from_errno(rc), "main.h5: cannot read the root: %s",
				 strerror(-rc));
	else
		rc = cid_root_choose(r, out, bad_copies, err);
	free(r);
	return rc;
}

/* Far beyond what is ever made; so that sums with them do not overflow. */
#define MAX_DELETION_PAGES (1u << 20)
#define MAX_DATA_OFFSET (1ull << 30)

int cid_root_check(const struct cid_root *r, struct cidstore_error *err)
{
	bool sane = r->segment_shift <= 32 && 1ull << r->segment_shift >= CID_SEGMENT_BYTES_MIN &&
		    r->bucket_bytes >= CID_BUCKET_BYTES_MIN &&
		    r->log_records >= CID_LOG_BYTES_MIN / CID_RECORD_BYTES &&
		    (r->log_records & (r->log_records - 1)) == 0 && r->log_records <= 1ull << 26 &&
		    r->log_spans != 0 && r->log_spans <= CID_WAL_SPANS && r->deletion_pages >= 2 &&
		    r->deletion_pages <= MAX_DELETION_PAGES &&
		    r->deletion_tail <= r->deletion_head &&
		    r->deletion_head - r->deletion_tail <= r->deletion_pages &&
		    r->log_first != 0 && r->log_first <= CID_LSN_MAX;

	for (int i = 0; i < 5; i++)
		sane = sane && r->data_offset[i] % CID_PAGE == 0 &&
		       r->data_offset[i] <= MAX_DATA_OFFSET;
	return sane ? 0 : cid_err_set(err, CIDSTORE_ECORRUPT, "main.h5: the root is not sensible");
}

int cid_root_write(const struct cid_io *io, int mainfd, struct cid_root *r)
{
	struct cid_root *two = aligned_alloc(CID_PAGE, 2 * sizeof(*two));
	int rc;

	if (!two)
		return CIDSTORE_ENOMEM;
	memcpy(r->magic, CID_ROOT_MAGIC, sizeof(r->magic));
	r->sum = root_sum(r);
	two[0] = two[1] = *r;
	rc = cid_io_write_full(io, mainfd, two, 2 * sizeof(*two),
			       CID_H5_ROOT_OFFSET +
				       (CID_PLANT(17) ? 0 : r->generation & 1) * 2 * sizeof(*r));
	free(two);
	if (rc == 0 && !CID_PLANT(4))
		rc = io->sync(io->self, mainfd);
	return rc ? cid_err_from_errno(rc) : 0;
}

static int void_copy(const struct cid_io *io, int mainfd, unsigned i, bool whole)
{
	static const struct cid_root none;
	const uint64_t off = CID_H5_ROOT_OFFSET + i * sizeof(none);
	int rc = -EIO;

	if (!whole)
		rc = cid_io_write_full(io, mainfd, &none, sizeof(none.magic), off);
	/* What cannot be read is written whole, or not at all. */
	if (rc == -EIO)
		rc = cid_io_write_full(io, mainfd, &none, sizeof(none), off);
	return rc;
}

/*
 * A copy that power cut off may lack no more than words which the next root to
 * be written there has, too. Cut off in turn, that could make it whole: a root
 * newer than any that counted, whose blocks have been used again. So nothing is
 * left of it: first the word without which the rest means nothing goes, and when
 * that is durable the rest.
 */
int cid_root_void(const struct cid_io *io, int mainfd, unsigned copies)
{
	int rc = 0;

	for (int step = 0; rc == 0 && step < 2; step++) {
		for (unsigned i = 0; rc == 0 && i < CID_ROOT_COPIES; i++)
			if (copies >> i & 1)
				rc = void_copy(io, mainfd, i, step);
		if (rc == 0)
			rc = io->sync(io->self, mainfd);
	}
	return rc ? cid_err_from_errno(rc) : 0;
}

int cid_load_block(const struct cid_pool *meta, const struct cid_block_ref *ref, void **out)
{
	void *p;
	int rc;

	*out = NULL;
	if (ref->pos == 0)
		return ref->bytes ? CIDSTORE_ECORRUPT : 0;
	if (!cid_pool_holds(meta, ref->pos, ref->bytes))
		return CIDSTORE_ECORRUPT;
	p = malloc((size_t)ref->bytes);
	if (!p)
		return CIDSTORE_ENOMEM;
	rc = cid_pool_read(meta, ref->pos, p, (size_t)ref->bytes);
	if (rc == 0 && !cid_sum_eq(cid_sum_of(p, (size_t)ref->bytes, 0), ref->sum))
		rc = CIDSTORE_ECORRUPT;
	if (rc) {
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void cid_dir_free_all(struct cid_dir *d)
{
	if (!d)
		return;
	for (uint64_t i = 0; i < 1ull << d->depth; i++) {
		struct cid_part *p = atomic_load(&d->slot[i]);

		if (i == 0 || p != atomic_load(&d->slot[i - 1]))
			cid_part_free(p);
	}
	free(d);
}

static int load_dir(struct cid_pool pool[CID_POOLS], const struct cid_root *r, struct cid_dir *d,
		    const struct cid_page_ref *ref, uint64_t *buckets)
{
	struct cid_slot slot[64];
	uint64_t n = 1ull << d->depth, loaded = UINT64_MAX, span;

	for (uint64_t i = 0; i < n; i += span) {
		const struct cid_slot *s = &slot[i % 64];
		struct cid_part *p;
		int rc;

		if (i / 64 != loaded) {
			const struct cid_page_ref *pr = &ref[i / 64];

			loaded = i / 64;
			rc = cid_pool_read(&pool[CID_POOL_META], pr->pos, slot, sizeof(slot));
			if (rc)
				return rc;
			if (!cid_sum_eq(cid_sum_of(slot, sizeof(slot), pr->generation), pr->sum))
				return CIDSTORE_ECORRUPT;
		}
		if (s->depth > d->depth)
			return CIDSTORE_ECORRUPT;
		span = 1ull << (d->depth - s->depth);
		if (i % span)
			return CIDSTORE_ECORRUPT;
		rc = cid_part_new(&pool[CID_POOL_PARTS], r->hash_seed, s,
				  d->depth ? i << (CID_HASH_BITS - d->depth) : 0, &p);
		if (rc)
			return rc;
		cid_dir_set(d, p, (uint32_t)s->depth);
		++*buckets;
	}
	return 0;
}

int cid_load_tree(struct cid_pool pool[CID_POOLS], const struct cid_root *r, struct cid_dir **dir,
		  struct cid_part ***run, struct cid_page_ref **dir_ref, uint64_t *buckets)
{
	uint64_t nruns = r->runs.bytes / sizeof(struct cid_slot), pages;
	struct cid_page_ref *ref = NULL;
	struct cid_slot *slot = NULL;
	struct cid_part **runs = NULL;
	struct cid_dir *d = NULL;
	int rc;

	*buckets = 0;
	if (r->global_depth > 40 || nruns > CID_MAX_RUNS)
		return CIDSTORE_ECORRUPT;
	pages = r->global_depth > 6 ? 1ull << (r->global_depth - 6) : 1;
	if (r->directory.bytes != pages * sizeof(*ref))
		return CIDSTORE_ECORRUPT;
	rc = cid_load_block(&pool[CID_POOL_META], &r->directory, (void **)&ref);
	if (rc == 0)
		rc = cid_load_block(&pool[CID_POOL_META], &r->runs, (void **)&slot);
	if (rc == 0) {
		d = cid_dir_new(r->global_depth);
		runs = calloc(CID_MAX_RUNS + 1, sizeof(struct cid_part *));
		rc = d && runs && ref ? 0 : CIDSTORE_ENOMEM;
	}
	if (rc == 0)
		rc = load_dir(pool, r, d, ref, buckets);
	for (uint64_t i = 0; rc == 0 && slot && i < nruns; i++)
		rc = cid_part_new(&pool[CID_POOL_PARTS], r->hash_seed, &slot[i], 0, &runs[i]);
	free(slot);
	if (rc) {
		for (uint64_t i = 0; runs && i < nruns; i++)
			cid_part_free(runs[i]);
		free(runs);
		cid_dir_free_all(d);
		free(ref);
		return rc;
	}
	*dir = d;
	*run = runs;
	if (dir_ref)
		*dir_ref = ref;
	else
		free(ref);
	return 0;
}
