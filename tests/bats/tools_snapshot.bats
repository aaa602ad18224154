# SPDX-License-Identifier: BSD-2-Clause
#
# cidctl snapshot: a copy of a store in use

load helper

setup() {
	cid_setup --log-size=1M --segment-size=64M
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	cid_teardown
}

prefix_of() { # STORE
	cidctl export --format=hex "$1" | cid_prefix
}

@test "under ingest each copy is a prefix, not older than the call, and clean" {
	local i sure got

	cid_mount
	cid_ingest_begin
	for i in 1 2 3; do
		sure=$(cat acknowledged)
		cidctl snapshot "$STORE" copy
		run fsck.cidstore -n copy
		assert_success
		assert_output --partial clean
		got=$(prefix_of copy)
		[ "$got" -ge "$sure" ]
		mkdir m
		cid_mount_at copy m
		[ "$(cid_stat values m)" = "$got" ]
		cid_umount m
		rm -r copy m
	done
	cid_ingest_end
	run fsck.cidstore -n copy
	assert_failure
}

@test "through the mount point; figures as JSON; silent in a pipe" {
	cid_mount
	cid_pairs 1 1000 > "$CTL/ingest"
	run cidctl snapshot --json "$MNT" copy
	assert_success
	assert_output --regexp '^\{"seq":[0-9]+,"epoch":[0-9]+,"bytes":[0-9]+,"shared":[0-9]+,"seconds":[0-9.]+\}$'
	[ "$(echo "$output" | grep -oP '"seq":\K[0-9]+')" -ge 1000 ]
	run cidctl snapshot "$MNT" copy2
	assert_success
	assert_output ''
	cid_umount
	run cidctl snapshot "$STORE/" copy3/
	assert_success
	for c in copy copy2 copy3; do
		[ "$(prefix_of $c)" = 1000 ]
	done
	run ls
	assert_output "copy
copy2
copy3
mnt
mount.out
store
values"
}

@test "a bar on a terminal" {
	cid_need script
	cid_mount
	cid_pairs 1 200000 > "$CTL/ingest"
	run script -qec "cidctl snapshot '$MNT' copy" /dev/null
	assert_success
	assert_output --regexp 'copy up to change [0-9]+: .* MiB'
}

@test "what stands in the way is said" {
	local k=$(cid_id 1)

	cidctl put "$STORE" "$k"
	mkdir full empty
	touch full/file
	run cidctl snapshot "$STORE" full
	assert_failure 4
	assert_output --partial "it exists"
	run cidctl snapshot "$STORE" full/file
	assert_failure 4
	run cidctl snapshot "$STORE" "$STORE/copy"
	assert_failure 4
	assert_output --partial "in its store"
	run cidctl snapshot "$STORE" nowhere/copy
	assert_failure 4
	run cidctl snapshot full copy
	assert_failure 4
	assert_output --partial "not a store"
	run cidctl snapshot "$STORE"
	assert_failure 2
	run cidctl snapshot "$STORE" .
	assert_failure 4
	cidctl snapshot "$STORE" empty
	cidctl get empty "$k"
	run ls full
	assert_output file
}

@test "kill -9 of cidctl leaves no store, a signal leaves nothing" {
	local i n whole=0

	cid_mount
	cid_pairs 1 300000 > "$CTL/ingest"
	for i in $(seq 1 20); do
		n=$(printf '%03d' $((i * i)))
		rm -rf copy copy.*
		timeout -s KILL "0.$n" cidctl snapshot "$MNT" copy || true
		for c in copy copy.*; do
			[ -d "$c" ] || continue
			if [ -e "$c/main.h5" ]; then
				[ "$c" = copy ]
				fsck.cidstore -n "$c"
				[ "$(prefix_of "$c")" = 300000 ]
				whole=$((whole + 1))
			else
				run cidctl stat "$c"
				assert_failure
				assert_output --partial "not a store"
			fi
		done
		rm -rf copy copy.*
		timeout -s TERM "0.$n" cidctl snapshot "$MNT" copy || true
		for c in copy copy.*; do
			[ ! -e "$c" ] || fsck.cidstore -n "$c"
		done
	done
	echo "$whole copies were whole"
	rm -rf copy copy.*
	cidctl snapshot "$MNT" copy
	[ "$(prefix_of copy)" = 300000 ]
}

@test "the daemon is killed meanwhile, and comes back" {
	local i sure

	cid_mount
	for i in 1 2 3; do
		cid_ingest_begin
		sure=$(cat acknowledged)
		rm -rf copy
		cidctl snapshot "$STORE" copy 3>&- 4>&- &
		cid_kill
		cid_ingest_end
		cid_mount
		wait $! || fail "round $i"
		fsck.cidstore -n copy
		[ "$(prefix_of copy)" -ge "$sure" ]
	done
}

@test "a file system that is full: nothing is left" {
	cid_need_root
	mkdir small
	mount -t tmpfs -o size=10M tmpfs small
	cid_mount
	cid_pairs 1 300000 > "$CTL/ingest"
	run cidctl snapshot "$MNT" small/copy
	assert_failure 4
	assert_output --partial "No space left"
	run ls -A small
	assert_output ''
}

reflink_on() { # MKFS...
	cid_need_root
	cid_need "$1"
	truncate -s 700M image
	"$@" image > mkfs.out 2>&1 || skip "$(tail -n 1 mkfs.out)"
	mkdir fs
	mount -o loop image fs 2> mkfs.out || skip "$(cat mkfs.out)"
	mkfs.cidstore -q --log-size=1M --segment-size=64M fs/store
	cid_mount_at fs/store "$MNT"
	cid_pairs 1 400000 > "$CTL/ingest"
	echo 1 > "$CTL/checkpoint"
	sync -f fs
	run cidctl snapshot --json "$MNT" fs/copy
	assert_success
	python3 - "$output" <<-'END'
		import json, sys
		r = json.loads(sys.argv[1])
		assert r["shared"] > 14 << 20, r
		assert r["bytes"] - r["shared"] <= 2 << 20, r
	END
	fsck.cidstore -n fs/copy
	[ "$(prefix_of fs/copy)" = 400000 ]
	# What the one changes the other does not see.
	cid_pairs 400001 450000 > "$CTL/ingest"
	echo 1 > "$CTL/compact"
	cid_umount
	cidctl delete fs/copy "$(cidctl export --format=hex fs/copy | head -n 1 | cut -d ' ' -f 1)"
	[ "$(prefix_of fs/store)" = 450000 ]
	fsck.cidstore -n fs/copy
	fsck.cidstore -n fs/store
}

@test "blocks are shared on XFS" {
	reflink_on mkfs.xfs -q
}

@test "blocks are shared on Btrfs" {
	reflink_on mkfs.btrfs -q
}
