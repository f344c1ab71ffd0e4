"""Chinese division codes: the rules of GB/T 2260 as domain.md has them, and the history that is shipped."""

from __future__ import annotations

import csv
import datetime as dt

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from tests.mapping.reference import FOLDER, call, over, warned

with (FOLDER / "codes" / "cn.division.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
LIVES: dict[str, list[dict[str, str]]] = {}
for row in ROWS:
    LIVES.setdefault(row["code"], []).append(row)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("11", "110000"),
        ("1101", "110100"),
        ("110101", "110101"),
        ("110101000000", "110101"),
        ("110101001000", "110101001"),
        ("110101001001", "110101001001"),
        ("441900003", "441900003"),
        ("460400", "460400"),
        (" １１０１０１ ", "110101"),
        ("110228", "110228"),
        ("999999", "[UNKNOWN_CODE]"),
        ("999999001", "[UNKNOWN_CODE]"),
        ("110", "[BAD_LENGTH]"),
        ("", "[BAD_CHARACTER]"),
        ("东城区", "[BAD_CHARACTER]"),
        ("１１０１０①", "[BAD_CHARACTER]"),
        (None, None),
    ],
)
def test_GBT2260_codes(value: str | None, expected: str | None) -> None:
    assert over("division_code", value) == [expected]


@pytest.mark.parametrize(
    ("code", "administrative", "by_code"),
    [
        ("429004", "420000", "429000"),
        ("659001", "650000", "659000"),
        ("500101", "500000", "500100"),
        ("110101", "110000", "110100"),
        ("440305", "440300", "440300"),
        ("441900", "440000", "440000"),
        ("442000", "440000", "440000"),
        ("441900003", "441900", "441900"),
        ("620200", "620000", "620000"),
        ("460400", "460000", "460000"),
        ("110101001001", "110101001", "110101001"),
        ("650000", "CN", "CN"),
        ("120221", "120000", "120200"),
    ],
)
def test_GBT2260_parents(code: str, administrative: str, by_code: str) -> None:
    assert over("division_parent", code) == [administrative]
    assert over("division_parent", code, literals=["code"]) == [by_code]


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("110000", "province"), ("110100", "group"), ("110101", "county"), ("429000", "group"), ("429004", "county"),
        ("441900", "prefecture"), ("152200", "prefecture"), ("441900003", "township"), ("110101001001", "village"),
    ],
)  # fmt: skip
def test_GBT2260_levels(code: str, level: str) -> None:
    assert over("division_level", code) == [level]


@pytest.mark.parametrize(
    ("code", "current"),
    [
        ("110101", "110101"),
        ("110228", "110118"),  # 密云县 → 密云区, 2015
        ("440524", "440513"),  # 潮阳县 → 潮阳市 (twice renumbered) → 潮阳区
        ("469003", "460400"),
        ("110103", "110101"),  # 崇文区, merged in 2010
        ("132401", "130682"),  # 保定市 until 1983; reused for 定州市 in 1986
        ("130103", "[NO_SUCCESSOR]"),  # 桥东区, divided in 2014
        ("340203", "340209"),
        ("441900003", "441900003"),
        ("110228001", "[NO_SUCCESSOR]"),  # townships have no history here
        ("999999", "[UNKNOWN_CODE]"),
    ],
)
def test_GBT2260_what_goes_on_under_the_name(code: str, current: str) -> None:
    assert over("division_current", code) == [current]


def test_R14_retired_codes_are_warnings() -> None:
    assert warned("division_code", "110228") == ["RETIRED_CODE"]
    assert warned("division_code", "110118") == []
    assert warned("division_code", "110228001000") == ["RETIRED_CODE"]


@pytest.mark.parametrize(
    ("code", "day", "outside"),
    [
        ("110228", dt.date(2010, 1, 1), 0),
        ("110228", dt.date(2020, 1, 1), 1),
        ("110118", dt.date(2010, 1, 1), 1),
        ("132401", dt.date(1982, 1, 1), 0),
        ("132401", dt.date(1985, 1, 1), 1),  # between its two lives
        ("132401", dt.date(1990, 1, 1), 0),
        ("110101", dt.date(1, 1, 1), 0),
        ("110101", dt.date(9999, 12, 31), 0),
        ("110228001", dt.date(2020, 1, 1), 1),
        ("110228", None, 0),
    ],
)
def test_R14_a_code_is_looked_at_on_its_day(code: str, day: dt.date | None, outside: int) -> None:
    _values, warnings = call("division_code", pa.array([code, None]), pa.array([day, day], pa.date32()))
    assert warnings == ({"RETIRED_CODE": outside} if outside else {})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(LIVES)), st.dates(dt.date(1979, 1, 1), dt.date(2030, 1, 1))), max_size=40)
)
def test_R14_days_are_looked_up_as_in_the_file(pairs: list[tuple[str, dt.date]]) -> None:
    def in_force(code: str, day: dt.date) -> bool:
        text = day.isoformat()
        return any(life["valid_from"] <= text < (life["valid_to"] or "9999") for life in LIVES[code])

    codes, days = pa.array([c for c, _ in pairs], pa.string()), pa.array([d for _, d in pairs], pa.date32())
    values, warnings = call("division_code", codes, days)
    assert values == [c for c, _ in pairs]
    assert warnings.get("RETIRED_CODE", 0) == sum(not in_force(*pair) for pair in pairs)


def test_the_shipped_history_holds_together() -> None:
    current = [r for r in ROWS if not r["valid_to"]]
    assert len(ROWS) > 7_000
    assert len({r["code"] for r in current}) == len(current)
    for row in ROWS:
        assert row["successor"] == "" or row["successor"] in LIVES, row
        assert row["valid_to"] or not row["successor"], row
        assert row["valid_from"] < (row["valid_to"] or "9999"), row
    provinces = [r for r in current if r["code"].endswith("0000")]
    assert len(provinces) == 34
    assert all(r["to:iso.3166-2"].startswith("CN-") for r in provinces)


def test_every_chain_of_successors_ends() -> None:
    retired = sorted(c for c, lives in LIVES.items() if all(life["valid_to"] for life in lives))
    ends = over("division_current", *retired)
    found = [v for v in ends if v != "[NO_SUCCESSOR]"]
    assert len(found) > 1_700
    assert all(any(not life["valid_to"] for life in LIVES[v]) for v in found)


def test_the_list_knows_the_changes_up_to_2023() -> None:
    in_force = {c for c, lives in LIVES.items() if any(not life["valid_to"] for life in lives)}
    assert {"110118", "659012", "460321", "130171", "232761", "469021"} <= in_force
    assert not {"110228", "659013", "371202"} & in_force
