/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/debug.h"

#include <errno.h>
#include <string.h>
#include "control/number.h"

/* A bucket changes between the calls: the length is asked for again. */
#define TRIES	    8
#define FIRST_BYTES 4096u

struct subject {
	bool is_key;
	uint64_t bucket;
	struct cidstore_id key;
};

static long describe(struct cidstore *s, const struct subject *what, char *buf, size_t cap)
{
	return what->is_key ? cid_store_describe_key(s, what->key, buf, cap)
			    : cid_store_describe_bucket(s, what->bucket, buf, cap);
}

static int show(struct cidstore *s, const struct subject *what, struct cid_text *out)
{
	size_t cap = FIRST_BYTES;

	for (int i = 0; i < TRIES; i++) {
		long len;

		if (!cid_text_reserve(out, cap))
			return -ENOMEM;
		len = describe(s, what, out->p + out->n, cap);
		if (len < 0)
			return cid_ctl_errno((int)len);
		/* A terminator may have been written behind the text. */
		if ((size_t)len < cap) {
			out->n += (size_t)len;
			if (len > 0 && out->p[out->n - 1] != '\n')
				cid_text_printf(out, "\n");
			return 0;
		}
		cap = (size_t)len + FIRST_BYTES;
	}
	return -EAGAIN;
}

int cid_show_bucket(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		    struct cid_text *out)
{
	struct subject what = { .is_key = false };

	(void)node;
	if (!cid_number_parse(name, strlen(name), &what.bucket))
		return -ENOENT;
	return show(c->store, &what, out);
}

int cid_show_key(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		 struct cid_text *out)
{
	struct subject what = { .is_key = true };

	(void)node;
	if (cidstore_id_parse(name, strlen(name), &what.key) != 0)
		return -ENOENT;
	return show(c->store, &what, out);
}
