/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/say.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

static _Atomic bool to_syslog;

void cid_say(int priority, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (atomic_load(&to_syslog))
		syslog(priority, "%s", text);
	else
		fprintf(stderr, "cidstore: %s\n", text);
}

void cid_say_to_syslog(void)
{
	openlog("cidstore", LOG_PID, LOG_DAEMON);
	atomic_store(&to_syslog, true);
}
