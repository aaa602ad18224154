#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# Listings: complete, without repetition, resumable, bounded.

load helper

setup() {
	cid_setup
	cid_mount
	K=$(cid_id 1)
	mkdir "$MNT/$K"
}

teardown() {
	cid_teardown
}

fill() { # COUNT
	(cd "$MNT/$K" && cid_ids 1 "$1" | xargs touch)
}

@test "a listing has every name once, with its type" {
	fill 5000
	run python3 - "$MNT/$K" <<-'PY'
		import os, sys
		names = [e.name for e in os.scandir(sys.argv[1])]
		assert len(names) == len(set(names)) == 5000, len(names)
		assert set(names) == {f"{i:032x}" for i in range(1, 5001)}
		assert all(e.is_file(follow_symlinks=False) for e in os.scandir(sys.argv[1]))
	PY
	assert_success
}

@test "d_type is filled in by every way of listing" {
	touch "$MNT/$K/$(cid_id 1)"
	run find "$MNT" -mindepth 1 -printf '%y %d\n'
	assert_output "d 1
f 2"
	run python3 - "$MNT" <<-'PY'
		import ctypes, os, struct, sys
		libc = ctypes.CDLL(None)
		fd = os.open(sys.argv[1], os.O_RDONLY)
		buf = ctypes.create_string_buffer(4096)
		n = libc.syscall(217, fd, buf, 4096) # getdents64
		at = 0
		while at < n:
		    ino, off, size, kind = struct.unpack_from("<QqHB", buf.raw, at)
		    assert kind == 4 and ino != 0, (kind, ino)
		    assert off > 0
		    at += size
	PY
	assert_success
}

@test "telldir and seekdir come back to every place" {
	fill 3000
	run python3 - "$MNT/$K" <<-'PY'
		import ctypes, os, random, sys
		class Dirent(ctypes.Structure):
		    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64),
		                ("reclen", ctypes.c_ushort), ("type", ctypes.c_ubyte),
		                ("name", ctypes.c_char * 256)]
		libc = ctypes.CDLL(None)
		libc.opendir.restype = ctypes.c_void_p
		libc.readdir.restype = ctypes.POINTER(Dirent)
		libc.telldir.restype = ctypes.c_long
		d = ctypes.c_void_p(libc.opendir(sys.argv[1].encode()))
		at, names = [], []
		while True:
		    at.append(libc.telldir(d))
		    e = libc.readdir(d)
		    if not e:
		        break
		    names.append(e.contents.name)
		assert len(names) == 3002, len(names)
		for i in [0, 1, 2, 3, 3001, 3002] + random.sample(range(3002), 400):
		    libc.seekdir(d, ctypes.c_long(at[i]))
		    e = libc.readdir(d)
		    got = e.contents.name if e else None
		    assert got == (names[i] if i < len(names) else None), i
		libc.rewinddir(d)
		assert libc.readdir(d).contents.name == b"."
	PY
	assert_success
}

@test "small buffers see the same listing" {
	fill 500
	run python3 - "$MNT/$K" <<-'PY'
		import ctypes, os, struct, sys
		libc = ctypes.CDLL(None)
		def listing(size):
		    fd = os.open(sys.argv[1], os.O_RDONLY)
		    buf = ctypes.create_string_buffer(size)
		    names = []
		    while True:
		        n = libc.syscall(217, fd, buf, size)
		        assert n >= 0
		        if n == 0:
		            os.close(fd)
		            return names
		        at = 0
		        while at < n:
		            ino, off, reclen, kind = struct.unpack_from("<QqHB", buf.raw, at)
		            names.append(buf.raw[at + 19:at + reclen].split(b"\0")[0])
		            at += reclen
		want = listing(32768)
		assert len(want) == 502
		for size in 64, 100, 170, 1000, 4096, 5000:
		    assert listing(size) == want, size
	PY
	assert_success
}

