#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Which names there are, and which error comes first for those there cannot be.

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

# expect RESULT NAME ARG...
expect() {
	local want=$1

	shift
	run call "$@"
	assert_output "$want"
}

name_of() { # LENGTH
	printf '%*s' "$1" '' | tr ' ' a
}

@test "every identifier is legal, all zeros and all ones included" {
	for name in 00000000000000000000000000000000 ffffffffffffffffffffffffffffffff; do
		mkdir "$MNT/$name"
		touch "$MNT/$name/00000000000000000000000000000000"
		touch "$MNT/$name/ffffffffffffffffffffffffffffffff"
		run ls "$MNT/$name"
		assert_equal "${#lines[@]}" 2
	done
}

@test "names outside the grammar are not there and cannot be made" {
	for name in a "${K:1}" 9A0364B9E99BB480DD25E1F0284C8555 \
		"${K:0:31}g" "${K:0:31}/" "${K:0:31} " .hidden '..a'; do
		[ "${name%/}" = "$name" ] || continue
		expect ENOENT stat "$MNT/$name"
		expect ENOENT stat "$MNT/$K/$name"
		expect EINVAL mkdir "$MNT/$name"
		expect EINVAL mkdir "$MNT/$K/$name"
		expect EINVAL open "$MNT/$K/$name" 'O_CREAT|O_WRONLY'
		expect EINVAL open "$MNT/$name" 'O_CREAT|O_WRONLY'
		expect EINVAL mknod "$MNT/$K/$name"
		expect EINVAL rename "$MNT/$K/$V" "$MNT/$K/$name"
		expect EINVAL rename "$MNT/$K" "$MNT/$name"
		expect EINVAL symlink x "$MNT/$name"
		expect EINVAL link "$MNT/$K/$V" "$MNT/$K/$name"
		expect EINVAL mkfifo "$MNT/$K/$name"
		expect ENOENT unlink "$MNT/$K/$name"
		expect ENOENT rmdir "$MNT/$name"
	done
}

@test "a name longer than 32 bytes is ENAMETOOLONG, up to what the kernel lets through" {
	for n in 33 64 255 256 1000 1024 3900; do
		long=$(name_of "$n")
		expect ENAMETOOLONG stat "$MNT/$long"
		expect ENAMETOOLONG stat "$MNT/$K/$long"
		expect ENAMETOOLONG mkdir "$MNT/$long"
		expect ENAMETOOLONG mkdir "$MNT/$K/$long"
		expect ENAMETOOLONG open "$MNT/$K/$long" 'O_CREAT|O_WRONLY'
		expect ENAMETOOLONG mknod "$MNT/$K/$long"
		expect ENAMETOOLONG unlink "$MNT/$K/$long"
		expect ENAMETOOLONG rmdir "$MNT/$long"
		expect ENAMETOOLONG rename "$MNT/$K/$V" "$MNT/$K/$long"
		expect ENAMETOOLONG rename "$MNT/$K/$long" "$MNT/$K/$NEW"
		expect ENAMETOOLONG symlink x "$MNT/$K/$long"
		expect ENAMETOOLONG link "$MNT/$K/$V" "$MNT/$K/$long"
		expect ENAMETOOLONG stat "$CTL/$long"
	done
	expect 0 stat "$MNT/$K/$V"
}

@test "the longest names that a path can hold" {
	cd "$MNT" # so that all of the 4,095 bytes are the name
	for n in 4000 4094 4095; do
		expect ENAMETOOLONG stat "$(name_of "$n")"
		expect ENAMETOOLONG mkdir "$(name_of "$n")"
		expect ENAMETOOLONG unlink "$(name_of "$n")"
	done
	expect 0 stat "$K"
}

@test "32 bytes that are no identifier are not too long" {
	expect ENOENT stat "$MNT/$(name_of 31)z"
	expect EINVAL mkdir "$MNT/$(name_of 31)z"
}

@test "names with bytes that are not text" {
	expect ENOENT stat "$MNT/"$'\xff\xfe'
	expect EINVAL mkdir "$MNT/"$'\xc3\xa4\n'
}

@test "what exists is EEXIST before it is EPERM" {
	expect EEXIST symlink x "$MNT/$K"
	expect EEXIST symlink x "$MNT/$K/$V"
	expect EEXIST mkdir "$MNT/$K/$V"
	expect EEXIST mkfifo "$MNT/$K/$V"
	expect EEXIST link "$MNT/$K/$V" "$MNT/$K"
	expect EEXIST mkdir "$MNT/.cidstore"
	expect EEXIST symlink x "$MNT/.cidstore"
}

@test "kinds of things there cannot be are EPERM" {
	expect EPERM symlink x "$MNT/$NEW"
	expect EPERM symlink x "$MNT/$K/$NEW"
	expect EPERM link "$MNT/$K/$V" "$MNT/$K/$NEW"
	expect EPERM link "$MNT/$K/$V" "$MNT/$NEW"
	expect EPERM mkfifo "$MNT/$K/$NEW"
	expect EPERM mkfifo "$MNT/$NEW"
	expect EPERM mksock "$MNT/$K/$NEW"
	expect EPERM mkdir "$MNT/$K/$NEW"
	expect EPERM open "$MNT/$NEW" 'O_CREAT|O_WRONLY'
	expect EPERM mknod "$MNT/$NEW"
	run find "$MNT" -mindepth 1
	assert_equal "${#lines[@]}" 2
}

@test "device nodes are EPERM" {
	cid_need_root
	expect EPERM mkdev "$MNT/$K/$NEW"
	expect EPERM mkdev "$MNT/$NEW"
}

@test "nothing is made in or taken from the control tree" {
	expect EPERM mkdir "$CTL/$NEW"
	expect EPERM open "$CTL/new" 'O_CREAT|O_WRONLY'
	expect EEXIST open "$CTL/stats" 'O_CREAT|O_EXCL|O_WRONLY'
	expect EPERM unlink "$CTL/stats"
	expect EPERM rmdir "$CTL"
	expect EPERM rmdir "$CTL/config"
	expect EPERM rename "$CTL/stats" "$CTL/other"
	expect EPERM rename "$CTL/stats" "$MNT/$K/$NEW"
	expect EPERM rename "$MNT/$K/$V" "$CTL/new"
	expect EISDIR unlink "$CTL"
}
