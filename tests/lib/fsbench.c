/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fsbench.c - how many of each system call a mount answers in a second
 *
 *	fsbench [-n COUNT] [-p PROCESSES] [-s SEED] MOUNTPOINT
 *
 * mkdir, stat of what exists, stat of what does not, create, unlink, rmdir, each
 * COUNT times with names of its own, from PROCESSES processes; the values are
 * spread over one key for each thousand. Between two kinds all cached names and
 * attributes are dropped (needs root), so that each call asks the daemon. Prints
 * CSV: operation, count, seconds, operations per second. Leaves nothing behind.
 *
 * Before each kind, mkdir(".mode=KV") tells tests/lib/emptyfs what is to exist;
 * a real mount refuses the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PER_KEY 1000u

static int root;
static uint64_t count = 20000, seed = 1;
static unsigned processes = 1;

static uint64_t mix(uint64_t z)
{
	z += 0x9E3779B97F4A7C15ull * (seed + 1);
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ z >> 27) * 0x94D049BB133111EBull;
	return z ^ z >> 31;
}

/* Kind 0: keys; 1: keys that do not exist; 2: values. */
static void id(char *out, unsigned kind, uint64_t i)
{
	snprintf(out, 33, "%016llx%08x%08llx", (unsigned long long)mix(i * 4 + kind), kind,
		 (unsigned long long)i & 0xffffffff);
}

static void value_path(char *out, uint64_t i)
{
	id(out, 0, i / PER_KEY);
	out[32] = '/';
	id(out + 33, 2, i);
}

static int do_mkdir(uint64_t i)
{
	char name[33];

	id(name, 0, i);
	return mkdirat(root, name, 0777);
}

static int do_stat_existing(uint64_t i)
{
	struct stat st;
	char name[33];

	id(name, 0, i);
	return fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW);
}

static int do_stat_missing(uint64_t i)
{
	struct stat st;
	char name[33];

	id(name, 1, i);
	if (!fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW)) {
		errno = EEXIST;
		return -1;
	}
	return errno == ENOENT ? 0 : -1;
}

static int do_create(uint64_t i)
{
	char path[66];
	int fd;

	value_path(path, i);
	fd = openat(root, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
	return fd < 0 ? -1 : close(fd);
}

static int do_unlink(uint64_t i)
{
	char path[66];

	value_path(path, i);
	return unlinkat(root, path, 0);
}

static int do_rmdir(uint64_t i)
{
	char name[33];

	id(name, 0, i);
	return unlinkat(root, name, AT_REMOVEDIR);
}

static const struct kind {
	const char *name;
	int (*fn)(uint64_t i);
	const char *mode;
} kinds[] = {
	{ "mkdir", do_mkdir, ".mode=00" },
	{ "stat_existing", do_stat_existing, ".mode=11" },
	{ "stat_missing", do_stat_missing, ".mode=00" },
	{ "create", do_create, ".mode=10" },
	{ "unlink", do_unlink, ".mode=11" },
	{ "rmdir", do_rmdir, ".mode=11" },
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "2", 1) != 1)
		fprintf(stderr, "fsbench: cannot drop cached names: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void share(const struct kind *k, unsigned p, int gate)
{
	uint64_t first = count * p / processes, end = count * (p + 1) / processes;
	char c;

	while (read(gate, &c, 1) < 0 && errno == EINTR)
		;
	for (uint64_t i = first; i < end; i++) {
		if (k->fn(i)) {
			fprintf(stderr, "fsbench: %s %llu: %s\n", k->name, (unsigned long long)i,
				strerror(errno));
			_exit(1);
		}
	}
	_exit(0);
}

/* The gate opens when its writing end is closed. */
static int run(const struct kind *k)
{
	int gate[2], status, failed = 0;
	double begun, took;

	if (mkdirat(root, k->mode, 0777) == 0)
		fprintf(stderr, "fsbench: %s was made\n", k->mode);
	drop_caches();
	if (pipe(gate))
		return -1;
	for (unsigned p = 0; p < processes; p++) {
		pid_t pid = fork();

		if (pid < 0)
			return -1;
		if (!pid) {
			close(gate[1]);
			share(k, p, gate[0]);
		}
	}
	close(gate[0]);
	begun = now();
	close(gate[1]);
	for (unsigned p = 0; p < processes; p++)
		if (wait(&status) < 0 || status)
			failed = 1;
	took = now() - begun;
	printf("%s,%llu,%.6f,%.0f\n", k->name, (unsigned long long)count, took,
	       (double)count / took);
	fflush(stdout);
	return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:p:s:")) >= 0) {
		switch (c) {
		case 'n':
			count = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			processes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	root = optind + 1 == argc ? open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (root < 0 || !count || !processes) {
		fprintf(stderr, "usage: fsbench [-n COUNT] [-p PROCESSES] [-s SEED] MOUNTPOINT\n");
		return 2;
	}
	puts("operation,count,seconds,per_second");
	fflush(stdout); /* before the first fork */
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (run(&kinds[i]))
			return 1;
	return 0;
}
