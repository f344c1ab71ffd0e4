"""Identifiers with check digits: Chinese citizens and organisations, legal entities. Whole columns as byte matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.mapping.codelists import CodeLists
from hub.mapping.functions.dates import days_of
from hub.mapping.functions.matrix import Bytes, Core, Days, Ints, Made, cells_of, texts_of, tidied
from hub.mapping.functions.table import Fails, Function, Kernel, always, text
from hub.mapping.values import CODE, Codes, Mask, blank, valid

DIVISIONS, TYPES, COUNTRIES = "cn.division", "cn.uscc-type", "iso.3166-1"
NUMERIC = "iso.3166-1.numeric"
KNOWN, RETIRED = 1, 2  # in tables of regions; 0 = never heard of
FIRST_YEAR = 1800  # of birth; the oldest numbers, with sequence 996 to 999, are of people born before 1900
PERMITS = (810_000, 820_000, 830_000)  # residence permits of Hong Kong, Macao and Taiwan residents; 83 is no division
ZERO, X = ord("0"), ord("X")


def _values(alphabet: str) -> Bytes:
    """Byte → place in the alphabet, 255 for what is not in it."""
    table = np.full(256, 255, np.uint8)
    table[[ord(c) for c in alphabet]] = np.arange(len(alphabet), dtype=np.uint8)
    return table


DIGITS = "0123456789"
LETTERED = DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USCC = DIGITS + "ABCDEFGHJKLMNPQRTUWXY"  # GB 32100: without I O S V Z
LETTERED_VALUES, USCC_VALUES = _values(LETTERED), _values(USCC)
ID_WEIGHTS = tuple(2 ** (17 - i) % 11 for i in range(17))  # GB 11643, ISO 7064 MOD 11-2
ID_CHECKS = np.frombuffer(b"10X98765432", np.uint8)
USCC_WEIGHTS = tuple(3**i % 31 for i in range(17))
USCC_CHARACTERS = np.frombuffer(USCC.encode(), np.uint8)
BODY_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714
BODY_CHECKS = np.frombuffer(b"0X987654321", np.uint8)  # by the sum's rest: 11 − rest, with 10 → X and 11 → 0
UNSURE_TYPES = ("54", "99")  # may stand in later revisions of GB 32100: a warning, no failure


def _sum(values: Bytes, weights: Sequence[int]) -> npt.NDArray[np.uint16]:
    """Weighted sum of places. At most 17 × 35 × 30, so 16 bits hold it."""
    total = np.zeros(values.shape[1], np.uint16)
    for place, weight in enumerate(weights):
        total += np.multiply(values[place], np.uint16(weight), dtype=np.uint16)
    return total


def _number(digits: Bytes) -> Days:
    """The number that places of digits write."""
    total: Days = digits[0].astype(np.int32)
    for place in digits[1:]:
        total *= np.int32(10)
        total += place
    return total


class _Failures:
    """Reason codes of a matrix's rows; the first one found stays."""

    def __init__(self, rows: int) -> None:
        self.codes: Codes = np.zeros(rows, np.int16)

    def add(self, bad: Mask, reason: str) -> None:
        if bad.any():
            self.codes[bad & (self.codes == 0)] = CODE[reason]

    def good(self) -> Mask:
        free: Mask = self.codes == 0
        return free


def _spread(column: pa.Array, rows: Ints, codes: Codes) -> Codes | None:
    """Failures of a matrix's rows as failures of the column; a value of another length is BAD_LENGTH."""
    spread = np.where(valid(column), CODE["BAD_LENGTH"], 0).astype(np.int16)
    spread[rows] = codes
    return spread if spread.any() else None


# --- regions ----------------------------------------------------------------------------------------------------------


def _regions(codes: CodeLists) -> Bytes:
    """What is known of each six-digit number as the region of an identifier."""
    table = np.zeros(1_000_000, np.uint8)
    for code in codes.listed(DIVISIONS).codes:
        if len(code.code) == 6:
            number = int(code.code)
            table[number] = KNOWN if code.valid_to is None or table[number] == KNOWN else RETIRED
    table[list(PERMITS)] = KNOWN
    return table


