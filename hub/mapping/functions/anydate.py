"""Dates, periods and times in the spellings that departments use. Common dates as byte matrices, the rest by distinct
value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.mapping.codelists import CodeLists
from hub.mapping.functions.dates import FIRST, MILLIS, PAST, days_of
from hub.mapping.functions.distinct import Verdict, judged
from hub.mapping.functions.matrix import Bytes, Days, Made, cells_of, widths
from hub.mapping.functions.table import Fails, Function, Kernel, always, constant, text
from hub.mapping.spelled import Unclear, read_day, read_moment, read_period
from hub.mapping.values import CODE, Mask, blank, merge, valid
from hub.mapping.zones import Zone

PERIOD = pa.struct([("start", pa.date32()), ("end", pa.date32()), ("precision", pa.string())])
MIDNIGHT = (" 00:00:00", "T00:00:00")
MARKS = (("-", "-", ""), ("/", "/", ""), (".", ".", ""), ("年", "月", "日"), ("年", "月", "号"))
DIGITS = b"0123456789"
SERIAL = 5  # digits of an Excel day between 1927 and 2173
EXCEL_EPOCH = 25_569  # 1970-01-01 as an Excel day
REPUBLIC = 1911  # the year before the first of the Republic
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLI = timedelta(milliseconds=1)
Read = tuple["Days", Mask]


@dataclass(frozen=True)
class _Spelling:
    """A date of one width in bytes: where its numbers stand, and the bytes between."""

    width: int
    parts: tuple[tuple[int, int], ...]  # place and digits of year, month, day
    fixed: tuple[tuple[int, int], ...]  # place, byte
    before: int = 0  # years to add

    @property
    def signature(self) -> int:
        """A bit for each place that holds a digit."""
        of_numbers = {at for place, digits in self.parts for at in range(place, place + digits)}
        return sum(1 << at for at in of_numbers | {at for at, byte in self.fixed if byte in DIGITS})

    @staticmethod
    def of(marks: Sequence[str], digits: Sequence[int], before: int = 0) -> _Spelling:
        """`marks` stand before the year, after it, after the month and after the day."""
        fixed: list[tuple[int, int]] = []
        parts: list[tuple[int, int]] = []
        place = 0
        for mark, count in zip(marks, (*digits, 0), strict=True):
            fixed += [(place + i, byte) for i, byte in enumerate(mark.encode())]
            place += len(mark.encode())
            parts.append((place, count))
            place += count
        return _Spelling(place, tuple(parts[:3]), tuple(fixed), before)

    def read(self, cells: Bytes) -> Read | None:
        """Days since 1970 of texts whose digits stand in the right places, and which texts are spelled so; None when
        a look at one place shows that none is."""
        good = np.ones(cells.shape[1], np.bool_)
        for place, byte in self.fixed:
            good &= cells[place] == byte
            if not good.any():
                return None
        year, month, day = (_number(cells[place : place + digits]) for place, digits in self.parts)
        days, exists = days_of(year + np.int32(self.before), month, day)
        return days, good & exists


TWOS = tuple((month, day) for month in (2, 1) for day in (2, 1))
SPELLINGS = (
    _Spelling.of(("", "", "", ""), (4, 2, 2)),
    *(_Spelling.of(("", *marks), (4, *two)) for marks in MARKS for two in TWOS),
    *(_Spelling.of(("", "-", "-", mark), (4, 2, 2)) for mark in MIDNIGHT),
    *(_Spelling.of(("民国", "年", "月", "日"), (year, *two), REPUBLIC) for year in (3, 2) for two in TWOS),
)


def _number(cells: Bytes) -> Days:
    """The number that places of digits write."""
    total: Days = (cells[0] - np.uint8(48)).astype(np.int32)
    for cell in cells[1:]:
        total *= np.int32(10)
        total += cell - np.uint8(48)
    return total


def _serial(cells: Bytes) -> Read:
    number = _number(cells)
    return number - np.int32(EXCEL_EPOCH), number >= 10_000


def _signatures(cells: Bytes) -> npt.NDArray[np.uint64]:
    """A bit for each place of each text that holds a digit."""
    digits = cells - np.uint8(48) < 10
    made = np.zeros(cells.shape[1], np.uint64)
    for place, digit in enumerate(digits):
        made |= np.left_shift(digit, np.uint64(place), dtype=np.uint64)
    return made


# --- Chinese characters, three bytes each -----------------------------------------------------------------------------

OTHER = 99
SYMBOLS = np.full(0x10000, OTHER, np.uint8)  # by code point: 0 to 9, tens, and the marks below
YEAR, MONTH, DAY = 50, 51, 52
for _characters, _values in (
    ("〇零一二三四五六七八九", (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
    ("０１２３４５６７８９", range(10)),
    ("十廿卅", (10, 20, 30)),
    ("年月日号", (YEAR, MONTH, DAY, DAY)),
):
    SYMBOLS[[ord(c) for c in _characters]] = np.array(_values, np.uint8)
LAYOUTS = tuple((month, day) for month in (1, 2) for day in (1, 2, 3))  # characters of month and day


def _symbols(cells: Bytes) -> Bytes:
    """The meaning of each character of three bytes; OTHER where it has none."""
    lead, middle, last = (cells[k::3].astype(np.uint16) for k in range(3))
    three = (lead & 0xF0 == 0xE0) & (middle & 0xC0 == 0x80) & (last & 0xC0 == 0x80)
    return np.where(three, SYMBOLS[(lead & 0x0F) << 12 | (middle & 0x3F) << 6 | last & 0x3F], np.uint8(OTHER))


def _chinese(cells: Bytes) -> Read:
    """二〇二三年十月三日, ２０２３年１０月０３日: the year digit by digit, then 年, 月, 日 where they can stand."""
    symbols = _symbols(cells)
    year = np.zeros(cells.shape[1], np.int32)
    for digit in symbols[:4]:
        year = year * np.int32(10) + digit
    dated = (symbols[:4].max(axis=0) < 10) & (symbols[4] == YEAR) & (symbols[-1] == DAY)
    days, read = np.zeros(cells.shape[1], np.int32), np.zeros(cells.shape[1], np.bool_)
    for month, day in LAYOUTS:
        if len(symbols) != month + day + 7:
            continue
        (number, a), (other, b) = _numeral(symbols[5 : 5 + month]), _numeral(symbols[6 + month : -1])
        value, exists = days_of(year, number, other)
        good = dated & (symbols[5 + month] == MONTH) & a & b & exists
        days[good], read[good] = value[good], True
    return days, read


def _numeral(symbols: Bytes) -> Read:
    """三, 十, 十一, 二十, 廿三, 二十三, １０ as numbers. Where a text is none of these, whatever number."""
    first, last = symbols[0].astype(np.int32), symbols[-1].astype(np.int32)
    if len(symbols) == 1:
        return first, (first >= 1) & (first <= 30)
    small = (first < 10) & (last <= 10)
    tens = np.where(first < 10, first * np.int32(10), first)  # 二十, 二十三, or 十一 and 廿三
    if len(symbols) == 3:
        return tens + last, small & (symbols[1] == 10) & (first > 0) & (last > 0) & (last < 10)
    both = tens + np.where(last == 10, np.int32(0), last)
    return both, (small & ((last < 10) | (first > 1))) | ((first >= 10) & (first <= 30) & (last > 0) & (last < 10))


# --- the column -------------------------------------------------------------------------------------------------------

CHINESE_WIDTHS = frozenset(3 * (month + day + 7) for month, day in LAYOUTS)
BY_WIDTH = {w: tuple(s for s in SPELLINGS if s.width == w) for w in {s.width for s in SPELLINGS}}
WIDEST = max(*BY_WIDTH, *CHINESE_WIDTHS)


def _readers(width: int) -> Iterator[tuple[int, Callable[[Bytes], Read | None]]]:
    """Signatures of the texts of a width that are worth reading, and how."""
    for spelling in BY_WIDTH.get(width, ()):
        yield spelling.signature, spelling.read
    if width in CHINESE_WIDTHS:
        yield 0, _chinese
    if width == SERIAL:
        yield 2**SERIAL - 1, _serial


READERS = {width: tuple(_readers(width)) for width in {*BY_WIDTH, *CHINESE_WIDTHS, SERIAL}}


def _fast(column: pa.Array, there: Mask) -> tuple[Days, Mask]:
    """Days since 1970, and the rows whose spelling is not one of the common ones."""
    days, wanted = np.zeros(len(column), np.int32), there.copy()
    counts = np.bincount(np.clip(widths(column)[there], 0, WIDEST + 1), minlength=WIDEST + 2)
    for width in np.flatnonzero(counts[: WIDEST + 1]).tolist():
        if width not in READERS:
            continue
        rows, cells = cells_of(column, width, there)
        signatures = _signatures(cells)
        for signature, read in READERS[width]:
            like = np.flatnonzero(signatures == signature)
            found = read(cells if len(like) == len(rows) else cells[:, like]) if len(like) else None
            if found is not None:
                value, good = found
                chosen = rows[like[good]]
                days[chosen], wanted[chosen] = value[good], False
    return days, wanted


def _parse_date(columns: Sequence[pa.Array]) -> Made:
    column = columns[0]
    there = valid(column)
    days, wanted = _fast(column, there)
    made = pa.array(days, mask=~there | wanted).cast(pa.date32())
    if not wanted.any():
        return made, None, {}
    rows = np.flatnonzero(wanted)
    slow, codes = judged(column.take(pa.array(rows)), _judge_day, pa.date32())
    failed = np.zeros(len(column), np.int16)
    failed[rows] = 0 if codes is None else codes
    return pc.replace_with_mask(made, pa.array(wanted), slow), failed if failed.any() else None, {}


def _judge_day(value: str) -> Verdict:
    try:
        return read_day(value), ""
    except Unclear as why:
        return None, why.reason


def _parse_period(columns: Sequence[pa.Array]) -> Made:
    return *judged(columns[0], _judge_period, PERIOD), {}


def _judge_period(value: str) -> Verdict:
    try:
        period = read_period(value, "BAD_PERIOD")
    except Unclear as why:
        return None, why.reason
    return {"start": period.start, "end": period.end, "precision": period.precision}, ""


MOMENT = pa.struct([("wall", pa.int64()), ("instant", pa.int64())])  # µs; one of them is NULL


def _bind_timestamp(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    zone = Zone.load(str(literals[0]))

    def kernel(columns: Sequence[pa.Array]) -> Made:
        moments, failed = judged(columns[0], _judge_moment, MOMENT)
        wall, instant = pc.struct_field(moments, ["wall"]), pc.struct_field(moments, ["instant"])
        micros, codes = zone.to_utc(np.asarray(wall.fill_null(0)))
        codes = np.where(valid(wall), codes, 0).astype(np.int16)
        micros = np.where(valid(wall), micros, np.asarray(instant.fill_null(0)))
        codes[(micros < FIRST) | (micros >= PAST)] = CODE["BAD_TIMESTAMP"]
        failed = merge(failed, codes if codes.any() else None)
        made = pa.array(micros // 1000, pa.int64(), mask=~valid(moments)).cast(MILLIS)
        return (made if failed is None else blank(made, failed != 0)), failed, {}

    return kernel


def _judge_moment(value: str) -> Verdict:
    try:
        moment = read_moment(value)
    except Unclear as why:
        return None, why.reason
    if moment.time % MILLI:
        return None, "WOULD_ROUND"
    midnight = datetime(moment.day.year, moment.day.month, moment.day.day, tzinfo=UTC)
    micros = (midnight - EPOCH + moment.time - (moment.offset or timedelta(0))) // timedelta(microseconds=1)
    return ({"wall": micros} if moment.offset is None else {"instant": micros}), ""


FUNCTIONS = (
    Function(
        name="parse_date",
        doc="A date in any spelling that leaves no doubt: 2023-10-03, 2023/10/3, 2023.10.3, 20231003, 2023年10月3日, "
        "二〇二三年十月三日, 民国112年10月3日, an Excel day such as 45202, full width, at midnight. Where the order of day "
        "and month is not in the text, use `to_date` with a format. Nothing is filled in.",
        parameters=(text(),),
        result=always(pa.date32()),
        bind=lambda _literals, _codes: _parse_date,
        reasons=("BAD_DATE", "AMBIGUOUS_DATE", "IMPRECISE_DATE"),
        examples=(
            ("CAST(parse_date('2023年10月3日') AS TEXT)", "2023-10-03"),
            ("CAST(parse_date('民国112年10月3日') AS TEXT)", "2023-10-03"),
            ("parse_date('3/10/2023')", Fails("AMBIGUOUS_DATE")),
            ("parse_date('2023年10月')", Fails("IMPRECISE_DATE")),
            ("parse_date('昨天')", Fails("BAD_DATE")),
        ),
    ),
    Function(
        name="parse_period",
        doc="A record of `start`, `end` and `precision` (day, week, month, quarter, half, year, range) from a date or a "
        "period: 2023年10月, 2023-10, 2023年第3季度, 2023Q3, 2023年上半年, 2023-W40, 2023年度, 2023年1-6月, "
        "2023-01-01/2023-06-30. Give it to a field that is a record, or take one part: `parse_period(x).start`.",
        parameters=(text(),),
        result=always(PERIOD),
        bind=lambda _literals, _codes: _parse_period,
        reasons=("BAD_PERIOD", "AMBIGUOUS_DATE"),
        examples=(
            ("CAST(parse_period('2023年第3季度').start AS TEXT)", "2023-07-01"),
            ("CAST(parse_period('2023年第3季度').end AS TEXT)", "2023-09-30"),
            ("parse_period('2023年10月').precision", "month"),
        ),
    ),
    Function(
        name="parse_timestamp",
        doc="An instant from a day in any spelling of `parse_date` and a time of day. An offset in the text counts "
        "(+08:00, Z), otherwise the clock of the zone. Wall-clock times that a clock change skips or repeats fail.",
        parameters=(text(), constant("zone")),
        result=always(MILLIS),
        bind=_bind_timestamp,
        reasons=(
            "BAD_TIMESTAMP",
            "BAD_DATE",
            "AMBIGUOUS_DATE",
            "IMPRECISE_DATE",
            "WOULD_ROUND",
            "NONEXISTENT_TIME",
            "AMBIGUOUS_TIME",
        ),
        examples=(
            ("CAST(parse_timestamp('2023年10月3日 8时05分', 'Asia/Shanghai') AS TEXT)", "2023-10-03 00:05:00.000Z"),
            ("CAST(parse_timestamp('2023-10-03T08:05:00+08:00', 'UTC') AS TEXT)", "2023-10-03 00:05:00.000Z"),
        ),
    ),
)
