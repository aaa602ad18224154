/* SPDX-License-Identifier: BSD-2-Clause */
#include "h5/seal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"
#include "base/hash.h"

#define SEAL_VERSION 1
#define TAIL_MAX     (1u << 20)

static const uint8_t magic[8] = "CIDSEAL\n";

struct seal {
	uint8_t magic[8];
	uint32_t version;
	uint32_t kind;
	uint32_t number;
	uint32_t tail_len;
	uint64_t data_len;
	uint64_t uuid[2];
	struct cid_sum sum;
};
static_assert(sizeof(struct seal) == CID_H5_SEAL_BYTES, "as in the table above");

static struct cid_sum sum_of(const uint8_t *head, size_t head_len, const uint8_t *tail,
			     size_t tail_len)
{
	struct cid_sum sum = cid_sum_of(head, head_len - sizeof(sum), 0);

	return tail_len ? cid_sum_of(tail, tail_len, sum.low) : sum;
}

static struct seal seal_for(enum cid_h5_kind kind, const struct cid_h5_params *p)
{
	struct seal s = {
		.version = SEAL_VERSION,
		.kind = (uint32_t)kind,
		.number = kind == CID_H5_MAIN ? 0 : p->segment_number,
		.uuid = { p->uuid_high, p->uuid_low },
	};

	memcpy(s.magic, magic, sizeof(s.magic));
	return s;
}

void cid_h5_seal_put(struct cid_h5_image *im, enum cid_h5_kind kind, const struct cid_h5_params *p)
{
	uint8_t *place = im->head + im->head_len - CID_H5_SEAL_BYTES;
	struct seal s = seal_for(kind, p);

	s.tail_len = (uint32_t)im->tail_len;
	s.data_len = im->data_len;
	memcpy(place, &s, sizeof(s));
	s.sum = sum_of(im->head, im->head_len, im->tail, im->tail_len);
	memcpy(place, &s, sizeof(s));
}

/* 0, also where the file ends before: the rest is then zero. */
static int read_some(int fd, uint8_t *buf, size_t n, uint64_t off)
{
	memset(buf, 0, n);
	while (n) {
		ssize_t got = pread(fd, buf, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cid_err_from_errno(-errno);
		if (got == 0)
			return 0;
		buf += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int judge(const struct seal *s, const struct seal *want, uint64_t size, uint64_t offset,
		 struct cidstore_error *err)
{
	if (s->version != want->version)
		return cid_err_set(err, CIDSTORE_EVERSION, "sealed by a newer version");
	if (memcmp(s->uuid, want->uuid, sizeof(s->uuid)))
		return cid_err_set(err, CIDSTORE_ECORRUPT, "belongs to another store");
	if (s->kind != want->kind || s->number != want->number)
		return cid_err_set(err, CIDSTORE_ECORRUPT,
				   "was made as number %" PRIu32 " of kind %" PRIu32, s->number,
				   s->kind);
	if (s->data_len != want->data_len)
		return cid_err_set(err, CIDSTORE_ECORRUPT,
				   "was made for %" PRIu64 " bytes of data, not %" PRIu64,
				   s->data_len, want->data_len);
	if (size != offset + s->data_len + s->tail_len)
		return cid_err_set(err, CIDSTORE_ECORRUPT, "has %" PRIu64 " bytes, not %" PRIu64,
				   size, offset + s->data_len + s->tail_len);
	return 0;
}

int cid_h5_seal_check(int fd, enum cid_h5_kind kind, const struct cid_h5_params *p,
		      struct cidstore_error *err)
{
	struct seal s, want = seal_for(kind, p);
	uint8_t *head, *tail = NULL;
	struct cid_sum sum;
	uint64_t offset;
	struct stat st;
	int rc;

	rc = cid_h5_layout(kind, p, &offset, &want.data_len, err);
	if (rc)
		return rc;
	if (fstat(fd, &st))
		return cid_err_set(err, cid_err_from_errno(-errno), "fstat: %s", strerror(errno));
	head = malloc(offset);
	if (!head)
		return cid_err_set(err, CIDSTORE_ENOMEM, "no memory for %" PRIu64 " bytes", offset);
	rc = read_some(fd, head, offset, 0);
	memcpy(&s, head + offset - sizeof(s), sizeof(s));
	if (!rc && !memcmp(s.magic, magic, sizeof(magic)) && s.tail_len && s.tail_len <= TAIL_MAX) {
		tail = malloc(s.tail_len);
		rc = tail ? read_some(fd, tail, s.tail_len, offset + want.data_len)
			  : CIDSTORE_ENOMEM;
	}
	if (rc) {
		(void)cid_err_set(err, rc, "cannot be read");
	} else if (memcmp(s.magic, magic, sizeof(magic)) || s.tail_len > TAIL_MAX) {
		rc = cid_err_set(err, CIDSTORE_ECORRUPT, "has no seal");
	} else {
		sum = sum_of(head, offset, tail, s.tail_len);
		rc = cid_sum_eq(sum, s.sum)
			     ? judge(&s, &want, (uint64_t)st.st_size, offset, err)
			     : cid_err_set(err, CIDSTORE_ECORRUPT, "is damaged outside its data");
	}
	free(tail);
	free(head);
	return rc;
}
