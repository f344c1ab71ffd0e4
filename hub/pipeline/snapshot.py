"""What a task knows of every key it has published: content hash, scope and time (R2, R18, R19).

The truth is the compacted topic `__state`; this is its form in memory: one slot per key, about 60 bytes a key. Keys are
found by a 64-bit hash in a sorted index and then compared byte by byte, so a collision costs time, not correctness.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub import blocks
from hub.errors import MalformedBlock
from hub.model import STATE, Block, StoredBlock
from hub.pipeline.digests import DIGEST_BYTES, digests
from hub.ports import LogReader

FETCH_BYTES = 8 * 1024 * 1024
LONGEST = 1 << 30  # a slice without end makes this Arrow fail, so the end is out of reach
REPLAY_ROWS = 200_000  # records of `__state` taken over at once
_VALUE = struct.Struct(f">{DIGEST_BYTES}sq")  # content hash, published at (ms); the scope's JSON follows
_FIELDS = np.dtype([("hash", f"V{DIGEST_BYTES}"), ("at", ">i8")])  # the same for numpy

Slots = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.void]
Sizes = Callable[[npt.NDArray[np.int32]], npt.NDArray[np.bool_]]  # lengths of values -> which can be


def content_hashes(values: pa.BinaryArray) -> Hashes:
    """BLAKE2b-128 of each framed record, so that a changed schema id counts as a change (R18)."""
    return np.frombuffer(b"".join(digests(values)), dtype=f"V{DIGEST_BYTES}")


class KeyState:
    """All keys of one task. Not thread-safe: a task has one thread."""

    def __init__(self, task: str) -> None:
        self._prefix = task.encode() + b"\0"
        self._chunks: list[pa.BinaryArray] = []
        self._keys = pa.array([], pa.binary())
        self._hashes = np.empty(0, f"V{DIGEST_BYTES}")
        self._published = np.empty(0, np.int64)  # ms
        self._scope_code = np.empty(0, np.int32)
        self._scopes: dict[bytes, int] = {}
        self._scope_list: list[bytes] = []
        self._live = np.empty(0, np.bool_)
        self._seen = np.empty(0, np.bool_)
        self._index_hash = np.empty(0, np.int64)
        self._index_slot: Slots = np.empty(0, np.int32)

    @classmethod
    def load(cls, reader: LogReader, task: str) -> KeyState:
        """Read `__state` to its end. Costs about one microsecond a key, and nothing for other tasks' blocks."""
        state = cls(task)
        for keys, values in stored(reader, state._prefix, lambda sizes: sizes >= _VALUE.size):
            state._replay(keys, values)
        return state

    def _replay(self, keys: pa.BinaryArray, values: pa.BinaryArray) -> None:
        """Records of `__state` in order; of a key that stands several times, the last one counts."""
        coded = pc.binary_slice(keys, len(self._prefix), LONGEST).dictionary_encode()
        last = np.empty(len(coded.dictionary), np.int64)
        last[coded.indices.to_numpy()] = np.arange(len(keys))
        distinct, newest = coded.dictionary, values.take(pa.array(last))
        present = newest.is_valid().to_numpy(zero_copy_only=False)
        gone = self.find(distinct.take(pa.array(np.flatnonzero(~present))))
        self._live[gone[gone >= 0]] = False
        chosen = pa.array(np.flatnonzero(present))
        distinct, newest = distinct.take(chosen), newest.take(chosen)
        if not len(distinct):
            return
        heads = pc.binary_slice(newest, 0, _VALUE.size).cast(pa.binary(_VALUE.size))
        fields = np.frombuffer(heads.buffers()[1], _FIELDS)[heads.offset : heads.offset + len(heads)]
        scopes = pc.binary_slice(newest, _VALUE.size, LONGEST).dictionary_encode()
        names = scopes.dictionary.to_pylist()
        texts = [names[code] for code in scopes.indices.to_pylist()]
        self.put(distinct, fields["hash"], texts, fields["at"].astype(np.int64))

    def __len__(self) -> int:
        return int(np.count_nonzero(self._live))

    def start_pass(self) -> None:
        """Forget which keys were seen."""
        self._seen[:] = False

    def find(self, keys: pa.BinaryArray) -> Slots:
        """The slot of each key, -1 for a key never published. Deleted keys keep their slot."""
        n = len(keys)
        if not len(self._index_hash) or not n:
            return np.full(n, -1, np.int32)
        wanted = _hash(keys)
        at = np.searchsorted(self._index_hash, wanted)
        found = at < len(self._index_hash)
        hit = np.where(found, at, 0)
        found &= self._index_hash[hit] == wanted
        slots = np.where(found, self._index_slot[hit], -1).astype(np.int32)
        rows = np.flatnonzero(slots >= 0)
        if len(rows):
            stored = self._all_keys().take(pa.array(slots[rows]))
            same = pc.equal(stored, keys.take(pa.array(rows))).to_numpy(zero_copy_only=False)
            for row in rows[~same].tolist():
                slots[row] = self._probe(int(at[row]), int(wanted[row]), keys[row].as_py())
        return slots

    def _probe(self, at: int, wanted: int, key: bytes) -> int:
        """Two keys with one 64-bit hash: look at the neighbours."""
        while at < len(self._index_hash) and self._index_hash[at] == wanted:
            slot = int(self._index_slot[at])
            if self._all_keys()[slot].as_py() == key:
                return slot
            at += 1
        return -1

    def unchanged(self, slots: Slots, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which of these keys are published with exactly this content."""
        known = slots >= 0
        where = np.where(known, slots, 0)
        if not len(self._hashes):
            return known
        return np.asarray(known & self._live[where] & (self._hashes[where] == hashes), np.bool_)

    def live(self, slots: Slots) -> npt.NDArray[np.bool_]:
        """Which of these keys are published and not deleted."""
        known = slots >= 0
        return known & self._live[np.where(known, slots, 0)] if len(self._live) else known

    def seen(self, slots: Slots) -> npt.NDArray[np.bool_]:
        """Which of these keys this pass has met before."""
        known = slots >= 0
        return known & self._seen[np.where(known, slots, 0)] if len(self._seen) else known

    def mark_seen(self, slots: Slots) -> None:
        """These keys exist in the source (slots of -1 are ignored)."""
        self._seen[slots[slots >= 0]] = True

    def published_since(self, slots: Slots, at_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these keys were published, changed or deleted after the given times (R20)."""
        known = slots >= 0
        return known & (self._published[np.where(known, slots, 0)] > at_ms) if len(self._published) else known

    def scopes_of(self, slots: Slots) -> list[bytes]:
        """The scope (compact JSON object) under which each slot was last published."""
        return [self._scope_list[code] for code in self._scope_code[slots].tolist()]

    def put(self, keys: pa.BinaryArray, hashes: Hashes, scopes: Sequence[bytes], at_ms: npt.NDArray[np.int64]) -> None:
        """Remember distinct keys as published. New ones get a slot; all count as seen."""
        slots = self.find(keys)
        new = np.flatnonzero(slots < 0)
        if len(new):
            slots[new] = self._grow(keys.take(pa.array(new)))
        self._hashes[slots] = hashes
        self._published[slots] = at_ms
        self._scope_code[slots] = self._codes(scopes)
        self._live[slots] = True
        self._seen[slots] = True

    def remove(self, slots: Slots, at_ms: int) -> None:
        """These keys are deleted now."""
        self._live[slots] = False
        self._published[slots] = at_ms

    def unseen(self) -> Slots:
        """Live keys that this pass has not met."""
        return np.flatnonzero(self._live & ~self._seen).astype(np.int32)

    def keys_of(self, slots: Slots) -> pa.BinaryArray:
        """The keys in these slots."""
        return self._all_keys().take(pa.array(slots))

    def records(
        self, keys: pa.BinaryArray, hashes: Hashes | None, scopes: Sequence[bytes], at_ms: int
    ) -> tuple[pa.BinaryArray, pa.BinaryArray]:
        """Keys and values for `__state`; without hashes, deletions."""
        prefixed = pc.binary_join_element_wise(
            pa.scalar(self._prefix, pa.binary()), keys.cast(pa.binary()), pa.scalar(b"", pa.binary())
        )
        if hashes is None:
            return prefixed, pa.nulls(len(keys), pa.binary())
        packed = [_VALUE.pack(h, at_ms) + s for h, s in zip(hashes.tolist(), scopes, strict=True)]
        return prefixed, pa.array(packed, pa.binary())

    def _codes(self, scopes: Sequence[bytes]) -> Slots:
        codes = np.empty(len(scopes), np.int32)
        for i, scope in enumerate(scopes):
            code = self._scopes.get(scope)
            if code is None:
                code = self._scopes[scope] = len(self._scope_list)
                self._scope_list.append(scope)
            codes[i] = code
        return codes

    def _grow(self, keys: pa.BinaryArray) -> Slots:
        n = len(keys)
        first = len(self._live)
        slots = np.arange(first, first + n, dtype=np.int32)
        self._chunks.append(keys.cast(pa.binary()))
        self._hashes = np.concatenate([self._hashes, np.zeros(n, f"V{DIGEST_BYTES}")])
        self._published = np.concatenate([self._published, np.zeros(n, np.int64)])
        self._scope_code = np.concatenate([self._scope_code, np.zeros(n, np.int32)])
        self._live = np.concatenate([self._live, np.zeros(n, np.bool_)])
        self._seen = np.concatenate([self._seen, np.zeros(n, np.bool_)])
        hashes = _hash(keys)
        order = np.argsort(hashes, kind="stable")
        places = np.searchsorted(self._index_hash, hashes[order])
        self._index_hash = np.insert(self._index_hash, places, hashes[order])
        self._index_slot = np.insert(self._index_slot, places, slots[order])
        return slots

    def _all_keys(self) -> pa.BinaryArray:
        if self._chunks:
            self._keys = pa.concat_arrays([self._keys, *self._chunks])
            self._chunks = []
        return self._keys


def _hash(keys: pa.BinaryArray) -> npt.NDArray[np.int64]:
    """Python's SipHash of each key: keyed per process, so nobody can aim for collisions. Never stored."""
    return np.fromiter(map(hash, keys.cast(pa.binary()).to_pylist()), np.int64, len(keys))


def stored(reader: LogReader, prefix: bytes, sizes: Sizes) -> Iterator[tuple[pa.BinaryArray, pa.BinaryArray]]:
    """What stands in `__state` under keys with this prefix, in order and in large pieces; a block has one task's. Values
    of other `sizes` are not the hub's own, and passed over."""
    keys: list[pa.BinaryArray] = []
    values: list[pa.BinaryArray] = []
    waiting = offset = 0
    while True:
        fetch = reader.read(STATE, 0, offset, FETCH_BYTES)
        for block in fetch.blocks:
            found = _own(reader, block, prefix, sizes)
            if found is not None:
                keys.append(found[0])
                values.append(found[1])
                waiting += len(found[0])
        done = fetch.next_offset >= fetch.end or not fetch.blocks
        if keys and (done or waiting >= REPLAY_ROWS):
            yield pa.concat_arrays(keys), pa.concat_arrays(values)
            keys, values, waiting = [], [], 0
        if done:
            return
        offset = fetch.next_offset


def _own(
    reader: LogReader, block: StoredBlock, prefix: bytes, sizes: Sizes
) -> tuple[pa.BinaryArray, pa.BinaryArray] | None:
    """Keys and values of a block of this task."""
    try:
        if not block.count or not (blocks.first_key(block.records) or b"").startswith(prefix):
            return None
        records = blocks.decode(block.records, block.base_offset)
        keys, values = records.keys, records.values
    except MalformedBlock:
        reader.passed_over(block, block.base_offset)
        return None
    named = pc.starts_with(keys, prefix).fill_null(False).to_numpy(zero_copy_only=False)
    lengths = pc.binary_length(values)
    good = named & (sizes(lengths.fill_null(0).to_numpy()) | lengths.is_null().to_numpy(zero_copy_only=False))
    if good.all():
        return keys, values
    for offset in records.offsets[~good].tolist():
        reader.passed_over(block, offset)
    return keys.filter(pa.array(good)), values.filter(pa.array(good))


def state_blocks(keys: pa.BinaryArray, values: pa.BinaryArray) -> list[Block]:
    """Records for `__state` as blocks of an append."""
    if not len(keys):
        return []
    headers = blocks.Headers(per_record=[], constant=[])
    return [
        Block(topic=STATE, partition=0, count=count, records=section)
        for _start, count, section in blocks.split(keys, values, headers)
    ]
