# SPDX-License-Identifier: BSD-2-Clause
#
# cidctl on a mount point: the same commands through the control files

load helper

setup() {
	cid_setup
	cid_mount
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	cd /
	cid_teardown
}

A=0000000000000000000000000000000a
B=0000000000000000000000000000000b
C=0000000000000000000000000000000c

@test "put, get and delete are seen by the file system and see it" {
	cidctl put "$MNT" $A $B $C
	assert_file_exist "$MNT/$A/$B"
	assert_file_exist "$MNT/$A/$C"
	mkdir "$MNT/$B"
	touch "$MNT/$B/$A"
	run cidctl get "$MNT" $B
	assert_output $A
	cidctl put "$MNT" $C
	run cidctl get -c "$MNT" $A $B $C
	assert_output "$A 2
$B 1
$C 0"
	cidctl delete "$MNT" $A $B
	assert_file_not_exist "$MNT/$A/$B"
	assert_file_exist "$MNT/$A/$C"
	cidctl delete "$MNT" $A
	assert_not_exist "$MNT/$A"
	run cidctl get "$MNT" $A
	assert_failure 1
	assert_output --partial "no key $A"
}

@test "load: all forms, empty keys too" {
	cid_ids 1 3000 | awk '{ print $1, $1 }' > in.hex
	cid_ids 5001 5100 >> in.hex
	cidctl load --batch=999 "$MNT" in.hex
	assert_equal "$(find "$MNT" -mindepth 2 | wc -l)" 3000
	assert_equal "$(find "$MNT" -mindepth 1 -maxdepth 1 | wc -l)" 3100
	head -n 3000 in.hex | tr ' ' , | cidctl load "$MNT" -
	head -n 3000 in.hex | tr -d ' \n' | xxd -r -p | cidctl load "$MNT"
	cidctl export --format=hex "$MNT" | sort | cmp - in.hex
}

@test "export and import between a mount and a directory" {
	{
		cid_ids 1 9000 | awk '{ print "00000000000000000000000000000001", $1 }'
		cid_ids 2 500
	} | sort > in
	cidctl load "$MNT" in
	cidctl export "$MNT" out
	mkfs.cidstore -q other
	cidctl import other out
	cidctl export --format=hex other | sort | cmp - in
	cidctl export other again
	cidctl delete "$MNT" "$(cid_id 1)"
	run cidctl import "$MNT" again
	assert_success
	cidctl export --format=hex "$MNT" | sort | cmp - in
}

@test "import: damage is refused" {
	cid_ids 1 20000 | awk '{ print $1, $1 }' | cidctl load "$MNT"
	cidctl export "$MNT" good
	head -c $(($(stat -c %s good) - 1)) good > cut
	run cidctl import "$MNT" cut
	assert_failure
	assert_output --partial cut
	echo "no frames" > text
	run cidctl import "$MNT" text
	assert_failure
}

@test "get: large sets, limits and several keys" {
	cid_ids 1 100000 | awk -v k=$A '{ print k, $1 }' | cidctl load "$MNT"
	cidctl put "$MNT" $B $C
	cidctl get "$MNT" $A | sort | cmp - <(cid_ids 1 100000)
	assert_equal "$(cidctl get -n 5000 "$MNT" $A | sort -u | wc -l)" 5000
	# what was left unread of one answer must not be taken for the next
	assert_equal "$(cidctl get -n 1 "$MNT" $A $B $A $B | grep -cx "$B $C")" 2
}

@test "and: the same answer as from the directory" {
	local i

	for i in 2 3 5; do
		seq $i $i 30000 | awk -v k=$i '{ printf "%032x %032x\n", k, $1 }'
	done | cidctl load "$MNT"
	cidctl and "$MNT" "$(cid_id 2)" "$(cid_id 3)" "$(cid_id 5)" | sort > from_mount
	assert_equal "$(wc -l < from_mount)" 1000
	cid_umount
	cidctl and "$STORE" "$(cid_id 2)" "$(cid_id 3)" "$(cid_id 5)" | sort | cmp - from_mount
}

@test "stat and compact" {
	cid_ids 1 5000 | awk '{ print $1, $1 }' | cidctl load "$MNT"
	run cidctl compact "$MNT"
	assert_success
	run cidctl stat "$MNT"
	assert_line "keys 5000"
	assert_line "values 5000"
	cidctl stat --json "$MNT" | python3 -c 'import json, sys
assert json.load(sys.stdin)["keys"] == 5000'
}

@test "both kinds of target tell the same statistics" {
	cidctl stat "$MNT" | cut -d ' ' -f 1 > of_mount
	cid_umount
	cidctl stat "$STORE" | cut -d ' ' -f 1 > of_directory
	run grep -vxFf of_mount of_directory
	assert_failure
	refute_output
}

@test "what was changed survives a kill" {
	cidctl put "$MNT" $A $B
	cid_ids 1 5000 | awk '{ print $1, $1 }' > in
	cidctl load "$MNT" in
	cid_kill
	cid_mount
	run cidctl get "$MNT" $A
	assert_line $B
	assert_equal "$(cidctl export --format=hex "$MNT" | wc -l)" 5001
}

@test "the directory of a mounted store: reading works, changes name the mount" {
	cidctl put "$MNT" $A $B
	run cidctl get "$STORE" $A
	assert_success
	assert_output $B
	run cidctl put "$STORE" $A $C
	assert_failure 4
	assert_output --partial "name the mount point instead"
	run fsck.cidstore "$STORE"
	assert_failure 8
	assert_output --partial "unmount"
}

@test "a read-only mount answers with the remedy" {
	echo "$A $B" > in
	cidctl load "$MNT" in
	cid_remount -o ro
	run cidctl get "$MNT" $A
	assert_output $B
	cidctl export --format=hex "$MNT" | cmp - <(echo "$A $B")
	for command in "put $MNT $A $C" "delete $MNT $A" "load $MNT in" "compact $MNT"; do
		# shellcheck disable=SC2086
		run cidctl $command
		assert_failure 4
		assert_output --partial "mounted read-only"
	done
	run cidctl and "$MNT" $A $A
	assert_output $B
}

@test "completion of keys on a mount" {
	cidctl put "$MNT" 1234567890abcdef1234567890abcdef $B
	cidctl put "$MNT" 1234ffff90abcdef1234567890abcdef $B
	run bash -c '. "$1/completions/bash/cidctl"
		compopt() { :; }
		COMP_WORDS=(cidctl get "$2" "$3") COMP_CWORD=3
		_cidctl
		printf "%s\n" "${COMPREPLY[@]}"' - "$top_srcdir" "$MNT" 12345
	assert_output 1234567890abcdef1234567890abcdef
}
