/* SPDX-License-Identifier: BSD-2-Clause */
/* data.c - Zipf's law by Walker's alias method: one table look-up a draw */
#include "bench/data.h"

#include <math.h>
#include <stdlib.h>

struct cid_zipf {
	struct cid_data data;
	uint64_t keys;
	float *part;	 /* of a column that is its own key's */
	uint32_t *other; /* whose the rest is */
};

struct columns {
	double *weight;
	uint32_t *small, *large;
	uint64_t smalls, larges;
};

static void fill(struct cid_zipf *z, struct columns *c, double exponent)
{
	double sum = 0;

	for (uint64_t i = 0; i < z->keys; i++)
		sum += c->weight[i] = pow((double)(i + 1), -exponent);
	for (uint64_t i = 0; i < z->keys; i++) {
		c->weight[i] *= (double)z->keys / sum;
		if (c->weight[i] < 1)
			c->small[c->smalls++] = (uint32_t)i;
		else
			c->large[c->larges++] = (uint32_t)i;
		z->part[i] = 1;
		z->other[i] = (uint32_t)i;
	}
	while (c->smalls > 0 && c->larges > 0) {
		uint32_t a = c->small[--c->smalls], b = c->large[c->larges - 1];

		z->part[a] = (float)c->weight[a];
		z->other[a] = b;
		c->weight[b] -= 1 - c->weight[a];
		if (c->weight[b] < 1) {
			c->larges--;
			c->small[c->smalls++] = b;
		}
	}
}

struct cid_zipf *cid_zipf_new(const struct cid_data *d, uint64_t keys, double exponent)
{
	struct columns c = { 0 };
	struct cid_zipf *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return NULL;
	z->data = *d;
	z->keys = keys;
	z->part = malloc(keys * sizeof(*z->part));
	z->other = malloc(keys * sizeof(*z->other));
	c.weight = malloc(keys * sizeof(*c.weight));
	c.small = malloc(keys * sizeof(*c.small));
	c.large = malloc(keys * sizeof(*c.large));
	if (z->part == NULL || z->other == NULL || c.weight == NULL || c.small == NULL ||
	    c.large == NULL) {
		cid_zipf_free(z);
		z = NULL;
	} else {
		fill(z, &c, exponent);
	}
	free(c.weight);
	free(c.small);
	free(c.large);
	return z;
}

struct cidstore_pair cid_zipf_pair(const struct cid_zipf *z, uint64_t i)
{
	uint64_t r, u, k;

	if (i % 10 == 9) {
		i = cid_mix(i) % i;
		i -= i % 10 == 9;
	}
	r = cid_mix(i ^ z->data.key);
	u = r % z->keys;
	k = (double)(cid_mix(r) >> 11) * 0x1p-53 < (double)z->part[u] ? u : z->other[u];
	return (struct cidstore_pair){ cid_data_key(&z->data, k), cid_data_value(&z->data, k, i) };
}

void cid_zipf_free(struct cid_zipf *z)
{
	if (z == NULL)
		return;
	free(z->part);
	free(z->other);
	free(z);
}