@test "what was there throughout is listed once while others come and go" {
	fill 4000
	run python3 - "$MNT/$K" <<-'PY'
		import os, sys, threading
		key = sys.argv[1]
		keep = {f"{i:032x}" for i in range(1, 4001)}
		stop = threading.Event()
		def churn():
		    i = 0
		    while not stop.is_set():
		        name = f"{key}/{'f' * 16}{i % 5000:016x}"
		        os.close(os.open(name, os.O_CREAT))
		        if i % 2:
		            os.unlink(name)
		        i += 1
		t = threading.Thread(target=churn)
		t.start()
		try:
		    for _ in range(20):
		        names = os.listdir(key)
		        assert len(names) == len(set(names))
		        assert keep <= set(names)
		finally:
		    stop.set()
		    t.join()
	PY
	assert_success
}

@test "names removed while listing do not hide others" {
	fill 3000
	run python3 - "$MNT/$K" <<-'PY'
		import os, sys
		key = sys.argv[1]
		seen = 0
		with os.scandir(key) as it:
		    for e in it:
		        os.unlink(e.path)
		        seen += 1
		assert seen == 3000, seen
		assert os.listdir(key) == []
	PY
	assert_success
}

@test "a long listing with attributes, and what changed meanwhile" {
	(cd "$MNT" && cid_ids 100 3099 | xargs mkdir)
	run python3 - "$MNT" <<-'PY'
		import os, sys
		root = sys.argv[1]
		# stat of each entry makes the kernel ask for attributes along with names
		with os.scandir(root) as it:
		    for i, e in enumerate(it):
		        assert e.stat(follow_symlinks=False).st_size == 0
		        if i % 10 == 0:
		            os.close(os.open(e.path + "/" + "a" * 32, os.O_CREAT))
		            assert os.stat(e.path).st_size == 1
		sizes = [os.stat(e.path).st_size for e in os.scandir(root)]
		assert len(sizes) == 3001 and sum(sizes) == 301, (len(sizes), sum(sizes))
	PY
	assert_success
}

@test "the control tree is hidden, and listed when asked for" {
	run ls -A "$MNT"
	assert_output "$K"
	assert_dir_exist "$CTL"
	cid_remount -o ctl=visible
	run ls -A "$MNT"
	assert_line .cidstore
	assert_line "$K"
	run find "$MNT" -maxdepth 1 -name .cidstore -type d
	assert_output "$CTL"
}

@test "the control tree lists itself" {
	run find "$CTL" -maxdepth 1 -type f -name stats
	assert_output "$CTL/stats"
	run find "$CTL/config" -name sync_interval_ms -type f
	assert_output "$CTL/config/sync_interval_ms"
	run ls -la "$CTL" "$CTL/config"
	assert_success
}

@test "tar of a mount comes out in another" {
	fill 100
	mkdir "$MNT/$(cid_id 7)" "$TMP/mnt2"
	mkfs.cidstore --quiet "$TMP/store2"
	cid_mount_at "$TMP/store2" "$TMP/mnt2"
	# A root that grows while it is read would be "changed" to tar.
	run stat -c %s "$MNT"
	assert_output 0
	tar -C "$MNT" -cf "$TMP/all.tar" .
	tar -C "$TMP/mnt2" -xf "$TMP/all.tar"
	run diff -r "$MNT" "$TMP/mnt2"
	assert_success
	run diff <(cd "$MNT" && find . | sort) <(cd "$TMP/mnt2" && find . | sort)
	assert_success
}

@test "rsync --inplace into a mount" {
	cid_need rsync
	fill 50
	mkdir "$TMP/mnt2"
	mkfs.cidstore --quiet "$TMP/store2"
	cid_mount_at "$TMP/store2" "$TMP/mnt2"
	rsync -a --inplace "$MNT/" "$TMP/mnt2/"
	run diff <(cd "$MNT" && find . | sort) <(cd "$TMP/mnt2" && find . | sort)
	assert_success
	rm "$MNT/$K/$(cid_id 3)"
	rsync -a --inplace --delete "$MNT/" "$TMP/mnt2/"
	run diff <(cd "$MNT" && find . | sort) <(cd "$TMP/mnt2" && find . | sort)
	assert_success
}
