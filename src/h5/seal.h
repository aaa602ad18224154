/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seal.h - a checksum over what surrounds a file's data
 *
 * HDF5's metadata have none of their own here. The last 64 bytes before the
 * data, where HDF5 keeps nothing, hold
 *
 *     0  8 bytes  magic
 *     8  u32      version of the seal, 1
 *    12  u32      kind of file, see image.h
 *    16  u32      number of the segment
 *    20  u32      bytes behind the data
 *    24  u64      bytes of data
 *    32  u64 x 2  the store's uuid, high and low
 *    48  u64 x 2  XXH3-128, low and high, of all before; of a file with a tail
 *                 that of the tail with the low word as its seed
 */
#ifndef CID_H5_SEAL_H
#define CID_H5_SEAL_H

#include "h5/image.h"

#define CID_H5_SEAL_BYTES 64

void cid_h5_seal_put(struct cid_h5_image *im, enum cid_h5_kind kind, const struct cid_h5_params *p);
/* CIDSTORE_ECORRUPT where the bytes are not those that were sealed, or were
 * sealed for another place. */
int cid_h5_seal_check(int fd, enum cid_h5_kind kind, const struct cid_h5_params *p,
		      struct cidstore_error *err);

#endif
