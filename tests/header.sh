#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# header.sh - the public header alone compiles, as C11 and as C++, twice in a
# row, without a warning; and what it declares is what the library exports.
set -u
srcdir=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
: "${CC:=cc}" "${TEST_CXX:=g++}"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
printf '#include <cidstore/cidstore.h>\n#include <cidstore/cidstore.h>\n' > "$tmp/a.c"
cp "$tmp/a.c" "$tmp/a.cc"
n=0
status=0

try() {
	n=$((n + 1))
	name=$1
	shift
	if "$@" > "$tmp/out" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		status=1
		sed 's/^/#   /' "$tmp/out"
	fi
}

warn="-Wall -Wextra -Wpedantic -Wundef -Werror"
echo 1..4
try "the public header alone is C11" \
	$CC -std=c11 $warn -Wshadow -Wstrict-prototypes -I"$srcdir/include" -fsyntax-only "$tmp/a.c"
if [ "$TEST_CXX" = no ]; then
	n=$((n + 1))
	echo "ok $n - the public header alone is C++ # SKIP no C++ compiler"
else
	try "the public header alone is C++" \
		"$TEST_CXX" -std=c++11 $warn -I"$srcdir/include" -fsyntax-only "$tmp/a.cc"
fi

# Without its definition the mark stays in the text, beside what it marks.
mkdir "$tmp/cidstore"
sed '/define CIDSTORE_API/d' "$srcdir/include/cidstore/cidstore.h" > "$tmp/cidstore/cidstore.h"
$CC -std=c11 -E -P -I"$tmp" "$tmp/a.c" | tr '\n' ' ' | tr ';{}' '\n\n\n' |
	grep -E '(^|[^a-z_])cidstore_[a-z0-9_]+ *\(' > "$tmp/functions"
unmarked() {
	[ -s "$tmp/functions" ] && ! grep -v CIDSTORE_API "$tmp/functions"
}
try "every function of the header is marked CIDSTORE_API" unmarked

so=${top_builddir:-.}/.libs/libcidstore.so
exported() {
	sed -E 's/.*[^a-z_](cidstore_[a-z0-9_]+) *\(.*/\1/' "$tmp/functions" | sort -u > "$tmp/want"
	nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
		sort -u > "$tmp/got"
	echo "< declared, not exported; > exported, not declared" &&
		diff "$tmp/want" "$tmp/got"
}
if [ -e "$so" ]; then
	try "the shared library exports what the header declares, and nothing else" exported
else
	n=$((n + 1))
	echo "ok $n - the shared library exports what the header declares # SKIP not built"
fi
exit $status
