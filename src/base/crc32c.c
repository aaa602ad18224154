/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/crc32c.h"

#include <isa-l/crc.h>

uint32_t cid_crc32c(const void *p, size_t n)
{
	/* ISA-L wants a non-const pointer and leaves the inversions to us. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)p, (int)n, 0xffffffffu);
}
