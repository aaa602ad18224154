# SPDX-License-Identifier: BSD-2-Clause
#
# The examples of the manual pages, run as they stand: lines that begin with
# "$ " are commands, those with "> " go on with one, all others are what it
# prints.

load helper

# Splits the EXAMPLES of a page into NUMBER.command and NUMBER.expected.
split_examples() { # PAGE DIRECTORY
	awk -v dir="$2" '
		/^\.Sh / { inside = /^\.Sh EXAMPLES/ }
		!inside { next }
		/^\.Bd -literal/ { literal = 1; next }
		/^\.Ed/ { literal = 0; next }
		!literal { next }
		{
			gsub(/\\-/, "-")
			gsub(/\\e/, "\\")
		}
		/^\$ / {
			n++
			command = sprintf("%s/%03d.command", dir, n)
			expected = sprintf("%s/%03d.expected", dir, n)
			printf "" > expected
			print substr($0, 3) > command
			next
		}
		/^> / { print substr($0, 3) > command; next }
		{ print > expected }
	' "$1"
}

# Runs them in one shell; prints what differs.
run_examples() { # DIRECTORY
	local dir=$1 command status=0 differs=0

	mkdir "$dir/work"
	cd "$dir/work" || return 1
	for command in "$dir"/*.command; do
		(exit "$status") # what $? is for the command
		. "$command" > "$dir/output" 2>&1 && status=0 || status=$?
		if ! diff -u "${command%.command}.expected" "$dir/output"; then
			echo "this was printed by:"
			cat "$command"
			differs=1
		fi
	done
	return "$differs"
}

check_page() { # PAGE
	split_examples "$top_srcdir/man/$1" "$BATS_TEST_TMPDIR"
	[ -e "$BATS_TEST_TMPDIR/001.command" ]
	set +eET
	trap - ERR DEBUG
	run_examples "$BATS_TEST_TMPDIR"
}

@test "the examples of cidctl(1)" {
	run check_page cidctl.1
	assert_success
}

@test "the examples of mkfs.cidstore(8)" {
	run check_page mkfs.cidstore.8
	assert_success
}

@test "the examples of fsck.cidstore(8)" {
	run check_page fsck.cidstore.8
	assert_success
}

@test "every command of cidctl and its options are in the manual" {
	local command option

	for command in $(cidctl --help | awk '/^  [a-z]/ { print $1 }'); do
		grep -qx "\\.Ss $command" "$top_srcdir/man/cidctl.1" ||
			fail "cidctl(1) has no section on $command"
		for option in $(cidctl "$command" --help | grep -oE -- '--[a-z0-9]+[ =]' | tr -d ' ='); do
			grep -q -- "${option#--}" "$top_srcdir/man/cidctl.1" ||
				fail "cidctl(1) does not mention $option of $command"
		done
	done
}

@test "the manual pages are free of errors and warnings" {
	local page

	cid_need man groff
	for page in cidctl.1 mkfs.cidstore.8 fsck.cidstore.8; do
		run env LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -l "$top_srcdir/man/$page"
		assert_success
		refute_output --partial "warning"
		refute_output --partial "error:"
	done
}
