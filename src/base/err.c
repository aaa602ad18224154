/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *cidstore_strerror(int code)
{
	switch (code) {
#define X(name, number, text) \
	case name:            \
		return text;
#include "base/err.def"
#undef X
	}
	return "unknown error";
}

int cidstore_errno(int code)
{
	switch (code) {
#define X(name, number, text) \
	case name:            \
		return number;
#include "base/err.def"
#undef X
	}
	return EIO;
}

int cid_err_set(struct cidstore_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		err->code = code;
		va_start(ap, fmt);
		(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
		va_end(ap);
	}
	return code;
}

int cid_err_prefix(struct cidstore_error *err, const char *fmt, ...)
{
	char old[sizeof(err->message)];
	va_list ap;
	size_t n;

	if (!err)
		return CIDSTORE_ESYSTEM;
	memcpy(old, err->message, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	n = strlen(err->message);
	(void)snprintf(err->message + n, sizeof(err->message) - n, ": %s", old);
	return err->code;
}

int cid_err_from_errno(int e)
{
	switch (-e) {
	case 0:
		return CIDSTORE_OK;
	case ENOSPC:
	case EDQUOT:
		return CIDSTORE_ENOSPC;
	case ENOMEM:
		return CIDSTORE_ENOMEM;
	case EROFS:
		return CIDSTORE_EROFS;
	case ENOENT:
		return CIDSTORE_ENOENT;
	case EEXIST:
		return CIDSTORE_EEXIST;
	case EACCES:
	case EPERM:
		return CIDSTORE_EPERM;
	case EWOULDBLOCK:
		return CIDSTORE_EBUSY;
	case EIO:
		return CIDSTORE_EIO;
	}
	return CIDSTORE_ESYSTEM;
}
