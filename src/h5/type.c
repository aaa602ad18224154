/* SPDX-License-Identifier: BSD-2-Clause */
#include "h5/type.h"

static hid_t integer_type(unsigned width)
{
	switch (width) {
	case 1:
		return H5T_STD_U8LE;
	case 2:
		return H5T_STD_U16LE;
	case 4:
		return H5T_STD_U32LE;
	case 8:
		return H5T_STD_U64LE;
	}
	return -1;
}

static hid_t compound_type(struct cid_h5_session *s, const char *what, unsigned bytes,
			   const struct cid_h5_field *fields)
{
	hid_t type = cid_h5_keep(s, H5Tcreate(H5T_COMPOUND, bytes), what);
	unsigned mark = s->handles;
	const struct cid_h5_field *f;

	for (f = fields; f->name; f++) {
		hsize_t count = f->count;
		hid_t part = f->parts ? compound_type(s, f->name, f->width, f->parts)
				      : integer_type(f->width);

		if (count > 1)
			part = cid_h5_keep(s, H5Tarray_create2(part, 1, &count), f->name);
		(void)cid_h5_need(s, H5Tinsert(type, f->name, f->offset, part), f->name);
		cid_h5_unwind(s, mark);
	}
	return type;
}

hid_t cid_h5_type_new(struct cid_h5_session *s, const struct cid_h5_type *t)
{
	return compound_type(s, t->path, t->bytes, t->fields);
}

hid_t cid_h5_type_commit(struct cid_h5_session *s, hid_t file, const struct cid_h5_type *t)
{
	hid_t type = cid_h5_type_new(s, t);
	unsigned mark = s->handles;
	const struct cid_h5_field *f;

	(void)cid_h5_need(s, H5Tcommit2(file, t->path, type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
			  t->path);
	cid_h5_put_text(s, type, "description", t->doc);
	for (f = t->fields; f->name; f++)
		cid_h5_put_text(s, type, f->name, f->doc);
	cid_h5_unwind(s, mark);
	return type;
}
