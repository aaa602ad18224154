/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - replay of a log that says anything
 *
 * The input is a list of records in eight bytes each, which are packed with a
 * right checksum and then, where it says so, changed; opening the store for
 * reading replays them over a store that has some keys.
 */
#include <fcntl.h>
#include <unistd.h>
#include "store/engine.h"
#include "fuzz/fuzz.h"

enum { RECORDS = 4096 };

static char dir[300];
static struct cid_root root;
static int wal = -1;
static uint8_t ring[RECORDS * CID_RECORD_BYTES];

static void make(void)
{
	static const struct cidstore_geometry geo = { .log_bytes = RECORDS * CID_RECORD_BYTES,
						      .segment_bytes = 4 << 20,
						      .bucket_bytes = 8192,
						      .promotion_threshold = 4,
						      .hash_seed = 7 };
	struct cidstore_error err;
	struct cidstore *s;
	struct cidstore_pair p;
	char file[340];
	unsigned bad;
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s/store", fuzz_dir());
	if (cidstore_create(dir, &geo, &err) || cidstore_open(dir, CIDSTORE_MANUAL, &s, &err))
		exit(99);
	for (uint64_t i = 0; i < 300; i++) {
		p = (struct cidstore_pair){ { i % 16, 0 }, { i, 1 } };
		if (cidstore_insert(s, &p, 1, NULL))
			exit(99);
	}
	if (cidstore_close(s))
		exit(99);
	(void)snprintf(file, sizeof(file), "%s/main.h5", dir);
	fd = open(file, O_RDONLY);
	if (cid_root_read(&cid_io_posix, fd, &root, &bad, &err))
		exit(99);
	close(fd);
	(void)snprintf(file, sizeof(file), "%s/wal-0.h5", dir);
	wal = open(file, O_RDWR);
	if (wal < 0)
		exit(99);
}

static void put_record(struct fuzz_in *in, uint64_t *lsn, uint64_t *begin)
{
	uint64_t what = fuzz_take(in, 1), flags = fuzz_take(in, 1), a = fuzz_take(in, 2);
	uint64_t b = fuzz_take(in, 4);
	struct cid_record r = { .version = CID_RECORD_VERSION, .opcode = what & 63,
				.nanos = 1 + *lsn, .lsn = *lsn };
	uint8_t *to = ring + (*lsn % RECORDS) * CID_RECORD_BYTES;

	r.generation = root.log_span[root.log_spans - 1].generation;
	if (what & 0x40)
		r.opcode = (uint8_t)(what % 7);
	r.key = (struct cidstore_id){ a % 32, 0 };
	r.value = (struct cidstore_id){ b >> 16, b & 0xffff };
	if (r.opcode == CID_OP_BEGIN)
		*begin = *lsn;
	if (r.opcode == CID_OP_COMMIT && !(flags & 1))
		r.value.low = *begin;
	if (flags & 2)
		r.lsn += a % 5 == 0 ? RECORDS : a % 7;
	if (flags & 4)
		r.generation += (uint32_t)(b % 3);
	if (flags & 8)
		r.version = b & 3;
	if (flags & 16)
		r.nanos = b;
	cid_record_pack(&r, to);
	if (flags & 32)
		to[a % CID_RECORD_BYTES] ^= (uint8_t)(1u << (b & 7));
	if (flags & 64)
		to[b % CID_RECORD_BYTES] ^= (uint8_t)(1u << (a & 7));
	if (flags & 128)
		memset(to, (int)a, CID_RECORD_BYTES);
	++*lsn;
}

static void read_all(struct cidstore *s)
{
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[64];
	struct cidstore_snapshot *v;
	static struct cidstore_pair pair[512];
	struct cidstore_id key[64];
	uint64_t keys = 0, values = 0, pairs = 0, with[2] = { 0 }, c;
	size_t n, m;

	do {
		fuzz_must(cidstore_scan_keys(s, &pos, item, 64, &n) == 0, "keys are listed");
		for (size_t i = 0; i < n; i++) {
			keys++;
			values += item[i].count;
			fuzz_must(cidstore_count(s, item[i].id, &c) == 0 && c == item[i].count,
				  "a key listed is there, with its count");
		}
	} while (n);
	fuzz_must(cidstore_snapshot_open(s, &v) == 0, "a snapshot is to be had");
	do {
		fuzz_must(cidstore_snapshot_read(v, pair, 512, &n, key, 64, &m) == 0,
			  "it is read");
		pairs += n;
		with[0] += m;
	} while (n || m);
	cidstore_snapshot_close(v);
	fuzz_must(pairs == values && with[0] <= keys, "listing and snapshot agree");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	struct cid_io io = cid_io_posix;
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t lsn, begin = 0;
	int rc;

	io.pause = NULL; /* once is enough: nobody writes */

	if (wal < 0)
		make();
	memset(ring, 0, sizeof(ring));
	lsn = root.log_first;
	while (in.n > 0 && lsn < root.log_first + RECORDS)
		put_record(&in, &lsn, &begin);
	if (pwrite(wal, ring, sizeof(ring), (off_t)root.data_offset[3]) != sizeof(ring))
		exit(99);
	err.code = 0;
	rc = cid_store_open_io(&io, dir, CIDSTORE_RDONLY, &s, &err);
	if (rc) {
		fuzz_must(err.code == rc && err.message[0], "a refusal says why");
		return 0;
	}
	read_all(s);
	fuzz_must(cidstore_close(s) == 0, "it is closed");
	return 0;
}
