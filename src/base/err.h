/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * err.h - codes and the sentence around them
 *
 * A code travels unchanged to the boundary; on its way up callers put context
 * before the sentence ("opening /srv/x: ...").
 */
#ifndef CID_BASE_ERR_H
#define CID_BASE_ERR_H

#include "cidstore/cidstore.h"

/* Sets code and message; returns code. `err` may be NULL. */
int cid_err_set(struct cidstore_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts "text: " before the message. Returns the code. */
int cid_err_prefix(struct cidstore_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The code for a negative errno of the I/O table. */
int cid_err_from_errno(int negative_errno);

#endif
