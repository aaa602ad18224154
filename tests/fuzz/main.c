/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - runs a target without libFuzzer
 *
 *     TARGET [-runs=N] [-seed=S] [FILE|DIRECTORY]...
 *
 * Each file is run once, then N random mutations of them. With nothing named,
 * standard input is run, as afl-fuzz wants it. The input that crashes is left
 * in crash-TARGET.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "fuzz/fuzz.h"

enum { LONGEST = 1 << 16 };

struct input {
	uint8_t *p;
	size_t n;
};

static struct input *corpus;
static size_t inputs;
static uint64_t state;
static uint8_t now[LONGEST];
static volatile size_t now_n;
static char crash[300];

static uint64_t rnd(uint64_t bound)
{
	uint64_t z = state += 0x9E3779B97F4A7C15ull;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ z >> 27) * 0x94D049BB133111EBull;
	return (z ^ z >> 31) % bound;
}

static void on_crash(int sig)
{
	int fd = open(crash, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0 && write(fd, now, now_n) == (ssize_t)now_n)
		close(fd);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void add(const uint8_t *p, size_t n)
{
	corpus = realloc(corpus, (inputs + 1) * sizeof(*corpus));
	if (!corpus)
		exit(99);
	corpus[inputs].p = malloc(n ? n : 1);
	if (!corpus[inputs].p)
		exit(99);
	memcpy(corpus[inputs].p, p, n);
	corpus[inputs++].n = n;
}

static void add_fd(int fd)
{
	size_t n = 0;
	ssize_t got;

	while (n < LONGEST && (got = read(fd, now + n, LONGEST - n)) > 0)
		n += (size_t)got;
	add(now, n);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_path(const char *path)
{
	struct dirent **e;
	struct stat st;
	char file[1024];
	int fd, n;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		n = scandir(path, &e, NULL, by_name);
		for (int i = 0; i < n; i++) {
			(void)snprintf(file, sizeof(file), "%s/%s", path, e[i]->d_name);
			if (e[i]->d_name[0] != '.')
				add_path(file);
			free(e[i]);
		}
		if (n >= 0)
			free(e);
		return;
	}
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		perror(path);
		exit(99);
	}
	add_fd(fd);
	close(fd);
}

static size_t mutate(uint8_t *p, size_t n)
{
	static const uint64_t special[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff,
					    0xffffffff, 0x8000000000000000, UINT64_MAX };

	for (uint64_t times = 1 + rnd(8); times > 0; times--) {
		size_t at = n ? (size_t)rnd(n) : 0, len = 1 + (size_t)rnd(rnd(4) ? 8 : 256), from;
		uint64_t v = special[rnd(11)];

		switch (rnd(7)) {
		case 0:
			if (n)
				p[at] ^= (uint8_t)(1u << rnd(8));
			break;
		case 1:
			if (n)
				p[at] = (uint8_t)rnd(256);
			break;
		case 2:
			for (size_t i = 0; i < len && at + i < n && i < 8; i++)
				p[at + i] = (uint8_t)(v >> 8 * i);
			break;
		case 3: /* bytes go */
			if (at + len <= n) {
				memmove(p + at, p + at + len, n - at - len);
				n -= len;
			}
			break;
		case 4: /* bytes come */
			if (n + len <= LONGEST) {
				memmove(p + at + len, p + at, n - at);
				for (size_t i = 0; i < len; i++)
					p[at + i] = (uint8_t)rnd(256);
				n += len;
			}
			break;
		case 5: /* a piece stands elsewhere, too */
			from = n ? (size_t)rnd(n) : 0;
			if (from + len <= n && at + len <= n)
				memmove(p + at, p + from, len);
			break;
		default: { /* a piece of another input */
			const struct input *o = &corpus[rnd(inputs)];

			from = o->n ? (size_t)rnd(o->n) : 0;
			for (size_t i = 0; i < len && from + i < o->n && at + i < LONGEST; i++) {
				p[at + i] = o->p[from + i];
				n = at + i + 1 > n ? at + i + 1 : n;
			}
		}
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	unsigned long runs = 0;
	struct timespec a, b;
	double s;

	state = (uint64_t)getpid() * 2654435761u;
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0)
			runs = strtoul(argv[i] + 6, NULL, 0);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			state = strtoull(argv[i] + 6, NULL, 0);
		else
			add_path(argv[i]);
	}
	if (inputs == 0)
		add_fd(STDIN_FILENO);
	printf("# seed %llu, %zu inputs, %lu mutations\n", (unsigned long long)state, inputs, runs);
	(void)fflush(stdout);
	(void)snprintf(crash, sizeof(crash), "crash-%s", name ? name + 1 : argv[0]);
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	signal(SIGFPE, on_crash);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned long i = 0; i < inputs + runs; i++) {
		const struct input *in = &corpus[i < inputs ? i : rnd(inputs)];
		size_t n = in->n;

		memcpy(now, in->p, n);
		now_n = n = i < inputs ? n : mutate(now, n);
		(void)LLVMFuzzerTestOneInput(now, n);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	printf("# %lu executions, %.0f a second\n", (unsigned long)inputs + runs,
	       (double)(inputs + runs) / (s > 0 ? s : 1));
	for (size_t i = 0; i < inputs; i++)
		free(corpus[i].p);
	free(corpus);
	return 0;
}
