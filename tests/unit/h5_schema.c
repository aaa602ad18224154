/* SPDX-License-Identifier: BSD-2-Clause */
/* The types that main.h5 shows are the structures that the engine uses. */
#include <stddef.h>
#include <string.h>

#include "h5/schema.h"
#include "hash/values.h"
#include "lib/tap.h"
#include "store/format.h"

/* Every byte of a type belongs to exactly one field. */
static bool covers(unsigned bytes, const struct cid_h5_field *f)
{
	unsigned at = 0;

	for (; f->name; f++) {
		if (f->offset != at || !f->width || !f->count ||
		    (f->parts && !covers(f->width, f->parts)))
			return false;
		at += (unsigned)f->width * f->count;
	}
	return at == bytes;
}

static const struct cid_h5_field *field(const struct cid_h5_type *t, const char *name)
{
	const struct cid_h5_field *f;

	for (f = t->fields; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static bool lies(const struct cid_h5_type *t, const char *name, size_t offset, size_t size)
{
	const struct cid_h5_field *f = field(t, name);

	if (f && f->offset == offset && (size_t)f->width * f->count == size)
		return true;
	tap_note("%s.%s is not %zu bytes at %zu", t->path, name, size, offset);
	return false;
}

#define LIES(t, s, member, name) \
	lies(t, name, offsetof(struct s, member), sizeof(((struct s *)0)->member))

static bool root_lies(void)
{
	const struct cid_h5_type *t = &cid_h5_schemas[CID_H5_MAIN].type;
	bool ok = true;

/* clang-format off */
#define M(m) ok &= LIES(t, cid_root, m, #m)
	M(magic), M(format_version), M(flags), M(generation), M(uuid), M(hash_seed);
	M(created_ns), M(committed_ns), M(segment_shift), M(bucket_bytes), M(log_records);
	M(deletion_pages), M(data_offset), M(segments), M(global_depth), M(log_first);
	M(log_durable), M(log_nanos), M(log_spans), M(log_span), M(directory), M(runs);
	M(space), M(freed), M(deletion_head), M(deletion_tail), M(next_generation);
	M(next_run), M(sweep_run), M(keys), M(values), M(sweep_keys), M(sweep_values);
	M(config), M(counter), M(reserved);
#undef M
	/* clang-format on */
	return ok & LIES(t, cid_root, sum, "checksum");
}

static bool slot_lies(void)
{
	const struct cid_h5_type *t = &cid_h5_schemas[CID_H5_DIRECTORY].type;

	return LIES(t, cid_slot, pos, "bucket_pos") & LIES(t, cid_slot, entries, "entries") &
	       LIES(t, cid_slot, pages, "pages") & LIES(t, cid_slot, generation, "generation") &
	       LIES(t, cid_slot, depth, "depth") & LIES(t, cid_slot, keys, "keys") &
	       LIES(t, cid_slot, values, "values") & LIES(t, cid_slot, sum.low, "checksum_low") &
	       LIES(t, cid_slot, sum.high, "checksum_high");
}

static const struct cid_h5_type *other_type(const char *path)
{
	const struct cid_h5_type *t;

	for (t = cid_h5_other_types; t->path; t++)
		if (!strcmp(t->path, path))
			return t;
	tap_bail("no type %s", path);
}

static bool footer_lies(void)
{
	const struct cid_h5_type *t = other_type("/types/footer");
	bool ok = true;

/* clang-format off */
#define M(m) ok &= LIES(t, cid_footer, m, #m)
	M(magic), M(version), M(kind), M(depth), M(prefix), M(generation), M(pos), M(entries);
	M(bins_log2), M(first_run), M(last_run), M(keys), M(values), M(packed_pos);
	M(packed_bytes), M(packed_pages), M(trees), M(deletes), M(reserved);
#undef M
	/* clang-format on */
	return ok & LIES(t, cid_footer, index_sum, "index_checksum") &
	       LIES(t, cid_footer, own, "own_checksum");
}

static bool small_lie(void)
{
	const struct cid_h5_type *e = &cid_h5_schemas[CID_H5_BUCKETS].type;
	const struct cid_h5_type *d = &cid_h5_schemas[CID_H5_DELETIONS].type;
	const struct cid_h5_type *n = other_type("/types/node_ref");
	const struct cid_h5_type *f = other_type("/types/freed");
	const struct cid_h5_type *g = other_type("/types/page_ref");
	const struct cid_h5_type *h = other_type("/types/deletion_page");

	return LIES(e, cid_entry, key.high, "key_high") & LIES(e, cid_entry, key.low, "key_low") &
	       LIES(e, cid_entry, slot, "slot") & LIES(e, cid_entry, check_low, "checksum_low") &
	       LIES(e, cid_entry, check_high, "checksum_high") &
	       LIES(d, cid_deletion, key.high, "key_high") &
	       LIES(d, cid_deletion, value_group, "value_group") &
	       LIES(d, cid_deletion, deleted_ns, "deleted_ns") &
	       LIES(n, cid_node_ref, first, "first") & LIES(n, cid_node_ref, pos, "pos") &
	       LIES(n, cid_node_ref, count, "count") & LIES(n, cid_node_ref, children, "children") &
	       LIES(n, cid_node_ref, level, "level") & LIES(n, cid_node_ref, sum, "checksum") &
	       LIES(f, cid_freed, pos, "pos") & LIES(f, cid_freed, pages, "pages") &
	       LIES(f, cid_freed, pool, "pool") & LIES(f, cid_freed, epoch, "epoch") &
	       LIES(g, cid_page_ref, pos, "pos") & LIES(g, cid_page_ref, generation, "generation") &
	       LIES(g, cid_page_ref, sum, "checksum") & LIES(h, cid_deletion_page, magic, "magic") &
	       LIES(h, cid_deletion_page, count, "count") &
	       LIES(h, cid_deletion_page, number, "number") &
	       LIES(h, cid_deletion_page, sum, "checksum");
}

int main(void)
{
	const struct cid_h5_type *t;
	int k;

	for (k = 0; k < CID_H5_KINDS; k++)
		tap_ok(covers(cid_h5_schemas[k].type.bytes, cid_h5_schemas[k].type.fields),
		       "%s: no gap and no overlap", cid_h5_schemas[k].type.path);
	for (t = cid_h5_other_types; t->path; t++)
		tap_ok(covers(t->bytes, t->fields), "%s: no gap and no overlap", t->path);
	tap_ok(root_lies(), "the root's fields are where the engine has them");
	tap_ok(slot_lies(), "the slot's");
	tap_ok(footer_lies(), "the footer's");
	tap_ok(small_lie(), "and all the others'");
	return tap_done();
}
