#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# layers.sh [SRC] - the rooms of src/ depend on each other in one direction
#
# Checked twice: in the text, by #include; and, where the build directory holds
# a room's archive, in the objects, by the symbols it leaves to others. A room
# may use itself and what its row names. Prints TAP.
set -u
src=${1:-${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}/src}
build=${top_builddir:-.}

declare -A may=(
	[base]=""
	[os]="base"
	[wal]="base os"
	[hash]="base"
	[h5]="base os"
	[store]="base os wal hash h5"
	[control]="base store"
	[fusefs]="base store control"
	[zmqd]="base store control"
	[httpd]="base store control"
	[daemon]="base store control fusefs zmqd httpd"
	[bench]="base"
	[tools]="base store bench"
)
order="base os wal hash h5 store control fusefs zmqd httpd daemon bench tools"
# Which rooms may include whose headers.
declare -A foreign=(
	["hdf5|H5[A-Za-z]*"]="h5"
	["fuse[a-z_]*|fuse3/.*"]="fusefs daemon"
	["isa-l.*|crc"]="base"
)

n=0
status=0
report() { # NAME FINDINGS
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | sed 's/^/#   /'
		status=1
	fi
}

is_in() { # WORD LIST
	case " $2 " in *" $1 "*) return 0 ;; esac
	return 1
}

# Lines "FILE:LINE <|" NAME" for each #include of a room.
includes() {
	find "$src/$1" -name '*.[ch]' -o -name '*.def' | sort |
		xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' |
		sed -E 's/^([^:]*:[0-9]+):[^<"]*([<"])([^>"]*)[>"].*/\1 \2 \3/'
}

room_text() {
	local room=$1 where kind name to
	includes "$room" | while read -r where kind name; do
		where=${where#"$src"/}
		if [ "$kind" = '"' ]; then
			case $name in
			config.h | cidstore/cidstore.h) continue ;;
			../* | */../*)
				echo "$where: \"$name\" leaves its room by .."
				continue
				;;
			*/*) to=${name%%/*} ;;
			*)
				echo "$where: \"$name\" is not written as \"room/file.h\""
				continue
				;;
			esac
			if [ ! -e "$src/$name" ]; then
				echo "$where: \"$name\" does not exist"
			elif [ "$to" != "$room" ] && ! is_in "$to" "${may[$room]}"; then
				echo "$where: $room must not see $to (\"$name\")"
			fi
		else
			for pattern in "${!foreign[@]}"; do
				if [[ $name =~ ^($pattern)\.h$ ]] &&
					! is_in "$room" "${foreign[$pattern]}"; then
					echo "$where: <$name> is for ${foreign[$pattern]} only"
				fi
			done
		fi
	done
}

archive() {
	local a=$build/.libs/libcid_$1.a

	[ -e "$a" ] || a=$build/libcid_$1.a
	[ -e "$a" ] && echo "$a"
}

symbols() { # ROOM nm-options: its symbols of ours
	nm -A "${@:2}" "$(archive "$1")" 2> /dev/null | awk '{ print $NF }' |
		grep -E '^(cid_|cidstore_)' | sort -u
}

room_objects() {
	local room=$1 to
	for to in $order; do
		if [ "$to" = "$room" ] || is_in "$to" "${may[$room]}" || [ -z "$(archive "$to")" ]; then
			continue
		fi
		comm -12 <(symbols "$room" -u) <(
			# A name that an allowed room defines too is not an upward call.
			symbols "$to" --defined-only
		) | while read -r name; do
			echo "$room calls $name of $to"
		done
	done
}

# The engine reaches files, mappings and clocks through the table of os/ alone,
# so that tests see and fail every one of them. HDF5 does its own I/O; that room
# is held to the table by its tests.
system="openat|open|creat|close|p?readv?|p?writev?|mmap|munmap|msync|mremap|f?truncate|fallocate"
system="$system|posix_fallocate|fsync|fdatasync|sync_file_range|syncfs|rename|renameat|unlink|unlinkat"
system="$system|mkdir|mkdirat|rmdir|opendir|readdir|f?stat|lstat|fstatat|flock|fcntl|lockf"
system="$system|clock_gettime|gettimeofday|time|getrandom|random|rand"
room_system() {
	nm -A -u "$(archive "$1")" 2> /dev/null | awk '{ print $NF }' | sed 's/@.*//' |
		grep -E "^(__)?($system)(64|_2|64_2|_chk)?\$" | sort -u |
		sed "s/^/$1 calls /; s/\$/, past the table of os/"
}

rooms=
for room in $order; do
	[ -d "$src/$room" ] && [ -n "$(find "$src/$room" -name '*.[ch]' -print -quit)" ] &&
		rooms="$rooms $room"
done
for dir in "$src"/*/; do
	dir=$(basename "$dir")
	is_in "$dir" "$order" || report "src/$dir is a known room" "no row in tests/layers.sh"
done
for room in $rooms; do
	report "$room includes only what it may" "$(room_text "$room")"
	if [ -n "$(archive "$room")" ]; then
		report "$room links only with what it may" "$(room_objects "$room")"
		if is_in "$room" "base wal hash store"; then
			report "$room calls the system through os only" "$(room_system "$room")"
		fi
	fi
done
outside=$(find "$src" -maxdepth 1 -name '*.[ch]' | sed 's/$/: no room/')
report "no source lies outside a room" "$outside"
public=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$src/../include/cidstore/cidstore.h")
report "the public header includes the system only" "$public"

# The check itself: an upward #include in a copy must be noticed.
if [ $# = 0 ]; then
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	mkdir -p "$tmp/include/cidstore"
	cp "$src/../include/cidstore/cidstore.h" "$tmp/include/cidstore"
	cp -R "$src" "$tmp/src"
	chmod -R u+w "$tmp"
	echo '#include "store/store.h"' >> "$tmp/src/base/id.c"
	noticed=$(top_builddir=$tmp bash "$0" "$tmp/src" | grep 'base must not see store')
	[ -n "$noticed" ] && noticed= || noticed="it was not"
	report "an upward include is noticed" "$noticed"
fi
echo "1..$n"
exit $status
