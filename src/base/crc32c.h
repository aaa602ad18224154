/* SPDX-License-Identifier: BSD-2-Clause */
/* crc32c.h - CRC-32C (Castagnoli), by ISA-L */
#ifndef CID_BASE_CRC32C_H
#define CID_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t cid_crc32c(const void *p, size_t n);

#endif
