/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mdtouch.c - loads pairs into a mounted store by the system calls of mkdir(1)
 * and touch(1), and by nothing else
 *
 * mdtouch ROOT < lines of `KEY VALUE`. Prints what it did and how fast. Any
 * error but an existing directory is fatal.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 1 when the directory is new, 0 when it was there. */
static int make(int root, const char *key)
{
	if (mkdirat(root, key, 0777) == 0)
		return 1;
	if (errno == EEXIST)
		return 0;
	fprintf(stderr, "mdtouch: mkdir %s: %s\n", key, strerror(errno));
	exit(1);
}

static void touch(int root, const char *path)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK, 0666);

	if (fd >= 0 && futimens(fd, NULL) == 0 && close(fd) == 0)
		return;
	fprintf(stderr, "mdtouch: touch %s: %s\n", path, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	char key[64], value[64], path[160];
	unsigned long made = 0, touched = 0;
	double begun, seconds;
	int root;

	if (argc != 2) {
		fputs("usage: mdtouch ROOT < PAIRS\n", stderr);
		return 2;
	}
	root = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (root < 0) {
		fprintf(stderr, "mdtouch: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	begun = now();
	while (scanf("%63s %63s", key, value) == 2) {
		made += (unsigned long)make(root, key);
		snprintf(path, sizeof(path), "%s/%s", key, value);
		touch(root, path);
		touched++;
	}
	if (ferror(stdin)) {
		fputs("mdtouch: reading standard input failed\n", stderr);
		return 1;
	}
	seconds = now() - begun;
	printf("%lu mkdir new, %lu touch, %.1f s, %.0f pairs/s\n", made, touched, seconds,
	       (double)touched / seconds);
	return 0;
}
