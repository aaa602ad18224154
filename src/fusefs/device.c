/* SPDX-License-Identifier: BSD-2-Clause */
#include "fusefs/device.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/fuse.h>
#include "fusefs/lowlevel.h"

/* The handshake comes first and alone: one thread reads and answers it, and
 * the others see that it is over. One process serves one mount. */
static struct {
	_Atomic bool over;
	uint64_t unique; /* of the request */
	bool parallel;	 /* the kernel can */
} handshake;

static ssize_t device_read(int fd, void *buf, size_t size, void *userdata)
{
	ssize_t n = read(fd, buf, size);
	struct fuse_in_header in;
	struct fuse_init_in init;

	(void)userdata;
	if (n < 0 || atomic_load_explicit(&handshake.over, memory_order_relaxed))
		return n;
	if ((size_t)n < sizeof(in) + offsetof(struct fuse_init_in, flags) + sizeof(init.flags))
		return n;
	memcpy(&in, buf, sizeof(in));
	if (in.opcode != FUSE_INIT)
		return n;
	memcpy(&init.flags, (char *)buf + sizeof(in) + offsetof(struct fuse_init_in, flags),
	       sizeof(init.flags));
	handshake.unique = in.unique;
	handshake.parallel = init.flags & FUSE_PARALLEL_DIROPS;
	return n;
}

static ssize_t answer_handshake(int fd, const struct iovec *iov, int count)
{
	struct fuse_out_header out;
	struct fuse_init_out init;
	struct iovec changed[2];

	memcpy(&out, iov[0].iov_base, sizeof(out));
	if (count != 2 || out.error || out.unique != handshake.unique || !handshake.parallel ||
	    iov[1].iov_len > sizeof(init) ||
	    iov[1].iov_len < offsetof(struct fuse_init_out, flags) + sizeof(init.flags))
		return writev(fd, iov, count);
	memcpy(&init, iov[1].iov_base, iov[1].iov_len);
	init.flags |= FUSE_PARALLEL_DIROPS;
	changed[0] = iov[0];
	changed[1] = (struct iovec){ &init, iov[1].iov_len };
	atomic_store(&handshake.over, true);
	return writev(fd, changed, 2);
}

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	(void)userdata;
	if (atomic_load_explicit(&handshake.over, memory_order_relaxed) ||
	    iov[0].iov_len != sizeof(struct fuse_out_header))
		return writev(fd, iov, count);
	return answer_handshake(fd, iov, count);
}

void cid_device_attach(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .writev = device_writev, .read = device_read };

	(void)fuse_session_custom_io(session, &io, fuse_session_fd(session));
}
