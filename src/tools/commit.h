/* SPDX-License-Identifier: BSD-2-Clause */
/* commit.h - which state of the sources this program was made from */
#ifndef CID_TOOLS_COMMIT_H
#define CID_TOOLS_COMMIT_H

/* As `git describe` has it, with "-dirty" where files were changed; "release"
 * where the sources are no checkout. Made with each build. */
extern const char cid_built_commit[];

#endif
