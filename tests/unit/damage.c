/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * damage.c - a store whose files were scribbled over, cut off or mixed up
 *
 * usage: damage [MUTATIONS [SEED]]; `make mutate N=100000` runs so many
 *
 * Each time one file of a copy of a store is damaged, and a child checks,
 * opens, reads and perhaps changes it. It must not die; what it reads must be
 * right or an error, never something else; and where the check found nothing
 * everything must be readable and right. The end of the log is no exception,
 * though records behind the last that is known to be durable may end it: then
 * the store holds what the log held up to there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "lib/faultio.h"
#include "lib/ids.h"
#include "lib/storecopy.h"
#include "lib/tap.h"
#include "store/store.h"

enum { KEYS = 60, VALUES = 300, TAIL = 40, PAGE = 4096 };

struct world {
	uint8_t exists[KEYS];
	uint8_t have[KEYS][VALUES];
};

/* What the child found. */
struct outcome {
	int checked;	     /* code of the check, or its number of errors */
	int opened;	     /* code of opening */
	unsigned refused;    /* reads that failed */
	unsigned wrong;	     /* things that must not be */
	unsigned corrected;
	char text[400];	     /* the first of them */
};

static char dir[200], master[240], earlier[240], path[240], what[300];
static struct world history[TAIL + 1]; /* after each record of the log's end */
static unsigned last;
static struct cidstore *s;
static uint64_t rng;
static struct outcome *out; /* shared with the child */
static bool hasty;
static struct cid_io quick;  /* fault_io, that does not wait for a writer to move on */

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
	va_list ap;

	if (out->wrong++)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(out->text, sizeof(out->text), fmt, ap);
	va_end(ap);
}

/* ---- the store that is damaged ---- */

static void must(int rc, const char *doing)
{
	if (rc)
		tap_bail("%s: %s", doing, cidstore_strerror(rc));
}

static void insert(struct world *w, unsigned k, unsigned v, unsigned n)
{
	static struct cidstore_pair p[VALUES];

	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct cidstore_pair){ key_id(k), value_id((v + i) % VALUES) };
		w->exists[k] = w->have[k][(v + i) % VALUES] = 1;
	}
	must(cidstore_insert(s, p, n, NULL), "insert");
}

static void delete(struct world *w, unsigned k, unsigned v, unsigned n)
{
	static struct cidstore_pair p[VALUES];

	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct cidstore_pair){ key_id(k), value_id((v + i) % VALUES) };
		w->have[k][(v + i) % VALUES] = 0;
	}
	must(cidstore_delete(s, p, n, NULL), "delete");
}

static void delete_key(struct world *w, unsigned k)
{
	struct cidstore_id id = key_id(k);

	w->exists[k] = 0;
	memset(w->have[k], 0, VALUES);
	must(cidstore_delete_keys(s, &id, 1, NULL), "delete_keys");
}

/* Buckets, runs, sets of every form, a deletion log, and a log to replay. */
static void fill(void)
{
	static const struct cidstore_geometry geo = { .log_bytes = 256u << 10,
						      .segment_bytes = 4u << 20,
						      .bucket_bytes = 8192,
						      .promotion_threshold = 16,
						      .hash_seed = 11 };
	struct world *w = &history[0];
	struct cidstore_error err;

	if (cid_store_create_io(&fault_io, path, &geo, &err) ||
	    cid_store_open_io(&fault_io, path, CIDSTORE_MANUAL, &s, &err))
		tap_bail("%s", err.message);
	for (unsigned k = 0; k < KEYS; k++)
		insert(w, k, k, k % 5 == 0 ? 200 : k % 5 == 1 ? 10 : k % 5 == 2 ? 2 : 1);
	must(cidstore_compact(s), "compact");
	copy_store(path, earlier);
	for (unsigned k = 0; k < KEYS; k += 3)
		delete(w, k, k, k % 2 ? 1 : 120);
	must(cidstore_checkpoint(s), "checkpoint");
	for (unsigned k = 0; k < KEYS; k += 4)
		insert(w, k, 7, 40);
	delete_key(w, 10);
	delete_key(w, 11);
	must(cidstore_compact(s), "compact");
	for (unsigned k = 0; k < KEYS; k += 7)
		insert(w, k, 90, 30);
	must(cidstore_checkpoint(s), "checkpoint");
	delete_key(w, 20);
	for (unsigned k = 1; k < KEYS; k += 6)
		insert(w, k, 50, 25);
	must(cidstore_checkpoint(s), "checkpoint");
	/* Durable by the next commit's root, or by none. */
	for (last = 0; last < TAIL; last++) {
		history[last + 1] = history[last];
		if (last % 5 == 4)
			delete(&history[last + 1], last, 90, 1);
		else
			insert(&history[last + 1], last % KEYS, 250 - last, 1);
	}
	must(cidstore_sync(s), "sync");
	copy_store(path, master);
	must(cidstore_close(s), "close");
	remove_store(path);
}

