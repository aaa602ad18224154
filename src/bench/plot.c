/* SPDX-License-Identifier: BSD-2-Clause */
/* plot.c - the life of a run as a picture */
#include <inttypes.h>
#include <string.h>

#include "bench/result.h"

static void data(FILE *f, size_t id, const struct cid_result *r)
{
	fprintf(f,
		"# %s: seconds, operations/s, p50 p99 p999 max in ms, MB memory, MB disk, "
		"MB written\n$run%zu << END\n",
		r->run, id);
	for (size_t i = 1; i < r->samples; i++) {
		const struct cid_sample *a = &r->sample[i - 1], *b = &r->sample[i];
		double s = b->seconds - a->seconds;

		fprintf(f, "%.3f %.0f %.4f %.4f %.4f %.4f %.2f %.2f %.2f\n", b->seconds,
			s > 0 ? (double)(b->ops - a->ops) / s : 0, b->p50 / 1e6, b->p99 / 1e6,
			b->p999 / 1e6, b->max / 1e6, (double)b->memory / 1e6, (double)b->disk / 1e6,
			(double)b->written / 1e6);
	}
	fputs("END\n", f);
}

static void panels(FILE *f, size_t id, const struct cid_result *r)
{
	fprintf(f, "set title '%s, %" PRIu64 " keys'\nset ylabel 'operations/s'\n", r->run,
		r->keys);
	fprintf(f, "plot $run%zu using 1:2 with lines title 'rate'\n", id);
	fputs("unset title\nset ylabel 'batch, ms'\nset logscale y\n", f);
	fprintf(f,
		"plot $run%zu using 1:3 with lines title 'p50', "
		"'' using 1:4 with lines title 'p99', "
		"'' using 1:5 with lines title 'p99.9', "
		"'' using 1:6 with lines title 'max'\n",
		id);
	fputs("unset logscale y\nset ylabel 'MB'\n", f);
	fprintf(f,
		"plot $run%zu using 1:8 with lines title 'disk', "
		"'' using 1:9 with lines title 'written', "
		"'' using 1:7 with lines title 'memory'\n",
		id);
}

size_t cid_result_plot(FILE *f, const char *picture, const struct cid_result *r, size_t n)
{
	const char *dot = strrchr(picture, '.');
	size_t drawn = 0;

	for (size_t i = 0; i < n; i++)
		drawn += r[i].samples > 1;
	if (drawn == 0)
		return 0;
	fputs(dot != NULL && strcmp(dot, ".svg") == 0 ? "set terminal svg" : "set terminal png", f);
	fprintf(f, " size 1000,%zu\nset output '", drawn * 900);
	for (const char *s = picture; *s != '\0'; s++)
		fputs(*s == '\'' ? "''" : (char[]){ *s, '\0' }, f);
	fputs("'\n", f);
	for (size_t i = 0; i < n; i++)
		if (r[i].samples > 1)
			data(f, i, &r[i]);
	fprintf(f,
		"set multiplot layout %zu,1\nset xlabel 'seconds'\nset key outside\n"
		"set yrange [0:*]\n",
		drawn * 3);
	for (size_t i = 0; i < n; i++)
		if (r[i].samples > 1)
			panels(f, i, &r[i]);
	fputs("unset multiplot\n", f);
	return drawn;
}
