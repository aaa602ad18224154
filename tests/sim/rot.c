/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rot.c - judging damage: C7
 *
 * One sector of a crash state is changed behind the store's back: bits flip,
 * words or all of it become something else, it holds what belongs elsewhere,
 * or it cannot be read. The store may refuse to open, and a read may answer
 * with an error; what it does answer is right. What a read refuses a check
 * finds. Maintenance that meets damage makes nothing wrong either.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/world.h"

enum rot { ONE_BIT, TWO_BITS, WORD, SECTOR, ZEROS, MISPLACED, UNREADABLE, ROTS };

bool rot_caught(int sig, void *context)
{
	/* An unreadable sector in a mapping; the simulator's are anonymous. */
	return (sig == SIGSEGV || sig == SIGBUS) && cidstore_sigbus(context);
}

static bool refused(int rc)
{
	return rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO;
}

static bool is_file(const struct world *b, int file, const char *kind)
{
	for (int i = 0; i < b->disk->names; i++)
		if (b->disk->name[i].file == file)
			return strncmp(b->disk->name[i].name, kind, strlen(kind)) == 0;
	return false;
}

/* A sector of a page that takes space. */
static bool choose(struct world *b, struct rng *r, int *file, uint64_t *off)
{
	for (int tries = 0; tries < 1000; tries++) {
		int i = (int)rng_below(r, (uint64_t)b->disk->files);
		static const uint8_t zero[DISK_SECTOR];
		const struct disk_file *f = &b->disk->file[i];
		uint64_t pages = f->size / DISK_PAGE, p;

		/* What HDF5 wrote around the data is not ours to read. */
		if (!f->used || pages <= 4)
			continue;
		p = 4 + rng_below(r, pages < 80 ? pages - 4 : 76);
		if (p >= pages || !(f->blocks[p / 64] >> (p % 64) & 1))
			continue;
		*file = i;
		*off = p * DISK_PAGE + rng_below(r, DISK_PAGE / DISK_SECTOR) * DISK_SECTOR;
		/* Nobody looks at what is empty, mostly. */
		if (memcmp(f->mem + *off, zero, DISK_SECTOR) == 0 && !rng_one_in(r, 16))
			continue;
		/* Not before its time: most of a log is history, a page of the
		 * deletion log is soon. */
		if (!is_file(b, i, "buckets") && !is_file(b, i, "directory") && !rng_one_in(r, 4))
			continue;
		return true;
	}
	return false;
}

static void harm(struct world *b, struct rng *r, enum rot what, int file, uint64_t off)
{
	uint8_t s[DISK_SECTOR];
	const uint8_t *mem = b->disk->file[file].mem;
	int other;
	uint64_t from;

	memcpy(s, mem + off, sizeof(s));
	switch (what) {
	case TWO_BITS:
		s[rng_below(r, sizeof(s))] ^= (uint8_t)(1u << rng_below(r, 8));
		/* fall through */
	case ONE_BIT:
		s[rng_below(r, sizeof(s))] ^= (uint8_t)(1u << rng_below(r, 8));
		break;
	case WORD: {
		uint64_t w = rng_next(r);

		memcpy(s + rng_below(r, sizeof(s) / 8) * 8, &w, 8);
		break;
	}
	case SECTOR:
		for (size_t i = 0; i < sizeof(s); i++)
			s[i] = (uint8_t)rng_next(r);
		break;
	case ZEROS:
		memset(s, 0, sizeof(s));
		break;
	case MISPLACED:
		if (choose(b, r, &other, &from))
			memcpy(s, b->disk->file[other].mem + from, sizeof(s));
		break;
	case UNREADABLE:
		disk_spoil(b->disk, file, off);
		return;
	case ROTS:
		return;
	}
	disk_put(b->disk, file, off, s, sizeof(s));
}

