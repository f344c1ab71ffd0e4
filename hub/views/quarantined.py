"""How many open rows of quarantine a topic has of each region, told from the rows as they were read: what the mapping of today
makes of the field that says the region. Kept: only what `__quarantine` got since is read again.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub import blocks
from hub.delivery.texts import plain
from hub.errors import CorruptBlock, DatongError, MalformedBlock, OffsetOutOfRange
from hub.mapping.codelists import CodeLists
from hub.mapping.program import MappingSpec, compile_program
from hub.model import QUARANTINE, StoredBlock
from hub.pipeline import quarantine
from hub.pipeline.internal import Follower
from hub.pipeline.quarantine import CONNECTOR, Closing, Entry
from hub.pipeline.replay import as_batch, chunks
from hub.ports import LogReader

Ints = npt.NDArray[np.int64]
BUDGET_BYTES = 8 * 1024 * 1024  # read for one answer; the next one goes on
MOST_OPEN = 500_000  # rows of a topic: about 80 MB


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Where the rows are, and what says the region of one."""

    topic: str
    field: pa.Field  # of the topic
    mappings: Mapping[str, MappingSpec]  # by connector that publishes the topic: of this field alone
    versions: Mapping[str, str]  # of code lists


def told_by(mapping: MappingSpec, field: str) -> MappingSpec:
    """The part of a mapping that makes one field; empty when nothing does."""
    fields = {field: mapping.fields[field]} if field in mapping.fields else {}
    return MappingSpec(fields=fields, optional=mapping.optional)


class QuarantineTally:
    """The open rows of one topic. Not thread-safe."""

    def __init__(
        self,
        log: LogReader,
        asked: Asked,
        codes: CodeLists,
        place_of: Callable[[str], int],  # the region of a value; `regions` when it is of none
        regions: int,
    ) -> None:
        self._asked, self._codes, self._place_of, self._regions = asked, codes, place_of, regions
        self._items = Follower(log, QUARANTINE, quarantine.parse, wanted=self._wanted)
        self._open: dict[str, int] = {}  # region by entry
        self._counts: Ints = np.zeros(regions + 1, np.int64)
        self.complete = False
        self.full = False  # too many rows: those beyond are not counted

    def counts(self) -> Ints:
        """Rows of each region; behind the last one those whose region cannot be told, or is none of these."""
        return self._counts

    def catch_up(self, budget: int = BUDGET_BYTES) -> None:
        """Count what came since, as far as the budget goes; `complete` says whether that was all."""
        waiting: dict[str, Entry] = {}  # a row that is closed before it was looked at need not be
        try:
            for _offset, item in self._items.new(budget):
                if isinstance(item, Closing):
                    waiting.pop(item.id, None)
                    self._put(item.id, None)
                elif item.topic == self._asked.topic and item.task in self._asked.mappings:
                    waiting[item.id] = item
        except (CorruptBlock, OffsetOutOfRange):
            self.complete = False  # a damaged block is the operator's to mend
        else:
            self.complete = self._items.at_end and not self.full
        finally:
            self._take(waiting.values())

    def _wanted(self, block: StoredBlock) -> bool:
        """A block is of one connector."""
        try:
            name = blocks.first_headers(block.records).get(CONNECTOR)
        except MalformedBlock:
            return True  # the follower tells of it
        return name is None or name.decode("utf-8", "replace") in self._asked.mappings

    def _take(self, found: Iterable[Entry]) -> None:
        by_task: dict[str, list[Entry]] = {}
        for entry in found:
            by_task.setdefault(entry.task, []).append(entry)
            self._put(entry.id, self._regions)  # until it can be told
        for task, entries in by_task.items():
            for chunk in chunks([entry for entry in entries if entry.columns]):
                for entry, place in zip(chunk, self._places(self._asked.mappings[task], chunk), strict=True):
                    self._put(entry.id, place)

    def _put(self, entry: str, place: int | None) -> None:
        """The region of an entry; None: it is open no more."""
        before = self._open.pop(entry, None)
        if before is not None:
            self._counts[before] -= 1
        if place is None:
            return
        if len(self._open) >= MOST_OPEN:
            self.full, self.complete = True, False
            return
        self._open[entry] = place
        self._counts[place] += 1

    def _places(self, mapping: MappingSpec, chunk: Sequence[Entry]) -> list[int]:
        """The region of each of these rows, which have the same columns."""
        places = [self._regions] * len(chunk)
        try:
            records = as_batch(chunk).records
            target = pa.schema([self._asked.field.with_nullable(True)])
            mapped = compile_program(mapping, records.schema, target, self._codes).apply(records)
            values = plain(mapped.records.column(0)).to_pylist()
        except (DatongError, pa.ArrowException, ValueError, TypeError, binascii.Error):
            return places  # other columns than the mapping reads, or rows that no hub wrote
        for row, value in zip(mapped.rows.tolist(), values, strict=True):
            if value is not None:
                places[row] = self._place_of(value)
        return places
