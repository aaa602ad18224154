/* SPDX-License-Identifier: BSD-2-Clause */
/* control_lookup.c - the lookup streams against the library's own answers */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/id.h"
#include "base/wire.h"
#include "lib/ctlstore.h"
#include "lib/tap.h"

#define ABSENT	UINT64_MAX
#define ASKED	3000u
#define WAITING 65536u

/* The number of values of key i; ABSENT for some. */
static const uint64_t sizes[] = { 0,   1,     2,     3,	    7,	   8,	 9,    ABSENT, 100,
				  513, 1,     2,     1,	    1023,  1024, 1025, ABSENT, 5000,
				  1,   65535, 65536, 65537, 70001, 2,	 0 };
#define KEYS (sizeof(sizes) / sizeof(sizes[0]))

static uint64_t seed;

static struct cidstore_id key_of(size_t i)
{
	return (struct cidstore_id){ i * 0x9E3779B97F4A7C15, UINT64_MAX - i };
}

static struct cidstore_id value_of(size_t i, uint64_t j)
{
	return (struct cidstore_id){ j * 0xBF58476D1CE4E5B9, i };
}

static void fill(struct fixture *f)
{
	struct cidstore_pair *p = calloc(70001, sizeof(*p));

	if (p == NULL)
		tap_bail("out of memory");
	for (size_t i = 0; i < KEYS; i++) {
		struct cidstore_id key = key_of(i);

		if (sizes[i] == ABSENT)
			continue;
		for (uint64_t j = 0; j < sizes[i]; j++)
			p[j] = (struct cidstore_pair){ key, value_of(i, j) };
		if (cidstore_make_keys(f->store, &key, 1, NULL) != 0 ||
		    cidstore_insert(f->store, p, sizes[i], NULL) != 0)
			tap_bail("insert");
	}
	free(p);
}

static int compare(const void *a, const void *b)
{
	return cid_id_cmp(*(const struct cidstore_id *)a, *(const struct cidstore_id *)b);
}

/* Whether these are the values of key i, in any order. Sorts. */
static bool is_set(size_t i, struct cidstore_id *v, uint64_t n)
{
	struct cidstore_id *want = calloc(n + 1, sizeof(*want));
	bool equal = n == sizes[i];

	if (want == NULL)
		tap_bail("out of memory");
	for (uint64_t j = 0; j < n; j++)
		want[j] = value_of(i, j);
	qsort(want, n, sizeof(*want), compare);
	qsort(v, n, sizeof(*v), compare);
	for (uint64_t j = 0; j < n && equal; j++)
		equal = cid_id_eq(v[j], want[j]);
	free(want);
	return equal;
}

/* Takes one answer off the stream's bytes; false where it is not key i's. */
static bool take_answer(const uint8_t **p, size_t *n, size_t i)
{
	struct cidstore_id *v;
	uint64_t count;
	bool held;

	if (*n < 8)
		return false;
	memcpy(&count, *p, 8);
	count = le64toh(count);
	*p += 8;
	*n -= 8;
	if (count == ABSENT || sizes[i] == ABSENT)
		return count == sizes[i];
	if (count > *n / CID_WIRE_ID)
		return false;
	v = calloc(count + 1, sizeof(*v));
	if (v == NULL)
		tap_bail("out of memory");
	for (uint64_t j = 0; j < count; j++)
		v[j] = cid_wire_get_id(*p + j * CID_WIRE_ID);
	held = is_set(i, v, count);
	free(v);
	*p += count * CID_WIRE_ID;
	*n -= count * CID_WIRE_ID;
	return held;
}

/* Mostly the smaller ones. */
static size_t some_key(uint64_t *random)
{
	size_t i = random_below(random, KEYS);

	return sizes[i] != ABSENT && sizes[i] > 5000 && random_below(random, 200) ? 1 : i;
}

