/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/array.h"

#include <stdlib.h>

#include "cidstore/cidstore.h"

enum { FIRST = 64 };

int cid_array_room(void **array, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : FIRST;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*array, want * size);
	if (!p)
		return CIDSTORE_ENOMEM;
	*array = p;
	*cap = want;
	return 0;
}
