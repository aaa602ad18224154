/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/tap.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects all below, and stdout */
static unsigned planned, run, failed;

void tap_plan(unsigned checks)
{
	pthread_mutex_lock(&lock);
	planned = checks;
	printf("1..%u\n", checks);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

/* One result line. Called and left with the lock held. */
static void line_of(bool held, const char *name, va_list ap)
{
	run++;
	if (!held)
		failed++;
	printf("%s %u - ", held ? "ok" : "not ok", run);
	vprintf(name, ap);
}

static void place(const char *file, int line)
{
	printf("#   at %s:%d\n", file, line);
}

bool tap_result(bool held, const char *file, int line, const char *name, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	va_start(ap, name);
	line_of(held, name, ap);
	va_end(ap);
	putchar('\n');
	if (!held)
		place(file, line);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
	return held;
}

bool tap_int_eq(int64_t got, int64_t want, const char *file, int line, const char *name, ...)
{
	bool held = got == want;
	va_list ap;

	pthread_mutex_lock(&lock);
	va_start(ap, name);
	line_of(held, name, ap);
	va_end(ap);
	putchar('\n');
	if (!held) {
		place(file, line);
		printf("#   got %" PRId64 ", want %" PRId64 "\n", got, want);
	}
	fflush(stdout);
	pthread_mutex_unlock(&lock);
	return held;
}

bool tap_str_eq(const char *got, const char *want, const char *file, int line, const char *name,
		...)
{
	bool held = got && want ? strcmp(got, want) == 0 : got == want;
	va_list ap;

	pthread_mutex_lock(&lock);
	va_start(ap, name);
	line_of(held, name, ap);
	va_end(ap);
	putchar('\n');
	if (!held) {
		place(file, line);
		printf("#   got  '%s'\n#   want '%s'\n", got ? got : "(null)",
		       want ? want : "(null)");
	}
	fflush(stdout);
	pthread_mutex_unlock(&lock);
	return held;
}

void tap_skip(const char *why, const char *name, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	va_start(ap, name);
	line_of(true, name, ap);
	va_end(ap);
	printf(" # SKIP %s\n", why);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

void tap_note(const char *text, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	fputs("# ", stdout);
	va_start(ap, text);
	vprintf(text, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

_Noreturn void tap_bail(const char *why, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	fputs("Bail out! ", stdout);
	va_start(ap, why);
	vprintf(why, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_Exit(99);
}

_Noreturn void tap_skip_all(const char *why, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	fputs("1..0 # SKIP ", stdout);
	va_start(ap, why);
	vprintf(why, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_Exit(0);
}

unsigned tap_deadline(void)
{
	const char *given = getenv("DEADLINE");
	unsigned long n = given ? strtoul(given, NULL, 10) : 0;

	return n > 0 && n <= UINT_MAX ? (unsigned)n : 60;
}

int tap_done(void)
{
	int status;

	pthread_mutex_lock(&lock);
	if (!planned) {
		planned = run;
		printf("1..%u\n", planned);
	}
	status = failed || run != planned || !run;
	fflush(stdout);
	pthread_mutex_unlock(&lock);
	return status;
}
