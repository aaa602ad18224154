/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tune.h - moving batch_size and flush_interval_us by what is measured
 *
 * A tuner is fed windows and says what it decides; it knows no store, no clock
 * and no thread.
 *
 * batch_size. While a bulk call holds the lock for a piece, single changes wait:
 * where many of them do, pieces become smaller, and larger again when bulk is
 * alone.
 *
 * flush_interval_us. Syncs that come while one is under way share the next one.
 * So waiting only helps where several callers ask and a sync takes long: then a
 * tenth of its time lets all of them share every sync rather than every other.
 * Whether it did help is looked at afterwards, and what did not is taken back
 * and not tried again for a while.
 *
 * Hysteresis. A decision needs several windows in a row that ask for it; there
 * is a gap between what makes a value go up and what makes it go down; and each
 * turn of a value doubles the number of windows that its next move needs.
 *
 * The breaker. When calls fail, or take very long, or too many decisions were
 * wrong or were made in a short time, both values go back to what the user set
 * and stay there: for ten seconds, and twice as long each time it happens again.
 */
#ifndef CID_STORE_TUNE_H
#define CID_STORE_TUNE_H

#include "store/gauge.h"

enum cid_tune_knob { CID_TUNE_BATCH, CID_TUNE_INTERVAL, CID_TUNE_KNOBS };

enum {
	CID_TUNE_WINDOW_MS = 100,
	CID_TUNE_BATCH_LEAST = 64,
	CID_TUNE_BATCH_MOST = 1024,   /* or what the user set */
	CID_TUNE_INTERVAL_LEAST = 50, /* below that waiting takes as long anyway */
	CID_TUNE_INTERVAL_MOST = 2000,
	CID_TUNE_DECISIONS = 3 /* in one step, at most */
};

enum cid_tune_reason {
	CID_TUNE_CROWDED, /* `figure`: of a thousand single changes, waited */
	CID_TUNE_CLEAR,	  /* likewise */
	CID_TUNE_SHARE,	  /* `figure`: mean time of a sync, us */
	CID_TUNE_ALONE,	  /* `figure`: callers at once, in tenths */
	CID_TUNE_WORSE,	  /* `figure`: calls a second that were made durable, before */
	CID_TUNE_TRIPPED, /* the breaker opened; `why` */
	CID_TUNE_CLOSED	  /* and closed again */
};

enum cid_tune_why { CID_TUNE_ERRORS, CID_TUNE_SLOW, CID_TUNE_WRONG, CID_TUNE_RESTLESS };

struct cid_tune_decision {
	enum cid_tune_reason reason;
	enum cid_tune_why why;	 /* of TRIPPED */
	enum cid_tune_knob knob; /* but of TRIPPED and CLOSED */
	uint64_t from, to, figure;
};

struct cid_tuner {
	uint64_t value[CID_TUNE_KNOBS]; /* what holds now */
	/* the tuner's own */
	uint64_t user[CID_TUNE_KNOBS];
	struct cid_tune_course {
		unsigned up, down; /* windows in a row that asked for it */
		unsigned need;	   /* times as many as usual */
		int last;	   /* direction of the last move: 1, -1 or 0 */
		uint64_t moved;	   /* when */
	} course[CID_TUNE_KNOBS];
	struct {
		unsigned left; /* windows to go; 0: none under way */
		uint64_t before, calls, ns, from;
		uint64_t not_until; /* none is begun before */
		uint64_t pause;	    /* ns after the next that fails */
	} trial;
	struct {
		uint64_t calls, ns;
	} asking; /* the windows in a row that ask for a longer interval */
	struct {
		bool open;
		uint64_t until, pause, opened;
		unsigned slow;		     /* windows in a row */
		uint64_t moves_at, wrong_at; /* when counting began */
		unsigned moves, wrong;
	} breaker;
};

/* Starts from what the user set. */
void cid_tuner_init(struct cid_tuner *t, uint64_t batch, uint64_t interval);
/* What the window gives reason for; values are changed. The number of decisions. */
unsigned cid_tuner_step(struct cid_tuner *t, const struct cid_gauge_window *w,
			struct cid_tune_decision out[CID_TUNE_DECISIONS]);
/* A line without its end. */
void cid_tune_describe(const struct cid_tune_decision *d, char *out, size_t cap);

#endif
