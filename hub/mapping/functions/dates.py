"""Dates and timestamps from text in declared formats, read as byte matrices (domain, section 4: no guessing)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from hub import buffers, ragged
from hub.mapping.codelists import CodeLists
from hub.mapping.functions.matrix import Bytes, Days, Ints
from hub.mapping.functions.table import Fails, Function, Kernel, Parameter, always, constant, text
from hub.mapping.values import CODE, Codes, Mask, fail, merge, valid
from hub.mapping.zones import Zone

WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "f": 6}
DAY = 86_400_000_000  # µs
FIRST, PAST = -719_162 * DAY, 2_932_897 * DAY  # the years 1 to 9999 in UTC: what readers' calendars hold
MILLIS, MICROS = pa.timestamp("ms", "UTC"), pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Format:
    """A fixed-width format: where each part stands, and the bytes between."""

    width: int
    parts: tuple[tuple[str, int], ...]  # letter, position
    fixed: tuple[tuple[int, int], ...]  # position, byte

    @property
    def has_zulu(self) -> bool:
        """Ends in a literal Z: the text itself says UTC."""
        return bool(self.fixed) and self.fixed[-1] == (self.width - 1, ord("Z"))


def parse_format(pattern: str, needed: str) -> Format:
    """`%Y-%m-%d` and the like. Raises ValueError for what is not known or missing."""
    parts: list[tuple[str, int]] = []
    fixed: list[tuple[int, int]] = []
    place, i = 0, 0
    raw = pattern.encode()
    while i < len(raw):
        if raw[i : i + 1] == b"%" and i + 1 < len(raw):
            letter = chr(raw[i + 1])
            if letter not in WIDTHS or letter in dict(parts):
                raise ValueError(f"%{letter} is not known or stands twice; known are %Y %m %d %H %M %S %f")
            parts.append((letter, place))
            place, i = place + WIDTHS[letter], i + 2
        else:
            fixed.append((place, raw[i]))
            place, i = place + 1, i + 1
    missing = [f"%{c}" for c in needed if c not in dict(parts)]
    if missing:
        raise ValueError(f"the format lacks {', '.join(missing)}")
    return Format(place, tuple(parts), tuple(fixed))


def _fitting(form: Format, column: pa.Array, wanted: Mask) -> tuple[Ints, Bytes]:
    """Wanted rows whose value is as long as the format and has its fixed bytes, and their bytes by place."""
    offsets, data = buffers.text(column)
    rows = np.flatnonzero(((offsets[1:] - offsets[:-1]) == form.width) & wanted)
    starts = offsets[rows].astype(np.int64)
    for place, byte in form.fixed:
        fits = data[starts + place] == byte
        if np.count_nonzero(fits) < len(rows):
            rows, starts = rows[fits], starts[fits]
    return rows, np.ascontiguousarray(ragged.windows(data, starts, form.width).T)


def _read(form: Format, cells: Bytes) -> tuple[dict[str, Days], Mask]:
    """The number of each part, and the rows that have digits there."""
    good = np.ones(cells.shape[1], np.bool_)
    numbers = {}
    for letter, place in form.parts:
        digits = cells[place : place + WIDTHS[letter]] - np.uint8(48)  # wraps for what is no digit
        good &= np.maximum.reduce(digits) < 10
        pairs = digits[::2] * np.uint8(10) + digits[1::2]
        value = pairs[0].astype(np.int32)
        for pair in pairs[1:]:
            value = value * np.int32(100) + pair
        numbers[letter] = value
    return numbers, good


@cache
def _calendar() -> tuple[Days, Days]:
    """By 16 × year + month, of the years 1 to 9999: the first day since 1970, and how many days there are, else 0."""
    starts = np.arange("0001-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
    place = 16 * (1 + np.arange(len(starts) - 1) // 12) + 1 + np.arange(len(starts) - 1) % 12
    first, length = np.zeros(16 * 10_000, np.int32), np.zeros(16 * 10_000, np.int32)
    first[place], length[place] = starts[:-1], np.diff(starts)
    return first, length


def days_of(year: Days, month: Days, day: Days) -> tuple[Days, Mask]:
    """Days since 1970-01-01 in the proleptic Gregorian calendar, and which dates exist (year 0 does not). Numbers are not
    negative; where a date does not exist, whatever day."""
    firsts, lengths = _calendar()
    place = (np.where(year < 10_000, year, 0) << 4) + np.where(month < 16, month, 0)
    return firsts[place] + day - np.int32(1), (day > 0) & (day <= lengths[place])


def _bind_date(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    formats = [parse_format(str(f), "Ymd") for f in literals]

    def kernel(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
        column = columns[0]
        there = valid(column)
        days, wanted = np.zeros(len(column), np.int32), there.copy()
        for form in formats:
            rows, cells = _fitting(form, column, wanted)
            if not len(rows):
                continue
            numbers, good = _read(form, cells)
            value, exists = days_of(numbers["Y"], numbers["m"], numbers["d"])
            good &= exists
            if np.count_nonzero(good) < len(rows):
                rows, value = rows[good], value[good]
            days[rows], wanted[rows] = value, False
        return buffers.column(pa.date32(), days, there & ~wanted), fail(wanted, "BAD_DATE"), {}

    return kernel


def _bind_timestamp(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    patterns = [str(x) for x in literals if "%" in str(x)]
    zones = [str(x) for x in literals if "%" not in str(x)]
    formats = [parse_format(p, "YmdHM") for p in patterns]
    if not formats:
        raise ValueError("a format such as '%Y-%m-%d %H:%M:%S' is needed")
    if len(zones) > 1 or (not zones and not all(f.has_zulu for f in formats)):
        raise ValueError("one time zone is needed, such as 'Europe/Rome', unless every format ends in Z")
    zone = Zone.load(zones[0]) if zones else None
    kind = _timestamp_type(literals)

    def kernel(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
        column = columns[0]
        there = valid(column)
        micros, wanted = np.zeros(len(column), np.int64), there.copy()
        failed: Codes | None = None
        for form in formats:
            rows, cells = _fitting(form, column, wanted)
            if not len(rows):
                continue
            value, good = _instant(form, cells)
            if np.count_nonzero(good) < len(rows):
                value, rows = value[good], rows[good]
            if zone is not None and not form.has_zulu:
                value, codes = zone.to_utc(value)
                spread = np.zeros(len(column), np.int16)
                spread[rows] = codes
                failed = merge(failed, spread if codes.any() else None)
            held = (value >= FIRST) & (value < PAST)
            if np.count_nonzero(held) < len(rows):
                value, rows = value[held], rows[held]
            micros[rows], wanted[rows] = value, False
        failed = merge(failed, fail(wanted, "BAD_TIMESTAMP"))
        made = micros if kind == MICROS else micros // 1000
        return buffers.column(kind, made, there if failed is None else there & (failed == 0)), failed, {}

    return kernel


def _instant(form: Format, cells: Bytes) -> tuple[Ints, Mask]:
    """Microseconds of the wall clock, as if it were UTC."""
    numbers, good = _read(form, cells)
    days, exists = days_of(numbers["Y"], numbers["m"], numbers["d"])
    hour, minute = numbers["H"], numbers["M"]
    good &= exists & (hour < 24) & (minute < 60)
    seconds = hour * np.int32(3600) + minute * np.int32(60)
    if "S" in numbers:
        good &= numbers["S"] < 60
        seconds += numbers["S"]
    micros = days.astype(np.int64) * DAY + seconds.astype(np.int64) * 1_000_000
    return micros + numbers["f"] if "f" in numbers else micros, good


def _timestamp_type(literals: Sequence[Any]) -> pa.DataType:
    return MICROS if any("%f" in str(x) for x in literals) else MILLIS


FUNCTIONS = (
    Function(
        name="to_date",
        doc="A date from text, in the first format that fits (%Y %m %d, zero-padded; `parse_date` reads others). Dates that "
        "do not exist fail.",
        parameters=(text(), constant("format", repeat=True)),
        result=always(pa.date32()),
        bind=_bind_date,
        reasons=("BAD_DATE",),
        examples=(
            ("CAST(to_date('03/10/2023', '%d/%m/%Y', '%Y-%m-%d') AS TEXT)", "2023-10-03"),
            ("CAST(try(to_date('31/02/1999', '%d/%m/%Y')) AS TEXT)", None),
        ),
    ),
    Function(
        name="to_timestamp",
        doc="An instant from text, in the first format that fits (%Y %m %d %H %M %S %f, zero-padded; `parse_timestamp` "
        "reads others). The zone's name comes last, unless the format itself ends in Z. Wall-clock times that a clock "
        "change skips or repeats fail.",
        parameters=(text(), constant("format", repeat=True)),
        result=_timestamp_type,
        bind=_bind_timestamp,
        reasons=("BAD_TIMESTAMP", "NONEXISTENT_TIME", "AMBIGUOUS_TIME"),
        examples=(
            (
                "CAST(to_timestamp('2023-07-01 12:00:00', '%Y-%m-%d %H:%M:%S', 'Europe/Rome') AS TEXT)",
                "2023-07-01 10:00:00.000Z",
            ),
            ("to_timestamp('2023-7-1 12:00', '%Y-%m-%d %H:%M', 'Europe/Rome')", Fails("BAD_TIMESTAMP")),
        ),
    ),
    Function(
        name="start_of_day",
        doc="Midnight of a date in a time zone, as an instant.",
        parameters=(Parameter(name="value", type="date"), constant("zone")),
        result=always(MILLIS),
        bind=lambda literals, _codes: _midnight(Zone.load(str(literals[0]))),
        reasons=("NONEXISTENT_TIME", "AMBIGUOUS_TIME"),
        examples=(
            (
                "CAST(start_of_day(to_date('2023-07-01', '%Y-%m-%d'), 'Europe/Rome') AS TEXT)",
                "2023-06-30 22:00:00.000Z",
            ),
        ),
    ),
)


def _midnight(zone: Zone) -> Kernel:
    def kernel(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
        days = columns[0].cast(pa.date32())
        there = valid(days)
        number = np.asarray(days.cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        # A day far outside the calendar would wrap as µs; the zone moves an instant by a day at most.
        micros, codes = zone.to_utc(np.clip(number, FIRST // DAY - 2, PAST // DAY + 2) * DAY)
        codes[(micros < FIRST) | (micros >= PAST)] = CODE["OUT_OF_RANGE"]
        codes = np.where(there, codes, 0).astype(np.int16)
        made = pa.array(micros // 1000, pa.int64(), mask=~there | (codes != 0)).cast(MILLIS)
        return made, codes if codes.any() else None, {}

    return kernel


bind_iso_date = _bind_date(["%Y-%m-%d"], CodeLists())
