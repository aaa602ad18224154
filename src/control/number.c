/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/number.h"

static bool digits(const char *text, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned d = (unsigned)(unsigned char)text[i] - '0';

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*out = v;
	return true;
}

bool cid_number_parse(const char *text, size_t n, uint64_t *out)
{
	if (n > 1 && text[0] == '0')
		return false;
	return digits(text, n, out);
}

bool cid_number_written(const char *text, size_t n, uint64_t *out)
{
	if (n > 0 && text[n - 1] == '\n')
		n--;
	return digits(text, n, out);
}
