/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * idtext.h - identifiers as people write them
 *
 * What the tools read is wider than the names of the file system: 32
 * hexadecimal digits of either case, or a UUID with its four dashes.
 */
#ifndef CID_TOOLS_IDTEXT_H
#define CID_TOOLS_IDTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "cidstore/cidstore.h"

#define CID_IDTEXT_WHAT	  "32 hexadecimal digits or a UUID"
#define CID_IDTEXT_DIGITS 32

/* Reads an identifier at the start of n bytes. Bytes taken, 0 when there is
 * none. What follows it is not looked at. */
size_t cid_idtext_scan(const char *p, size_t n, struct cidstore_id *out);
/* The whole of a string. */
bool cid_idtext_parse(const char *text, struct cidstore_id *out);
/* As cid_idtext_parse, with a message naming `what` ("key") when it is none. */
bool cid_idtext_argument(const char *text, const char *what, struct cidstore_id *out);
/* One hexadecimal digit of either case. */
bool cid_idtext_is_digit(char c);

/* 32 digits and a terminator. */
const char *cid_idtext(struct cidstore_id id, char buf[33]);

#endif
