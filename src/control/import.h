/* SPDX-License-Identifier: BSD-2-Clause */
/* import.h - how the import that ran last went */
#ifndef CID_CONTROL_IMPORT_H
#define CID_CONTROL_IMPORT_H

#include <pthread.h>
#include <stdint.h>

struct cid_control;
struct cid_ctl_node;
struct cid_text;

enum cid_import_state { CID_IMPORT_NONE, CID_IMPORT_RUNNING, CID_IMPORT_DONE, CID_IMPORT_FAILED };

struct cid_import_status {
	pthread_mutex_t lock;	      /* protects all below */
	uint64_t number;	      /* of the import that began last */
	enum cid_import_state state;  /* of it, as all below */
	uint64_t blocks, pairs, keys; /* applied */
	char message[500];
};

void cid_import_status_init(struct cid_import_status *s);
void cid_import_status_fini(struct cid_import_status *s);

int cid_show_import(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		    struct cid_text *out);

#endif