static void binary(struct fixture *f, size_t write_most, size_t read_most)
{
	static uint8_t bytes[ASKED * CID_WIRE_ID];
	static size_t asked[ASKED];
	uint64_t random = seed + read_most;
	struct cid_ctl_file *file = must_open(f, "lookup", O_RDWR);
	uint8_t *answer;
	const uint8_t *p;
	bool held = true;
	size_t n;
	int error;

	for (size_t i = 0; i < ASKED; i++) {
		asked[i] = i < KEYS ? i : some_key(&random);
		cid_wire_put_id(bytes + i * CID_WIRE_ID, key_of(asked[i]));
	}
	tap_int(feed(file, bytes, sizeof(bytes), write_most, &random), 0,
		"keys in pieces of up to %zu, answers of up to %zu", write_most, read_most);
	answer = drain(file, read_most, &random, &n, &error);
	tap_int(error, 0, "are answered");
	p = answer;
	for (size_t i = 0; i < ASKED && held; i++) {
		held = take_answer(&p, &n, asked[i]);
		if (!held)
			tap_note("answer %zu, key %zu of %llu values", i, asked[i],
				 (unsigned long long)sizes[asked[i]]);
	}
	tap_ok(held && n == 0, "in order and in full");
	free(answer);
	cid_control_release(file);
}

/* One question, one answer, many times, as a client has it that reads exactly
 * what it is told to expect. */
static void dialogue(struct fixture *f)
{
	struct cid_ctl_file *file = must_open(f, "lookup", O_RDWR);
	static uint8_t bytes[8 + 70001 * CID_WIRE_ID];
	bool held = true;

	for (size_t i = 0; i < KEYS && held; i++) {
		uint8_t key[CID_WIRE_ID];
		const uint8_t *p = bytes;
		size_t want = sizes[i] == ABSENT ? 0 : sizes[i] * CID_WIRE_ID, n = 8 + want;

		cid_wire_put_id(key, key_of(i));
		held = cid_control_write(file, key, sizeof(key), 0) == sizeof(key) &&
		       cid_control_read(file, bytes, 8, 0) == 8;
		held = held && cid_control_read(file, bytes + 8, want, 0) == (ssize_t)want;
		held = held && cid_control_read(file, bytes + 8, 0, 0) == 0;
		held = held && take_answer(&p, &n, i) && n == 0;
	}
	tap_ok(held, "each answer is read to its exact end");
	tap_int(cid_control_read(file, bytes, sizeof(bytes), 0), 0, "and then there is no more");
	cid_control_release(file);
}

static void bounds(struct fixture *f)
{
	static uint8_t bytes[(WAITING + 100) * CID_WIRE_ID], answer[1 << 20];
	struct cid_ctl_file *file = must_open(f, "lookup", O_RDWR);
	size_t got = 0;
	ssize_t n;

	for (size_t i = 0; i < WAITING + 100; i++)
		cid_wire_put_id(bytes + i * CID_WIRE_ID, key_of(1));
	tap_int(cid_control_read(file, answer, sizeof(answer), 0), 0, "nothing asked, no answer");
	tap_int(cid_control_write(file, bytes, sizeof(bytes), 0), WAITING * CID_WIRE_ID,
		"as many keys are taken as may wait");
	tap_int(cid_control_write(file, bytes, CID_WIRE_ID, 0), -EAGAIN, "and no more");
	tap_int(cid_control_read(file, answer, 24, 0), 24, "until an answer is read");
	tap_int(cid_control_write(file, bytes, 100, 0), 100, "then there is room");
	tap_int(cid_control_flush(file), -EINVAL, "a torn key is told at a close");
	tap_int(cid_control_write(file, bytes + 4, 12, 0), 12, "and completed by the next write");
	tap_int(cid_control_flush(file), 0, "and all is well");
	while ((n = cid_control_read(file, answer, sizeof(answer), 0)) > 0)
		got += (size_t)n;
	tap_int(got, (WAITING + 7 - 1) * 24, "every key is answered");
	cid_control_release(file);
}

