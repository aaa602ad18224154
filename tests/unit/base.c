/* SPDX-License-Identifier: BSD-2-Clause */
/* base.c - identifiers, checksums and error codes */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/crc32c.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/id.h"
#include "lib/tap.h"

static const char text[] = "9a0364b9e99bb480dd25e1f0284c8555";

static void identifiers(void)
{
	static const char *const bad[] = {
		"", "9a0364b9e99bb480dd25e1f0284c855", "9a0364b9e99bb480dd25e1f0284c85555",
		"9A0364b9e99bb480dd25e1f0284c8555", "9a0364b9e99bb480dd25e1f0284c855g",
		"g a0364b9e99bb480dd25e1f0284c855", "9a0364b9e99bb480/d25e1f0284c8555",
		"9a0364b9e99bb480:d25e1f0284c8555", "9a0364b9e99bb480`d25e1f0284c8555",
	};
	struct cidstore_id id = { 1, 2 }, other;
	uint8_t bytes[16];
	char out[33] = "";

	tap_int(cidstore_id_parse(text, 32, &id), 0, "32 digits are an identifier");
	tap_ok(id.high == 0x9a0364b9e99bb480 && id.low == 0xdd25e1f0284c8555, "high before low");
	cidstore_id_format(id, out);
	tap_str(out, text, "and are written as they were read");
	cidstore_id_to_bytes(id, bytes);
	tap_ok(bytes[0] == 0x9a && bytes[15] == 0x55, "16 bytes, big-endian");
	other = cidstore_id_from_bytes(bytes);
	tap_ok(cid_id_eq(id, other), "and back");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		other = (struct cidstore_id){ 1, 2 };
		tap_ok(cidstore_id_parse(bad[i], strlen(bad[i]), &other) == CIDSTORE_EINVAL &&
			       other.high == 1 && other.low == 2,
		       "\"%s\" is refused and changes nothing", bad[i]);
	}
	tap_ok(cidstore_id_parse("ffffffffffffffffffffffffffffffff", 32, &id) == 0 &&
		       id.high == UINT64_MAX && id.low == UINT64_MAX,
	       "all ones are an identifier");
	tap_ok(cidstore_id_parse("00000000000000000000000000000000", 32, &id) == 0 &&
		       id.high == 0 && id.low == 0,
	       "all zeros are an identifier");
	/* The empty string, as in the xxHash specification. */
	cidstore_id_format(cidstore_id_hash("", 0), out);
	tap_str(out, "99aa06d3014798d86001c324468d497f", "XXH128 as xxhsum prints it");
	tap_ok(cid_id_cmp((struct cidstore_id){ 1, 9 }, (struct cidstore_id){ 2, 0 }) < 0 &&
		       cid_id_cmp((struct cidstore_id){ 2, 1 }, (struct cidstore_id){ 2, 0 }) > 0 &&
		       cid_id_cmp(id, id) == 0,
	       "identifiers are ordered by high, then low");
	tap_ok(cid_hash(id, 1) >> 62 == 0 && cid_hash(id, 1) != cid_hash(id, 2),
	       "the order's hash has 62 bits and a seed");
}

static void checksums(void)
{
	uint8_t zeros[32] = { 0 };

	/* RFC 3720, B.4 */
	tap_ok(cid_crc32c("123456789", 9) == 0xe3069283, "CRC-32C of the check string");
	tap_ok(cid_crc32c(zeros, 32) == 0x8a9136aa, "CRC-32C of 32 zeros");
}

static void errors(void)
{
	struct cidstore_error err;
	bool all = true;
	char tail[8];

	for (int code = 0; code >= CIDSTORE_EEXPIRED; code--)
		all = all && strcmp(cidstore_strerror(code), "unknown error") != 0;
	tap_ok(all, "every code has its text");
	tap_str(cidstore_strerror(1), "unknown error", "and what is no code has one too");
	tap_int(cidstore_errno(CIDSTORE_ENOTEMPTY), ENOTEMPTY, "codes translate to errno");
	tap_int(cidstore_errno(CIDSTORE_ECORRUPT), EIO, "damage is EIO to a system call");
	tap_int(cidstore_errno(-12345), EIO, "so is what is no code");
	tap_int(cid_err_from_errno(-ENOSPC), CIDSTORE_ENOSPC, "errno translates to codes");
	tap_int(cid_err_set(&err, CIDSTORE_EIO, "block %d", 7), CIDSTORE_EIO, "setting returns");
	tap_int(cid_err_prefix(&err, "opening %s", "x"), CIDSTORE_EIO, "a prefix keeps the code");
	tap_str(err.message, "opening x: block 7", "and stands before the sentence");
	memset(tail, 'y', sizeof(tail));
	for (int i = 0; i < 200; i++)
		(void)cid_err_prefix(&err, "%.8s", tail);
	tap_ok(strlen(err.message) == sizeof(err.message) - 1, "a long message is cut");
	tap_int(cid_err_set(NULL, CIDSTORE_EIO, "x"), CIDSTORE_EIO, "no context is fine");
}

int main(void)
{
	identifiers();
	checksums();
	errors();
	return tap_done();
}
