/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wordpairs.c - an inverted index of files as pairs (word, document)
 *
 * wordpairs WORDS < paths > 32-byte records. A word is a longest run of ASCII
 * letters, digits and underscores that is made of 2 to 64 letters, in lower
 * case: what `LC_ALL=C grep -iw` finds. Each word of a document gives one
 * record: XXH128 of the word, XXH128 of the path. The words themselves go to
 * the file WORDS, one a line.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX_BYTES 64

struct word {
	XXH128_hash_t hash;
	size_t document; /* of the record written last, from 1; 0: free */
};

static struct word *table;
static size_t slots, used;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "wordpairs: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct word *find(struct word *in, size_t n, XXH128_hash_t h)
{
	size_t i = (size_t)h.low64 & (n - 1);

	while (in[i].document != 0 &&
	       (in[i].hash.low64 != h.low64 || in[i].hash.high64 != h.high64))
		i = (i + 1) & (n - 1);
	return &in[i];
}

static void grow(void)
{
	size_t n = slots > 0 ? 2 * slots : 1u << 16;
	struct word *t = calloc(n, sizeof(*t));

	if (t == NULL)
		die("memory");
	for (size_t i = 0; i < slots; i++)
		if (table[i].document != 0)
			*find(t, n, table[i].hash) = table[i];
	free(table);
	table = t;
	slots = n;
}

static void put(FILE *out, XXH128_hash_t h)
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, h);
	fwrite(c.digest, 1, sizeof(c.digest), out);
}

static void count_word(const char *p, size_t n, size_t document, XXH128_hash_t name, FILE *words)
{
	XXH128_hash_t h = XXH3_128bits(p, n);
	struct word *w;

	if (2 * (used + 1) > slots)
		grow();
	w = find(table, slots, h);
	if (w->document == document)
		return;
	if (w->document == 0) {
		used++;
		w->hash = h;
		fwrite(p, 1, n, words);
		fputc('\n', words);
	}
	w->document = document;
	put(stdout, h);
	put(stdout, name);
}

static void read_document(FILE *f, size_t document, XXH128_hash_t name, FILE *words)
{
	char word[WORD_MAX_BYTES];
	bool letters = true;
	size_t n = 0;
	int c;

	do {
		c = getc_unlocked(f);
		if (c >= 0 && c < 128 && (isalnum(c) || c == '_')) {
			if (n < sizeof(word))
				word[n] = (char)tolower(c);
			n++;
			letters = letters && isalpha(c);
			continue;
		}
		if (n >= 2 && n <= sizeof(word) && letters)
			count_word(word, n, document, name, words);
		n = 0;
		letters = true;
	} while (c != EOF);
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t cap = 0, document = 0;
	FILE *words, *f;
	ssize_t n;

	if (argc != 2) {
		fputs("usage: wordpairs WORDS < PATHS > RECORDS\n", stderr);
		return 2;
	}
	words = fopen(argv[1], "w");
	if (words == NULL)
		die(argv[1]);
	while ((n = getline(&line, &cap, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		f = fopen(line, "r");
		if (f == NULL)
			die(line);
		read_document(f, ++document, XXH3_128bits(line, strlen(line)), words);
		if (ferror(f))
			die(line);
		fclose(f);
	}
	if (ferror(stdin) || fclose(words) != 0 || fflush(stdout) != 0)
		die("writing");
	fprintf(stderr, "%zu documents, %zu words\n", document, used);
	free(line);
	free(table);
	return 0;
}
