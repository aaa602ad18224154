/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.c - settings, notes, types and views of main.h5
 *
 * A view is a virtual dataset with an unlimited extent and a source pattern:
 * HDF5 tries values-0.h5, values-1.h5 and so on beside main.h5 when it opens
 * one, and takes as many as there are. main.h5 so need not change when a
 * segment appears.
 *
 * The elements of a view have their type written out, not by name: h5repack
 * (1.10) crashes on virtual datasets of named types. The attribute "type"
 * tells the name.
 */
#include "h5/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "h5/type.h"

#define PATTERN_BYTES 32

static void pattern_of(enum cid_h5_kind kind, char out[PATTERN_BYTES])
{
	(void)snprintf(out, PATTERN_BYTES, "%s-%%b.h5", cid_h5_schemas[kind].name);
}

/* Version, identity and geometry: what a reader needs to know of a store. The
 * last may be changed later, and is what it was at the creation. */
#define CONFIG_NUMBERS 7
#define CONFIG_LASTING 6
struct number {
	const char *name;
	uint64_t value;
};

static void config_numbers(const struct cid_h5_params *p, struct number out[CONFIG_NUMBERS])
{
	out[0] = (struct number){ "format_version", p->format_version };
	out[1] = (struct number){ "created_timestamp", p->created_ns };
	out[2] = (struct number){ "hash_seed", p->hash_seed };
	out[3] = (struct number){ "segment_bytes", p->segment_bytes };
	out[4] = (struct number){ "log_bytes", p->log_bytes };
	out[5] = (struct number){ "bucket_bytes", p->bucket_bytes };
	out[6] = (struct number){ "promotion_threshold_initial", p->promotion_threshold };
}

void cid_h5_put_config(struct cid_h5_session *s, hid_t file, const struct cid_h5_params *p)
{
	unsigned mark = s->handles;
	hid_t group = cid_h5_keep(
		s, H5Gcreate2(file, "/config", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), "/config");
	struct number number[CONFIG_NUMBERS];
	char uuid[33];
	size_t i;

	config_numbers(p, number);
	for (i = 0; i < CONFIG_NUMBERS; i++)
		cid_h5_put_number(s, group, number[i].name, number[i].value);
	(void)snprintf(uuid, sizeof(uuid), "%016" PRIx64 "%016" PRIx64, p->uuid_high, p->uuid_low);
	cid_h5_put_text(s, group, "uuid", uuid);
	cid_h5_put_text(s, group, "version_string", p->version_string);
	for (i = 0; cid_h5_notes[i].name; i++)
		cid_h5_put_text(s, group, cid_h5_notes[i].name, cid_h5_notes[i].text);
	cid_h5_unwind(s, mark);
}

void cid_h5_check_config(struct cid_h5_session *s, hid_t file, const struct cid_h5_params *p)
{
	unsigned mark = s->handles;
	hid_t group = cid_h5_keep(s, H5Gopen2(file, "/config", H5P_DEFAULT), "/config");
	struct number number[CONFIG_NUMBERS];
	uint64_t v;
	size_t i;

	config_numbers(p, number);
	for (i = 0; i < CONFIG_LASTING && !s->code; i++) {
		hid_t attr =
			cid_h5_keep(s, H5Aopen(group, number[i].name, H5P_DEFAULT), number[i].name);
		hid_t space = cid_h5_keep(s, H5Aget_space(attr), number[i].name);

		if (s->code || H5Sget_simple_extent_npoints(space) != 1 ||
		    H5Aread(attr, H5T_NATIVE_UINT64, &v) < 0)
			(void)cid_h5_fail(s, CIDSTORE_ECORRUPT,
					  "attribute %s of /config is not a number",
					  number[i].name);
		else if (v != number[i].value)
			(void)cid_h5_fail(s, CIDSTORE_ECORRUPT,
					  "attribute %s of /config is %" PRIu64 ", not %" PRIu64,
					  number[i].name, v, number[i].value);
	}
	cid_h5_unwind(s, mark);
}