/* Everything that is answered is what the model has. Returns how much was not. */
static unsigned read_all(struct world *b, const struct model *m)
{
	static struct cidstore_id out[MODEL_WIDE_VALUES + 10];
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[64];
	size_t n = 0;
	int rc;
	unsigned bad = 0, listed = 0;

	for (unsigned k = 0; k < MODEL_KEYS; k++) {
		uint64_t total = 0;
		unsigned v = (unsigned)(b->seed % model_width(k));

		rc = cidstore_get(b->s, model_key(k), out, MODEL_WIDE_VALUES + 10, &total);
		if (refused(rc)) {
			bad++;
			continue;
		}
		if ((rc == 0) != m->exists[k] || (rc && rc != CIDSTORE_ENOENT))
			world_fail(b, "damage: key %u: %s", k, cidstore_strerror(rc));
		if (rc == 0 && total != m->count[k])
			world_fail(b, "damage: key %u has %llu values instead of %u", k,
				   (unsigned long long)total, m->count[k]);
		for (uint64_t i = 0; rc == 0 && i < total; i++) {
			int x = model_value_number(out[i]);

			if (x < 0 || (unsigned)x >= model_width(k) ||
			    !m->have[model_at(k, (unsigned)x)])
				world_fail(b, "damage: key %u has a value it should not", k);
		}
		rc = cidstore_contains(b->s, model_key(k), model_value(v));
		if (refused(rc))
			bad++;
		else if (rc != (m->have[model_at(k, v)] ? 0 : CIDSTORE_ENOENT))
			world_fail(b, "damage: key %u value %u: asked, it says %d", k, v, rc);
	}
	do {
		rc = cidstore_scan_keys(b->s, &pos, item, 64, &n);
		for (size_t i = 0; rc == 0 && i < n; i++) {
			int k = model_key_number(item[i].id);

			if (k < 0 || !m->exists[k] || item[i].count != m->count[k])
				world_fail(b, "damage: a listing has key %d with %llu values", k,
					   (unsigned long long)item[i].count);
			listed++;
		}
	} while (rc == 0 && n);
	if (refused(rc))
		bad++;
	else if (rc)
		world_fail(b, "damage: listing: %s", cidstore_strerror(rc));
	else if (listed != m->keys)
		world_fail(b, "damage: a listing has %u keys of %u", listed, m->keys);
	return bad;
}

static void ignore(void *arg, const char *message, double progress)
{
	(void)arg;
	(void)message;
	(void)progress;
}

static uint64_t check(struct world *b)
{
	struct cidstore_report rep;
	struct cidstore_error err = { 0, "" };
	int rc = cid_store_check_io(&b->disk->io, DISK_PATH, 0, ignore, NULL, &rep, &err);

	if (rc && !refused(rc))
		world_fail(b, "damage: check: %s", err.message);
	return rc ? 1 : rep.errors;
}

void rot_judge(struct world *w, enum crash_kind k, uint64_t seed)
{
	struct world *b = w->child;
	struct rng r = { seed ^ 0x27d4eb2f };
	enum rot what = (enum rot)rng_below(&r, ROTS);
	static struct ledger l; /* large, and freed at each end */
	char message[500];
	unsigned bad;
	bool readonly;
	uint64_t off, at, errors;
	int file, rc;

	crash_choose(&w->crash, w->disk, k, seed);
	crash_build(b->disk, w->disk, &w->crash);
	b->kind = k;
	b->ledger = w->ledger;
	b->op = b->op_events = 0;
	b->nnested = 0;
	b->dying = 0;
	b->first_note = 0;
	b->seed = rng_next(&r);
	b->disk->event = NULL;
	b->disk->record = oracle_note;
	if (w->creating || !choose(b, &r, &file, &off))
		return;
	figures->rots++;
	harm(b, &r, what, file, off);
	errors = check(b);
	readonly = rng_one_in(&r, 3);
	rc = world_open(b, readonly ? CIDSTORE_RDONLY : 0, message, sizeof(message));
	if (rc) {
		if (!refused(rc) && rc != CIDSTORE_EVERSION)
			world_fail(b, "damage: the store does not open: %s", message);
		if (message[0] == 0)
			world_fail(b, "damage: it does not open, and nobody says why");
		if (errors == 0)
			world_fail(b, "damage: a check finds nothing, and it does not open: %s",
				   message);
		figures->rots_refused++;
		disk_heal(b->disk);
		return;
	}
	at = oracle_units(b);
	if (at < b->ledger->floor && !is_file(b, file, "wal"))
		world_fail(b, "damage: durable operations are lost: %llu of %llu",
			   (unsigned long long)at, (unsigned long long)b->ledger->floor);
	ledger_fork(&l, b->ledger, at);
	bad = read_all(b, &l.now);
	figures->rots_refused += bad != 0;
	if (bad && errors == 0)
		world_fail(b, "damage: a check finds nothing, and reads are refused");
	if (!readonly) {
		rc = cidstore_compact(b->s);
		if (rc && !refused(rc))
			world_fail(b, "damage: compact: %s", cidstore_strerror(rc));
		(void)read_all(b, &l.now);
		rc = cidstore_gc(b->s);
		if (rc && !refused(rc))
			world_fail(b, "damage: gc: %s", cidstore_strerror(rc));
		(void)read_all(b, &l.now);
		world_kill(b);
		rc = world_open(b, 0, message, sizeof(message));
		if (rc && !refused(rc))
			world_fail(b, "damage: the store does not open again: %s", message);
		if (rc == 0)
			(void)read_all(b, &l.now);
	}
	ledger_fini(&l);
	world_kill(b);
	disk_heal(b->disk);
}
