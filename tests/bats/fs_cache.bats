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

# One write: a descriptor that is closed within a batch says EINVAL.
batch() { # LINE
	printf '%s\ncommit\n' "$1" > "$CTL/batch"
}

@test "a value removed by a batch is gone from the next stat on" {
	for _ in 1 2 3 4 5; do
		touch "$MNT/$K/$V"
		run stat -c %s "$MNT/$K/$V" "$MNT/$K"
		assert_output "0
1"
		batch "delete $K $V"
		assert_not_exist "$MNT/$K/$V"
		run stat -c %s "$MNT/$K"
		assert_output 0
	done
}

@test "a value added by a batch is there, and counted" {
	assert_not_exist "$MNT/$K/$V"
	batch "insert $K $V"
	assert_exist "$MNT/$K/$V"
	run stat -c %s "$MNT/$K"
	assert_output 1
	run mkdir "$MNT/$K"
	assert_failure
}

@test "a key removed by a batch is gone with its values" {
	touch "$MNT/$K/$V"
	stat "$MNT/$K/$V"
	batch "delete $K"
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

nodes() {
	python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.cidstore.nodes").decode())' "$MNT"
}

@test "names beyond the table's limit are let go" {
	cid_remount -o max_nodes=1024
	run python3 - "$MNT" <<-'PY'
		import os, sys
		root = sys.argv[1]
		most = 0
		def nodes():
		    return int(os.getxattr(root, "user.cidstore.nodes"))
		for i in range(1000, 21000):
		    os.mkdir(f"{root}/{i:032x}")
		    if i % 1000 == 0:
		        most = max(most, nodes())
		for i in range(1000, 21000):
		    assert os.stat(f"{root}/{i:032x}").st_size == 0
		    if i % 1000 == 0:
		        most = max(most, nodes())
		print(most)
	PY
	assert_success
	# The rest is asked for in the background.
	for ((SECONDS = 0; SECONDS < DEADLINE;)); do
		[ "$(nodes)" -gt 1024 ] || break
	done
	run nodes
	[ "$output" -le 1024 ]
	run sh -c "ls '$MNT' | wc -l"
	assert_output 20001
}

@test "a name in use outlives the table's limit" {
	cid_remount -o max_nodes=1024
	touch "$MNT/$K/$V"
	exec 7< "$MNT/$K/$V"
	cd "$MNT/$K"
	(cd "$MNT" && cid_ids 1000 4000 | xargs mkdir)
	run stat -L -c '%s %h' /proc/self/fd/7
	assert_output "0 1"
	run pwd -P
	assert_output "$MNT/$K"
	touch "$(cid_id 77)"
	run ls .
	assert_line "$V"
	assert_line "$(cid_id 77)"
	exec 7<&-
	cd "$TMP"
}
