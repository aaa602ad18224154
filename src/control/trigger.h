/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trigger.h - files that make the store do something
 *
 * A trigger takes "1". sync and checkpoint are over when the write returns.
 * compact, gc and verify go on in the background: the write starts them, EBUSY
 * while one is running, and reading shows how far they are.
 */
#ifndef CID_CONTROL_TRIGGER_H
#define CID_CONTROL_TRIGGER_H

#include "control/tree.h"

cid_ctl_store cid_trigger_sync;
cid_ctl_store cid_trigger_checkpoint;
cid_ctl_store cid_trigger_job;
cid_ctl_store cid_trigger_verify;
cid_ctl_show cid_show_job;
cid_ctl_show cid_show_verify;

#endif
