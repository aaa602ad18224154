#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
#
# A store whose files fail under the mount.

load helper

setup() {
	cid_setup
	K=$(cid_id 1) V=$(cid_id 2)
}

teardown() {
	# What a damaged store says when it is closed is not the matter here.
	cid_kill KILL || true
	cid_teardown
}

call() {
	python3 "$top_srcdir/tests/lib/syscall.py" "$@"
}

# A mapped page that cannot be delivered raises SIGBUS; so does one behind the
# end of a file that was cut short.
@test "a sector that cannot be read is EIO, and the daemon lives" {
	cid_mount
	# Not by mkdir: the kernel would remember the keys.
	cid_ids 1 2000 | awk '{ print $1 $1 }' | xxd -r -p > "$CTL/ingest"
	cid_job compact
	for file in "$STORE"/buckets-*.h5 "$STORE"/values-*.h5; do
		[ ! -e "$file" ] || truncate -s 4096 "$file"
	done
	run call stat "$MNT/$(cid_id 77)"
	assert_output EIO
	run ls "$MNT"
	assert_failure
	run python3 - "$MNT" <<-'PY'
		import errno, os, sys
		for i in range(1, 601):
		    try:
		        os.stat(f"{sys.argv[1]}/{i:032x}")
		    except OSError as e:
		        assert e.errno == errno.EIO, (i, e)
		    else:
		        assert False, i
	PY
	assert_success
	run cat "$CTL/version"
	assert_success
	run call getxattr "$MNT/$(cid_id 5)" user.cidstore.values
	assert_output EIO
	[ -d "/proc/$PID" ]
}

# What keeps a log on the disk, made to fail while a file is there.
failing_sync() {
	${CC:-cc} -shared -fPIC -x c - -o "$TMP/failsync.so" -ldl <<-'END'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <errno.h>
		#include <stdlib.h>
		#include <unistd.h>

		static int sync_by(const char *name, int fd)
		{
			int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

			if (access(getenv("FAILSYNC"), F_OK) == 0) {
				errno = EIO;
				return -1;
			}
			return real(fd);
		}

		int fsync(int fd)
		{
			return sync_by("fsync", fd);
		}

		int fdatasync(int fd)
		{
			return sync_by("fdatasync", fd);
		}
	END
}

@test "after a sync that failed every fsync is EIO and nothing is written until the next mount" {
	failing_sync
	FAILSYNC=$TMP/fail LD_PRELOAD=$TMP/failsync.so \
		ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 \
		cid_mount -o sync_interval_ms=3600000
	mkdir "$MNT/$K"
	touch "$MNT/$K/$V"
	run call fsync "$MNT/$K"
	assert_output 0
	touch "$TMP/fail" "$MNT/$K/$(cid_id 3)"
	run call fsync "$MNT/$K"
	assert_output EIO
	# The device is well again, and what it lost stays lost: no retry.
	rm "$TMP/fail"
	for path in "$MNT" "$MNT/$K" "$MNT/$K/$V" "$CTL/stats"; do
		run call fsync "$path"
		assert_output EIO
		run call fdatasync "$path"
		assert_output EIO
	done
	run call mkdir "$MNT/$(cid_id 9)"
	assert_output EIO
	run call open "$MNT/$K/$(cid_id 9)" 'O_CREAT|O_WRONLY'
	assert_output EIO
	run call unlink "$MNT/$K/$V"
	assert_output EIO
	run call rmdir "$MNT/$K"
	assert_output EIO
	run call rename "$MNT/$K/$V" "$MNT/$K/$(cid_id 9)"
	assert_output EIO
	run bash -c "printf 'mkkey %s\ncommit\n' $(cid_id 9) > '$CTL/batch'"
	assert_output --partial "Input/output error"
	run ls "$MNT/$K"
	assert_line "$V"
	run cat "$CTL/health"
	refute_output ok
	cid_kill KILL
	cid_mount
	run call fsync "$MNT"
	assert_output 0
	mkdir "$MNT/$(cid_id 9)"
	assert_file_exist "$MNT/$K/$V"
	run cat "$CTL/health"
	assert_output ok
}

# The same under all that reads without a request's thread, or in pieces.
@test "maintenance, verification and streams that meet such sectors report them" {
	# What comes second is still in memory when the files are cut.
	cid_mount -o checkpoint_interval_ms=86400000
	cid_ids 1 3000 | awk '{ print $1 $1 }' | xxd -r -p > "$CTL/ingest"
	cid_job compact
	cid_ids 1 3000 | awk '{ print $1 "00000000000000000000000000000000" }' |
		xxd -r -p > "$CTL/ingest"
	for file in "$STORE"/buckets-*.h5 "$STORE"/values-*.h5; do
		[ ! -e "$file" ] || truncate -s 4096 "$file"
	done
	cid_job compact
	run grep '^failed' "$CTL/compact"
	assert_output 'failed 1'
	cid_job verify
	run grep '^errors' "$CTL/verify"
	refute_output 'errors 0'
	run cat "$CTL/export"
	assert_failure
	cid_id 77 | xxd -r -p > "$TMP/key"
	run python3 -c "
import os, sys
f = os.open('$CTL/lookup', os.O_RDWR)
os.write(f, open('$TMP/key', 'rb').read())
try:
	print(os.read(f, 64))
except OSError as e:
	print(os.strerror(e.errno))"
	assert_output 'Input/output error'
	run call stat "$MNT/$(cid_id 77)"
	assert_output EIO
	# New keys are no business of what is lost, and nothing is locked.
	K=$(cid_id 99000)
	run timeout "$DEADLINE" mkdir "$MNT/$K"
	assert_success
	run timeout "$DEADLINE" sync "$MNT/$K"
	assert_success
	[ "$(cid_stat failed)" = 0 ]
	[ -d "/proc/$PID" ]
}
