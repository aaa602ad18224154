#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# A device that fails under the file system under the store: real ones, on a
# loop device whose server answers writes, flushes or both with EIO from a chosen
# moment. After the first sync that failed nothing is durable any more and every
# fsync says so; a new mount finds a prefix with all that was fsynced before.

load helper

setup() {
	cid_need_fuse
	cid_need_root
	cid_need losetup python3
	[ -w /dev/loop-control ] || skip "/dev/loop-control cannot be opened"
	TMP=$BATS_TEST_TMPDIR
	DISK=$TMP/disk STORE=$TMP/disk/store MNT=$TMP/mnt CTL=$TMP/mnt/.cidstore SERVED=$TMP/served
	POWER=$top_builddir/tests/power CLIENT=$top_builddir/tests/kill/client
	SEED=${SEED:-$RANDOM}
	echo "SEED=$SEED"
	mkdir -p "$DISK" "$MNT" "$SERVED"
}

teardown() {
	[ ! -e "$SERVED/control" ] || echo well > "$SERVED/control"
	[ ${#CLIENTS[@]} = 0 ] || kill "${CLIENTS[@]}" 2> /dev/null || true
	cid_teardown
	[ -z "${LOOP-}" ] || losetup -d "$LOOP"
	! cid_is_mounted "$SERVED" || umount "$SERVED"
}

call() {
	python3 "$top_srcdir/tests/lib/syscall.py" "$@"
}

# A file system on a device that obeys $SERVED/control, and a store on it.
device() { # ext4|xfs|btrfs
	local ready

	FS=$1
	cid_need "mkfs.$FS"
	grep -qw "$FS" /proc/filesystems || modprobe "$FS" 2> /dev/null || skip "no $FS"
	truncate -s 512M "$TMP/image"
	"mkfs.$FS" -q "$TMP/image" 2> /dev/null
	mkfifo "$TMP/ready"
	"$POWER/imagefs" "$TMP/image" "$TMP/trace" "$SERVED" > "$TMP/ready" 3>&- 4>&- &
	read -r ready < "$TMP/ready"
	LOOP=$(losetup -f --show --direct-io=on "$SERVED/image") || skip "no loop devices"
	mount -t "$FS" "$LOOP" "$DISK"
	mkfs.cidstore --quiet --log-size=1M --segment-size=16M --bucket-size=16K "$STORE"
}

device_figure() { # NAME
	awk -v n="disk_$1" '$1 == n { print $2 }' "$SERVED/control"
}

start_clients() {
	local i

	CLIENTS=()
	for i in 0 1; do
		"$CLIENT" run "$MNT" "$SERVED/mark.$i" $i $((SEED * 10 + i)) failing \
			> "$TMP/client.$i" 2>&1 3>&- 4>&- &
		CLIENTS+=($!)
	done
}

# They end by themselves, when they are told of the failure.
wait_for_clients() {
	local i

	for i in 0 1; do
		"$CLIENT" end "${CLIENTS[i]}" 0
		wait "${CLIENTS[i]}"
		cat "$TMP/client.$i"
		grep -q 'ended=failed' "$TMP/client.$i"
	done
	CLIENTS=()
}

wait_until() { # COMMAND...
	local end=$((SECONDS + DEADLINE))

	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
	done
}

synced_often() {
	[ "$("$POWER/judge" -s "$TMP/trace" | awk '$1 == "client_syncs" { print $2 }')" -ge 10 ]
}

refuses() { # every way to ask for durability, and changes
	local key=$1 n

	for n in 1 2 3; do
		run call fsync "$MNT"
		assert_output EIO
		run call fdatasync "$MNT/$key"
		assert_output EIO
		cid_errno EIO bash -c "echo 1 > '$CTL/sync'"
		run call mkdir "$MNT/$(cid_id $((900 + n)))"
		assert_output --regexp '^(EIO|EROFS)$'
		run call mknod "$MNT/$key/$(cid_id $((900 + n)))"
		assert_output --regexp '^(EIO|EROFS)$'
		run call rmdir "$MNT/$key"
		assert_output --regexp '^(EIO|EROFS|ENOTEMPTY)$'
	done
}

device_fails() { # FILE-SYSTEM write|flush|all [MODE: what a loss of power leaves]
	local key

	device "$1"
	cid_mount
	start_clients
	wait_until synced_often
	echo "fail $2" > "$SERVED/control"
	wait_for_clients
	[ "$(device_figure refused)" -gt 0 ]
	key=$(find "$MNT" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | head -n 1)
	[ -n "$key" ]
	refuses "$key"
	run cat "$CTL/health"
	assert_output --partial failed
	[ "$(cid_stat failed)" = 1 ]
	run call stat "$MNT/$key"
	assert_output 0

	# What comes too late is not believed.
	echo well > "$SERVED/control"
	refuses "$key"
	run cat "$CTL/health"
	assert_output --partial failed

	[ -z "${3-}" ] || echo "fail $2" > "$SERVED/control"
	cid_umount
	umount "$DISK"
	blockdev --flushbufs "$LOOP"
	[ -z "${3-}" ] || echo "power $3 $SEED" > "$SERVED/control"
	echo well > "$SERVED/control"
	mount -t "$FS" "$LOOP" "$DISK"
	run "$POWER/judge" "$TMP/trace" "$(device_figure records)" "$STORE"
	assert_success
	assert_output --regexp 'synced=[1-9]'

	cid_mount
	run call fsync "$MNT"
	assert_output 0
	run cat "$CTL/health"
	refute_output --partial failed
	mkdir "$MNT/$(cid_id 6)"
	run call fsync "$MNT"
	assert_output 0
	cid_umount
	run fsck.cidstore -n "$STORE"
	assert_success
	umount "$DISK"
}

@test "ext4: writes fail" {
	device_fails ext4 write
}

@test "ext4: flushes fail" {
	device_fails ext4 flush
}

@test "ext4: flushes fail, and the device loses what it had not flushed" {
	device_fails ext4 flush torn
}

@test "xfs: writes fail" {
	device_fails xfs write
}

@test "xfs: flushes fail" {
	device_fails xfs flush
}

@test "xfs: writes and flushes fail, and the device loses power" {
	device_fails xfs all some
}

@test "btrfs: writes fail" {
	device_fails btrfs write
}

@test "btrfs: flushes fail" {
	device_fails btrfs flush
}

@test "btrfs: writes and flushes fail, and the device loses power" {
	device_fails btrfs all some
}

@test "a device that fails while a store is recovered" {
	device ext4
	cid_mount
	start_clients
	wait_until synced_often
	cid_kill
	for i in 0 1; do
		wait "${CLIENTS[i]}" || true
	done
	CLIENTS=()
	umount "$MNT"
	echo "fail all" > "$SERVED/control"
	run cid_mount_at "$STORE" "$MNT"
	assert_failure
	echo well > "$SERVED/control"
	umount "$DISK"
	blockdev --flushbufs "$LOOP"
	mount -t ext4 "$LOOP" "$DISK"
	run "$POWER/judge" "$TMP/trace" "$(device_figure records)" "$STORE"
	assert_success
	umount "$DISK"
}
