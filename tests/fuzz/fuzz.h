/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - one target a program: libFuzzer's entry point, and what they share
 *
 * Linked with main.c a target replays files and tries a number of mutations of
 * them, and can be handed to afl-fuzz; scripts/fuzz links it with libFuzzer.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The input, taken from the front; zeros behind its end. */
struct fuzz_in {
	const uint8_t *p;
	size_t n;
};

static inline uint64_t fuzz_take(struct fuzz_in *in, size_t bytes)
{
	uint64_t v = 0;
	size_t n = bytes < in->n ? bytes : in->n;

	memcpy(&v, in->p, n);
	in->p += n;
	in->n -= n;
	return v;
}

/* A finding. */
static inline void fuzz_must(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "fuzz: this does not hold: %s\n", what);
		abort();
	}
}

/* A directory of the process's own, removed when it ends; made once. */
const char *fuzz_dir(void);

#endif
