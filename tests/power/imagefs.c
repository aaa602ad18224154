/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * imagefs.c - a disk under a loop device that remembers, loses power and fails
 *
 *     imagefs [-d DATA] [-r] IMAGE TRACE MOUNTPOINT
 *
 * Serves three kinds of files in MOUNTPOINT, in the foreground, and prints
 * "ready" when they are there:
 *
 *     image     what IMAGE holds; IMAGE itself never changes. Each write and
 *               each flush (an fsync of the file) becomes a record of TRACE.
 *     mark.N    what is written to it becomes a mark N in TRACE, so that what
 *               a client knows to be done has its place among the writes.
 *     control   commands, one a write(2):
 *         cut TO MODE SEED [deaf]
 *                       the image becomes what may be left after a loss of
 *                       power before record TO of TRACE (cut.h); with deaf, on
 *                       a device that ignored all flushes. What is written from
 *                       then on is recorded elsewhere.
 *         again PERMILLE MODE SEED
 *                       another loss, after so much of what was recorded since
 *                       the last one
 *         power MODE SEED
 *                       a loss now, of what was recorded so far
 *         fail write|flush|all
 *                       from now on these are answered with EIO
 *         well          and from now on no more
 *         slow MS       a flush takes so long; other things go on meanwhile
 *               Reading it tells how many of what came.
 *
 * With -r the trace is one that is there, and is not added to. DATA is a file
 * of lines FIRST COUNT: sectors that are a file's data and may be torn.
 *
 * One thing is done after the other, and their order is that of the trace.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fusefs/lowlevel.h"
#include "power/cut.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

enum { ROOT = 1, CONTROL = 2, IMAGE = 3, MARK = 16, TEXT = 300 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static struct trace trace, scratch;
static struct image img;
static const uint8_t **before; /* the image before the records of `log` */
static struct trace *rec;      /* what is recorded now */
static size_t rec_from;
static bool fail_writes, fail_flushes, full;
static uint64_t writes, written, flushes, refused, slow_ms;

/* ---- commands ---- */

static int mode_of(const char *name)
{
	for (int m = 0; m < CUT_MODES; m++)
		if (strcmp(name, cut_mode_name[m]) == 0)
			return m;
	return -1;
}

/* Loses what a loss of power may; what comes then goes to the scratch trace. */
static int lose(size_t from, size_t to, const char *mode, uint64_t seed, bool deaf)
{
	struct cut c = { .from = from, .to = to, .deaf = deaf, .seed = seed };
	int m = mode_of(mode), rc;

	if (m < 0 || to < from || to > rec->n)
		return -EINVAL;
	c.mode = (enum cut_mode)m;
	memcpy(img.sector, before, img.sectors * sizeof(*before));
	rc = cut_make(&c, rec, &img, &scratch);
	if (rc)
		return rc;
	memcpy(before, img.sector, img.sectors * sizeof(*before));
	rec = &scratch;
	rec_from = scratch.n;
	return 0;
}

static const uint8_t **first; /* the image as it is in IMAGE */

static int command(const char *text)
{
	char mode[16] = "", word[16] = "";
	unsigned long long a, seed;
	size_t n;

	if (sscanf(text, "slow %llu", &a) == 1) {
		slow_ms = a;
		return 0;
	}
	if (sscanf(text, "cut %llu %15s %llu %15s", &a, mode, &seed, word) >= 3) {
		rec = &trace;
		rec_from = 0;
		memcpy(before, first, img.sectors * sizeof(*before));
		if (trace_clear(&scratch))
			return -EIO;
		return lose(0, (size_t)a, mode, seed, strcmp(word, "deaf") == 0);
	}
	if (sscanf(text, "again %llu %15s %llu", &a, mode, &seed) == 3) {
		n = rec->n - rec_from;
		return rec != &scratch || a > 1000
			       ? -EINVAL
			       : lose(rec_from, rec_from + n * (size_t)a / 1000, mode, seed, false);
	}
	if (sscanf(text, "power %15s %llu", mode, &seed) == 2)
		return lose(rec_from, rec->n, mode, seed, false);
	if (sscanf(text, "fail %15s", word) == 1) {
		fail_writes = strcmp(word, "write") == 0 || strcmp(word, "all") == 0;
		fail_flushes = strcmp(word, "flush") == 0 || strcmp(word, "all") == 0;
		return fail_writes || fail_flushes ? 0 : -EINVAL;
	}
	if (strncmp(text, "well", 4) == 0) {
		fail_writes = fail_flushes = false;
		return 0;
	}
	return -EINVAL;
}

static size_t figures(char out[TEXT])
{
	return (size_t)snprintf(out, TEXT,
				"disk_records %zu\ndisk_writes %llu\ndisk_bytes %llu\n"
				"disk_flushes %llu\ndisk_refused %llu\ndisk_since %zu\n",
				trace.n, (unsigned long long)writes, (unsigned long long)written,
				(unsigned long long)flushes, (unsigned long long)refused,
				rec->n - rec_from);
}

/* ---- the file system ---- */

static void attributes(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_nlink = 1;
	st->st_mode = ino == ROOT ? S_IFDIR | 0700 : S_IFREG | 0600;
	if (ino == IMAGE)
		st->st_size = (off_t)(img.sectors * SECTOR);
	st->st_blksize = 4096;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .attr_timeout = 3600, .entry_timeout = 3600 };
	unsigned n;
	int end = 0;

