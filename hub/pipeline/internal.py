"""Internal topics as they are read: on Kafka, whoever has the right to one may have written to it.

What is not the hub's own is passed over, and the log tells of it (`LogReader.passed_over`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from hub import blocks
from hub.errors import MalformedBlock
from hub.model import StoredBlock
from hub.ports import LogReader

FETCH_BYTES = 8 * 1024 * 1024
LARGEST = 2**63
EARLIEST_MS = -62_135_596_800_000  # the beginning of the year 1
LATEST_MS = 253_402_300_799_999  # the end of the year 9999: what a date can hold
Item = TypeVar("Item")
Fits = Callable[[Any], bool]


class Follower(Generic[Item]):
    """Partition 0 of an internal topic, read onwards from where it stands. One thread at a time."""

    def __init__(
        self,
        reader: LogReader,
        topic: str,
        parse: Callable[[bytes | None], Item],
        *,
        wanted: Callable[[StoredBlock], bool] = lambda _block: True,
    ) -> None:
        """`parse` raises ValueError for a value that is not the hub's own; blocks not `wanted` are not looked into."""
        self._reader, self._topic, self._parse, self._wanted = reader, topic, parse, wanted
        self._position = 0
        self.at_end = False  # was there nothing more the last time?

    def new(self, budget: int | None = None) -> Iterator[tuple[int, Item]]:
        """What came since, each with its offset, as far as `budget` bytes go. Must be used to the end: what was read is not
        given again."""
        self.at_end = False
        while budget is None or budget > 0:
            fetch = self._reader.read(self._topic, 0, self._position, FETCH_BYTES)
            found = [pair for block in fetch.blocks for pair in self._items(block) if pair[0] >= self._position]
            self._position = fetch.next_offset
            yield from found
            if fetch.next_offset >= fetch.end or not fetch.blocks:
                self.at_end = True
                return
            budget = None if budget is None else budget - sum(len(block.records) for block in fetch.blocks)

    def _items(self, block: StoredBlock) -> Iterator[tuple[int, Item]]:
        try:
            values = list(_values(block)) if self._wanted(block) else []
        except MalformedBlock:
            self._reader.passed_over(block, block.base_offset)
            return
        for offset, value in values:
            try:
                item = self._parse(value)
            except ValueError:
                self._reader.passed_over(block, offset)
            else:
                yield offset, item


def _values(block: StoredBlock) -> Iterable[tuple[int, bytes | None]]:
    """Offsets and values. A manifest is a block of its own, and every start reads all there are."""
    if block.count == 1:
        delta, value = blocks.first_value(block.records)
        return [(block.base_offset + delta, value)]
    records = blocks.decode(block.records, block.base_offset)
    return zip(records.offsets.tolist(), records.values.to_pylist(), strict=True)


def document(value: bytes | None, shape: Mapping[str, Fits]) -> dict[str, Any]:
    """A JSON object whose members all fit; some may be missing. Raises ValueError for anything else."""
    try:
        data = json.loads(value or b"")
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(data, dict) or not data.keys() <= shape.keys():
        raise ValueError("another shape")
    if not all(shape[name](found) for name, found in data.items()):
        raise ValueError("another type")
    if b"\\u" in (value or b""):
        json.dumps(data, ensure_ascii=False).encode()  # half a character is a UnicodeEncodeError
    return data


def text(value: Any) -> bool:
    """Is it one?"""
    return isinstance(value, str)


def flag(value: Any) -> bool:
    """Is it one?"""
    return isinstance(value, bool)


def number(value: Any) -> bool:
    """An integer of at most 64 bits?"""
    return type(value) is int and -LARGEST <= value < LARGEST


def moment(value: Any) -> bool:
    """Milliseconds since 1970, in the years that a calendar has?"""
    return type(value) is int and 0 <= value <= LATEST_MS


def instant(value: Any) -> bool:
    """The same, before 1970 too."""
    return type(value) is int and EARLIEST_MS <= value <= LATEST_MS


def numbers(value: Any) -> bool:
    """An object of integers?"""
    return isinstance(value, dict) and all(map(number, value.values()))


def one_of(names: Iterable[str]) -> Fits:
    """One of these texts?"""
    known = frozenset(names)
    return lambda value: isinstance(value, str) and value in known
