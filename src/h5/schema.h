/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema.h - the kinds of files, the types of their elements and the words
 * that explain them, as tables
 *
 * Each type is a named compound type in main.h5, /types/<name>, and the type
 * of a segment's elements also in that segment. Its attributes hold a
 * description and one line for each field. Integers are unsigned and
 * little-endian.
 */
#ifndef CID_H5_SCHEMA_H
#define CID_H5_SCHEMA_H

#include "h5/image.h"

struct cid_h5_field {
	const char *name; /* NULL at the end of a list */
	uint16_t offset;
	uint16_t width;			  /* 1, 2, 4, 8: an integer; with parts, of the whole */
	uint16_t count;			  /* above 1: an array */
	const struct cid_h5_field *parts; /* NULL: an integer */
	const char *doc;
};

struct cid_h5_type {
	const char *path; /* NULL at the end of a list */
	uint16_t bytes;
	const struct cid_h5_field *fields;
	const char *doc;
};

struct cid_h5_schema {
	const char *name;    /* of the view, and before the number in file names */
	const char *dataset; /* path of the dataset in the kind's own files */
	struct cid_h5_type type;
	const char *doc;
};

extern const struct cid_h5_schema cid_h5_schemas[CID_H5_KINDS];

/* What lies in the pools besides their elements; named in main.h5. */
extern const struct cid_h5_type cid_h5_other_types[];

/* Paragraphs of /config in main.h5. */
struct cid_h5_note {
	const char *name; /* NULL at the end */
	const char *text;
};
extern const struct cid_h5_note cid_h5_notes[];

/* Elements of a view where no segment could be opened: these four bytes over
 * and over, which no sound store holds. */
#define CID_H5_FILL "FILL"

#endif
