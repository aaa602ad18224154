#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The daemon: readiness, options, signals, the end, and life after being killed.

load helper

setup() {
	cid_setup
	cid_need_fuse
	K=$(cid_id 1) V=$(cid_id 2)
}

teardown() {
	cid_teardown
}

@test "when the command returns, the mount answers" {
	for _ in 1 2 3 4 5; do
		cid_mount_at "$STORE" "$MNT"
		mkdir -p "$MNT/$K"
		cid_umount
	done
	cid_mount
	assert_dir_exist "$MNT/$K"
}

@test "help and version" {
	run cidstore --help
	assert_success
	assert_output --partial "Usage: cidstore"
	run cidstore --version
	assert_success
	assert_output --regexp '^cidstore [0-9]+\.'
}

@test "wrong usage is refused with a word of help" {
	run cidstore
	assert_failure 1
	run cidstore "$STORE"
	assert_failure 1
	run cidstore -o nonsense "$STORE" "$MNT"
	assert_failure 1
	assert_output --partial '"nonsense"'
	for bad in uid=nobody-such umask=9 umask= ctl=maybe sync_interval_ms=x \
		sync_interval_ms=-1 max_nodes=1 config=/does/not/exist; do
		run cidstore -o "$bad" "$STORE" "$MNT"
		assert_failure 1
		assert_output --partial "$bad"
	done
	run cid_is_mounted "$MNT"
	assert_failure
}

@test "what is not a store is refused" {
	mkdir "$TMP/empty"
	run cidstore "$TMP/empty" "$MNT"
	assert_failure 32
	assert_output --partial "$TMP/empty"
	run cidstore "$TMP/missing" "$MNT"
	assert_failure 32
	assert_output --partial "$TMP/missing"
	run cidstore /etc/passwd "$MNT"
	assert_failure 32
	run cid_is_mounted "$MNT"
	assert_failure
}

