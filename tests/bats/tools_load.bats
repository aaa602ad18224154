# SPDX-License-Identifier: BSD-2-Clause
#
# cidctl load, export and import on a store's directory

load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkfs.cidstore -q s
}

# Everything in a store, sorted lines.
content() { # STORE
	cidctl export --format=hex "$1" | LC_ALL=C sort
}

K1=000000000000000000000000000000a1
V1=000000000000000000000000000000b1
V2=ffffffffffffffffffffffffffffffff

@test "load: hex lines, blanks, comments, empty keys" {
	printf '# a comment\n\n%s %s\n  %s\t%s  \r\n%s\n' "$K1" "$V1" "$K1" "$V2" "$V2" > in
	cidctl load s in
	run content s
	assert_output "$K1 $V1
$K1 $V2
$V2"
}

@test "load: a last line without its end counts" {
	printf '%s %s' "$K1" "$V1" | cidctl load s
	run content s
	assert_output "$K1 $V1"
}

@test "load: upper case and UUIDs" {
	echo "123E4567-E89B-12D3-A456-426614174000 ABCDEF0123456789ABCDEF0123456789" |
		cidctl load s -
	run content s
	assert_output "123e4567e89b12d3a456426614174000 abcdef0123456789abcdef0123456789"
}

@test "load: CSV with a header, quotes and UUIDs" {
	printf 'key,value\n"%s","%s"\n%s , 123e4567-e89b-12d3-a456-426614174000\n%s\n' \
		"$K1" "$V1" "$K1" "$V2" > in.csv
	cidctl load s in.csv
	run content s
	assert_output "$K1 $V1
$K1 123e4567e89b12d3a456426614174000
$V2"
}

@test "load: CSV without a header loses no line" {
	printf '%s,%s\n%s,%s\n' "$K1" "$V1" "$K1" "$V2" > in.csv
	cidctl load s in.csv
	assert_equal "$(content s | wc -l)" 2
}

@test "load: records, told from their bytes" {
	printf '%s%s%s%s' "$K1" "$V1" "$K1" "$V2" | xxd -r -p > in.bin
	cidctl load s in.bin
	run content s
	assert_output "$K1 $V1
$K1 $V2"
}

@test "load: more than a batch and a buffer, in every form" {
	local form

	cid_ids 1 50000 | awk '{ print $1, $1 }' > in.hex
	tr ' ' , < in.hex > in.csv
	tr -d ' \n' < in.hex | xxd -r -p > in.bin
	for form in hex csv bin; do
		mkfs.cidstore -q "$form"
		cidctl load --batch=777 "$form" "in.$form"
		content "$form" | cmp - in.hex
		mkfs.cidstore -q "pipe-$form"
		cat "in.$form" | cidctl load --json "pipe-$form" > figures
		python3 -c 'import json
assert json.load(open("figures"))["pairs"] == 50000'
		content "pipe-$form" | cmp - in.hex
	done
}

@test "load: a bad line is named by file and line, and what precedes it is kept" {
	local bad

	for bad in "$K1 xyz" "$K1$V1" "$K1 $V1 $V2" "${K1}0" "${K1%?}" "$K1 $V1," "g${K1#?} $V1"; do
		rm -rf s
		mkfs.cidstore -q s
		printf '%s %s\n%s\n%s %s\n' "$K1" "$V1" "$bad" "$K1" "$V2" > in
		run cidctl load s in
		assert_failure 3
		assert_output --partial "cidctl load: in:2: "
		run content s
		assert_output "$K1 $V1"
	done
}

@test "load: a bad line of CSV is named, the header only once" {
	printf 'key,value\nkey,value\n' > in.csv
	run cidctl load s in.csv
	assert_failure 3
	assert_output --partial "in.csv:2: "
	printf '%s;%s\n' "$K1" "$V1" > in.csv
	run cidctl load --format=csv s in.csv
	assert_failure 3
	assert_output --partial "in.csv:1: "
}