/* A set that changes while it is read has as many values as were announced. */
static void changes(struct fixture *f)
{
	struct cid_ctl_file *file = must_open(f, "lookup", O_RDWR);
	const size_t big = 22, other = 21;
	struct cidstore_pair *gone = calloc(60000, sizeof(*gone));
	uint8_t key[2 * CID_WIRE_ID], *rest, head[1000];
	uint64_t count, random = seed;
	size_t n;
	int error;

	if (gone == NULL)
		tap_bail("out of memory");
	for (size_t j = 0; j < 60000; j++)
		gone[j] = (struct cidstore_pair){ key_of(big), value_of(big, j) };
	cid_wire_put_id(key, key_of(big));
	cid_wire_put_id(key + CID_WIRE_ID, key_of(other));
	(void)feed(file, key, sizeof(key), 64, &random);
	tap_int(cid_control_read(file, head, sizeof(head), 0), sizeof(head), "a large set begins");
	if (cidstore_delete(f->store, gone, 60000, NULL) != 0)
		tap_bail("delete");
	rest = drain(file, 1 << 16, &random, &n, &error);
	memcpy(&count, head, 8);
	tap_ok(le64toh(count) == 70001 && error == 0 &&
		       n == 8 + 70001 * CID_WIRE_ID - sizeof(head) + 8 + 65537 * CID_WIRE_ID,
	       "it is read to its end as it was, whatever is deleted meanwhile");
	free(rest);
	(void)feed(file, key, CID_WIRE_ID, 64, &random);
	rest = drain(file, 1 << 16, &random, &n, &error);
	memcpy(&count, rest, 8);
	tap_ok(le64toh(count) == 10001 && n == 8 + 10001 * CID_WIRE_ID,
	       "a question after the change is answered after the change");
	free(rest);
	if (cidstore_insert(f->store, gone, 60000, NULL) != 0)
		tap_bail("insert");
	(void)feed(file, key, CID_WIRE_ID, 64, &random);
	tap_int(cid_control_read(file, head, sizeof(head), 0), sizeof(head),
		"the set is a large one again");
	if (cidstore_delete(f->store, gone, 1000, NULL) != 0)
		tap_bail("delete");
	(void)feed(file, key, CID_WIRE_ID, 64, &random);
	rest = drain(file, 1 << 16, &random, &n, &error);
	tap_ok(n == 8 + 70001 * CID_WIRE_ID - sizeof(head) + 8 + 69001 * CID_WIRE_ID,
	       "asked again after a change, before it was read to its end, it is read as it is "
	       "now");
	free(rest);
	if (cidstore_insert(f->store, gone, 1000, NULL) != 0)
		tap_bail("insert");
	free(gone);
	cid_control_release(file);
}

static void text(struct fixture *f, size_t write_most, size_t read_most)
{
	static char lines[ASKED * 34 + 1];
	static size_t asked[ASKED];
	uint64_t random = seed + write_most;
	struct cid_ctl_file *file = must_open(f, "lookup.txt", O_RDWR);
	struct cidstore_id *v = calloc(70001, sizeof(*v));
	bool held = true;
	char *answer, *p, key[33] = "";
	size_t n = 0;
	int error;

	if (v == NULL)
		tap_bail("out of memory");
	for (size_t i = 0; i < ASKED; i++) {
		asked[i] = i < KEYS ? i : some_key(&random);
		cidstore_id_format(key_of(asked[i]), lines + n);
		n += 32;
		lines[n++] = '\n';
		if (random_below(&random, 50) == 0)
			lines[n++] = '\n';
	}
	tap_int(feed(file, lines, n, write_most, &random), 0,
		"lines in pieces of up to %zu, answers of up to %zu", write_most, read_most);
	tap_int(cid_control_flush(file), 0, "are whole");
	answer = (char *)drain(file, read_most, &random, &n, &error);
	answer[n] = '\0';
	p = answer;
	for (size_t i = 0; i < ASKED && held; i++) {
		size_t k = asked[i], got = 0;

		cidstore_id_format(key_of(k), key);
		if (sizes[k] == 0 || sizes[k] == ABSENT) {
			held = strncmp(p, key, 32) == 0 &&
			       strncmp(p + 32, sizes[k] ? " !\n" : " -\n", 3) == 0;
			p += 35;
			continue;
		}
		for (; got < sizes[k] && held; got++, p += 66)
			held = p + 66 <= answer + n && strncmp(p, key, 32) == 0 && p[32] == ' ' &&
			       cidstore_id_parse(p + 33, 32, &v[got]) == 0 && p[65] == '\n';
		held = held && is_set(k, v, got);
	}
	tap_ok(held && p == answer + n, "answered line by line");
	free(answer);
	free(v);
	cid_control_release(file);
}

