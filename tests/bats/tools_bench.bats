# SPDX-License-Identifier: BSD-2-Clause
#
# cidctl bench: every run at a tiny scale; that it measures, not how fast

load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
}

tiny() { # RUN [OPTION...]
	local name=$1

	shift
	cidctl bench --keys=3000 --lookups=2000 --seconds=1 -o reader_grace_ms=0 "$@" \
		--json="$name.json" "$name"
}

# PYTHON-EXPRESSION over f, the figures of the first result, and d, the file.
holds() { # FILE EXPRESSION
	/usr/bin/python3 - "$1" "$2" << 'END'
import json, sys
d = json.load(open(sys.argv[1]))
f = {n: v["value"] for n, v in d["results"][0]["figures"].items()}
s = d["results"][0].get("samples", {"rows": []})["rows"]
if not eval(sys.argv[2]):
    sys.exit(f"{sys.argv[2]} does not hold: {json.dumps(d)[:4000]}")
END
}

@test "bench --list names the runs, and so does its JSON" {
	run cidctl bench --list
	assert_success
	assert_line --regexp '^insert '
	assert_line --regexp '^lookup '
	cidctl --json bench --list | /usr/bin/python3 -c '
import json, sys
assert {"insert", "lookup"} <= {r["run"] for r in json.load(sys.stdin)}'
}

@test "bench insert: figures, samples, machine and commit; the store is gone" {
	tiny insert --values=3
	holds insert.json 'f["rate"] > 0 and f["disk"] > 0 and f["memory_max"] > 0'
	holds insert.json 'len(s) >= 2 and s[-1][1] == 9000'
	holds insert.json 'd["date"].endswith("Z") and d["commit"] and d["machine"]["cpus"] > 0'
	run ls
	assert_output insert.json
}

@test "bench lookup: hits and misses, one by one and many at once" {
	run tiny lookup
	assert_success
	assert_output --partial hit_1t_mean
	holds lookup.json 'f["hit_1t_rate"] > 0 and f["miss_2t_rate"] > 0 and f["hit_many_32"] > 0'
	holds lookup.json 'f["writer_rate"] > 0'
}

@test "bench zipf, sets, single, delete, reopen, raw: they run and check what they read" {
	tiny zipf
	holds zipf.json 'f["pairs"] == 60000 and 40000 < f["values"] <= 54000'
	tiny sets
	holds sets.json 'f["set_2_p50"] > 0 and f["set_1000_p50"] > 0'
	tiny single
	holds single.json 'f["durable_mean"] > 0 and f["bare_append"] > 0'
	tiny delete
	holds delete.json 'f["values_rate"] > 0 and f["disk_none"] <= f["disk_fresh"] + 9'
	tiny reopen
	holds reopen.json 'f["lost_of_sample"] == 0 and f["inserted"] >= 3000'
	tiny raw
	holds raw.json 'f["write"] > 0 and f["append_and_sync"] > 0'
	run ls -A
	refute_output --partial bench.
}

@test "bench readers: what they cost, and that their answers are right" {
	tiny readers
	holds readers.json 'f["start"] > 0 and f["start_full_log"] > 0 and f["writer_alone"] > 0'
	holds readers.json 'f["follower_of_writer"] > 0 and f["busy_lookups"] > 0'
	holds readers.json '0 < f["writer_busy_of_alone"] and 0 < f["writer_idle_of_alone"]'
	run ls
	assert_output readers.json
}

@test "bench tune: autotune and fixed settings, each with its rates and a score" {
	tiny tune
	holds tune.json 'len([n for n in f if n.endswith("_score")]) >= 8 and "default_score" in f'
	# Beside a machine's other work a writer may get nothing done in a window.
	holds tune.json 'all(f["auto_" + r] >= 0 for r in ("bulk", "beside", "steady", "read"))'
	holds tune.json 'all(0 <= f[n] <= 1.0001 for n in f if n.endswith("_score") and n != "auto_score")'
	# The best fixed setting of each rate is what all are measured by.
	holds tune.json 'abs(f["auto_of_best_fixed"] * max(f[n] for n in f if n.endswith("_score")
		and n != "auto_score") - f["auto_score"]) <= 1e-4 * f["auto_score"]'
	run ls
	assert_output tune.json
}

@test "bench mount: the same pairs through a mount and the library, and listings" {
	cid_need_fuse
	# The daemon must not keep the descriptors bats waits for.
	tiny mount 3>&- 4>&-
	holds mount.json 'f["lookup"] > 0 and f["ingest"] > 0 and f["library"] > 0 and f["list_values"] > 0'
	run ls
	assert_output mount.json
}

