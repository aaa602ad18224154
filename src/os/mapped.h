/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapped.h - touching the mapping of a file, whose device may fail
 *
 * A sector that a device cannot deliver, or the end of a file that somebody cut
 * short, arrives in a mapping as SIGBUS. The engine touches its mappings only
 * in here: what is wanted is copied out, or looked at by a function that holds
 * nothing. So a fault is a result like that of a failed pread, in every thread,
 * and no lock, epoch or memory is left behind by a jump.
 *
 * That needs a handler of the process which calls cid_mapped_fault(); without
 * one the signal ends the process, as ever. Arming a thread costs some sixty
 * instructions (no signal mask is saved), but for the one copy that hot paths
 * make: where the processor is known, the handler recognizes it by its place in
 * the program.
 */
#ifndef CID_OS_MAPPED_H
#define CID_OS_MAPPED_H

#include <stdbool.h>
#include <stddef.h>

enum { CID_MAPPED_LINE = 64 };

/* Copies; either side may be mapped. False where it could not all be had: what
 * `to` holds is then undefined. */
bool cid_mapped_copy(void *to, const void *from, size_t n);
/* The same for CID_MAPPED_LINE bytes, both sides aligned to words. */
bool cid_mapped_line(void *to, const void *from);
/* Calls fn, which reads mapped memory, and writes to what `arg` leads to. It
 * takes no lock, allocates nothing, and does not come in here again. False where
 * it was cut off. */
bool cid_mapped_run(void (*fn)(void *arg), void *arg);

/* From a handler of SIGBUS with SA_SIGINFO, whose third argument `context` is.
 * True: it is to return, and the thread goes on. False where the calling thread
 * is in none of the above. */
bool cid_mapped_fault(void *context);

#endif
