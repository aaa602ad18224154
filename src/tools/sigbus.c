/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/sigbus.h"

#include <signal.h>
#include <string.h>

#include "cidstore/cidstore.h"

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	/* What somebody sent is no fault. Returning runs into one again, now with
	 * the default action. */
	if (info->si_code <= 0 || !cidstore_sigbus(context))
		signal(sig, SIG_DFL);
}

void cid_sigbus_install(void)
{
	struct sigaction bus;

	memset(&bus, 0, sizeof(bus));
	bus.sa_sigaction = on_sigbus;
	bus.sa_flags = SA_SIGINFO;
	sigaction(SIGBUS, &bus, NULL);
}
