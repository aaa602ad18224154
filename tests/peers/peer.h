/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.h - a store that keeps sets of 128-bit values by 128-bit keys, as the
 * comparison sees it
 *
 * One process measures one peer, opened once at a time; a peer keeps its state
 * in static variables. Whatever fails ends the process: a figure beside an
 * error is worth nothing.
 *
 * To add one: a file that defines a `struct peer`, a row in the table of
 * peers.c, its library in tests/peers/Makefile.inc and scripts/bench-peers.
 */
#ifndef CID_PEER_H
#define CID_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "cidstore/cidstore.h"

struct peer_config {
	/* true: put() may leave the commit to sync(), which returns when all that
	 * was put is durable. false: put() commits, and durability does not matter. */
	bool durable;
	uint64_t pairs; /* expected, to size a hash table by */
};

struct peer {
	const char *name;
	bool crash_safe; /* what was synced survives a crash */
	bool sets;	 /* usable with large sets */
	void (*open)(const char *dir, const struct peer_config *c);
	/* Set semantics: a pair that is there already stays once. */
	void (*put)(const struct cidstore_pair *p, size_t n);
	void (*sync)(void);
	/* One a thread. renew moves it to the newest state. */
	void *(*reader)(void);
	void (*renew)(void *reader);
	void (*end)(void *reader);
	/* The number of values, 0 for no key; copies at most cap of them. */
	size_t (*get)(void *reader, const struct cidstore_id *key, struct cidstore_id *out,
		      size_t cap);
	void (*del)(const struct cidstore_pair *p, size_t n);
	void (*del_keys)(const struct cidstore_id *k, size_t n);
	void (*close)(void);
};

extern const struct peer peer_cidstore, peer_lmdb, peer_rocksdb, peer_bdb, peer_tkrzw, peer_sqlite;

_Noreturn void peer_die(const char *file, int line, const char *what, const char *why);
#define PEER_DIE(what, why) peer_die(__FILE__, __LINE__, what, why)
/* For calls that return 0 on success. */
#define PEER_TRY(call)                                           \
	do {                                                     \
		if ((call) != 0)                                 \
			peer_die(__FILE__, __LINE__, #call, ""); \
	} while (0)

#endif
