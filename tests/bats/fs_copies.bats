# SPDX-License-Identifier: BSD-2-Clause
#
# What a copy made by cp(1) is worth, as cidstore(5) says it; and stores that
# nobody can write: on read-only media, killed ones, copies of all kinds.

load helper

setup() {
	cid_setup --log-size=1M --segment-size=64M
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	cid_teardown
}

@test "cp of a mounted store while nobody changes it is a store like it" {
	cid_mount
	cid_pairs 1 100000 > "$CTL/ingest"
	cid_job compact
	cp -a "$STORE" copy
	fsck.cidstore -n copy
	cidctl export --format=hex copy > hex
	[ "$(cid_prefix < hex)" = 100000 ]
	cidctl put copy "$(cid_id 7)"
	fsck.cidstore -n copy
}

@test "cp of a store in use is a prefix not older than the cp, or is damaged and says so" {
	local i sure got good=0 bad=0

	cid_mount
	cid_ingest_begin
	for i in 1 2 3 4 5 6 7 8; do
		sure=$(cat acknowledged)
		rm -rf copy
		cp -a "$STORE" copy
		if fsck.cidstore -n copy > said; then
			cidctl export --format=hex copy > hex
			got=$(cid_prefix < hex)
			[ "$got" -ge "$sure" ]
			good=$((good + 1))
		else
			# What can be read of it at all is right.
			cidctl get -k copy $(cid_pairs 1 600 | xxd -p -c 32 | cut -c 1-32 | uniq) \
				2> /dev/null | tr -d ' ' | sort > some || true
			cid_pairs 1 603 | xxd -p -c 32 | sort > all
			run comm -23 some all
			assert_output ''
			if cidctl export --format=hex copy > hex 2> said; then
				cid_prefix < hex
			fi
			[ -s said ]
			bad=$((bad + 1))
		fi
	done
	echo "# $good good, $bad damaged" >&3
}

# What is mounted shows so many values, takes no change and can be listed.
shows() { # STORE VALUES
	mkdir -p m
	cid_mount_at "$1" m -o ro
	[ "$(cid_stat values m)" = "$2" ]
	[ "$(cid_stat lag_ms m)" = 0 ]
	[ "$(find m -mindepth 2 -type f | wc -l)" = "$2" ]
	cid_errno EROFS mkdir "m/$(cid_id 99)"
	cidctl export --format=hex m > hex
	[ "$(cid_prefix < hex)" = "$2" ]
	cid_umount m
	cidctl export --format=hex "$1" > hex
	[ "$(cid_prefix < hex)" = "$2" ]
	cidctl get "$1" "$(head -n 1 hex | cut -d ' ' -f 1)" > got
	[ -s got ]
}

@test "on a read-only bind mount: a closed store, a killed one, and a cp of it" {
	cid_need_root
	cid_mount
	cid_pairs 1 3000 > "$CTL/ingest"
	cid_umount
	mkdir media
	mount --bind "$BATS_TEST_TMPDIR" media
	mount -o remount,ro,bind media
	touch media/x 2> /dev/null && fail "it can be written"
	shows media/store 3000
	fsck.cidstore -n media/store
	cid_mount
	cid_pairs 3001 5000 > "$CTL/ingest"
	cp -a store cp
	cid_kill
	shows media/store 5000
	shows media/cp 5000
	cidctl snapshot media/store snap
	shows snap 5000
	fsck.cidstore -n snap
	run cidctl put media/store "$(cid_id 9)"
	assert_failure 4
	run cid_mount_at media/store m
	assert_failure
	assert_output --partial "Read-only file system"
}

@test "on a read-only image: a snapshot and a cp, made under ingest and at rest" {
	cid_need_root
	cid_need mkfs.ext4
	truncate -s 100M image
	mkfs.ext4 -q image
	mkdir media
	mount -o loop image media || skip "no loop devices"
	cid_mount
	cid_pairs 1 20000 > "$CTL/ingest"
	cp -a "$STORE" media/cp
	cidctl snapshot "$MNT" media/snap
	umount media
	mount -o loop,ro image media
	shows media/cp 20000
	shows media/snap 20000
	fsck.cidstore -n media/snap
	fsck.cidstore -n media/cp
	cid_errno EROFS rm media/snap/LOCK
}

@test "without permission to write it a store is read, and followed" {
	cid_need_root
	cid_need runuser
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "${BATS_TEST_TMPDIR%/*}"
	runuser -u nobody -- test -r "$STORE/main.h5" || skip "nobody cannot get here"
	cid_mount
	cid_pairs 1 3000 > "$CTL/ingest"
	run runuser -u nobody -- "$top_builddir/cidctl" export --format=hex "$STORE"
	assert_success
	echo "$output" > hex
	[ "$(cid_prefix < hex)" = 3000 ]
	run runuser -u nobody -- "$top_builddir/cidctl" put "$STORE" "$(cid_id 9)"
	assert_failure 4
	cidctl snapshot "$STORE" copy
	run runuser -u nobody -- "$top_builddir/cidctl" snapshot "$STORE" "$BATS_TEST_TMPDIR/no"
	assert_failure 4
	assert_output --partial "Permission denied"
}
