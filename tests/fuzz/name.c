/* SPDX-License-Identifier: BSD-2-Clause */
/* name.c - names as the kernel hands them over */
#include "cidstore/cidstore.h"
#include "fusefs/name.h"
#include "fuzz/fuzz.h"

static bool is_id(const char *name, size_t n)
{
	return n == 32 && strspn(name, "0123456789abcdef") == 32;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum cid_node_kind kind[] = { CID_NODE_ROOT, CID_NODE_KEY, CID_NODE_VALUE,
						   CID_NODE_CTL };
	char *name = malloc(n + 1), back[32];
	struct cidstore_id id;
	size_t len;

	if (!name)
		return 0;
	memcpy(name, data, n);
	name[n] = '\0';
	len = strlen(name);
	for (int i = 0; i < 4; i++) {
		struct cid_node dir = { .kind = kind[i] };
		enum cid_name_kind k = cid_name_classify(&dir, name, &id);

		fuzz_must((k == CID_NAME_TOO_LONG) == (len > 32), "what is too long is said to be");
		if (len > 32)
			continue;
		fuzz_must((k == CID_NAME_ID) == (is_id(name, len) && kind[i] != CID_NODE_CTL),
			  "32 lowercase digits are an identifier");
		fuzz_must((k == CID_NAME_CTL) == (kind[i] == CID_NODE_ROOT &&
						  strcmp(name, ".cidstore") == 0),
			  "the control tree has one name");
		if (k == CID_NAME_ID) {
			cidstore_id_format(id, back);
			fuzz_must(memcmp(back, name, 32) == 0, "an identifier has one name");
		}
	}
	/* With bytes behind a terminator, as the library is handed them. */
	fuzz_must((cidstore_id_parse((const char *)data, n, &id) == 0) ==
			  (n == 32 && is_id(name, len)),
		  "the library sees the same");
	free(name);
	return 0;
}
