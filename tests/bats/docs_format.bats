# SPDX-License-Identifier: BSD-2-Clause
#
# A reader that knows nothing but cidstore(5) finds in a store what the library
# put there: in each of its layers, while it is written, and after a kill.

load helper

setup() {
	/usr/bin/python3 -c 'import h5py, numpy' || skip "h5py is not installed"
	# Small in every respect, so that little data has all shapes.
	cid_setup --log-size=256K --segment-size=4M --bucket-size=8K --promotion-threshold=8
}

teardown() {
	cid_teardown
}

read_store() {
	/usr/bin/python3 "$top_srcdir/scripts/read-store.py" "$@"
}

# The reader, the library and the other structures agree.
same() {
	read_store "$STORE" > "$TMP/read" 2> "$TMP/read.log" || { cat "$TMP/read.log" && return 1; }
	cidctl export --format=hex "$STORE" | LC_ALL=C sort > "$TMP/exported"
	cmp "$TMP/read" "$TMP/exported"
	/usr/bin/python3 "$top_srcdir/tests/lib/checkformat.py" "$STORE"
}

# pairs SEED COUNT: keys and values from small ranges; a few keys get many.
pairs() {
	awk -v seed="$1" -v n="$2" 'BEGIN {
		srand(seed)
		for (i = 0; i < n; i++)
			printf "%032x %032x\n", rand() < 0.3 ? rand() * 4 : 10 + rand() * 500,
				rand() * 2000
	}'
}

@test "an empty store" {
	same
	[ ! -s "$TMP/read" ]
}

@test "runs, buckets, packed lists and trees" {
	for seed in 1 2 3; do
		pairs $seed 9000 | cidctl load --format=hex "$STORE"
		same
	done
	cidctl compact "$STORE"
	same
	grep -q 'trees [1-9]' < <(/usr/bin/python3 "$top_srcdir/tests/lib/checkformat.py" "$STORE")
	pairs 4 500 | cidctl load --format=hex "$STORE"
	same
}

@test "deletions, tombstones and empty keys" {
	pairs 1 9000 | cidctl load --format=hex "$STORE"
	cidctl compact "$STORE"
	cidctl delete "$STORE" "$(cid_id 1)"
	cidctl delete "$STORE" "$(cid_id 2)" $(cidctl get -n 20 "$STORE" "$(cid_id 2)")
	cidctl put "$STORE" "$(cid_id 3000)"
	cidctl delete "$STORE" "$(cid_id 4000)" "$(cid_id 1)"
	same
	grep -qx "$(cid_id 3000)" "$TMP/read"
	run grep -c "^$(cid_id 1) " "$TMP/read"
	assert_output 0
	cidctl compact "$STORE"
	same
}

@test "what is in the log alone, after a kill" {
	cid_mount -o checkpoint_interval_ms=86400000
	pairs 1 500 | sed 's/^/insert /; $a commit' > "$CTL/batch"
	mkdir "$MNT/$(cid_id 5000)"
	rmdir "$MNT/$(cid_id 5000)"
	cid_kill
	# Half a transaction more, which must not count: the log is read as it lies.
	read_store "$STORE" > "$TMP/killed"
	pairs 1 500 | LC_ALL=C sort -u | cmp - "$TMP/killed"
	fusermount3 -u "$MNT"
	same
	cmp "$TMP/read" "$TMP/killed"
}

@test "one state of it, while it is written" {
	local writer n=0

	cid_mount
	# Each batch relates two identifiers both ways.
	(
		for ((i = 0; i < 400; i++)); do
			awk -v i="$i" 'BEGIN { srand(i); for (j = 0; j < 25; j++) {
				a = int(rand() * 3000); b = int(rand() * 3000)
				printf "insert %032x %032x\n", a, b
				printf "insert %032x %032x\ncommit\n", b, a
			} }'
		done > "$CTL/batch"
	) 3>&- &
	writer=$!
	while :; do
		kill -0 $writer 2> /dev/null || last=yes
		read_store "$STORE" > "$TMP/read"
		sort "$TMP/read" > "$TMP/there"
		awk '{ print $2, $1 }' "$TMP/read" | sort > "$TMP/back"
		cmp "$TMP/there" "$TMP/back"
		n=$((n + 1))
		[ -z "${last-}" ] || break
	done
	wait $writer
	[ -s "$TMP/read" ]
	cid_umount
	same
	echo "read $n times" >&3
}
