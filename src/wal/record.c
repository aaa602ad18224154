/* SPDX-License-Identifier: BSD-2-Clause */
#include "wal/record.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/plant.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are stored as they lie");

enum { AT_CRC = 50, AT_LSN = CID_RECORD_LSN_AT, AT_GEN = 60 };

static uint32_t crc_of(const uint8_t rec[CID_RECORD_BYTES])
{
	uint8_t tmp[CID_RECORD_BYTES];

	memcpy(tmp, rec, sizeof(tmp));
	memset(tmp + AT_CRC, 0, 4);
	return cid_crc32c(tmp, sizeof(tmp));
}

void cid_record_pack(const struct cid_record *r, uint8_t out[CID_RECORD_BYTES])
{
	uint32_t crc, shard = 0;
	uint64_t lsn = r->lsn;

	out[0] = (uint8_t)(r->version << 6 | r->opcode);
	out[1] = 0;
	memcpy(out + 2, &r->nanos, 8);
	memcpy(out + 10, &r->seq, 4);
	memcpy(out + 14, &shard, 4);
	memcpy(out + CID_RECORD_KEY_AT, &r->key, 16);
	memcpy(out + 34, &r->value, 16);
	memset(out + AT_CRC, 0, 4);
	memcpy(out + AT_LSN, &lsn, 6);
	memcpy(out + AT_GEN, &r->generation, 4);
	crc = cid_crc32c(out, CID_RECORD_BYTES);
	memcpy(out + AT_CRC, &crc, 4);
}

bool cid_record_unpack(const uint8_t in[CID_RECORD_BYTES], struct cid_record *out)
{
	uint32_t crc;

	memcpy(&crc, in + AT_CRC, 4);
	if (!CID_PLANT(13) && crc != crc_of(in))
		return false;
	out->version = in[0] >> 6;
	out->opcode = in[0] & 63;
	memcpy(&out->nanos, in + 2, 8);
	memcpy(&out->seq, in + 10, 4);
	memcpy(&out->key, in + CID_RECORD_KEY_AT, 16);
	memcpy(&out->value, in + 34, 16);
	out->lsn = 0;
	memcpy(&out->lsn, in + AT_LSN, 6);
	memcpy(&out->generation, in + AT_GEN, 4);
	return true;
}

/* The change that flipping bit i makes to (computed ^ stored) checksum. */
static uint32_t syndrome_of_bit(int i)
{
	static const uint8_t zero[CID_RECORD_BYTES];
	uint8_t e[CID_RECORD_BYTES] = { 0 };
	int byte = i / 8;

	if (byte >= AT_CRC && byte < AT_CRC + 4)
		return 1u << (i - AT_CRC * 8);
	e[byte] = (uint8_t)(1u << (i % 8));
	return cid_crc32c(e, sizeof(e)) ^ cid_crc32c(zero, sizeof(zero));
}

enum { BITS = CID_RECORD_BYTES * 8 };

static uint32_t table[BITS]; /* written once */
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
	for (int i = 0; i < BITS; i++)
		table[i] = syndrome_of_bit(i);
}

int cid_record_correct(uint8_t rec[CID_RECORD_BYTES])
{
	uint32_t stored, s;
	int n = BITS;

	(void)pthread_once(&table_once, fill_table);
	memcpy(&stored, rec + AT_CRC, 4);
	s = stored ^ crc_of(rec);
	if (s == 0)
		return 0;
	for (int i = 0; i < n; i++)
		if (table[i] == s) {
			rec[i / 8] ^= (uint8_t)(1u << (i % 8));
			return 1;
		}
	for (int i = 0; i < n; i++)
		for (int j = i + 1; j < n; j++)
			if ((table[i] ^ table[j]) == s) {
				rec[i / 8] ^= (uint8_t)(1u << (i % 8));
				rec[j / 8] ^= (uint8_t)(1u << (j % 8));
				return 2;
			}
	return -1;
}
