/* SPDX-License-Identifier: BSD-2-Clause */
/* json.c - results as a file */
#include <inttypes.h>
#include <math.h>

#include "bench/result.h"

static void text(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			putc(c, f);
	}
	putc('"', f);
}

static void number(FILE *f, double v)
{
	if (isfinite(v))
		fprintf(f, "%.7g", v);
	else
		fputs("null", f);
}

static void member(FILE *f, const char *name, const char *value)
{
	fprintf(f, "  \"%s\": ", name);
	text(f, value);
	fputs(",\n", f);
}

static void head(FILE *f, const struct cid_result_head *h)
{
	const struct cid_machine *m = &h->machine;

	fputs("{\n  \"format\": 1,\n", f);
	member(f, "date", m->date);
	member(f, "version", h->version);
	member(f, "commit", h->commit);
	fputs("  \"machine\": {\"name\": ", f);
	text(f, m->name);
	fputs(", \"cpu\": ", f);
	text(f, m->cpu);
	fprintf(f, ", \"cpus\": %u, \"memory\": %" PRIu64 ", \"kernel\": ", m->cpus, m->memory);
	text(f, m->kernel);
	fputs(", \"filesystem\": ", f);
	text(f, m->filesystem);
	fputs(", \"device\": ", f);
	text(f, m->device);
	fputs("},\n  \"command\": [", f);
	for (int i = 0; i < h->argc; i++) {
		fputs(i > 0 ? ", " : "", f);
		text(f, h->argv[i]);
	}
	fputs("],\n  \"results\": [", f);
}

static void samples(FILE *f, const struct cid_result *r)
{
	fputs(",\n     \"samples\": {\"columns\": [\"seconds\", \"ops\", \"p50_us\", \"p99_us\", "
	      "\"p999_us\", \"max_us\", \"memory\", \"disk\", \"written\"], \"rows\": [",
	      f);
	for (size_t i = 0; i < r->samples; i++) {
		const struct cid_sample *s = &r->sample[i];

		fprintf(f,
			"%s\n      [%.3f, %" PRIu64 ", %.1f, %.1f, %.1f, %.1f, %" PRIu64
			", %" PRIu64 ", %" PRIu64 "]",
			i > 0 ? "," : "", s->seconds, s->ops, s->p50 / 1e3, s->p99 / 1e3,
			s->p999 / 1e3, s->max / 1e3, s->memory, s->disk, s->written);
	}
	fputs("]}", f);
}

static void result(FILE *f, const struct cid_result *r)
{
	fputs("    {\"run\": ", f);
	text(f, r->run);
	fprintf(f,
		", \"round\": %u, \"keys\": %" PRIu64 ", \"values\": %" PRIu64
		", \"seconds\": %.3f,\n     \"figures\": {",
		r->round, r->keys, r->values, r->seconds);
	for (size_t i = 0; i < r->figures; i++) {
		const struct cid_figure *x = &r->figure[i];

		fputs(i > 0 ? ",\n      " : "\n      ", f);
		text(f, x->name);
		fputs(": {\"value\": ", f);
		number(f, x->value);
		fputs(", \"unit\": ", f);
		text(f, x->unit);
		if (x->sense != 0) {
			fprintf(f, ", \"%s\": ", x->sense == '<' ? "at_most" : "at_least");
			number(f, x->bar);
		}
		putc('}', f);
	}
	putc('}', f);
	if (r->samples > 0)
		samples(f, r);
	putc('}', f);
}

void cid_result_json(FILE *f, const struct cid_result_head *h, const struct cid_result *r, size_t n)
{
	head(f, h);
	for (size_t i = 0; i < n; i++) {
		fputs(i > 0 ? ",\n" : "\n", f);
		result(f, &r[i]);
	}
	fputs("\n  ]\n}\n", f);
}
