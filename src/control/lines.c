/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/lines.h"

#include <string.h>

static void keep(struct cid_lines *l, const char *p, size_t n)
{
	if (l->over || n > CID_LINE_MAX - l->n) {
		l->over = true;
		l->n = 0;
		return;
	}
	memcpy(l->buf + l->n, p, n);
	l->n += n;
}

bool cid_lines_next(struct cid_lines *l, const char **p, size_t *n, struct cid_line *out)
{
	const char *end = *n > 0 ? memchr(*p, '\n', *n) : NULL;
	size_t len = end != NULL ? (size_t)(end - *p) : *n;

	if (end == NULL) {
		if (len > 0)
			keep(l, *p, len);
		*p += len;
		*n = 0;
		return false;
	}
	if (cid_lines_begun(l)) {
		keep(l, *p, len);
		*out = (struct cid_line){ l->buf, l->n, l->over };
	} else {
		*out = (struct cid_line){ *p, len, len > CID_LINE_MAX };
	}
	l->n = 0;
	l->over = false;
	*p += len + 1;
	*n -= len + 1;
	return true;
}
