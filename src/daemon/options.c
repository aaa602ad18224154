/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/err.h"
#include "store/store.h"

const char cid_options_usage[] =
	"Usage: cidstore [OPTION]... STORE MOUNTPOINT\n"
	"       mount -t cidstore [-o OPTIONS] STORE MOUNTPOINT\n"
	"Shows a store as a file system: keys are directories, values are files.\n"
	"\n"
	"  -o OPTIONS        comma-separated, see below\n"
	"  -f, --foreground  stay in the foreground, messages to standard error\n"
	"  -d, --debug       print every request; implies -f\n"
	"      --help        this text\n"
	"      --version     version of the program\n"
	"\n"
	"Options for -o:\n"
	"  ro                only read; follows a store that another process writes\n"
	"  create            make the store where there is none\n"
	"  uid=N gid=N       owner of everything shown (default: the caller)\n"
	"  umask=OCTAL       permissions taken away (default: 022)\n"
	"  allow_other       let other users in, by the permissions shown\n"
	"  quiet             chmod and chown pretend to work\n"
	"  ctl=visible       list .cidstore in the root\n"
	"  config=FILE       settings, one name=value a line; read again on SIGHUP\n"
	"  max_nodes=N       names to remember before the kernel is asked to forget\n"
	"  max_threads=N idle_threads=N\n"
	"  NAME=VALUE        a setting of the store, as in .cidstore/config\n";

/* ---- values ---- */

bool cid_options_number(const char *text, uint64_t *out)
{
	char *end;
	unsigned long long v;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end)
		return false;
	*out = v;
	return true;
}

static bool small(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	return cid_options_number(text, out) && *out >= min && *out <= max;
}

static int take_uid(struct cid_options *o, const char *v)
{
	const struct passwd *p = getpwnam(v);
	uint64_t n;

	if (p)
		o->fs.uid = p->pw_uid;
	else if (small(v, 0, UINT_MAX - 1, &n))
		o->fs.uid = (uid_t)n;
	else
		return -1;
	return 0;
}

static int take_gid(struct cid_options *o, const char *v)
{
	const struct group *g = getgrnam(v);
	uint64_t n;

	if (g)
		o->fs.gid = g->gr_gid;
	else if (small(v, 0, UINT_MAX - 1, &n))
		o->fs.gid = (gid_t)n;
	else
		return -1;
	return 0;
}

static int take_umask(struct cid_options *o, const char *v)
{
	size_t n = strlen(v);

	if (!n || n > 4 || strspn(v, "01234567") != n)
		return -1;
	o->fs.umask = (mode_t)strtoul(v, NULL, 8) & 0777;
	return 0;
}

static int take_ctl(struct cid_options *o, const char *v)
{
	o->fs.ctl_visible = !strcmp(v, "visible");
	return o->fs.ctl_visible || !strcmp(v, "hidden") ? 0 : -1;
}

static int take_config(struct cid_options *o, const char *v)
{
	free(o->config);
	o->config = realpath(v, NULL); /* the daemon changes its directory */
	return o->config ? 0 : -1;
}

static int take_max_nodes(struct cid_options *o, const char *v)
{
	uint64_t n;

	if (!small(v, 1024, 1u << 26, &n))
		return -1;
	o->fs.max_nodes = (size_t)n;
	return 0;
}

static int take_max_threads(struct cid_options *o, const char *v)
{
	uint64_t n;

	if (!small(v, 2, 4096, &n))
		return -1;
	o->fs.max_threads = (unsigned)n;
	return 0;
}

static int take_idle_threads(struct cid_options *o, const char *v)
{
	uint64_t n;

	if (!small(v, 1, 4096, &n))
		return -1;
	o->fs.idle_threads = (unsigned)n;
	return 0;
}

static int take_nothing(struct cid_options *o, const char *v)
{
	(void)o;
	(void)v;
	return 0;
}

static int take_ro(struct cid_options *o, const char *v)
{
	(void)v;
	o->fs.readonly = true;
	return 0;
}

static int take_rw(struct cid_options *o, const char *v)
{
	(void)v;
	o->fs.readonly = false;
	return 0;
}

static int take_quiet(struct cid_options *o, const char *v)
{
	(void)v;
	o->fs.quiet = true;
	return 0;
}

static int take_create(struct cid_options *o, const char *v)
{
	(void)v;
	o->create = true;
	return 0;
}

