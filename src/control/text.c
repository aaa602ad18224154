/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cid_text_fini(struct cid_text *t)
{
	free(t->p);
	*t = (struct cid_text){ 0 };
}

bool cid_text_reserve(struct cid_text *t, size_t n)
{
	size_t cap = t->cap ? t->cap : 256;
	char *p;

	if (t->failed)
		return false;
	if (n <= t->cap - t->n)
		return true;
	while (cap - t->n < n) {
		if (cap > SIZE_MAX / 2) {
			t->failed = true;
			return false;
		}
		cap *= 2;
	}
	p = realloc(t->p, cap);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void cid_text_printf(struct cid_text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !cid_text_reserve(t, (size_t)n + 1)) {
		t->failed = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
}

void cid_text_row(struct cid_text *t, const char *name, uint64_t number)
{
	cid_text_printf(t, "%s %" PRIu64 "\n", name, number);
}
