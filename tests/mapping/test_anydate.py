"""Dates, periods and times as departments spell them: the vectors of domain.md, every spelling both ways, and nothing
guessed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from hub.mapping.spelled import LONGEST, Unclear, read_day
from tests.mapping.reference import over

THE_DAY = dt.date(2023, 10, 3)
CHINESE = "〇一二三四五六七八九"


def numeral(number: int, ten: str = "十") -> str:
    """1 to 31 as one says it: 三, 十, 十一, 二十, 三十一."""
    tens, ones = divmod(number, 10)
    return ("" if tens < 2 else CHINESE[tens]) + (ten if tens else "") + (CHINESE[ones] if ones else "")


def chinese(day: dt.date) -> str:
    return f"{''.join(CHINESE[int(c)] for c in f'{day.year:04}')}年{numeral(day.month)}月{numeral(day.day)}日"


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c != " " else c for c in text)


SPELLINGS: dict[str, Callable[[dt.date], str]] = {
    "ISO 8601": lambda d: d.isoformat(),
    "ISO 8601 basic": lambda d: f"{d.year:04}{d:%m%d}",
    "points": lambda d: f"{d.year:04}.{d.month}.{d.day}",
    "slashes": lambda d: f"{d.year:04}/{d.month}/{d.day}",
    "one digit": lambda d: f"{d.year:04}-{d.month}-{d.day:02}",
    "Chinese": lambda d: f"{d.year:04}年{d.month}月{d.day}日",
    "Chinese, two digits": lambda d: f"{d.year:04}年{d:%m}月{d:%d}号",
    "numerals": chinese,
    "full width": lambda d: wide(f"{d.year:04}年{d.month:02}月{d.day}日"),
    "full width ISO": lambda d: wide(d.isoformat()),
    "midnight": lambda d: f"{d.isoformat()} 00:00:00",
    "midnight, T": lambda d: f"{d.isoformat()}T00:00:00",
    "blanks": lambda d: f" {d.year:04} 年 {d.month} 月 {d.day} 日 ",
    "20 as 廿": lambda d: chinese(d).replace("二十", "廿").replace("三十", "卅"),
    "cheques": lambda d: chinese(d).translate(str.maketrans("一二三四五六七八九十", "壹贰叁肆伍陆柒捌玖拾")),
}
LATER: dict[str, tuple[Callable[[dt.date], str], dt.date]] = {
    "Republic": (lambda d: f"民国{d.year - 1911}年{d.month}月{d.day}日", dt.date(1912, 1, 1)),
    "Republic, padded": (lambda d: f"中华民国{d.year - 1911}年{d:%m}月{d:%d}日", dt.date(1912, 1, 1)),
    "Excel": (lambda d: str((d - dt.date(1899, 12, 30)).days), dt.date(1927, 5, 18)),
}


@pytest.mark.parametrize(
    "text",
    [
        "2023年10月3日", "二〇二三年十月三日", "20231003", "2023.10.3", "民国112年10月3日", "45202", "2023-10-03", "2023/10/3",
        "２０２３年１０月３日", "2023-10-03 00:00:00", "二零二三年十月三日", "民国一百一十二年十月三日", "45202.0",
        "2023－10－03", "'2023-10-03", "2023-10-03T00:00", "2023年10月3号",
    ],
)  # fmt: skip
def test_GBT7408_a_date_in_any_spelling(text: str) -> None:
    assert over("parse_date", text) == [THE_DAY]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3/10/2023", "AMBIGUOUS_DATE"),
        ("13/10/2023", "AMBIGUOUS_DATE"),  # no guess for one row that its neighbours contradict
        ("23-10-03", "AMBIGUOUS_DATE"),
        ("2023年10月", "IMPRECISE_DATE"),
        ("2023-10", "IMPRECISE_DATE"),
        ("202310", "IMPRECISE_DATE"),
        ("2023", "IMPRECISE_DATE"),
        ("2023年第3季度", "IMPRECISE_DATE"),
        ("2023-01-01/2023-06-30", "IMPRECISE_DATE"),
        ("昨天", "BAD_DATE"),
        ("今年十月", "BAD_DATE"),
        ("2023-02-29", "BAD_DATE"),
        ("2023年13月1日", "BAD_DATE"),
        ("2023-10-03 12:00:00", "BAD_DATE"),
        ("二〇二三年十月三十二日", "BAD_DATE"),
        ("二〇二三年〇月三日", "BAD_DATE"),
        ("0000-01-01", "BAD_DATE"),
        ("1", "BAD_DATE"),
        ("4520", "IMPRECISE_DATE"),  # a year, were it one
        ("00001", "BAD_DATE"),
        ("", "BAD_DATE"),
        ("9" * 5000, "BAD_DATE"),
        ("²⁰²³-10-03", "BAD_DATE"),
    ],
)
def test_GBT7408_nothing_is_guessed(text: str, reason: str) -> None:
    assert over("parse_date", text) == [f"[{reason}]"]


@pytest.mark.parametrize("name", [*SPELLINGS, *LATER])
def test_every_day_in_every_spelling(name: str) -> None:
    spell, first = LATER.get(name) or (SPELLINGS[name], dt.date(1, 1, 1))
    days = [first + dt.timedelta(days=i) for i in range(0, 700, 3)]
    days += [
        d
        for d in (dt.date(2024, 2, 29), dt.date(1900, 2, 28), dt.date(2000, 2, 29), dt.date(2120, 12, 31))
        if d >= first
    ]
    assert over("parse_date", *map(spell, days)) == days


DAYS = st.dates(min_value=dt.date(1930, 1, 1), max_value=dt.date(2170, 1, 1))
SPELT = st.builds(lambda d, s: s(d), DAYS, st.sampled_from([*SPELLINGS.values(), *(s for s, _first in LATER.values())]))


def bent(text: str, place: int, character: str) -> str:
    place %= len(text)
    return text[:place] + character + text[place + 1 :]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(SPELT, st.builds(bent, SPELT, st.integers(0, 30), st.sampled_from("019十三年月/- :é")), st.none()),
        max_size=12,
    ),
    st.integers(0, 2),
)
def test_R11_a_column_is_what_a_slow_reading_of_each_value_is(texts: list[str | None], start: int) -> None:
    """The byte matrices read the common spellings; the slow reading knows all of them."""

    def slow(text: str | None) -> Any:
        try:
            return None if text is None else read_day(text)
        except Unclear as why:
            return f"[{why.reason}]"

    assert over("parse_date", *["x"] * start, *texts)[start:] == [slow(t) for t in texts]


@pytest.mark.parametrize(
    ("text", "start", "end", "precision"),
    [
        ("2023年10月", "2023-10-01", "2023-10-31", "month"),
        ("2023年第3季度", "2023-07-01", "2023-09-30", "quarter"),
        ("2023年三季度", "2023-07-01", "2023-09-30", "quarter"),
        ("2023Q4", "2023-10-01", "2023-12-31", "quarter"),
        ("2023-Q1", "2023-01-01", "2023-03-31", "quarter"),
        ("2023年上半年", "2023-01-01", "2023-06-30", "half"),
        ("2023H2", "2023-07-01", "2023-12-31", "half"),
        ("2023-S1", "2023-01-01", "2023-06-30", "half"),
        ("2023-W40", "2023-10-02", "2023-10-08", "week"),
        ("2020年第53周", "2020-12-28", "2021-01-03", "week"),
        ("2023", "2023-01-01", "2023-12-31", "year"),
        ("2023年度", "2023-01-01", "2023-12-31", "year"),
        ("二〇二三年", "2023-01-01", "2023-12-31", "year"),
        ("民国112年", "2023-01-01", "2023-12-31", "year"),
        ("２０２４年２月", "2024-02-01", "2024-02-29", "month"),
        ("2023-02", "2023-02-01", "2023-02-28", "month"),
        ("202302", "2023-02-01", "2023-02-28", "month"),
        ("2023年1-6月", "2023-01-01", "2023-06-30", "range"),
        ("2023年1月至6月", "2023-01-01", "2023-06-30", "range"),
        ("2023年5月至5月", "2023-05-01", "2023-05-31", "month"),
        ("2023-01-01/2023-06-30", "2023-01-01", "2023-06-30", "range"),
        ("2023-01-01-2023-06-30", "2023-01-01", "2023-06-30", "range"),
        ("2022年9月1日—2023年8月31日", "2022-09-01", "2023-08-31", "range"),
        ("2022年至2023年", "2022-01-01", "2023-12-31", "range"),
        ("20231003", "2023-10-03", "2023-10-03", "day"),
        ("9999年12月", "9999-12-01", "9999-12-31", "month"),
    ],
)
def test_GBT7408_periods(text: str, start: str, end: str, precision: str) -> None:
    expected = {"start": dt.date.fromisoformat(start), "end": dt.date.fromisoformat(end), "precision": precision}
    assert over("parse_period", text, None) == [expected, None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2023-24", "BAD_PERIOD"),
        ("2023-2024", "AMBIGUOUS_DATE"),  # two years, or a school year
        ("2023-2024学年", "AMBIGUOUS_DATE"),
        ("3/10/2023", "AMBIGUOUS_DATE"),
        ("2023年第5季度", "BAD_PERIOD"),
        ("2023年6-1月", "BAD_PERIOD"),
        ("2023-06-30/2023-01-01", "BAD_PERIOD"),
        ("2021-W53", "BAD_PERIOD"),
        ("上个月", "BAD_PERIOD"),
        ("", "BAD_PERIOD"),
        ("~".join("1" * (LONGEST // 2)), "BAD_PERIOD"),
    ],
)
def test_GBT7408_what_is_no_period(text: str, reason: str) -> None:
    assert over("parse_period", text) == [f"[{reason}]"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-10-03 08:05:00", "2023-10-03T00:05:00+00:00"),
        ("2023-10-03T08:05:00+08:00", "2023-10-03T00:05:00+00:00"),
        ("2023-10-03T08:05:00Z", "2023-10-03T08:05:00+00:00"),
        ("2023-10-03T08:05-0330", "2023-10-03T11:35:00+00:00"),
        ("2023年10月3日 8时05分", "2023-10-03T00:05:00+00:00"),
        ("二〇二三年十月三日八时五分三十秒", "2023-10-03T00:05:30+00:00"),
        ("2023/10/3 8:05", "2023-10-03T00:05:00+00:00"),
        ("２０２３－１０－０３　０８：０５", "2023-10-03T00:05:00+00:00"),
        ("2023-10-03 下午3:05", "2023-10-03T07:05:00+00:00"),
        ("2023-10-03 上午12:05", "2023-10-02T16:05:00+00:00"),
        ("2023-10-03 08:05:00.123", "2023-10-03T00:05:00.123000+00:00"),
        ("20231003 08:05", "2023-10-03T00:05:00+00:00"),
        ("1986-05-04 03:30:00", "1986-05-03T18:30:00+00:00"),  # summer time
        ("2023-10-03 08:05:00.1234", "[WOULD_ROUND]"),
        ("1986-05-04 02:30:00", "[NONEXISTENT_TIME]"),
        ("1986-09-14 01:30:00", "[AMBIGUOUS_TIME]"),
        ("2023-10-03", "[BAD_TIMESTAMP]"),
        ("2023-10-03 25:00", "[BAD_TIMESTAMP]"),
        ("2023-10-03 上午13:00", "[BAD_TIMESTAMP]"),
        ("2023-10-03T08:05:00+15:00", "[BAD_TIMESTAMP]"),
        ("0001-01-01 00:00", "[BAD_TIMESTAMP]"),
        ("2023-02-29 08:00", "[BAD_DATE]"),
        ("3/10/2023 08:00", "[AMBIGUOUS_DATE]"),
        ("2023年10月 08:00", "[BAD_TIMESTAMP]"),
    ],
)
def test_GBT7408_times_have_an_offset_or_a_zone(text: str, expected: str) -> None:
    found = over("parse_timestamp", text, literals=["Asia/Shanghai"])[0]
    assert (found if isinstance(found, str) else found.astimezone(dt.UTC).isoformat()) == expected


def test_R11_one_text_repeated_is_read_once_and_many_are_still_a_column() -> None:
    column = pa.array(["二〇二三年十月三日", None, "昨天"] * 1000)
    assert over("parse_date", *column.to_pylist()) == [THE_DAY, None, "[BAD_DATE]"] * 1000
