/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c - results for people */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result.h"

#define ROUNDS 64u

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Over the results of the same run. */
static double median(const struct cid_result *r, size_t n, const struct cid_result *of,
		     const char *name)
{
	double v[ROUNDS];
	size_t have = 0;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(r[i].run, of->run) != 0)
			continue;
		for (size_t j = 0; j < r[i].figures && have < ROUNDS; j++)
			if (strcmp(r[i].figure[j].name, name) == 0)
				v[have++] = r[i].figure[j].value;
	}
	if (have == 0)
		return 0;
	qsort(v, have, sizeof(v[0]), compare);
	return have % 2 > 0 ? v[have / 2] : (v[have / 2 - 1] + v[have / 2]) / 2;
}

static void print(FILE *f, double v)
{
	char digits[32], out[48];
	size_t n, o = 0, whole;

	snprintf(digits, sizeof(digits), v >= 1000 ? "%.0f" : v >= 10 ? "%.1f" : "%.3g", v);
	n = strlen(digits);
	whole = strcspn(digits, ".e");
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && i < whole && (whole - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = '\0';
	fprintf(f, "%16s", out);
}

static void figure(FILE *f, const struct cid_figure *x, double v)
{
	fprintf(f, "  %-28s", x->name);
	print(f, v);
	fprintf(f, " %-9s", x->unit);
	if (x->sense != 0) {
		fputs(x->sense == '<' ? " at most " : " at least", f);
		print(f, x->bar);
		fputs((x->sense == '<' ? v <= x->bar : v >= x->bar) ? "  met" : "  MISSED", f);
	}
	putc('\n', f);
}

void cid_result_table(FILE *f, const struct cid_result_head *h, const struct cid_result *r,
		      size_t n)
{
	const struct cid_machine *m = &h->machine;
	unsigned rounds = n > 0 ? r[n - 1].round : 0;

	fprintf(f, "CIDStore %s (%s), %s\n%s: %u x %s, %.1f GiB, %s, %s\n", h->version, h->commit,
		m->date, m->name, m->cpus, m->cpu, (double)m->memory / (double)(1u << 30),
		m->kernel, m->filesystem);
	if (rounds > 1)
		fprintf(f, "medians of %u rounds\n", rounds);
	for (size_t i = 0; i < n && r[i].round == 1; i++) {
		fprintf(f, "\n%s: %" PRIu64 " keys", r[i].run, r[i].keys);
		if (r[i].values > 1)
			fprintf(f, ", %" PRIu64 " values each", r[i].values);
		fprintf(f, ", %.1f s\n", r[i].seconds);
		for (size_t j = 0; j < r[i].figures; j++)
			figure(f, &r[i].figure[j], median(r, n, &r[i], r[i].figure[j].name));
	}
}
