/* SPDX-License-Identifier: BSD-2-Clause */
/* probe.c - which runs may know which keys, by their tags */
#include <string.h>

#include "store/view.h"

/* Misses of memory that one core has under way at once, about. */
enum { AHEAD = 32 };

struct pair {
	const struct cid_part *run;
	const struct cid_part_index *x;
	uint32_t nrun, nkey;
};

static void look(const struct pair *p, unsigned n, const uint64_t *hash,
		 uint64_t (*maybe)[CID_RUN_WORDS])
{
	for (unsigned i = 0; i < n; i++) {
		struct cid_index f = cid_part_fences(p[i].run, p[i].x);

		cid_index_prefetch_bin(&f, hash[p[i].nkey]);
	}
	for (unsigned i = 0; i < n; i++) {
		struct cid_index f = cid_part_fences(p[i].run, p[i].x);

		cid_index_prefetch_tags(&f, hash[p[i].nkey]);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct cid_part *r = p[i].run;
		uint32_t at = cid_part_candidate(r, p[i].x, hash[p[i].nkey], 0);

		if (at == r->entries)
			continue;
		maybe[p[i].nkey][p[i].nrun / 64] |= 1ull << p[i].nrun % 64;
		__builtin_prefetch(&r->entry[at]);
	}
}

int cid_probe(struct cid_tables *t, const struct cid_view *v, uint32_t nruns, const uint64_t *hash,
	      const uint64_t *newest, unsigned n, uint64_t (*maybe)[CID_RUN_WORDS])
{
	struct pair p[AHEAD];
	unsigned k = 0;

	memset(maybe, 0, n * sizeof(*maybe));
	for (uint32_t i = nruns; i-- > 0;) {
		struct cid_part *r = v->run[i];
		struct cid_part_index *x;
		bool wanted = false;
		int rc = cid_part_index(t->parts, r, &x);

		if (rc)
			return rc;
		for (unsigned j = 0; j < n; j++) {
			if (r->newest_run <= newest[j])
				continue;
			wanted = true;
			p[k++] = (struct pair){ r, x, i, j };
			if (k == AHEAD) {
				look(p, k, hash, maybe);
				k = 0;
			}
		}
		if (!wanted)
			break; /* and so are all before it */
	}
	look(p, k, hash, maybe);
	return 0;
}
