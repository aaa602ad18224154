/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * part.c - a bucket and a run with any entries, indexes, footers and value
 * lists, read in all ways there are
 *
 * The input says how many entries there are and what they hold; references to
 * lists point to places in a page of values that the input fills as well. What
 * has a checksum gets the right one, unless the input says otherwise.
 */
#include <sys/mman.h>
#include <unistd.h>
#include "store/dump.h"
#include "store/engine.h"
#include "fuzz/fuzz.h"

enum {
	SHIFT = 22,
	PAGES = 4,		 /* of a part */
	ENTRIES = 128,
	VALUES = 32 * CID_PAGE,	 /* from page 1 of the values pool on */
	SEED = 7
};

static struct cid_pool pool[2]; /* parts, values */
static struct cid_tables tables;

static void make(void)
{
	static struct cid_segment seg[2];

	for (int i = 0; i < 2; i++) {
		int fd = memfd_create("fuzz", MFD_CLOEXEC);
		void *p;

		if (fd < 0 || ftruncate(fd, 1 << SHIFT))
			exit(99);
		p = mmap(NULL, 1 << SHIFT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			exit(99);
		seg[i] = (struct cid_segment){ .fd = fd, .map = p, .map_base = p };
		pool[i] = (struct cid_pool){ .io = &cid_io_posix, .shift = SHIFT, .readonly = true,
					     .seg = &seg[i] };
		atomic_store(&pool[i].segments, 1);
	}
	tables.parts = &pool[0];
	tables.values = &pool[1];
	tables.seed = SEED;
}

static uint8_t *at(struct cid_pool *p, uint64_t pos)
{
	return (uint8_t *)p->seg[0].map_base + pos;
}

/* A position and length in the values page, mostly sensible. */
static void some_list(struct fuzz_in *in, struct cid_list_ref *r, bool tree)
{
	uint64_t where = fuzz_take(in, 2), count = fuzz_take(in, 2), what = fuzz_take(in, 1);
	size_t bytes;

	*r = (struct cid_list_ref){ .pos = CID_PAGE + where % (VALUES / 16) * 16,
				    .count = count % 40 };
	if (what & 1)
		r->pos = where << 12 | (what & 0xfe);
	if (what & 2)
		r->count = count << (what >> 2 & 31);
	r->level = tree ? (uint32_t)(what >> 6) : 0;
	r->children = r->level ? (uint32_t)(count % 9) : (uint32_t)r->count;
	bytes = cid_block_bytes(r->level, r->children);
	if (bytes && cid_pool_holds(&pool[1], r->pos, bytes) && !(what & 0x20))
		r->sum = cid_sum_of(at(&pool[1], r->pos), bytes, 0);
}

/* Values, and on the pages behind them references, each with its checksum. */
static void fill_values(struct fuzz_in *in)
{
	uint64_t salt = fuzz_take(in, 2);

	for (uint64_t i = 0; i < VALUES / 16; i++) {
		struct cidstore_id id = { salt, i };

		memcpy(at(&pool[1], CID_PAGE + i * 16), &id, sizeof(id));
	}
	for (uint64_t n = fuzz_take(in, 1) % 64; n > 0; n--) {
		struct cid_list_ref r;
		struct cid_node_ref node;

		some_list(in, &r, true);
		node = (struct cid_node_ref){ .first = fuzz_take(in, 2) << 46, .pos = r.pos,
					      .count = r.count, .children = r.children,
					      .level = r.level, .sum = r.sum };
		memcpy(at(&pool[1], CID_PAGE + fuzz_take(in, 2) % (VALUES / 48) * 48), &node,
		       sizeof(node));
	}
}

struct raw {
	struct cid_entry e;
	enum cid_state state;
	uint64_t hash;
	uint64_t damage;
};

static int by_hash(const void *a, const void *b)
{
	const struct raw *x = a, *y = b;

	return cid_value_cmp(x->hash, x->e.key, y->hash, y->e.key);
}

static struct cid_part *make_part(struct fuzz_in *in, uint64_t page, uint8_t kind,
				  uint64_t generation)
{
	static struct raw raw[ENTRIES];
	uint64_t pos = page * CID_PAGE, n = fuzz_take(in, 1) % ENTRIES, odd = fuzz_take(in, 1);
	uint64_t extent = PAGES * CID_PAGE;
	struct cid_slot slot = { .pos = pos, .entries = (uint32_t)n, .pages = PAGES,
				 .generation = generation };
	struct cid_footer f = { .magic = CID_PART_MAGIC, .version = CID_FORMAT_VERSION,
				.kind = kind, .generation = generation, .pos = pos,
				.entries = (uint32_t)n, .last_run = odd & 4 ? 1 : 0 };
	uint64_t seed = cid_part_seed(SEED, generation);
	struct cid_part *p;
	uint32_t *start;
	uint16_t *tag;
	size_t bytes;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t what = fuzz_take(in, 1);
		struct cid_list_ref r;

		memset(&raw[i], 0, sizeof(raw[i]));
		raw[i].state = (enum cid_state)(what & 15);
		if (kind == CID_PART_BUCKET && !(what & 0x10))
			raw[i].state = (enum cid_state)(CID_EMPTY + what % 5);
		raw[i].e.key = (struct cidstore_id){ 0, fuzz_take(in, 1) };
		raw[i].hash = cid_hash(raw[i].e.key, SEED);
		if (cid_state_table[raw[i].state].form == CID_FORM_INLINE) {
			raw[i].e.slot[0].low = fuzz_take(in, 1);
			raw[i].e.slot[1].low = fuzz_take(in, 1);
		} else {
			some_list(in, &r, cid_state_table[raw[i].state].form == CID_FORM_TREE);
			cid_entry_set_list(&raw[i].e, &r);
		}
		raw[i].damage = what & 0x80 ? 1 + fuzz_take(in, 2) : 0;
	}
	if (!(odd & 1))
		qsort(raw, n, sizeof(raw[0]), by_hash);
	memset(at(&pool[0], pos), 0, extent);
	f.bins_log2 = odd & 2 ? (uint32_t)fuzz_take(in, 1) : cid_index_bins_log2(n);
	start = (uint32_t *)(void *)at(&pool[0], pos + n * CID_ENTRY_BYTES);
	bytes = f.bins_log2 < 12 ? cid_index_bytes(n, f.bins_log2) : 0;
	if (bytes && n * CID_ENTRY_BYTES + bytes + sizeof(f) <= extent && f.bins_log2) {
		uint32_t bins = 1u << f.bins_log2;

		tag = (uint16_t *)(void *)(start + bins + 1);
		for (uint32_t b = 0; b <= bins; b++) {
			uint32_t k = 0;

			while (k < n && b < bins && cid_index_bin(raw[k].hash, 0, f.bins_log2) < b)
				k++;
			start[b] = b == bins ? (uint32_t)n : k;
		}
		for (uint64_t i = 0; i < n; i++)
			tag[i] = cid_index_tag(raw[i].hash, 0, f.bins_log2);
		if (odd & 8)
			start[fuzz_take(in, 1) % (bins + 1)] = (uint32_t)fuzz_take(in, 2);
		f.index_sum = cid_sum_of(start, bytes, seed);
	}
	for (uint64_t i = 0; i < n; i++) {
		uint64_t where = pos + i * CID_ENTRY_BYTES;

		cid_entry_seal(&raw[i].e, raw[i].state, seed, where);
		memcpy(at(&pool[0], where), &raw[i].e, sizeof(raw[i].e));
		if (raw[i].damage)
			at(&pool[0], where)[raw[i].damage % 64] ^= (uint8_t)(raw[i].damage >> 8);
	}
	if (odd & 16)
		((uint8_t *)&f)[fuzz_take(in, 1) % 128] = (uint8_t)fuzz_take(in, 1);
	if (odd & 32)
		slot.pages = (uint32_t)fuzz_take(in, 2);
	if (odd & 64)
		slot.entries = (uint32_t)fuzz_take(in, 2);
	memcpy(at(&pool[0], pos + extent - sizeof(f)), &f, sizeof(f));
	slot.sum = cid_sum_of(&f, sizeof(f), seed);
	return cid_part_new(&pool[0], SEED, &slot, 0, &p) ? NULL : p;
}

