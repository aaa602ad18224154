/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faultio.h - the real table of system calls, of which a chosen one fails
 *
 * Syncs are not carried out: the test does not outlive the machine. Memory is
 * made to fail too where the program is linked with --wrap for the functions
 * of malloc(3). One at a time: no other thread runs while a fault is set, though
 * calls are counted whoever makes them.
 */
#ifndef FAULTIO_H
#define FAULTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "os/io.h"

enum fault_kind {
	FAULT_OPEN,
	FAULT_CLOSE,
	FAULT_READ,
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_SYNC_DIR,
	FAULT_TRUNCATE,
	FAULT_ALLOCATE,
	FAULT_PUNCH,
	FAULT_RENAME,
	FAULT_UNLINK,
	FAULT_MKDIR,
	FAULT_LIST,
	FAULT_STAT,
	FAULT_SPACE,
	FAULT_LOCK,
	FAULT_MAP,
	FAULT_MEMORY,
	FAULT_KINDS
};
extern const char *const fault_kind_name[FAULT_KINDS];

struct fault {
	enum fault_kind kind;
	uint64_t number; /* the call that fails, from 1; 0: none */
	bool forever;	 /* and all of the kind after it */
	int error;	 /* an errno; 0: the read or write is short, and succeeds */
};

struct fault_state {
	struct fault fault;
	_Atomic uint64_t calls[FAULT_KINDS];
	uint64_t fired;
	_Atomic int64_t open_files, mappings; /* that were not closed */
};
extern struct fault_state fault_state;

extern const struct cid_io fault_io;

/* Starts counting anew, with this fault. */
void fault_set(const struct fault *f);
/* No more faults; counting goes on. */
void fault_clear(void);

#endif
