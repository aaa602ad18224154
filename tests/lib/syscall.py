#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""syscall.py NAME ARG... - makes one system call and prints how it ended

Prints the result of a call that succeeds ("0" where there is none worth
printing), or the name of its errno. Arguments in upper case are constants of
the os module, joined by "|"; others are paths or numbers as the call wants.
"""
import ctypes
import errno
import fcntl
import os
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
RENAME = {"NOREPLACE": 1, "EXCHANGE": 2, "WHITEOUT": 4}


def flags(text, table=None):
    value = 0
    for word in text.split("|"):
        if word:
            value |= table[word] if table else getattr(os, word)
    return value


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def opened(path, how, then):
    fd = os.open(path, flags(how), 0o666)
    try:
        return then(fd)
    finally:
        os.close(fd)


def renameat2(old, new, how):
    checked(libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new),
                           ctypes.c_uint(flags(how, RENAME))))


def mmap(fd):
    libc.mmap.restype = ctypes.c_void_p
    checked(-1 if libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_long(0))
            == ctypes.c_void_p(-1).value else 0)


def fallocate(fd):
    checked(libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(4096)))


CALLS = {
    "mkdir": lambda p: os.mkdir(p),
    "rmdir": lambda p: os.rmdir(p),
    "unlink": lambda p: os.unlink(p),
    "open": lambda p, how: opened(p, how, lambda fd: None),
    "write": lambda p, how: opened(p, how, lambda fd: os.write(fd, b"x")),
    "read": lambda p: opened(p, "O_RDONLY", lambda fd: len(os.read(fd, 100))),
    "truncate": lambda p, n: os.truncate(p, int(n)),
    "ftruncate": lambda p, n: opened(p, "O_RDWR", lambda fd: os.ftruncate(fd, int(n))),
    "mknod": lambda p: os.mknod(p, stat.S_IFREG | 0o644),
    "mkfifo": lambda p: os.mkfifo(p),
    "mksock": lambda p: os.mknod(p, stat.S_IFSOCK | 0o644),
    "mkdev": lambda p: os.mknod(p, stat.S_IFCHR | 0o644, os.makedev(1, 3)),
    "link": lambda a, b: os.link(a, b),
    "symlink": lambda a, b: os.symlink(a, b),
    "readlink": lambda p: os.readlink(p),
    "rename": lambda a, b: os.rename(a, b),
    "renameat2": renameat2,
    "stat": lambda p: os.stat(p),
    "access": lambda p, how: checked(libc.access(os.fsencode(p), flags(how))),
    "chmod": lambda p, mode: os.chmod(p, int(mode, 8)),
    "chown": lambda p, u, g: os.chown(p, int(u), int(g)),
    "utime": lambda p: os.utime(p, (1, 2)),
    "setxattr": lambda p, n: os.setxattr(p, n, b"x"),
    "removexattr": lambda p, n: os.removexattr(p, n),
    "getxattr": lambda p, n: os.getxattr(p, n).decode(),
    "listxattr": lambda p: " ".join(os.listxattr(p)),
    "fsync": lambda p: opened(p, "O_RDONLY", os.fsync),
    "fdatasync": lambda p: opened(p, "O_RDONLY", os.fdatasync),
    "ioctl": lambda p: opened(p, "O_RDONLY", lambda fd: fcntl.ioctl(fd, 0x5401, b"\0" * 64)),
    "lsattr": lambda p: opened(p, "O_RDONLY",
                               lambda fd: fcntl.ioctl(fd, 0x80086601, b"\0" * 8)),
    "flock": lambda p: opened(p, "O_RDONLY", lambda fd: fcntl.flock(fd, fcntl.LOCK_EX)),
    "lockf": lambda p: opened(p, "O_RDWR", lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX)),
    "fallocate": lambda p: opened(p, "O_RDWR", fallocate),
    "lseek": lambda p, how: opened(p, "O_RDONLY", lambda fd: os.lseek(fd, 0, flags(how))),
    "copy": lambda a, b: opened(a, "O_RDONLY", lambda i: opened(
        b, "O_WRONLY", lambda o: os.copy_file_range(i, o, 100))),
    "sendfile": lambda a, b: opened(a, "O_RDONLY", lambda i: opened(
        b, "O_WRONLY", lambda o: os.sendfile(o, i, 0, 100))),
    "mmap": lambda p: opened(p, "O_RDONLY", mmap),
    "poll": lambda p: opened(p, "O_RDONLY", poll),
    "statvfs": lambda p: os.statvfs(p).f_namemax,
    "tmpfile": lambda p: opened(p, "O_TMPFILE|O_RDWR", lambda fd: None),
}


def poll(fd):
    import select
    p = select.poll()
    p.register(fd, select.POLLIN)
    p.poll(0)


def main():
    try:
        result = CALLS[sys.argv[1]](*sys.argv[2:])
    except OSError as e:
        # Two names of one number; Linux says the second.
        print(errno.errorcode[e.errno].replace("ENOTSUP", "EOPNOTSUPP"))
        return
    print(result if isinstance(result, (int, str)) else 0)


main()
