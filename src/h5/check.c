/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.c - is a file of a store still the HDF5 file it was made as?
 *
 * The seal tells whether it is, and HDF5 whether it sees what we see. HDF5 may
 * crash or run for ever on a damaged file: it reads it in a child process.
 */
#include "h5/image.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/err.h"
#include "h5/inspect.h"
#include "h5/seal.h"

#define CHILD_CPU_SECONDS 20

/* What the child answers; less than a pipe takes at once. */
struct answer {
	int code;
	char message[400];
};

/* Limits of the child: it dies alone, silently and soon. */
static void confine(void)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU };
	struct rlimit core = { 0, 0 }, cpu = { CHILD_CPU_SECONDS, CHILD_CPU_SECONDS + 1 };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	size_t i;

	for (i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		(void)signal(deadly[i], SIG_DFL);
	(void)setrlimit(RLIMIT_CORE, &core);
	(void)setrlimit(RLIMIT_CPU, &cpu);
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
}

static _Noreturn void run_child(struct cid_h5_session *s, int out, int fd, enum cid_h5_kind kind,
				const struct cid_h5_params *p)
{
	struct cidstore_error err = { 0 };
	struct answer a = { 0 };
	ssize_t n;

	confine();
	s->err = &err;
	cid_h5_inspect(s, fd, kind, p);
	cid_h5_unwind(s, 0);
	a.code = s->code;
	(void)snprintf(a.message, sizeof(a.message), "%.*s", (int)sizeof(a.message) - 1,
		       err.message);
	n = write(out, &a, sizeof(a));
	_exit(n != (ssize_t)sizeof(a));
}

/* True with an answer; false where the child gave none. */
static bool await_answer(int in, struct answer *a)
{
	size_t have = 0;

	while (have < sizeof(*a)) {
		ssize_t n = read(in, (char *)a + have, sizeof(*a) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	a->message[sizeof(a->message) - 1] = '\0';
	return true;
}

static int inspect_in_child(int fd, enum cid_h5_kind kind, const struct cid_h5_params *p,
			    struct cidstore_error *err)
{
	struct answer a = { 0 };
	struct cid_h5_session s;
	bool answered = false;
	int ends[2], rc;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return cid_err_set(err, cid_err_from_errno(-errno), "pipe: %s", strerror(errno));
	/* The lock is ours while the process is copied: the child inherits an
	 * HDF5 that no other thread is in the middle of. */
	rc = cid_h5_begin(&s, err);
	pid = rc ? -1 : fork();
	if (pid == 0)
		run_child(&s, ends[1], fd, kind, p);
	if (!rc && pid < 0)
		rc = cid_h5_fail(&s, cid_err_from_errno(-errno), "fork: %s", strerror(errno));
	(void)close(ends[1]);
	if (pid > 0) {
		answered = await_answer(ends[0], &a);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	(void)close(ends[0]);
	rc = cid_h5_end(&s);
	if (rc)
		return rc;
	if (!answered)
		return cid_err_set(err, CIDSTORE_ECORRUPT, "is damaged: HDF5 fails on it");
	if (!a.code)
		return 0;
	/* What HDF5 could not do with this file is the file's fault. */
	return cid_err_set(err, a.code == CIDSTORE_ESYSTEM ? CIDSTORE_ECORRUPT : a.code, "%s",
			   a.message);
}

int cid_h5_check_file(const char *path, enum cid_h5_kind kind, const struct cid_h5_params *p,
		      struct cidstore_error *err)
{
	struct cidstore_error sealed = { 0 };
	uint64_t offset, len;
	struct stat st;
	int fd, rc, seal;

	rc = cid_h5_layout(kind, p, &offset, &len, err);
	if (rc)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return cid_err_set(err, cid_err_from_errno(-errno), "%s: %s", path,
				   strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		rc = cid_err_set(err, CIDSTORE_ECORRUPT, "is not a regular file");
	} else {
		/* HDF5 says best what is wrong with a file it dislikes. */
		seal = cid_h5_seal_check(fd, kind, p, &sealed);
		rc = inspect_in_child(fd, kind, p, err);
		if (!rc && seal)
			rc = cid_err_set(err, seal, "%s", sealed.message);
	}
	(void)close(fd);
	if (rc)
		(void)cid_err_prefix(err, "%s", path);
	return rc;
}
