# SPDX-License-Identifier: BSD-2-Clause
#
# install.bats - what `make install` brings, used as a stranger would use it

load helper

setup_file() {
	export ROOT=$BATS_FILE_TMPDIR/root
	# Not the job server of the make that runs the tests.
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$top_builddir" install \
		DESTDIR="$ROOT" > "$BATS_FILE_TMPDIR/install.log" 2>&1 3>&- ||
		{ cat "$BATS_FILE_TMPDIR/install.log" && return 1; }
	PREFIX=$ROOT$(sed -n 's/^prefix=//p' "$top_builddir/cidstore.pc")
	export PREFIX
	PKG_CONFIG_PATH=$(dirname "$(find "$PREFIX" -name cidstore.pc)")
	export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR=
}

# What the installed pkg-config file says, with the files where they are now.
flags() { # --cflags | --libs [--static]
	pkg-config --define-variable=prefix="$PREFIX" \
		--define-variable=includedir="$PREFIX/include" \
		--define-variable=libdir="${PKG_CONFIG_PATH%/pkgconfig}" "$@" cidstore
}

# A program of a user of the library.
program() {
	cat > "$BATS_TEST_TMPDIR/user.c" <<'END'
#include <cidstore/cidstore.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct cidstore_pair p = { { 1, 2 }, { 3, 4 } };
	struct cidstore_error err;
	struct cidstore *s;
	uint64_t n;

	if (argc < 2 || cidstore_open(argv[1], CIDSTORE_CREATE, &s, &err) != 0)
		return fprintf(stderr, "%s\n", err.message), 1;
	if (cidstore_insert(s, &p, 1, NULL) != 0 || cidstore_count(s, p.key, &n) != 0)
		return 2;
	printf("%s: %llu value\n", cidstore_version(), (unsigned long long)n);
	return -cidstore_close(s);
}
END
}

version() {
	pkg-config --modversion cidstore
}

@test "programs, mount helpers, header and manual pages are installed" {
	assert_file_executable "$PREFIX/bin/cidctl"
	assert_file_executable "$PREFIX/sbin/mkfs.cidstore"
	assert_file_executable "$PREFIX/sbin/fsck.cidstore"
	assert_file_exist "$PREFIX/include/cidstore/cidstore.h"
	assert_file_exist "$PREFIX/share/man/man1/cidctl.1"
	assert_file_exist "$PREFIX/share/man/man8/mkfs.cidstore.8"
	if [ -x "$top_builddir/cidstore" ]; then
		assert_file_executable "$PREFIX/sbin/cidstore"
		assert_equal "$(readlink "$PREFIX/sbin/mount.cidstore")" cidstore
		assert_equal "$(readlink "$PREFIX/sbin/mount.fuse.cidstore")" cidstore
	fi
	run find "$PREFIX" -name config.h
	assert_output ""
}

@test "installed programs know their version" {
	for program in bin/cidctl sbin/mkfs.cidstore sbin/fsck.cidstore; do
		run "$PREFIX/$program" --version
		assert_success
		assert_output --partial "$(version)"
	done
}

@test "a program links to the shared library and runs" {
	[ -e "$PREFIX/lib/libcidstore.so" ] || skip "no shared library was built"
	cid_sanitized && skip "the library needs the sanitizers' run-time"
	program
	${CC:-cc} "$BATS_TEST_TMPDIR/user.c" -o "$BATS_TEST_TMPDIR/user" \
		$(flags --cflags) $(flags --libs)
	LD_LIBRARY_PATH=$PREFIX/lib run "$BATS_TEST_TMPDIR/user" "$BATS_TEST_TMPDIR/store"
	assert_success
	assert_output "$(version): 1 value"
	run readelf -d "$BATS_TEST_TMPDIR/user"
	assert_output --partial libcidstore.so.0
}

@test "a program links to the static library and runs" {
	[ -e "$PREFIX/lib/libcidstore.a" ] || skip "no static library was built"
	cid_sanitized && skip "the library needs the sanitizers' run-time"
	program
	${CC:-cc} "$BATS_TEST_TMPDIR/user.c" -o "$BATS_TEST_TMPDIR/user" $(flags --cflags) \
		$(flags --libs --static | sed 's/-lcidstore/-l:libcidstore.a/')
	run "$BATS_TEST_TMPDIR/user" "$BATS_TEST_TMPDIR/store"
	assert_success
	assert_output "$(version): 1 value"
	run readelf -d "$BATS_TEST_TMPDIR/user"
	refute_output --partial libcidstore.so
}

@test "make uninstall leaves no file behind" {
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$top_builddir" uninstall \
		DESTDIR="$ROOT" 3>&-
	run find "$ROOT" ! -type d
	assert_output ""
}
