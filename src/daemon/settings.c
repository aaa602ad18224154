/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settings.c - the configuration file: lines of `name = value`, empty lines,
 * and comments behind a # at the start of a line
 */
#include "daemon/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/err.h"

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n && strchr(" \t\r\n", s[n - 1]))
		s[--n] = '\0';
	return s;
}

static int apply_line(struct cidstore *s, char *line, struct cidstore_error *err)
{
	char *eq, *name = trim(line), *text;
	uint64_t value;
	int rc;

	if (!*name || *name == '#')
		return 0;
	eq = strchr(name, '=');
	if (!eq)
		return cid_err_set(err, CIDSTORE_EINVAL, "\"%s\" is not name=value", name);
	*eq = '\0';
	name = trim(name);
	text = trim(eq + 1);
	if (!cid_options_number(text, &value))
		return cid_err_set(err, CIDSTORE_EINVAL, "%s: \"%s\" is not a number", name, text);
	rc = cidstore_config_set(s, name, value);
	if (rc == CIDSTORE_ENOENT)
		return cid_err_set(err, rc, "there is no setting \"%s\"", name);
	if (rc)
		return cid_err_set(err, rc, "%s=%s: %s", name, text, cidstore_strerror(rc));
	return 0;
}

static int apply_file(const char *path, struct cidstore *s, struct cidstore_error *err)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0, number = 0;
	int rc = 0;

	if (!file)
		return cid_err_set(err, CIDSTORE_ESYSTEM, "%s: %s", path, strerror(errno));
	while (!rc && getline(&line, &cap, file) >= 0) {
		number++;
		rc = apply_line(s, line, err);
	}
	if (rc)
		cid_err_prefix(err, "%s, line %zu", path, number);
	else if (ferror(file))
		rc = cid_err_set(err, CIDSTORE_EIO, "reading %s failed", path);
	free(line);
	fclose(file);
	return rc;
}

int cid_settings_apply(const struct cid_options *o, struct cidstore *s,
		       struct cidstore_error *err)
{
	if (o->config && apply_file(o->config, s, err))
		return -1;
	for (size_t i = 0; i < o->nset; i++) {
		int rc = cidstore_config_set(s, o->set[i].name, o->set[i].value);

		if (rc) {
			cid_err_set(err, rc, "setting %s: %s", o->set[i].name,
				    cidstore_strerror(rc));
			return -1;
		}
	}
	return 0;
}