/* ---- reading ---- */

static bool refusal(int rc)
{
	if (rc == CIDSTORE_ECORRUPT || rc == CIDSTORE_EIO) {
		out->refused++;
		return true;
	}
	return false;
}

static struct world seen;
static uint8_t known[KEYS]; /* could be read */

static void read_key(unsigned k)
{
	static struct cidstore_id id[VALUES];
	uint64_t total = 0, count;
	int rc = cidstore_get(s, key_id(k), id, VALUES, &total);

	memset(seen.have[k], 0, VALUES);
	seen.exists[k] = rc == 0;
	known[k] = rc == 0 || rc == CIDSTORE_ENOENT;
	if (!known[k] && !refusal(rc))
		complain("get of key %u: %s", k, cidstore_strerror(rc));
	for (uint64_t i = 0; rc == 0 && i < total; i++) {
		if (i >= VALUES || id[i].high >= VALUES ||
		    id[i].low != value_id((unsigned)id[i].high).low) {
			complain("key %u has a value nobody made", k);
			break;
		}
		if (seen.have[k][id[i].high]++)
			complain("key %u has value %u twice", k, (unsigned)id[i].high);
	}
	rc = cidstore_count(s, key_id(k), &count);
	if (rc == 0 && known[k] && (!seen.exists[k] || count != total))
		complain("key %u: count and get differ", k);
	else if (rc && rc != CIDSTORE_ENOENT && !refusal(rc))
		complain("count of key %u: %s", k, cidstore_strerror(rc));
}

static bool fits(const struct world *w)
{
	for (unsigned k = 0; k < KEYS; k++)
		if (known[k] && (seen.exists[k] != w->exists[k] ||
				 memcmp(seen.have[k], w->have[k], VALUES) != 0))
			return false;
	return true;
}

static void explain(const struct world *w)
{
	for (unsigned k = 0; k < KEYS; k++) {
		if (!known[k])
			continue;
		if (seen.exists[k] != w->exists[k])
			complain("key %u %s", k, w->exists[k] ? "is lost" : "came back");
		for (unsigned v = 0; v < VALUES; v++)
			if (seen.have[k][v] != w->have[k][v])
				complain("key %u value %u %s", k, v,
					 w->have[k][v] ? "is lost" : "came back");
	}
}

static void look_up(const struct world *w)
{
	struct cidstore_pos pos = { 0 };
	struct cidstore_item item[16];
	unsigned listed = 0, want = 0;
	size_t n;
	int rc;

	for (unsigned i = 0; i < 200; i++) {
		unsigned k = (unsigned)rnd(KEYS), v = (unsigned)rnd(VALUES);

		rc = cidstore_contains(s, key_id(k), value_id(v));
		if (rc != (w->have[k][v] ? 0 : CIDSTORE_ENOENT) && !refusal(rc))
			complain("contains of key %u value %u: %s", k, v, cidstore_strerror(rc));
	}
	for (unsigned k = 0; k < KEYS; k++)
		want += w->exists[k];
	do {
		rc = cidstore_scan_keys(s, &pos, item, 16, &n);
		for (size_t i = 0; rc == 0 && i < n; i++, listed++)
			if (item[i].id.low >= KEYS || !w->exists[item[i].id.low])
				complain("the listing shows a key that is not there");
	} while (rc == 0 && n);
	if (rc == 0 ? listed != want : !refusal(rc))
		complain("%u keys listed, not %u: %s", listed, want, cidstore_strerror(rc));
}

/* Which state is it? In the log's end any earlier one may be. */
static const struct world *compare(bool log)
{
	for (unsigned k = 0; k < KEYS; k++)
		read_key(k);
	for (unsigned j = last + 1; j-- > (log ? 0 : last);)
		if (fits(&history[j])) {
			look_up(&history[j]);
			return &history[j];
		}
	explain(&history[last]);
	return NULL;
}

/* ---- the child ---- */

static void finding(void *arg, const char *message, double progress)
{
	(void)arg;
	(void)message;
	(void)progress;
}

