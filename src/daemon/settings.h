/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.h - settings of the store from a file and from the command line. */
#ifndef CID_DAEMON_SETTINGS_H
#define CID_DAEMON_SETTINGS_H

#include "daemon/options.h"

/* The file's lines, then those of the command line. Stops at the first that is
 * refused: 0 or -1 with a message. */
int cid_settings_apply(const struct cid_options *o, struct cidstore *s,
		       struct cidstore_error *err);

#endif
