#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Values: files of 0 bytes in a key.

load helper

setup() {
	cid_setup
	cid_mount
	K=$(cid_id 1) V=$(cid_id 2) NEW=$(cid_id 3)
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
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

@test "create and mknod add a value" {
	expect 0 open "$MNT/$K/$NEW" 'O_CREAT|O_WRONLY'
	expect 0 mknod "$MNT/$K/$(cid_id 4)"
	run ls "$MNT/$K"
	assert_equal "${#lines[@]}" 3
	cid_remount
	run ls "$MNT/$K"
	assert_equal "${#lines[@]}" 3
}

@test "what exists is EEXIST with O_EXCL and mknod, and opened without" {
	expect EEXIST open "$MNT/$K/$V" 'O_CREAT|O_EXCL|O_WRONLY'
	expect EEXIST mknod "$MNT/$K/$V"
	expect 0 open "$MNT/$K/$V" 'O_CREAT|O_WRONLY'
	expect 0 open "$MNT/$K/$V" 'O_CREAT|O_TRUNC|O_RDWR'
}

@test "ENOENT where the key does not exist" {
	expect ENOENT open "$MNT/$NEW/$V" 'O_CREAT|O_WRONLY'
	expect ENOENT mknod "$MNT/$NEW/$V"
	expect ENOENT unlink "$MNT/$NEW/$V"
}

@test "a value is opened in every way and has 0 bytes" {
	for how in O_RDONLY O_WRONLY O_RDWR 'O_RDWR|O_APPEND' 'O_WRONLY|O_TRUNC'; do
		expect 0 open "$MNT/$K/$V" "$how"
	done
	expect 0 read "$MNT/$K/$V"
	run cat "$MNT/$K/$V"
	assert_success
	assert_output ""
	run stat -c '%s %b %h %F' "$MNT/$K/$V"
	assert_output "0 0 1 regular empty file"
}

@test "nothing is written to a value" {
	expect EPERM write "$MNT/$K/$V" O_WRONLY
	expect EPERM write "$MNT/$K/$V" 'O_RDWR|O_APPEND'
	expect EPERM truncate "$MNT/$K/$V" 1
	expect EPERM ftruncate "$MNT/$K/$V" 100
	expect 0 truncate "$MNT/$K/$V" 0
	expect 0 ftruncate "$MNT/$K/$V" 0
	run stat -c %s "$MNT/$K/$V"
	assert_output 0
	run dd if=/dev/zero of="$MNT/$K/$V" bs=1M count=2 status=none
	assert_failure
	run stat -c %s "$MNT/$K/$V"
	assert_output 0
}

@test "touch works on new and on existing values, with any time" {
	touch "$MNT/$K/$V" "$MNT/$K/$NEW"
	touch -d '2001-01-01' "$MNT/$K/$V"
	touch -m "$MNT/$K"
	expect 0 utime "$MNT/$K/$V"
	expect 0 utime "$MNT/$K"
	expect 0 utime "$MNT"
}

@test "unlink takes a value and leaves the key" {
	expect 0 unlink "$MNT/$K/$V"
	expect ENOENT unlink "$MNT/$K/$V"
	expect ENOENT stat "$MNT/$K/$V"
	assert_dir_exist "$MNT/$K"
}

@test "a value that is open while it is removed can still be used" {
	exec 7<> "$MNT/$K/$V"
	rm "$MNT/$K/$V"
	run stat -L -c '%s %h' /proc/self/fd/7
	assert_output "0 0"
	touch "$MNT/$K/$V"
	run stat -c '%h' "$MNT/$K/$V"
	assert_output 1
	exec 7>&-
}

@test "no system call says ENOSYS" {
	for path in "$MNT" "$MNT/$K" "$MNT/$K/$V" "$CTL" "$CTL/stats"; do
		expect ENOTTY ioctl "$path"
		expect ENOTTY lsattr "$path"
		expect 0 access "$path" F_OK
		expect 0 flock "$path"
	done
	expect 0 lockf "$MNT/$K/$V"
	expect 0 poll "$MNT/$K/$V"
	expect 0 lseek "$MNT/$K/$V" SEEK_SET
	expect ENXIO lseek "$MNT/$K/$V" SEEK_DATA
	expect 0 copy "$MNT/$K/$V" "$MNT/$K/$V"
	expect 0 sendfile "$MNT/$K/$V" "$MNT/$K/$V"
	expect EOPNOTSUPP fallocate "$MNT/$K/$V"
	expect EOPNOTSUPP tmpfile "$MNT/$K"
	expect EINVAL readlink "$MNT/$K/$V"
	expect 0 mmap "$MNT/$K/$V"
	# The second time the kernel answers from memory in some cases.
	expect EOPNOTSUPP fallocate "$MNT/$K/$V"
	expect ENOTTY ioctl "$MNT/$K/$V"
	expect EPERM symlink x "$MNT/$K/$NEW"
}

@test "fsync of a file, of a directory and of the root" {
	for path in "$MNT" "$MNT/$K" "$MNT/$K/$V"; do
		expect 0 fsync "$path"
		expect 0 fdatasync "$path"
	done
	touch "$MNT/$K/$NEW"
	before=$(cat "$CTL/last_seq")
	sync "$MNT/$K"
	[ "$(cat "$CTL/durable_seq")" -ge "$before" ]
}

@test "fsync of a control file is the barrier, too" {
	for path in "$CTL" "$CTL/stats" "$CTL/config" "$CTL/config/batch_limit"; do
		expect 0 fsync "$path"
		expect 0 fdatasync "$path"
	done
	run python3 - "$CTL" <<-'PY'
		import os, sys
		def number(name):
		    return int(open(f"{sys.argv[1]}/{name}").read())
		fd = os.open(f"{sys.argv[1]}/ingest", os.O_WRONLY)
		for i in range(50):
		    os.write(fd, bytes(32 * 100))
		    last = number("last_seq")
		    os.fsync(fd)
		    assert number("durable_seq") >= last > 0, i
	PY
	assert_success
}
