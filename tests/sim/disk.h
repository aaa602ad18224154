/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.h - a file system in memory that knows what a power cut may leave of it
 *
 * A disk holds one directory of files. Each file's current content is one flat
 * mapping, so that what the engine maps stays where it is and shows later
 * writes. Beside it stand, for every 512-byte sector written since the last
 * sync of the file, the content that sync made durable (the base) and all
 * contents the sector had since (its versions, each with the number of the
 * write that made it). Sizes have versions too. Changes of the directory are
 * a list of operations since the last sync of the directory.
 *
 * A sync of a file empties its list of sectors; a sync of the directory the
 * list of operations. What a power cut leaves is made by crash.h.
 *
 * Disks form a chain: a child holds a crash image of its parent. To make the
 * next image cheap, a child knows the files and pages in which it may differ
 * from its parent's current content, whichever of the two wrote them. Each
 * sector has a sum (mix), so that images can be compared without being made (seen.h),
 * and a disk that is watched notes which sectors of its image were looked at.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "os/io.h"
#include "sim/random.h"

#define DISK_PATH "/store"

enum {
	DISK_SECTOR = 512,
	DISK_PAGE = 4096,
	DISK_FILES = 500, /* ever made in one history */
	DISK_FILE_BYTES = 20 << 20,
	DISK_FILE_PAGES = DISK_FILE_BYTES / DISK_PAGE,
	DISK_NAMES = 300,
	DISK_NAME_BYTES = 32,
	DISK_FDS = 400,
	DISK_DIRECTORY = -1,
};

/* `mix` is a sum of place and content: 0 of a sector that is all zero. */
struct disk_version {
	uint64_t seq, mix;
	uint32_t next; /* index + 1, 0: none */
	uint32_t blob;
};

struct disk_sector {
	uint32_t number;
	uint32_t versions;
	uint32_t first, last; /* versions, index + 1 */
	uint32_t base, kept;  /* blobs: what is durable, what is there now */
	uint64_t base_mix, kept_mix;
	uint64_t first_seq, last_seq;
};

struct disk_size {
	uint64_t seq, size;
};

struct disk_file {
	uint8_t *mem; /* DISK_FILE_BYTES */
	uint32_t *at; /* per sector: index + 1 into sector, 0: clean */
	bool used;
	bool stuck; /* a sync failed */
	uint64_t size, base_size;
	struct disk_size *sizes;
	size_t nsizes, cap_sizes;
	struct disk_sector *sector;
	size_t nsector, cap_sector;
	struct disk_version *version;
	size_t nversion, cap_version;
	uint8_t (*blob)[DISK_SECTOR]; /* blob 0 is all zero */
	size_t nblob, cap_blob;
	uint64_t *mix;			       /* per sector, of the current content */
	uint64_t blocks[DISK_FILE_PAGES / 64]; /* pages that take space */
	/* pages that may differ from the parent's */
	uint64_t differs[DISK_FILE_PAGES / 64];
	uint32_t *diff;
	size_t ndiff, cap_diff;
	bool touched; /* may differ from the parent's in anything */
	/* while watched, per sector: looked at; written over since the image was made */
	uint64_t *looked, *own;
};

struct disk_name {
	char name[DISK_NAME_BYTES];
	int file;
};

enum disk_change_kind { DISK_CREATE, DISK_RENAME, DISK_UNLINK };

struct disk_change {
	uint64_t seq;
	enum disk_change_kind kind;
	int file;
	char from[DISK_NAME_BYTES], to[DISK_NAME_BYTES];
};

enum disk_event {
	DISK_RECORD, /* a log record was stored into a mapping */
	DISK_WRITE,
	DISK_SYNC, /* a sync is about to happen */
	DISK_SYNCED,
	DISK_SYNCING_DIR,
	DISK_SYNCED_DIR,
	DISK_SIZE,
	DISK_PUNCH,
	DISK_NAMED, /* create, rename, unlink */
	DISK_CLOCK, /* somebody asks for the time: nothing changed */
	DISK_EVENTS
};

