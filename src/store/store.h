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
/* With CIDSTORE_RDONLY: the state at this moment, read past the page cache as
 * recovery does, and not followed. */
#define CID_OPEN_AS_IT_IS 0x10000u
int cid_store_open_io(const struct cid_io *io, const char *path, unsigned flags,
		      struct cidstore **out, struct cidstore_error *err);
int cid_store_check_io(const struct cid_io *io, const char *path, unsigned flags,
		       void (*say)(void *, const char *, double), void *arg,
		       struct cidstore_report *out, struct cidstore_error *err);

int cid_store_repair_io(const struct cid_io *io, const char *path, unsigned flags,
			int (*lost)(void *, const char *),
			void (*say)(void *, const char *, double), void *arg,
			struct cidstore_report *out, struct cidstore_error *err);

int cid_store_copy_io(const struct cid_io *io, const char *path, const char *dest,
		      int (*more)(void *, uint64_t, uint64_t), void *arg,
		      struct cidstore_copied *out, struct cidstore_error *err);

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

/* While it is on, cidstore_compact, _gc and _wait_idle end soon, and new ones at
 * once, with CIDSTORE_EAGAIN; what they did stays done. Any thread. */
void cid_store_cancel(struct cidstore *s, int on);

/* Called after each acknowledged bulk change or batch (not after the single
 * changes), in the writer's thread and without locks held, so that a front end
 * can drop what it caches: key is NULL when too much changed to tell. The hook
 * must not call back into the store. One hook a store, set before use. */
typedef void cid_store_hook(void *arg, const struct cidstore_id *key,
			    const struct cidstore_id *value);
void cid_store_on_change(struct cidstore *s, cid_store_hook *hook, void *arg);

/* The changes in their order, as far back as the log's ring holds them. A
 * follower is a number: that of the change it wants next. */
enum cid_feed_kind {
	CID_FEED_INSERT = 1,
	CID_FEED_DELETE,
	CID_FEED_RMKEY,
	CID_FEED_MKKEY,
	CID_FEED_BEGIN,	 /* the changes up to the next COMMIT are one */
	CID_FEED_COMMIT,
	CID_FEED_LOST	 /* overwritten before it was read, or damaged */
};
struct cid_feed_item {
	uint64_t seq; /* of LOST: the first of `count` numbers */
	enum cid_feed_kind kind;
	struct cidstore_id key, value;
	uint64_t count; /* of BEGIN and COMMIT: changes between the two */
};
/* The next items from *seq on, which moves behind them; 0: none yet. Never
 * blocks, and costs the writer nothing. Not every number is a change's. */
size_t cid_store_feed(struct cidstore *s, uint64_t *seq, struct cid_feed_item *out, size_t cap);
/* The lowest number that is not lost. */
uint64_t cid_store_feed_oldest(struct cidstore *s);
/* Blocks until last_seq is above `seen` or somebody calls wake. One thread. */
void cid_store_feed_await(struct cidstore *s, uint64_t seen);
void cid_store_feed_wake(struct cidstore *s);

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

/* One whole round of the scrubber, now. */
int cid_store_scrub(struct cidstore *s);

/* Verification of the live store in the background ("verify" control file). */
struct cid_verify_state {
	int running;
	double progress;
	struct cidstore_report report;
};
int cid_store_verify_start(struct cidstore *s);
void cid_store_verify_state(struct cidstore *s, struct cid_verify_state *out);

#endif
