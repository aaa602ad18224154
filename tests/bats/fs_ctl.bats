#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The control tree as files: what shells do to them works.

load helper

setup() {
	cid_setup
	cid_mount
	K=$(cid_id 1) V=$(cid_id 2)
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

@test "files of text are read whole, in pieces and from the middle" {
	run cat "$CTL/version"
	assert_success
	assert_output --regexp '^[0-9]'
	run dd if="$CTL/stats" bs=7 status=none
	assert_line --regexp '^keys [0-9]+$'
	run tail -c +3 "$CTL/config/sync_interval_ms"
	assert_success
	run head -c 1 "$CTL/config/sync_interval_ms"
	assert_output 5
}

@test "a setting is written by > and by >>, and read back" {
	echo 60 > "$CTL/config/sync_interval_ms"
	run cat "$CTL/config/sync_interval_ms"
	assert_output 60
	echo 70 >> "$CTL/config/sync_interval_ms"
	run cat "$CTL/config/sync_interval_ms"
	assert_output 70
	run truncate -s 0 "$CTL/config/sync_interval_ms"
	assert_success
	run cat "$CTL/config/sync_interval_ms"
	assert_output 70
}

@test "a bad value is EINVAL and changes nothing" {
	for bad in x -1 '' 99999999999999999999999 '1 2'; do
		cid_errno EINVAL bash -c "echo '$bad' > '$CTL/config/sync_interval_ms'"
	done
	run cat "$CTL/config/sync_interval_ms"
	assert_output 50
}

@test "modes say what can be done" {
	run stat -c %a "$CTL/stats" "$CTL/config/sync_interval_ms" "$CTL/sync" "$CTL/config"
	assert_output "444
644
200
555"
	expect EACCES open "$CTL/stats" O_WRONLY
	expect EACCES open "$CTL/sync" O_RDONLY
	expect EPERM chmod "$CTL/stats" 777
	expect 0 chmod "$CTL/stats" 444
}

@test "triggers" {
	mkdir "$MNT/$K"
	seq=$(cat "$CTL/last_seq")
	echo 1 > "$CTL/sync"
	[ "$(cat "$CTL/durable_seq")" -ge "$seq" ]
	echo 1 > "$CTL/checkpoint"
}

@test "streams cannot be sought" {
	expect ESPIPE lseek "$CTL/lookup" SEEK_SET
	run python3 -c "import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
try:
    os.lseek(fd, 0, os.SEEK_CUR)
except OSError as e:
    print(e.errno)" "$CTL/ingest"
	assert_output 29
}

@test "pairs go in through ingest, in one write and in odd pieces" {
	cid_ids 1 5000 | awk '{ print $1 $1 }' | xxd -r -p > "$TMP/pairs"
	cat "$TMP/pairs" > "$CTL/ingest"
	[ "$(ls "$MNT" | wc -l)" = 5000 ]
	assert_file_exist "$MNT/$(cid_id 77)/$(cid_id 77)"
	cid_ids 5001 6000 | awk '{ print $1 $1 }' | xxd -r -p |
		dd obs=37 of="$CTL/ingest" status=none
	[ "$(ls "$MNT" | wc -l)" = 6000 ]
}

@test "a torn tail is EINVAL at close, and only the tail is lost" {
	run python3 - "$CTL/ingest" <<-'PY'
		import errno, os, sys
		fd = os.open(sys.argv[1], os.O_WRONLY)
		assert os.write(fd, b"\1" * 40) == 40
		dup = os.dup(fd)
		try:
		    os.close(dup)
		    print("closed")
		except OSError as e:
		    print(errno.errorcode[e.errno])
		os.write(fd, b"\1" * 24)
		os.close(fd)
	PY
	assert_output EINVAL
	run ls "$MNT"
	assert_output 01010101010101010101010101010101
}

@test "a writev of 200000 bytes arrives whole" {
	run python3 - "$CTL/ingest" <<-'PY'
		import os, sys
		fd = os.open(sys.argv[1], os.O_WRONLY)
		pairs = b"".join(i.to_bytes(16, "big") * 2 for i in range(6250))
		parts = [pairs[i:i + 1000] for i in range(0, len(pairs), 1000)]
		print(os.writev(fd, parts))
		os.close(fd)
	PY
	assert_output 200000
	[ "$(ls "$MNT" | wc -l)" = 6250 ]
}

@test "lookup answers what was written to the same open file" {
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	run python3 - "$CTL/lookup" <<-'PY'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		os.write(fd, (1).to_bytes(16, "big"))
		answer = os.read(fd, 4096)
		print(int.from_bytes(answer[:8], "little"), answer[8:].hex())
	PY
	assert_output "1 $V"
}

@test "many files open at once, each with its own state" {
	run python3 - "$CTL" <<-'PY'
		import os, sys
		files = [os.open(sys.argv[1] + "/ingest", os.O_WRONLY) for _ in range(100)]
		for i, fd in enumerate(files):
		    os.write(fd, i.to_bytes(16, "big"))
		for i, fd in enumerate(files):
		    os.write(fd, i.to_bytes(16, "big"))
		    os.close(fd)
	PY
	assert_success
	[ "$(ls "$MNT" | wc -l)" = 100 ]
}

@test "debug files of keys come and go with them" {
	mkdir "$MNT/$K"
	run cat "$CTL/debug/key/$K"
	assert_success
	run stat "$CTL/debug/key/nothing"
	assert_failure
}
