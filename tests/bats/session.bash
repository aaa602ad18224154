# SPDX-License-Identifier: BSD-2-Clause
#
# session.bash - examples of documents, run as they stand
#
# In a session, lines that begin with "$ " are commands, those with "> " go on
# with one, all others are what it prints.

# A session on standard input becomes NUMBER.command and NUMBER.expected.
session_split() { # DIRECTORY
	awk -v dir="$1" '
		/^\$ / {
			n++
			command = sprintf("%s/%03d.command", dir, n)
			expected = sprintf("%s/%03d.expected", dir, n)
			printf "" > expected
			print substr($0, 3) > command
			next
		}
		/^> / { print substr($0, 3) > command; next }
		n { print > expected }
	'
}

# The sessions in the EXAMPLES of a manual page, as one.
session_of_page() { # FILE
	awk '
		/^\.Sh / { inside = /^\.Sh EXAMPLES/ }
		!inside { next }
		/^\.Bd -literal/ { literal = 1; next }
		/^\.Ed/ { literal = 0; next }
		literal { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); print }
	' "$1"
}

# The first indented block of a text.
session_of_text() { # FILE
	awk '/^    / { print substr($0, 5); seen = 1; next } seen { exit }' "$1"
}

# Runs what session_split made, in one shell; prints what differs. To be called
# by `run`, which keeps what it changes in the shell apart.
session_run() { # DIRECTORY
	local dir=$1 command status=0 differs=0

	[ -e "$dir/001.command" ] || return 1
	set +eET
	trap - ERR DEBUG
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
