/* SPDX-License-Identifier: BSD-2-Clause */
#include "h5/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include "h5/schema.h"
#include "h5/type.h"
#include "h5/view.h"

/* True where `path` is an object of this very file: nothing is opened that a
 * link could lead to elsewhere. */
static bool is_own(struct cid_h5_session *s, hid_t file, const char *path)
{
	H5L_info_t link;

	if (s->code)
		return false;
	if (H5Lexists(file, path, H5P_DEFAULT) <= 0 ||
	    H5Lget_info(file, path, &link, H5P_DEFAULT) < 0)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "there is no %s", path);
	else if (link.type != H5L_TYPE_HARD)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s is a link to another place", path);
	return !s->code;
}

static void check_shape(struct cid_h5_session *s, hid_t dcpl, const char *path)
{
	H5D_layout_t layout = H5Pget_layout(dcpl);

	if (layout == H5D_VIRTUAL)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s is virtual", path);
	else if (layout != H5D_CONTIGUOUS)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s is not contiguous", path);
	else if (H5Pget_external_count(dcpl) != 0)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s is stored in external files", path);
	else if (H5Pget_nfilters(dcpl) != 0)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s has filters", path);
}

static void check_place(struct cid_h5_session *s, hid_t dataset, const struct cid_h5_schema *schema,
			uint64_t offset, uint64_t len)
{
	const char *path = schema->dataset;
	hid_t space = cid_h5_keep(s, H5Dget_space(dataset), path);
	hid_t type = cid_h5_keep(s, H5Dget_type(dataset), path);
	hid_t want = cid_h5_type_new(s, &schema->type);
	hsize_t elements = 0;
	haddr_t found;

	if (s->code)
		return;
	if (H5Tequal(type, want) <= 0)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s has elements of a wrong type", path);
	else if (H5Sget_simple_extent_ndims(space) != 1 ||
		 H5Sget_simple_extent_dims(space, &elements, NULL) != 1 ||
		 elements != len / schema->type.bytes || H5Dget_storage_size(dataset) != len)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s does not hold %" PRIu64 " bytes", path,
				  len);
	else if ((found = H5Dget_offset(dataset)) != offset)
		(void)cid_h5_fail(s, CIDSTORE_ECORRUPT, "%s lies at %" PRIu64 ", not at %" PRIu64,
				  path, (uint64_t)found, offset);
}

void cid_h5_inspect(struct cid_h5_session *s, int fd, enum cid_h5_kind kind,
		    const struct cid_h5_params *p)
{
	const struct cid_h5_schema *schema = &cid_h5_schemas[kind];
	char path[40];
	hid_t fapl = cid_h5_access(s);
	hid_t file, dataset, dcpl;
	uint64_t offset, len;
	int k;

	if (cid_h5_layout(kind, p, &offset, &len, s->err))
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)cid_h5_need(s, H5Pset_fapl_sec2(fapl), "driver");
	file = cid_h5_keep(s, H5Fopen(path, CID_H5_READ_ONLY, fapl), "cannot open the file");
	if (!is_own(s, file, schema->dataset))
		return;
	dataset = cid_h5_keep(s, H5Dopen2(file, schema->dataset, H5P_DEFAULT), schema->dataset);
	dcpl = cid_h5_keep(s, H5Dget_create_plist(dataset), schema->dataset);
	if (s->code)
		return;
	check_shape(s, dcpl, schema->dataset);
	check_place(s, dataset, schema, offset, len);
	if (kind != CID_H5_MAIN)
		return;
	if (is_own(s, file, "/config"))
		cid_h5_check_config(s, file, p);
	for (k = CID_H5_DIRECTORY; k < CID_H5_KINDS; k++) {
		(void)snprintf(path, sizeof(path), "/%s", cid_h5_schemas[k].name);
		if (is_own(s, file, path))
			cid_h5_check_view(s, file, (enum cid_h5_kind)k);
	}
}
