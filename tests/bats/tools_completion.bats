# SPDX-License-Identifier: BSD-2-Clause
#
# Completions: bash's are run, those of zsh and fish parsed where the shell is
# installed, and all of them know the commands there are.

load helper

complete_bash() { # FUNCTION WORD...
	local function=$1

	shift
	(
		for f in cidctl mkfs.cidstore fsck.cidstore; do
			. "$top_srcdir/completions/bash/$f"
		done
		compopt() { :; }
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		COMPREPLY=()
		"$function"
		printf '%s\n' "${COMPREPLY[@]}"
	)
}

@test "bash: commands, options and formats" {
	run complete_bash _cidctl cidctl res
	assert_output resolve
	run complete_bash _cidctl cidctl ''
	assert_line load
	assert_line compact
	run complete_bash _cidctl cidctl load --form
	assert_output --format=
	run complete_bash _cidctl cidctl load --format = b
	assert_output bin
	run complete_bash _cidctl cidctl --json export --format ''
	assert_line frame
	refute_line csv
	run complete_bash _mkfs_cidstore mkfs.cidstore --log
	assert_output --log-size=
	run complete_bash _fsck_cidstore fsck.cidstore --qu
	assert_output --quick
}

@test "bash: targets are directories, files are files" {
	cd "$BATS_TEST_TMPDIR"
	mkdir store
	touch stuff
	run complete_bash _cidctl cidctl stat st
	assert_output store
	run complete_bash _cidctl cidctl hash st
	assert_line stuff
}

@test "zsh and fish parse their completions" {
	if command -v zsh > /dev/null; then
		zsh -n "$top_srcdir/completions/zsh/_cidctl"
	fi
	if command -v fish > /dev/null; then
		fish -n "$top_srcdir"/completions/fish/*.fish
	fi
	command -v zsh > /dev/null || command -v fish > /dev/null || skip "neither zsh nor fish"
}

@test "every command is known to every shell" {
	local command option

	for command in $(cidctl --help | awk '/^  [a-z]/ { print $1 }'); do
		grep -qw "$command" "$top_srcdir/completions/bash/cidctl"
		grep -q "['\"]$command:" "$top_srcdir/completions/zsh/_cidctl"
		grep -q -- "-a $command " "$top_srcdir/completions/fish/cidctl.fish"
		for option in $(cidctl "$command" --help | grep -oE -- '^ .*--[a-z0-9]+' |
			grep -oE -- '--[a-z0-9]+$'); do
			grep -q -- "$option" "$top_srcdir/completions/bash/cidctl" ||
				fail "bash does not know $option of $command"
			grep -q -- "$option" "$top_srcdir/completions/zsh/_cidctl" ||
				fail "zsh does not know $option of $command"
			grep -q -- "-l ${option#--}" "$top_srcdir/completions/fish/cidctl.fish" ||
				fail "fish does not know $option of $command"
		done
	done
}
