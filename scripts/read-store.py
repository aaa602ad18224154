#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reads a CIDStore with nothing but HDF5, as cidstore(5) describes it.

    read-store.py [--summary] STORE

Prints each pair as "KEY VALUE" and each key without values as "KEY", in order
of the text. The store may be written meanwhile: what is printed is one state
of it. Checksums are verified throughout; where one does not hold, something
was rewritten since the root was read, and reading begins again.

Needs python3-h5py, python3-numpy and libxxhash0.
"""

import argparse
import ctypes
import itertools
import os
import struct
import sys
import time

import h5py
import numpy

MASK = (1 << 64) - 1
PAGE = 4096
TRIES = 50

# States of an entry by name; the code word in the top byte holds the number.
UNUSED, EMPTY, ONE, TWO, PACKED, EXTENT, TOMB, TOUCH = range(8)
ADD1, ADD2, ADDP, ADDX, DEL1, DEL2, DELP, DELX = range(8, 16)
CODE = (0x00, 0xe1, 0xd2, 0x33, 0xb4, 0x55, 0x66, 0x87,
        0x78, 0x99, 0xaa, 0x4b, 0xcc, 0x2d, 0x1e, 0xff)
INLINE = {ONE: 1, TWO: 2, ADD1: 1, ADD2: 2, DEL1: 1, DEL2: 2}
LISTS = {PACKED, ADDP, DELP}
TREES = {EXTENT, ADDX, DELX}
FULL = {EMPTY, ONE, TWO, PACKED, EXTENT}
ADDS = {TOUCH, ADD1, ADD2, ADDP, ADDX}

# Opcodes of the log.
INSERT, DELETE, RMKEY, MKKEY, BEGIN, COMMIT = range(1, 7)


class Changed(Exception):
    """What was read does not belong together, or is damaged."""


class Sum(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash = ctypes.CDLL("libxxhash.so.0")
xxhash.XXH3_128bits_withSeed.restype = Sum
xxhash.XXH3_128bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
xxhash.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def sum_of(data, seed=0):
    h = xxhash.XXH3_128bits_withSeed(data, len(data), seed & MASK)
    return h.low, h.high


def hash_of(key, seed):
    return xxhash.XXH3_64bits_withSeed(struct.pack("<QQ", *key), 16, seed) >> 2


def part_seed(store_seed, generation):
    z = (store_seed + generation * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def crc32c_table():
    table = numpy.zeros(256, numpy.uint32)
    for i in range(256):
        c = i
        for _ in range(8):
            c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
        table[i] = c
    return table


CRC = crc32c_table()


def crc32c(rows):
    """CRC-32C of each row of bytes."""
    c = numpy.full(len(rows), 0xFFFFFFFF, numpy.uint32)
    for column in rows.T:
        c = CRC[(c ^ column) & 0xFF] ^ c >> numpy.uint32(8)
    return c ^ numpy.uint32(0xFFFFFFFF)


def ids(data):
    return [(int(h), int(l)) for h, l in numpy.frombuffer(data, "<u8").reshape(-1, 2)]


class Store:
    """One look at a store: files opened afresh, a root, and what it names."""

    def __init__(self, path):
        # Without this HDF5 would show bytes that were read long ago.
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_sieve_buf_size(0)
        name = os.fsencode(os.path.join(path, "main.h5"))
        self.file = h5py.File(h5py.h5f.open(name, h5py.h5f.ACC_RDONLY, access))
        self.types = {n: t.dtype for n, t in self.file["types"].items()}
        self.views = {}
        self.root = self.newest_root()
        self.seed = int(self.root["hash_seed"])
        if self.seed != int(self.file["config"].attrs["hash_seed"]):
            raise Changed("the root is of another store")

    def close(self):
        self.file.close()

    def newest_root(self):
        best = None
        for copy in self.file["root"][:]:
            raw = copy.tobytes()
            found = int(copy["checksum"]["low"]), int(copy["checksum"]["high"])
            if bytes(copy["magic"]) != b"CIDROOT\n" or sum_of(raw[:4080]) != found:
                continue
            if best is None or copy["generation"] > best["generation"]:
                best = copy
        if best is None:
            raise Changed("no copy of the root is valid")
        if best["format_version"] != 1:
            sys.exit("the store has format version %d" % best["format_version"])
        return best

    def read(self, pool, pos, size):
        """Bytes of a pool. A view that is too short may have grown since."""
        data = self.take(pool, pos, size)
        if len(data) != size:
            self.views.pop(pool, None)
            data = self.take(pool, pos, size)
        if len(data) != size:
            raise Changed("/%s ends before %d" % (pool, pos + size))
        return data

    def take(self, pool, pos, size):
        if pool not in self.views:
            self.views[pool] = self.file[pool]
        view = self.views[pool]
        item = view.dtype.itemsize
        data = view[pos // item:(pos + size + item - 1) // item].tobytes()
        return data[pos % item:pos % item + size]

    def checked(self, pool, pos, size, want, seed=0):
        data = self.read(pool, pos, size)
        if sum_of(data, seed) != (int(want["low"]), int(want["high"])):
            raise Changed("checksum of /%s at %d" % (pool, pos))
        return data

    def table(self, ref, kind):
        if ref["pos"] == 0:
            return numpy.zeros(0, self.types[kind])
        data = self.checked("directory", int(ref["pos"]), int(ref["bytes"]), ref["checksum"])
        return numpy.frombuffer(data, self.types[kind])

    def slots(self):
        """Each bucket's slot once, with the first of its directory indexes."""
        depth = int(self.root["global_depth"])
        pages = self.table(self.root["directory"], "page_ref")
        page, loaded, i = None, -1, 0
        while i < 1 << depth:
            if i // 64 != loaded:
                loaded, ref = i // 64, pages[i // 64]
                page = numpy.frombuffer(
                    self.checked("directory", int(ref["pos"]), PAGE, ref["checksum"],
                                 int(ref["generation"])), self.types["slot"])
            slot = page[i % 64]
            if slot["depth"] > depth:
                raise Changed("depth of directory slot %d" % i)
            yield slot, i << 62 - depth, int(slot["depth"])
            i += 1 << depth - int(slot["depth"])

    def part(self, slot):
        """The footer of a part, and its entries as (key, state, values)."""
        pos, generation = int(slot["bucket_pos"]), int(slot["generation"])
        if pos == 0:
            return None, []
        seed = part_seed(self.seed, generation)
        end = pos + int(slot["pages"]) * PAGE
        footer = numpy.frombuffer(
            self.checked("buckets", end - 256, 256,
                         {"low": slot["checksum_low"], "high": slot["checksum_high"]}, seed),
            self.types["footer"])[0]
        if footer["pos"] != pos or footer["entries"] != slot["entries"]:
            raise Changed("footer at %d" % (end - 256))
        # The packed lists of a part lie in one extent: read at once.
        at, size = int(footer["packed_pos"]), int(footer["packed_bytes"])
        packed = at, self.read("values", at, size) if at else b""
        return footer, self.entries(pos, int(slot["entries"]), seed, packed)

    def entries(self, pos, count, seed, packed):
        data = self.read("buckets", pos, count * 64)
        for at in range(0, count * 64, 64):
            raw = data[at:at + 64]
            kh, kl, a, b, c, d, low, high = struct.unpack("<8Q", raw)
            state = high >> 56 & 15
            if CODE[state] != high >> 56:
                raise Changed("state of the entry at %d" % (pos + at))
            want = sum_of(raw[:48], seed + pos + at + state * 0x9E3779B97F4A7C15)
            if want[0] != low or (want[1] ^ high) & MASK >> 8:
                raise Changed("checksum of the entry at %d" % (pos + at))
            yield (kh, kl), state, self.values(state, ((a, b), (c, d)), packed)

    def values(self, state, slot, packed):
        if state in INLINE:
            return list(slot[:INLINE[state]])
        if state not in LISTS and state not in TREES:
            return []
        (pos, low), (sum_high, sum_low) = slot
        count, want = low & (1 << 48) - 1, {"low": sum_low, "high": sum_high}
        if state in LISTS:
            start, lists = packed
            data = lists[pos - start:pos - start + count * 16] if pos >= start else b""
            if len(data) != count * 16 or sum_of(data) != (sum_low, sum_high):
                raise Changed("packed list at %d" % pos)
            return ids(data)
        level, children = low >> 60, low >> 48 & 0xFFF
        found = self.block(pos, level, children if level else count, want)
        if len(found) != count:
            raise Changed("number of values at %d" % pos)
        return found

    def block(self, pos, level, children, want):
        if level == 0:
            return ids(self.checked("values", pos, children * 16, want))
        found = []
        refs = numpy.frombuffer(self.checked("values", pos, children * 48, want),
                                self.types["node_ref"])
        for ref in refs:
            if ref["level"] != level - 1:
                raise Changed("level of a block")
            found += self.block(int(ref["pos"]), level - 1, int(ref["children"]), ref["checksum"])
        return found

    def log(self):
        """What the log adds, as (opcode, key, value), transactions resolved."""
        records, first = int(self.root["log_records"]), int(self.root["log_first"])
        raw = numpy.frombuffer(self.read("wal", 0, records * 64), numpy.uint8).reshape(-1, 64)
        rec = raw.reshape(-1).view(self.types["record"])
        blank = raw.copy()
        blank[:, 50:54] = 0
        good = crc32c(blank) == rec["crc32c"]
        spans = self.root["log_span"][:int(self.root["log_spans"])]
        group, begun = None, None
        for lsn in range(first, first + records):
            r = rec[lsn % records]
            generation = [int(s["generation"]) for s in spans if s["first"] <= lsn][-1]
            number = int(r["lsn_low"]) | int(r["lsn_high"]) << 32
            if not good[lsn % records] or number != lsn or r["generation"] != generation:
                if good[lsn % records] and number > lsn and r["generation"] >= generation:
                    raise Changed("the log moved on")
                return
            opcode = int(r["opcode"]) & 63
            op = (opcode, (int(r["key_high"]), int(r["key_low"])),
                  (int(r["value_high"]), int(r["value_low"])))
            if opcode == BEGIN:
                group, begun = [], lsn
            elif opcode == COMMIT and group is not None:
                if op[2][1] != begun:
                    raise Changed("transaction at %d" % begun)
                yield from group
                group = None
            elif opcode in (INSERT, DELETE, RMKEY, MKKEY):
                if group is None:
                    yield op
                else:
                    group.append(op)

    def contents(self):
        """All keys, each with the set of its values."""
        depth, sets, newest, prefixes = int(self.root["global_depth"]), {}, [], []
        for slot, prefix, local in self.slots():
            footer, entries = self.part(slot)
            newest.append(int(footer["last_run"] if footer is not None else slot["generation"]))
            prefixes.append(prefix)
            for key, state, values in entries:
                if state not in FULL or key in sets:
                    raise Changed("an entry of %032x" % (key[0] << 64 | key[1]))
                if hash_of(key, self.seed) - prefix >> 62 - local:
                    raise Changed("a key in the wrong bucket")
                sets[key] = set(values)
        prefixes, newest = numpy.array(prefixes, numpy.uint64), numpy.array(newest, numpy.uint64)

        def merged(key, run):
            at = numpy.searchsorted(prefixes, numpy.uint64(hash_of(key, self.seed)), "right")
            return newest[at - 1] >= run

        for slot in self.table(self.root["runs"], "slot"):
            footer, entries = self.part(slot)
            run = int(footer["last_run"])
            for key, group in itertools.groupby(entries, lambda e: e[0]):
                group = list(group)
                if not merged(key, run):
                    apply_run(sets, key, group)
        for opcode, key, value in self.log():
            if opcode == INSERT:
                sets.setdefault(key, set()).add(value)
            elif opcode == DELETE and key in sets:
                sets[key].discard(value)
            elif opcode == MKKEY:
                sets.setdefault(key, set())
            elif opcode == RMKEY:
                sets.pop(key, None)
        return sets