	(void)parent;
	if (strcmp(name, "image") == 0)
		e.ino = IMAGE;
	else if (strcmp(name, "control") == 0)
		e.ino = CONTROL;
	else if (sscanf(name, "mark.%u%n", &n, &end) == 1 && name[end] == '\0')
		e.ino = MARK + n;
	if (e.ino == 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	attributes(e.ino, &e.attr);
	fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	attributes(ino, &st);
	fuse_reply_attr(req, &st, 3600);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set; /* O_TRUNC of a shell's redirection */
	op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->direct_io = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	static uint8_t buf[1 << 20];
	uint64_t s = (uint64_t)off / SECTOR, n = size / SECTOR;

	(void)fi;
	if (ino == CONTROL) {
		char text[TEXT];
		size_t len;

		pthread_mutex_lock(&lock);
		len = figures(text);
		pthread_mutex_unlock(&lock);
		if ((size_t)off > len)
			off = (off_t)len;
		fuse_reply_buf(req, text + off,
			       len - (size_t)off < size ? len - (size_t)off : size);
		return;
	}
	if (ino != IMAGE) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if ((uint64_t)off % SECTOR || size % SECTOR || size > sizeof(buf) || s > img.sectors) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (n > img.sectors - s)
		n = img.sectors - s;
	pthread_mutex_lock(&lock);
	for (uint64_t i = 0; i < n; i++)
		memcpy(buf + i * SECTOR, img.sector[s + i], SECTOR);
	pthread_mutex_unlock(&lock);
	fuse_reply_buf(req, (char *)buf, n * SECTOR);
}

static int write_image(const void *data, size_t size, off_t off)
{
	int rc;

	if (fail_writes) {
		refused++;
		return -EIO;
	}
	if ((uint64_t)off % SECTOR || size % SECTOR || (uint64_t)off + size > img.sectors * SECTOR)
		return -EINVAL;
	rc = trace_append(rec, TRACE_WRITE, (uint64_t)off, data, size);
	if (rc) {
		full = true; /* whoever reads the trace must know */
		return rc;
	}
	image_write(&img, (uint64_t)off, trace_bytes(rec, rec->n - 1), size);
	writes++;
	written += size;
	return 0;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	char text[TEXT];
	int rc;

	(void)fi;
	pthread_mutex_lock(&lock);
	if (ino == IMAGE) {
		rc = write_image(buf, size, off);
	} else if (ino == CONTROL) {
		(void)snprintf(text, sizeof(text), "%.*s", (int)(size < 200 ? size : 200), buf);
		rc = command(text);
	} else {
		rc = trace_append(rec, TRACE_MARK, ino - MARK, buf, size);
	}
	pthread_mutex_unlock(&lock);
	if (rc)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_write(req, size);
}

struct flush {
	fuse_req_t req;
	uint64_t from, ms;
};

static void *flush(void *arg)
{
	struct flush *f = arg;
	struct timespec t = { (time_t)(f->ms / 1000), (long)(f->ms % 1000) * 1000000 };
	int rc = -EIO;

	if (f->ms)
		(void)nanosleep(&t, NULL);
	pthread_mutex_lock(&lock);
	if (fail_flushes)
		refused++;
	else
		rc = trace_append(rec, TRACE_FLUSH, f->from, NULL, 0);
	flushes += rc == 0;
	pthread_mutex_unlock(&lock);
	fuse_reply_err(f->req, -rc);
	free(f);
	return NULL;
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct flush *f = malloc(sizeof(*f));
	pthread_t t;

	(void)datasync;
	(void)fi;
	if (ino != IMAGE || !f) {
		free(f);
		fuse_reply_err(req, ino == IMAGE ? ENOMEM : 0);
		return;
	}
	pthread_mutex_lock(&lock);
	*f = (struct flush){ req, rec->n, slow_ms };
	pthread_mutex_unlock(&lock);
	if (f->ms == 0 || pthread_create(&t, NULL, flush, f))
		(void)flush(f);
	else
		(void)pthread_detach(t);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	(void)ino;
	(void)mode;
	(void)off;
	(void)len;
	(void)fi;
	fuse_reply_err(req, EOPNOTSUPP); /* no discards: zeros are written */
}

static void op_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->max_write = 1 << 20;
	conn->max_background = 64;
	conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
};

