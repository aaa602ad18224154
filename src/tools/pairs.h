/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pairs.h - reads pairs from a file or a pipe
 *
 * hex   lines `KEY VALUE`, `KEY` alone for a key without values; blank lines
 *       and lines that start with # are skipped
 * csv   two columns, KEY,VALUE, quoted or not; a first line that holds no
 *       identifiers is a header
 * bin   records of 32 bytes: key, then value, 16 bytes big-endian each
 */
#ifndef CID_TOOLS_PAIRS_H
#define CID_TOOLS_PAIRS_H

#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"

enum cid_pairs_format { CID_PAIRS_AUTO, CID_PAIRS_HEX, CID_PAIRS_CSV, CID_PAIRS_BIN };

/* "auto", "hex", "csv", "bin". 0, or -1 when it is none of them. */
int cid_pairs_format(const char *name, enum cid_pairs_format *out);

struct cid_pairs_batch {
	struct cidstore_pair *pair; /* room for `cap`; the caller's */
	struct cidstore_id *key;    /* keys alone; room for `cap`; the caller's */
	size_t pairs, keys, cap;
};

struct cid_pairs;

/* `file` NULL or "-": standard input. Not copied. */
int cid_pairs_open(const char *file, enum cid_pairs_format format, struct cid_pairs **out,
		   struct cidstore_error *err);
/* Fills the batch; both counts 0 is the end. A malformed line is
 * CIDSTORE_EINVAL, its message names file and line, and every pair before it
 * was given out. */
int cid_pairs_next(struct cid_pairs *r, struct cid_pairs_batch *b, struct cidstore_error *err);
/* How much of the file was read, in [0, 1]; negative in a pipe. */
double cid_pairs_part(const struct cid_pairs *r);
void cid_pairs_close(struct cid_pairs *r);

#endif
