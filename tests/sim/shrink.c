/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/shrink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/world.h"

struct failure *failure;

static int in_child(int (*fn)(void), bool quiet)
{
	int status;
	pid_t pid;

	memset(failure, 0, sizeof(*failure));
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int null = quiet ? open("/dev/null", O_WRONLY) : -1;

		if (null >= 0)
			(void)dup2(null, 1);
		status = fn();
		(void)fflush(stdout);
		_exit(status);
	}
	if (pid < 0)
		return 2;
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Prints the numbers of the steps left out, in ranges. */
static void print_skip(const uint8_t *skip, uint64_t last)
{
	const char *comma = "";

	for (uint64_t i = 1; i <= last; i++) {
		uint64_t from = i;

		if (!skip[i])
			continue;
		while (i < last && skip[i + 1])
			i++;
		printf("%s%llu", comma, (unsigned long long)from);
		if (i > from)
			printf("-%llu", (unsigned long long)i);
		comma = ",";
	}
}

int shrink_run(int (*fn)(void), double budget)
{
	struct failure first, best;
	uint8_t *skip, *was;
	uint64_t steps = 0, piece;
	double end;
	int rc;

	failure = mmap(NULL, sizeof(*failure), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (failure == MAP_FAILED)
		return 2;
	if (!options.shrink)
		return fn();
	rc = in_child(fn, false);
	first = best = *failure;
	if (rc == 0 || !first.failed || first.hung || first.step == 0)
		return rc;
	options.seed = first.seed;
	options.at_op = (int64_t)first.step;
	options.at_event = options.at_state = -1;
	skip = calloc(options.ops + 2, 1);
	was = calloc(options.ops + 2, 1);
	if (!skip || !was)
		return rc;
	options.skip = skip;
	options.shrink = false;
	end = world_seconds() + budget;
	/* Leaves out ever smaller pieces, as long as the step still fails. */
	for (piece = first.step; piece > 0 && world_seconds() < end; piece /= 2)
		for (uint64_t at = 1; at < first.step && world_seconds() < end; at += piece) {
			uint64_t n = first.step - at < piece ? first.step - at : piece;
			bool any = false;

			memcpy(was, skip, options.ops + 2);
			for (uint64_t i = at; i < at + n; i++) {
				any |= !skip[i];
				skip[i] = 1;
			}
			if (any && in_child(fn, true) == 1 && failure->failed && !failure->hung &&
			    failure->step == first.step)
				best = *failure;
			else
				memcpy(skip, was, options.ops + 2);
		}
	for (uint64_t i = 1; i <= first.step; i++)
		steps += !skip[i];
	printf("# shrunk to %llu steps: %s\n# repeat: sim --seed %llu --ops %llu --skip ",
	       (unsigned long long)steps, best.text, (unsigned long long)best.seed,
	       (unsigned long long)options.ops);
	print_skip(skip, first.step);
	printf(" --at %llu", (unsigned long long)best.step);
	if (best.crash)
		printf(".%llu.%llu", (unsigned long long)best.event,
		       (unsigned long long)best.state);
	printf("\n");
	free(skip);
	free(was);
	return rc;
}
