# SPDX-License-Identifier: BSD-2-Clause
#
# helper.bash - a store, mounted, for each test
#
#     load helper
#     setup() { cid_setup; cid_mount; }
#     teardown() { cid_teardown; }
#
#     @test "a key is a directory" {
#             mkdir "$MNT/$(cid_id 1)"
#             assert_dir_exist "$MNT/$(cid_id 1)"
#     }
#
# After cid_setup: $STORE is a fresh store, $MNT an empty directory, $TMP the
# test's own directory. Programs are those of the build directory. Nothing here
# waits by time alone: mounting returns when the mount answers, unmounting when
# the daemon is gone; DEADLINE seconds turn a hang into a failure.

: "${top_builddir:=$PWD}"
: "${top_srcdir:=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)}"
: "${DEADLINE:=60}"
export top_builddir top_srcdir
PATH=$top_builddir:$PATH
export BATS_LIB_PATH=${BATS_LIB_PATH:-/usr/lib/bats}

bats_load_library bats-support
bats_load_library bats-assert
bats_load_library bats-file

# Nobody sees what a daemon prints, nor its status: what sanitizers report goes
# to files, and a file of tests that left any has failed.
if [ -n "${BATS_FILE_TMPDIR:-}" ]; then
	for cid_options in ASAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS; do
		cid_report=log_path=$BATS_FILE_TMPDIR/sanitizer.${BATS_TEST_NUMBER:-0}
		export "$cid_options=${!cid_options:+${!cid_options}:}$cid_report"
	done
fi

teardown_file() {
	local file status=0

	for file in "$BATS_FILE_TMPDIR"/sanitizer.*; do
		[ -e "$file" ] || continue
		echo "of test ${file#"$BATS_FILE_TMPDIR/sanitizer."}, process ${file##*.}:"
		cat "$file"
		status=1
	done
	return $status
}

