# SPDX-License-Identifier: BSD-2-Clause
#
# cidctl watch: the change feed for people and scripts

load helper

setup() {
	cid_setup --log-size=256K
	cd "$BATS_TEST_TMPDIR"
	K=$(cid_id 1) V=$(cid_id 2)
}

teardown() {
	cid_teardown
}

@test "from the oldest, a number of operations, through mount point and store" {
	cid_mount
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	mv "$MNT/$K/$V" "$MNT/$K/$K"
	want="1 mkkey $K
2 insert $K $V
3 begin 2
4 delete $K $V"
	run cidctl watch --from=0 --count=3 "$MNT"
	assert_success
	assert_output "$want"
	run cidctl watch --from=0 --count=3 "$STORE"
	assert_success
	assert_output "$want"
	run cidctl watch --from=5 --count=1 "$MNT"
	assert_output "5 insert $K $K"
	run cidctl watch --count=0 "$MNT"
	assert_success
	refute_output
}

@test "as JSON" {
	cid_mount
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	mv "$MNT/$K/$V" "$MNT/$K/$K"
	cidctl watch --json --from=0 --count=4 "$MNT" > lines
	run python3 - << 'END'
import json
line = [json.loads(l) for l in open("lines")]
k, v = "%032x" % 1, "%032x" % 2
assert line == [{"seq": 1, "op": "mkkey", "key": k},
                {"seq": 2, "op": "insert", "key": k, "value": v},
                {"seq": 3, "op": "begin", "count": 2},
                {"seq": 4, "op": "delete", "key": k, "value": v},
                {"seq": 5, "op": "insert", "key": k, "value": k}], line
END
	assert_success
}

@test "what comes is printed as it comes, and the end of the mount is told" {
	cid_mount
	cidctl watch --from=0 "$MNT" > lines 2> errors 3>&- &
	watcher=$!
	mkdir "$MNT/$K"
	timeout "$DEADLINE" tail -n +1 -f lines 2> /dev/null 3>&- | grep -qm 1 "1 mkkey $K"
	fusermount3 -uz "$MNT" # it is in use
	kill -s TERM "$PID"
	cid_gone "$PID"
	run wait "$watcher"
	assert_failure 4
	assert_equal "$(cat errors)" "cidctl watch: $MNT: the mount has ended; --from=2 goes on"
	cid_mount
	mkdir "$MNT/$V"
	run cidctl watch --from=2 --count=1 "$MNT"
	assert_output --regexp "^[0-9]+ mkkey $V\$"
}

@test "what was lost is told" {
	cid_mount
	cid_ids 1 20000 | sed "s/\$/$V/" | xxd -r -p > "$CTL/ingest"
	run cidctl watch --from=1 --count=1 "$MNT"
	assert_success
	assert_line --index 0 --regexp '^1 lost [0-9]+$'
	assert_line --index 1 --regexp "^[0-9]+ insert [0-9a-f]{32} $V\$"
	run cidctl watch --json --from=1 --count=1 "$MNT"
	assert_line --index 0 --regexp '^\{"seq":1,"op":"lost","count":[0-9]+\}$'
}

@test "what cannot be watched" {
	run cidctl watch "$STORE"
	assert_failure 4
	assert_output --partial "is a store that is not mounted"
	run cidctl watch "$BATS_TEST_TMPDIR"
	assert_failure 4
	assert_output --partial "neither a store's directory nor a mounted root"
	run cidctl watch
	assert_failure 2
	run cidctl watch --from=x "$STORE"
	assert_failure 2
	cid_mount
	run cidctl watch --from=99 "$MNT"
	assert_failure 1
	assert_output --partial "there is no number 99 yet"
	cid_remount -o ro
	run cidctl watch "$MNT"
	assert_failure 4
	assert_output --partial "mounted read-only"
}
