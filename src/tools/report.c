/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "tools/progress.h"

static const char *program = "cidstore";

void cid_report_name(const char *name)
{
	program = name;
}

void cid_report(const char *fmt, ...)
{
	va_list ap;

	cid_progress_wipe();
	fflush(stdout);
	fprintf(stderr, "%s: ", program);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int cid_report_flush(void)
{
	int failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return 0;
	if (errno != EPIPE)
		cid_report("writing standard output: %s", strerror(errno != 0 ? errno : EIO));
	return -1;
}

/* Length of the UTF-8 sequence at s, 0 when there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

void cid_report_json(FILE *f, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', f);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_length(s + i, len - i);

		if (n == 0) {
			fputs("\\ufffd", f);
			n = 1;
		} else if (s[i] == '"' || s[i] == '\\') {
			fprintf(f, "\\%c", s[i]);
		} else if (s[i] < 0x20) {
			fprintf(f, "\\u%04x", s[i]);
		} else {
			fwrite(s + i, 1, n, f);
		}
		i += n;
	}
	fputc('"', f);
}

static const char *scaled(double n, double base, const char *const *unit, char buf[16])
{
	int u = 0;

	while (n >= base && unit[u + 1] != NULL) {
		n /= base;
		u++;
	}
	if (u == 0)
		snprintf(buf, 16, "%.0f%s", n, unit[0]);
	else
		snprintf(buf, 16, n < 100 ? "%.1f%s" : "%.0f%s", n, unit[u]);
	return buf;
}

const char *cid_report_count(double n, char buf[16])
{
	static const char *const unit[] = { "", " k", " M", " G", " T", NULL };

	return scaled(n, 1000, unit, buf);
}

const char *cid_report_bytes(double n, char buf[16])
{
	static const char *const unit[] = { " B", " KiB", " MiB", " GiB", " TiB", NULL };

	return scaled(n, 1024, unit, buf);
}

const char *cid_report_time(double seconds, char buf[16])
{
	uint64_t s = seconds > 0 && seconds < 3.6e8 ? (uint64_t)(seconds + 0.5) : 0;
	unsigned hours = (unsigned)(s / 3600) % 100000, minutes = (unsigned)(s / 60 % 60);

	if (hours > 0)
		snprintf(buf, 16, "%u:%02u:%02u", hours, minutes, (unsigned)(s % 60));
	else
		snprintf(buf, 16, "%u:%02u", minutes, (unsigned)(s % 60));
	return buf;
}

int cid_report_parse_number(const char *text, uint64_t *out)
{
	char *end;
	unsigned long long n;
	int base = strncasecmp(text, "0x", 2) == 0 ? 16 : 10;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	n = strtoull(text, &end, base);
	if (errno != 0 || *end != '\0')
		return -1;
	*out = n;
	return 0;
}

int cid_report_parse_size(const char *text, uint64_t *out)
{
	static const char letters[] = "kmgt";
	char *end;
	const char *unit;
	unsigned long long n;
	unsigned shift = 0;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0)
		return -1;
	if (*end != '\0') {
		unit = strchr(letters, *end | 0x20);
		if (unit == NULL || *unit == '\0')
			return -1;
		shift = 10 * (unsigned)(unit - letters + 1);
		end++;
		if (strcasecmp(end, "ib") == 0 || strcasecmp(end, "b") == 0)
			end += strlen(end);
		if (*end != '\0')
			return -1;
	}
	if (n > UINT64_MAX >> shift)
		return -1;
	*out = (uint64_t)n << shift;
	return 0;
}
