"""A time zone as a table of its clock changes, so that a column is converted at once and without a system zone database
(R36: zoneinfo falls back to the tzdata wheel)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from hub.mapping.values import CODE, Codes

Ints = npt.NDArray[np.int64]
FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
STEP = timedelta(days=5)  # no zone changes its clock twice within
SECOND = 1_000_000  # µs


@dataclass(frozen=True)
class Zone:
    """Clock changes from 1900 to 2100. Before the first and after the last, the nearest offset holds."""

    name: str
    changes: Ints  # µs UTC
    offsets: Ints  # µs; offsets[i] holds before changes[i], the last one after all

    @staticmethod
    def load(name: str) -> Zone:
        """By IANA name. Raises ValueError for an unknown one."""
        return _load(name)

    def to_utc(self, wall: Ints) -> tuple[Ints, Codes]:
        """Wall-clock µs → UTC µs; skipped and repeated times get NONEXISTENT_TIME and AMBIGUOUS_TIME."""
        codes = np.zeros(len(wall), np.int16)
        if not len(self.changes):
            return wall - self.offsets[0], codes
        before, after = self.offsets[:-1], self.offsets[1:]
        low, high = self.changes + np.minimum(before, after), self.changes + np.maximum(before, after)
        place = np.searchsorted(high, wall, side="right")
        near = np.minimum(place, len(self.changes) - 1)
        between = (place < len(self.changes)) & (wall >= low[near])
        codes[between & (after[near] > before[near])] = CODE["NONEXISTENT_TIME"]
        codes[between & (after[near] < before[near])] = CODE["AMBIGUOUS_TIME"]
        return wall - self.offsets[place], codes


@lru_cache(maxsize=64)
def _load(name: str) -> Zone:
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name[:60]}") from error
    changes, offsets = [], [_offset(zone, FIRST)]
    at = FIRST
    while at < LAST:
        after = at + STEP
        if _offset(zone, after) != offsets[-1]:
            changes.append(_change(zone, at, after))
            offsets.append(_offset(zone, after))
        at = after
    return Zone(name, np.array(changes, np.int64), np.array(offsets, np.int64))


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> int:
    """The instant of the change between two times, to the second."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low).total_seconds() // 2)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return int(high.timestamp()) * SECOND


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) * SECOND if offset is not None else 0
