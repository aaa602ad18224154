/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/batch_parse.h"

#include <stdbool.h>
#include <string.h>
#include "base/id.h"

#define WORD 7u /* "insert " and "delete " */

static bool is_word(const char *line, size_t n, const char *word)
{
	size_t len = strlen(word);

	return n >= len && memcmp(line, word, len) == 0;
}

static enum cid_batch_line operation(enum cidstore_verb verb, const char *args, size_t n,
				     struct cidstore_op *out)
{
	struct cidstore_op op = { .verb = verb };
	bool two = verb == CIDSTORE_OP_INSERT || verb == CIDSTORE_OP_DELETE;

	if (n != (two ? 2 * CID_ID_TEXT + 1 : CID_ID_TEXT) ||
	    cidstore_id_parse(args, CID_ID_TEXT, &op.key) != 0)
		return CID_BATCH_BAD;
	if (two && (args[CID_ID_TEXT] != ' ' ||
		    cidstore_id_parse(args + CID_ID_TEXT + 1, CID_ID_TEXT, &op.value) != 0))
		return CID_BATCH_BAD;
	*out = op;
	return CID_BATCH_OP;
}

enum cid_batch_line cid_batch_parse(const char *line, size_t n, struct cidstore_op *out)
{
	if (n == 0)
		return CID_BATCH_EMPTY;
	if (is_word(line, n, "insert "))
		return operation(CIDSTORE_OP_INSERT, line + WORD, n - WORD, out);
	if (is_word(line, n, "delete "))
		return operation(n == WORD + CID_ID_TEXT ? CIDSTORE_OP_RMKEY : CIDSTORE_OP_DELETE,
				 line + WORD, n - WORD, out);
	if (is_word(line, n, "mkkey "))
		return operation(CIDSTORE_OP_MKKEY, line + WORD - 1, n - (WORD - 1), out);
	if (n == strlen("commit") && is_word(line, n, "commit"))
		return CID_BATCH_COMMIT;
	return CID_BATCH_BAD;
}