def _foreigners(codes: CodeLists, table: Bytes) -> Bytes:
    """With the regions of foreigners' cards of 2023: 9, the issuing province, the country's ISO number."""
    table = table.copy()
    countries = [int(c.to[NUMERIC]) for c in codes.listed(COUNTRIES).codes if NUMERIC in c.to]
    for province in np.flatnonzero(table[110_000:830_001:10_000]) + 11:
        table[900_000 + province * 1000 + np.array(countries)] = KNOWN
    return table


def _warned(region: Days, table: Bytes, good: Mask) -> dict[str, int]:
    known = table[region[good] if not good.all() else region]
    found = {"UNKNOWN_REGION": int((known == 0).sum()), "RETIRED_REGION": int((known == RETIRED).sum())}
    return {name: count for name, count in found.items() if count}


# --- GB 11643 ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ids:
    """A column of citizen numbers, read: rows of 18 bytes, their digits and failures."""

    rows: Ints
    digits: Bytes  # the first 17, by place
    small: bool  # a check digit is a small x
    failed: Codes | None  # of the column
    good: Mask  # of the rows
    warnings: dict[str, int]


def _read_ids(column: pa.Array, regions: Bytes, today: int | None) -> _Ids:
    """Length, characters, date, check digit, in this order. `today` as 20261125."""
    rows, cells = cells_of(column, 18, valid(column))
    digits, last = cells[:17] - np.uint8(ZERO), cells[17]  # wraps for what is no digit
    small = last == ord("x")
    if small.any():
        last = np.where(small, np.uint8(X), last)
    found = _Failures(len(rows))
    found.add((digits.max(axis=0) > 9) | ((last - np.uint8(ZERO) > 9) & (last != X)), "BAD_CHARACTER")
    if found.codes.any():
        digits[:, found.codes != 0] = 0
    born = _number(digits[6:14])
    found.add(~_is_day(born), "BAD_DATE")
    if today is not None:
        found.add(born > today, "FUTURE_DATE")
    found.add(ID_CHECKS[_sum(digits, ID_WEIGHTS) % 11] != last, "BAD_CHECK_DIGIT")
    good = found.good()
    warnings = _warned(_number(digits[:6]), regions, good)
    return _Ids(rows, digits, bool(small.any()), _spread(column, rows, found.codes), good, warnings)


_DAY_OF_YEAR = np.zeros(10_000, np.uint8)  # by month and day: 1 = every year, 2 = leap years
for _month, _days in enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1):
    _DAY_OF_YEAR[_month * 100 + 1 : _month * 100 + 1 + _days] = 1
_DAY_OF_YEAR[229] = 2


def _is_day(number: Days) -> Mask:
    """Which of 20231003 and the like are days of the calendar, not before 1800."""
    year, rest = number // 10_000, number % 10_000
    kind = _DAY_OF_YEAR[rest]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    day: Mask = (kind == 1) | ((kind == 2) & leap)
    return day & (year >= FIRST_YEAR)


def _whole(ids: _Ids, column: pa.Array) -> pa.Array:
    """The numbers themselves; a small x at the end becomes a capital."""
    if ids.small:
        column = pc.ascii_upper(column)
    return column if ids.failed is None else blank(column, ids.failed != 0)


def _born(ids: _Ids, column: pa.Array) -> pa.Array:
    year, month, day = (_number(ids.digits[a:b]) for a, b in ((6, 10), (10, 12), (12, 14)))
    days, _exists = days_of(year, month, day)
    return _scattered(ids, column, days, pa.int32()).cast(pa.date32())


SEXES = pa.array(["2", "1"])  # GB/T 2261.1, by the sequence number's parity


def _sex(ids: _Ids, column: pa.Array) -> pa.Array:
    return SEXES.take(_scattered(ids, column, ids.digits[16] % 2, pa.uint8()))


