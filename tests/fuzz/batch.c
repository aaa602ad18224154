/* SPDX-License-Identifier: BSD-2-Clause */
/* batch.c - the text of a batch, in pieces */
#include "control/batch_parse.h"
#include "control/lines.h"
#include "fuzz/fuzz.h"

static void check_line(const struct cid_line *line)
{
	static const char *const verb[] = { "", "insert", "delete", "mkkey", "delete" };
	struct cidstore_op op;
	char back[80], k[33] = "", v[33] = "";

	if (line->over || cid_batch_parse(line->text, line->n, &op) != CID_BATCH_OP)
		return;
	fuzz_must(op.verb >= CIDSTORE_OP_INSERT && op.verb <= CIDSTORE_OP_RMKEY, "a verb");
	cidstore_id_format(op.key, k);
	cidstore_id_format(op.value, v);
	(void)snprintf(back, sizeof(back), "%s %s%s%s", verb[op.verb], k,
		       op.verb <= CIDSTORE_OP_DELETE ? " " : "",
		       op.verb <= CIDSTORE_OP_DELETE ? v : "");
	fuzz_must(strlen(back) == line->n && memcmp(back, line->text, line->n) == 0,
		  "an operation is written in one way");
}

/* How many lines there are, however they are cut. */
static size_t lines(const uint8_t *data, size_t n, size_t piece)
{
	struct cid_lines l = { .n = 0 };
	struct cid_line line;
	size_t count = 0;

	while (n > 0) {
		size_t part = n < piece ? n : piece, left = part;
		char *copy = malloc(part); /* of its size: reading on is seen */
		const char *p = copy;

		if (!copy)
			break;
		memcpy(copy, data, part);
		while (cid_lines_next(&l, &p, &left, &line)) {
			check_line(&line);
			count++;
		}
		free(copy);
		data += part;
		n -= part;
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t newlines = 0;

	if (n < 1)
		return 0;
	for (size_t i = 1; i < n; i++)
		newlines += data[i] == '\n';
	fuzz_must(lines(data + 1, n - 1, n) == newlines, "each line comes once");
	fuzz_must(lines(data + 1, n - 1, data[0] % 80 + 1u) == newlines, "in pieces as well");
	return 0;
}