@test "a store of a newer version is refused by all, and left as it is" {
	[ -x "$top_builddir/tests/lib/setversion" ] || skip "setversion was not built"
	"$top_builddir/tests/lib/setversion" "$STORE" 99
	sha256sum "$STORE"/*.h5 > "$TMP/before"
	for mode in rw ro; do
		run cidstore -o $mode "$STORE" "$MNT"
		assert_failure 32
		assert_output --partial "format version 99"
		assert_output --partial "$STORE"
	done
	run cidctl get "$STORE" "$K"
	assert_failure 4
	assert_output --partial "format version 99"
	for how in -n -p -y; do
		run fsck.cidstore $how "$STORE"
		assert_failure 8
		assert_output --partial "format version 99"
	done
	run mkfs.cidstore "$STORE"
	assert_failure 1
	sha256sum -c --quiet "$TMP/before"
}

@test "a store on a medium that cannot be written is read with -o ro, and refused else" {
	cid_need_root
	cid_mount
	mkdir "$MNT/$K"
	cid_umount
	mkdir "$TMP/medium"
	mount --bind "$STORE" "$TMP/medium"
	mount -o remount,bind,ro "$TMP/medium"
	run cidstore "$TMP/medium" "$MNT"
	assert_failure 32
	assert_output --partial "$TMP/medium"
	assert_output --partial "Read-only file system"
	run cidstore -o create "$TMP/medium/new" "$MNT"
	assert_failure 32
	assert_output --partial "Read-only file system"
	run cidctl put "$TMP/medium" "$V"
	assert_failure 4
	assert_output --partial "Read-only file system"
	run fsck.cidstore -n "$TMP/medium"
	assert_success
	cid_mount_at "$TMP/medium" "$MNT" -o ro
	run ls "$MNT"
	assert_output "$K"
	cid_umount
	umount "$TMP/medium"
}

@test "a store that may not be written, or not be read, is refused with the reason" {
	cid_need_root
	cid_need setpriv
	chmod 755 "$BATS_RUN_TMPDIR" "$TMP" "$TMP/.." || true
	as_other() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	as_other test -x "$TMP" || skip "the test directory is closed to others"
	chmod -R a+rX "$STORE"
	run as_other cidctl put "$STORE" "$K"
	assert_failure 4
	assert_output --partial "Permission denied"
	run as_other cidctl get "$STORE" "$K"
	assert_failure 1
	chmod 700 "$STORE"
	run as_other cidctl get "$STORE" "$K"
	assert_failure 4
	assert_output --partial "Permission denied"
}

@test "a mount point that is none is refused" {
	run cidstore "$STORE" "$TMP/missing"
	assert_failure 32
	assert_output --partial "$TMP/missing"
	touch "$TMP/file"
	run cidstore "$STORE" "$TMP/file"
	assert_failure 32
	assert_output --partial "not a directory"
}

@test "a store is mounted once" {
	cid_mount
	mkdir "$TMP/mnt2"
	run timeout "$DEADLINE" cidstore "$STORE" "$TMP/mnt2"
	assert_failure 32
	assert_output --partial "$MNT"
	mkdir "$MNT/$K"
}

@test "-o create makes the store" {
	cid_mount_at "$TMP/new" "$MNT" -o create
	mkdir "$MNT/$K"
	cid_umount
	cid_mount_at "$TMP/new" "$MNT" -o create
	assert_dir_exist "$MNT/$K"
}

@test "settings by name, and from a file that SIGHUP reads again" {
	printf '# ours\n\nsync_interval_ms = 77\n' > "$TMP/conf"
	cid_mount -o "config=$TMP/conf,batch_limit=1000"
	run cat "$CTL/config/sync_interval_ms" "$CTL/config/batch_limit"
	assert_output "77
1000"
	echo 'sync_interval_ms=88' > "$TMP/conf"
	kill -HUP "$PID"
	run timeout "$DEADLINE" sh -c "until [ \$(cat '$CTL/config/sync_interval_ms') = 88 ]; do :; done"
	assert_success
	run cat "$CTL/config/batch_limit"
	assert_output 1000
	# A bad file is reported and ends nothing.
	echo 'nonsense' > "$TMP/conf"
	kill -HUP "$PID"
	mkdir "$MNT/$K"
	cid_umount
	run cidstore -o "config=$TMP/conf" "$STORE" "$MNT"
	assert_failure 32
	assert_output --partial "line 1"
}

@test "SIGTERM and SIGINT end it cleanly, with all that was made" {
	for signal in TERM INT; do
		cid_mount
		mkdir -p "$MNT/$K"
		touch "$MNT/$K/$signal$(printf '%032d' 0)" 2> /dev/null || touch "$MNT/$K/$V"
		cid_kill "$signal"
		run cid_is_mounted "$MNT"
		assert_failure
	done
	cid_mount
	assert_file_exist "$MNT/$K/$V"
}

@test "in the foreground its status is 0 after SIGTERM and after unmounting" {
	for way in TERM umount; do
		cidstore -f "$STORE" "$MNT" > "$TMP/out" 2>&1 3>&- 4>&- &
		pid=$!
		timeout "$DEADLINE" sh -c "until mountpoint -q '$MNT' && [ -e '$CTL/version' ]; do :; done"
		if [ $way = TERM ]; then kill -TERM $pid; else fusermount3 -u "$MNT"; fi
		status=0
		wait $pid || status=$?
		assert_equal "$status" 0
		run cat "$TMP/out"
		assert_output ""
	done
}

@test "SIGTERM ends it while clients hold files open" {
	cid_mount
	mkdir "$MNT/$K"
	exec 7< "$MNT/$K" 8> "$CTL/ingest"
	cid_kill TERM
	exec 7>&- 8>&-
	cid_mount
	assert_dir_exist "$MNT/$K"
}

@test "after kill -9 the same command mounts again, and nothing is lost" {
	cid_mount
	for i in 1 2 3; do
		mkdir "$MNT/$(cid_id "$i")"
		touch "$MNT/$(cid_id "$i")/$V"
		cid_kill KILL
		run ls "$MNT"
		assert_failure
		cid_mount
		for j in $(seq 1 "$i"); do
			assert_file_exist "$MNT/$(cid_id "$j")/$V"
		done
	done
}

@test "kill -9 and mount at once, without waiting for the death" {
	cid_mount
	for i in 1 2 3 4 5; do
		mkdir "$MNT/$(cid_id "$i")"
		kill -KILL "$PID"
		cid_mount
		assert_dir_exist "$MNT/$(cid_id "$i")"
	done
}

@test "kill -9 while a client sits inside, relative path to the mount point" {
	cid_mount
	mkdir "$MNT/$K"
	exec 7< "$MNT/$K"
	cid_kill KILL
	cd "$TMP"
	cid_mount_at "$STORE" mnt
	assert_dir_exist "$MNT/$K"
	exec 7<&-
}

@test "a dead mount that is not ours is left alone" {
	cid_need_root
	[ -x "$top_builddir/tests/lib/emptyfs" ] || skip "no other daemon to kill"
	mkfifo "$TMP/ready"
	"$top_builddir/tests/lib/emptyfs" "$MNT" > "$TMP/ready" 3>&- 4>&- &
	pid=$!
	read -r _ < "$TMP/ready"
	kill -KILL $pid
	wait $pid || true
	run cidstore "$STORE" "$MNT"
	assert_failure 32
	assert_output --partial "another kind"
	umount -l "$MNT"
}

@test "unmount and mount again at once: the next daemon waits for the last one" {
	for i in 1 2 3 4 5; do
		cid_mount_at "$STORE" "$MNT"
		mkdir "$MNT/$(cid_id "$i")"
		fusermount3 -u "$MNT"
	done
	cid_mount
	run sh -c "ls '$MNT' | wc -l"
	assert_output 5
}

@test "mount(8) finds the helper, and fstab options are understood" {
	cid_need_root
	mkdir "$TMP/bin"
	for name in mount.cidstore mount.fuse.cidstore; do
		ln -s "$(realpath "$(command -v cidstore)")" "$TMP/bin/$name"
	done
	# mount(8) looks for helpers in /sbin alone: call it as mount(8) would.
	timeout "$DEADLINE" "$TMP/bin/mount.cidstore" "$STORE" "$MNT" \
		-o rw,noauto,user,nofail,x-systemd.automount,_netdev,uid=7 > "$TMP/out" 2>&1 3>&- 4>&-
	run stat -c %u "$MNT"
	assert_output 7
	umount "$MNT"
	timeout "$DEADLINE" "$TMP/bin/mount.fuse.cidstore" "$STORE" "$MNT" -n -v -s \
		-o ro,never-heard-of > "$TMP/out" 2>&1 3>&- 4>&-
	run mkdir "$MNT/$K"
	assert_failure
	umount "$MNT"
	run "$TMP/bin/mount.cidstore" -f "$STORE" "$MNT"
	assert_success
	run cid_is_mounted "$MNT"
	assert_failure
}

@test "systemd is told" {
	python3 - "$TMP/sock" > "$TMP/said" 3>&- 4>&- <<-'PY' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		s.settimeout(60)
		print(s.recv(100).split()[0].decode(), flush=True)
		print(s.recv(100).split()[0].decode(), flush=True)
	PY
	timeout "$DEADLINE" sh -c "until [ -S '$TMP/sock' ]; do :; done"
	NOTIFY_SOCKET=$TMP/sock cid_mount
	cid_umount
	wait
	run cat "$TMP/said"
	assert_output "READY=1
STOPPING=1"
}

@test "names with spaces, commas and backslashes" {
	odd="$TMP/a b,c\\d"
	mkdir "$odd"
	mkfs.cidstore --quiet "$odd/store"
	mkdir "$odd/mnt"
	cid_mount_at "$odd/store" "$odd/mnt"
	mkdir "$odd/mnt/$K"
	run sh -c "df --output=source '$odd/mnt' | tail -1"
	assert_output "$odd/store"
	umount "$odd/mnt" || fusermount3 -u "$odd/mnt"
}

@test "other users are let in by allow_other only, and by the permissions shown" {
	cid_need_root
	cid_need setpriv
	as_other() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	chmod 755 "$BATS_RUN_TMPDIR" "$TMP" "$TMP/.." || true
	as_other test -d "$TMP" || skip "the test directory is closed to others"
	cid_mount
	mkdir "$MNT/$K"
	run as_other ls "$MNT"
	assert_failure
	cid_remount -o allow_other
	run as_other ls "$MNT"
	assert_output "$K"
	run as_other mkdir "$MNT/$V"
	assert_failure
	run as_other sh -c "echo 1 > '$CTL/config/sync_interval_ms'"
	assert_failure
	cid_remount -o allow_other,umask=0
	as_other mkdir "$MNT/$V"
}