static void read_keys(const struct cid_view *v)
{
	struct cidstore_id out[64];

	for (uint64_t i = 0; i < 256; i++) {
		struct cid_key k;
		uint64_t total = 0;

		cid_key_init(&k, (struct cidstore_id){ 0, i }, cid_hash((struct cidstore_id){ 0, i },
									  SEED));
		if (cid_key_collect(&k, &tables, v) == 0 && cid_key_exists(&k)) {
			(void)cid_key_count(&k, &tables, &total);
			(void)cid_key_has(&k, &tables, (struct cidstore_id){ 0, i });
			(void)cid_key_copy(&k, &tables, out, 64, &total);
		}
		cid_key_fini(&k);
	}
}

static void read_lists(const struct cid_view *v)
{
	static struct cidstore_pair pair[256];
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[32];
	struct cidstore_id key[32];
	struct cid_dump *d;
	size_t n, m = 1, given = 0;

	for (int i = 0; i < 100 && cid_scan_keys(&tables, v, &pos, item, 32, &n) == 0 && n; i++) {
		struct cidstore_pos vp = { 0 };

		for (int j = 0; j < 4 && cid_scan_values(&tables, v, item[0].id, &vp, item, 16,
							 &m) == 0 && m; j++)
			;
	}
	if (cid_dump_new(&tables, v, &d))
		return;
	for (int i = 0; i < 1000; i++) {
		struct cid_dump_out o = { .pair = pair, .pair_cap = 256, .key = key, .key_cap = 32 };

		if (cid_dump_read(d, &o) || o.pairs + o.keys == 0)
			break;
		given += o.pairs;
	}
	cid_dump_free(d);
	fuzz_must(given < 1000000, "there is an end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	struct cid_part *part[3];
	struct cid_view *v;
	struct cid_dir *dir;

	if (!tables.parts)
		make();
	fill_values(&in);
	part[0] = make_part(&in, 1, CID_PART_BUCKET, 1);
	part[1] = make_part(&in, 1 + PAGES, CID_PART_RUN, 2);
	part[2] = make_part(&in, 1 + 2 * PAGES, CID_PART_RUN, 3);
	dir = cid_dir_new(0);
	v = calloc(1, sizeof(*v) + 2 * sizeof(v->run[0]));
	if (part[0] && part[1] && part[2] && dir && v) {
		v->dir = dir;
		cid_dir_set(dir, part[0], 0);
		v->nruns = 2;
		v->run[0] = part[1];
		v->run[1] = part[2];
		read_keys(v);
		read_lists(v);
	}
	for (int i = 0; i < 3; i++)
		cid_part_free(part[i]);
	free(dir);
	free(v);
	return 0;
}
