#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# A store on a full disk: nothing acknowledged is lost, what is there can be
# read and removed, and work goes on when space returns.

load helper

setup() {
	cid_need_fuse
	cid_need_root
	cid_need python3
	TMP=$BATS_TEST_TMPDIR
	DISK=$TMP/disk STORE=$TMP/disk/store MNT=$TMP/mnt CTL=$TMP/mnt/.cidstore
	MANY=100000000
	mkdir -p "$DISK" "$MNT"
}

teardown() {
	cid_teardown
	[ -z "${LOOP-}" ] || losetup -d "$LOOP"
}

fillup() {
	timeout "$((DEADLINE * 5))" "$top_srcdir/tests/lib/fillup.py" "$@"
}

# A small file system of its own; most of it is a ballast that can go.
small_disk() { # tmpfs|ext4
	case $1 in
	tmpfs)
		mount -t tmpfs -o size=32m none "$DISK" || skip "no tmpfs"
		;;
	*)
		cid_need mkfs.ext4 losetup
		truncate -s 48M "$TMP/image"
		LOOP=$(losetup -f --show "$TMP/image") || skip "no loop devices"
		mkfs.ext4 -q "$LOOP"
		mount "$LOOP" "$DISK"
		;;
	esac
	dd if=/dev/zero of="$DISK/ballast" bs=1M count=8 status=none
	mkfs.cidstore --quiet --log-size=1M --segment-size=16M --bucket-size=64K "$STORE"
}

# Tries until it works; a daemon that died ends it at once.
eventually() { # COMMAND...
	local end=$((SECONDS + DEADLINE))

	until "$@" 2> "$TMP/eventually.err"; do
		[ -e "$CTL/stats" ] && [ $SECONDS -lt $end ] && continue
		cat "$TMP/eventually.err"
		return 1
	done
}

refused() { # COMMAND...
	run "$@"
	[ "$status" != 0 ] && [[ $output == *"No space left"* ]]
}

# Fills from pair $1 on, until nothing more is taken: what maintenance gives
# back for a while is filled as well. Prints how many there are.
fill_up() {
	local n=$1 end=$((SECONDS + DEADLINE))

	while [ $SECONDS -lt $end ]; do
		n=$(fillup fill "$MNT" "$n" $MANY)
		refused touch "$MNT/$(cid_id 1)/$(cid_id 7)" && refused mkdir "$MNT/$(cid_id 7)" &&
			echo "$n" && return
		rm -rf "$MNT/$(cid_id 1)/$(cid_id 7)" "$MNT/$(cid_id 7)"
	done
	echo "never full: $n pairs" >&2
	return 1
}

fill_and_go_on() {
	local n more k

	cid_mount
	mkdir "$MNT/$(cid_id 1)"
	n=$(fill_up 0)
	echo "full after $n pairs"
	[ "$n" -gt 50000 ]
	run fillup check "$MNT" 0 "$n"
	assert_output 0
	sync "$MNT"

	# A full store mounts, and is as full as it was.
	cid_remount
	run fillup check "$MNT" 0 "$n"
	assert_output 0
	# So does one that was killed.
	cid_kill
	cid_mount
	run fillup check "$MNT" 0 "$n"
	assert_output 0

	# Deleting works, by system calls and in bulk.
	fillup unlink "$MNT" 0 400
	k=$(cid_id 1)
	rmdir "$MNT/$k"
	fillup forget "$MNT" 400 $((n / 2 / 4 * 4))
	run fillup check "$MNT" $((n / 2 / 4 * 4)) "$n"
	assert_output 0
	run fillup check "$MNT" 0 4000
	assert_output 4000
	echo 1 > "$CTL/compact"
	eventually mkdir "$MNT/$(cid_id 8)"
	eventually grep -q '^running 0' "$CTL/compact"
	cid_umount
	run fsck.cidstore -n "$STORE"
	assert_success

	# Space from elsewhere: what was refused is taken now.
	rm "$DISK/ballast"
	cid_mount
	more=$(fillup fill "$MNT" "$n" $((n + 100000)))
	[ "$more" = $((n + 100000)) ]
	run fillup check "$MNT" $((n / 2 / 4 * 4)) "$more"
	assert_output 0
	cid_umount
	run fsck.cidstore -n "$STORE"
	assert_success
}

@test "a full tmpfs" {
	small_disk tmpfs
	fill_and_go_on
	umount "$DISK"
}

@test "a full ext4" {
	small_disk ext4
	fill_and_go_on
	umount "$DISK"
}

@test "space that returns is used without a new mount" {
	local n more

	small_disk tmpfs
	cid_mount
	n=$(fillup fill "$MNT" 0 $MANY)
	rm "$DISK/ballast"
	eventually mkdir "$MNT/$(cid_id 5)"
	more=$(fillup fill "$MNT" "$n" $((n + 50000)))
	[ "$more" = $((n + 50000)) ]
	run fillup check "$MNT" 0 "$more"
	assert_output 0
	cid_umount
	run fsck.cidstore -n "$STORE"
	assert_success
	umount "$DISK"
}

@test "killed while the disk is full" {
	local n

	small_disk tmpfs
	cid_mount
	n=$(fillup fill "$MNT" 0 $MANY)
	for _ in 1 2 3; do
		cid_kill
		run fsck.cidstore -n "$STORE"
		assert_success
		cid_mount
		run fillup check "$MNT" 0 "$n"
		assert_output 0
		fillup fill "$MNT" "$n" $((n + 3000))
	done
	fillup forget "$MNT" 0 "$n"
	cid_umount
	run fsck.cidstore -n "$STORE"
	assert_success
	umount "$DISK"
}

@test "a disk too small for a store" {
	mount -t tmpfs -o size=1m none "$DISK" || skip "no tmpfs"
	run mkfs.cidstore "$STORE"
	assert_failure 1
	assert_output --partial "no space left"
	run cidstore "$STORE" "$MNT"
	assert_failure 32
	# Once there is room it is made in the same place.
	mount -o remount,size=96m "$DISK"
	mkfs.cidstore --quiet --log-size=1M "$STORE"
	cid_mount
	mkdir "$MNT/$(cid_id 1)"
	cid_umount
	umount "$DISK"
}
