# SPDX-License-Identifier: BSD-2-Clause
#
# A store as other programs see it that know HDF5: its tools, h5py, and what
# keeps them from harm.

load helper

setup() {
	cid_need h5ls h5dump
	cid_setup --log-size=256K --segment-size=4M --bucket-size=8K --promotion-threshold=8
	cd "$BATS_TEST_TMPDIR"
	PYTHON=/usr/bin/python3
}

teardown() {
	cid_teardown
}

need_h5py() {
	$PYTHON -c 'import h5py, numpy' || skip "h5py is not installed"
}

fill() { # COUNT [VALUE]
	cid_ids 1 "$1" | sed "s/\$/ $(cid_id "${2:-1}")/" | cidctl load "$STORE"
}

# The literal text behind a line of cidstore(5).
literal() { # LINE
	awk -v line="$1" '$0 == line { seen = 1 }
		seen && /^\.Bd -literal/ { inside = 1; next }
		inside && /^\.Ed/ { exit }
		inside { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); print }' "$top_srcdir/man/cidstore.5"
}

@test "h5ls and h5dump see all of it, each field explained" {
	local type field

	fill 3000
	run h5ls -r "$STORE/main.h5"
	assert_success
	for field in /root /config /directory /buckets /values /wal /deletions; do
		assert_line --regexp "^$field +(Group|Dataset)"
	done
	for type in root slot entry footer record deletion value list_ref node_ref page_ref freed; do
		assert_line --regexp "^/types/$type +Type"
	done
	h5dump -H "$STORE/main.h5" > /dev/null
	need_h5py
	run $PYTHON - "$STORE" << 'END'
import h5py, sys
with h5py.File(sys.argv[1] + "/main.h5") as f:
    for name, t in f["types"].items():
        assert "description" in t.attrs, name
        for field in t.dtype.names or ():
            assert field in t.attrs or field.startswith("reserved"), (name, field)
    # the views are of those types
    for view, name in ("buckets", "entry"), ("wal", "record"), ("root", "root"):
        assert f[view].dtype == f["types"][name].dtype, view
END
	assert_success
}

@test "the recipes of cidstore(5) for h5ls and h5dump" {
	local n=0 line

	fill 3000
	cidctl compact "$STORE"
	while IFS= read -r line; do
		echo "$line"
		# what is explained stands behind two blanks or more
		run bash -c "set -e; $(sed 's/   .*//' <<< "$line") > out"
		assert_success
		[ -s out ]
		n=$((n + 1))
	done < <(literal ".Ss h5dump and h5ls")
	[ "$n" -ge 5 ]
	h5dump -d /buckets -s 64 -c 4 "$STORE/main.h5" | grep -q key_low
}

@test "the recipe of cidstore(5) for h5py is always fresh" {
	need_h5py
	cid_need_fuse
	cid_mount
	literal ".Ss h5py" > recipe.py
	grep -q set_sieve_buf_size recipe.py
	cat > fresh.py << 'END'
import h5py, os, sys
exec(open("recipe.py").read())
view = store["wal"]
cached = h5py.File("store/main.h5")["root"]
last = int(max(store["root"]["generation"])), int(max(cached["generation"]))
for i in range(1, 40):
    os.mkdir("mnt/%032x" % i)
    with open("mnt/.cidstore/last_seq") as f:
        seq = int(f.read())
    # a record is there as soon as it is acknowledged
    record = view[seq % len(view)]
    assert record["lsn_low"] == seq, (seq, record)
    if record["opcode"] & 63 == 4:
        assert record["key_low"] == i
    if i % 10 == 0:
        with open("mnt/.cidstore/checkpoint", "w") as f:
            f.write("1")
        cached.refresh()
        now = int(max(store["root"]["generation"])), int(max(cached["generation"]))
        assert now[0] > last[0] and now[1] > last[1], (last, now)
        last = now
END
	run $PYTHON fresh.py
	assert_success
}

@test "h5repack, h5stat and h5diff work on a closed store" {
	local file

	cid_need h5repack h5stat h5diff
	fill 3000
	cidctl compact "$STORE"
	mkdir copy
	for file in "$STORE"/*.h5; do
		h5stat "$file" > stat
		grep -q 'Total file size\|File information' stat
		h5repack "$file" "copy/${file##*/}"
		h5diff "$file" "copy/${file##*/}"
	done
	# Neither changed the store, and what differs is told.
	run fsck.cidstore -n "$STORE"
	assert_success
	cp -a "$STORE" other
	cidctl put other "$(cid_id 77777)"
	run h5diff "$STORE/main.h5" other/main.h5 /root
	assert_failure 1
}

@test "a repacked file is refused, and told as what it is" {
	cid_need h5repack
	fill 100
	h5repack "$STORE/wal-0.h5" packed
	cp packed "$STORE/wal-0.h5"
	run fsck.cidstore -n "$STORE"
	assert_failure
	assert_output --partial "wal-0.h5"
}

@test "while a store is written no other program opens its files for writing" {
	local file

	need_h5py
	cid_need_fuse
	cid_mount
	# Segments that come later are kept as well.
	cid_ids 1 100000 | sed "s/\$/$(cid_id 1)/" | xxd -r -p > "$CTL/ingest"
	cid_job compact
	assert_file_exist "$STORE/buckets-1.h5"
	run $PYTHON - "$STORE"/*.h5 << 'END'
import h5py, sys
for name in sys.argv[1:]:
    for mode in "r+", "a":
        try:
            h5py.File(name, mode)
            sys.exit("%s was opened with %s" % (name, mode))
        except OSError:
            pass
    h5py.File(name, "r").close()
END
	assert_success
	for file in "$STORE"/*.h5; do
		run flock -n -x "$file" true
		assert_failure
		flock -n -s "$file" true
	done
	run flock -n -x "$STORE/LOCK" true
	assert_failure
	cid_umount
	run flock -n -x "$STORE/main.h5" true
	assert_success
}

@test "a live store read by h5py agrees with export" {
	local writer n=0

	need_h5py
	cid_need_fuse
	cid_mount
	(
		for ((i = 0; i < 60; i++)); do
			cid_ids $((i * 500)) $((i * 500 + 999)) | sed "s/\$/$(cid_id "$i")/" |
				xxd -r -p
		done > "$CTL/ingest"
	) 3>&- &
	writer=$!
	while kill -0 $writer 2> /dev/null; do
		$PYTHON "$top_srcdir/scripts/read-store.py" --summary "$STORE"
		n=$((n + 1))
	done
	wait $writer
	$PYTHON "$top_srcdir/scripts/read-store.py" "$STORE" > read
	cidctl export --format=hex "$MNT" | LC_ALL=C sort | cmp - read
	assert_equal "$(wc -l < read)" 60000
}