def _scattered(ids: _Ids, column: pa.Array, values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    made, there = np.zeros(len(column), values.dtype), np.zeros(len(column), np.bool_)
    made[ids.rows], there[ids.rows] = values, ids.good
    return pa.array(made, kind, mask=~there)


def _bind_id(result: Callable[[_Ids, pa.Array], pa.Array]) -> Callable[[Sequence[Any], CodeLists], Kernel]:
    def bind(_literals: Sequence[Any], codes: CodeLists) -> Kernel:
        return tidied(_id_core(codes, result))

    return bind


def _id_core(codes: CodeLists, result: Callable[[_Ids, pa.Array], pa.Array]) -> Core:
    regions = _foreigners(codes, _regions(codes))

    def core(column: pa.Array) -> Made:
        ids = _read_ids(column, regions, codes.day_number())
        return result(ids, column), ids.failed, ids.warnings

    return core


def _bind_15to18(_literals: Sequence[Any], codes: CodeLists) -> Kernel:
    inner = _id_core(codes, _whole)
    return tidied(lambda column: inner(_lengthened(column)))


def _lengthened(column: pa.Array) -> pa.Array:
    """Numbers of the first generation with their century and check digit; whatever else as it is."""
    rows, old = cells_of(column, 15, valid(column))
    if not len(rows):
        return column
    new = np.empty((18, len(rows)), np.uint8)
    new[:6], new[8:17] = old[:6], old[6:]
    sequence = _number(np.minimum(old[12:] - np.uint8(ZERO), 9))
    new[6] = ord("1")
    new[7] = np.where(sequence >= 996, ord("8"), ord("9"))  # 996 to 999: centenarians
    new[17] = ID_CHECKS[_sum(np.minimum(new[:17] - np.uint8(ZERO), 9), ID_WEIGHTS) % 11]
    mask = np.zeros(len(column), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), texts_of(new))


# --- GB 32100 ---------------------------------------------------------------------------------------------------------


def _pairs(codes: CodeLists) -> Bytes:
    """By two bytes, authority and kind: 0 unknown, KNOWN, or RETIRED for what is unsure."""
    table = np.zeros(65_536, np.uint8)
    for pair, kind in [*[(p, RETIRED) for p in UNSURE_TYPES], *[(c.code, KNOWN) for c in codes.listed(TYPES).codes]]:
        table[ord(pair[0]) * 256 + ord(pair[1])] = kind
    return table


def _bind_uscc(_literals: Sequence[Any], codes: CodeLists) -> Kernel:
    regions, pairs = _regions(codes), _pairs(codes)
    regions[100_000] = KNOWN  # the State itself
    return tidied(lambda column: _uscc(column, regions, pairs))


def _uscc(column: pa.Array, regions: Bytes, pairs: Bytes) -> Made:
    rows, cells = cells_of(column, 18, valid(column))
    values = USCC_VALUES[cells]
    found = _Failures(len(rows))
    found.add((values.max(axis=0) == 255) | (values[2:8].max(axis=0) > 9), "BAD_CHARACTER")
    if found.codes.any():
        values[:, found.codes != 0] = 0
    outer = USCC_CHARACTERS[(31 - _sum(values, USCC_WEIGHTS) % 31) % 31]
    inner = BODY_CHECKS[_sum(LETTERED_VALUES[cells[8:16]], BODY_WEIGHTS) % 11]
    found.add((outer != cells[17]) | (inner != cells[16]), "BAD_CHECK_DIGIT")
    pair = pairs[cells[0].astype(np.uint16) * np.uint16(256) + cells[1]]
    found.add(pair == 0, "UNKNOWN_TYPE")
    good = found.good()
    warnings = _warned(_number(values[2:8]), regions, good)
    unsure = int(((pair == RETIRED) & good).sum())
    failed = _spread(column, rows, found.codes)
    made = column if failed is None else blank(column, failed != 0)
    return made, failed, warnings | ({"UNUSUAL_TYPE": unsure} if unsure else {})


# --- ISO 17442 --------------------------------------------------------------------------------------------------------