# Skips the test where nothing can be mounted.
cid_need_fuse() {
	[ -x "$top_builddir/cidstore" ] || skip "built without FUSE"
	[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip "/dev/fuse cannot be opened"
}

cid_need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# Whether the programs were built with sanitizers, which take memory.
cid_sanitized() {
	! grep -q '^SANITIZE_FLAGS = *$' "$top_builddir/Makefile"
}

cid_need() { # PROGRAM...
	local program

	for program; do
		command -v "$program" > /dev/null || skip "$program is not installed"
	done
}

# cid_setup [MKFS-OPTION...]: makes $STORE and $MNT.
cid_setup() {
	TMP=$BATS_TEST_TMPDIR
	STORE=$TMP/store
	MNT=$TMP/mnt
	CTL=$MNT/.cidstore
	mkdir -p "$MNT"
	mkfs.cidstore --quiet "$@" "$STORE"
}

# cid_mount [OPTION...]: mounts $STORE on $MNT; OPTIONs are the daemon's.
cid_mount() {
	cid_need_fuse
	cid_mount_at "$STORE" "$MNT" "$@"
	PID=$(cid_daemon "$MNT")
	[ -n "$PID" ]
}

# cid_mount_at STORE MOUNTPOINT [OPTION...]: its status and messages are those
# of the program. The daemon must not keep the descriptors bats waits for.
cid_mount_at() {
	local store=$1 mnt=$2 status=0

	shift 2
	timeout "$DEADLINE" cidstore "$@" "$store" "$mnt" \
		> "$BATS_TEST_TMPDIR/mount.out" 2>&1 3>&- 4>&- || status=$?
	cat "$BATS_TEST_TMPDIR/mount.out"
	return $status
}

# The process that serves a mount point: it has the path as an argument.
cid_daemon() { # MOUNTPOINT
	local dir arg

	for dir in /proc/[0-9]*; do
		[ "$dir/exe" -ef "$top_builddir/cidstore" ] || continue
		while IFS= read -r -d '' arg; do
			if [ "$arg" = "$1" ]; then
				echo "${dir#/proc/}"
				return
			fi
		done < "$dir/cmdline" 2> /dev/null
	done
}

# Returns when the process has ended, reaped by its parent or not.
cid_gone() { # PID
	python3 - "$1" "$DEADLINE" << 'END'
import os, select, sys

try:
    fd = os.pidfd_open(int(sys.argv[1]))
except ProcessLookupError:
    sys.exit(0)
poll = select.poll()
poll.register(fd, select.POLLIN)
sys.exit(0 if poll.poll(int(sys.argv[2]) * 1000) else 1)
END
}

cid_is_mounted() { # MOUNTPOINT
	awk -v m="$1" '$2 == m { found = 1 } END { exit !found }' /proc/self/mounts
}

# cid_umount [MOUNTPOINT]: returns when the daemon has ended.
cid_umount() {
	local mnt=${1:-$MNT} pid

	pid=$(cid_daemon "$mnt")
	fusermount3 -u "$mnt"
	[ -z "$pid" ] || cid_gone "$pid"
}

cid_remount() { # OPTION...
	cid_umount
	cid_mount "$@"
}

# cid_kill [SIGNAL] [MOUNTPOINT]: ends the daemon, SIGKILL by default.
cid_kill() {
	local pid

	pid=$(cid_daemon "${2:-$MNT}")
	[ -n "$pid" ] || return 1
	kill -s "${1:-KILL}" "$pid"
	cid_gone "$pid"
}

# Unmounts whatever this test mounted, by mount point; ends daemons by pid.
cid_teardown() {
	local mnt pid

	cd / # a working directory would keep a mount busy
	if [ -n "${WRITER-}" ]; then # what a test left at work
		kill "$WRITER" 2> /dev/null || true
	fi
	awk -v t="$BATS_TEST_TMPDIR/" 'index($2, t) == 1 { print $2 }' /proc/self/mounts |
		sort -r | while IFS= read -r mnt; do
		pid=$(cid_daemon "$mnt")
		fusermount3 -uz "$mnt" || umount -l "$mnt"
		if [ -n "$pid" ] && ! cid_gone "$pid"; then
			echo "daemon $pid of $mnt did not end"
			kill -s KILL "$pid"
			return 1
		fi
	done
}

# cid_pairs FROM TO: records whose value is the number, 3 to a key.
cid_pairs() {
	seq "$1" "$2" | awk '{ printf "%016x%016x%032x", $1 / 3 * 2654435761, $1 / 3, $1 }' |
		xxd -r -p
}

# What an export in hex holds is a beginning of what cid_pairs gives; prints how
# much.
cid_prefix() {
	cut -d ' ' -f 2 | sort > values
	cid_ids 1 "$(wc -l < values)" | cmp -s - values && wc -l < values
}

ingest_on() { # until it is killed or the mount ends
	for ((at = 1;; at += 5000)); do
		cid_pairs "$at" $((at + 4999)) > "$CTL/ingest" || break
		echo $((at + 4999)) > acknowledged.new
		mv acknowledged.new acknowledged
	done
}

# Begins to write cid_pairs from 1 on; `acknowledged` has the last that is in.
cid_ingest_begin() {
	echo 0 > acknowledged
	ingest_on 2> /dev/null 3>&- 4>&- &
	WRITER=$!
	while [ "$(cat acknowledged)" = 0 ]; do :; done
}

cid_ingest_end() {
	kill "$WRITER" 2> /dev/null || true
	wait "$WRITER" 2> /dev/null || true
	WRITER=
}

# A number as an identifier, 32 hexadecimal digits.
cid_id() {
	printf '%032x' "$1"
}

# cid_ids FROM TO: one a line.
cid_ids() {
	seq "$1" "$2" | awk '{ printf "%032x\n", $1 }'
}

# cid_stat NAME [MOUNTPOINT]: one figure of the statistics.
cid_stat() {
	awk -v n="$1" '$1 == n { print $2 }' "${2:-$MNT}/.cidstore/stats"
}

# cid_job NAME: asks for compact, gc or verify, which go on behind the write, and
# returns when it is over.
cid_job() {
	echo 1 > "$CTL/$1"
	timeout "$DEADLINE" sh -c 'until grep -q "^running 0" "$1"; do sleep 0.02; done' - "$CTL/$1"
}

# cid_errno ERRNO-NAME COMMAND...: the command fails with this error. The
# message is the one of strerror(3), as all tools print it.
cid_errno() {
	local want

	want=$(python3 -c 'import errno, os, sys
print(os.strerror(getattr(errno, sys.argv[1])))' "$1")
	shift
	LC_ALL=C run "$@"
	assert_failure
	assert_output --partial "$want"
}
