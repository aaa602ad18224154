#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# replay.sh - each fuzz target over its corpus, and some mutations of it. A
# failure names the seed, and leaves its input in crash-TARGET.
set -u
srcdir=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
builddir=${top_builddir:-.}
out=$(mktemp) || exit 99
trap 'rm -f "$out"' EXIT
n=0
status=0
for target in batch control frame fuse log name part root; do
	program=$builddir/tests/fuzz/$target
	n=$((n + 1))
	if [ ! -x "$program" ]; then
		echo "ok $n - $target # SKIP not built"
	elif "$program" -runs="${RUNS:-2000}" ${SEED:+-seed="$SEED"} \
		"$srcdir/tests/corpus/$target" > "$out" 2>&1; then
		echo "ok $n - $target"
	else
		echo "not ok $n - $target"
		status=1
	fi
	sed 's/^#* */#   /' "$out"
done
echo "1..$n"
exit $status
