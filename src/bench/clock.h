/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - time for measuring: seconds since an arbitrary start, and ticks
 *
 * A tick costs some 10 ns to read where a clock call costs 30; lookups take a
 * few hundred. Ticks are those of the constant-rate counter of x86, elsewhere
 * nanoseconds.
 */
#ifndef CID_BENCH_CLOCK_H
#define CID_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline double cid_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline uint64_t cid_ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

/* Nanoseconds a tick takes. The first call measures for 50 ms. */
double cid_tick_ns(void);

#endif
