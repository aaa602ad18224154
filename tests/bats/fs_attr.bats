#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# stat, chmod, chown, extended attributes, statfs.

load helper

setup() {
	cid_setup
	K=$(cid_id 1) V=$(cid_id 2)
}

teardown() {
	cid_teardown
}

call() {
	python3 "$top_srcdir/tests/lib/syscall.py" "$@"
}

expect() {
	local want=$1

	shift
	run call "$@"
	assert_output "$want"
}

pair() {
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
}

@test "a key's size is its number of values, at once" {
	cid_mount
	mkdir "$MNT/$K"
	for n in $(seq 1 20); do
		run stat -c %s "$MNT/$K"
		assert_output "$((n - 1))"
		touch "$MNT/$K/$(cid_id "$n")"
	done
	for n in $(seq 1 20); do
		rm "$MNT/$K/$(cid_id "$n")"
		run stat -c %s "$MNT/$K"
		assert_output "$((20 - n))"
	done
}

@test "a key's size is exact under makers, removers and onlookers" {
	cid_mount
	mkdir "$MNT/$K"
	run python3 - "$MNT/$K" <<-'PY'
		import os, sys, threading
		key = sys.argv[1]
		stop = False
		def look():
		    while not stop:
		        os.stat(key)
		def change(part):
		    for i in range(2000):
		        os.close(os.open(f"{key}/{part:016x}{i:016x}", os.O_CREAT | os.O_EXCL))
		        if i % 3 == 0:
		            os.unlink(f"{key}/{part:016x}{i:016x}")
		lookers = [threading.Thread(target=look) for _ in range(3)]
		changers = [threading.Thread(target=change, args=(p,)) for p in range(3)]
		for t in lookers + changers:
		    t.start()
		for t in changers:
		    t.join()
		stop = True
		for t in lookers:
		    t.join()
		print(os.stat(key).st_size, len(os.listdir(key)))
	PY
	assert_output "3999 3999"
}

