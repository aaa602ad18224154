#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Verifies what scripts/read-store.py has no need to look at.

    checkformat.py STORE

Seals, indexes, space maps, freed extents and the deletion log, as cidstore(5)
describes them, of a store that nobody writes. Ends with an exception at the
first that is otherwise; prints how many there were.
"""

import importlib.util
import os
import struct
import sys

import numpy

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPEC = importlib.util.spec_from_file_location("reader", TOP + "/scripts/read-store.py")
reader = importlib.util.module_from_spec(SPEC)
sys.dont_write_bytecode = True
SPEC.loader.exec_module(reader)

PAGE = reader.PAGE
KINDS = ["main", "directory", "buckets", "values", "wal", "deletions"]
POOLS = ["directory", "buckets", "values"]
TREES = reader.TREES


def need(true, what):
    if not true:
        raise Exception(what)


def check_seals(path, uuid):
    names = [n for n in os.listdir(path) if n.endswith(".h5")]
    for name in names:
        kind, _, number = name[:-3].partition("-")
        offset = 65536 if kind == "main" else 16384
        with open(os.path.join(path, name), "rb") as f:
            head = f.read(offset)
        seal = struct.unpack("<8sIIIIQQQQQ", head[-64:])
        need(seal[:5] == (b"CIDSEAL\n", 1, KINDS.index(kind), int(number or 0), 0),
             "seal of " + name)
        need(seal[6:8] == uuid, "seal of %s: uuid" % name)
        need(seal[8:] == reader.sum_of(head[:-16]), "seal of %s: checksum" % name)
        need(os.path.getsize(os.path.join(path, name)) == offset + seal[5], "length of " + name)
    return len(names)


class Maps:
    """Each page belongs to one owner at most, and is marked as used."""

    def __init__(self, store):
        self.bits, self.owned = [], set()
        for i in range(3):
            pages = b""
            for ref in store.table(store.root["space"][i], "page_ref"):
                pages += bytes(PAGE) if ref["pos"] == 0 else store.checked(
                    "directory", int(ref["pos"]), PAGE, ref["checksum"], int(ref["generation"]))
            self.bits.append(pages)

    def claim(self, pool, pos, size):
        need(pos % PAGE == 0, "%s: extent at %d" % (POOLS[pool], pos))
        for page in range(pos // PAGE, (pos + size + PAGE - 1) // PAGE):
            need((pool, page) not in self.owned, "%s: page %d has two" % (POOLS[pool], page))
            need(self.bits[pool][page // 8] >> page % 8 & 1,
                 "%s: page %d is marked free" % (POOLS[pool], page))
            self.owned.add((pool, page))

    def used(self):
        return sum(bin(b).count("1") for pages in self.bits for b in pages)


def check_index(store, slot, footer, keys):
    log2, n, depth = int(footer["bins_log2"]), int(slot["entries"]), int(footer["depth"])
    starts = ((1 << log2) + 1) * 4
    raw = store.checked("buckets", int(slot["bucket_pos"]) + n * 64, starts + n * 2,
                        footer["index_checksum"],
                        reader.part_seed(store.seed, int(slot["generation"])))
    start, tag = numpy.frombuffer(raw[:starts], "<u4"), numpy.frombuffer(raw[starts:], "<u2")
    need(start[0] == 0 and start[-1] == n and len(keys) == n, "index: ends")
    for i, key in enumerate(keys):
        left = reader.hash_of(key, store.seed) << 2 << depth & reader.MASK
        at = left >> 64 - log2
        need(start[at] <= i < start[at + 1], "index: bin of entry %d" % i)
        need(tag[i] == (left << log2 & reader.MASK) >> 48, "index: tag of entry %d" % i)


def claim_tree(store, maps, pos, level, children):
    size = children * (48 if level else 16)
    maps.claim(2, pos, size)
    if level:
        for ref in numpy.frombuffer(store.read("values", pos, size), store.types["node_ref"]):
            claim_tree(store, maps, int(ref["pos"]), level - 1, int(ref["children"]))


def check_part(store, maps, slot, kind):
    footer, entries = store.part(slot)
    if footer is None:
        return 0
    maps.claim(1, int(slot["bucket_pos"]), int(slot["pages"]) * PAGE)
    maps.claim(2, int(footer["packed_pos"]), int(footer["packed_pages"]) * PAGE)
    need(footer["kind"] == kind, "kind of a part")
    entries = list(entries)
    check_index(store, slot, footer, [key for key, _, _ in entries])
    order = [(reader.hash_of(key, store.seed), key) for key, _, _ in entries]
    need(order == sorted(order), "order of a part")
    raw = store.read("buckets", int(slot["bucket_pos"]), len(entries) * 64)
    trees = 0
    for i, (_, state, values) in enumerate(entries):
        order = [(reader.hash_of(v, store.seed), v) for v in values]
        need(order == sorted(set(order)), "order of a list")
        if state in TREES:
            pos, low = struct.unpack_from("<QQ", raw, i * 64 + 16)
            level = low >> 60
            claim_tree(store, maps, pos, level, low >> 48 & 0xFFF if level else low & 0xFFFFFF)
            trees += 1
    need(trees == footer["trees"], "trees of a part")
    return trees


def check_deletions(path, root):
    with open(os.path.join(path, "deletions-0.h5"), "rb") as f:
        f.seek(int(root["data_offset"][4]))
        pages = f.read()
    records = 0
    for number in range(int(root["deletion_tail"]), int(root["deletion_head"])):
        page = pages[number % int(root["deletion_pages"]) * PAGE:][:PAGE]
        magic, count, found, low, high = struct.unpack("<4sIQQQ", page[:32])
        need((magic, found) == (b"CIDD", number) and count <= 127, "deletion page %d" % number)
        need(reader.sum_of(page[32:], reader.part_seed(number, count)) == (low, high),
             "checksum of deletion page %d" % number)
        records += count
    return records


def main():
    path = sys.argv[1]
    store = reader.Store(path)
    root, maps, parts, trees = store.root, Maps(store), 0, 0
    seals = check_seals(path, tuple(int(u) for u in root["uuid"]))
    for slot, _, _ in store.slots():
        trees += check_part(store, maps, slot, 1)
        parts += 1
    for slot in store.table(root["runs"], "slot"):
        trees += check_part(store, maps, slot, 2)
        parts += 1
    for freed in store.table(root["freed"], "freed"):
        maps.claim(int(freed["pool"]), int(freed["pos"]), int(freed["pages"]) * PAGE)
    blocks = [root["directory"], root["runs"], root["freed"], *root["space"]]
    for block in blocks:
        if block["pos"]:
            maps.claim(0, int(block["pos"]), int(block["bytes"]))
    refs = [store.table(b, "page_ref") for b in (root["directory"], *root["space"])]
    for ref in numpy.concatenate(refs):
        if ref["pos"]:
            maps.claim(0, int(ref["pos"]), PAGE)
    records = check_deletions(path, root)
    if records == 0:
        need(maps.used() == len(maps.owned), "%d pages are used, %d belong to somebody"
             % (maps.used(), len(maps.owned)))
    print("seals %d, parts %d, trees %d, pages %d, deletions %d"
          % (seals, parts, trees, len(maps.owned), records))


if __name__ == "__main__":
    main()
