/* SPDX-License-Identifier: BSD-2-Clause */
/* debug.h - debug/bucket/<number> and debug/key/<key>: what lies where */
#ifndef CID_CONTROL_DEBUG_H
#define CID_CONTROL_DEBUG_H

#include "control/tree.h"

cid_ctl_show cid_show_bucket;
cid_ctl_show cid_show_key;

#endif
