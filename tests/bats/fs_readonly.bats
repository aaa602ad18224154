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

@test "a read-only mount follows the writer, its death and its return" {
	local i

	cid_mount
	mkdir "$TMP/ro"
	cid_mount_at "$STORE" "$TMP/ro" -o ro
	run grep -E '^(following|pinned|lag_ms) ' "$TMP/ro/.cidstore/stats"
	assert_output "following 1
lag_ms 0
pinned 1"
	# The pauses are more than twice refresh_interval_ms: so long may the
	# library, and again the kernel, go without looking.
	for i in 1 2 3; do
		mkdir "$MNT/$(cid_id 7$i)"
		touch "$MNT/$(cid_id 7$i)/$V"
		sleep 0.1
		run ls "$TMP/ro/$(cid_id 7$i)"
		assert_output "$V"
		echo 1 > "$CTL/checkpoint"
		rm "$MNT/$(cid_id 7$i)/$V"
		sleep 0.1
		run ls "$TMP/ro/$(cid_id 7$i)"
		assert_output ""
	done
	run stat -c %s "$TMP/ro/$K"
	assert_output 1
	cid_kill
	run ls "$TMP/ro/$(cid_id 72)"
	assert_success
	cid_mount
	mkdir "$MNT/$NEW"
	sleep 0.1
	assert_dir_exist "$TMP/ro/$NEW"
	run sh -c "ls '$TMP/ro' | wc -l"
	assert_output 5
}

@test "without the file readers a read-only mount follows, and has no pin" {
	cid_mount
	rm "$STORE/readers"
	mkdir "$TMP/ro"
	cid_mount_at "$STORE" "$TMP/ro" -o ro
	grep -q '^pinned 0' "$TMP/ro/.cidstore/stats"
	mkdir "$MNT/$NEW"
	echo 1 > "$CTL/checkpoint"
	sleep 0.1
	assert_dir_exist "$TMP/ro/$NEW"
	assert_dir_exist "$TMP/ro/$K"
}

ro() { # OPTION
	mkdir "$TMP/ro"
	cid_mount
	cid_mount_at "$STORE" "$TMP/ro" -o "ro${1:+,$1}"
}

@test "what the kernel cached of a read-only mount is outdated when the writer goes on" {
	ro
	run python3 - "$MNT" "$TMP/ro" "$K" <<-'PY'
		import os, sys, time
		rw, ro, k = sys.argv[1:]
		lag = 0.1 # far more than 2 * refresh_interval_ms, for a machine that is busy
		fd = os.open(f"{ro}/{k}", os.O_RDONLY)
		os.chdir(f"{ro}/{k}")
		def missing(p):
		    try:
		        os.stat(p)
		    except FileNotFoundError:
		        return True
		n = os.stat(".").st_size
		for i in range(16, 36):
		    v, key = f"{i:032x}", f"{i << 8:032x}"
		    # Names that are not there are asked for as well, before and after.
		    assert missing(f"{ro}/{k}/{v}") and missing(f"{ro}/{key}"), i
		    os.close(os.open(f"{rw}/{k}/{v}", os.O_CREAT))
		    os.mkdir(f"{rw}/{key}")
		    time.sleep(lag)
		    assert os.stat(f"{ro}/{k}/{v}").st_size == 0, i
		    assert os.stat(f"{ro}/{key}").st_size == 0, i
		    assert os.fstat(fd).st_size == os.stat(".").st_size == n + 1, i
		    assert v in os.listdir(fd) and v in os.listdir("."), i
		    assert key in os.listdir(ro), i
		    os.unlink(f"{rw}/{k}/{v}")
		    os.rmdir(f"{rw}/{key}")
		    time.sleep(lag)
		    assert missing(f"{ro}/{k}/{v}") and missing(f"{ro}/{key}"), i
		    assert os.fstat(fd).st_size == n, i
		    assert v not in os.listdir(fd), i
		    assert key not in os.listdir(ro), i
	PY
	assert_success
}

@test "sizes that a listing read ahead are not given to the kernel when they are old" {
	ro
	(cd "$MNT" && cid_ids 1000 2500 | xargs mkdir)
	run python3 - "$MNT" "$TMP/ro" <<-'PY'
		import os, sys, time
		rw, ro = sys.argv[1:]
		time.sleep(0.1)
		with os.scandir(ro) as listing:
		    seen = [next(listing).name]
		    with open(f"{rw}/.cidstore/ingest", "wb") as f:
		        for i in range(1000, 2501):
		            f.write(i.to_bytes(16, "big") + bytes(16))
		    time.sleep(0.1)
		    for e in listing:
		        # At once: no time for what the kernel has to grow old.
		        assert int(e.name, 16) < 1000 or os.stat(f"{ro}/{e.name}").st_size == 1, e.name
		        seen.append(e.name)
		assert len(seen) == len(set(seen)) == 1502, len(seen)
	PY
	assert_success
}

@test "the control tree of a read-only mount shows how far behind it is" {
	local epoch now

	ro refresh_interval_ms=100000
	epoch=$(cid_stat reader_epoch "$TMP/ro")
	# What the writer's tables get is seen at once, a commit is not.
	mkdir "$MNT/$NEW"
	run ls "$TMP/ro"
	assert_output "$K
$NEW"
	echo 1 > "$CTL/checkpoint"
	sleep 0.1
	[ "$(cid_stat lag_ms "$TMP/ro")" -ge 100 ]
	[ "$(cid_stat reader_epoch "$TMP/ro")" = "$epoch" ]
	run cat "$TMP/ro/.cidstore/config/refresh_interval_ms"
	assert_output 100000
	cid_umount "$TMP/ro"
	# Asking is looking: what is behind by more than the interval catches up.
	cid_mount_at "$STORE" "$TMP/ro" -o ro
	mkdir "$MNT/$(cid_id 4)"
	echo 1 > "$CTL/checkpoint"
	epoch=$(cid_stat epoch)
	sleep 0.1
	[ "$(cid_stat lag_ms "$TMP/ro")" = 0 ]
	# Maintenance may commit at any time.
	now=$(cid_stat reader_epoch "$TMP/ro")
	[ "$now" -ge "$epoch" ]
	[ "$now" -le "$(cid_stat epoch)" ]
	[ "$(cid_stat last_seq "$TMP/ro")" = "$(cid_stat last_seq)" ]
	[ "$(cid_stat keys "$TMP/ro")" = 3 ]
	run cidctl stat "$STORE"
	assert_line "following 1"
	assert_line "lag_ms 0"
}

@test "each control file of a read-only mount that changes something answers EROFS" {
	local f

	ro
	for f in ingest batch import sync checkpoint compact gc verify config/sync_interval_ms \
		config/refresh_interval_ms; do
		case $f in sync | verify) continue ;; esac
		expect EROFS open "$TMP/ro/.cidstore/$f" O_WRONLY
	done
	for f in version health ready stats metrics last_seq durable_seq config/batch_size \
		"debug/key/$K"; do
		[ -s "$TMP/ro/.cidstore/$f" ] || cat "$TMP/ro/.cidstore/$f" | grep -q .
	done
	[ "$(head -c 4 "$TMP/ro/.cidstore/export")" = CIDX ]
	# The kernel lets nobody write through the mount, not even a question.
	expect EROFS open "$TMP/ro/.cidstore/lookup.txt" O_RDWR
	run cidctl get -k "$TMP/ro" "$K"
	assert_output "$K $V"
	run cidctl and -c "$TMP/ro" "$K" "$K"
	assert_output 1
}
