/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dict.h - a side file of names: lines `ID<TAB>NAME`
 *
 * An identifier may have several names (a content under several paths); each
 * line stands once. In a name, a backslash, tab or newline is written \\, \t,
 * \n. Lines that are not of this form are passed over. The file only grows, by
 * whole lines under a lock of it (flock), so that any number of processes may
 * add to one at the same time; nothing in it needs an order.
 */
#ifndef CID_TOOLS_DICT_H
#define CID_TOOLS_DICT_H

#include <stddef.h>
#include "cidstore/cidstore.h"

struct cid_dict;

int cid_dict_new(struct cid_dict **out);
void cid_dict_free(struct cid_dict *d);

/* Reads a whole file in. */
int cid_dict_load(struct cid_dict *d, const char *path, struct cidstore_error *err);
/* The names of an identifier in the order of the file and as they stand there,
 * one a call; *at is 0 at first. NULL: no more. Valid until the next load or
 * save. */
const char *cid_dict_name(const struct cid_dict *d, struct cidstore_id id, size_t *at,
			  size_t *len);

/* Remembers a name; it reaches the file with the next save. */
int cid_dict_add(struct cid_dict *d, struct cidstore_id id, const char *name, size_t len);
/* Bytes that wait for a save. */
size_t cid_dict_waiting(const struct cid_dict *d);
/* Appends what is new to the file, which is made where it does not exist. On
 * failure the file is as before. A dictionary is either loaded or saved, and
 * saved to one file only. */
int cid_dict_save(struct cid_dict *d, const char *path, struct cidstore_error *err);

#endif
