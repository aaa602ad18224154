/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/look.h"

#include <stdarg.h>
#include <stdio.h>

enum { AT_ONCE = 100 };

struct look {
	struct cidstore *s;
	void (*say)(void *arg, const char *text);
	void *arg;
	unsigned wrong;
};

static void wrong(struct look *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void wrong(struct look *l, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->say(l->arg, text);
	l->wrong++;
}

static void look_at_values(struct look *l, unsigned c, uint32_t k, struct kill_state *seen)
{
	struct cidstore_id key = kill_key(c, k);
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[AT_ONCE];
	uint64_t count = 0;
	uint32_t v;
	size_t n;
	int rc;

	do {
		rc = cidstore_scan_values(l->s, key, &pos, item, AT_ONCE, &n);
		if (rc) {
			wrong(l, "client %u: values of key %u: %s", c, k, cidstore_strerror(rc));
			return;
		}
		for (size_t i = 0; i < n; i++) {
			if (!kill_value_number(item[i].id, &v))
				wrong(l, "client %u: key %u has a value nobody made", c, k);
			else if (seen->have[k][v]++)
				wrong(l, "client %u: key %u has value %u twice", c, k, v);
			else
				seen->count[k]++;
		}
	} while (n);
	rc = cidstore_count(l->s, key, &count);
	if (rc || count != seen->count[k])
		wrong(l, "client %u: key %u has %llu values (%s), and lists %u", c, k,
		      (unsigned long long)count, cidstore_strerror(rc), seen->count[k]);
}

unsigned kill_look(struct cidstore *s, unsigned clients, struct kill_state *seen,
		   void (*say)(void *arg, const char *text), void *arg)
{
	struct look l = { .s = s, .say = say, .arg = arg };
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[AT_ONCE];
	unsigned c;
	uint32_t k;
	size_t n;

	do {
		int rc = cidstore_scan_keys(s, &pos, item, AT_ONCE, &n);

		if (rc) {
			wrong(&l, "keys: %s", cidstore_strerror(rc));
			break;
		}
		for (size_t i = 0; i < n; i++) {
			if (!kill_key_number(item[i].id, clients, &c, &k))
				wrong(&l, "a key nobody made");
			else if (seen[c].exists[k]++)
				wrong(&l, "client %u: key %u is listed twice", c, k);
			else
				look_at_values(&l, c, k, &seen[c]);
		}
	} while (n);
	return l.wrong;
}
