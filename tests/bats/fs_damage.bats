#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Stores whose files were cut short, written over, exchanged or removed: a
# message or EIO, never an end of the daemon and never a wrong answer.

load helper

setup() {
	cid_setup --log-size=256K --segment-size=4M --bucket-size=8K --promotion-threshold=8
	cid_mount
	# Keys 1 to 300 of one value each, key 7 of 2,000 more, 8 of 20 more.
	{
		seq 1 300 | awk '{ printf "%032x%032x", $1, $1 }'
		seq 1001 3000 | awk '{ printf "%032x%032x", 7, $1 }'
		seq 1001 1020 | awk '{ printf "%032x%032x", 8, $1 }'
	} | xxd -r -p > "$CTL/ingest"
	cid_job compact
	cid_umount
	mv "$STORE" "$TMP/whole"
}

teardown() {
	# What a damaged store says when it is closed is not the matter here.
	cid_kill KILL || true
	cid_teardown
}

# Compares all that the mount says with what was put in. Prints how many
# answers were right and how many were EIO; any other ends it.
answers() { # MOUNTPOINT
	timeout "$DEADLINE" python3 - "$1" <<-'PY'
		import errno, os, sys
		mnt, right, eio = sys.argv[1], 0, 0
		def name(n):
		    return f"{n:032x}"
		values = {k: {name(k)} for k in range(1, 301)}
		values[7] |= {name(v) for v in range(1001, 3001)}
		values[8] |= {name(v) for v in range(1001, 1021)}
		def ask(want, fn, *args):
		    global right, eio
		    try:
		        got = fn(*args)
		    except OSError as e:
		        if e.errno == errno.EIO:
		            eio += 1
		            return
		        got = errno.errorcode[e.errno]
		    if got != want:
		        sys.exit(f"{fn.__name__} {args}: {str(got)[:200]}, not {str(want)[:200]}")
		    right += 1
		def size(path):
		    return os.stat(path).st_size
		def listing(path):
		    return set(os.listdir(path))
		for k in range(1, 321):
		    key = f"{mnt}/{name(k)}"
		    if k not in values:
		        ask("ENOENT", size, key)
		        continue
		    ask(len(values[k]), size, key)
		    ask(0, size, f"{key}/{name(k)}")
		    ask("ENOENT", size, f"{key}/{name(5000)}")
		    ask(values[k], listing, key)
		ask(0, size, f"{mnt}/{name(7)}/{name(3000)}")
		ask({name(k) for k in values}, listing, mnt)
		print(right, eio)
	PY
}

# damaged COMMAND...: the store once more, with COMMAND done to it. It mounts
# and answers, or it does not and says why; fsck sees what costs an answer.
damaged() {
	local status=0 right eio

	rm -rf "$STORE"
	cp -a --sparse=always "$TMP/whole" "$STORE"
	"$@"
	cid_mount_at "$STORE" "$MNT" > "$TMP/said" || status=$?
	if [ "$status" != 0 ]; then
		echo "$*: status $status, $(cat "$TMP/said")"
		[ "$status" = 32 ]
		grep -qF "$STORE" "$TMP/said"
		run cid_is_mounted "$MNT"
		assert_failure
		eio=1
	else
		PID=$(cid_daemon "$MNT")
		read -r right eio < <(answers "$MNT" 2>&1)
		echo "$*: $right right, $eio EIO"
		[ "$right" -gt 0 ] 2> /dev/null || [ "$eio" -gt 0 ]
		cat "$CTL/version" > /dev/null
		[ "$(cid_daemon "$MNT")" = "$PID" ]
		cid_kill KILL
		fusermount3 -u "$MNT"
	fi
	run timeout "$DEADLINE" fsck.cidstore -n "$STORE"
	echo "$*: fsck $status"
	[ "$status" = 4 ] || [ "$status" = 8 ] || { [ "$status" = 0 ] && [ "$eio" = 0 ]; }
}

files() {
	(cd "$TMP/whole" && ls ./*.h5)
}

# write_over FILE OFFSET LENGTH: with bytes out of a seed.
write_over() {
	python3 -c 'import random, sys
at, n = int(sys.argv[2]), int(sys.argv[3])
with open(sys.argv[1], "r+b") as f:
    f.seek(at)
    f.write(random.Random(at).randbytes(n))' "$STORE/$1" "$2" "$3"
}

cut_short() { # FILE LENGTH
	truncate -s "$2" "$STORE/$1"
}

size_of() { # FILE
	stat -c %s "$TMP/whole/$1"
}

@test "the whole store has all answers" {
	cp -a "$TMP/whole" "$STORE"
	cid_mount
	run answers "$MNT"
	assert_output "1222 0"
}

@test "files that were cut short" {
	local file

	for file in $(files); do
		damaged cut_short "$file" 0
		damaged cut_short "$file" 4096
		damaged cut_short "$file" $(($(size_of "$file") / 2))
	done
}

@test "files that were written over" {
	local file at

	for file in $(files); do
		damaged write_over "$file" 0 4096
		damaged write_over "$file" 4096 9000
		[ "$(size_of "$file")" -lt 80000 ] || damaged write_over "$file" 65536 9000
		damaged write_over "$file" 0 "$(size_of "$file")"
	done
}

@test "files that are missing, are another's or are not files" {
	local file

	mkfs.cidstore -q --log-size=256K --segment-size=4M --bucket-size=8K \
		--promotion-threshold=8 "$TMP/other"
	cidctl put "$TMP/other" "$(cid_id 7)" "$(cid_id 5000)"
	cidctl compact "$TMP/other"
	for file in $(files); do
		damaged rm "$STORE/$file"
		damaged cp "$TMP/other/$file" "$STORE/$file"
		damaged sh -c "rm '$STORE/$file' && mkdir '$STORE/$file'"
	done
	damaged rm "$STORE/LOCK"
	damaged rm "$STORE/readers"
}
