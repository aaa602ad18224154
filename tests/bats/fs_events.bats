#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# The change feed: what waits for it waits alone, and nothing goes missing
# without a word.

load helper

setup() {
	cid_setup --log-size=256K
	cid_mount
	K=$(cid_id 1) V=$(cid_id 2) W=$(cid_id 3)
}

teardown() {
	[ -z "${READER:-}" ] || kill "$READER" 2> /dev/null || :
	cid_teardown
}

# Begins to read into $TMP/events; returns when the reader waits.
follow() {
	cat "$CTL/events" > "$TMP/events" 3>&- 4>&- &
	READER=$!
	waits_for_events "$READER"
}

# Until a process is blocked in a read(2) of the mount.
waits_for_events() { # PID
	local i

	for ((i = 0; i < DEADLINE * 100; i++)); do
		grep -qsE 'fuse|request_wait' "/proc/$1/wchan" && return
		grep -qsE '^(0|3|63) ' "/proc/$1/syscall" && return # read, of most machines
		sleep 0.01
	done
	return 1
}

# Until $TMP/events has so many lines.
lines() { # COUNT
	local i

	for ((i = 0; i < DEADLINE * 100; i++)); do
		[ "$(wc -l < "$TMP/events")" -ge "$1" ] && return
		sleep 0.01
	done
	cat "$TMP/events"
	return 1
}

@test "one line for each operation, as it is done" {
	follow
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	mv "$MNT/$K/$V" "$MNT/$K/$W"
	rm "$MNT/$K/$W"
	rmdir "$MNT/$K"
	echo "$K$V" | xxd -r -p > "$CTL/ingest"
	printf 'mkkey %s\ninsert %s %s\ncommit\n' "$W" "$W" "$V" > "$CTL/batch"
	lines 13
	run cut -d ' ' -f 2- "$TMP/events"
	assert_output "mkkey $K
insert $K $V
begin 2
delete $K $V
insert $K $W
commit 2
delete $K $W
delete $K
insert $K $V
begin 2
mkkey $W
insert $W $V
commit 2"
	run cut -d ' ' -f 1 "$TMP/events"
	assert_output "$(sort -n <<< "$output" | uniq)"
	assert_equal "${lines[-1]}" "$(cat "$CTL/last_seq")"
}

@test "a reader that waits holds up nobody, and ends when it is told" {
	local n

	for n in $(seq 100); do
		cat "$CTL/events" > /dev/null 3>&- 4>&- &
		echo "$!"
	done > "$TMP/readers"
	READER=$(tr '\n' ' ' < "$TMP/readers")
	waits_for_events "$(tail -n 1 "$TMP/readers")"
	run timeout "$DEADLINE" ls "$MNT"
	assert_success
	mkdir "$MNT/$K"
	for n in $(cat "$TMP/readers"); do
		kill "$n"
		cid_gone "$n"
	done
	READER=
	# Nothing is in use any more.
	cid_umount
}

@test "from a number on, in the shell" {
	local seq

	mkdir "$MNT/$K" "$MNT/$V"
	seq=$(cat "$CTL/last_seq")
	mkdir "$MNT/$W"
	exec 5<> "$CTL/events"
	echo "$((seq + 1))" >&5
	read -r line <&5
	assert_equal "$line" "$((seq + 1)) mkkey $W"
	echo 0 >&5
	read -r line <&5
	assert_equal "$line" "1 mkkey $K"
	read -r line <&5
	read -r line <&5
	assert_equal "$line" "3 mkkey $W"
	cid_errno EINVAL bash -c "echo $((seq + 9)) >&5"
	cid_errno EINVAL bash -c "echo x >&5"
	exec 5>&-
}

@test "the log remembers across a mount, and a death" {
	mkdir "$MNT/$K"
	cid_remount
	mkdir "$MNT/$V"
	cid_kill
	cid_mount
	mkdir "$MNT/$W"
	exec 5<> "$CTL/events"
	echo 0 >&5
	for key in "$K" "$V" "$W"; do
		read -r line <&5
		assert_equal "${line#* }" "mkkey $key"
	done
	exec 5>&-
}

@test "O_NONBLOCK, poll and select" {
	run timeout "$DEADLINE" /usr/bin/python3 - "$CTL" "$MNT/$K" << 'END'
import errno, os, select, sys, threading, time
ctl, key = sys.argv[1:]
fd = os.open(ctl + "/events", os.O_RDONLY | os.O_NONBLOCK)
try:
    os.read(fd, 100)
    sys.exit("read something")
except BlockingIOError:
    pass
p = select.poll()
p.register(fd, select.POLLIN)
assert p.poll(50) == [], "ready too early"
e = select.epoll()
e.register(fd, select.EPOLLIN)
assert e.poll(0.05) == []
t = threading.Thread(target=lambda: (time.sleep(0.2), os.mkdir(key)))
t.start()
assert p.poll(30000) == [(fd, select.POLLIN)], "poll was not told"
t.join()
assert e.poll(30) == [(fd, select.EPOLLIN)]
print(os.read(fd, 4096).decode().split()[1])
assert p.poll(0) == []
# the flag counts at each read
os.set_blocking(fd, True)
t = threading.Thread(target=lambda: (time.sleep(0.2), os.rmdir(key)))
t.start()
print(os.read(fd, 4096).decode().split()[1])
t.join()
# other files are always ready
other = os.open(ctl + "/stats", os.O_RDONLY)
q = select.poll()
q.register(other, select.POLLIN)
assert q.poll(0) == [(other, select.POLLIN)]
# who polls while it closes
os.close(fd)
END
	assert_success
	assert_output "mkkey
delete"
}

@test "a signal interrupts the wait, which can be taken up again" {
	run timeout "$DEADLINE" /usr/bin/python3 - "$CTL" "$MNT/$K" << 'END'
import os, signal, sys, threading, time
ctl, key = sys.argv[1:]
hits = []
signal.signal(signal.SIGALRM, lambda *a: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
fd = os.open(ctl + "/events", os.O_RDONLY)
t = threading.Thread(target=lambda: (time.sleep(0.5), os.mkdir(key)))
t.start()
print(os.read(fd, 4096).decode().split()[1]) # tries again after EINTR
assert len(hits) >= 3, hits
t.join()
END
	assert_success
	assert_output "mkkey"
}

@test "the end of the daemon is the end of the file" {
	follow
	mkdir "$MNT/$K"
	lines 1
	kill -s TERM "$PID"
	cid_gone "$PID"
	wait "$READER"
	READER=
	run wc -l < "$TMP/events"
	assert_output 1
}

@test "the death of the daemon ends the wait" {
	follow
	cid_kill
	run wait "$READER"
	assert_failure
	READER=
}

@test "who is too slow is told how much it lost" {
	exec 5< "$CTL/events"
	seq=$(cat "$CTL/last_seq")
	cid_ids 1 20000 | sed "s/\$/$V/" | xxd -r -p > "$CTL/ingest"
	read -r line <&5
	[[ $line =~ ^$((seq + 1))\ lost\ ([0-9]+)$ ]]
	lost=${BASH_REMATCH[1]}
	# and goes on behind it, up to the end
	read -r line <&5
	[ "${line%% *}" -ge $((seq + 1 + lost)) ]
	[ "$(cid_stat inserts)" = 20000 ]
	timeout "$DEADLINE" grep -m 1 "insert $(cid_id 20000) $V" <&5
	exec 5<&-
}

@test "on a read-only mount there is no feed" {
	cid_remount -o ro
	cid_errno EOPNOTSUPP cat "$CTL/events"
}