static int pass(struct cid_options *o, const char *text)
{
	size_t have = o->mount_options ? strlen(o->mount_options) : 0;
	char *p = realloc(o->mount_options, have + strlen(text) + 2);

	if (!p)
		return -1;
	o->mount_options = p;
	strcpy(p + have, have ? "," : "");
	strcat(p, text);
	return 0;
}

/* The kernel then checks what the permissions shown say. */
static int take_allow_other(struct cid_options *o, const char *v)
{
	(void)v;
	return pass(o, "allow_other,default_permissions");
}

/* ---- the table of -o ---- */

enum shape { FLAG, VALUE, PREFIX };

static const struct row {
	const char *name;
	enum shape shape;
	int (*take)(struct cid_options *o, const char *value);
	bool passed; /* libfuse understands it */
} rows[] = {
	{ "ro", FLAG, take_ro, false },
	{ "rw", FLAG, take_rw, false },
	{ "create", FLAG, take_create, false },
	{ "quiet", FLAG, take_quiet, false },
	{ "allow_other", FLAG, take_allow_other, false },
	{ "uid", VALUE, take_uid, false },
	{ "gid", VALUE, take_gid, false },
	{ "umask", VALUE, take_umask, false },
	{ "ctl", VALUE, take_ctl, false },
	{ "config", VALUE, take_config, false },
	{ "max_nodes", VALUE, take_max_nodes, false },
	{ "max_threads", VALUE, take_max_threads, false },
	{ "idle_threads", VALUE, take_idle_threads, false },
	/* of the kernel */
	{ "default_permissions", FLAG, take_nothing, true },
	{ "suid", FLAG, take_nothing, true },
	{ "nosuid", FLAG, take_nothing, true },
	{ "dev", FLAG, take_nothing, true },
	{ "nodev", FLAG, take_nothing, true },
	{ "exec", FLAG, take_nothing, true },
	{ "noexec", FLAG, take_nothing, true },
	{ "atime", FLAG, take_nothing, true },
	{ "noatime", FLAG, take_nothing, true },
	{ "sync", FLAG, take_nothing, true },
	{ "async", FLAG, take_nothing, true },
	{ "dirsync", FLAG, take_nothing, true },
	/* of fstab and mount(8), without meaning here */
	{ "defaults", FLAG, take_nothing, false },
	{ "auto", FLAG, take_nothing, false },
	{ "noauto", FLAG, take_nothing, false },
	{ "nofail", FLAG, take_nothing, false },
	{ "user", FLAG, take_nothing, false },
	{ "user", VALUE, take_nothing, false },
	{ "nouser", FLAG, take_nothing, false },
	{ "users", FLAG, take_nothing, false },
	{ "owner", FLAG, take_nothing, false },
	{ "group", FLAG, take_nothing, false },
	{ "_netdev", FLAG, take_nothing, false },
	{ "relatime", FLAG, take_nothing, false },
	{ "strictatime", FLAG, take_nothing, false },
	{ "nodiratime", FLAG, take_nothing, false },
	{ "lazytime", FLAG, take_nothing, false },
	{ "comment", VALUE, take_nothing, false },
	{ "subtype", VALUE, take_nothing, false },
	{ "x-", PREFIX, take_nothing, false },
	{ "X-", PREFIX, take_nothing, false },
};

static const struct row *find_row(const char *text, const char **value)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t n = strlen(rows[i].name);

		if (strncmp(text, rows[i].name, n) != 0)
			continue;
		*value = text + n + 1;
		if ((rows[i].shape == FLAG && !text[n]) ||
		    (rows[i].shape == VALUE && text[n] == '=') || rows[i].shape == PREFIX)
			return &rows[i];
	}
	return NULL;
}

/* name=value with the name of a setting. 1: it is none. */
static int take_setting(struct cid_options *o, const char *text)
{
	const char *eq = strchr(text, '=');
	struct cid_assignment *set;
	uint64_t value;

	if (!eq)
		return 1;
	for (const struct cid_setting *s = cid_store_settings(); s->name; s++) {
		if (strlen(s->name) != (size_t)(eq - text) ||
		    strncmp(s->name, text, (size_t)(eq - text)) != 0)
			continue;
		if (!small(eq + 1, s->min, s->max, &value))
			return -1;
		set = realloc(o->set, (o->nset + 1) * sizeof(*set));
		if (!set)
			return -1;
		o->set = set;
		set[o->nset].name = strndup(text, (size_t)(eq - text));
		set[o->nset].value = value;
		return set[o->nset++].name ? 0 : -1;
	}
	return 1;
}