void cid_h5_put_types(struct cid_h5_session *s, hid_t file)
{
	unsigned mark = s->handles;
	const struct cid_h5_type *t;
	int k;

	for (k = CID_H5_DIRECTORY; k < CID_H5_KINDS; k++)
		(void)cid_h5_type_commit(s, file, &cid_h5_schemas[k].type);
	for (t = cid_h5_other_types; t->path; t++)
		(void)cid_h5_type_commit(s, file, t);
	cid_h5_unwind(s, mark);
}

void cid_h5_put_view(struct cid_h5_session *s, hid_t file, enum cid_h5_kind kind,
		     const struct cid_h5_params *p)
{
	const struct cid_h5_schema *schema = &cid_h5_schemas[kind];
	unsigned mark = s->handles;
	hid_t type = cid_h5_type_new(s, &schema->type);
	hsize_t none = 0, start = 0, unlimited = H5S_UNLIMITED, block;
	hid_t dcpl, source, view, dataset;
	char fill[CID_H5_ROOT_COPY_BYTES], pattern[PATTERN_BYTES], path[PATTERN_BYTES];
	uint64_t offset, len;
	size_t i;

	if (cid_h5_layout(kind, p, &offset, &len, s->err))
		return;
	block = len / schema->type.bytes;
	for (i = 0; i < sizeof(fill); i++)
		fill[i] = CID_H5_FILL[i % 4];
	pattern_of(kind, pattern);
	(void)snprintf(path, sizeof(path), "/%s", schema->name);

	dcpl = cid_h5_keep(s, H5Pcreate(H5P_DATASET_CREATE), path);
	(void)cid_h5_need(s, H5Pset_obj_track_times(dcpl, 0), path);
	(void)cid_h5_need(s, H5Pset_fill_value(dcpl, type, fill), path);
	source = cid_h5_keep(s, H5Screate_simple(1, &block, NULL), path);
	view = cid_h5_keep(s, H5Screate_simple(1, &none, &unlimited), path);
	(void)cid_h5_need(
		s, H5Sselect_hyperslab(view, H5S_SELECT_SET, &start, &block, &unlimited, &block),
		path);
	(void)cid_h5_need(s, H5Pset_virtual(dcpl, view, pattern, schema->dataset, source), path);
	dataset = cid_h5_keep(s, H5Dcreate2(file, path, type, view, H5P_DEFAULT, dcpl, H5P_DEFAULT),
			      path);
	cid_h5_put_text(s, dataset, "description", schema->doc);
	cid_h5_put_text(s, dataset, "segments", pattern);
	cid_h5_put_text(s, dataset, "type", schema->type.path);
	cid_h5_unwind(s, mark);
}

void cid_h5_check_view(struct cid_h5_session *s, hid_t file, enum cid_h5_kind kind)
{
	const struct cid_h5_schema *schema = &cid_h5_schemas[kind];
	unsigned mark = s->handles;
	char pattern[PATTERN_BYTES], path[PATTERN_BYTES], found[PATTERN_BYTES] = "";
	char inside[PATTERN_BYTES] = "";
	hid_t dataset, dcpl, type;
	size_t n = 0;

	pattern_of(kind, pattern);
	(void)snprintf(path, sizeof(path), "/%s", schema->name);
	dataset = cid_h5_keep(s, H5Dopen2(file, path, H5P_DEFAULT), path);
	dcpl = cid_h5_keep(s, H5Dget_create_plist(dataset), path);
	type = cid_h5_keep(s, H5Dget_type(dataset), path);
	if (s->code)
		goto out;
	if (H5Pget_layout(dcpl) != H5D_VIRTUAL || H5Pget_virtual_count(dcpl, &n) < 0 || n != 1 ||
	    H5Pget_virtual_filename(dcpl, 0, found, sizeof(found)) < 0 ||
	    H5Pget_virtual_dsetname(dcpl, 0, inside, sizeof(inside)) < 0)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s is not a view of one pattern", path);
	else if (strcmp(found, pattern) || strcmp(inside, schema->dataset))
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s is a view of %s%s, not of %s%s", path,
				  found, inside, pattern, schema->dataset);
	else if (H5Tequal(type, cid_h5_type_new(s, &schema->type)) <= 0)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s has elements of a wrong type", path);
out:
	cid_h5_unwind(s, mark);
}
