/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/id.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static int parse_half(const char *text, uint64_t *out)
{
	uint64_t v = 0;

	for (int i = 0; i < 16; i++) {
		int d = hex_digit(text[i]);

		if (d < 0)
			return CIDSTORE_EINVAL;
		v = v << 4 | (uint64_t)d;
	}
	*out = v;
	return 0;
}

int cidstore_id_parse(const char *text, size_t len, struct cidstore_id *out)
{
	struct cidstore_id id;

	if (len != CID_ID_TEXT || parse_half(text, &id.high) != 0 ||
	    parse_half(text + 16, &id.low) != 0)
		return CIDSTORE_EINVAL;
	*out = id;
	return 0;
}

void cidstore_id_format(struct cidstore_id id, char out[32])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		out[i] = digits[id.high >> (60 - 4 * i) & 15];
		out[16 + i] = digits[id.low >> (60 - 4 * i) & 15];
	}
}

struct cidstore_id cidstore_id_from_bytes(const uint8_t in[16])
{
	uint64_t w[2];

	memcpy(w, in, 16);
	return (struct cidstore_id){ be64toh(w[0]), be64toh(w[1]) };
}

void cidstore_id_to_bytes(struct cidstore_id id, uint8_t out[16])
{
	uint64_t w[2] = { htobe64(id.high), htobe64(id.low) };

	memcpy(out, w, 16);
}

struct cidstore_id cidstore_id_hash(const void *data, size_t len)
{
	XXH128_hash_t h = XXH3_128bits(data, len);

	return (struct cidstore_id){ h.high64, h.low64 };
}
