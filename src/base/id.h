/* SPDX-License-Identifier: BSD-2-Clause */
/* id.h - identifiers: comparison and text. Parsing is in the public header. */
#ifndef CID_BASE_ID_H
#define CID_BASE_ID_H

#include <stdbool.h>
#include "cidstore/cidstore.h"

#define CID_ID_TEXT 32

static inline bool cid_id_eq(struct cidstore_id a, struct cidstore_id b)
{
	return a.high == b.high && a.low == b.low;
}

static inline int cid_id_cmp(struct cidstore_id a, struct cidstore_id b)
{
	if (a.high != b.high)
		return a.high < b.high ? -1 : 1;
	return a.low < b.low ? -1 : a.low > b.low;
}

#endif