/* Damaged or not, it can be worked on, and what worked holds. */
static void change(const struct world *before, bool log)
{
	static struct world w;
	struct cidstore_pair p;

	w = *before;
	for (unsigned i = 0; i < 30; i++) {
		unsigned k = (unsigned)rnd(KEYS), v = (unsigned)rnd(VALUES);
		int rc;

		p = (struct cidstore_pair){ key_id(k), value_id(v) };
		if (i % 3) {
			rc = cidstore_insert(s, &p, 1, NULL);
			if (rc == 0)
				w.exists[k] = w.have[k][v] = 1;
		} else {
			rc = cidstore_delete(s, &p, 1, NULL);
			if (rc == 0)
				w.have[k][v] = 0;
		}
		if (rc && !refusal(rc))
			complain("a change: %s", cidstore_strerror(rc));
	}
	for (int i = 0; i < 3; i++) {
		int rc = i == 0 ? cidstore_checkpoint(s) :
			 i == 1 ? cidstore_compact(s) :
				  cidstore_gc(s);

		if (rc && !refusal(rc))
			complain("%s: %s", i == 0 ? "checkpoint" : i == 1 ? "compact" : "gc",
				 cidstore_strerror(rc));
	}
	history[last] = w;
	(void)compare(false);
	(void)log;
}

static void examine(bool log, bool writing, bool hdf5)
{
	struct cidstore_error err = { 0, "" };
	struct cidstore_report r = { 0 };
	const struct world *w;
	int rc;

	alarm(tap_deadline());
	/* Half of those that only read do without the check, for speed. */
	if (writing || hdf5 || rnd(2) || !hasty)
		rc = cid_store_check_io(hdf5 ? &cid_io_posix : &quick, path, 0, finding, NULL, &r,
					&err);
	else
		rc = CIDSTORE_EAGAIN, (void)cid_err_set(&err, rc, "not checked");
	out->checked = rc ? rc : (int)r.errors;
	if (rc && err.message[0] == '\0')
		complain("the check gave up without a message: %s", cidstore_strerror(rc));
	err = (struct cidstore_error){ 0, "" };
	rc = cid_store_open_io(&quick, path, writing ? CIDSTORE_MANUAL : CIDSTORE_RDONLY, &s, &err);
	out->opened = rc;
	if (rc) {
		if (err.code != rc || err.message[0] == '\0')
			complain("refused without a message: %s", cidstore_strerror(rc));
		if (rc == CIDSTORE_ENOMEM || rc == CIDSTORE_EINVAL)
			complain("damage reported as %s: %s", cidstore_strerror(rc), err.message);
		return;
	}
	w = compare(log);
	if (out->checked == 0 && out->refused)
		complain("the check found nothing, but reading fails");
	if (w && writing)
		change(w, log);
	rc = cidstore_close(s);
	if (rc && !refusal(rc))
		complain("close: %s", cidstore_strerror(rc));
}

/* ---- damage ---- */

enum { FILES = 7, MUTATIONS = 14 };

static off_t length(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

/* A place that holds data: what is a hole nobody reads. */
static off_t some_place(int fd, size_t n)
{
	for (int i = 0; i < 100; i++) {
		off_t end = length(fd), at = (off_t)rnd((uint64_t)end), data;

		data = lseek(fd, at, SEEK_DATA);
		if (data < 0 || data + (off_t)n > end)
			continue;
		/* Mostly where the scribbling matters, page by page. */
		return data > at ? data + (off_t)rnd(PAGE - n % PAGE) : at;
	}
	return 0;
}

static void scribble(int fd, off_t at, size_t n)
{
	uint8_t buf[PAGE];

	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)rnd(256);
	if (pwrite(fd, buf, n, at) < 0)
		tap_bail("scribbling: %s", strerror(errno));
}

static void flip(int fd, off_t at)
{
	uint8_t c = 0;

	if (pread(fd, &c, 1, at) != 1)
		return;
	c ^= (uint8_t)(1 << rnd(8));
	if (pwrite(fd, &c, 1, at) != 1)
		tap_bail("flipping: %s", strerror(errno));
}

static void copy_page(int from, off_t a, int to, off_t b)
{
	uint8_t buf[PAGE];
	ssize_t n = pread(from, buf, PAGE, a / PAGE * PAGE);

	if (n > 0 && pwrite(to, buf, (size_t)n, b / PAGE * PAGE) != n)
		tap_bail("copying a page: %s", strerror(errno));
}

static void swap_pages(int fd, off_t a, off_t b)
{
	uint8_t one[PAGE], two[PAGE];
	ssize_t n, m;

	a = a / PAGE * PAGE;
	b = b / PAGE * PAGE;
	n = pread(fd, one, PAGE, a);
	m = pread(fd, two, PAGE, b);
	if (n != PAGE || m != PAGE)
		return;
	if (pwrite(fd, one, PAGE, b) != PAGE || pwrite(fd, two, PAGE, a) != PAGE)
		tap_bail("swapping pages: %s", strerror(errno));
}