static int take_option(struct cid_options *o, const char *text, struct cidstore_error *err)
{
	const char *value;
	const struct row *row = find_row(text, &value);
	int rc;

	if (row)
		rc = row->take(o, value) || (row->passed && pass(o, text)) ? -1 : 0;
	else
		rc = take_setting(o, text);
	if (rc > 0 && o->sloppy)
		rc = 0;
	if (rc > 0)
		cid_err_set(err, CIDSTORE_EINVAL, "unknown option \"%s\"; see --help", text);
	else if (rc)
		cid_err_set(err, CIDSTORE_EINVAL, "bad value in option \"%s\"", text);
	return rc ? -1 : 0;
}

/* A backslash takes the meaning from a comma. */
static int take_list(struct cid_options *o, const char *list, struct cidstore_error *err)
{
	char *one = malloc(strlen(list) + 1);
	int rc = 0;

	if (!one)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	while (*list && !rc) {
		size_t n = 0;

		for (; *list && *list != ','; list++) {
			if (*list == '\\' && list[1])
				list++;
			one[n++] = *list;
		}
		one[n] = '\0';
		if (*list)
			list++;
		if (n)
			rc = take_option(o, one, err);
	}
	free(one);
	return rc;
}

/* ---- the command line ---- */

enum { HELP = 256, VERSION };

static const struct option long_options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "debug", no_argument, NULL, 'd' },
	{ "help", no_argument, NULL, HELP },
	{ "version", no_argument, NULL, VERSION },
	{ NULL, 0, NULL, 0 },
};

static int take_switch(struct cid_options *o, int c, const char *arg, struct cidstore_error *err)
{
	switch (c) {
	case 'o':
		return take_list(o, arg, err);
	case 'f':
		*(o->helper ? &o->fake : &o->foreground) = true;
		return 0;
	case 'd':
		o->foreground = o->fs.debug = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'r':
		o->fs.readonly = true;
		return 0;
	case 's': /* taken care of before the others */
	case 'n': /* there is no mtab */
	case 'w':
	case 't':
	case 'N':
		return 0;
	case HELP:
		o->help = true;
		return 0;
	case VERSION:
		o->version = true;
		return 0;
	default:
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "unknown switch or missing argument; see --help");
	}
}

static int take_operands(struct cid_options *o, int argc, char **argv, struct cidstore_error *err)
{
	if (o->help || o->version)
		return 0;
	if (argc != 2)
		return cid_err_set(err, CIDSTORE_EINVAL,
				   "a STORE and a MOUNTPOINT are needed; see --help");
	o->store = strdup(argv[0]);
	o->mountpoint = strdup(argv[1]);
	if (!o->store || !o->mountpoint)
		return cid_err_set(err, CIDSTORE_ENOMEM, "out of memory");
	return 0;
}

int cid_options_parse(struct cid_options *o, int argc, char **argv, struct cidstore_error *err)
{
	const char *name = argc ? strrchr(argv[0], '/') : NULL;
	const char *shorts;
	int c;

	memset(o, 0, sizeof(*o));
	cid_fusefs_defaults(&o->fs);
	o->fs.uid = getuid();
	o->fs.gid = getgid();
	name = name ? name + 1 : argc ? argv[0] : "";
	o->helper = !strncmp(name, "mount.", 6);
	shorts = o->helper ? "o:fnsvrwt:N:" : "o:fd";
	/* -s may stand behind the options that it excuses. */
	for (int i = 1; o->helper && i < argc; i++)
		if (argv[i][0] == '-' && argv[i][1] != '-' && argv[i][1] != 'o' &&
		    strchr(argv[i], 's'))
			o->sloppy = true;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, long_options, NULL)) >= 0)
		if (take_switch(o, c, optarg, err))
			return -1;
	o->fs.mount_options = o->mount_options;
	return take_operands(o, argc - optind, argv + optind, err) ? -1 : 0;
}

void cid_options_fini(struct cid_options *o)
{
	for (size_t i = 0; i < o->nset; i++)
		free(o->set[i].name);
	free(o->set);
	free(o->store);
	free(o->mountpoint);
	free(o->config);
	free(o->mount_options);
}
