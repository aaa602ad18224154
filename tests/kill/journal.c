/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct base {
	uint64_t magic, operations, steps;
	struct kill_state state;
};
#define BASE_MAGIC 0x6573616220544b00ull

int kill_journal_open(struct kill_journal *j, const char *path)
{
	if (snprintf(j->path, sizeof(j->path), "%s", path) >= (int)sizeof(j->path))
		return -ENAMETOOLONG;
	j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return j->fd < 0 ? -errno : 0;
}

void kill_journal_close(struct kill_journal *j)
{
	close(j->fd);
}

static int append(struct kill_journal *j, const struct kill_entry *e)
{
	ssize_t n = write(j->fd, e, sizeof(*e));

	return n == (ssize_t)sizeof(*e) ? 0 : n < 0 ? -errno : -ENOSPC;
}

int kill_journal_intent(struct kill_journal *j, const struct kill_op *op)
{
	struct kill_entry e = { .kind = KILL_INTENT, .op = *op };

	return append(j, &e);
}

int kill_journal_part(struct kill_journal *j, uint32_t steps)
{
	struct kill_entry e = { .kind = KILL_PART, .number = steps };

	return append(j, &e);
}

int kill_journal_ack(struct kill_journal *j, int error)
{
	struct kill_entry e = { .kind = KILL_ACK, .number = (uint32_t)error };

	return append(j, &e);
}

static FILE *open_with(const char *path, const char *suffix, const char *mode)
{
	char name[500];

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	return fopen(name, mode);
}

static int load_base(const char *path, struct kill_history *h)
{
	struct base *b = malloc(sizeof(*b));
	FILE *f = open_with(path, ".base", "re");
	int rc = 0;

	if (!b)
		abort();
	if (f) {
		if (fread(b, sizeof(*b), 1, f) != 1 || b->magic != BASE_MAGIC)
			rc = -EINVAL;
		fclose(f);
	} else {
		rc = errno == ENOENT ? 0 : -errno;
		memset(b, 0, sizeof(*b));
	}
	h->state = b->state;
	h->operations = b->operations;
	h->steps = b->steps;
	free(b);
	return rc;
}

static int take(struct kill_history *h, const struct kill_entry *e)
{
	static _Thread_local struct kill_step step[KILL_STEPS];

	switch (e->kind) {
	case KILL_INTENT:
		if (h->under_way)
			return -EINVAL;
		h->op = e->op;
		h->under_way = true;
		h->acked = 0;
		return 0;
	case KILL_PART:
		h->acked = e->number;
		return h->under_way ? 0 : -EINVAL;
	case KILL_ACK:
		if (!h->under_way)
			return -EINVAL;
		if (e->number == 0) {
			size_t n = kill_expand(&h->op, step);

			for (size_t i = 0; i < n; i++)
				kill_apply(&h->state, &step[i]);
			h->steps += n;
			h->operations++;
		}
		h->under_way = false;
		h->acked = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

int kill_journal_load(const char *path, struct kill_history *h)
{
	struct kill_entry e;
	FILE *f;
	int rc;

	memset(h, 0, sizeof(*h));
	rc = load_base(path, h);
	if (rc)
		return rc;
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	/* A client may have died within its last entry: then nothing followed. */
	while (rc == 0 && fread(&e, sizeof(e), 1, f) == 1)
		rc = take(h, &e);
	fclose(f);
	return rc;
}

static int move(const char *path, const char *from, const char *to)
{
	char a[500], b[500];

	(void)snprintf(a, sizeof(a), "%s%s", path, from);
	(void)snprintf(b, sizeof(b), "%s%s", path, to);
	return rename(a, b) && errno != ENOENT ? -errno : 0;
}

int kill_journal_rebase(const char *path, const struct kill_history *h)
{
	struct base *b = calloc(1, sizeof(*b));
	FILE *f = open_with(path, ".new", "we");
	int rc = 0;

	if (!b)
		abort();
	*b = (struct base){ BASE_MAGIC, h->operations, h->steps, h->state };
	if (!f || fwrite(b, sizeof(*b), 1, f) != 1)
		rc = -EIO;
	if (f && fclose(f))
		rc = -EIO;
	free(b);
	if (rc == 0)
		rc = move(path, ".base", ".base.old");
	if (rc == 0)
		rc = move(path, "", ".old");
	if (rc == 0)
		rc = move(path, ".new", ".base");
	return rc;
}
