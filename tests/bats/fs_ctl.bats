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

# figure NAME: its value in stats
figure() {
	awk -v n="$1" '$1 == n { print $2; found = 1 } END { exit !found }' "$CTL/stats"
}

@test "stats and metrics tell latencies, throughput, occupancy, contention, errors" {
	mkdir "$MNT/$(cid_id 1)"
	touch "$MNT/$(cid_id 1)"/$(cid_id 2)
	sync "$MNT"
	head -c 3200000 /dev/urandom > "$CTL/ingest"
	# A thread takes the numbers, ten times a second.
	local end=$((SECONDS + DEADLINE))
	until [ "$(figure latency_p99)" -gt 0 ] && [ "$(figure throughput_ops)" -gt 0 ]; do
		[ "$SECONDS" -lt "$end" ]
	done
	[ "$(figure buffer_occupancy)" -gt 0 ]
	[ "$(figure buffer_occupancy)" -le 1000000 ]
	[ "$(figure lock_contention_ratio)" -le 1000000 ]
	[ "$(figure error_rate)" = 0 ]
	[ "$(figure change_latency_p99)" -gt 0 ]
	figure lookup_latency_p99
	figure sync_latency_p99
	echo 1 > "$CTL/checkpoint"
	[ "$(figure flush_duration)" -gt 0 ]
	grep -Eq '^cidstore_buffer_occupancy_ratio 0\.[0-9]{6}$' "$CTL/metrics"
	grep -Eq '^cidstore_latency_p99_seconds [0-9]+\.[0-9]{9}$' "$CTL/metrics"
	grep -q '^# TYPE cidstore_tune_decisions_total counter$' "$CTL/metrics"
}

@test "autotune is off, takes 0 and 1, and moves no setting" {
	[ "$(cat "$CTL/config/autotune")" = 0 ]
	[ "$(figure tuned_batch_size)" = "$(cat "$CTL/config/batch_size")" ]
	run bash -c "echo 2 > '$CTL/config/autotune'"
	assert_failure
	echo 1 > "$CTL/config/autotune"
	echo 777 > "$CTL/config/batch_size"
	echo 30 > "$CTL/config/flush_interval_us"
	[ "$(figure tuned_batch_size)" = 777 ]
	[ "$(figure tuned_flush_interval_us)" = 30 ]
	# A caller alone need not wait for others; that is found out, and told.
	timeout "$DEADLINE" python3 - "$MNT" "$CTL" << 'END'
import os, sys
mnt, ctl = sys.argv[1:]
fd, n = os.open(mnt, os.O_RDONLY), 0
while "tuned_flush_interval_us 0\n" not in open(ctl + "/stats").read():
    for n in range(n + 1, n + 9):
        os.mkdir(f"{mnt}/{n:032x}")
        os.fsync(fd)
END
	[ "$(figure tuned_flush_interval_us)" = 0 ]
	[ "$(figure tune_decisions)" -ge 1 ]
	[ "$(cat "$CTL/config/flush_interval_us")" = 30 ]
	# Nothing of it is kept.
	cid_umount
	cid_mount
	[ "$(cat "$CTL/config/autotune")" = 0 ]
	[ "$(cat "$CTL/config/batch_size")" = 1024 ]
	[ "$(figure tuned_flush_interval_us)" = 0 ]
	[ "$(figure tune_decisions)" = 0 ]
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

@test "a batch that is too large is EFBIG, and nothing of it is applied" {
	echo 100 > "$CTL/config/batch_limit"
	run python3 - "$CTL" <<-'PY'
		import errno, os, sys
		fd = os.open(f"{sys.argv[1]}/batch", os.O_WRONLY)
		try:
		    for i in range(1, 201):
		        os.write(fd, f"mkkey {i:032x}\n".encode())
		    sys.exit("all was taken")
		except OSError as e:
		    assert e.errno == errno.EFBIG and i == 101, (e, i)
		try:
		    os.close(fd)
		except OSError as e:
		    print(errno.errorcode[e.errno])
	PY
	assert_output EFBIG
	run ls "$MNT"
	assert_output ""
	awk 'BEGIN { for (n = 1; n <= 100; n++) printf "mkkey %032x\n", n; print "commit" }' > "$CTL/batch"
	run sh -c "ls '$MNT' | wc -l"
	assert_output 100
}

@test "a batch with a line that is none is EINVAL, and nothing of it is applied" {
	for line in "mkkey" "mkkey xyz" "insert $K" "nonsense $K $V" "mkkey $K $V" "delete" "insert $K ${V}0"; do
		run bash -c "printf 'mkkey %s\n%s\ncommit\n' '$K' '$line' > '$CTL/batch'"
		assert_failure
		assert_output --partial "Invalid argument"
		run ls "$MNT"
		assert_output ""
	done
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
