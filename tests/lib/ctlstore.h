/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctlstore.h - a store in a directory of its own with its control table,
 * and what the tests of the control room share
 *
 * Helpers that cannot go on end the process by tap_bail().
 */
#ifndef CTLSTORE_H
#define CTLSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "control/control.h"
#include "store/store.h"

#define OWNER 1000u

struct fixture {
	char dir[64];
	struct cidstore *store;
	struct cid_control *control;
};

extern const struct cid_ctl_caller root, owner, stranger;

void fixture_init(struct fixture *f);
/* Closes the store and opens it again, with these flags of cidstore_open. */
void fixture_reopen(struct fixture *f, unsigned flags);
/* Closes and removes the store. */
void fixture_fini(struct fixture *f);

/* Random numbers (SplitMix64), from the environment's SEED or the clock; noted. */
uint64_t random_seed(void);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t bound);
struct cidstore_id random_id(uint64_t *state);

/* Opens as root, or bails out. */
struct cid_ctl_file *must_open(struct fixture *f, const char *path, int flags);
/* Opens as root for writing, writes once, flushes, releases: 0 or the first
 * error. */
int put_text(struct fixture *f, const char *path, const char *text);
/* All that reading gives, zero-terminated, of malloc; NULL and *error where it
 * cannot be opened or read. */
char *get_text(struct fixture *f, const char *path, int *error);
/* The number behind "NAME " in a file of such lines. */
uint64_t get_row(struct fixture *f, const char *path, const char *name);

/* Writes n bytes in pieces of random sizes up to `most`; partial writes go on.
 * The first error among them, or 0; bytes after an error are written as well. */
int feed(struct cid_ctl_file *file, const void *bytes, size_t n, size_t most, uint64_t *random);
/* Reads to the end in pieces of random sizes up to `most`; of malloc. */
uint8_t *drain(struct cid_ctl_file *file, size_t most, uint64_t *random, size_t *n, int *error);

/* The whole content in one order: pairs, and keys without values as such. */
struct content_row {
	struct cidstore_id key, value;
	bool empty; /* no value */
};
struct content {
	struct content_row *row;
	size_t n, cap;
};
void content_of(struct cidstore *s, struct content *out);
void content_add(struct content *c, struct cidstore_id key, const struct cidstore_id *value);
/* Sorts, and drops what stands there twice and empty keys that have values. */
void content_settle(struct content *c);
bool content_equal(const struct content *a, const struct content *b);
void content_fini(struct content *c);

#endif
