/* SPDX-License-Identifier: BSD-2-Clause */
/* lines.h - takes lines out of text that comes in pieces */
#ifndef CID_CONTROL_LINES_H
#define CID_CONTROL_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* Longer than any line that means something. */
#define CID_LINE_MAX 80u

/* The begun line, kept from one piece to the next. Zeroed: none. */
struct cid_lines {
	char buf[CID_LINE_MAX];
	size_t n;
	bool over; /* it is longer than CID_LINE_MAX; its bytes are not kept */
};

struct cid_line {
	const char *text; /* without the newline; valid until the next call */
	size_t n;
	bool over; /* too long: text is not there */
};

/* Takes bytes from *p up to the end of one line, and moves *p and *n on. False:
 * all bytes were taken and no line ended. */
bool cid_lines_next(struct cid_lines *l, const char **p, size_t *n, struct cid_line *out);

static inline bool cid_lines_begun(const struct cid_lines *l)
{
	return l->n > 0 || l->over;
}

#endif