static void text_errors(struct fixture *f)
{
	static char many[4 << 20];
	struct cid_ctl_file *file = must_open(f, "lookup.txt", O_RDWR);
	char line[64], want[256], bytes[256], k[33] = "";
	uint64_t random = seed, lines = 0;
	uint8_t *rest;
	ssize_t n;
	size_t got;
	int error;

	cidstore_id_format(key_of(0), k);
	(void)snprintf(line, sizeof(line), "%s\n", k);
	(void)snprintf(bytes, sizeof(bytes), "%sxyz\n%s", line, line);
	tap_int(cid_control_write(file, bytes, strlen(bytes), 0), -EINVAL, "a bad line is refused");
	memset(want, 'a', 100);
	want[100] = '\n';
	tap_int(cid_control_write(file, want, 101, 0), -EINVAL, "so is a long one");
	(void)snprintf(want, sizeof(want), "%s -\n%s -\n", k, k);
	n = cid_control_read(file, bytes, sizeof(bytes), 0);
	tap_ok(n == (ssize_t)strlen(want) && memcmp(bytes, want, (size_t)n) == 0,
	       "the others of that write are answered");
	tap_int(cid_control_write(file, "12", 2, 0), 2, "a begun line");
	tap_int(cid_control_flush(file), -EINVAL, "is told at a close");
	tap_int(cid_control_write(file, "\n", 1, 0), -EINVAL, "and refused when it ends");
	tap_int(cid_control_flush(file), 0, "and then forgotten");
	for (size_t i = 0; i + 33 <= sizeof(many); i += 33)
		memcpy(many + i, line, 33);
	n = cid_control_write(file, many, sizeof(many), 0);
	tap_ok(n > 0 && n < WAITING * 33 && n > (WAITING - 10) * 33,
	       "as many lines are taken as may wait");
	tap_int(cid_control_write(file, many, sizeof(many) / 2, 0), -EAGAIN, "and no more");
	rest = drain(file, 1 << 20, &random, &got, &error);
	for (size_t i = 0; i < got; i++)
		lines += rest[i] == '\n';
	tap_int(lines, n / 33, "all of them are answered");
	free(rest);
	cid_control_release(file);
}

int main(void)
{
	struct fixture f;

	seed = random_seed();
	fixture_init(&f);
	fill(&f);
	binary(&f, 1, 1 << 20);
	binary(&f, 1 << 20, 1 << 20);
	binary(&f, 100, 7);
	binary(&f, 5000, 70);
	binary(&f, 64, 4096);
	dialogue(&f);
	bounds(&f);
	text(&f, 1, 1 << 20);
	text(&f, 1 << 20, 50);
	text(&f, 40, 5000);
	text_errors(&f);
	changes(&f);
	cidstore_checkpoint(f.store);
	binary(&f, 64, 4096);
	fixture_reopen(&f, CIDSTORE_RDONLY);
	binary(&f, 64, 4096);
	fixture_reopen(&f, 0);
	fixture_fini(&f);
	return tap_done();
}