static void mutate(unsigned kind, const char *name)
{
	char file[300], old[300];
	size_t n = 1 + rnd(64);
	int fd, other;
	off_t at;

	(void)snprintf(file, sizeof(file), "%s/%s", path, name);
	(void)snprintf(old, sizeof(old), "%s/%s", earlier, name);
	fd = open(file, O_RDWR);
	other = open(old, O_RDONLY);
	if (fd < 0 || other < 0)
		tap_bail("%s: %s", file, strerror(errno));
	at = some_place(fd, n);
	switch (kind) {
	case 0: case 1: case 2:
		(void)snprintf(what, sizeof(what), "%s: %zu random bytes at %lld", name, n,
			       (long long)at);
		scribble(fd, at, n);
		break;
	case 3: case 4:
		n = 1 + rnd(3);
		(void)snprintf(what, sizeof(what), "%s: %zu bits flipped from %lld on", name, n,
			       (long long)at);
		for (size_t i = 0; i < n; i++)
			flip(fd, at + (off_t)rnd(40));
		break;
	case 5:
		n = rnd(2) ? 512 : PAGE;
		at = at / (off_t)n * (off_t)n;
		(void)snprintf(what, sizeof(what), "%s: a sector of %zu scribbled over at %lld",
			       name, n, (long long)at);
		scribble(fd, at, n);
		break;
	case 6: {
		static const uint8_t zero[PAGE];

		at = at / PAGE * PAGE;
		(void)snprintf(what, sizeof(what), "%s: the page at %lld zeroed", name,
			       (long long)at);
		if (pwrite(fd, zero, PAGE, at) < 0)
			tap_bail("zeroing: %s", strerror(errno));
		break;
	}
	case 7: {
		off_t b = some_place(fd, n);

		(void)snprintf(what, sizeof(what), "%s: the page at %lld instead of that at %lld",
			       name, (long long)at, (long long)b);
		copy_page(fd, at, fd, b);
		break;
	}
	case 8:
		(void)snprintf(what, sizeof(what), "%s: an old page at %lld", name, (long long)at);
		copy_page(other, at, fd, at);
		break;
	case 9: case 10: {
		off_t b = some_place(fd, n);

		(void)snprintf(what, sizeof(what), "%s: the pages at %lld and %lld swapped", name,
			       (long long)at, (long long)b);
		swap_pages(fd, at, b);
		break;
	}
	case 11:
		n = 2 + rnd(400);
		(void)snprintf(what, sizeof(what), "%s: %zu bits flipped all over", name, n);
		for (size_t i = 0; i < n; i++)
			flip(fd, some_place(fd, 1));
		break;
	default:
		at = rnd(4) ? at : (off_t)rnd((uint64_t)length(fd));
		(void)snprintf(what, sizeof(what), "%s: cut off at %lld", name, (long long)at);
		if (ftruncate(fd, at))
			tap_bail("cutting: %s", strerror(errno));
	}
	close(fd);
	close(other);
}

static void must_move(const char *from, const char *to)
{
	if (rename(from, to))
		tap_bail("%s: %s", from, strerror(errno));
}

/* Two files change their names, or one is as it was earlier. */
static void mistake(unsigned a, unsigned b)
{
	char one[300], two[300], kept[300];

	(void)snprintf(one, sizeof(one), "%s/%s", path, store_file[a]);
	if (a == b) {
		(void)snprintf(what, sizeof(what), "%s: as it was earlier", store_file[a]);
		(void)snprintf(two, sizeof(two), "%s/%s", earlier, store_file[a]);
		copy_file(two, one);
		return;
	}
	(void)snprintf(what, sizeof(what), "%s and %s change places", store_file[a], store_file[b]);
	(void)snprintf(two, sizeof(two), "%s/%s", path, store_file[b]);
	(void)snprintf(kept, sizeof(kept), "%s/kept", path);
	must_move(one, kept);
	must_move(two, one);
	must_move(kept, two);
}

