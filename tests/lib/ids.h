/* SPDX-License-Identifier: BSD-2-Clause */
/* ids.h - numbers as identifiers, spread over the whole of a store */
#ifndef IDS_H
#define IDS_H

#include "cidstore/cidstore.h"

static inline struct cidstore_id key_id(unsigned k)
{
	return (struct cidstore_id){ k * 0x9E3779B97F4A7C15ull, k };
}

static inline struct cidstore_id value_id(unsigned v)
{
	return (struct cidstore_id){ v, v * 0xC2B2AE3D27D4EB4Full };
}

#endif
