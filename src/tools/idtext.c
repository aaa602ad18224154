/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/idtext.h"

#include <string.h>
#include "tools/report.h"

#define VALID 0x10

/* VALID and the digit's worth, or 0. */
static const uint8_t digit[256] = {
	['0'] = VALID | 0,  ['1'] = VALID | 1,	['2'] = VALID | 2,  ['3'] = VALID | 3,
	['4'] = VALID | 4,  ['5'] = VALID | 5,	['6'] = VALID | 6,  ['7'] = VALID | 7,
	['8'] = VALID | 8,  ['9'] = VALID | 9,	['a'] = VALID | 10, ['b'] = VALID | 11,
	['c'] = VALID | 12, ['d'] = VALID | 13, ['e'] = VALID | 14, ['f'] = VALID | 15,
	['A'] = VALID | 10, ['B'] = VALID | 11, ['C'] = VALID | 12, ['D'] = VALID | 13,
	['E'] = VALID | 14, ['F'] = VALID | 15,
};

static inline uint64_t half(const unsigned char *s, unsigned *valid)
{
	uint64_t v = 0;
	unsigned ok = VALID;

	for (int i = 0; i < 16; i++) {
		unsigned d = digit[s[i]];

		ok &= d;
		v = v << 4 | (d & 15);
	}
	*valid &= ok;
	return v;
}

static size_t scan_uuid(const char *p, struct cidstore_id *out)
{
	static const uint8_t group[5] = { 8, 4, 4, 4, 12 };
	unsigned char plain[32];
	unsigned valid = VALID;
	size_t at = 0, n = 0;
	struct cidstore_id id;

	for (int g = 0; g < 5; g++) {
		if (g > 0 && p[at++] != '-')
			return 0;
		memcpy(plain + n, p + at, group[g]);
		n += group[g];
		at += group[g];
	}
	id.high = half(plain, &valid);
	id.low = half(plain + 16, &valid);
	if (!valid)
		return 0;
	*out = id;
	return at;
}

size_t cid_idtext_scan(const char *p, size_t n, struct cidstore_id *out)
{
	unsigned valid = VALID;
	struct cidstore_id id;

	if (n >= 32) {
		id.high = half((const unsigned char *)p, &valid);
		id.low = half((const unsigned char *)p + 16, &valid);
		if (valid) {
			*out = id;
			return 32;
		}
	}
	return n >= 36 && p[8] == '-' ? scan_uuid(p, out) : 0;
}

bool cid_idtext_parse(const char *text, struct cidstore_id *out)
{
	size_t n = strlen(text);
	struct cidstore_id id;

	if (n == 0 || cid_idtext_scan(text, n, &id) != n)
		return false;
	*out = id;
	return true;
}

bool cid_idtext_argument(const char *text, const char *what, struct cidstore_id *out)
{
	if (cid_idtext_parse(text, out))
		return true;
	cid_report("%s '%.80s' is not an identifier (%s)", what, text, CID_IDTEXT_WHAT);
	return false;
}

bool cid_idtext_is_digit(char c)
{
	return digit[(unsigned char)c] != 0;
}

const char *cid_idtext(struct cidstore_id id, char buf[33])
{
	cidstore_id_format(id, buf);
	buf[32] = '\0';
	return buf;
}
