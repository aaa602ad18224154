/* SPDX-License-Identifier: BSD-2-Clause */
#include "power/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Address space: the file grows under the mapping. */
#define RESERVE (64ull << 30)

static int note(struct trace *t, uint64_t at)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 4096;
		uint64_t *p = realloc(t->record, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		t->record = p;
		t->room = room;
	}
	t->record[t->n++] = at;
	return 0;
}

/* Headers are aligned. */
static uint64_t padded(uint64_t n)
{
	return (n + 7) & ~7ull;
}

static int load(struct trace *t)
{
	struct stat st;
	uint64_t size, at = 0;
	int rc = 0;

	if (fstat(t->fd, &st))
		return -errno;
	size = (uint64_t)st.st_size;
	while (rc == 0 && at + sizeof(struct trace_record) <= size) {
		const struct trace_record *r = (const struct trace_record *)(t->map + at);

		if (r->kind < TRACE_WRITE || r->kind > TRACE_SPARE ||
		    at + sizeof(*r) + r->bytes > size)
			return -EINVAL;
		rc = note(t, at);
		at += sizeof(*r) + padded(r->bytes);
	}
	t->len = at;
	return rc;
}

int trace_open(struct trace *t, const char *path, bool fresh)
{
	void *map;
	int rc;

	memset(t, 0, sizeof(*t));
	t->fd = path ? open(path, O_RDWR | O_CLOEXEC | (fresh ? O_CREAT | O_TRUNC : 0), 0644)
		     : memfd_create("trace", MFD_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	map = mmap(NULL, RESERVE, PROT_READ, MAP_SHARED | MAP_NORESERVE, t->fd, 0);
	if (map == MAP_FAILED) {
		rc = -errno;
		close(t->fd);
		return rc;
	}
	t->map = map;
	rc = load(t);
	if (rc)
		trace_close(t);
	return rc;
}

void trace_close(struct trace *t)
{
	munmap(t->map, RESERVE);
	close(t->fd);
	free(t->record);
}

int trace_append(struct trace *t, enum trace_kind kind, uint64_t at, const void *data, size_t n)
{
	static const uint8_t zero[8];
	struct timespec now;
	struct trace_record r = { .kind = kind, .bytes = (uint32_t)n, .at = at };
	struct iovec v[] = { { &r, sizeof(r) },
			     { (void *)(uintptr_t)data, n },
			     { (void *)(uintptr_t)zero, padded(n) - n } };
	uint64_t total = sizeof(r) + padded(n);
	ssize_t done;
	int rc;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	r.ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	if (t->len + total > RESERVE)
		return -EFBIG;
	done = pwritev(t->fd, v, 3, (off_t)t->len);
	if (done < 0)
		return -errno;
	if ((uint64_t)done != total)
		return -ENOSPC;
	rc = note(t, t->len);
	if (rc == 0)
		t->len += total;
	return rc;
}

int trace_clear(struct trace *t)
{
	t->n = 0;
	t->len = 0;
	return ftruncate(t->fd, 0) ? -errno : 0;
}
