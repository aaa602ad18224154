/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * journal.h - what a client was about to do, and what it was told was done
 *
 * An intent is written before an operation and an acknowledgement after it, in
 * a file that outlives the client. Beside it, under the suffix ".base", lies
 * the state that holds before the first entry.
 */
#ifndef KILL_JOURNAL_H
#define KILL_JOURNAL_H

#include "kill/traffic.h"

enum { KILL_INTENT = 0x4b4a0001, KILL_PART = 0x4b4a0002, KILL_ACK = 0x4b4a0003 };

struct kill_entry {
	uint32_t kind;
	uint32_t number; /* of a part: steps; of an acknowledgement: an errno */
	struct kill_op op;
};

struct kill_journal {
	int fd;
	char path[400];
};

/* What a journal tells. */
struct kill_history {
	struct kill_state state; /* of all that was acknowledged */
	bool under_way;
	struct kill_op op;   /* the one under way */
	uint32_t acked;	     /* steps of it that were acknowledged */
	uint64_t operations; /* acknowledged, since the first base */
	uint64_t steps;
};

/* Functions return 0 or a negative errno. */
int kill_journal_open(struct kill_journal *j, const char *path);
void kill_journal_close(struct kill_journal *j);
int kill_journal_intent(struct kill_journal *j, const struct kill_op *op);
/* The first `steps` of the operation under way were acknowledged. */
int kill_journal_part(struct kill_journal *j, uint32_t steps);
/* It ended with this errno. */
int kill_journal_ack(struct kill_journal *j, int error);

int kill_journal_load(const char *path, struct kill_history *out);
/* Makes the history's state the base and empties the journal; the earlier
 * ones stay under the suffix ".old". */
int kill_journal_rebase(const char *path, const struct kill_history *h);

#endif
