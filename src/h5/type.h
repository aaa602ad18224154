/* SPDX-License-Identifier: BSD-2-Clause */
/* type.h - the element types of the schema as HDF5 types */
#ifndef CID_H5_TYPE_H
#define CID_H5_TYPE_H

#include "h5/schema.h"
#include "h5/session.h"

/* The type in memory only. Handles belong to the session. */
hid_t cid_h5_type_new(struct cid_h5_session *s, const struct cid_h5_type *t);
/* The type named and documented in `file`, whose group /types exists. */
hid_t cid_h5_type_commit(struct cid_h5_session *s, hid_t file, const struct cid_h5_type *t);

#endif
