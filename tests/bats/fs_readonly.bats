#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause

load helper

setup() {
	cid_setup
	cid_mount
	K=$(cid_id 1) V=$(cid_id 2) NEW=$(cid_id 3)
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	cid_umount
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

@test "a read-only mount is read, and EROFS for every change" {
	cid_mount -o ro
	run find "$MNT" -mindepth 1 -printf '%P %s\n'
	assert_output "$K 1
$K/$V 0"
	expect EROFS mkdir "$MNT/$NEW"
	expect EROFS open "$MNT/$K/$NEW" 'O_CREAT|O_WRONLY'
	expect EROFS mknod "$MNT/$K/$NEW"
	expect EROFS unlink "$MNT/$K/$V"
	expect EROFS rmdir "$MNT/$K"
	expect EROFS rename "$MNT/$K/$V" "$MNT/$K/$NEW"
	expect EROFS utime "$MNT/$K"
	expect EROFS chmod "$MNT/$K" 755
	expect EROFS open "$MNT/$K/$V" O_WRONLY
	expect EROFS access "$MNT/$K" W_OK
	expect EROFS open "$CTL/ingest" O_WRONLY
	expect 0 open "$MNT/$K/$V" O_RDONLY
	expect EEXIST mkdir "$MNT/$K"
	run cat "$CTL/stats"
	assert_success
}

@test "a read-only mount beside the writer takes nothing from it" {
	cid_mount
	mkdir "$TMP/ro"
	cid_mount_at "$STORE" "$TMP/ro" -o ro
	run ls "$TMP/ro/$K"
	assert_output "$V"
	mkdir "$MNT/$NEW"
	cid_umount "$TMP/ro"
	cid_mount_at "$STORE" "$TMP/ro" -o ro
	assert_dir_exist "$TMP/ro/$NEW"
	cid_remount
	assert_dir_exist "$MNT/$NEW"
	assert_dir_exist "$TMP/ro/$NEW"
}
