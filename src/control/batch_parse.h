/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batch_parse.h - a line of the batch stream
 *
 *     mkkey K | insert K V | delete K V | delete K | commit
 *
 * Words are parted by one space; K and V are 32 lowercase hexadecimal digits.
 * `delete K` takes the key with all its values. An empty line means nothing.
 */
#ifndef CID_CONTROL_BATCH_PARSE_H
#define CID_CONTROL_BATCH_PARSE_H

#include <stddef.h>
#include "cidstore/cidstore.h"

enum cid_batch_line { CID_BATCH_BAD, CID_BATCH_EMPTY, CID_BATCH_OP, CID_BATCH_COMMIT };

/* `line` is without its newline. *out is set for an operation only. */
enum cid_batch_line cid_batch_parse(const char *line, size_t n, struct cidstore_op *out);

#endif
