# SPDX-License-Identifier: BSD-2-Clause
#
# peers-table.awk - the table of bench-peers: medians, the best peer, the ratio
#
# Rows are told by row(): work, metric, which is better, scale, what it is
# called, and the bar: the ratio to the best peer, to the best crash-safe one,
# or the figure itself.
function median(key, a, i, j, t, m) {
	m = split(list[key], a, " ")
	for (i = 2; i <= m; i++)
		for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) {
			t = a[j]
			a[j] = a[j - 1]
			a[j - 1] = t
		}
	return m == 0 ? "" : m % 2 ? a[(m + 1) / 2] : (a[m / 2] + a[m / 2 + 1]) / 2
}

function text(v) {
	return v == "" ? "-" : v >= 100 ? sprintf("%.0f", v) : v >= 10 ? sprintf("%.1f", v) : \
		sprintf("%.2f", v)
}

# Nothing can be said of lookups in a store that is smaller than the others.
function cut_off(p, work, done) {
	done = median(p ",insert,pairs")
	return (work == "lookup" || work == "single") && done != "" && done < n
}

function best_of(work, metric, up, safe, i, v, b) {
	b = ""
	best = ""
	for (i = 1; i <= peer_count; i++) {
		if (peer[i] == "cidstore" || (safe && peer[i] == "tkrzw") || cut_off(peer[i], work))
			continue
		v = median(peer[i] "," work "," metric)
		if (v != "" && (b == "" || (up ? v > b : v < b))) {
			b = v
			best = peer[i]
		}
	}
	return b
}

function row(work, metric, up, scale, name, bar, kind, i, v, own, b, ratio, verdict) {
	own = median("cidstore," work "," metric)
	b = best_of(work, metric, up, kind == "safe")
	if (own == "" && b == "")
		return
	printf "%-30s", name
	for (i = 1; i <= peer_count; i++) {
		v = median(peer[i] "," work "," metric)
		if (cut_off(peer[i], work))
			v = ""
		printf " %9s", text(v == "" ? "" : v * scale)
	}
	if (kind == "self")
		ratio = own * scale
	else if (kind == "raw") {
		b = median("raw,single,append_and_sync")
		best = "raw"
		ratio = b > 0 ? own / b : 0
	} else
		ratio = b > 0 ? own / b : 0
	verdict = bar == "" || (kind != "self" && b == "") ? "" : (up ? ratio >= bar : ratio <= bar) ? "met" : "MISSED"
	printf "  %-9s %7s %9s %s\n", kind == "self" ? "" : best, kind == "self" || b == "" ? \
		"" : sprintf("%.2f", ratio), bar == "" ? "" : (up ? ">= " : "<= ") bar, verdict
}

/^#/ {
	print substr($0, 3)
	next
}
$1 == "peer" { next }
{
	list[$1 "," $2 "," $4] = list[$1 "," $2 "," $4] " " $5
	if ($4 == "wrong" || $4 == "lost_of_sample")
		wrong[$1 "," $2] += $5
}
END {
	peer_count = split(peers, peer, " ")
	printf "\nraw disk: %.0f MB/s written, %.0f us an append and its sync\n", \
		median("raw,raw,write"), median("raw,raw,append_and_sync")
	printf "\n%-30s", "medians"
	for (i = 1; i <= peer_count; i++)
		printf " %9s", peer[i]
	printf "  %-9s %7s %9s\n", "best peer", "ratio", "bar"
	big = n >= 50000000
	row("insert", "rate", 1, 1e-3, "insert, k/s", big ? 10 : 3, "any")
	row("insert", "rate", 1, 1e-3, "  beside the crash-safe ones", big ? 10 : 8, "safe")
	row("insert", "last_of_first", 1, 1, "  last tenth of the first", 0.7, "self")
	row("insert", "batch_p999", 0, 1, "  batch and sync P99.9, ms", "", "any")
	row("insert", "memory", 0, 1, "  memory, MiB", 1024, "self")
	row("insert", "disk", 0, 1, "  disk, bytes a pair", "", "any")
	row("insert", "process_written", 0, 1, "  written, bytes a pair", "", "any")
	row("zipf", "rate", 1, 1e-3, "insert by Zipf's law, k/s", 5, "any")
	row("lookup", "hit_1t_mean", 0, 1, "lookup, hit, ns", big ? 0.35 : 0.5, "any")
	row("lookup", "hit_1t_p999", 0, 1, "  P99.9", "", "any")
	row("lookup", "miss_1t_mean", 0, 1, "lookup, miss, ns", big ? 0.4 : 0.5, "any")
	row("lookup", "hit_2t_rate", 1, 1e-3, "two threads, hits, k/s", "", "any")
	row("lookup", "miss_2t_rate", 1, 1e-3, "two threads, misses, k/s", "", "any")
	row("sets", "set_10_p50", 0, 1, "set of 10, us", 1.2, "any")
	row("sets", "set_1000_p50", 0, 1, "set of 1,000, us", 2, "any")
	row("sets", "set_100000_p50", 0, 1, "set of 100,000, us", 1.2, "any")
	row("single", "durable_mean", 0, 1, "one insert, durable, us", 1.15, "raw")
	row("single", "not_durable_mean", 0, 1, "one insert, not durable, us", 1, "self")
	row("reopen", "reopen", 0, 1, "reopen after kill -9, ms", big ? 2000 : 300, "self")
	row("delete", "values_rate", 1, 1e-3, "delete one value of two, k/s", 4, "any")
	row("delete", "keys_rate", 1, 1e-3, "delete keys, k/s", 4, "any")
	row("delete", "disk_after", 0, 1, "  disk after it, MB", "", "any")
	for (i = 1; i <= peer_count; i++) {
		a = median(peer[i] ",insert,pairs")
		if (a != "" && a < n)
			printf "%s: the load was cut off after %.1f M pairs\n", peer[i], a / 1e6
	}
	for (w in wrong)
		if (wrong[w] > 0)
			printf "%s: %d wrong or lost\n", w, wrong[w]
}
