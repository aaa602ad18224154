/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.h - the streams; what each carries is said at the top of its file */
#ifndef CID_CONTROL_STREAM_H
#define CID_CONTROL_STREAM_H

struct cid_ctl_stream;

extern const struct cid_ctl_stream cid_stream_ingest;
extern const struct cid_ctl_stream cid_stream_batch;
extern const struct cid_ctl_stream cid_stream_lookup;
extern const struct cid_ctl_stream cid_stream_lookup_text;
extern const struct cid_ctl_stream cid_stream_export;
extern const struct cid_ctl_stream cid_stream_import;
extern const struct cid_ctl_stream cid_stream_events;

#endif
