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
CODES = numpy.array(CODE, "u1")
INLINE = {ONE: 1, TWO: 2, ADD1: 1, ADD2: 2, DEL1: 1, DEL2: 2}
INLINES = numpy.array([INLINE.get(s, 0) for s in range(16)])
LISTS = {PACKED, ADDP, DELP}
TREES = {EXTENT, ADDX, DELX}
LISTED = numpy.array([s in LISTS | TREES for s in range(16)])
FULL = {EMPTY, ONE, TWO, PACKED, EXTENT}

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


# XXH3 of many inputs at once, of the two lengths of which there are as many as
# keys; the first 64 bytes of its default secret.
SECRET = numpy.frombuffer(bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"), "<u8")
PRIME1, PRIME2, PRIME4 = (numpy.uint64(p) for p in (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x85EBCA77C2B2AE63))
LOW32, U32 = numpy.uint64(0xFFFFFFFF), numpy.uint64(32)


def fold(a, b):
    """The halves of the 128-bit products, one upon the other."""
    a0, a1, b0, b1 = a & LOW32, a >> U32, b & LOW32, b >> U32
    low, cross = a0 * b0, a0 * b1
    middle = (low >> U32) + (cross & LOW32) + a1 * b0
    high = a1 * b1 + (middle >> U32) + (cross >> U32)
    return (middle << U32 | low & LOW32) ^ high


def avalanche(h):
    h = h ^ h >> numpy.uint64(37)
    h = h * numpy.uint64(0x165667919E3779F9)
    return h ^ h >> U32


def hashes_of(high, low, seed):
    """hash_of() for arrays of identifiers."""
    seed = numpy.uint64(seed)
    with numpy.errstate(over="ignore"):
        a = high ^ (SECRET[3] ^ SECRET[4]) + seed
        b = low ^ (SECRET[5] ^ SECRET[6]) - seed
        return avalanche(numpy.uint64(16) + a.byteswap() + b + fold(a, b)) >> numpy.uint64(2)


def sums_of_48(w, seed):
    """XXH3-128 of rows of six words, each with its own seed: lows, highs."""
    def mix16(i, s):
        return fold(w[:, i] ^ SECRET[s] + seed, w[:, i + 1] ^ SECRET[s + 1] - seed)

    with numpy.errstate(over="ignore"):
        length = numpy.uint64(48)
        low, high = length * PRIME1 + mix16(2, 4), mix16(2, 6)
        low ^= w[:, 2] + w[:, 3]
        high ^= w[:, 2] + w[:, 3]
        low, high = low + mix16(0, 0), high + mix16(4, 2)
        low ^= w[:, 4] + w[:, 5]
        high ^= w[:, 0] + w[:, 1]
        return (avalanche(low + high),
                numpy.uint64(0) - avalanche(low * PRIME1 + high * PRIME4
                                            + (length - seed) * PRIME2))


def ids(data):
    return numpy.frombuffer(data, "<u8").reshape(-1, 2)


# What a layer says, one row each; sorted, a key's rows stand in the order in
# which they hold: FORGET hides what is older, ADD and EXISTS make the key exist.
FORGET, EXISTS, ADD, TAKE = range(4)
KH, KL, VH, VL, ORDER = range(5)


class Rows:
    def __init__(self):
        self.chunks = []

    def say(self, keys, layer, kind, values=None):
        """`keys` and `values` are arrays of (high, low); `layer` one or many."""
        rows = numpy.zeros((5, len(keys)), "<u8")
        rows[:VH] = keys.T
        if values is not None:
            rows[VH:ORDER] = values.T
        rows[ORDER] = numpy.uint64(4) * numpy.uint64(layer) + numpy.uint64(kind)
        self.chunks.append(rows)

    def resolve(self):
        """(pairs, keys without values), each sorted; columns KH to VL."""
        rows = numpy.concatenate(self.chunks or [numpy.zeros((5, 0), "<u8")], axis=1)
        self.chunks = []
        rows = rows[:, numpy.lexsort(rows[[ORDER, VL, VH, KL, KH]])]
        kind = rows[ORDER] & numpy.uint64(3)
        if (kind == FORGET).any():
            start = starts(rows[:VH])
            last = numpy.maximum.reduceat(
                numpy.where(kind == FORGET, rows[ORDER], numpy.uint64(0)), start)
            keep = rows[ORDER] > numpy.repeat(last, numpy.diff(start, append=rows.shape[1]))
            # Layer 0 forgets nothing: its rows may have the order 0.
            keep |= numpy.repeat(last == 0, numpy.diff(start, append=rows.shape[1]))
            rows, kind = rows[:, keep], kind[keep]
        there = rows[:VH, (kind == EXISTS) | (kind == ADD)]
        there = there[:, starts(there)]
        rows = rows[:, kind != EXISTS]
        # Of each pair the newest word, which is its last.
        rows = rows[:, numpy.append(starts(rows[:ORDER])[1:], rows.shape[1])[:rows.shape[1]] - 1]
        rows = rows[:ORDER, rows[ORDER] & numpy.uint64(3) == ADD]
        return rows, alone(there, rows[:VH, starts(rows[:VH])])


def starts(rows):
    """Where a column differs from the one before."""
    if not rows.shape[1]:
        return numpy.zeros(0, int)
    return numpy.append(0, numpy.flatnonzero((rows[:, 1:] != rows[:, :-1]).any(0)) + 1)


def alone(keys, full):
    """The keys that are not among the full ones, with values of zero."""
    both = numpy.concatenate([keys, full], axis=1)
    order = numpy.lexsort(both[::-1])
    both = both[:, order]
    first = starts(both)
    once = both[:, first[numpy.diff(first, append=both.shape[1]) == 1]]
    return numpy.concatenate([once, numpy.zeros_like(once)])


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
        self.root, self.wal = self.root_and_log()
        self.seed = int(self.root["hash_seed"])
        if self.seed != int(self.file["config"].attrs["hash_seed"]):
            raise Changed("the root is of another store")

    def close(self):
        self.file.close()

    def root_and_log(self):
        """The newest root, and the log as it was while it was the newest. What
        the root leads to is kept for a while, the log is written over at once."""
        for _ in range(TRIES):
            root = self.newest_root()
            wal = self.read("wal", 0, int(root["log_records"]) * 64)
            if self.newest_root()["generation"] == root["generation"]:
                return root, wal
        raise Changed("commits come faster than the log can be read")

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

    def entries(self, slot):
        """The footer of a part; its keys, states, and slots as arrays; packed lists."""
        pos, generation = int(slot["bucket_pos"]), int(slot["generation"])
        none = numpy.zeros((0, 2), "<u8")
        if pos == 0:
            return None, none, numpy.zeros(0, "u1"), numpy.zeros((0, 4), "<u8"), (0, b"")
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
        count = int(slot["entries"])
        words = numpy.frombuffer(self.read("buckets", pos, count * 64), "<u8").reshape(-1, 8)
        code = (words[:, 7] >> numpy.uint64(56)).astype("u1")
        state = code & 15
        if not (CODES[state] == code).all():
            raise Changed("state of an entry of the part at %d" % pos)
        with numpy.errstate(over="ignore"):
            seeds = (numpy.uint64((seed + pos) & MASK)
                     + numpy.arange(0, count * 64, 64, dtype="<u8")
                     + state.astype("<u8") * numpy.uint64(0x9E3779B97F4A7C15))
        low, high = sums_of_48(words, seeds)
        if not ((low == words[:, 6]) & ((high ^ words[:, 7]) << numpy.uint64(8) == 0)).all():
            raise Changed("checksum of an entry of the part at %d" % pos)
        return footer, words[:, :2], state, words[:, 2:6], packed

    def part(self, slot):
        """The footer of a part, and its entries as (key, state, values)."""
        footer, keys, state, slots, packed = self.entries(slot)
        return footer, [(tuple(map(int, k)), int(s), [
            tuple(map(int, v)) for v in self.values(s, w, packed)])
            for k, s, w in zip(keys, state.tolist(), slots.tolist())]

    def values(self, state, slot, packed):
        if state in INLINE:
            return [slot[i:i + 2] for i in range(0, 2 * INLINE[state], 2)]
        if state not in LISTS and state not in TREES:
            return numpy.zeros((0, 2), "<u8")
        pos, low, sum_high, sum_low = slot
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

    def say(self, rows, layer, entries, which=slice(None)):
        """What the entries of a part say of their keys."""
        _, keys, state, slots, packed = entries
        keys, state, slots = keys[which], state[which], slots[which]
        if layer > 0: # below buckets there is nothing
            forget = numpy.isin(state, list(FULL | {TOMB}))
            rows.say(keys[forget], layer, FORGET)
        rows.say(keys[(state == EMPTY) | (state == TOUCH)], layer, EXISTS)
        take = numpy.isin(state, [DEL1, DEL2, DELP, DELX])
        for kind, of in (ADD, ~take), (TAKE, take):
            for i in 0, 1:
                has = of & (INLINES[state] > i)
                rows.say(keys[has], layer, kind, slots[has, 2 * i:2 * i + 2])
            at = numpy.flatnonzero(of & LISTED[state])
            found = [self.values(s, w, packed)
                     for s, w in zip(state[at].tolist(), slots[at].tolist())]
            if found:
                rows.say(numpy.repeat(keys[at], [len(f) for f in found], axis=0), layer, kind,
                         numpy.concatenate(found))

    def block(self, pos, level, children, want):
        if level == 0:
            return ids(self.checked("values", pos, children * 16, want))
        found = [numpy.zeros((0, 2), "<u8")]
        refs = numpy.frombuffer(self.checked("values", pos, children * 48, want),
                                self.types["node_ref"])
        for ref in refs:
            if ref["level"] != level - 1:
                raise Changed("level of a block")
            found.append(self.block(int(ref["pos"]), level - 1, int(ref["children"]),
                                    ref["checksum"]))
        return numpy.concatenate(found)

    def log(self, rows, layer):
        """What the log adds, from this layer on."""
        records, first = int(self.root["log_records"]), int(self.root["log_first"])
        raw = numpy.frombuffer(self.wal, numpy.uint8).reshape(-1, 64)
        rec = raw.reshape(-1).view(self.types["record"])
        blank = raw.copy()
        blank[:, 50:54] = 0
        good = crc32c(blank) == rec["crc32c"]
        lsn = numpy.arange(first, first + records, dtype="<u8")
        there = (lsn % numpy.uint64(records)).astype(int)
        rec, good = rec[there], good[there]
        spans = self.root["log_span"][:int(self.root["log_spans"])]
        generation = spans["generation"][numpy.searchsorted(spans["first"], lsn, "right") - 1]
        number = rec["lsn_low"].astype("<u8") | rec["lsn_high"].astype("<u8") << U32
        right = good & (number == lsn) & (rec["generation"] == generation)
        n = records if right.all() else int(numpy.argmin(right))
        if n < records and good[n] and number[n] > lsn[n] and \
                rec["generation"][n] >= generation[n]:
            raise Changed("the log moved on")
        opcode = rec["opcode"][:n] & 63
        begin, commit = numpy.flatnonzero(opcode == BEGIN), numpy.flatnonzero(opcode == COMMIT)
        if (rec["value_low"][commit] != lsn[begin[:len(commit)]]).any():
            raise Changed("a transaction of the log")
        if len(begin) > len(commit): # half a one, at the end: it never was
            opcode = opcode[:begin[-1]]
        for op, kind in ((INSERT, ADD), (DELETE, TAKE), (RMKEY, FORGET), (MKKEY, EXISTS)):
            at = numpy.flatnonzero(opcode == op)
            key, value = (numpy.stack([rec[at][side + "_high"], rec[at][side + "_low"]], 1)
                          for side in ("key", "value"))
            rows.say(key, at.astype("<u8") + numpy.uint64(layer), kind, value)

    def contents(self):
        """All pairs, and all keys without values, sorted."""
        depth, rows, newest, prefixes = int(self.root["global_depth"]), Rows(), [], []
        for slot, prefix, local in self.slots():
            entries = self.entries(slot)
            footer, keys, state = entries[:3]
            newest.append(int(footer["last_run"] if footer is not None else slot["generation"]))
            prefixes.append(prefix)
            if not numpy.isin(state, list(FULL)).all():
                raise Changed("an entry of a bucket that is no whole set")
            hashes = hashes_of(keys[:, 0], keys[:, 1], self.seed)
            if (hashes - numpy.uint64(prefix) >> numpy.uint64(62 - local)).any():
                raise Changed("a key in the wrong bucket")
            if (hashes[1:] < hashes[:-1]).any() or (keys[1:] == keys[:-1]).all(1).any():
                raise Changed("the order of a bucket")
            self.say(rows, 0, entries)
        prefixes, newest = numpy.array(prefixes, "<u8"), numpy.array(newest, "<u8")
        layer = 1
        for slot in self.table(self.root["runs"], "slot"):
            entries = self.entries(slot)
            hashes = hashes_of(entries[1][:, 0], entries[1][:, 1], self.seed)
            merged = newest[numpy.searchsorted(prefixes, hashes, "right") - 1]
            self.say(rows, layer, entries, merged < entries[0]["last_run"])
            layer += 1
        self.log(rows, layer)
        return rows.resolve()


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


def text_of(rows, bare):
    """Lines "KEY VALUE", or "KEY" where it has none."""
    digits = numpy.frombuffer(b"0123456789abcdef", "u1")
    out = numpy.full((rows.shape[1], 66), ord("\n"), "u1")
    for column, at in (KH, 0), (KL, 16), (VH, 33), (VL, 49):
        octets = rows[column].astype(">u8").view("u1").reshape(-1, 8)
        out[:, at:at + 16:2], out[:, at + 1:at + 16:2] = digits[octets >> 4], digits[octets & 15]
    out[:, 32] = ord(" ")
    if not bare.any():
        return out.tobytes()
    out[bare, 32] = ord("\n")
    there = numpy.ones_like(out, bool)
    there[bare, 33:] = False
    return out[there].tobytes()


def main():
    parser = argparse.ArgumentParser(description="read a CIDStore with HDF5 alone")
    parser.add_argument("--summary", action="store_true", help="print the totals alone")
    parser.add_argument("store")
    args = parser.parse_args()
    (pairs, empty), generation, again = load(args.store)
    print("%d keys, %d values, generation %d, begun again %d times"
          % (len(starts(pairs[:VH])) + empty.shape[1], pairs.shape[1], generation, again),
          file=sys.stderr)
    if args.summary:
        return
    rows = numpy.concatenate([pairs, empty], axis=1)
    bare = numpy.arange(rows.shape[1]) >= pairs.shape[1]
    if bare.any():
        order = numpy.lexsort(rows[::-1])
        rows, bare = rows[:, order], bare[order]
    for at in range(0, rows.shape[1], 1 << 18):
        sys.stdout.buffer.write(text_of(rows[:, at:at + (1 << 18)], bare[at:at + (1 << 18)]))


if __name__ == "__main__":
    main()
