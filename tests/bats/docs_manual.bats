# SPDX-License-Identifier: BSD-2-Clause
#
# What cidstore(5) and README say, held against the programs.

load helper
load session

teardown() {
	cid_teardown
}

# The daemon must not keep the descriptors bats waits for.
cidstore() {
	command cidstore "$@" 3>&- 4>&- 5>&-
}

@test "the examples of cidstore(5)" {
	cid_need_fuse
	cid_need h5ls xxd
	/usr/bin/python3 -c 'import h5py' || skip "h5py is not installed"
	session_of_page "$top_srcdir/man/cidstore.5" | session_split "$BATS_TEST_TMPDIR"
	run session_run "$BATS_TEST_TMPDIR"
	assert_success
}

@test "the first lines of README" {
	cid_need_fuse
	session_of_text "$top_srcdir/README" | session_split "$BATS_TEST_TMPDIR"
	run session_run "$BATS_TEST_TMPDIR"
	assert_success
}

@test "the manual page of the format is free of errors and warnings" {
	cid_need man groff
	run env LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -l "$top_srcdir/man/cidstore.5"
	assert_success
	refute_output --partial "warning"
	refute_output --partial "error:"
}

@test "README, NEWS and HACKING keep to 80 columns of ASCII" {
	cd "$top_srcdir"
	run awk 'length > 80 || /[^ -~]/ { print FILENAME ":" FNR ": " $0 }' README NEWS HACKING
	assert_output ""
}

@test "HACKING and README name files that exist" {
	local file

	for file in $(grep -ohE '\b(src|man|tests|scripts|examples|include)/[A-Za-z0-9_./-]+[a-z0-9]' \
		"$top_srcdir/HACKING" "$top_srcdir/README" | sort -u); do
		compgen -G "$top_srcdir/$file*" > /dev/null || fail "there is no $file"
	done
}

# Lines "name default from to" of the page.
settings_of_page() {
	awk '/^\.Ss Settings/ { inside = 1 }
		inside && /^\.Bd/ { table = 1; getline; next }
		table && /^\.Ed/ { exit }
		table { print $1, $2, $3, $4 }' "$top_srcdir/man/cidstore.5" | sort
}

@test "cidstore(5) lists the settings, with their defaults and bounds" {
	local name initial min max

	cid_setup
	cid_mount
	run settings_of_page
	assert_equal "$(echo "$output" | cut -d ' ' -f 1)" "$(ls "$CTL/config" | sort)"
	while read -r name initial min max; do
		assert_equal "$name $(cat "$CTL/config/$name")" "$name $initial"
		echo "$min" > "$CTL/config/$name"
		cid_errno EINVAL bash -c "echo $((max + 1)) > $CTL/config/$name"
		[ "$min" = 0 ] || cid_errno EINVAL bash -c "echo $((min - 1)) > $CTL/config/$name"
	done < <(settings_of_page)
}

@test "cidstore(5) names every control file and every statistic" {
	local name text

	cid_setup
	cid_mount
	text=$(awk '/^\.Sh CONTROL FILES/ { inside = 1 } /^\.Sh EXAMPLES/ { exit } inside' \
		"$top_srcdir/man/cidstore.5")
	for name in $(ls "$CTL") $(cut -d ' ' -f 1 "$CTL/stats"); do
		grep -qwF -- "$name" <<< "$text" || fail "cidstore(5) does not mention $name"
	done
	# And no statistic that is not there.
	awk '/^\.Ss Statistics/ { inside = 1 } /^\.Sh/ { inside = 0 }
		inside && /^[a-z]/ { sub(/   .*/, ""); print }' "$top_srcdir/man/cidstore.5" |
		tr ' ' '\n' | while read -r name; do
		grep -qw "^$name" "$CTL/stats" || fail "there is no statistic $name"
	done
}
