#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Losses of power below the file system, a few; `make power` makes a thousand.

load helper

setup() {
	cid_need_fuse
	cid_need_root
	cid_need losetup mkfs.ext4 filefrag
	[ -w /dev/loop-control ] || skip "/dev/loop-control cannot be opened"
	DIR=$BATS_TEST_TMPDIR/power
	export BUILD=$top_builddir KINDS=small SECONDS_MAX=2
}

# The lines that are wanted if it fails: they have the seed.
power_cut() { # STATUS IMAGES
	local status=0

	"$top_srcdir/scripts/power-cut" "$2" "$DIR" > "$BATS_TEST_TMPDIR/out" 2>&1 3>&- 4>&- || status=$?
	cat "$BATS_TEST_TMPDIR/out"
	[ $status != 77 ] || skip "$(tail -n 1 "$BATS_TEST_TMPDIR/out")"
	[ $status = "$1" ]
}

@test "nothing that was fsynced is lost, and nothing comes back" {
	power_cut 0 20
	grep -q '^images that were wrong: 0$' "$BATS_TEST_TMPDIR/out"
	! grep -q '^fsynced operations that had to be there: 0$' "$BATS_TEST_TMPDIR/out"
}

@test "a device that ignores flushes is found, and found again by the line it prints" {
	local line

	DEAF=deaf power_cut 1 20
	line=$(sed -n 's/^FAILED; once more: //p' "$BATS_TEST_TMPDIR/out")
	grep '^image ' "$BATS_TEST_TMPDIR/out" > "$BATS_TEST_TMPDIR/first"
	run env BUILD="$BUILD" SECONDS_MAX=2 bash -c "$line" 3>&- 4>&-
	assert_failure 1
	assert_line "$(cat "$BATS_TEST_TMPDIR/first")"
	# The same image of a device that does not.
	run env BUILD="$BUILD" SECONDS_MAX=2 bash -c "${line/DEAF=deaf/DEAF=}" 3>&- 4>&-
	assert_success
}
