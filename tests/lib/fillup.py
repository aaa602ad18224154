#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fillup.py - fills a mounted store until its disk is full, and checks it

fillup.py fill MNT FROM UPTO      writes pairs through the ingest stream; prints
                                  how many of all were acknowledged when it
                                  ended, by ENOSPC or because UPTO was reached
fillup.py check MNT FROM UPTO     prints how many of these pairs are missing
fillup.py unlink MNT FROM UPTO    removes pairs by unlink(2)
fillup.py forget MNT FROM UPTO    removes keys, through the batch stream

Pair number i has the value i; four neighbours share a key.
"""
import errno
import hashlib
import os
import struct
import sys

PER_KEY = 4
CHUNK = 1024


def key(i):
    return hashlib.md5(b"key %d" % (i // PER_KEY)).digest()


def value(i):
    return hashlib.md5(b"value %d" % i).digest()


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def fill(mnt, at, upto):
    fd = os.open(mnt + "/.cidstore/ingest", os.O_WRONLY)
    try:
        while at < upto:
            n = min(CHUNK, upto - at)
            write_all(fd, b"".join(key(i) + value(i) for i in range(at, at + n)))
            at += n
    except OSError as e:
        if e.errno != errno.ENOSPC:
            raise
    os.close(fd)
    print(at)


def read_set(fd):
    def exactly(n):
        data = b""
        while len(data) < n:
            more = os.read(fd, n - len(data))
            if not more:
                sys.exit("lookup: the answer ends early")
            data += more
        return data

    (count,) = struct.unpack("<Q", exactly(8))
    if count == 2**64 - 1:
        return set()
    data = exactly(16 * count)
    return {data[i:i + 16] for i in range(0, len(data), 16)}


def check(mnt, at, upto):
    fd = os.open(mnt + "/.cidstore/lookup", os.O_RDWR)
    missing = 0
    first = at // PER_KEY * PER_KEY
    for start in range(first, upto, PER_KEY * CHUNK):
        some = range(start, min(start + PER_KEY * CHUNK, upto), PER_KEY)
        write_all(fd, b"".join(key(i) for i in some))
        for i in some:
            have = read_set(fd)
            for j in range(max(i, at), min(i + PER_KEY, upto)):
                missing += value(j) not in have
    os.close(fd)
    print(missing)


def unlink(mnt, at, upto):
    for i in range(at, upto):
        os.unlink(f"{mnt}/{key(i).hex()}/{value(i).hex()}")


def forget(mnt, at, upto):
    fd = os.open(mnt + "/.cidstore/batch", os.O_WRONLY)
    for start in range(at, upto, PER_KEY * CHUNK):
        some = range(start, min(start + PER_KEY * CHUNK, upto), PER_KEY)
        lines = "".join(f"delete {key(i).hex()}\n" for i in some)
        write_all(fd, (lines + "commit\n").encode())
    os.close(fd)


def main():
    what = {"fill": fill, "check": check, "unlink": unlink, "forget": forget}
    if len(sys.argv) != 5 or sys.argv[1] not in what:
        sys.exit(__doc__)
    try:
        what[sys.argv[1]](sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    except OSError as e:
        sys.exit(f"fillup {sys.argv[1]}: {errno.errorcode.get(e.errno, e.errno)}: {e}")


main()
