# SPDX-License-Identifier: BSD-2-Clause
#
# cidctl get, put, delete, and, stat and compact on a store's directory

load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkfs.cidstore -q s
}

A=0000000000000000000000000000000a
B=0000000000000000000000000000000b
C=0000000000000000000000000000000c

@test "put and get" {
	cidctl put s $A $C $B
	run cidctl get s $A
	assert_success
	assert_equal "$(sort <<< "$output")" "$B
$C"
	cidctl put s $B
	run cidctl get s $B
	assert_success
	refute_output
	run cidctl get -c s $A $B
	assert_output "$A 2
$B 0"
}

@test "get: prints lines that load reads" {
	cidctl put s $A $B $C
	cidctl put s $B
	cidctl get s $A $B > lines
	cidctl get -k s $A > one
	grep -qx "$B" lines
	mkfs.cidstore -q t
	cidctl load t lines
	assert_equal "$(cidctl export --format=hex t | sort)" "$(cidctl export --format=hex s | sort)"
	assert_equal "$(sort one)" "$A $B
$A $C"
}

@test "get: -n limits each key" {
	cid_ids 1 10000 | awk -v k=$A '{ print k, $1 }' | cidctl load s
	assert_equal "$(cidctl get s $A | sort -u | wc -l)" 10000
	assert_equal "$(cidctl get -n 4097 s $A | sort -u | wc -l)" 4097
	assert_equal "$(cidctl get -n 0 s $A | wc -l)" 0
	assert_equal "$(cidctl get -c s $A)" 10000
}

@test "get: a key that does not exist is 1, and the others are printed" {
	cidctl put s $A $B
	run cidctl get s $C $A
	assert_failure 1
	assert_line "cidctl get: s: no key $C"
	assert_line "$A $B"
	run cidctl get -q s $C
	assert_failure 1
	refute_output
}

@test "get: JSON" {
	cidctl put s $A $B $C
	cidctl get --json s $A > out
	cidctl --json get -c s $A > counts
	python3 - <<-END
		import json
		r = json.load(open("out"))
		assert r[0]["key"] == "$A" and r[0]["count"] == 2, r
		assert sorted(r[0]["values"]) == ["$B", "$C"], r
		assert json.load(open("counts")) == [{"key": "$A", "count": 2}]
	END
}

@test "get: malformed keys are usage errors" {
	local bad

	for bad in xyz ${A}0 ${A%?} '' "$A "; do
		run cidctl get s "$bad"
		assert_failure 2
		assert_output --partial "is not an identifier"
	done
}

@test "delete: values, then keys" {
	cidctl put s $A $A $B $C
	cidctl delete s $A $B $A
	run cidctl get s $A
	assert_output $C
	cidctl delete s $A $C
	run cidctl get -c s $A
	assert_output 0
	cidctl put s $A $B
	cidctl delete s $A
	run cidctl get s $A
	assert_failure 1
	run cidctl delete s $A $B
	assert_success
}

@test "put: nothing is done when one value is malformed" {
	run cidctl put s $A $B nonsense
	assert_failure 2
	run cidctl get s $A
	assert_failure 1
}

@test "and: against an independent computation" {
	# Multiples of 2, 3 and 5: the sets meet in the multiples of 30.
	local i

	for i in 2 3 5; do
		seq $i $i 60000 | awk -v k=$i '{ printf "%032x %032x\n", k, $1 }'
	done | cidctl load s
	cidctl and s "$(cid_id 2)" "$(cid_id 3)" "$(cid_id 5)" | sort > got
	seq 30 30 60000 | awk '{ printf "%032x\n", $1 }' | sort | cmp - got
	assert_equal "$(cidctl and -c s "$(cid_id 2)" "$(cid_id 3)")" 10000
	assert_equal "$(cidctl and -c s "$(cid_id 5)" "$(cid_id 5)")" 12000
}

@test "and: a small set against a large one, and sets that do not meet" {
	seq 1 100000 | awk -v k=$A '{ printf "%s %032x\n", k, $1 }' | cidctl load s
	cidctl put s $B "$(cid_id 77777)" "$(cid_id 200000)" "$(cid_id 5)"
	cidctl put s $C "$(cid_id 200000)"
	run cidctl and s $A $B
	assert_success
	assert_equal "$(sort <<< "$output")" "$(cid_id 5)
$(cid_id 77777)"
	run cidctl and s $A $C
	assert_success
	refute_output
	cidctl put s "$(cid_id 1)"
	run cidctl and -c s $A "$(cid_id 1)"
	assert_output 0
}

@test "and: a missing key is 1; one key alone is usage" {
	cidctl put s $A $B
	run cidctl and s $A $C
	assert_failure 1
	assert_output --partial "no key $C"
	run cidctl and s $A
	assert_failure 2
}

@test "and: JSON" {
	cidctl put s $A $B $C
	cidctl put s $B $C
	cidctl and --json s $A $B > out
	cidctl and --json -c s $A $B > count
	python3 - <<-END
		import json
		assert json.load(open("out")) == {"values": ["$C"], "count": 1}
		assert json.load(open("count")) == {"count": 1}
	END
}

@test "stat: lines and JSON" {
	cidctl put s $A $B $C
	run cidctl stat s
	assert_success
	assert_line "keys 1"
	assert_line "values 2"
	cidctl stat --json s | python3 -c 'import json, sys
r = json.load(sys.stdin)
assert r["keys"] == 1 and r["values"] == 2, r'
}

@test "compact keeps everything" {
	cid_ids 1 5000 | awk '{ print $1, $1 }' > in
	cidctl load s in
	cid_ids 1 2500 | while read -r k; do echo "$k"; done > gone
	xargs -n 1 cidctl delete s < <(head -n 20 gone)
	run cidctl compact s
	assert_success
	refute_output
	cidctl export --format=hex s | sort > out
	tail -n +21 in | cmp - out
	run fsck.cidstore -n s
	assert_success
}

@test "usage errors are 2, with a hint" {
	run cidctl
	assert_failure 2
	run cidctl nonsense
	assert_failure 2
	assert_output --partial "unknown command 'nonsense'"
	for command in load export import get put delete and stat compact; do
		run cidctl $command
		assert_failure 2
		assert_output --partial "Try 'cidctl $command --help'"
		run cidctl $command --nonsense s
		assert_failure 2
		run cidctl $command --help
		assert_success
		assert_output --partial "Usage: cidctl $command"
	done
}

@test "output that cannot be written is a failure" {
	cidctl put s $A $B
	run sh -c "cidctl get s $A > /dev/full"
	assert_failure 4
	run sh -c "cidctl stat s > /dev/full"
	assert_failure 4
	assert_output --partial "standard output"
}
