/* SPDX-License-Identifier: BSD-2-Clause */
#include "hash/values.h"

size_t cid_values_bound(const struct cidstore_id *v, size_t n, uint64_t seed, uint64_t hash,
			struct cidstore_id id)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cid_value_cmp(cid_hash(v[mid], seed), v[mid], hash, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool cid_values_have(const struct cidstore_id *v, size_t n, uint64_t seed, uint64_t hash,
		     struct cidstore_id id)
{
	if (n <= 16) {
		for (size_t i = 0; i < n; i++)
			if (cid_id_eq(v[i], id))
				return true;
		return false;
	}
	size_t i = cid_values_bound(v, n, seed, hash, id);

	return i < n && cid_id_eq(v[i], id);
}

size_t cid_node_child(const struct cid_node_ref *r, size_t n, uint64_t hash)
{
	size_t lo = 0, hi = n;

	/* The last child whose first is not above hash; the first child also
	 * takes what lies below its own first. */
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (r[mid].first <= hash)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

size_t cid_block_bytes(uint32_t level, uint32_t children)
{
	if (level >= CID_TREE_LEVELS || children == 0)
		return 0;
	if (level == 0)
		return children <= CID_LEAF_MAX ? (size_t)children * 16 : 0;
	return children <= CID_NODE_MAX ? (size_t)children * sizeof(struct cid_node_ref) : 0;
}
