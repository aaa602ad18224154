/* SPDX-License-Identifier: BSD-2-Clause */
/* mkfs.c - mkfs.cidstore: makes a store */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cidstore/cidstore.h"
#include "tools/report.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: mkfs.cidstore [OPTION]... STORE\n"
	"Make a store in the directory STORE, which must be empty or not exist.\n"
	"\n"
	"      --log-size=SIZE            write-ahead log; power of two, 256K to 4G (64M)\n"
	"      --segment-size=SIZE        segment files; power of two, 4M to 4G (4G)\n"
	"      --bucket-size=SIZE         a bucket splits above this; 8K to an eighth of a\n"
	"                                 segment (512K)\n"
	"      --promotion-threshold=N    values from which a set has extents of its own;\n"
	"                                 power of two, 4 to 4096 (128)\n"
	"      --seed=N                   seed of the hash order (random)\n"
	"  -o NAME=VALUE[,NAME=VALUE...]  the same by name: log_size, segment_size,\n"
	"                                 bucket_size, promotion_threshold, seed\n"
	"  -n, --dry-run                  say what would be made, make nothing\n"
	"  -q, --quiet                    print nothing but errors\n"
	"  -h, --help                     print this and exit\n"
	"  -V, --version                  print the version and exit\n"
	"\n"
	"SIZE takes the suffixes K, M and G. Exit status: 0 made, 1 failed, 2 usage.\n";

/* One table for the long options and for -o. */
struct setting {
	const char *name;
	bool is_size;
	bool power_of_two;
	uint64_t min, max; /* 0, 0: any */
	uint64_t initial;  /* what 0 stands for in the geometry */
};

enum { LOG, SEGMENT, BUCKET, PROMOTION, SEED, SETTINGS };

static const struct setting settings[SETTINGS] = {
	[LOG] = { "log_size", true, true, 256 << 10, 4ull << 30, 64 << 20 },
	[SEGMENT] = { "segment_size", true, true, 4 << 20, 4ull << 30, 4ull << 30 },
	[BUCKET] = { "bucket_size", true, false, 8 << 10, 512 << 20, 512 << 10 },
	[PROMOTION] = { "promotion_threshold", false, true, 4, 4096, 128 },
	[SEED] = { "seed", false, false, 0, 0, 0 },
};

static int set(uint64_t value[SETTINGS], int which, const char *text)
{
	const struct setting *s = &settings[which];
	uint64_t n;

	if ((s->is_size ? cid_report_parse_size(text, &n) : cid_report_parse_number(text, &n)) !=
	    0) {
		cid_report("%s: '%s' is not a %s", s->name, text,
			   s->is_size ? "size (a number with K, M or G)" : "number");
		return -1;
	}
	if (s->max > 0 && (n < s->min || n > s->max)) {
		cid_report("%s: %s is outside %" PRIu64 " to %" PRIu64, s->name, text, s->min,
			   s->max);
		return -1;
	}
	if (s->power_of_two && (n & (n - 1)) != 0) {
		cid_report("%s: %s is not a power of two", s->name, text);
		return -1;
	}
	value[which] = n;
	return 0;
}

static int set_list(uint64_t value[SETTINGS], char *list)
{
	char *rest = list, *item, *equals;
	int i;

	while ((item = strsep(&rest, ",")) != NULL) {
		if (*item == '\0')
			continue;
		equals = strchr(item, '=');
		if (equals != NULL)
			*equals = '\0';
		for (i = 0; i < SETTINGS && strcmp(item, settings[i].name) != 0; i++)
			;
		if (i == SETTINGS) {
			cid_report("unknown option -o %s; known are log_size, segment_size, "
				   "bucket_size, promotion_threshold and seed",
				   item);
			return -1;
		}
		if (equals == NULL) {
			cid_report("-o %s needs a value: -o %s=...", item, item);
			return -1;
		}
		if (set(value, i, equals + 1) != 0)
			return -1;
	}
	return 0;
}

