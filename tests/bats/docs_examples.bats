# SPDX-License-Identifier: BSD-2-Clause
#
# The programs of examples/, and the one in README, do what they say.

load helper

setup() {
	cid_setup
	A=$(cid_id 1) B=$(cid_id 2) C=$(cid_id 3)
	examples=$top_builddir/examples # `load` alone is a function of bats
	[ -x "$examples/load" ] || skip "the examples were not built"
}

@test "load inserts the pairs of its input, and the same again" {
	cid_ids 1 100000 | awk '{ print substr($0, 1, 31) "0", $0 }' > "$TMP/pairs"
	run "$examples/load" "$STORE" < "$TMP/pairs"
	assert_success
	assert_output "100000 pairs"
	run "$examples/load" "$STORE" < "$TMP/pairs"
	assert_success
	cidctl export --format=hex "$STORE" | sort | cmp - "$TMP/pairs"
}

@test "load makes a store, and names the line that is no pair" {
	run "$examples/load" "$TMP/new" <<< "$A $B
$A $B $C"
	assert_failure 1
	assert_output "load: line 2 is not a pair"
	run cidctl get "$TMP/new" "$A"
	assert_output "$B"
}

@test "link relates both ways" {
	run "$examples/link" "$STORE" "$A" "$B"
	assert_success
	assert_output "$A: 1
    $B
$B: 1
    $A"
	run "$examples/link" "$STORE" "$A" nothing
	assert_failure 2
}

@test "follow shows what another process changes" {
	local pid

	mkfifo "$TMP/states"
	timeout "$DEADLINE" "$examples/follow" "$STORE" "$A" 3 > "$TMP/states" 3>&- &
	pid=$!
	exec 5< "$TMP/states"
	read -r -t "$DEADLINE" -u 5 line
	[[ $line == "epoch "*": 0 values" ]]
	"$examples/link" "$STORE" "$A" "$B"
	read -r -t "$DEADLINE" -u 5 line
	[[ $line == "epoch "*": 1 values" ]]
	"$examples/link" "$STORE" "$A" "$C"
	read -r -t "$DEADLINE" -u 5 line
	[[ $line == "epoch "*": 2 values" ]]
	wait "$pid"
}

@test "the program in README compiles" {
	awk '/^    #include/ { inside = 1 } inside && /^    cc / { exit }
		inside { print substr($0, 5) }' "$top_srcdir/README" > "$TMP/prog.c"
	grep -q main "$TMP/prog.c"
	run ${CC:-cc} -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"$top_srcdir/include" "$TMP/prog.c"
	assert_success
}
