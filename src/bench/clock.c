/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/clock.h"

static double measure(void)
{
	double begin = cid_seconds(), end;
	uint64_t tick = cid_ticks();

	do
		end = cid_seconds();
	while (end - begin < 0.05);
	return (end - begin) * 1e9 / (double)(cid_ticks() - tick);
}

double cid_tick_ns(void)
{
	static double ns;

	if (ns <= 0)
		ns = measure();
	return ns;
}
