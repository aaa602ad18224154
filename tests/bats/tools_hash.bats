# SPDX-License-Identifier: BSD-2-Clause
#
# cidctl hash and resolve

load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
}

@test "hash: contents as xxhsum -H128 has them" {
	local n

	cid_need xxhsum
	for n in 0 1 16 17 128 129 240 241 1024 262143 262144 262145 1000000; do
		head -c $n /dev/urandom > "file$n"
	done
	xxhsum -H128 file* | sed 's/ .*//' > want
	cidctl hash file* | cmp - want
	cidctl hash - < file1024 | cmp - <(xxhsum -H128 < file1024 | cut -c 1-32)
	assert_equal "$(cidctl hash --names file16)" "$(xxhsum -H128 file16)"
}

@test "hash: strings and lines" {
	assert_equal "$(cidctl hash --text abc)" "$(printf abc | cidctl hash)"
	assert_equal "$(printf 'a\n\nb c\nlast' | cidctl hash --lines)" \
		"$(cidctl hash --text a '' 'b c' last)"
}

@test "hash: MD5s and UUIDs are taken over" {
	local md5=D41D8CD98F00B204E9800998ECF8427E

	assert_equal "$(cidctl hash --md5 $md5)" "${md5,,}"
	assert_equal "$(cidctl hash --uuid 123E4567-e89b-12d3-a456-426614174000)" \
		123e4567e89b12d3a456426614174000
	printf 'one' > one
	printf 'two' > two
	md5sum one two | cidctl hash --md5 --names > got
	md5sum one two | cmp - got
	run cidctl hash --md5 123e4567-e89b-12d3-a456-426614174000
	assert_failure 3
	run cidctl hash --uuid $md5
	assert_failure 3
	printf '%s  a\nnonsense\n' $md5 > in
	run cidctl hash --md5 < in
	assert_failure 3
	assert_line "cidctl hash: standard input:2: 'nonsense' is no MD5"
}

@test "hash: errors do not hide the rest" {
	echo a > a
	run cidctl hash missing a
	assert_failure 4
	assert_line --partial "missing: No such file"
	assert_line "$(cidctl hash a)"
	run cidctl hash .
	assert_failure 4
	run cidctl hash --text
	assert_failure 2
}

@test "resolve: names come back, from arguments and in lines" {
	local id

	cidctl hash -q --text --dict=d "some name" other
	id=$(cidctl hash --text "some name")
	assert_equal "$(cidctl resolve --dict=d "$id")" "some name"
	printf 'x %s,%s y\n%s0 0%s\n' "$id" "$(cidctl hash --text other)" "$id" "$id" > lines
	run cidctl resolve --dict=d < lines
	assert_success
	assert_line --index 0 "x some name,other y"
	assert_line --index 1 "${id}0 0${id}"
	assert_equal "$(printf %s "$id" | cidctl resolve --dict=d -)" "some name"
}

@test "resolve: unknown identifiers" {
	cidctl hash -q --text --dict=d a
	run cidctl resolve --dict=d "$(cid_id 1)" "$(cidctl hash --text a)"
	assert_failure 1
	assert_line "cidctl resolve: $(cid_id 1) has no name in the dictionary"
	assert_line a
	assert_equal "$(cid_id 1 | cidctl resolve --dict=d)" "$(cid_id 1)"
	run cidctl resolve --dict=missing "$(cid_id 1)"
	assert_failure 4
	assert_output --partial missing
	run cidctl resolve "$(cid_id 1)"
	assert_failure 2
	run cidctl resolve --dict=d nonsense
	assert_failure 2
}

@test "dict: one content under several names" {
	echo same > a
	echo same > b
	cidctl hash -q --dict=d a b
	cidctl hash -q --dict=d b a
	assert_equal "$(wc -l < d)" 2
	local id
	id=$(cidctl hash a)
	assert_equal "$(cidctl resolve --dict=d "$id")" a
	assert_equal "$(cidctl resolve --all --dict=d "$id")" "a
b"
	assert_equal "$(echo "<$id>" | cidctl resolve --all --dict=d)" "<a	b>"
	cidctl resolve --json --dict=d "$id" | python3 -c 'import json, sys
assert json.load(sys.stdin)[0]["names"] == ["a", "b"]'
}

@test "dict: names with tabs, newlines and backslashes stay one line" {
	cidctl hash -q --text --dict=d $'a\tb\nc\\d'
	assert_equal "$(wc -l < d)" 1
	assert_equal "$(cut -f 2 d)" 'a\tb\nc\\d'
	assert_equal "$(cidctl resolve --dict=d "$(cidctl hash --text $'a\tb\nc\\d')")" 'a\tb\nc\\d'
}

@test "dict: a torn last line harms no other" {
	cidctl hash -q --text --dict=d a
	printf 'torn' >> d
	cidctl hash -q --text --dict=d b a
	assert_equal "$(wc -l < d)" 3
	assert_equal "$(cidctl resolve --dict=d "$(cidctl hash --text a)" "$(cidctl hash --text b)")" "a
b"
}

@test "dict: many names, many of them of one identifier, quickly" {
	seq 1 200000 > lines
	timeout "$DEADLINE" cidctl hash -q --lines --dict=d lines
	timeout "$DEADLINE" cidctl hash -q --lines --dict=d lines
	assert_equal "$(wc -l < d)" 200000
	cidctl hash --lines lines > ids
	timeout "$DEADLINE" cidctl resolve --dict=d < ids | cmp - lines
	awk '{ print "d41d8cd98f00b204e9800998ecf8427e  file" $1 }' lines > sums
	timeout "$DEADLINE" cidctl hash -q --md5 --dict=e < sums
	assert_equal "$(wc -l < e)" 200000
	timeout "$DEADLINE" cidctl resolve --all --dict=e d41d8cd98f00b204e9800998ecf8427e |
		cmp - <(sed 's/.*  //' sums)
}

@test "dict: writers at the same time lose nothing and tear nothing" {
	local i pids=()

	for i in 1 2 3 4 5 6 7 8; do
		# half of each writer's names are those of its neighbour, and the
		# dictionary is written in more than one piece
		seq $((i * 50000)) $((i * 50000 + 99999)) | sed 's/$/ a name that is not too short/' |
			cidctl hash -q --lines --dict=d &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	seq 50000 499999 | sed 's/$/ a name that is not too short/' > want
	cut -f 2 d | sort -n | cmp - want
	cut -f 2 d | cidctl hash --lines | cmp - <(cut -f 1 d)
}

@test "dict: what cannot be written is a failure, and leaves the file as it was" {
	run cidctl hash --text --dict=missing/d a
	assert_failure 4
	assert_output --partial "missing/d"
	run cidctl hash --text --dict=/dev/full a
	assert_failure 4
}
