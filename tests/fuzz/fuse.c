/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuse.c - requests as the kernel writes them to the device, of any order and
 * content
 *
 * What the kernel guarantees is kept: lengths are right, names end in a zero
 * byte, a file that is read was opened. The requests go through libfuse into
 * the handlers; the answers go nowhere.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>
#include "control/control.h"
#include "fusefs/attr.h"
#include "fusefs/fs.h"
#include "fusefs/notify.h"
#include "fusefs/ops.h"
#include "store/store.h"
#include "fuzz/fuzz.h"

enum { REQUEST = 8192, HANDLES = 4 };

static struct cid_fusefs fs;
static uint64_t unique = 1;
static uint64_t answered, answer_fh;

static ssize_t on_answer(int fd, struct iovec *iov, int count, void *arg)
{
	struct fuse_out_header h;
	size_t n = 0;

	(void)fd;
	(void)arg;
	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	memcpy(&h, iov[0].iov_base, sizeof(h));
	fuzz_must(h.len == n, "an answer's length is right");
	if (h.unique == unique) {
		answered++;
		fuzz_must(h.error <= 0 && h.error > -512, "an answer has an errno");
		fuzz_must(h.error != -38 || unique == 1, "nothing is ENOSYS");
		if (h.error == 0 && count > 1 && iov[1].iov_len == sizeof(struct fuse_open_out))
			memcpy(&answer_fh, iov[1].iov_base, sizeof(answer_fh));
	}
	return (ssize_t)n;
}

static ssize_t on_read(int fd, void *buf, size_t n, void *arg)
{
	(void)fd;
	(void)buf;
	(void)n;
	(void)arg;
	return 0;
}

static void send_request(uint32_t opcode, uint64_t node, const void *body, size_t n)
{
	static uint8_t buf[REQUEST + 512];
	struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + n), .opcode = opcode,
				    .unique = ++unique, .nodeid = node };
	struct fuse_buf b = { .mem = buf, .size = h.len };

	memset(buf, 0, sizeof(buf));
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), body, n);
	answered = 0;
	fuse_session_process_buf(fs.session, &b);
	fuzz_must(answered == (opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET),
		  "each request is answered, once");
}

static void make(void)
{
	static const struct cidstore_geometry geo = { .log_bytes = 1 << 20,
						      .segment_bytes = 4 << 20,
						      .bucket_bytes = 8192,
						      .promotion_threshold = 4,
						      .hash_seed = 7 };
	static char name[] = "fuzz";
	static char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	static const struct fuse_custom_io io = { .writev = on_answer, .read = on_read };
	struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION, .minor = 36,
				     .max_readahead = 131072, .flags = UINT32_MAX & ~(uint32_t)FUSE_INIT_EXT };
	struct cidstore_error err;
	char dir[300];

	(void)snprintf(dir, sizeof(dir), "%s/store", fuzz_dir());
	if (cidstore_create(dir, &geo, &err) || cidstore_open(dir, 0, &fs.store, &err) ||
	    cid_control_new(fs.store, 0, &fs.control)) {
		fprintf(stderr, "%s\n", err.message);
		exit(99);
	}
	cid_fusefs_defaults(&fs.opt);
	fs.opt.max_nodes = 64;
	fs.opt.ctl_visible = true;
	fs.path = dir;
	if (cid_nodes_new(fs.opt.max_nodes, &fs.nodes) || cid_notify_new(&fs, &fs.notify))
		exit(99);
	cid_attr_init(&fs);
	fs.session = fuse_session_new(&args, &cid_ops, sizeof(cid_ops), &fs);
	fuse_opt_free_args(&args);
	if (!fs.session || fuse_session_custom_io(fs.session, &io, open("/dev/null", O_RDWR)))
		exit(99);
	unique = 0;
	send_request(FUSE_INIT, 0, &init, sizeof(init));
	if (cid_notify_start(fs.notify))
		exit(99);
}