@test "bench cold-lookup and cold-insert: in a cgroup of their own" {
	local size=256

	cid_need_root
	grep -qE 'cgroup2? ' /proc/self/mounts || skip "no cgroup hierarchy"
	! cid_sanitized || size=4096
	run tiny cold-lookup --cgroup=${size}M
	[ "$status" = 0 ] || skip "$output"
	holds cold-lookup.json "f['cold_hit_rate'] > 0 and f['cgroup_peak'] < $((size + 1))"
	tiny cold-insert --cgroup=${size}M
	holds cold-insert.json 'f["inserted"] > 0 and f["rate_with_debt"] <= f["rate"]'
}

@test "bench --reuse takes the store an earlier run left, and only that" {
	tiny insert --keep
	run tiny lookup --reuse
	assert_success
	refute_output --partial "loaded anew"
	mv pairs-3000x1-1 pairs-4000x1-1
	run cidctl bench --keys=4000 --lookups=100 --seconds=1 --reuse lookup
	assert_success
	assert_output --partial "loaded anew"
}

@test "bench --rounds: every round is in the file" {
	cidctl bench -q --keys=1000 --rounds=3 -o reader_grace_ms=0 --json=r.json insert
	holds r.json '[r["round"] for r in d["results"]] == [1, 2, 3]'
}

@test "bench --plot leaves a script with the data in it" {
	run cidctl bench -q --keys=1000 -o reader_grace_ms=0 --plot=p.png insert
	assert_success
	grep -q 'run0 using 1:2' p.png.gnuplot
	if command -v gnuplot > /dev/null; then
		assert_file_exist p.png
	else
		assert_output --partial "gnuplot is not installed"
	fi
}

@test "bench: what cannot be is refused" {
	run cidctl bench
	assert_failure 2
	run cidctl bench no-such-run
	assert_failure 2
	run cidctl bench --keys=0 insert
	assert_failure 2
	run cidctl bench --keys=3x insert
	assert_failure 2
	run cidctl bench -q --keys=10 -o no_such_setting=1 insert
	assert_failure 4
	assert_output --partial no_such_setting
	run ls
	assert_output ""
}

@test "bench --cgroup says that it is for root, or works" {
	if [ "$(id -u)" = 0 ]; then
		grep -qE 'cgroup2? ' /proc/self/mounts || skip "no cgroup hierarchy"
		before=$(compgen -G '/sys/fs/cgroup/*/cidstore-bench.*' || true)
		run tiny insert --cgroup=256M
		[ "$status" = 0 ] || skip "$output"
		holds insert.json 'f["cgroup_peak"] > 0'
		run compgen -G '/sys/fs/cgroup/*/cidstore-bench.*'
		assert_output "$before"
	else
		run tiny insert --cgroup=256M
		assert_failure 4
		assert_output --partial root
	fi
}

@test "bench costs, and the model of scale on what it measured" {
	cidctl bench -q --keys=100k --lookups=10k --seconds=1 -o reader_grace_ms=0 \
		--json=costs.json costs
	holds costs.json 'f["sweep_bytes"] > 60 and f["memory_index"] > 1 and f["write"] > 0'
	tiny insert
	run "$top_srcdir/scripts/scale-model" costs.json --calibrate insert.json --check insert.json
	assert_success
	assert_output --partial "1 B keys, 100 B values, by key:"
	# What it was calibrated with it must give back.
	assert_output --regexp 'rate +[0-9.e+]+ +[0-9.e+]+ +[-+]0 %'
	# A file may hold both a load and a recovery.
	cidctl bench -q --keys=3000 --seconds=1 -o reader_grace_ms=0 --json=both.json insert reopen
	run "$top_srcdir/scripts/scale-model" costs.json --check both.json insert.json
	assert_success
	assert_output --regexp 'recovery +[0-9.e+-]+ +[0-9.e+-]+ '
	assert_output --regexp '[0-9]+ of 11 figures within 25 %'
	"$top_srcdir/scripts/scale-model" costs.json --json | /usr/bin/python3 -c '
import json, sys
rows = json.load(sys.stdin)
assert {r["keys"] for r in rows} == {1e6, 1e7, 1e8, 1e9}
assert all(r["disk_peak"] >= r["disk"] > r["keys"] * 60 for r in rows)'
}

@test "the hot paths whose instructions are counted can be taken" {
	local path hotpath=$top_builddir/tests/lib/hotpath

	for path in $("$hotpath" list); do
		"$hotpath" prepare "$path" "$path"
		run "$hotpath" run "$path" "$path"
		assert_output 40000
	done
}

@test "the model's table of bytes in HACKING is what it computes now" {
	local table=$BATS_TEST_TMPDIR/table

	"$top_srcdir/scripts/scale-model" --bytes > "$table"
	/usr/bin/python3 - "$table" "$top_srcdir/HACKING" << 'END'
import sys
table, text = open(sys.argv[1]).read(), open(sys.argv[2]).read()
if table not in text:
    sys.exit("HACKING has another table than:\n" + table)
END
}
