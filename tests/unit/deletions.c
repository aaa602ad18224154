/* SPDX-License-Identifier: BSD-2-Clause */
/* deletions.c - the deletion log is a ring: what the root on disk names is not written over */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/ids.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "os/io.h"
#include "store/engine.h"
#include "store/reach.h"

enum { PAGES = 6 };

static const struct cidstore_geometry geo = { .log_bytes = 256 << 10, .segment_bytes = 4 << 20,
					       .bucket_bytes = 8192 };
static struct cidstore *s;

/* Records of trees that cannot be read: they are worked through all the same. */
static void note(unsigned pages)
{
	struct cid_list_ref none = { .pos = 512 * CID_PAGE, .children = 1, .level = 1 };

	for (unsigned i = 0; i < pages * CID_DELETIONS_PER_PAGE; i++)
		if (cid_collect_note(s, key_id(i), &none))
			tap_bail("note");
}

static unsigned readable(const struct cid_root *r)
{
	static struct cid_deletion_page p;
	unsigned n = 0;

	for (uint64_t i = r->deletion_tail; i < r->deletion_head; i++)
		n += cid_deletion_read(s->io, s->delfd, r, i, &p) == 0;
	return n;
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	struct cidstore_error err;
	struct cid_root on_disk;
	char dir[200];
	uint64_t head;

	(void)snprintf(dir, sizeof(dir), "%s/cid-deletions-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir) || cid_store_create_io(&cid_io_posix, dir, &geo, &err) ||
	    cid_store_open_io(&cid_io_posix, dir, CIDSTORE_MANUAL, &s, &err))
		tap_bail("%s", dir);
	s->root.deletion_pages = PAGES;
	note(PAGES - 1);
	tap_int(cid_commit(s), 0, "the log is full");
	on_disk = s->root;
	tap_int(readable(&on_disk), PAGES - 1, "and can be read");
	while (s->root.deletion_tail < s->root.deletion_head)
		if (cid_collect(s))
			tap_bail("collect");
	note(PAGES - 1);
	head = s->root.deletion_head;
	tap_int(cid_collect_write(s, &head), 0, "as many again are written");
	tap_int(readable(&on_disk), PAGES - 1, "around what the root on disk names");
	tap_ok(s->leaks_due, "what found no place is looked for later");
	tap_int(cid_commit(s), 0, "once the root is on disk");
	note(PAGES - 2);
	head = s->root.deletion_head;
	tap_int(cid_collect_write(s, &head), 0, "there is room");
	tap_ok(head >= s->root.deletion_head + PAGES - 2, "for as much as was worked through");
	s->ndel = 0;
	tap_int(cidstore_close(s), 0, "closed");
	remove_store(dir);
	return tap_done();
}