/* ---- start ---- */

static _Noreturn void fail(const char *what, int error)
{
	(void)fprintf(stderr, "imagefs: %s: %s\n", what, strerror(error));
	exit(1);
}

static void load_image(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *map;

	if (fd < 0 || fstat(fd, &st))
		fail(path, errno);
	img.sectors = (uint64_t)st.st_size / SECTOR;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		fail(path, errno);
	img.sector = calloc(img.sectors, sizeof(*img.sector));
	before = calloc(img.sectors, sizeof(*before));
	first = calloc(img.sectors, sizeof(*first));
	if (!img.sector || !before || !first)
		fail(path, ENOMEM);
	for (uint64_t s = 0; s < img.sectors; s++)
		img.sector[s] = before[s] = first[s] = map + s * SECTOR;
}

static void load_data(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = calloc(img.sectors, 1);
	unsigned long long at, n;

	if (!f || !data)
		fail(path, errno);
	while (fscanf(f, "%llu %llu", &at, &n) == 2)
		if (at < img.sectors && n <= img.sectors - at)
			memset(data + at, 1, n);
	(void)fclose(f);
	img.data = data;
}

static int serve(const char *mountpoint)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	int rc = -1;

	if (!fuse_opt_add_arg(&args, "imagefs") &&
	    !fuse_opt_add_arg(&args, "-ofsname=imagefs,subtype=imagefs"))
		se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (se && !fuse_session_mount(se, mountpoint)) {
		(void)fuse_set_signal_handlers(se);
		puts("ready");
		(void)fflush(stdout);
		rc = fuse_session_loop(se);
		fuse_session_unmount(se);
	}
	if (se)
		fuse_session_destroy(se);
	fuse_opt_free_args(&args);
	return rc;
}

int main(int argc, char **argv)
{
	const char *data = NULL;
	bool replay = false;
	int c, rc;

	while ((c = getopt(argc, argv, "d:r")) >= 0) {
		if (c == 'd')
			data = optarg;
		else if (c == 'r')
			replay = true;
		else
			return 2;
	}
	if (optind + 3 != argc) {
		(void)fprintf(stderr, "usage: imagefs [-d DATA] [-r] IMAGE TRACE MOUNTPOINT\n");
		return 2;
	}
	load_image(argv[optind]);
	if (data)
		load_data(data);
	rc = trace_open(&trace, argv[optind + 1], !replay);
	if (rc == 0)
		rc = trace_open(&scratch, NULL, true);
	if (rc)
		fail(argv[optind + 1], -rc);
	rec = replay ? &scratch : &trace;
	/* The kernel must not wait for pages of the loop device to get memory. */
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	return serve(argv[optind + 2]) || full ? 1 : 0;
}