@test "load: a torn record is an error, whole ones before it are kept" {
	{
		printf '%s%s' "$K1" "$V1" | xxd -r -p
		printf 'torn'
	} > in.bin
	run cidctl load --format=bin s in.bin
	assert_failure 3
	assert_output --partial "inside record 2"
	run content s
	assert_output "$K1 $V1"
}

@test "load: files and targets that are none" {
	run cidctl load s missing
	assert_failure 4
	assert_output --partial "missing: No such file"
	run cidctl load missing /dev/null
	assert_failure 4
	assert_output --partial "missing"
	mkdir empty
	run cidctl load empty /dev/null
	assert_failure 4
	assert_output --partial "empty"
	run cidctl load s .
	assert_failure 4
	assert_output --partial "directory"
	run cidctl load --format=xml s in
	assert_failure 2
	run cidctl load --batch=0 s in
	assert_failure 2
	run cidctl load
	assert_failure 2
}

@test "export and import carry everything, empty keys too" {
	{
		cid_ids 1 9000 | awk '{ print "00000000000000000000000000000001", $1 }'
		cid_ids 2 5000
		cid_ids 6000 9000 | awk '{ print $1, $1 }'
	} > in
	cidctl load s in
	cidctl export s out
	mkfs.cidstore -q t
	cidctl import t out
	content t > t.hex
	LC_ALL=C sort in | cmp - t.hex
	mkfs.cidstore -q u
	cidctl export s | cidctl import u
	content u | cmp - t.hex
}

@test "export: an empty store" {
	cidctl export s out
	mkfs.cidstore -q t
	cidctl import t out
	run content t
	assert_success
	refute_output
}

@test "export: bin says how many empty keys it leaves out" {
	printf '%s %s\n%s\n' "$K1" "$V1" "$V2" | cidctl load s
	run cidctl export --format=bin s out
	assert_success
	assert_output --partial "1 empty keys were left out"
	assert_equal "$(xxd -p -c 64 out)" "$K1$V1"
}

@test "export: a file appears whole, with the umask, or not at all" {
	cid_ids 1 100 | cidctl load s
	umask 027
	cidctl export s out
	assert_equal "$(stat -c %a out)" 640
	echo before > kept
	run cidctl export missing kept
	assert_failure 4
	assert_equal "$(cat kept)" before
	run cidctl export s missing/out
	assert_failure 4
	assert_output --partial "missing/out"
	assert_equal "$(find . -name '*.??????' | wc -l)" 0
}

@test "export: a full disk and a reader that leaves are failures" {
	cid_ids 1 20000 | awk '{ print $1, $1 }' | cidctl load s
	run sh -c 'cidctl export s > /dev/full'
	assert_failure 4
	assert_output --partial "No space left"
	run bash -c 'cidctl export --format=hex s | head -n 1; echo "${PIPESTATUS[0]}"'
	assert_line --index 1 4
	refute_line --index 2 --regexp .
}

@test "import: every kind of damage is refused" {
	cid_ids 1 20000 | awk '{ print $1, $1 }' | cidctl load s
	cidctl export s good
	local size
	size=$(stat -c %s good)

	head -c $((size - 1)) good > cut
	mkfs.cidstore -q t
	run cidctl import t cut
	assert_failure
	assert_output --partial "cut: "

	cp good flipped
	printf '\377' | dd of=flipped bs=1 seek=$((size / 2)) conv=notrunc status=none
	cmp -s good flipped && fail "nothing was flipped"
	run cidctl import t flipped
	assert_failure
	assert_output --partial "flipped: "

	cat good good > twice
	run cidctl import t twice
	assert_failure

	echo "no frames" > text
	run cidctl import t text
	assert_failure 3

	run cidctl import t /dev/null
	assert_failure 3
}

@test "load shows nothing in a pipe and a bar on a terminal" {
	cid_ids 1 1000 > in
	run cidctl load s in
	refute_output
	cid_need script
	run script -qec "cidctl load s in" /dev/null
	assert_success
	assert_output --partial "loaded 0 pairs and 1.0 k keys alone"
}
