#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# abi.sh [--print] - the library's binary interface is the one that is recorded
#
# src/cidstore.abi lists the symbols with their versions, the sizes of public
# structures with the offsets of their members, and the values of constants, on
# a 64-bit machine. What stands there may only be added to while the library's
# name (libcidstore.so.N) stays: see -version-info in Makefile.am. `make
# abi-update` records what is there now.
set -u
srcdir=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
: "${CC:=cc}"
so=${top_builddir:-.}/.libs/libcidstore.so
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# The header without comments, one declaration after the other.
printf '#include <cidstore/cidstore.h>\n' > "$tmp/a.c"
$CC -std=c11 -E -P -I"$srcdir/include" "$tmp/a.c" > "$tmp/a.i" || exit 99

print() {
	[ ! -e "$so" ] || nm -D --defined-only --with-symbol-versions "$so" |
		awk '$2 != "A" { print "symbol " $3 }' | LC_ALL=C sort
	{
		printf '#include <stddef.h>\n#include <stdio.h>\n#include <cidstore/cidstore.h>\n'
		printf 'int main(void)\n{\n'
		tr '\n' ' ' < "$tmp/a.i" | tr '}' '\n' | awk '
			match($0, /struct cidstore_[a-z_]+ *\{/) {
				name = substr($0, RSTART, RLENGTH - 1)
				sub(/ *$/, "", name)
				printf "printf(\"size %s %%zu\\n\", sizeof(%s));\n", name, name
				n = split(substr($0, RSTART + RLENGTH), field, /[;,]/)
				for (i = 1; i <= n; i++) {
					gsub(/\[[^]]*\]/, "", field[i])
					sub(/ *$/, "", field[i])
					if (!match(field[i], /[a-z_0-9]+$/))
						continue
					f = substr(field[i], RSTART)
					printf "printf(\"member %s.%s %%zu\\n\", offsetof(%s, %s));\n",
						name, f, name, f
				}
			}'
		grep -o 'CIDSTORE_[A-Z_0-9]* *=' "$tmp/a.i" | tr -d ' =' | while read -r c; do
			printf 'printf("constant %s %%d\\n", (int)%s);\n' "$c" "$c"
		done
		printf 'return 0;\n}\n'
	} > "$tmp/b.c"
	$CC -std=c11 -I"$srcdir/include" "$tmp/b.c" -o "$tmp/b" && "$tmp/b"
}

if [ "${1-}" = --print ]; then
	print
	exit
fi
echo 1..2
if [ ! -e "$so" ] || [ "$(getconf LONG_BIT)" != 64 ]; then
	echo "ok 1 - the interface is as recorded # SKIP no shared library, or not 64 bits"
	echo "ok 2 - it is recorded as a whole # SKIP"
	exit 0
fi
print > "$tmp/now" || exit 99
diff "$srcdir/src/cidstore.abi" "$tmp/now" > "$tmp/diff"
status=0
if grep -q '^<' "$tmp/diff"; then
	echo "not ok 1 - nothing of the recorded interface is gone or changed"
	status=1
else
	echo "ok 1 - nothing of the recorded interface is gone or changed"
fi
if grep -q '^>' "$tmp/diff"; then
	echo "not ok 2 - it is recorded as a whole (make abi-update)"
	status=1
else
	echo "ok 2 - it is recorded as a whole"
fi
sed 's/^/#   /' "$tmp/diff"
exit $status
