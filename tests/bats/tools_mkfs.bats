# SPDX-License-Identifier: BSD-2-Clause
#
# mkfs.cidstore and fsck.cidstore at the command line

load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
}

@test "mkfs.cidstore makes a store and says so" {
	run mkfs.cidstore s
	assert_success
	assert_line --index 0 "s: store made"
	assert_output --partial "1048576 records"
	run fsck.cidstore -n s
	assert_success
}

@test "mkfs.cidstore takes an empty directory, and -q is silent" {
	mkdir s
	run mkfs.cidstore -q s
	assert_success
	refute_output
}

@test "mkfs.cidstore refuses a directory that is not empty" {
	mkdir full
	touch full/something
	run mkfs.cidstore full
	assert_failure 1
	assert_output --partial "full is not empty"
	assert_equal "$(ls full)" something
}

@test "mkfs.cidstore refuses a store" {
	mkfs.cidstore -q s
	cidctl put s "$(cid_id 1)" "$(cid_id 2)"
	run mkfs.cidstore s
	assert_failure 1
	assert_output --partial "s holds a store already"
	run cidctl get s "$(cid_id 1)"
	assert_output "$(cid_id 2)"
}

@test "mkfs.cidstore refuses a file and a missing parent" {
	touch file
	run mkfs.cidstore file
	assert_failure 1
	assert_output --partial "not a directory"
	run mkfs.cidstore missing/s
	assert_failure 1
	assert_output --partial "missing"
}

@test "mkfs.cidstore: options by name and by number are one" {
	run mkfs.cidstore -n -o log_size=1M,segment_size=8M,promotion_threshold=64 s
	assert_success
	assert_output --partial "16384 records"
	assert_output --partial "from 64 values"
	assert_not_exist s
	run mkfs.cidstore -n --log-size=1048576 --segment-size=8m --promotion-threshold=64 s
	assert_success
	assert_output --partial "16384 records"
	assert_output --partial "8.0 MiB"
}

@test "mkfs.cidstore: bad options are usage errors that name the bounds" {
	local bad

	for bad in --log-size=3M --log-size=128K --log-size=8G --log-size=12Q --log-size= \
		--log-size=-1 --segment-size=1M --promotion-threshold=5 \
		--promotion-threshold=8192 --bucket-size=1 --seed=x "-o nonsense=1" "-o log_size" \
		--nonsense; do
		# shellcheck disable=SC2086
		run mkfs.cidstore $bad s
		assert_failure 2
		assert_not_exist s
	done
	run mkfs.cidstore
	assert_failure 2
	run mkfs.cidstore a b
	assert_failure 2
}

@test "mkfs.cidstore refuses sizes the engine would not take" {
	run mkfs.cidstore -n --bucket-size=4K s
	assert_failure 2
	assert_output --partial "bucket_size: 4K is outside 8192 to"
	run mkfs.cidstore -n --segment-size=4M --log-size=1M --bucket-size=1M s
	assert_failure 2
	assert_output --partial "at most an eighth of segment_size"
	run mkfs.cidstore -n --segment-size=4M s
	assert_failure 2
	assert_output --partial "four times log_size"
	mkfs.cidstore -q --segment-size=4M --log-size=1M --bucket-size=8K s
	assert_not_exist s.tmp
}

@test "mkfs.cidstore: one seed gives one order" {
	local s

	for s in a b; do
		mkfs.cidstore -q --seed=0x1234 $s
		cid_ids 1 200 | cidctl load $s
		cidctl export --format=hex $s > $s.hex
	done
	assert_equal "$(wc -l < a.hex)" 200
	cmp a.hex b.hex
}

@test "fsck.cidstore: figures as text and as JSON" {
	mkfs.cidstore -q s
	cidctl put s "$(cid_id 1)" "$(cid_id 2)" "$(cid_id 3)" "$(cid_id 4)"
	cidctl compact s
	run fsck.cidstore s
	assert_success
	assert_line "s: clean, 1 keys and 3 values"
	run fsck.cidstore -q s
	assert_success
	refute_output
	fsck.cidstore --json s > report
	python3 - <<-'END'
		import json
		r = json.load(open("report"))
		assert r["status"] == 0 and r["keys"] == 1 and r["values"] == 3, r
		assert r["findings"] == [] and r["errors"] == 0, r
	END
}

@test "fsck.cidstore counts what is in runs and in the log, too" {
	mkfs.cidstore -q s
	cid_ids 1 3000 | sed "s/\$/ $(cid_id 1)/" | cidctl load s
	cid_ids 2001 4000 | sed "s/\$/ $(cid_id 2)/" | cidctl load s
	cidctl delete s "$(cid_id 1)"
	run fsck.cidstore -n s
	assert_success
	assert_line "s: clean, 3999 keys and 4999 values"
	run fsck.cidstore -n -v s
	assert_line --regexp "^buckets [0-9]+, runs [1-9]"
	run fsck.cidstore --quick s
	assert_line --regexp "clean, about [0-9]+ keys"
	mkdir mnt
	cid_need_fuse
	cid_mount_at s mnt
	mkdir "mnt/$(cid_id 9000)"
	cid_kill KILL mnt
	fusermount3 -u mnt
	run fsck.cidstore -n s
	assert_line "s: clean, 4000 keys and 4999 values"
	cidctl compact s
	run fsck.cidstore s
	assert_line "s: clean, 4000 keys and 4999 values"
}

@test "fsck.cidstore: what cannot be checked is 8, usage is 16" {
	mkdir none
	run fsck.cidstore none
	assert_failure 8
	assert_output --partial none
	run fsck.cidstore missing
	assert_failure 8
	run fsck.cidstore
	assert_failure 16
	run fsck.cidstore -n -y s
	assert_failure 16
	run fsck.cidstore --nonsense s
	assert_failure 16
	fsck.cidstore --json none > report || true
	python3 -c 'import json
r = json.load(open("report"))
assert r["status"] == 8 and "none" in r["message"], r'
}

@test "the tools tell their version and help" {
	local program

	for program in mkfs.cidstore fsck.cidstore cidctl; do
		run $program --version
		assert_success
		assert_output --regexp "^$program [0-9]+\.[0-9]+"
		run $program --help
		assert_success
		assert_output --partial "Usage: $program"
	done
}
