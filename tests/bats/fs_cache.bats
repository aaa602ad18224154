#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# What the kernel caches is right when the store changes by another way.

load helper

setup() {
	cid_setup
	cid_mount
	K=$(cid_id 1) V=$(cid_id 2)
	mkdir "$MNT/$K"
}

teardown() {
	cid_teardown
}

batch() {
	{
		cat
		echo commit
	} > "$CTL/batch"
}

@test "a value removed by a batch is gone from the next stat on" {
	for _ in 1 2 3 4 5; do
		touch "$MNT/$K/$V"
		run stat -c %s "$MNT/$K/$V" "$MNT/$K"
		assert_output "0
1"
		batch <<< "delete $K $V"
		assert_not_exist "$MNT/$K/$V"
		run stat -c %s "$MNT/$K"
		assert_output 0
	done
}

@test "a value added by a batch is there, and counted" {
	assert_not_exist "$MNT/$K/$V"
	batch <<< "insert $K $V"
	assert_exist "$MNT/$K/$V"
	run stat -c %s "$MNT/$K"
	assert_output 1
	run mkdir "$MNT/$K"
	assert_failure
}

@test "a key removed by a batch is gone with its values" {
	touch "$MNT/$K/$V"
	stat "$MNT/$K/$V"
	batch <<< "delete $K"
	assert_not_exist "$MNT/$K/$V"
	assert_not_exist "$MNT/$K"
	mkdir "$MNT/$K"
	assert_not_exist "$MNT/$K/$V"
}

@test "an open directory and a working directory see it, too" {
	run python3 - "$MNT" "$K" "$V" <<-'PY'
		import os, sys
		mnt, k, v = sys.argv[1:]
		fd = os.open(f"{mnt}/{k}", os.O_RDONLY)
		os.chdir(f"{mnt}/{k}")
		def batch(line):
		    with open(f"{mnt}/.cidstore/batch", "w") as f:
		        f.write(line + "\ncommit\n")
		for i in range(200):
		    batch(f"insert {k} {v}")
		    assert os.fstat(fd).st_size == 1, i
		    assert os.stat(".").st_size == 1, i
		    assert os.listdir(fd) == [v], i
		    assert os.getcwd() == f"{mnt}/{k}"
		    batch(f"delete {k} {v}")
		    assert os.fstat(fd).st_size == 0, i
		    assert os.stat(".").st_size == 0, i
		    assert os.listdir(".") == [], i
	PY
	assert_success
}

@test "O_EXCL after a removal by a batch" {
	run python3 - "$MNT" "$K" "$V" <<-'PY'
		import os, sys
		mnt, k, v = sys.argv[1:]
		for i in range(200):
		    os.close(os.open(f"{mnt}/{k}/{v}", os.O_CREAT | os.O_EXCL))
		    with open(f"{mnt}/.cidstore/batch", "w") as f:
		        f.write(f"delete {k} {v}\ncommit\n")
	PY
	assert_success
}

@test "a flood through ingest reaches every cached key" {
	(cd "$MNT" && cid_ids 2 500 | xargs mkdir)
	run sh -c "cd '$MNT' && ls | xargs stat -c %s | sort | uniq -c"
	assert_output --regexp '^ *500 0$'
	# 500 values for each of the 500 keys
	awk 'BEGIN { for (k = 1; k <= 500; k++) for (v = 1; v <= 500; v++) printf "%032x%032x", k, v }' |
		xxd -r -p > "$CTL/ingest"
	run sh -c "cd '$MNT' && ls | xargs stat -c %s | sort | uniq -c"
	assert_output --regexp '^ *500 500$'
}

@test "names beyond the table's limit are let go" {
	cid_need_root
	cid_remount -o max_nodes=1024
	before=$(awk '/^fuse_inode/ { print $2 }' /proc/slabinfo)
	run python3 - "$MNT" <<-'PY'
		import os, sys
		for i in range(1000, 21000):
		    os.mkdir(f"{sys.argv[1]}/{i:032x}")
		for i in range(1000, 21000):
		    assert os.stat(f"{sys.argv[1]}/{i:032x}").st_size == 0
	PY
	assert_success
	# Forgetting is asked for in the background; the last of it within the deadline.
	run timeout "$DEADLINE" sh -c "until awk -v b=$before \
		'/^fuse_inode/ { exit !(\$2 < b + 3000) }' /proc/slabinfo; do :; done"
	assert_success
	run sh -c "ls '$MNT' | wc -l"
	assert_output 20001
}
