/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.h - what a block device was told, in the order it was told
 *
 * A file of records, each a header and its bytes: writes, flushes, and marks,
 * which are what clients wanted to have noted between the two.
 */
#ifndef POWER_TRACE_H
#define POWER_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_kind {
	TRACE_WRITE = 1,
	TRACE_FLUSH, /* it ended: writes before record `at` are durable */
	TRACE_MARK,
	TRACE_SPARE /* bytes that somebody refers to, and nothing else */
};

struct trace_record {
	uint32_t kind;
	uint32_t bytes; /* behind this header */
	uint64_t at;	/* of a write: its place on the device; of a mark: whose it is */
	uint64_t ns;	/* monotonic clock */
};

struct trace {
	int fd;
	uint8_t *map;
	uint64_t len;
	uint64_t *record; /* where each begins */
	size_t n, room;
};

/* Functions return 0 or a negative errno. A fresh trace is empty; NULL for the
 * path: one that nobody else sees. */
int trace_open(struct trace *t, const char *path, bool fresh);
void trace_close(struct trace *t);
/* The bytes lie at trace_bytes() of the newest record afterwards. */
int trace_append(struct trace *t, enum trace_kind kind, uint64_t at, const void *data, size_t n);
/* Forgets everything. */
int trace_clear(struct trace *t);

static inline const struct trace_record *trace_at(const struct trace *t, size_t i)
{
	return (const struct trace_record *)(t->map + t->record[i]);
}

static inline const uint8_t *trace_bytes(const struct trace *t, size_t i)
{
	return t->map + t->record[i] + sizeof(struct trace_record);
}

#endif
