/* SPDX-License-Identifier: BSD-2-Clause */
/* array.h - arrays that grow */
#ifndef CID_BASE_ARRAY_H
#define CID_BASE_ARRAY_H

#include <stddef.h>

/* Makes room for one more element of *array, which holds n of *cap, each of
 * `size` bytes. CIDSTORE_ENOMEM: all is as it was. */
int cid_array_room(void **array, size_t n, size_t *cap, size_t size);

#endif
