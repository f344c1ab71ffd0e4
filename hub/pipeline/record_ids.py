"""Record ids that a task has published in the last 72 hours, so that what is delivered again is published once (G4, R2).

For append mode and sources that may give a record again long after: class B read with an overlap, and all of class C. The
truth is `__state`: one entry a batch, deleted when it is too old. In memory an id costs 32 bytes.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.model import Block, Rows
from hub.pipeline.digests import DIGEST_BYTES, digests
from hub.pipeline.snapshot import state_blocks, stored
from hub.ports import LogReader

KEPT_MS = 72 * 3600 * 1000
PER_ENTRY = 16_000  # ids; an entry is a record, and has to fit into a block (R5)
_AT = struct.Struct(">q")  # ms; the digests follow
Halves = npt.NDArray[np.uint64]  # of shape (n, 2): a digest as two numbers


@dataclass(frozen=True)
class Entry:
    """Ids that one append brought."""

    key: bytes
    at: int  # ms
    digests: Halves


class RecordIds:
    """All ids of one task that are young enough, and the names that its source had remembered beside them.

    The task's thread uses it; any thread may ask `known`."""

    def __init__(self, task: str) -> None:
        self._prefix = b"\1" + task.encode() + b"\0"
        self._entries: deque[Entry] = deque()
        self._index: Halves = np.empty((0, 2), np.uint64)  # sorted

    @classmethod
    def load(cls, reader: LogReader, task: str) -> RecordIds:
        """What is known of a task."""
        ids = cls(task)
        ids.read(reader)
        return ids

    def read(self, reader: LogReader) -> None:
        """Read `__state` to its end."""
        found: dict[bytes, bytes | None] = {}
        for keys, values in stored(reader, self._prefix, _possible):
            found.update(zip(keys.to_pylist(), values.to_pylist(), strict=True))
        entries = [_entry(key, value) for key, value in found.items() if value is not None]
        self._entries = deque(sorted(entries, key=lambda e: e.at))
        self._reindex()

    def __len__(self) -> int:
        return len(self._index)

    def fresh(self, ids: pa.BinaryArray) -> Rows:
        """Places of the ids that were not published before, each the first time it stands here."""
        if not len(ids):
            return np.empty(0, np.int64)
        codes = ids.dictionary_encode().indices.to_numpy()
        first = np.sort(np.unique(codes, return_index=True)[1]).astype(np.int64)
        return first[~self._known(_digests(ids.take(pa.array(first))))]

    def known(self, names: Sequence[bytes]) -> Sequence[bool]:
        """Which of the names that a source gives (`hub.ports.Remembered`) were remembered. From any thread."""
        found: list[bool] = self._known(_digests(_named(names))).tolist()
        return found

    def remember(self, ids: pa.BinaryArray, batch: int, at_ms: int, names: Sequence[bytes] = ()) -> list[Block]:
        """These ids are published by the append that carries the blocks, and its source's `names` are known from then on;
        what is older than 72 hours is forgotten with it."""
        digests = _digests(pa.concat_arrays([ids, _named(names)]))
        keys: list[bytes] = []
        values: list[bytes | None] = []
        for part, start in enumerate(range(0, len(digests), PER_ENTRY)):
            entry = Entry(self._prefix + b"%d.%d" % (batch, part), at_ms, digests[start : start + PER_ENTRY])
            self._entries.append(entry)
            keys.append(entry.key)
            values.append(_AT.pack(at_ms) + entry.digests.astype(">u8").tobytes())
        old = self._forget(at_ms - KEPT_MS)
        keys += old
        values += [None] * len(old)
        if old:
            self._reindex()
        elif len(digests):
            self._index = _merged(self._index, _sorted(digests))
        return state_blocks(pa.array(keys, pa.binary()), pa.array(values, pa.binary()))

    def _forget(self, before_ms: int) -> list[bytes]:
        gone = []
        while self._entries and self._entries[0].at < before_ms:
            gone.append(self._entries.popleft().key)
        return gone

    def _reindex(self) -> None:
        parts = [e.digests for e in self._entries]
        self._index = _sorted(np.concatenate(parts)) if parts else np.empty((0, 2), np.uint64)

    def _known(self, digests: Halves) -> npt.NDArray[np.bool_]:
        """Which of these are in the index. Neighbours that share the first half are looked at one by one."""
        index = self._index  # an array that is put in its place is never written to
        known = np.zeros(len(digests), np.bool_)
        at = np.searchsorted(index[:, 0], digests[:, 0])
        waiting = np.arange(len(digests))
        while len(waiting):
            inside = waiting[at[waiting] < len(index)]
            entries = index[at[inside]]
            same = entries[:, 0] == digests[inside, 0]
            hit = same & (entries[:, 1] == digests[inside, 1])
            known[inside[hit]] = True
            waiting = inside[same & ~hit]
            at[waiting] += 1
        return known


def _digests(ids: pa.BinaryArray) -> Halves:
    return np.frombuffer(b"".join(digests(ids)), ">u8").astype(np.uint64).reshape(-1, 2)


def _named(names: Sequence[bytes]) -> pa.BinaryArray:
    """Names as they stand among record ids, none of which begins so."""
    return pa.array([b"\0" + name for name in names], pa.binary())


def _possible(sizes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Lengths that entries have."""
    return np.asarray((sizes >= _AT.size) & ((sizes - _AT.size) % DIGEST_BYTES == 0))


def _entry(key: bytes, value: bytes) -> Entry:
    digests = np.frombuffer(value, ">u8", offset=_AT.size).astype(np.uint64).reshape(-1, 2)
    return Entry(key, _AT.unpack_from(value)[0], digests)


def _sorted(digests: Halves) -> Halves:
    return digests[np.argsort(digests[:, 0], kind="stable")]


def _merged(index: Halves, more: Halves) -> Halves:
    """Both sorted by their first half; so is the whole. A push source adds a few ids to many, many times."""
    return np.insert(index, np.searchsorted(index[:, 0], more[:, 0]), more, axis=0)
