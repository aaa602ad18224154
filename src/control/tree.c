/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "control/debug.h"
#include "control/report.h"
#include "control/setting.h"
#include "control/stream.h"
#include "control/trigger.h"

#define DIR	(S_IFDIR | 0555)
#define SHOWN	(S_IFREG | 0444)
#define SET	(S_IFREG | 0644)
#define TRIGGER (S_IFREG | 0200)
#define ASKED	(S_IFREG | 0666)
#define TAKEN	(S_IFREG | 0200)

#define FIRST_NUMBER 2u
#define ON_DEMAND    0x10000u /* from here the numbers of nodes made on demand */

/* The order is that of listings. */
static const struct cid_ctl_node table[] = {
	{ "", .mode = DIR },
	{ "version", .mode = SHOWN, .show = cid_show_version },
	{ "health", .mode = SHOWN, .show = cid_show_health },
	{ "ready", .mode = SHOWN, .show = cid_show_ready },
	{ "stats", .mode = SHOWN, .show = cid_show_stats },
	{ "metrics", .mode = SHOWN, .show = cid_show_metrics },
	{ "durable_seq", .mode = SHOWN, .show = cid_show_durable_seq },
	{ "last_seq", .mode = SHOWN, .show = cid_show_last_seq },
	{ "sync", .mode = TRIGGER, .store = cid_trigger_sync },
	{ "checkpoint", .mode = TRIGGER, .changes = true, .store = cid_trigger_checkpoint },
	{ "compact", .mode = SET, .changes = true, .show = cid_show_job, .store = cid_trigger_job,
	  .job = CID_JOB_COMPACT },
	{ "gc", .mode = SET, .changes = true, .show = cid_show_job, .store = cid_trigger_job,
	  .job = CID_JOB_GC },
	{ "verify", .mode = SET, .show = cid_show_verify, .store = cid_trigger_verify },
	{ "ingest", .mode = TAKEN, .changes = true, .stream = &cid_stream_ingest },
	{ "batch", .mode = TAKEN, .changes = true, .stream = &cid_stream_batch },
	{ "lookup", .mode = ASKED, .stream = &cid_stream_lookup },
	{ "lookup.txt", .mode = ASKED, .stream = &cid_stream_lookup_text },
	{ "export", .mode = SHOWN, .stream = &cid_stream_export },
	{ "import", .mode = SET, .changes = true, .show = cid_show_import,
	  .stream = &cid_stream_import },
	{ "events", .mode = ASKED, .stream = &cid_stream_events },
	{ "config", .mode = DIR },
	{ "debug", .mode = DIR },
	{ "debug/bucket", .mode = DIR },
	{ "debug/bucket/?", .mode = SHOWN, .show = cid_show_bucket },
	{ "debug/key", .mode = DIR },
	{ "debug/key/?", .mode = SHOWN, .show = cid_show_key },
};

static const char setting_dir[] = "config/";

int cid_tree_init(struct cid_control *c)
{
	const struct cid_setting *first = cid_store_settings(), *s;
	size_t fixed = sizeof(table) / sizeof(table[0]), settings = 0, bytes = 0;
	struct cid_ctl_node *node;
	char *path;

	for (s = first; s->name != NULL; s++) {
		settings++;
		bytes += sizeof(setting_dir) + strlen(s->name);
	}
	/* The rows, and behind them the paths of the settings. */
	node = calloc(1, (fixed + settings) * sizeof(*node) + bytes);
	if (node == NULL)
		return -ENOMEM;
	memcpy(node, table, sizeof(table));
	path = (char *)(node + fixed + settings);
	for (size_t i = 0; i < settings; i++) {
		node[fixed + i] = (struct cid_ctl_node){
			.path = path,
			.mode = SET,
			.show = cid_setting_show,
			.store = cid_setting_store,
			.setting = &first[i],
		};
		path = stpcpy(stpcpy(path, setting_dir), first[i].name) + 1;
	}
	c->node = node;
	c->nodes = fixed + settings;
	return 0;
}

void cid_tree_fini(struct cid_control *c)
{
	free(c->node);
}

bool cid_tree_on_demand(const struct cid_ctl_node *node)
{
	size_t n = strlen(node->path);

	return n > 0 && node->path[n - 1] == '?';
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool names(const struct cid_ctl_node *node, const char *path, const char *last)
{
	size_t dir = (size_t)(last - path);

	if (!cid_tree_on_demand(node))
		return strcmp(node->path, path) == 0;
	return *last != '\0' && dir == strlen(node->path) - 1 && memcmp(node->path, path, dir) == 0;
}

const struct cid_ctl_node *cid_tree_find(const struct cid_control *c, const char *path,
					 const char **name)
{
	const char *last = last_part(path);

	for (size_t i = 0; i < c->nodes; i++) {
		if (names(&c->node[i], path, last)) {
			*name = last;
			return &c->node[i];
		}
	}
	return NULL;
}

const struct cid_ctl_node *cid_tree_child(const struct cid_control *c, const char *dir,
					  size_t index, const char **name)
{
	size_t len = strlen(dir);

	for (size_t i = 0; i < c->nodes; i++) {
		const struct cid_ctl_node *node = &c->node[i];
		const char *last = last_part(node->path);
		size_t parent = last > node->path ? (size_t)(last - node->path) - 1 : 0;

		if (*last == '\0' || cid_tree_on_demand(node) || parent != len ||
		    memcmp(node->path, dir, len) != 0)
			continue;
		if (index-- == 0) {
			*name = last;
			return node;
		}
	}
	return NULL;
}

uint32_t cid_tree_number(const struct cid_control *c, const struct cid_ctl_node *node,
			 const char *path)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	if (!cid_tree_on_demand(node))
		return FIRST_NUMBER + (uint32_t)(node - c->node);
	for (; *path != '\0'; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3;
	return ON_DEMAND + (uint32_t)(h % (UINT32_MAX - ON_DEMAND));
}