def _lei(column: pa.Array) -> Made:
    """ISO 7064 MOD 97-10 over the number that letters as 10 to 35 write."""
    rows, cells = cells_of(column, 20, valid(column))
    values = LETTERED_VALUES[cells]
    found = _Failures(len(rows))
    found.add((values.max(axis=0) == 255) | (values[18:].max(axis=0) > 9), "BAD_CHARACTER")
    rest = np.zeros(len(rows), np.uint32)
    for value in values:
        rest = (rest * np.where(value > 9, np.uint32(100), np.uint32(10)) + value) % np.uint32(97)
    found.add(rest != 1, "BAD_CHECK_DIGIT")
    failed = _spread(column, rows, found.codes)
    return (column if failed is None else blank(column, failed != 0)), failed, {}


ID_REASONS = ("BAD_LENGTH", "BAD_CHARACTER", "BAD_DATE", "FUTURE_DATE", "BAD_CHECK_DIGIT")
ID_WARNINGS = ("UNKNOWN_REGION", "RETIRED_REGION")

FUNCTIONS = (
    Function(
        name="cn_id",
        doc="A Chinese citizen's number of 18 characters (GB 11643), checked; a small x becomes X. Also the residence "
        "permits of Hong Kong, Macao and Taiwan residents and of foreigners (2023). An unknown or retired region is a "
        "warning. Full width, blanks, hyphens and quotes are mended, here and in the other functions for identifiers.",
        parameters=(text(),),
        result=always(pa.string()),
        bind=_bind_id(_whole),
        reasons=ID_REASONS,
        warnings=ID_WARNINGS,
        examples=(
            ("cn_id('11010519491231002x')", "11010519491231002X"),
            ("cn_id('１１０１０５　19491231　002Ｘ')", "11010519491231002X"),
            ("cn_id('110105194912310021')", Fails("BAD_CHECK_DIGIT")),
        ),
    ),
    Function(
        name="cn_id_15to18",
        doc="The same from numbers of either generation: 15 digits are given their century and check digit.",
        parameters=(text(),),
        result=always(pa.string()),
        bind=_bind_15to18,
        reasons=ID_REASONS,
        warnings=ID_WARNINGS,
        examples=(
            ("cn_id_15to18('110105491231002')", "11010519491231002X"),
            ("cn_id_15to18('110105101231999')", "110105181012319990"),
        ),
    ),
    Function(
        name="cn_id_born",
        doc="The date of birth in a citizen's number of 18 characters; fails like `cn_id`.",
        parameters=(text(),),
        result=always(pa.date32()),
        bind=_bind_id(_born),
        reasons=ID_REASONS,
        warnings=ID_WARNINGS,
        examples=(("CAST(cn_id_born('11010519491231002X') AS TEXT)", "1949-12-31"),),
    ),
    Function(
        name="cn_id_sex",
        doc="The sex in a citizen's number of 18 characters, as in GB/T 2261.1: 1 male, 2 female; fails like `cn_id`.",
        parameters=(text(),),
        result=always(pa.string()),
        bind=_bind_id(_sex),
        reasons=ID_REASONS,
        warnings=ID_WARNINGS,
        examples=(("cn_id_sex('11010519491231002X')", "2"),),
    ),
    Function(
        name="uscc",
        doc="A unified social credit code (GB 32100), both its check digits checked. An unknown or retired region, and a "
        "kind of organisation that only later revisions may have, are warnings.",
        parameters=(text(),),
        result=always(pa.string()),
        bind=_bind_uscc,
        reasons=("BAD_LENGTH", "BAD_CHARACTER", "BAD_CHECK_DIGIT", "UNKNOWN_TYPE"),
        warnings=("UNKNOWN_REGION", "RETIRED_REGION", "UNUSUAL_TYPE"),
        examples=(
            ("uscc('91350100m000100y43')", "91350100M000100Y43"),
            ("uscc('91110000600037342P')", Fails("BAD_CHECK_DIGIT")),
        ),
    ),
    Function(
        name="lei",
        doc="A legal entity identifier (ISO 17442), checked.",
        parameters=(text(),),
        result=always(pa.string()),
        bind=lambda _literals, _codes: tidied(_lei),
        reasons=("BAD_LENGTH", "BAD_CHARACTER", "BAD_CHECK_DIGIT"),
        examples=(("lei('213800KUD8LAJWSQ9D15')", "213800KUD8LAJWSQ9D15"),),
    ),
)
