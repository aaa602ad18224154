/* SPDX-License-Identifier: BSD-2-Clause */
/* number.h - a number as it is written to a setting or stands in a name */
#ifndef CID_CONTROL_NUMBER_H
#define CID_CONTROL_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits and nothing else, without leading zeros: each number has one
 * text. False, and *out untouched, for anything else. */
bool cid_number_parse(const char *text, size_t n, uint64_t *out);

/* As it is written to a file: leading zeros do no harm, and one newline may end
 * it. */
bool cid_number_written(const char *text, size_t n, uint64_t *out);

#endif
