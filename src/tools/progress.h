/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.h - a bar with rate and time left, on stderr
 *
 * Drawn only on a terminal; in a pipe nothing is written. A process shows one
 * bar at a time.
 */
#ifndef CID_TOOLS_PROGRESS_H
#define CID_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* `verb` ("loading") and `unit` ("pairs", shown as a rate) are not copied.
 * With `quiet`, or where stderr is no terminal, the other calls do nothing. */
void cid_progress_start(const char *verb, const char *unit, bool quiet);
/* `part` in [0, 1], or negative where the end is not known; `count` units. */
void cid_progress_set(double part, uint64_t count);
/* Takes the bar off the terminal; the next set draws it anew. */
void cid_progress_wipe(void);
/* Takes the bar away for good. Seconds since the start. */
double cid_progress_end(void);
/* Whether figures for a person belong on stderr. */
bool cid_progress_on_terminal(bool quiet);

#endif
