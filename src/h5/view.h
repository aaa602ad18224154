/* SPDX-License-Identifier: BSD-2-Clause */
/* view.h - what main.h5 shows besides the root: settings, notes, types, views */
#ifndef CID_H5_VIEW_H
#define CID_H5_VIEW_H

#include "h5/schema.h"
#include "h5/session.h"

void cid_h5_put_config(struct cid_h5_session *s, hid_t file, const struct cid_h5_params *p);
/* Names and explains every type but the root's, which its dataset brings. */
void cid_h5_put_types(struct cid_h5_session *s, hid_t file);
/* A virtual dataset over all segments of a kind, which grows with them. */
void cid_h5_put_view(struct cid_h5_session *s, hid_t file, enum cid_h5_kind kind,
		     const struct cid_h5_params *p);

/* The same, verified in a file that is there already. */
void cid_h5_check_config(struct cid_h5_session *s, hid_t file, const struct cid_h5_params *p);
void cid_h5_check_view(struct cid_h5_session *s, hid_t file, enum cid_h5_kind kind);

#endif
