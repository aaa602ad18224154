/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/io.h"

#include <errno.h>

int cid_io_read_full(const struct cid_io *io, int fd, void *buf, size_t n, uint64_t off)
{
	uint8_t *p = buf;

	while (n) {
		ssize_t r = io->pread(io->self, fd, p, n, off);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return (int)r;
		if (r == 0)
			return -EIO;
		p += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

int cid_io_lock_wait(const struct cid_io *io, int fd, bool exclusive, uint64_t patience)
{
	uint64_t end = io->monotonic(io->self) + patience;
	int rc;

	while ((rc = io->lock(io->self, fd, exclusive)) == -EWOULDBLOCK &&
	       io->monotonic(io->self) < end && io->pause)
		io->pause(io->self, 10 * 1000000ull);
	return rc;
}

int cid_io_write_full(const struct cid_io *io, int fd, const void *buf, size_t n, uint64_t off)
{
	const uint8_t *p = buf;

	while (n) {
		ssize_t r = io->pwrite(io->self, fd, p, n, off);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return (int)r;
		if (r == 0)
			return -EIO;
		p += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}
