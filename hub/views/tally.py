"""How many records a topic has of each region, counted column-wise from the log and kept: only blocks behind the last counted
offset are read again.

A keyed topic counts the latest record of each key, one that was deleted no more; an append topic the records that the log has
now, those that retention took no more.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub import blocks
from hub.access.plan import Plan
from hub.avro.types import Record
from hub.delivery.columns import PlanReader
from hub.delivery.texts import plain
from hub.errors import CorruptBlock, DatongError, OffsetOutOfRange, Retry
from hub.model import StoredBlock
from hub.ports import LogReader

Ints = npt.NDArray[np.int64]
FETCH_BYTES = 4 * 1024 * 1024
BUDGET_BYTES = 64 * 1024 * 1024  # read for one answer: about a second; the next one goes on
MOST_KEYS = 2_000_000  # of a keyed topic: 24 MB
GONE = -1


@dataclass
class _Latest:
    """Of a keyed topic: the region of each key's latest record, sorted by a hash of the key."""

    keys: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    places: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    def put(self, keys: npt.NDArray[np.uint64], places: npt.NDArray[np.int32]) -> None:
        """In the order they were appended: the last of each key counts."""
        new, last = np.unique(keys[::-1], return_index=True)
        values = places[::-1][last]
        at = np.searchsorted(self.keys, new)
        known = at < len(self.keys)
        known[known] = self.keys[at[known]] == new[known]
        self.places[at[known]] = values[known]
        self.keys = np.insert(self.keys, at[~known], new[~known])
        self.places = np.insert(self.places, at[~known], values[~known])


class Tally:
    """One field of one topic. Not thread-safe."""

    def __init__(
        self,
        log: LogReader,
        plan: Plan,  # of the one field
        schema_of: Callable[[int], Record],
        place_of: Callable[[str], int],  # the region of a value; `regions` when it is of none
        regions: int,
        *,
        keyed: bool,
    ) -> None:
        self._log, self._topic, self._place_of, self._regions = log, plan.topic, place_of, regions
        self._reader = PlanReader(plan, schema_of)
        self._at: dict[int, int] = {}
        self._latest = _Latest() if keyed else None
        self._blocks: defaultdict[int, deque[tuple[int, Ints]]] = defaultdict(deque)  # partition → last offset, counts
        self._sums: Ints = np.zeros(regions + 1, np.int64)
        self.newest_ms: Ints = np.zeros(regions + 1, np.int64)  # append time of the newest record of each; 0: none
        self.unreadable = 0
        self.complete = False
        self.full = False  # too many keys: counted no further

    def counts(self) -> Ints:
        """Records of each region; behind the last one those that are of none."""
        if self._latest is None:
            return self._sums
        places = self._latest.places
        return np.bincount(places[places != GONE], minlength=self._regions + 1)

    def catch_up(self, budget: int = BUDGET_BYTES) -> None:
        """Count what came since, as far as the budget goes; `complete` says whether that was all."""
        spans = self._log.ends(self._topic)
        for partition, span in spans.items():
            self._trim(partition, span.earliest)
            at = self._at[partition] = max(self._at.get(partition, span.earliest), span.earliest)
            while at < span.end and budget > 0 and not self.full:
                try:
                    fetch = self._log.read(self._topic, partition, at, min(FETCH_BYTES, budget))
                except (CorruptBlock, OffsetOutOfRange):
                    break  # `complete` stays false: a damaged block is the operator's to mend
                if fetch.blocks:
                    budget -= self._count(partition, fetch.blocks, at)
                elif fetch.next_offset <= at:
                    break
                at = self._at[partition] = fetch.next_offset
        self.complete = all(self._at[p] >= span.end for p, span in spans.items())

    def _count(self, partition: int, found: Sequence[StoredBlock], at: int) -> int:
        """Some blocks, from an offset on. How many bytes they have. Raises Retry, and goes on from there the next time."""
        try:
            self._take(partition, found, at)
        except Retry:
            raise  # what reads them is away
        except DatongError:
            for block in found if len(found) > 1 else ():
                self._count(partition, [block], at)
            if len(found) == 1:  # whoever put it there, nobody can read it
                self.unreadable += found[0].count
        self._at[partition] = found[-1].last_offset + 1
        return sum(len(block.records) for block in found)

    def _take(self, partition: int, found: Sequence[StoredBlock], at: int) -> None:
        records = blocks.join([blocks.decode(b.records, b.base_offset) for b in found])
        records = blocks.join([records], int(np.searchsorted(records.offsets, at))) if len(records) else records
        places = self._places(records)
        lasts = np.array([b.last_offset for b in found])
        block = np.searchsorted(lasts, records.offsets)
        times = np.array([b.timestamp_ms for b in found])[block]
        live = places != GONE
        np.maximum.at(self.newest_ms, places[live], times[live])
        if self._latest is not None:
            self._latest.put(_hashes(records.keys), places.astype(np.int32))
            self.full = len(self._latest.keys) > MOST_KEYS
            return
        cells = np.bincount(
            block[live] * (self._regions + 1) + places[live], minlength=len(found) * (self._regions + 1)
        ).reshape(len(found), -1)
        self._blocks[partition].extend(zip(lasts.tolist(), cells, strict=True))
        self._sums = self._sums + cells.sum(0)

    def _places(self, records: blocks.Records) -> Ints:
        """The region of each record; GONE for a deletion."""
        found = np.full(len(records), GONE, np.int64)
        at = 0
        while at < len(records):
            part = self._reader.read(blocks.join([records], at))
            column = plain(part.records.column(0)).dictionary_encode()
            known = [self._place_of(value) for value in column.dictionary.to_pylist()]
            codes = column.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
            found[at + part.rows] = np.array([*known, self._regions], np.int64)[codes]
            at += part.looked_at
        return found

    def _trim(self, partition: int, earliest: int) -> None:
        """What retention took counts no more."""
        kept = self._blocks[partition]
        while kept and kept[0][0] < earliest:
            self._sums = self._sums - kept.popleft()[1]


def _hashes(keys: pa.BinaryArray) -> npt.NDArray[np.uint64]:
    """Eight bytes of each: of two million keys, one in ten million such maps would take two for one."""
    made = b"".join(hashlib.blake2b(key or b"", digest_size=8).digest() for key in keys.to_pylist())
    return np.frombuffer(made, np.uint64)
