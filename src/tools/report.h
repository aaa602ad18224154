/* SPDX-License-Identifier: BSD-2-Clause */
/* report.h - what a tool says: messages on stderr, JSON and numbers on stdout */
#ifndef CID_TOOLS_REPORT_H
#define CID_TOOLS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The name in front of each message, "cidctl load". Not copied. */
void cid_report_name(const char *name);
/* "NAME: text" on stderr, after wiping a progress bar that stands there. */
void cid_report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Flushes stdout. 0, or -1 after a message: output that was lost (a full disk)
 * must not look like success. A reader that went away (EPIPE) is not reported,
 * but is -1 as well. */
int cid_report_flush(void);

/* A JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. */
void cid_report_json(FILE *f, const char *text, size_t len);

/* "12.3 M", "456": a count for people. */
const char *cid_report_count(double n, char buf[16]);
/* "12.3 MiB". */
const char *cid_report_bytes(double n, char buf[16]);
/* "1:02:03" or "0:07". */
const char *cid_report_time(double seconds, char buf[16]);

/* Reads a size "64M", "4g", "4096", "8KiB". 0, or -1 when it is none. */
int cid_report_parse_size(const char *text, uint64_t *out);
/* Reads a plain decimal or 0x number. 0, or -1 when it is none. */
int cid_report_parse_number(const char *text, uint64_t *out);

#endif
