"""Chinese division codes (GB/T 2260) with their history: spelling, parents, levels, and what goes on under which code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.mapping.codelists import Code, CodeLists
from hub.mapping.functions.distinct import Verdict, judged
from hub.mapping.functions.matrix import Ints, Made
from hub.mapping.functions.table import Fails, Function, Kernel, Parameter, always, constant, text
from hub.mapping.values import valid
from hub.mapping.writing import tidy_code

LIST = "cn.division"
COUNTRY = "CN"
SHORT, COUNTY, TOWNSHIP, VILLAGE = (2, 4), 6, 9, 12  # digits
MUNICIPALITIES = ("11", "12", "31", "50")  # their 01 and 02 only sum up districts and counties
PROVINCE_RUN = "90"  # sums up what a province runs without a prefecture
KINDS = ("administrative", "code")
ADMINISTRATIVE, BY_CODE = KINDS
LONGEST_CHAIN = 20  # changes of one code; the most that is known is five
EPOCH = date(1970, 1, 1)
ALWAYS, EVER = -(2**31), 2**31 - 1  # days: before and after everything


@dataclass(frozen=True)
class History:
    """Entries by code, the oldest first."""

    lives: Mapping[str, Sequence[Code]]

    @classmethod
    def of(cls, codes: CodeLists) -> History:
        """From the list of divisions. Raises ValueError where there is none."""
        lives: dict[str, list[Code]] = defaultdict(list)
        for code in codes.listed(LIST).codes:
            lives[code.code].append(code)
        return cls(lives)

    def canonical(self, value: str) -> Verdict:
        """The code in as many digits as it needs: 6, or 9 for a township, or 12 for a village."""
        digits = tidy_code(value)
        if not digits.isascii() or not digits.isdigit():
            return None, "BAD_CHARACTER"
        if len(digits) in SHORT:
            digits = digits.ljust(COUNTY, "0")
        for longer, shorter in ((VILLAGE, TOWNSHIP), (TOWNSHIP, COUNTY)):
            if len(digits) == longer and digits.endswith("000"):
                digits = digits[:shorter]
        if len(digits) not in (COUNTY, TOWNSHIP, VILLAGE):
            return None, "BAD_LENGTH"
        return (digits, "") if digits[:COUNTY] in self.lives else (None, "UNKNOWN_CODE")

    def retired(self, code: str) -> bool:
        """No entry of it is in force."""
        return all(life.valid_to for life in self.lives[code[:COUNTY]])

    def current(self, code: str) -> str | None:
        """The code in force that goes on under its name, through all changes; itself where it is in force."""
        life = self.lives[code][-1]
        for _ in range(LONGEST_CHAIN):
            if not life.valid_to:
                return life.code
            if life.successor is None:
                return None
            following = self.lives.get(life.successor, ())
            later = [one for one in following if not one.valid_to or one.valid_to > life.valid_to]
            if not later:
                return None
            life = later[0]
        return None


def parent_of(code: str, kind: str) -> str:
    """The division that a canonical code lies in. `administrative` skips codes that only sum up others."""
    if len(code) > COUNTY:
        return code[: TOWNSHIP if len(code) == VILLAGE else COUNTY]
    province, prefecture = code[:2] + "0000", code[:4] + "00"
    if code == province:
        return COUNTRY
    if code == prefecture or (kind == ADMINISTRATIVE and sums_up(prefecture)):
        return province
    return prefecture


def sums_up(code: str) -> bool:
    """No division of its own: districts or counties of a municipality, or what a province runs itself."""
    middle = code[2:4]
    return code.endswith("00") and (middle == PROVINCE_RUN or (code[:2] in MUNICIPALITIES and middle in ("01", "02")))


def level_of(code: str) -> str:
    """province, prefecture, county, township, village, or group for a code that only sums up others."""
    if len(code) > COUNTY:
        return "township" if len(code) == TOWNSHIP else "village"
    if code.endswith("0000"):
        return "province"
    if sums_up(code):
        return "group"
    return "prefecture" if code.endswith("00") else "county"


def _bind_code(_literals: Sequence[Any], codes: CodeLists) -> Kernel:
    history = History.of(codes)
    force = _InForce(history)

    def kernel(columns: Sequence[pa.Array]) -> Made:
        made, failed = judged(columns[0], history.canonical, pa.string())
        count = force.outside(made, columns[1]) if len(columns) > 1 else _retired(history, made)
        return made, failed, {"RETIRED_CODE": count} if count else {}

    return kernel


def _retired(history: History, column: pa.Array) -> int:
    counts = column.drop_null().value_counts()
    pairs = zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)
    return sum(count for code, count in pairs if history.retired(code))


class _InForce:
    """All lives of all codes in one sorted column of numbers, so that a column of codes and days is looked up at once."""

    def __init__(self, history: History) -> None:
        entries = sorted(
            (place, _day(life.valid_from, ALWAYS), _day(life.valid_to, EVER))
            for place, lives in enumerate(history.lives.values())
            for life in lives
        )
        self._codes = pa.array(list(history.lives), pa.string())
        self._owner, start, self._end = (np.array(column, np.int64) for column in zip(*entries, strict=True))
        self._start = _keys(self._owner, start)

    def outside(self, column: pa.Array, days: pa.Array) -> int:
        """How many codes were not in force on their day. A row without a day is not counted."""
        roots = pc.utf8_slice_codeunits(column, 0, COUNTY)
        there = valid(roots) & valid(days)
        place = np.asarray(pc.fill_null(pc.index_in(roots, self._codes), 0), np.int64)
        day = np.asarray(pc.fill_null(days.cast(pa.date32()).cast(pa.int32()), 0), np.int64)
        found = np.searchsorted(self._start, _keys(place, day), side="right") - 1
        inside = (found >= 0) & (self._owner[found] == place) & (day < self._end[found])
        return int((there & ~inside).sum())


def _day(text: str | None, otherwise: int) -> int:
    return otherwise if text is None else (date.fromisoformat(text) - EPOCH).days


def _keys(place: Ints, day: Ints) -> Ints:
    return (place << 33) + day


def _bind_current(_literals: Sequence[Any], codes: CodeLists) -> Kernel:
    history = History.of(codes)

    def current(value: str) -> Verdict:
        code, reason = history.canonical(value)
        if reason or not history.retired(code):
            return code, reason
        found = history.current(code) if len(code) == COUNTY else None
        return (found, "") if found else (None, "NO_SUCCESSOR")

    return lambda columns: (*judged(columns[0], current, pa.string()), {})


def _bind_canonical(change: Callable[[str], str]) -> Callable[[Sequence[Any], CodeLists], Kernel]:
    def bind(_literals: Sequence[Any], codes: CodeLists) -> Kernel:
        history = History.of(codes)

        def changed(value: str) -> Verdict:
            code, reason = history.canonical(value)
            return (None, reason) if reason else (change(code), "")

        return lambda columns: (*judged(columns[0], changed, pa.string()), {})

    return bind


def _bind_parent(literals: Sequence[Any], codes: CodeLists) -> Kernel:
    kind = str(literals[0]) if literals else ADMINISTRATIVE
    if kind not in KINDS:
        raise ValueError(f"a parent is one of {', '.join(KINDS)}")
    return _bind_canonical(lambda code: parent_of(code, kind))([], codes)


REASONS = ("BAD_CHARACTER", "BAD_LENGTH", "UNKNOWN_CODE")
FUNCTIONS = (
    Function(
        name="division_code",
        doc="A Chinese division code (GB/T 2260) in as many digits as it needs: 6, or 9 for a township, 12 for a village; "
        "2 and 4 digits are filled up. Known are all codes since 1980; one that is no longer in force, or was not on the "
        "day given, is a warning.",
        parameters=(text(), Parameter(name="day", type="date", optional=True)),
        result=always(pa.string()),
        bind=_bind_code,
        reasons=REASONS,
        warnings=("RETIRED_CODE",),
        examples=(
            ("division_code('11')", "110000"),
            ("division_code('440305000000')", "440305"),
            ("division_code('441900003')", "441900003"),
            ("division_code('999999')", Fails("UNKNOWN_CODE")),
        ),
    ),
    Function(
        name="division_current",
        doc="The code now in force for one that was retired, along its successors: the code that goes on under the name. "
        "A code in force is itself; one that was split, or whose successor is not known, fails.",
        parameters=(text(),),
        result=always(pa.string()),
        bind=_bind_current,
        reasons=(*REASONS, "NO_SUCCESSOR"),
        examples=(
            ("division_current('110228')", "110118"),
            ("division_current('440524')", "440513"),
            ("division_current('110200')", "110200"),
        ),
    ),
    Function(
        name="division_parent",
        doc="The division above: the county of a township, the prefecture of a county, the province, CN. Codes that only "
        "sum up others (districts of a municipality, counties run by a province) are skipped, unless 'code' is asked for.",
        parameters=(text(), constant("kind", optional=True)),
        result=always(pa.string()),
        bind=_bind_parent,
        reasons=REASONS,
        examples=(
            ("division_parent('440305')", "440300"),
            ("division_parent('429004')", "420000"),
            ("division_parent('429004', 'code')", "429000"),
            ("division_parent('441900003')", "441900"),
            ("division_parent('650000')", "CN"),
        ),
    ),
    Function(
        name="division_level",
        doc="province, prefecture, county, township, village; group for a code that only sums up others.",
        parameters=(text(),),
        result=always(pa.string()),
        bind=_bind_canonical(level_of),
        reasons=REASONS,
        examples=(("division_level('460400')", "prefecture"), ("division_level('659001')", "county")),
    ),
)
