/* SPDX-License-Identifier: BSD-2-Clause */
/* shrink.h - running histories in a child process, and making failures small */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include <stdbool.h>
#include <stdint.h>

/* What a failing child leaves behind, in memory shared with its parent. */
struct failure {
	bool failed, hung;
	uint64_t seed, step, event, state;
	bool crash; /* event and state tell of a crash state */
	char text[400];
};
extern struct failure *failure;

/* Runs `fn` in a child. When it fails, looks for the fewest steps that still
 * fail in the same step and prints the line that repeats them. The exit status
 * for the whole program. */
int shrink_run(int (*fn)(void), double budget);

#endif
