/* SPDX-License-Identifier: BSD-2-Clause */
/* lowlevel.h - libfuse's low-level interface, at the one version used here. */
#ifndef CID_FUSEFS_LOWLEVEL_H
#define CID_FUSEFS_LOWLEVEL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#endif
