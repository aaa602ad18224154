/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * root.c - the root and what it refers to: directory, runs, space maps
 *
 * The input is a list of changes to these blocks, six bytes each: which block,
 * where, and what. Then all checksums up to the root are put right, so that
 * only judgement stands between a wrong number and its use. The store is opened
 * for reading, read, and checked.
 */
#include <fcntl.h>
#include <unistd.h>
#include "store/engine.h"
#include "fuzz/fuzz.h"

enum { BLOCKS = 8, DIR_TABLE = 1, DIR_PAGE, RUNS, SPACE }; /* block 0 is the root */

struct block {
	uint64_t pos;
	size_t n;
	uint8_t *clean, *p;
};

static char dir[300];
static struct cid_root clean_root, root;
static struct block block[BLOCKS];
static int mainfd = -1, metafd;

static int open_rw(const char *name)
{
	char file[340];
	int fd;

	(void)snprintf(file, sizeof(file), "%s/%s", dir, name);
	fd = open(file, O_RDWR);
	if (fd < 0)
		exit(99);
	return fd;
}

static void load(int i, uint64_t pos, uint64_t n)
{
	block[i] = (struct block){ pos, (size_t)n, calloc(1, n + 1), calloc(1, n + 1) };
	if (!block[i].clean || !block[i].p ||
	    (n && pread(metafd, block[i].clean, n, (off_t)(root.data_offset[0] + pos)) !=
			  (ssize_t)n))
		exit(99);
}

static void make(void)
{
	static const struct cidstore_geometry geo = { .log_bytes = 256 << 10,
						      .segment_bytes = 4 << 20,
						      .bucket_bytes = 8192,
						      .promotion_threshold = 4,
						      .hash_seed = 7 };
	struct cidstore_error err;
	struct cidstore *s;
	unsigned bad;

	(void)snprintf(dir, sizeof(dir), "%s/store", fuzz_dir());
	if (cidstore_create(dir, &geo, &err) || cidstore_open(dir, CIDSTORE_MANUAL, &s, &err))
		exit(99);
	for (uint64_t i = 0; i < 3000; i++) {
		struct cidstore_pair p = { { i % 700, i % 7 ? 0 : 1 }, { i, 1 } };

		if (cidstore_insert(s, &p, 1, NULL))
			exit(99);
		if (i == 2000 && cidstore_compact(s))
			exit(99);
		if (i % 400 == 399 && cidstore_checkpoint(s))
			exit(99);
	}
	if (cidstore_close(s))
		exit(99);
	mainfd = open_rw("main.h5");
	metafd = open_rw("directory-0.h5");
	if (cid_root_read(&cid_io_posix, mainfd, &clean_root, &bad, &err))
		exit(99);
	root = clean_root;
	load(DIR_TABLE, root.directory.pos, root.directory.bytes);
	load(DIR_PAGE, ((struct cid_page_ref *)(void *)block[DIR_TABLE].clean)->pos, CID_PAGE);
	load(RUNS, root.runs.pos, root.runs.bytes);
	for (int k = 0; k < CID_POOLS; k++)
		load(SPACE + k, root.space[k].pos, root.space[k].bytes);
	load(SPACE + CID_POOLS, root.freed.pos, root.freed.bytes);
}

static void write_block(int i, struct cid_block_ref *ref)
{
	struct block *b = &block[i];

	if (!b->n)
		return;
	if (ref && ref->pos == b->pos && ref->bytes <= b->n)
		ref->sum = cid_sum_of(b->p, (size_t)ref->bytes, 0);
	if (pwrite(metafd, b->p, b->n, (off_t)(clean_root.data_offset[0] + b->pos)) !=
	    (ssize_t)b->n)
		exit(99);
}

