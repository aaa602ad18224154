/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/lend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum { LARGE = 4 << 20 };

static void large_pages(void *p, size_t n)
{
	if (n >= LARGE)
		(void)madvise(p, n, MADV_HUGEPAGE);
}

int cid_os_lend(void *self, size_t n, struct cid_loan *out)
{
	struct stat st;
	int fd = memfd_create("cidstore", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;
	void *p = MAP_FAILED;

	(void)self;
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)n) == 0 && fstat(fd, &st) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		rc = -errno;
		close(fd);
		return rc;
	}
	/* Nobody else may write; of kernels that do not know it, the same user. */
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
	large_pages(p, n);
	*out = (struct cid_loan){ p, n, fd, (uint64_t)getpid(), st.st_ino };
	return 0;
}

void cid_os_unlend(void *self, struct cid_loan *l)
{
	(void)self;
	(void)munmap(l->p, l->n);
	(void)close(l->fd);
	l->p = NULL;
}

static void name_of(const struct cid_loan *l, char out[64])
{
	snprintf(out, 64, "/proc/%" PRIu64 "/fd/%d", l->pid, l->fd);
}

int cid_os_borrow(void *self, struct cid_loan *l, uint64_t uid)
{
	char name[64];
	struct stat st;
	int fd, seals, rc = 0;
	void *p;

	(void)self;
	name_of(l, name);
	/* What else may be there is not opened but when it is a file. */
	if (stat(name, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_ino != l->ino)
		return -ESTALE;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	seals = fcntl(fd, F_GET_SEALS);
	if (fstat(fd, &st) || st.st_ino != l->ino || seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    (st.st_uid != 0 && st.st_uid != uid) || (uint64_t)st.st_size != l->n)
		rc = -ESTALE;
	if (rc == 0) {
		p = mmap(l->p, l->n, PROT_READ, MAP_SHARED | (l->p ? MAP_FIXED : 0), fd, 0);
		if (p == MAP_FAILED) {
			rc = -errno;
		} else {
			large_pages(p, l->n);
			l->p = p;
		}
	}
	(void)close(fd);
	return rc;
}

void cid_os_give_back(void *self, void *p, size_t n)
{
	(void)self;
	(void)munmap(p, n);
}

bool cid_os_lends(void *self, const struct cid_loan *l)
{
	char name[64];
	struct stat st;

	(void)self;
	name_of(l, name);
	if (stat(name, &st))
		return errno != ENOENT && errno != ESRCH;
	return st.st_ino == l->ino;
}
