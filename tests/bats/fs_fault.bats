#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# A store whose files fail under the mount.

load helper

setup() {
	cid_setup
	cid_mount
	K=$(cid_id 1) V=$(cid_id 2)
}

teardown() {
	# What a damaged store says when it is closed is not the matter here.
	cid_kill KILL || true
	cid_teardown
}

call() {
	python3 "$top_srcdir/tests/lib/syscall.py" "$@"
}

# A mapped page that cannot be delivered raises SIGBUS; so does one behind the
# end of a file that was cut short.
@test "a sector that cannot be read is EIO, and the daemon lives" {
	# Not by mkdir: the kernel would remember the keys.
	cid_ids 1 2000 | awk '{ print $1 $1 }' | xxd -r -p > "$CTL/ingest"
	echo 1 > "$CTL/compact"
	run timeout "$DEADLINE" sh -c "until grep -q '^maintaining 0' '$CTL/stats'; do :; done"
	assert_success
	for file in "$STORE"/buckets-*.h5 "$STORE"/values-*.h5; do
		[ ! -e "$file" ] || truncate -s 4096 "$file"
	done
	run call stat "$MNT/$(cid_id 77)"
	assert_output EIO
	run ls "$MNT"
	assert_failure
	for i in $(seq 1 600); do
		call stat "$MNT/$(cid_id "$i")"
	done | sort | uniq -c > "$TMP/answers"
	run cat "$TMP/answers"
	assert_output --regexp '^ *600 EIO$'
	run cat "$CTL/version"
	assert_success
	run call getxattr "$MNT/$(cid_id 5)" user.cidstore.values
	assert_output EIO
	[ -d "/proc/$PID" ]
}