static void seal(void)
{
	struct cid_page_ref *page = (void *)block[DIR_TABLE].p;

	page->sum = cid_sum_of(block[DIR_PAGE].p, CID_PAGE, page->generation);
	write_block(DIR_PAGE, NULL);
	write_block(DIR_TABLE, &root.directory);
	write_block(RUNS, &root.runs);
	for (int k = 0; k < CID_POOLS; k++)
		write_block(SPACE + k, &root.space[k]);
	write_block(SPACE + CID_POOLS, &root.freed);
	root.sum = cid_sum_of(&root, offsetof(struct cid_root, sum), 0);
	for (unsigned i = 0; i < CID_ROOT_COPIES; i++)
		if (pwrite(mainfd, &root, sizeof(root), (off_t)(CID_H5_ROOT_OFFSET + i * CID_PAGE)) !=
		    sizeof(root))
			exit(99);
}

static void change(struct fuzz_in *in)
{
	uint64_t which = fuzz_take(in, 1), at = fuzz_take(in, 2), what = fuzz_take(in, 1);
	uint64_t v = fuzz_take(in, 2);
	struct block *b = &block[which % BLOCKS];
	uint8_t *p = which % BLOCKS ? b->p : (uint8_t *)&root;
	size_t n = which % BLOCKS ? b->n : 900; /* what follows in the root is reserved */

	if (n < 8)
		return;
	/* Mostly whole fields. */
	at = which & 0x80 ? at % (n - 7) : at % (n / 8) * 8;
	switch (what & 7) {
	case 0:
		p[at] = (uint8_t)v;
		break;
	case 1:
		memcpy(p + at, &v, 8);
		break;
	case 2:
		v = v << 48;
		memcpy(p + at, &v, 8);
		break;
	case 3:
		v = (uint64_t)(int64_t)(int16_t)v;
		memcpy(p + at, &v, 8);
		break;
	case 4:
		p[at + (v & 7)] ^= (uint8_t)(1u << (v >> 8 & 7));
		break;
	case 5:
		v <<= 12; /* pages */
		memcpy(p + at, &v, 8);
		break;
	default:
		memcpy(p + at, &v, 4);
	}
}

static void read_some(struct cidstore *s)
{
	static struct cidstore_pair pair[512];
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[64];
	struct cidstore_snapshot *v;
	struct cidstore_id key[64];
	uint64_t c, items = 0;
	size_t n, m;
	int rc;

	do {
		rc = cidstore_scan_keys(s, &pos, item, 64, &n);
		items += rc ? 0 : n;
	} while (rc == 0 && n && items < 10000);
	for (uint64_t i = 0; i < 20; i++)
		(void)cidstore_count(s, (struct cidstore_id){ i * 31, 0 }, &c);
	if (cidstore_snapshot_open(s, &v))
		return;
	items = 0;
	do {
		rc = cidstore_snapshot_read(v, pair, 512, &n, key, 64, &m);
		items += rc ? 0 : n + m;
	} while (rc == 0 && (n || m) && items < 100000);
	cidstore_snapshot_close(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	struct cidstore_report report;
	struct cid_io io = cid_io_posix;
	struct cidstore_error err;
	struct cidstore *s;
	int rc;

	io.pause = NULL; /* once is enough: nobody writes */

	if (mainfd < 0)
		make();
	root = clean_root;
	for (int i = 1; i < BLOCKS; i++)
		memcpy(block[i].p, block[i].clean, block[i].n);
	while (in.n > 0)
		change(&in);
	seal();
	err.code = 0;
	rc = cid_store_open_io(&io, dir, CIDSTORE_RDONLY, &s, &err);
	if (rc == 0) {
		read_some(s);
		fuzz_must(cidstore_close(s) == 0, "it is closed");
	} else {
		fuzz_must(err.code == rc && err.message[0], "a refusal says why");
	}
	rc = cid_store_check_io(&io, dir, 0, NULL, NULL, &report, &err);
	fuzz_must(n > 0 || (rc == 0 && report.errors == 0), "what was not changed is right");
	return 0;
}
