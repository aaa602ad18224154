/* SPDX-License-Identifier: BSD-2-Clause */
/* losses.h - the file in which a repair tells what it could not save */
#ifndef CID_TOOLS_LOSSES_H
#define CID_TOOLS_LOSSES_H

struct cid_losses;

/* `path` NULL: STORE.lost beside the store. Nothing is made yet. NULL: no
 * memory. */
struct cid_losses *cid_losses_new(const char *store, const char *path);
void cid_losses_free(struct cid_losses *l);
/* Adds a line; the first makes the file, under the next free name where there
 * is one already. NULL makes all of it durable. 0 or a negative errno. */
int cid_losses_add(struct cid_losses *l, const char *line);
/* The name it has, or would have. */
const char *cid_losses_path(const struct cid_losses *l);

#endif
