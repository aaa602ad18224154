/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tap.h - results of a C test in the Test Anything Protocol, on stdout
 *
 *     int main(void)
 *     {
 *             tap_plan(2);
 *             tap_ok(1 + 1 == 2, "sum");
 *             tap_int(strcmp("a", "a"), 0, "equal strings");
 *             return tap_done();
 *     }
 *
 * Each check prints one line and returns whether it held. Without tap_plan()
 * the plan is printed by tap_done(): a test that dies early is then seen as
 * failed because the plan is missing. Names are printf formats. Thread-safe.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stdint.h>

#define tap_ok(cond, ...) tap_result((cond), __FILE__, __LINE__, __VA_ARGS__)
#define tap_int(got, want, ...) \
	tap_int_eq((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, __VA_ARGS__)
#define tap_str(got, want, ...) tap_str_eq((got), (want), __FILE__, __LINE__, __VA_ARGS__)

void tap_plan(unsigned checks);

/* Use the macros above, which add the place. Strings may be NULL. */
bool tap_result(bool held, const char *file, int line, const char *name, ...)
	__attribute__((format(printf, 4, 5)));
bool tap_int_eq(int64_t got, int64_t want, const char *file, int line, const char *name, ...)
	__attribute__((format(printf, 5, 6)));
bool tap_str_eq(const char *got, const char *want, const char *file, int line, const char *name,
		...) __attribute__((format(printf, 5, 6)));

/* Counts as passed, and is shown as skipped. */
void tap_skip(const char *why, const char *name, ...) __attribute__((format(printf, 2, 3)));
/* A line for the reader of the log: a seed, a figure. */
void tap_note(const char *text, ...) __attribute__((format(printf, 1, 2)));
/* The test cannot go on: ends the process. */
_Noreturn void tap_bail(const char *why, ...) __attribute__((format(printf, 1, 2)));
/* The whole program cannot run here: skips all of it and ends the process. */
_Noreturn void tap_skip_all(const char *why, ...) __attribute__((format(printf, 1, 2)));

/* Seconds after which something hangs: DEADLINE of the environment, or 60. */
unsigned tap_deadline(void);

/* The exit status: 0 where every check held and as many ran as planned. */
int tap_done(void);

#endif
