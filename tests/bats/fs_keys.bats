#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Keys: directories of the root.

load helper

setup() {
	cid_setup
	cid_mount
	K=$(cid_id 1) V=$(cid_id 2)
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

@test "mkdir makes an empty key, once" {
	expect 0 mkdir "$MNT/$K"
	expect EEXIST mkdir "$MNT/$K"
	assert_dir_exist "$MNT/$K"
	run ls -A "$MNT/$K"
	assert_output ""
}

@test "an empty key is there after a remount" {
	mkdir "$MNT/$K"
	cid_remount
	assert_dir_exist "$MNT/$K"
	expect EEXIST mkdir "$MNT/$K"
	expect 0 rmdir "$MNT/$K"
	cid_remount
	expect ENOENT stat "$MNT/$K"
}

@test "rmdir takes empty keys only" {
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	expect ENOTEMPTY rmdir "$MNT/$K"
	rm "$MNT/$K/$V"
	expect 0 rmdir "$MNT/$K"
	expect ENOENT rmdir "$MNT/$K"
}

@test "rmdir of a value is ENOTDIR, unlink of a key EISDIR" {
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	expect ENOTDIR rmdir "$MNT/$K/$V"
	expect EISDIR unlink "$MNT/$K"
}

@test "a key keeps its place when its last value goes" {
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	rm "$MNT/$K/$V"
	assert_dir_exist "$MNT/$K"
	cid_remount
	assert_dir_exist "$MNT/$K"
}

@test "a key that was removed and made again is a new directory" {
	mkdir "$MNT/$K"
	cd "$MNT/$K"
	rmdir "$MNT/$K"
	mkdir "$MNT/$K"
	run touch "$V"
	assert_failure
	touch "$MNT/$K/$V"
	assert_file_exist "$MNT/$K/$V"
	cd "$TMP"
}

@test "a working directory that was removed has no links and no names" {
	mkdir "$MNT/$K"
	cd "$MNT/$K"
	rmdir "$MNT/$K"
	run stat -c %h .
	assert_output 0
	run ls -A .
	assert_output ""
	cd "$TMP"
}

@test "rm -r takes a key with many values" {
	mkdir "$MNT/$K"
	(cd "$MNT/$K" && cid_ids 1 3000 | xargs touch)
	run stat -c %s "$MNT/$K"
	assert_output 3000
	rm -r "${MNT:?}/$K"
	expect ENOENT stat "$MNT/$K"
}

@test "rm -r takes two thousand keys" {
	(cd "$MNT" && cid_ids 1 2000 | xargs mkdir && cid_ids 1 2000 | sed "s|\$|/$V|" | xargs touch)
	run sh -c "ls '$MNT' | wc -l"
	assert_output 2000
	rm -r "${MNT:?}"/*
	run ls -A "$MNT"
	assert_output ""
}