/* ---- a request ---- */

static const uint8_t digits[] = "0123456789abcdef";

/* Mostly a good name; its length with the zero byte. */
static size_t some_name(struct fuzz_in *in, char *out)
{
	static const char *const fixed[] = { ".cidstore", "stats", "config", "debug", "key",
					     "batch_limit", "ingest", "lookup", "export", "sync" };
	uint64_t what = fuzz_take(in, 1);
	size_t n;

	if (what < 0xa0) {
		memset(out, '0', 32);
		out[31] = (char)digits[what & 15];
		out[32] = '\0';
		return 33;
	}
	if (what < 0xe0) {
		n = strlen(fixed[what % 10]);
		memcpy(out, fixed[what % 10], n + 1);
		return n + 1;
	}
	n = fuzz_take(in, 1);
	n = n < in->n ? n : in->n;
	for (size_t i = 0; i < n; i++) /* the kernel hands over no slash, and no end */
		out[i] = in->p[i] && in->p[i] != '/' ? (char)in->p[i] : 'x';
	in->p += n;
	in->n -= n;
	out[n] = '\0';
	return n + 1;
}

struct open_file {
	uint64_t node, fh;
	bool dir, open;
};

static uint64_t node_of(struct fuzz_in *in, const struct open_file *f)
{
	uint64_t what = fuzz_take(in, 1);

	return what < 0x80 ? 1 : what < 0xe0 ? 2 + what % 16 : what < 0xf0 ? f->node : what << 56;
}

static void release(struct open_file *f)
{
	struct fuse_release_in r = { .fh = f->fh };

	if (f->open)
		send_request(f->dir ? FUSE_RELEASEDIR : FUSE_RELEASE, f->node, &r, sizeof(r));
	f->open = false;
}

static void on_file(struct fuzz_in *in, struct open_file *f, uint64_t what)
{
	uint8_t body[REQUEST];
	uint64_t size = fuzz_take(in, 2) % 8000, off = fuzz_take(in, 1);

	if (off & 0x80)
		off = off << 56 | size;
	if (f->dir) {
		struct fuse_read_in r = { .fh = f->fh, .offset = off >> 1, .size = (uint32_t)size };
		struct fuse_fsync_in s = { .fh = f->fh };

		if (what % 4 == 3)
			send_request(FUSE_FSYNCDIR, f->node, &s, sizeof(s));
		else
			send_request(what & 1 ? FUSE_READDIR : FUSE_READDIRPLUS, f->node, &r,
				     sizeof(r));
		return;
	}
	switch (what % 4) {
	case 0: {
		struct fuse_read_in r = { .fh = f->fh, .offset = off, .size = (uint32_t)size };

		send_request(FUSE_READ, f->node, &r, sizeof(r));
		break;
	}
	case 1:
	case 2: {
		struct fuse_write_in w = { .fh = f->fh, .offset = off };

		size = size < in->n ? size : in->n;
		w.size = (uint32_t)size;
		memcpy(body, &w, sizeof(w));
		memcpy(body + sizeof(w), in->p, size);
		in->p += size;
		in->n -= size;
		send_request(FUSE_WRITE, f->node, body, sizeof(w) + size);
		break;
	}
	default: {
		struct fuse_flush_in l = { .fh = f->fh };

		send_request(FUSE_FLUSH, f->node, &l, sizeof(l));
	}
	}
}