/* Bounds that one size sets another, so that a dry run knows them, too. */
static int check_together(const uint64_t value[SETTINGS])
{
	uint64_t v[SETTINGS];

	for (int i = 0; i < SETTINGS; i++)
		v[i] = value[i] != 0 ? value[i] : settings[i].initial;
	if (v[SEGMENT] < 4 * v[LOG]) {
		cid_report("segment_size must be at least four times log_size");
		return -1;
	}
	if (v[BUCKET] > v[SEGMENT] / 8) {
		cid_report("bucket_size must be at most an eighth of segment_size");
		return -1;
	}
	return 0;
}

/* 0 when a store may be made there; else a message was given. */
static int check_place(const char *path)
{
	struct dirent *e;
	struct stat st;
	DIR *d;
	char main_file[4200];
	int found = 0;

	d = opendir(path);
	if (d == NULL) {
		if (errno == ENOENT)
			return 0;
		if (errno == ENOTDIR)
			cid_report("%s exists and is not a directory; name another place", path);
		else
			cid_report("%s: %s", path, strerror(errno));
		return -1;
	}
	while (!found && (e = readdir(d)) != NULL)
		found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	if (!found)
		return 0;
	snprintf(main_file, sizeof(main_file), "%s/main.h5", path);
	if (stat(main_file, &st) == 0)
		cid_report("%s holds a store already; remove it first if its content is not "
			   "wanted any more",
			   path);
	else
		cid_report("%s is not empty; name an empty or a new directory", path);
	return -1;
}

static void summary(const char *path, const uint64_t value[SETTINGS], bool dry)
{
	uint64_t v[SETTINGS];
	char b[3][16];

	for (int i = 0; i < SETTINGS; i++)
		v[i] = value[i] != 0 ? value[i] : settings[i].initial;
	printf("%s: store %s\n", path, dry ? "would be made (nothing was written)" : "made");
	printf("  log       %s, %" PRIu64 " records\n", cid_report_bytes((double)v[LOG], b[0]),
	       v[LOG] / 64);
	printf("  segments  %s (sparse), buckets split above %s\n",
	       cid_report_bytes((double)v[SEGMENT], b[1]),
	       cid_report_bytes((double)v[BUCKET], b[2]));
	printf("  sets      extents of their own from %" PRIu64 " values\n", v[PROMOTION]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "log-size", required_argument, NULL, 256 + LOG },
		{ "segment-size", required_argument, NULL, 256 + SEGMENT },
		{ "bucket-size", required_argument, NULL, 256 + BUCKET },
		{ "promotion-threshold", required_argument, NULL, 256 + PROMOTION },
		{ "seed", required_argument, NULL, 256 + SEED },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t value[SETTINGS] = { 0 };
	struct cidstore_geometry geo = { 0 };
	struct cidstore_error err = { 0 };
	bool quiet = false, dry = false;
	const char *path;
	int c;

	cid_report_name("mkfs.cidstore");
	while ((c = getopt_long(argc, argv, "o:nqhV", options, NULL)) != -1) {
		if (c >= 256) {
			if (set(value, c - 256, optarg) != 0)
				return EXIT_USAGE;
			continue;
		}
		switch (c) {
		case 'o':
			if (set_list(value, optarg) != 0)
				return EXIT_USAGE;
			break;
		case 'n':
			dry = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return cid_report_flush() != 0;
		case 'V':
			printf("mkfs.cidstore %s\n", cidstore_version());
			return cid_report_flush() != 0;
		default:
			fputs("Try 'mkfs.cidstore --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1) {
		cid_report(argc == optind ? "a STORE directory is needed"
					  : "one STORE at a time, please");
		fputs("Try 'mkfs.cidstore --help'.\n", stderr);
		return EXIT_USAGE;
	}
	path = argv[optind];
	if (check_together(value) != 0)
		return EXIT_USAGE;
	if (check_place(path) != 0)
		return EXIT_FAILURE;
	geo.log_bytes = value[LOG];
	geo.segment_bytes = value[SEGMENT];
	geo.bucket_bytes = (uint32_t)value[BUCKET];
	geo.promotion_threshold = (uint32_t)value[PROMOTION];
	geo.hash_seed = value[SEED];
	if (!dry && cidstore_create(path, &geo, &err) != 0) {
		cid_report("%s", err.message);
		return EXIT_FAILURE;
	}
	if (!quiet || dry)
		summary(path, value, dry);
	return cid_report_flush() != 0;
}
