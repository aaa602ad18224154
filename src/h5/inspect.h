/* SPDX-License-Identifier: BSD-2-Clause */
/* inspect.h - the structure of a file of a store, as HDF5 reads it */
#ifndef CID_H5_INSPECT_H
#define CID_H5_INSPECT_H

#include "h5/image.h"
#include "h5/session.h"

/* Notes in the session what is not as `p` says. */
void cid_h5_inspect(struct cid_h5_session *s, int fd, enum cid_h5_kind kind,
		    const struct cid_h5_params *p);

#endif
