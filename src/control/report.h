/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - what the store says of itself
 *
 * health is one word: "ok"; "damaged" where damage was met that cannot be
 * corrected; "failed" after a failed sync. ready is 1 where the store takes
 * what it is open for, 0 after a failed sync.
 */
#ifndef CID_CONTROL_REPORT_H
#define CID_CONTROL_REPORT_H

#include "control/tree.h"

cid_ctl_show cid_show_version;
cid_ctl_show cid_show_health;
cid_ctl_show cid_show_ready;
cid_ctl_show cid_show_durable_seq;
cid_ctl_show cid_show_last_seq;
cid_ctl_show cid_show_stats;
cid_ctl_show cid_show_metrics;

#endif
