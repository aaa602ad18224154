#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A reader of tests/unit/readers.c that knows nothing but HDF5.

    readlive.py READ-STORE.PY STORE JOURNAL KEYS KEPT OFFSET...

Reads all of the store again and again, by scripts/read-store.py, until the
journal says stop. Each time: the versions of all keys are not older than those
acknowledged before, and not newer than those begun; and there is a transaction
after which they were all what they are. Figures and findings go to the journal.
"""

import importlib.util
import mmap
import sys

import numpy

script, store, journal = sys.argv[1:4]
keys, kept, begun_at, done_at, made_at, stop_at, answers_at, retries_at, wrong_at = \
    map(int, sys.argv[4:])
spec = importlib.util.spec_from_file_location("read_store", script)
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)

with open(journal, "r+b") as f:
    shared = mmap.mmap(f.fileno(), 0)


def words(at, n):
    return numpy.frombuffer(shared, "<u8", n, at)


begun, done, made = words(begun_at, keys), words(done_at, keys), words(made_at, keys * kept)
made = made.reshape(keys, kept)
stop, answers, retries = (words(at, 1) for at in (stop_at, answers_at, retries_at))
seen = numpy.zeros(keys, "<u8")
KEY = numpy.arange(keys, dtype="<u8")
HIGH = KEY ^ numpy.uint64(0x5555555555555555)


def look():
    """What is wrong, or None."""
    floor = done.copy()
    (pairs, empty), _, again = reader.load(store)
    # A version is begun after it was noted who makes it.
    top = begun.copy()
    made_by = made.copy()
    retries[0] += again
    kh, kl, vh, vl = (pairs[c] for c in (reader.KH, reader.KL, reader.VH, reader.VL))
    ours = kh == 1
    key, value = kl[ours].astype(int), vl[ours]
    if empty.shape[1] and (empty[reader.KH] == 1).any():
        return "a key without a version"
    if len(numpy.unique(key)) != len(key):
        return "a key with two versions"
    if (vh[ours] != HIGH[key]).any():
        return "a value that is of another key"
    got = numpy.zeros(keys, "<u8")
    got[key] = value
    for name, wrong in (("older than noted", got < floor), ("never begun", got > top),
                        ("older than seen before", got < seen)):
        if wrong.any():
            k = int(numpy.flatnonzero(wrong)[0])
            return "key %d: version %d, noted %d, begun %d, seen %d: %s" % (
                k, got[k], floor[k], top[k], seen[k], name)
    seen[:] = got
    # The journal must still know who made these versions and the next ones.
    known = top < got + numpy.uint64(kept - 4)
    there, more = known & (got > 0), known & (top > got)
    first = made_by[KEY, got % numpy.uint64(kept)][there]
    after = made_by[KEY, (got + numpy.uint64(1)) % numpy.uint64(kept)][more]
    if there.any() and more.any() and int(first.max()) >= int(after.min()):
        return "transaction %d is there and %d is not" % (first.max(), after.min())
    return None


while not stop[0]:
    finding = look()
    if finding:
        text = finding.encode()[:199]
        shared[wrong_at:wrong_at + len(text)] = text
        sys.exit(1)
    answers[0] += 1
