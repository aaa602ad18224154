/* SPDX-License-Identifier: BSD-2-Clause */
/* say.h - messages: to standard error, or to syslog once in the background. */
#ifndef CID_DAEMON_SAY_H
#define CID_DAEMON_SAY_H

/* `priority` as of syslog(3). One line, without its end. */
void cid_say(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cid_say_to_syslog(void);

#endif
