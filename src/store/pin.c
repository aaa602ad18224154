/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pin.c - the file `readers`: what other processes ask the writer to keep
 *
 * A reader locks the first byte of a slot for as long as it has the store open
 * and writes two epochs there. The lock goes with its owner, however that
 * ends; an unlocked slot says nothing. Order makes it safe: a reader writes
 * its epoch and looks at the root once more, the writer commits and looks at
 * the slots once more. Either the reader sees that the root moved on, or the
 * writer sees the pin before it reuses what that commit freed.
 *
 * What the writer promises, with `grace` as the root has it:
 *   - what a commit freed is not reused for `grace`; when the disk is full,
 *     only while a lookup's pin is on an epoch before it;
 *   - what a snapshot pins is kept, for at most reader_pin_ms.
 * So nothing that stands in the file can stop the writer for longer than that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "store/engine.h"

enum { DEEP = 64 };
#define LOOK_NS 100000000ull /* between two looks at the slots, without a commit */

int cid_readers_create(const struct cid_io *io, int dirfd)
{
	const struct cid_readers_head head = { CID_READERS_MAGIC, 1, CID_READER_SLOTS };
	uint8_t *zero = calloc(1, CID_READERS_BYTES);
	int fd, rc;

	if (!zero)
		return CIDSTORE_ENOMEM;
	memcpy(zero, &head, sizeof(head));
	fd = io->open(io->self, dirfd, CID_READERS_NAME, O_RDWR | O_CREAT | O_NOFOLLOW, 0664);
	rc = fd < 0 ? fd : cid_io_write_full(io, fd, zero, CID_READERS_BYTES, 0);
	/* Whatever the umask: the group pins. */
	if (rc == 0 && io->chmod)
		(void)io->chmod(io->self, fd, 0664);
	if (fd >= 0)
		(void)io->close(io->self, fd);
	free(zero);
	return rc ? cid_err_from_errno(rc) : 0;
}

static int open_readers(struct cidstore *s)
{
	return s->io->open(s->io->self, s->dirfd, CID_READERS_NAME,
			   O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
}

void cid_pins_open(struct cidstore *s)
{
	int fd;

	s->reader_pins.fd = -1;
	if (!s->io->claimed)
		return;
	fd = open_readers(s);
	if (fd == -ENOENT && cid_readers_create(s->io, s->dirfd) == 0)
		fd = open_readers(s);
	s->reader_pins.fd = fd < 0 ? -1 : fd;
}

void cid_pins_close(struct cidstore *s)
{
	if (s->reader_pins.fd >= 0)
		(void)s->io->close(s->io->self, s->reader_pins.fd);
	s->reader_pins.fd = -1;
	s->reader_pins.held = false;
}

static void lower(uint64_t *low, uint64_t epoch)
{
	if (epoch && epoch < *low)
		*low = epoch;
}

/* The first slot that begins at `at` or behind. */
static uint64_t slot_from(uint64_t at)
{
	const uint64_t size = sizeof(struct cid_reader_slot);

	return (at - CID_PAGE + size - 1) / size * size + CID_PAGE;
}

/* Of the ranges held in [at, end) the kernel names any: others lie before it and
 * behind. Where that went too deep, as foreigners lock what they like, each slot
 * is asked for. */
static void look_in(struct cidstore *s, uint64_t at, uint64_t end, unsigned deep,
		    struct cid_reader_slot *low)
{
	uint64_t from, len;

	while (at < end) {
		uint64_t to = deep < DEEP ? end : slot_from(at + 1) < end ? slot_from(at + 1) : end;
		struct cid_reader_slot slot;

		if (s->io->claimed(s->io->self, s->reader_pins.fd, at, to - at, &from, &len) <= 0 ||
		    len == 0) {
			at = to;
			continue;
		}
		/* A foreigner may lock any range: the slots that begin in it. */
		for (uint64_t i = slot_from(from); i < from + len && i < to; i += sizeof(slot)) {
			if (cid_io_read_full(s->io, s->reader_pins.fd, &slot, sizeof(slot), i))
				continue;
			lower(&low->view, slot.view);
			lower(&low->snapshot, slot.snapshot);
		}
		if (deep < DEEP)
			look_in(s, at, from, deep + 1, low);
		at = deep < DEEP ? from + len : to;
	}
}

static struct cid_reader_slot look(struct cidstore *s)
{
	struct cid_reader_slot low = { UINT64_MAX, UINT64_MAX };

	look_in(s, CID_PAGE, CID_READERS_BYTES, 0, &low);
	return low;
}

struct cid_reader_slot cid_pins_lowest(struct cidstore *s)
{
	struct cid_pins *p = &s->reader_pins;
	uint64_t now;

	if (p->fd < 0)
		return (struct cid_reader_slot){ UINT64_MAX, UINT64_MAX };
	now = s->io->monotonic(s->io->self);
	if (p->seen_epoch != s->root.generation || now - p->seen_at >= LOOK_NS) {
		p->low = look(s);
		p->seen_epoch = s->root.generation;
		p->seen_at = now;
	}
	return p->low;
}

/* ---- the reader's side ---- */

bool cid_pin_claim(struct cidstore *s)
{
	struct cid_pins *p = &s->reader_pins;
	uint64_t start;

	p->fd = -1;
	if (!s->io->claim)
		return false;
	p->fd = open_readers(s);
	if (p->fd < 0) {
		p->fd = -1;
		return false;
	}
	s->io->random(s->io->self, &start, sizeof(start));
	for (uint64_t i = 0; i < CID_READER_SLOTS; i++) {
		uint64_t n = (start + i) % CID_READER_SLOTS;
		uint64_t at = CID_PAGE + n * sizeof(struct cid_reader_slot);
		int rc = s->io->claim(s->io->self, p->fd, at);

		if (rc == 0) {
			p->held = true;
			p->slot = at;
			cid_pin_set(s, 0, 0);
			return p->held;
		}
		if (rc != -EAGAIN)
			break;
	}
	cid_pins_close(s);
	return false;
}

void cid_pin_set(struct cidstore *s, uint64_t view, uint64_t snapshot)
{
	struct cid_pins *p = &s->reader_pins;
	struct cid_reader_slot mine = { view, snapshot };

	if (!p->held || (view && mine.view == p->mine.view && mine.snapshot == p->mine.snapshot))
		return;
	if (cid_io_write_full(s->io, p->fd, &mine, sizeof(mine), p->slot))
		cid_pins_close(s); /* nobody sees it: as one who cannot pin */
	else
		p->mine = mine;
}
