/* SPDX-License-Identifier: BSD-2-Clause */
/* exit.h - exit statuses, those of mount(8). */
#ifndef CID_DAEMON_EXIT_H
#define CID_DAEMON_EXIT_H

enum {
	CID_EXIT_USAGE = 1,
	CID_EXIT_SYSTEM = 2,
	CID_EXIT_MOUNT = 32
};

#endif
