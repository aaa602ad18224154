# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# real-input.sh - what real-input-1 and real-input-2 share; sourced, not run
#
# Environment: BUILD (the build directory; default: the current one, or
# build/check), and single programs: CIDSTORE_BIN, MKFS_BIN, FSCK_BIN,
# CIDCTL_BIN, MDTOUCH_BIN, WORDPAIRS_BIN. What is not there is looked for in
# PATH. DEADLINE: seconds a mount or unmount may take (120).
set -uo pipefail
export LC_ALL=C
: "${DEADLINE:=120}"
top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
build=${BUILD:-$PWD}
[ -x "$build/cidctl" ] || build=$top/build/check
failures=0

die() {
	echo "${0##*/}: $*" >&2
	exit 2
}

# find_program VARIABLE NAME: sets VARIABLE unless it is set.
find_program() {
	local path=${!1:-}

	[ -n "$path" ] || path=$build/$2
	[ -x "$path" ] || path=$(command -v "${2##*/}") ||
		die "$2 is missing: run make and make check first, or set $1"
	printf -v "$1" '%s' "$(realpath "$path")"
}

need() {
	local program

	for program; do
		command -v "$program" > /dev/null || die "$program is not installed"
	done
}

find_program CIDSTORE_BIN cidstore
find_program MKFS_BIN mkfs.cidstore
find_program FSCK_BIN fsck.cidstore
find_program CIDCTL_BIN cidctl

# check TEXT COMMAND...: a line PASS or FAIL.
check() {
	local text=$1 status=0

	shift
	"$@" > check.out 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		echo "PASS  $text"
	else
		echo "FAIL  $text"
		sed 's/^/        /' check.out | head -n 20
		failures=$((failures + 1))
	fi
}

# figure TEXT...: a line of figures.
figure() {
	echo "      $*"
}

now() {
	local t=$EPOCHREALTIME

	echo "${t/[.,]/}"
}

# timed COMMAND...: its seconds are then in $seconds, with two digits.
timed() {
	local begun status=0

	begun=$(now)
	"$@" || status=$?
	seconds=$(awk -v us=$(($(now) - begun)) 'BEGIN { printf "%.2f", us / 1e6 }')
	return $status
}

# rate COUNT SECONDS
rate() {
	awk -v n="$1" -v s="$2" 'BEGIN { printf "%.0f", n / (s > 0.01 ? s : 0.01) }'
}

# The process that serves a mount point: it has the path as an argument.
daemon_of() { # MOUNTPOINT
	local dir arg

	for dir in /proc/[0-9]*; do
		[ "$(readlink "$dir/exe" 2> /dev/null)" = "$CIDSTORE_BIN" ] || continue
		while IFS= read -r -d '' arg; do
			if [ "$arg" = "$1" ]; then
				echo "${dir#/proc/}"
				return
			fi
		done 2> /dev/null < "$dir/cmdline"
	done
}

gone() { # PID
	timeout "$DEADLINE" tail --pid="$1" -s 0.05 -f /dev/null
}

mounted() { # MOUNTPOINT
	awk -v m="$1" '$2 == m { found = 1 } END { exit !found }' /proc/self/mounts
}

mount_store() { # STORE MOUNTPOINT
	timeout "$DEADLINE" "$CIDSTORE_BIN" "$1" "$2" || die "$1 cannot be mounted"
}

umount_store() { # MOUNTPOINT
	local pid

	mounted "$1" || return 0
	pid=$(daemon_of "$1")
	fusermount3 -u "$1" || return 1
	[ -z "$pid" ] || gone "$pid"
}

# Kills the daemon without a chance to tidy up, and mounts again.
kill_and_mount() { # STORE MOUNTPOINT
	local pid

	pid=$(daemon_of "$2")
	[ -n "$pid" ] && kill -s KILL "$pid" && gone "$pid" || return 1
	mount_store "$1" "$2"
}

# Bytes on disk as "12.3 MiB".
disk() { # PATH
	du -s -B 1 "$1" | awk '{ printf "%.1f MiB", $1 / 1048576 }'
}

peak_memory() { # MOUNTPOINT
	awk '/^VmHWM/ { printf "%.0f MiB", $2 / 1024 }' "/proc/$(daemon_of "$1")/status"
}

# The directory all is done in; the caller's is kept, our own goes when all
# checks passed.
begin() { # [DIR]
	kept=${1:-}
	if [ -n "$kept" ]; then
		mkdir -p "$kept" && work=$(realpath "$kept") || die "$kept cannot be made"
		[ -z "$(ls -A "$work")" ] || die "$work is not empty"
	else
		work=$(mktemp -d "${TMPDIR:-/tmp}/cidstore-real-XXXXXX")
	fi
	cd "$work" || exit 2
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

finish() {
	local status=$? mnt

	trap - EXIT
	for mnt in "$work"/mnt*; do
		[ ! -d "$mnt" ] || umount_store "$mnt" || fusermount3 -uz "$mnt"
	done
	cd /
	if [ "$status" -ne 0 ]; then
		echo "what was made is in $work"
	elif [ -z "$kept" ]; then
		rm -rf "$work"
	fi
	exit "$status"
}

verdict() {
	if [ "$failures" -eq 0 ]; then
		echo "all checks passed"
		exit 0
	fi
	echo "$failures checks FAILED"
	exit 1
}
