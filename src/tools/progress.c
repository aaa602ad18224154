/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "tools/report.h"

#define REDRAW_SECONDS 0.1

static struct {
	const char *verb, *unit;
	double begun, drawn; /* monotonic seconds */
	bool shown;	     /* a bar may be drawn at all */
	bool visible;	     /* one stands on the terminal now */
} bar;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int columns(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
		return w.ws_col < 200 ? w.ws_col : 200;
	return 80;
}

bool cid_progress_on_terminal(bool quiet)
{
	return !quiet && isatty(STDERR_FILENO) == 1;
}

void cid_progress_start(const char *verb, const char *unit, bool quiet)
{
	bar.verb = verb;
	bar.unit = unit;
	bar.begun = now();
	bar.drawn = bar.begun; /* what ends at once shows no bar */
	bar.shown = cid_progress_on_terminal(quiet);
	bar.visible = false;
}

void cid_progress_set(double part, uint64_t count)
{
	char line[512], fill[64], rate[16], left[16], done[16];
	double t, spent;
	int width, used, room, full;

	if (!bar.shown)
		return;
	t = now();
	if (t - bar.drawn < REDRAW_SECONDS)
		return;
	bar.drawn = t;
	spent = t - bar.begun;
	cid_report_count((double)count / spent, rate);
	width = columns() - 1;
	if (part < 0) {
		used = snprintf(line, sizeof(line), "%s  %s %s  %s/s  %s", bar.verb,
				cid_report_count((double)count, done), bar.unit, rate,
				cid_report_time(spent, left));
	} else {
		if (part > 1)
			part = 1;
		if (part > 0.001)
			cid_report_time(spent * (1 - part) / part, left);
		else
			memcpy(left, "-:--", 5);
		used = (int)strlen(bar.verb) + (int)strlen(bar.unit) + 36;
		room = width - used;
		if (room > (int)sizeof(fill) - 1)
			room = (int)sizeof(fill) - 1;
		if (room < 0)
			room = 0;
		full = (int)(part * room);
		memset(fill, '#', (size_t)full);
		memset(fill + full, '-', (size_t)(room - full));
		fill[room] = '\0';
		used = snprintf(line, sizeof(line), "%s [%s] %3.0f %%  %s %s/s  %s left", bar.verb,
				fill, 100 * part, rate, bar.unit, left);
	}
	if (used > width)
		line[width] = '\0';
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	bar.visible = true;
}

void cid_progress_wipe(void)
{
	if (!bar.visible)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	bar.visible = false;
}

double cid_progress_end(void)
{
	cid_progress_wipe();
	bar.shown = false;
	return now() - bar.begun;
}
