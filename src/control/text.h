/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - text that grows while a report is written into it */
#ifndef CID_CONTROL_TEXT_H
#define CID_CONTROL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: empty. Failure to grow is remembered, and later text dropped. */
struct cid_text {
	char *p;
	size_t n, cap;
	bool failed;
};

void cid_text_fini(struct cid_text *t);
/* Room for n more bytes at t->p + t->n. */
bool cid_text_reserve(struct cid_text *t, size_t n);
void cid_text_printf(struct cid_text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* One line "NAME NUMBER". */
void cid_text_row(struct cid_text *t, const char *name, uint64_t number);

#endif
