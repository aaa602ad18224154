# SPDX-License-Identifier: BSD-2-Clause
#
# fsck.cidstore on stores that are damaged

load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkfs.cidstore -q --bucket-size 8192 s
	for k in $(seq 1 40); do
		echo "$(cid_id "$k") $(cid_id $((k + 1000)))"
	done > pairs
	cidctl load s pairs
	cidctl compact s
}

# The byte at which the entry of a key lies in buckets-0.h5: little-endian
# words, the last of its places.
entry_at() {
	python3 - "$1" <<-'END'
		import sys
		key = bytes.fromhex(sys.argv[1])
		data = open("s/buckets-0.h5", "rb").read(1 << 22)
		print(data.rindex(key[7::-1] + key[:7:-1]))
	END
}

# OFFSET XOR..
spoil() {
	python3 - "$@" <<-'END'
		import sys
		at, xor = int(sys.argv[1]), [int(x) for x in sys.argv[2:]]
		f = open("s/buckets-0.h5", "r+b")
		f.seek(at)
		old = f.read(len(xor))
		f.seek(at)
		f.write(bytes(a ^ b for a, b in zip(old, xor)))
		f.close()
	END
}

@test "flipped bits: found, corrected without loss, gone" {
	spoil "$(entry_at "$(cid_id 7)")" 0 4 0 64
	run fsck.cidstore s
	assert_failure 4
	assert_line --partial "can be corrected"
	assert_output --partial "fsck.cidstore -p"
	run fsck.cidstore -p s
	assert_failure 1
	assert_line --partial "errors corrected"
	run fsck.cidstore s
	assert_success
	run cidctl get s "$(cid_id 7)"
	assert_output "$(cid_id 1007)"
}

@test "an entry beyond correction: -p keeps it, -y reports it and saves the rest" {
	spoil "$(entry_at "$(cid_id 7)")" 1 2 3 4 5 6 7 8 9 10 11
	run fsck.cidstore -p s
	assert_failure 4
	run cidctl get s "$(cid_id 7)"
	assert_failure
	run fsck.cidstore -y s
	assert_failure 1
	assert_output --partial "1 losses; s.lost"
	run cat s.lost
	assert_line --index 0 --regexp '^lost entry [0-9]+ of part [0-9]+: a key and its values$'
	assert_line --regexp "^maybe [0-9a-f]{32} $(cid_id 1007)\$"
	run fsck.cidstore s
	assert_success
	for k in 1 6 8 40; do
		run cidctl get s "$(cid_id "$k")"
		assert_output "$(cid_id $((k + 1000)))"
	done
}

@test "--report names the file, and a second one is numbered" {
	spoil "$(entry_at "$(cid_id 7)")" 1 2 3 4 5 6 7 8 9 10 11
	echo mine > r.txt
	run fsck.cidstore -y --report r.txt s
	assert_failure 1
	run cat r.txt
	assert_output mine
	run grep -c ^lost r.txt.1
	assert_output 1
	run fsck.cidstore -p --report r.txt s
	assert_failure 16
}

@test "a missing file is made anew; what it held is lost" {
	rm s/deletions-0.h5
	run fsck.cidstore -n s
	assert_failure 4
	run fsck.cidstore -p s
	assert_failure 1
	run fsck.cidstore s
	assert_success
	rm s/values-0.h5 s/wal-0.h5
	run fsck.cidstore -y s
	assert_failure 1
	run fsck.cidstore s
	assert_success
	run cidctl get s "$(cid_id 39)"
	assert_output "$(cid_id 1039)"
}

@test "all root copies gone: nothing is touched" {
	dd if=/dev/urandom of=s/main.h5 bs=4096 seek=16 count=4 conv=notrunc status=none
	sha256sum s/* > before
	run fsck.cidstore -y s
	assert_failure 4
	assert_output --partial "none of the four root copies is valid"
	sha256sum -c --quiet before
}