def apply_run(sets, key, group):
    """What one run says of a key: a whole set, a tombstone, or changes."""
    for _, state, values in group:
        if state == TOMB:
            sets.pop(key, None)
        elif state in FULL:
            sets[key] = set(values)
        elif state in ADDS:
            sets.setdefault(key, set()).update(values)
        elif key in sets:
            sets[key].difference_update(values)


def load(path):
    reason = None
    for attempt in range(TRIES):
        try:
            store = Store(path)
            try:
                return store.contents(), int(store.root["generation"]), attempt
            finally:
                store.close()
        except Changed as e:
            reason = e
            time.sleep(0.01 * attempt)
    sys.exit("%s: damaged, or changing too fast to be read: %s" % (path, reason))


def main():
    parser = argparse.ArgumentParser(description="read a CIDStore with HDF5 alone")
    parser.add_argument("--summary", action="store_true", help="print the totals alone")
    parser.add_argument("store")
    args = parser.parse_args()
    sets, generation, again = load(args.store)
    print("%d keys, %d values, generation %d, begun again %d times"
          % (len(sets), sum(map(len, sets.values())), generation, again), file=sys.stderr)
    if args.summary:
        return
    for key in sorted(sets):
        text = "%016x%016x" % key
        if not sets[key]:
            print(text)
        for value in sorted(sets[key]):
            print("%s %016x%016x" % (text, *value))


if __name__ == "__main__":
    main()
