/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - the store's face towards the control table and the front ends:
 * what they need beyond the public interface.
 */
#ifndef CID_STORE_STORE_H
#define CID_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>
#include "cidstore/cidstore.h"

struct cid_io;

/* As cidstore_create and cidstore_open, over another table of system calls. */
int cid_store_create_io(const struct cid_io *io, const char *path,
			const struct cidstore_geometry *geo,
			struct cidstore_error *err);
int cid_store_open_io(const struct cid_io *io, const char *path, unsigned flags,
		      struct cidstore **out, struct cidstore_error *err);
int cid_store_check_io(const struct cid_io *io, const char *path, unsigned flags,
		       void (*say)(void *, const char *, double), void *arg,
		       struct cidstore_report *out, struct cidstore_error *err);

/* The settings, for listing. NULL at the end. */
struct cid_setting {
	const char *name;
	uint64_t min, max, initial;
	const char *help;
};
const struct cid_setting *cid_store_settings(void);

const char *cid_store_path(struct cidstore *s);
int cid_store_readonly(struct cidstore *s);

/* 62-bit order of identifiers in listings of this store. */
uint64_t cid_store_hash(struct cidstore *s, struct cidstore_id id);

/* The calling thread left a read of the store by a jump, as a handler of SIGBUS
 * does. What the read had allocated is lost. */
void cid_store_abandon_read(struct cidstore *s);

/* Called after each acknowledged bulk change or batch (not after the single
 * changes), in the writer's thread and without locks held, so that a front end
 * can drop what it caches: key is NULL when too much changed to tell. The hook
 * must not call back into the store. One hook a store, set before use. */
typedef void cid_store_hook(void *arg, const struct cidstore_id *key,
			    const struct cidstore_id *value);
void cid_store_on_change(struct cidstore *s, cid_store_hook *hook, void *arg);

/* What a key's entry and set take on disk, in bytes, and where it lives. */
struct cid_key_info {
	uint64_t count;
	uint64_t disk_bytes;
	uint64_t bucket;	/* index of its first directory slot */
	const char *state;	/* "empty", "inline", "packed", "extents" */
	int pending;		/* deltas outside its bucket */
};
int cid_store_key_info(struct cidstore *s, struct cidstore_id key,
		       struct cid_key_info *out);

/* Text for debug files: writes at most cap bytes and returns the full length,
 * or a negative code. */
long cid_store_describe_bucket(struct cidstore *s, uint64_t id, char *buf,
			       size_t cap);
long cid_store_describe_key(struct cidstore *s, struct cidstore_id key,
			    char *buf, size_t cap);

/* Verification of the live store in the background ("verify" control file). */
struct cid_verify_state {
	int running;
	double progress;
	struct cidstore_report report;
};
int cid_store_verify_start(struct cidstore *s);
void cid_store_verify_state(struct cidstore *s, struct cid_verify_state *out);

#endif
