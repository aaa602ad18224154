/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - the command line, as a program of its own and as mount(8)'s helper
 */
#ifndef CID_DAEMON_OPTIONS_H
#define CID_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include "fusefs/fusefs.h"

/* A setting of the store given with -o. */
struct cid_assignment {
	char *name;
	uint64_t value;
};

struct cid_options {
	bool helper;	 /* called as mount.*: -f, -s, -v mean other things */
	bool foreground, fake, verbose, sloppy, create, help, version;
	char *store, *mountpoint; /* as given */
	char *config;		  /* file of settings, or NULL */
	char *mount_options;	  /* for libfuse */
	struct cid_fusefs_options fs; /* its strings point in here */
	struct cid_assignment *set;
	size_t nset;
};

/* 0; or -1 with a sentence in err. cid_options_fini() in any case. */
int cid_options_parse(struct cid_options *o, int argc, char **argv, struct cidstore_error *err);
void cid_options_fini(struct cid_options *o);

/* The text of --help. */
extern const char cid_options_usage[];

/* A decimal number, and nothing else. */
bool cid_options_number(const char *text, uint64_t *out);

#endif
