/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/mapped.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

/* The recovery point of this thread, or NULL. Left by longjmp, not by the
 * compiler's jump: sanitizers, which count calls and signals, see the former. */
static _Thread_local jmp_buf *volatile armed __attribute__((tls_model("initial-exec")));

/* The compiler must not move what may fault across the stores to `armed`. */
static inline void arm(jmp_buf *point)
{
	armed = point;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void disarm(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	armed = NULL;
}

/* The compiler knows that calls may end in a jump, and believes of nothing else
 * that it may: what touches a mapping is a call it cannot look into. */
#if defined(__clang__)
#define OPAQUE __attribute__((noinline, optnone))
#else
#define OPAQUE __attribute__((noipa))
#endif

static OPAQUE void copy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
}

/* None is inlined: the frame that is jumped back to must hold nothing else. */
__attribute__((noinline)) bool cid_mapped_copy(void *to, const void *from, size_t n)
{
	jmp_buf point;

	if (_setjmp(point))
		return false;
	arm(&point);
	copy(to, from, n);
	disarm();
	return true;
}

__attribute__((noinline)) bool cid_mapped_run(void (*fn)(void *arg), void *arg)
{
	jmp_buf point;

	if (_setjmp(point))
		return false;
	arm(&point);
	fn(arg);
	disarm();
	return true;
}

#if defined(__x86_64__) && defined(__LP64__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__) && !defined(CID_MAPPED_PORTABLE)
/*
 * Between the first label and `end` nothing but the two sides is touched, and no
 * register that a caller expects to keep: a fault there goes on at `cut`.
 */
__asm__(".text\n"
	".p2align 5\n"
	".globl cid_mapped_line\n"
	".hidden cid_mapped_line\n"
	".type cid_mapped_line, @function\n"
	"cid_mapped_line:\n"
	"	.cfi_startproc\n"
	"	movdqu (%rsi), %xmm0\n"
	"	movdqu 16(%rsi), %xmm1\n"
	"	movdqu 32(%rsi), %xmm2\n"
	"	movdqu 48(%rsi), %xmm3\n"
	"	movdqu %xmm0, (%rdi)\n"
	"	movdqu %xmm1, 16(%rdi)\n"
	"	movdqu %xmm2, 32(%rdi)\n"
	"	movdqu %xmm3, 48(%rdi)\n"
	"cid_mapped_line_end:\n"
	"	movl $1, %eax\n"
	"	ret\n"
	"cid_mapped_line_cut:\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size cid_mapped_line, .-cid_mapped_line\n");

extern const char cid_mapped_line_end[] __attribute__((visibility("hidden")));
extern const char cid_mapped_line_cut[] __attribute__((visibility("hidden")));

static bool line_cut(void *context)
{
	ucontext_t *u = context;
	uintptr_t at;

	at = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
	if (at < (uintptr_t)cid_mapped_line || at >= (uintptr_t)cid_mapped_line_end)
		return false;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)cid_mapped_line_cut;
	return true;
}
#else
static OPAQUE void line(void *to, const void *from)
{
	memcpy(to, from, CID_MAPPED_LINE);
}

__attribute__((noinline)) bool cid_mapped_line(void *to, const void *from)
{
	jmp_buf point;

	if (_setjmp(point))
		return false;
	arm(&point);
	line(to, from);
	disarm();
	return true;
}

static bool line_cut(void *context)
{
	(void)context;
	return false;
}
#endif

bool cid_mapped_fault(void *context)
{
	const ucontext_t *interrupted = context;
	jmp_buf *point = armed;

	if (!context)
		return false;
	if (line_cut(context))
		return true;
	if (point) {
		armed = NULL;
		/* By hand, since a jump does not do it: blocked here is this
		 * signal, and every other where a sanitizer calls us. */
		pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
		longjmp(*point, 1);
	}
	return false;
}
