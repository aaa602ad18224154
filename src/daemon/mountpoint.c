/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/mountpoint.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/err.h"

#define OUR_TYPE "fuse.cidstore"
#define MAX_STACKED 64

extern char **environ;

/* One line of mountinfo, see proc(5). */
struct mount {
	char path[PATH_MAX], type[64], source[PATH_MAX];
};

/* Octal escapes back to bytes, in place. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

static bool parse(char *line, struct mount *m)
{
	char *save, *word = strtok_r(line, " \n", &save);
	char *field[3] = { 0 };

	for (int i = 1; word && i < 5; i++) /* the fifth is the mount point */
		word = strtok_r(NULL, " \n", &save);
	field[0] = word;
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " \n", &save);
	for (int i = 1; word && i < 3; i++)
		field[i] = word = strtok_r(NULL, " \n", &save);
	if (!field[0] || !field[1] || !field[2])
		return false;
	unescape(field[0]);
	unescape(field[2]);
	return snprintf(m->path, sizeof(m->path), "%s", field[0]) < (int)sizeof(m->path) &&
	       snprintf(m->type, sizeof(m->type), "%s", field[1]) < (int)sizeof(m->type) &&
	       snprintf(m->source, sizeof(m->source), "%s", field[2]) < (int)sizeof(m->source);
}

/* Calls fn for each mount in order, the topmost of a place last. */
static void each_mount(void (*fn)(const struct mount *m, void *arg), void *arg)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct mount *m = malloc(sizeof(*m));
	char *line = NULL;
	size_t cap = 0;

	while (file && m && getline(&line, &cap, file) > 0)
		if (parse(line, m))
			fn(m, arg);
	free(line);
	free(m);
	if (file)
		fclose(file);
}

/* ---- dead mounts ---- */

struct place {
	const char *path;
	bool ours;
};

static void note_place(const struct mount *m, void *arg)
{
	struct place *p = arg;

	if (!strcmp(m->path, p->path))
		p->ours = !strcmp(m->type, OUR_TYPE);
}

static bool dead(const char *path)
{
	struct stat st;

	return stat(path, &st) && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* As a user, by the helper that user mounts go through. */
static bool detach(const char *path)
{
	char *argv[] = { (char *)"fusermount3", (char *)"-uqz", (char *)"--", (char *)path, NULL };
	int status;
	pid_t pid;

	if (!umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
		return true;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

int cid_mountpoint_prepare(const char *path, struct cidstore_error *err)
{
	struct stat st;

	for (int i = 0; i < MAX_STACKED && dead(path); i++) {
		struct place p = { path, false };

		each_mount(note_place, &p);
		if (!p.ours)
			return cid_err_set(err, CIDSTORE_EBUSY,
					   "%s: a dead mount of another kind is there; "
					   "unmount it first",
					   path);
		if (!detach(path))
			return cid_err_set(err, CIDSTORE_EBUSY,
					   "%s: cannot unmount what a dead daemon left", path);
	}
	if (stat(path, &st))
		return cid_err_set(err, CIDSTORE_ESYSTEM, "mount point %s: %s", path,
				   strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return cid_err_set(err, CIDSTORE_EINVAL, "mount point %s: not a directory", path);
	return 0;
}

char *cid_mountpoint_resolve(const char *path, struct cidstore_error *err)
{
	char *copy, *slash, *dir, *out = realpath(path, NULL);

	if (out)
		return out;
	if (errno != ENOTCONN && errno != ECONNABORTED) {
		cid_err_set(err, CIDSTORE_ESYSTEM, "mount point %s: %s", path, strerror(errno));
		return NULL;
	}
	/* The directory above is alive. */
	copy = strdup(path);
	while (copy && strlen(copy) > 1 && copy[strlen(copy) - 1] == '/')
		copy[strlen(copy) - 1] = '\0';
	slash = copy ? strrchr(copy, '/') : NULL;
	if (slash)
		*slash = '\0';
	dir = copy ? realpath(slash ? (slash == copy ? "/" : copy) : ".", NULL) : NULL;
	if (!dir || asprintf(&out, "%s/%s", strcmp(dir, "/") ? dir : "",
			     slash ? slash + 1 : copy) < 0) {
		cid_err_set(err, CIDSTORE_ESYSTEM, "mount point %s: %s", path, strerror(errno));
		out = NULL;
	}
	free(copy);
	free(dir);
	return out;
}

/* ---- live mounts ---- */

struct search {
	const char *store;
	char *out;
	size_t cap;
	bool found;
};

static void note_store(const struct mount *m, void *arg)
{
	struct search *s = arg;

	if (s->found || strcmp(m->type, OUR_TYPE) != 0 || strcmp(m->source, s->store) != 0)
		return;
	if (dead(m->path))
		return;
	s->found = true;
	snprintf(s->out, s->cap, "%s", m->path);
}

bool cid_mountpoint_of_store(const char *store, char *out, size_t cap)
{
	struct search s = { store, out, cap, false };

	each_mount(note_store, &s);
	return s.found;
}
