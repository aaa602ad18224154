/* SPDX-License-Identifier: BSD-2-Clause */
/* setting.h - config/<name>: a number, as it stands in the store's settings */
#ifndef CID_CONTROL_SETTING_H
#define CID_CONTROL_SETTING_H

#include "control/tree.h"

cid_ctl_show cid_setting_show;
cid_ctl_store cid_setting_store;

#endif
