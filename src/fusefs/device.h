/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.h - reading and writing /dev/fuse in libfuse's place
 *
 * For one reason: libfuse before 3.15 takes FUSE_CAP_PARALLEL_DIROPS and does
 * not tell the kernel, which then admits one lookup at a time to a directory.
 * All keys lie in one directory. So the flag is put into the answer to the
 * handshake; everything else passes as it is.
 */
#ifndef CID_FUSEFS_DEVICE_H
#define CID_FUSEFS_DEVICE_H

struct fuse_session;

/* After the session was mounted. Failure means that nothing changes. */
void cid_device_attach(struct fuse_session *session);

#endif
