/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lend.h - memory of one process that others look at
 *
 * It is a memory file: without a name, it goes with the last who has it mapped,
 * and its size is sealed, so that looking at it never meets an end. Others find
 * it by the process and the descriptor, under /proc, where the kernel lets
 * those in who may trace the owner: its user, and root.
 */
#ifndef CID_OS_LEND_H
#define CID_OS_LEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cid_loan {
	void *p;
	size_t n;
	int fd; /* in the owner's process */
	uint64_t pid, ino;
};

/* n bytes, zeroed as they are touched. *out is the caller's until unlend. */
int cid_os_lend(void *self, size_t n, struct cid_loan *out);
void cid_os_unlend(void *self, struct cid_loan *l);
/* Maps for reading what pid, fd and ino of `l` name, of l->n bytes, at l->p where
 * that is not NULL (there is a mapping then, which it replaces). Negative errno
 * where that is not there, not this size, not sealed, or not to be looked at; or
 * of a user that is neither root nor `uid`. */
int cid_os_borrow(void *self, struct cid_loan *l, uint64_t uid);
void cid_os_give_back(void *self, void *p, size_t n);
/* Is it still there? Also true where that cannot be told. */
bool cid_os_lends(void *self, const struct cid_loan *l);

#endif
