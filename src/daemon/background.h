/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * background.h - a daemon whose parent exits when it is ready, with its verdict
 */
#ifndef CID_DAEMON_BACKGROUND_H
#define CID_DAEMON_BACKGROUND_H

#include <stdbool.h>

/* Forks. In the child, returns with *parent false and a descriptor to report
 * on. In the parent, waits and returns with *parent true: 0 when the child said
 * it is ready, or the child's exit status. -1: no process. */
int cid_background_start(bool *parent);

/* In the child: ready. The standard streams go to /dev/null. */
void cid_background_ready(int fd);

/* Tells systemd, where it asked to be told: "READY=1", "STOPPING=1". */
void cid_background_notify(const char *state);

#endif
