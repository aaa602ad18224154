/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session.h - HDF5 under the room's lock, with its handles and its errors
 *
 * A session owns every handle made in it and remembers the first failure;
 * after one, further steps do nothing useful and harm nothing (HDF5 refuses
 * the invalid handles), so that a builder reads straight down and asks once at
 * its end.
 */
#ifndef CID_H5_SESSION_H
#define CID_H5_SESSION_H

#include <hdf5.h>
#include <stdbool.h>
#include "cidstore/cidstore.h"

#define CID_H5_HANDLES 48

/* H5F_ACC_* expand to a check that aborts the process when the library loaded
 * is not quite the one compiled against; sessions check that themselves. */
#define CID_H5_READ_ONLY 0x0000u
#define CID_H5_TRUNCATE	 0x0002u

struct cid_h5_session {
	hid_t handle[CID_H5_HANDLES];
	unsigned handles;
	int code; /* 0, or the first failure's */
	struct cidstore_error *err;
	bool started;
	H5E_auto2_t print; /* the host's settings */
	void *print_arg;
	unsigned plugins;
};

/* Takes the lock. The session must be ended also when this fails. */
int cid_h5_begin(struct cid_h5_session *s, struct cidstore_error *err);
/* Closes what is open, gives the lock back; the session's code. */
int cid_h5_end(struct cid_h5_session *s);

/* Notes a failure of `what`, if `id` is one; else the session owns it. */
hid_t cid_h5_keep(struct cid_h5_session *s, hid_t id, const char *what);
/* Notes a failure of `what` where result is negative; true where it is not. */
bool cid_h5_need(struct cid_h5_session *s, long long result, const char *what);
/* Notes a failure found here. Returns the session's code. */
int cid_h5_fail(struct cid_h5_session *s, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Closes the handles above the first `mark`, last first. */
void cid_h5_unwind(struct cid_h5_session *s, unsigned mark);

/* A file access list: our format bounds, no locks. */
hid_t cid_h5_access(struct cid_h5_session *s);

/* Attributes: ASCII text of fixed length; an unsigned 64-bit number. */
void cid_h5_put_text(struct cid_h5_session *s, hid_t object, const char *name, const char *text);
void cid_h5_put_number(struct cid_h5_session *s, hid_t object, const char *name, uint64_t v);

#endif
