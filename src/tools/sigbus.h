/* SPDX-License-Identifier: BSD-2-Clause */
/* sigbus.h - a sector that cannot be read is an error and not the tool's end */
#ifndef CID_TOOLS_SIGBUS_H
#define CID_TOOLS_SIGBUS_H

void cid_sigbus_install(void);

#endif