# Makes the daemon slow to say what it read of a node, and slower still to tell
# the kernel that it changed; while a file is there.
slow_answers() {
	${CC:-cc} -shared -fPIC -x c - -o "$TMP/slow.so" -ldl <<-'END'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <linux/fuse.h>
		#include <stdlib.h>
		#include <sys/uio.h>
		#include <unistd.h>

		ssize_t writev(int fd, const struct iovec *iov, int n)
		{
			ssize_t (*real)(int, const struct iovec *, int) =
				(ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
			const struct fuse_out_header *h = iov[0].iov_base;

			if (iov[0].iov_len == sizeof(*h) && access(getenv("SLOW"), F_OK) == 0) {
				if (h->unique == 0 && h->error == FUSE_NOTIFY_INVAL_INODE)
					usleep(1500000);
				else if (h->len == sizeof(*h) + sizeof(struct fuse_attr_out))
					usleep(500000);
			}
			return real(fd, iov, n);
		}
	END
}

@test "who made, removed or moved a value sees that in its key's size" {
	slow_answers
	SLOW=$TMP/go LD_PRELOAD=$TMP/slow.so \
		ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 \
		cid_mount
	pair
	mkdir "$MNT/$(cid_id 8)"
	run python3 - "$MNT" "$K" "$(cid_id 8)" "$TMP/go" <<-'PY'
		import ctypes, os, sys, threading, time
		mnt, key, other, go = sys.argv[1:]
		key, other = f"{mnt}/{key}", f"{mnt}/{other}"
		name = lambda n: f"{n:032x}"
		open(go, "w").close()
		def ask(path): # the daemon, whatever is cached: AT_STATX_FORCE_SYNC
		    ctypes.CDLL(None).statx(-100, path.encode(), 0x2000, 0x7ff, bytes(256))
		def make():
		    os.close(os.open(f"{key}/{name(70)}", os.O_CREAT))
		def move():
		    os.rename(f"{key}/{name(70)}", f"{other}/{name(70)}")
		def remove():
		    os.unlink(f"{other}/{name(70)}")
		for change, path, want in (make, key, 2), (move, key, 1), (remove, other, 0):
		    look = threading.Thread(target=ask, args=(path,))
		    look.start()
		    time.sleep(0.1)
		    change()
		    look.join()
		    print(change.__name__, os.stat(path).st_size - want)
	PY
	assert_output "make 0
move 0
remove 0"
}

@test "find -size finds keys with several values" {
	cid_mount
	pair
	mkdir "$MNT/$(cid_id 8)" "$MNT/$(cid_id 9)"
	touch "$MNT/$(cid_id 9)/$V" "$MNT/$(cid_id 9)/$(cid_id 3)"
	run find "$MNT" -mindepth 1 -maxdepth 1 -type d -size +1c
	assert_output "$MNT/$(cid_id 9)"
}

@test "a key's blocks are what its entry and its set take" {
	cid_mount
	pair
	run stat -c %b "$MNT/$K"
	assert_output 1
	awk 'BEGIN { for (n = 1; n <= 3000; n++) printf "%032x%032x", 9, n }' | xxd -r -p > "$CTL/ingest"
	# 16 bytes each, in blocks of 512, and a little around them.
	run stat -c %b "$MNT/$(cid_id 9)"
	[ "$output" -ge 94 ] && [ "$output" -le 110 ]
}

@test "inode numbers are stable across remounts, and not small" {
	cid_mount
	pair
	run stat -c %i "$MNT/$K" "$MNT/$K/$V"
	want=$output
	cid_remount
	run stat -c %i "$MNT/$K" "$MNT/$K/$V"
	assert_output "$want"
	for ino in $want; do
		[ "$(echo "$ino > 4294967295" | bc)" = 1 ]
	done
	run stat -c %i "$MNT"
	assert_output 1
	run sh -c "ls -i '$MNT' | cut -d' ' -f1"
	assert_output "$(stat -c %i "$MNT/$K")"
}

@test "owner and mode are those of the options" {
	cid_mount -o uid=1234,gid=2345,umask=027
	pair
	run stat -c '%u %g %a' "$MNT/$K"
	assert_output "1234 2345 750"
	run stat -c '%u %g %a' "$MNT/$K/$V"
	assert_output "1234 2345 640"
	run stat -c '%u %g %a' "$MNT"
	assert_output "1234 2345 750"
}

@test "all links are one, all times the store's creation" {
	cid_mount
	pair
	run stat -c '%h' "$MNT" "$MNT/$K" "$MNT/$K/$V"
	assert_output "1
1
1"
	want=$(stat -c '%Y %X %Z' "$MNT")
	touch -d 2001-01-01 "$MNT/$K/$V"
	run stat -c '%Y %X %Z' "$MNT/$K/$V"
	assert_output "$want"
}

@test "chmod and chown are accepted when they change nothing" {
	cid_mount
	pair
	expect 0 chmod "$MNT/$K" 755
	expect 0 chmod "$MNT/$K/$V" 644
	expect EPERM chmod "$MNT/$K" 700
	expect EPERM chmod "$MNT/$K/$V" 600
	expect 0 chown "$MNT/$K" "$(id -u)" "$(id -g)"
	expect 0 chown "$MNT/$K/$V" -1 -1
	cid_need_root
	expect EPERM chown "$MNT/$K" 12345 -1
	expect EPERM chown "$MNT/$K/$V" -1 12345
}

@test "-o quiet ignores chmod and chown" {
	cid_mount -o quiet
	pair
	expect 0 chmod "$MNT/$K" 700
	expect 0 chmod "$MNT/$K/$V" 600
	run stat -c %a "$MNT/$K"
	assert_output 755
	cid_need_root
	expect 0 chown "$MNT/$K" 12345 12345
}

@test "extended attributes of a key are read only" {
	cid_mount
	pair
	expect 1 getxattr "$MNT/$K" user.cidstore.values
	echo 1 > "$CTL/compact"
	expect inline getxattr "$MNT/$K" user.cidstore.state
	run call getxattr "$MNT/$K" user.cidstore.bucket
	assert_output --regexp '^[0-9]+$'
	expect "user.cidstore.values user.cidstore.state user.cidstore.bucket" listxattr "$MNT/$K"
	expect "" listxattr "$MNT/$K/$V"
	expect ENODATA getxattr "$MNT/$K" user.cidstore.other
	expect ENODATA getxattr "$MNT/$K" user.other
	expect ENODATA getxattr "$MNT/$K/$V" user.cidstore.values
	expect EOPNOTSUPP setxattr "$MNT/$K" user.cidstore.values
	expect EOPNOTSUPP setxattr "$MNT/$K/$V" user.other
	expect EOPNOTSUPP removexattr "$MNT/$K" user.cidstore.values
	expect EOPNOTSUPP setxattr "$MNT" user.other
	expect EOPNOTSUPP setxattr "$CTL/stats" user.other
	expect ENODATA getxattr "$MNT" user.cidstore.values
}

@test "df knows the space, df -i the keys and values" {
	cid_mount
	pair
	expect 32 statvfs "$MNT"
	run df --output=iused "$MNT"
	assert_line --regexp '^ *2$'
	run stat -f -c '%l' "$MNT"
	assert_output 32
	# One more key or value, one more in use: of all there are, f_ffree are free.
	touch "$MNT/$K/$(cid_id 3)"
	run python3 -c 'import os, sys
v = os.statvfs(sys.argv[1])
print(v.f_files - v.f_ffree, v.f_ffree > 0)' "$MNT"
	assert_output "3 True"
	run sh -c "df --output=size '$MNT' | tail -1; df --output=size '$STORE' | tail -1"
	assert_equal "${lines[0]}" "${lines[1]}"
	run df --output=source,fstype "$MNT"
	assert_line --regexp "^$STORE +fuse.cidstore\$"
}

@test "du works" {
	cid_mount
	pair
	run du -s "$MNT"
	assert_success
}

@test "access(2) goes by the permissions shown" {
	cid_mount -o umask=222
	mkdir "$MNT/$K"
	expect 0 access "$MNT/$K" R_OK
	expect EACCES access "$CTL/stats" X_OK
	expect ENOENT access "$MNT/$K/$V" R_OK
}
