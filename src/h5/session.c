/* SPDX-License-Identifier: BSD-2-Clause */
#include "h5/session.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "h5/image.h"

extern char **environ;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* HDF5 reads drivers, connectors, plugin paths, prefixes and debug switches
 * from the environment, most of them when it starts. Only written to where
 * there is something to remove. */
static void clear_environment(void)
{
	char name[64];
	char **e = environ;

	while (e && *e) {
		size_t n = strcspn(*e, "=");

		if (strncmp(*e, "HDF5_", 5) || n >= sizeof(name)) {
			e++;
			continue;
		}
		memcpy(name, *e, n);
		name[n] = '\0';
		if (unsetenv(name))
			return;
		e = environ;
	}
}

/* Releases of one minor series have the same interface. */
static int check_version(struct cid_h5_session *s)
{
	unsigned major = 0, minor = 0, release = 0;

	if (!cid_h5_need(s, H5get_libversion(&major, &minor, &release), "version of libhdf5"))
		return s->code;
	if (major == H5_VERS_MAJOR && minor == H5_VERS_MINOR)
		return 0;
	return cid_h5_fail(s, CIDSTORE_ESYSTEM,
			   "libhdf5 %u.%u.%u is loaded, %u.%u is needed: install the version this "
			   "was built with",
			   major, minor, release, H5_VERS_MAJOR, H5_VERS_MINOR);
}

void cid_h5_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, clear_environment);
}

int cid_h5_begin(struct cid_h5_session *s, struct cidstore_error *err)
{
	cid_h5_prepare();
	memset(s, 0, sizeof(*s));
	s->err = err;
	(void)pthread_mutex_lock(&lock);
	if (H5open() < 0)
		return cid_h5_fail(s, CIDSTORE_ESYSTEM, "libhdf5 does not start");
	(void)H5Eget_auto2(H5E_DEFAULT, &s->print, &s->print_arg);
	(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	(void)H5PLget_loading_state(&s->plugins);
	(void)H5PLset_loading_state(0);
	s->started = true;
	return check_version(s);
}

int cid_h5_end(struct cid_h5_session *s)
{
	cid_h5_unwind(s, 0);
	if (s->started) {
		(void)H5PLset_loading_state(s->plugins);
		(void)H5Eset_auto2(H5E_DEFAULT, s->print, s->print_arg);
	}
	(void)pthread_mutex_unlock(&lock);
	return s->code;
}

int cid_h5_fail(struct cid_h5_session *s, int code, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (s->code)
		return s->code;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->code = cid_err_set(s->err, code, "%s", text);
	return s->code;
}

/* The innermost record of HDF5's error stack is the reason. */
struct reason {
	char text[200];
	bool memory;
};

static herr_t take_reason(unsigned n, const H5E_error2_t *e, void *arg)
{
	struct reason *r = arg;

	if (n == 0 && e->desc)
		(void)snprintf(r->text, sizeof(r->text), "%s", e->desc);
	if (e->maj_num == H5E_RESOURCE &&
	    (e->min_num == H5E_NOSPACE || e->min_num == H5E_CANTALLOC))
		r->memory = 1;
	return 0;
}

static void fail_of_hdf5(struct cid_h5_session *s, const char *what)
{
	struct reason r = { .text = "no reason given" };

	if (s->code)
		return;
	(void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, &r);
	(void)cid_h5_fail(s, r.memory ? CIDSTORE_ENOMEM : CIDSTORE_ESYSTEM, "HDF5: %s: %s", what,
			  r.text);
}

hid_t cid_h5_keep(struct cid_h5_session *s, hid_t id, const char *what)
{
	if (id < 0) {
		fail_of_hdf5(s, what);
		return id;
	}
	if (s->handles == CID_H5_HANDLES) {
		(void)H5Idec_ref(id);
		(void)cid_h5_fail(s, CIDSTORE_ESYSTEM, "too many HDF5 handles at %s", what);
		return -1;
	}
	s->handle[s->handles++] = id;
	return id;
}

bool cid_h5_need(struct cid_h5_session *s, long long result, const char *what)
{
	if (result < 0)
		fail_of_hdf5(s, what);
	return result >= 0;
}

void cid_h5_unwind(struct cid_h5_session *s, unsigned mark)
{
	while (s->handles > mark)
		(void)cid_h5_need(s, H5Idec_ref(s->handle[--s->handles]), "closing");
}

hid_t cid_h5_access(struct cid_h5_session *s)
{
	hid_t fapl = cid_h5_keep(s, H5Pcreate(H5P_FILE_ACCESS), "file access list");

	(void)cid_h5_need(s, H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110),
			  "format bounds");
	/* Closing the file fails while one of its objects is open. */
	(void)cid_h5_need(s, H5Pset_fclose_degree(fapl, H5F_CLOSE_SEMI), "close degree");
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERS_MINOR == 12 && H5_VERS_RELEASE < 1)
	(void)cid_h5_need(s, H5Pset_file_locking(fapl, 0, 1), "file locking");
#endif
	return fapl;
}

static void put_attribute(struct cid_h5_session *s, hid_t object, const char *name, hid_t stored,
			  hid_t given, const void *value)
{
	unsigned mark = s->handles;
	hid_t space = cid_h5_keep(s, H5Screate(H5S_SCALAR), name);
	hid_t attr = cid_h5_keep(
		s, H5Acreate2(object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT), name);

	(void)cid_h5_need(s, H5Awrite(attr, given, value), name);
	cid_h5_unwind(s, mark);
}

void cid_h5_put_text(struct cid_h5_session *s, hid_t object, const char *name, const char *text)
{
	unsigned mark = s->handles;
	hid_t type = cid_h5_keep(s, H5Tcopy(H5T_C_S1), name);

	(void)cid_h5_need(s, H5Tset_size(type, strlen(text) + 1), name);
	put_attribute(s, object, name, type, type, text);
	cid_h5_unwind(s, mark);
}

void cid_h5_put_number(struct cid_h5_session *s, hid_t object, const char *name, uint64_t v)
{
	put_attribute(s, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &v);
}