/* Things that are not there, or not what they should be. */
static void misplace(unsigned kind, const char *name)
{
	char file[300];

	(void)snprintf(file, sizeof(file), "%s/%s", path, name);
	if (unlink(file))
		tap_bail("%s: %s", file, strerror(errno));
	switch (kind) {
	case 0:
		(void)snprintf(what, sizeof(what), "%s: missing", name);
		break;
	case 1:
		(void)snprintf(what, sizeof(what), "%s: a directory", name);
		if (mkdir(file, 0755))
			tap_bail("%s: %s", file, strerror(errno));
		break;
	case 2:
		(void)snprintf(what, sizeof(what), "%s: a link to nowhere", name);
		if (symlink("/nowhere", file))
			tap_bail("%s: %s", file, strerror(errno));
		break;
	default:
		(void)snprintf(what, sizeof(what), "%s: empty", name);
		close(open(file, O_CREAT | O_WRONLY, 0644));
	}
}

static struct {
	unsigned runs, clean, found, refused, reads_refused, right;
} sum;

/* One child, on whatever is in `path` now. */
static bool judge(bool log, bool writing, bool hdf5)
{
	int status;
	pid_t pid;

	memset(out, 0, sizeof(*out));
	(void)fflush(stdout);
	pid = fork();
	if (pid < 0)
		tap_bail("fork: %s", strerror(errno));
	if (pid == 0) {
		examine(log, writing, hdf5);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sum.runs++;
	sum.clean += out->checked == 0;
	sum.found += out->checked != 0;
	sum.refused += out->opened != 0;
	sum.reads_refused += out->opened == 0 && out->refused != 0;
	sum.right += out->opened == 0 && out->refused == 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		tap_note("%s%s: the child %s %d", what, writing ? ", writing" : "",
			 WIFEXITED(status) ? "ended with status" : "was killed by signal",
			 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	else if (out->wrong)
		tap_note("%s%s: %s (%u; check: %d, open: %s)", what, writing ? ", writing" : "",
			 out->text, out->wrong, out->checked, cidstore_strerror(out->opened));
	else
		return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned mutations = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2500, bad = 0;
	const char *tmp = getenv("TMPDIR");
	struct fault none = { .number = 0 };

	rng = argc > 2 ? strtoull(argv[2], NULL, 10) :
			 (uint64_t)getpid() * 2654435761u + 88172645463325252ull;
	tap_note("seed %llu", (unsigned long long)rng);
	if (!tmp)
		tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	(void)snprintf(dir, sizeof(dir), "%s/cidstore-damage.XXXXXX", tmp);
	out = mmap(NULL, sizeof(*out), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (out == MAP_FAILED || !mkdtemp(dir))
		tap_bail("%s: %s", dir, strerror(errno));
	(void)snprintf(master, sizeof(master), "%s/master", dir);
	(void)snprintf(earlier, sizeof(earlier), "%s/earlier", dir);
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	fault_set(&none);
	hasty = mutations > 5000;
	quick = fault_io;
	quick.pause = NULL;
	fill();

	(void)snprintf(what, sizeof(what), "nothing");
	for (int writing = 0; writing < 2; writing++) {
		copy_store(master, path);
		tap_ok(judge(false, writing, true) && out->checked == 0 && out->refused == 0,
		       "undamaged, %s: clean and right", writing ? "writing" : "reading");
		remove_store(path);
	}
	for (unsigned f = 1; f < FILES; f++)
		for (unsigned kind = 0; kind < 4; kind++) {
			copy_store(master, path);
			misplace(kind, store_file[f]);
			bad += !judge(f == STORE_WAL, kind % 2, false);
			if (out->opened == 0) {
				tap_note("%s: opened", what);
				bad++;
			}
			remove_store(path);
		}
	tap_int(bad, 0, "a missing file, a directory, a link, an empty file: refused");
	memset(&sum, 0, sizeof(sum));
	bad = 0;
	for (unsigned i = 0; i < mutations && bad < 20; i++) {
		unsigned f = 1 + (unsigned)rnd(FILES - 1);
		bool hdf5 = rnd(20) == 0, writing = rnd(3) == 0;

		unsigned kind = (unsigned)rnd(MUTATIONS), g = 1 + (unsigned)rnd(FILES - 1);

		copy_store(master, path);
		if (kind < MUTATIONS - 1)
			mutate(kind, store_file[f]);
		else
			mistake(f, g);
		bad += !judge(f == STORE_WAL ||
				      (kind == MUTATIONS - 1 && f != g && g == STORE_WAL),
			      writing, hdf5);
		remove_store(path);
	}
	tap_note("%u mutations: check clean %u, found %u; refused to open %u, reads refused %u, "
		 "all right %u", sum.runs, sum.clean, sum.found, sum.refused, sum.reads_refused,
		 sum.right);
	tap_int(bad, 0, "no damage kills a reader or gives wrong data");
	remove_store(master);
	remove_store(earlier);
	if (rmdir(dir))
		tap_note("%s is left", dir);
	return tap_done();
}
