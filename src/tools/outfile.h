/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outfile.h - a file that appears whole or not at all
 *
 * Standard output, and what is no regular file (a pipe, a device), is written
 * directly; else a temporary file beside it takes the name at the end.
 */
#ifndef CID_TOOLS_OUTFILE_H
#define CID_TOOLS_OUTFILE_H

#include <stddef.h>
#include "cidstore/cidstore.h"

struct cid_outfile;

/* `path` NULL or "-": standard output. Not copied. */
int cid_outfile_open(const char *path, struct cid_outfile **out, struct cidstore_error *err);
int cid_outfile_fd(const struct cid_outfile *f);
/* Buffered. CIDSTORE_ESYSTEM and an empty message where a pipe's reader left. */
int cid_outfile_put(struct cid_outfile *f, const void *p, size_t n, struct cidstore_error *err);
/* Room for n bytes (at most 4096) to write to directly; then told how many. */
char *cid_outfile_room(struct cid_outfile *f, size_t n, struct cidstore_error *err);
void cid_outfile_used(struct cid_outfile *f, size_t n);
/* Writes the rest, makes it durable, gives it its name. Frees f in any case. */
int cid_outfile_commit(struct cid_outfile *f, struct cidstore_error *err);
/* Leaves nothing behind. NULL is allowed. */
void cid_outfile_abandon(struct cid_outfile *f);

#endif
