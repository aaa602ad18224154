#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause

load helper

setup() {
	cid_setup
	cid_mount
	K1=$(cid_id 1) K2=$(cid_id 2) V1=$(cid_id 11) V2=$(cid_id 12) NEW=$(cid_id 99)
	mkdir "$MNT/$K1" "$MNT/$K2"
	touch "$MNT/$K1/$V1" "$MNT/$K2/$V2"
}

teardown() {
	cid_teardown
}

call() {
	python3 "$top_srcdir/tests/lib/syscall.py" "$@"
}

expect() {
	local want=$1

	shift
	run call "$@"
	assert_output "$want"
}

@test "a value moves to another key and another name" {
	expect 0 rename "$MNT/$K1/$V1" "$MNT/$K2/$NEW"
	expect ENOENT stat "$MNT/$K1/$V1"
	expect 0 stat "$MNT/$K2/$NEW"
	run stat -c %s "$MNT/$K1" "$MNT/$K2"
	assert_output "0
2"
	cid_remount
	expect ENOENT stat "$MNT/$K1/$V1"
	expect 0 stat "$MNT/$K2/$NEW"
}

@test "an existing target is simply the target" {
	expect 0 rename "$MNT/$K1/$V1" "$MNT/$K2/$V2"
	expect ENOENT stat "$MNT/$K1/$V1"
	run ls "$MNT/$K2"
	assert_output "$V2"
	run stat -c %s "$MNT/$K2"
	assert_output 1
}

@test "onto itself nothing happens" {
	expect 0 rename "$MNT/$K1/$V1" "$MNT/$K1/$V1"
	expect 0 stat "$MNT/$K1/$V1"
}

@test "within a key" {
	expect 0 rename "$MNT/$K1/$V1" "$MNT/$K1/$NEW"
	run ls "$MNT/$K1"
	assert_output "$NEW"
}

@test "NOREPLACE and EXCHANGE" {
	expect EEXIST renameat2 "$MNT/$K1/$V1" "$MNT/$K2/$V2" NOREPLACE
	expect 0 renameat2 "$MNT/$K1/$V1" "$MNT/$K2/$NEW" NOREPLACE
	expect EINVAL renameat2 "$MNT/$K2/$NEW" "$MNT/$K2/$V2" EXCHANGE
	expect EINVAL renameat2 "$MNT/$K1" "$MNT/$K2" EXCHANGE
	expect EINVAL renameat2 "$MNT/$K2/$NEW" "$MNT/$K1/$NEW" WHITEOUT
	expect EEXIST renameat2 "$MNT/$K2/$NEW" "$MNT/$K2/$NEW" NOREPLACE
	expect EEXIST renameat2 "$MNT/$K1" "$MNT/$K2" NOREPLACE
	expect EXDEV renameat2 "$MNT/$K1" "$MNT/$NEW" NOREPLACE
	expect ENOENT rename "$MNT/$K1/$V1" "$MNT/$K1/$NEW"
}

@test "from or into what does not exist" {
	expect ENOENT rename "$MNT/$NEW/$V1" "$MNT/$K1/$V1"
	expect ENOENT rename "$MNT/$K1/$NEW" "$MNT/$K2/$NEW"
	expect ENOENT rename "$MNT/$K1/$V1" "$MNT/$NEW/$V1"
	expect ENOENT rename "$MNT/$NEW" "$MNT/$K1"
	expect 0 stat "$MNT/$K1/$V1"
}

@test "the inode number follows the name" {
	run stat -c %i "$MNT/$K2/$V2"
	want=$output
	mv "$MNT/$K2/$V2" "$MNT/$K1/$V2"
	mv "$MNT/$K1/$V2" "$MNT/$K2/$V2"
	cid_remount
	run stat -c %i "$MNT/$K2/$V2"
	assert_output "$want"
}

@test "what was renamed is what it says: remove and make again" {
	mv "$MNT/$K1/$V1" "$MNT/$K2/$NEW"
	touch "$MNT/$K1/$V1"
	rm "$MNT/$K2/$NEW"
	expect 0 stat "$MNT/$K1/$V1"
	expect ENOENT stat "$MNT/$K2/$NEW"
	mv "$MNT/$K1/$V1" "$MNT/$K2/$V2"
	rm "$MNT/$K2/$V2"
	expect ENOENT stat "$MNT/$K2/$V2"
}

@test "a key is EXDEV, and mv copies and deletes" {
	expect EXDEV rename "$MNT/$K1" "$MNT/$NEW"
	mv "$MNT/$K1" "$MNT/$NEW"
	expect ENOENT stat "$MNT/$K1"
	run ls "$MNT/$NEW"
	assert_output "$V1"
}

@test "a value cannot become a key, nor a key a value" {
	expect EPERM rename "$MNT/$K1/$V1" "$MNT/$NEW"
	expect EXDEV rename "$MNT/$K1" "$MNT/$K2/$NEW"
	expect EISDIR rename "$MNT/$K1/$V1" "$MNT/$K2"
	expect ENOTDIR rename "$MNT/$K1" "$MNT/$K2/$V2"
}