static void request(struct fuzz_in *in, struct open_file *file)
{
	uint64_t what = fuzz_take(in, 1), arg = fuzz_take(in, 1);
	struct open_file *f = &file[arg % HANDLES];
	uint64_t node = node_of(in, f);
	char body[REQUEST] = "";
	size_t n = 0;

#define BODY(type, ...)                                 \
	do {                                            \
		struct type b = { __VA_ARGS__ };        \
		memcpy(body, &b, sizeof(b));            \
		n = sizeof(b);                          \
	} while (0)
	switch (what % 24) {
	case 0:
	case 1:
		n = some_name(in, body);
		send_request(FUSE_LOOKUP, node, body, n);
		break;
	case 2:
		BODY(fuse_forget_in, .nlookup = arg);
		send_request(FUSE_FORGET, node, body, n);
		break;
	case 3:
		BODY(fuse_getattr_in, 0);
		send_request(FUSE_GETATTR, node, body, n);
		break;
	case 4:
		BODY(fuse_setattr_in, .valid = (uint32_t)fuzz_take(in, 2) & ~(uint32_t)FATTR_FH,
		     .size = arg, .mode = (uint32_t)arg << 4, .uid = (uint32_t)arg);
		send_request(FUSE_SETATTR, node, body, n);
		break;
	case 5:
	case 6:
		BODY(fuse_mkdir_in, .mode = 0755);
		n += some_name(in, body + n);
		send_request(FUSE_MKDIR, node, body, n);
		break;
	case 7:
		BODY(fuse_mknod_in, .mode = (uint32_t)arg << 8);
		n += some_name(in, body + n);
		send_request(FUSE_MKNOD, node, body, n);
		break;
	case 8:
		n = some_name(in, body);
		send_request(FUSE_UNLINK, node, body, n);
		break;
	case 9:
		n = some_name(in, body);
		send_request(FUSE_RMDIR, node, body, n);
		break;
	case 10:
		BODY(fuse_rename2_in, .newdir = node_of(in, f), .flags = arg & 7);
		n += some_name(in, body + n);
		n += some_name(in, body + n);
		send_request(FUSE_RENAME2, node, body, n);
		break;
	case 11:
		BODY(fuse_link_in, .oldnodeid = node_of(in, f));
		n += some_name(in, body + n);
		send_request(FUSE_LINK, node, body, n);
		break;
	case 12:
		n = some_name(in, body);
		n += some_name(in, body + n);
		send_request(FUSE_SYMLINK, node, body, n);
		break;
	case 13:
	case 14:
		release(f);
		BODY(fuse_open_in, .flags = (uint32_t)(arg >> 2 & 3) | O_NONBLOCK);
		f->dir = what & 1;
		answer_fh = 0;
		send_request(f->dir ? FUSE_OPENDIR : FUSE_OPEN, node, body, n);
		f->node = node;
		f->fh = answer_fh;
		/* An open value has no handle; without one the answer was a failure. */
		f->open = f->fh != 0;
		break;
	case 15:
		release(f);
		break;
	case 16:
		send_request(FUSE_STATFS, node, body, 0);
		break;
	case 17:
		BODY(fuse_access_in, .mask = arg & 7);
		send_request(FUSE_ACCESS, node, body, n);
		break;
	case 18:
		BODY(fuse_getxattr_in, .size = (uint32_t)arg);
		n += some_name(in, body + n);
		send_request(FUSE_GETXATTR, node, body, n);
		break;
	case 19:
		BODY(fuse_getxattr_in, .size = (uint32_t)arg);
		send_request(FUSE_LISTXATTR, node, body, n);
		break;
	default:
		if (f->open)
			on_file(in, f, what / 24);
	}
#undef BODY
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct open_file file[HANDLES] = { { 0 } };
	struct fuzz_in in = { data, n };
	struct cidstore_stats st;

	if (!fs.session)
		make();
	for (int i = 0; in.n > 0 && i < 300; i++)
		request(&in, file);
	for (int i = 0; i < HANDLES; i++)
		release(&file[i]);
	/* The kernel lets everything go. */
	for (uint64_t node = 2; node < 100; node++) {
		struct fuse_forget_in all = { .nlookup = UINT64_MAX };

		send_request(FUSE_FORGET, node, &all, sizeof(all));
	}
	cidstore_stats(fs.store, &st);
	fuzz_must(st.failed == 0, "the store goes on");
	return 0;
}