struct disk {
	struct cid_io io;
	struct disk_file file[DISK_FILES];
	int files;
	bool made; /* the directory exists */
	struct disk_name name[DISK_NAMES], durable[DISK_NAMES];
	int names, durables;
	struct disk_change *change; /* since the last sync of the directory */
	size_t nchange, cap_change;
	struct disk_fd {
		bool used;
		int file;
		int lock; /* 0, 1 shared, 2 exclusive */
	} fd[DISK_FDS];
	int fds, fds_open; /* all those in use are below fds */
	uint64_t seq;	   /* of the last write of any kind */
	uint64_t clock;	   /* ns */
	struct rng random;
	uint64_t pages, capacity; /* in use, at most; 0: no limit */
	/* After a power cut: nothing is changed any more, calls fail. */
	bool dead;
	bool short_writes;
	/* The sync that fails: so many syncs from now, 0: none. What was pending
	 * then stays so, whatever later syncs of that file say. */
	uint64_t fail_sync;
	int fail_file; /* only syncs of this one count; -1: all */
	bool failed;
	/* The sector that cannot be read: pread fails, a mapping faults. */
	int spoilt; /* file, -1: none */
	uint64_t spoilt_at;
	uint8_t saved[DISK_SECTOR]; /* what a store into a mapping replaces */
	struct disk *parent, *child;
	int touched[DISK_FILES], ntouched; /* files */
	bool watched;
	struct disk_place { /* what was looked at, and what was written over */
		uint16_t file, number;
	} * looked, *own;
	size_t nlooked, cap_looked, nown, cap_own;
	/* Told after (sync: before and after) each change. `record` first. */
	void (*event)(void *arg, struct disk *d, enum disk_event e, int file);
	void (*record)(void *arg, const uint8_t *rec);
	void *arg;
	uint64_t punches;
	uint64_t events; /* since the disk was made */
	uint64_t trace;	 /* hash of all that was done to it */
	uint64_t writes; /* changes of content or directory that were not the same again */
};

/* parent NULL: the first of a chain. */
struct disk *disk_new(struct disk *parent);
void disk_free(struct disk *d);
/* Empty again, as are all below it. */
void disk_reset(struct disk *d, uint64_t seed);
/* Closes all descriptors and drops all locks, as the end of a process does. */
void disk_release(struct disk *d);
/* Takes the content of `from`, a child of d that is at rest: all of it durable. */
void disk_adopt(struct disk *d, struct disk *from);

/* ---- for the table of calls ---- */

int disk_find(const struct disk *d, const char *name);
int disk_create(struct disk *d, const char *name); /* the file's number, or -errno */
int disk_rename(struct disk *d, const char *from, const char *to);
int disk_unlink(struct disk *d, const char *name);
/* Stores bytes (NULL: zeros) and keeps what they replace. */
void disk_write(struct disk *d, int file, uint64_t off, const void *buf, size_t n);
void disk_resize(struct disk *d, int file, uint64_t size);
/* Stores into a mapping: before() and after() of the table. */
void disk_before(struct disk *d, const void *p, size_t n);
void disk_after(struct disk *d, const void *p, size_t n);
void disk_sync(struct disk *d, int file);
void disk_settle(struct disk *d, int file); /* nothing pending, whatever failed */
void disk_sync_names(struct disk *d);
void disk_tell(struct disk *d, enum disk_event e, int file);
/* How many of the pages of a range take no space yet. */
uint64_t disk_holes(const struct disk *d, int file, uint64_t off, uint64_t n);
void disk_give_back(struct disk *d, int file, uint64_t off, uint64_t n);

/* ---- for making images ---- */

/* Sets content without keeping what it replaces. */
void disk_put(struct disk *d, int file, uint64_t off, const void *buf, size_t n);
/* Makes d, a child, what its parent is now, and durable; but for the names. */
void disk_follow(struct disk *d);
void disk_put_size(struct disk *d, int file, uint64_t size); /* of a child */

/* Notes from now on which sectors of the image are looked at, by this disk's
 * user or those of its children; and ends that. */
void disk_watch(struct disk *d);
void disk_unwatch(struct disk *d);
/* A range was read; of a mapping, may be read from now on. */
void disk_look(struct disk *d, int file, uint64_t off, uint64_t n);
void disk_look_at(struct disk *d, const void *p, size_t n);
uint64_t disk_mix(int file, uint64_t number, const void *sector);

/* Makes a sector unreadable until it is written or the disk is healed. */
void disk_spoil(struct disk *d, int file, uint64_t off);
void disk_heal(struct disk *d);
/* A write of these bytes, to the file that has the sector, leaves some of its page. */
static inline bool disk_spoils_page(const struct disk *d, uint64_t off, uint64_t n)
{
	uint64_t page = d->spoilt_at / DISK_PAGE * DISK_PAGE;

	return page < off + n && off < page + DISK_PAGE &&
	       (page < off || off + n < page + DISK_PAGE);
}
static inline bool disk_spoils(const struct disk *d, int file, uint64_t off, uint64_t n)
{
	return d->spoilt == file && d->spoilt_at < off + n && off < d->spoilt_at + DISK_SECTOR;
}

/* disk_io.c */
void disk_table(struct disk *d);

#endif
