"""One spelled date, period or time → what it says, or the reason why it says nothing certain. Nothing is guessed: no day
is filled in, no order of day and month assumed, no word such as 昨天 resolved (domain, section 4)."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from hub.mapping.writing import WIDE

LONGEST = 60  # characters; no date is longer
NUMERALS = dict(zip("〇零一二三四五六七八九两壹贰叁肆伍陆柒捌玖", (0, 0, *range(1, 10), 2, *range(1, 10)), strict=True))
TENS = {"十": 10, "拾": 10, "百": 100, "佰": 100}
TWENTIES = {"廿": "二十", "卅": "三十"}
RUN = re.compile(f"[{''.join([*NUMERALS, *TENS])}]+")
REPUBLIC = re.compile(r"(?:中华)?民国(元|\d{1,3})年")  # its year 1 is 1912
DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−－", "-") | {"～": "~", "〜": "~", "．": ".", "。": ".", "／": "/"})
EXCEL = date(1899, 12, 30)  # day 0 of Excel's calendar after its February 29th of 1900


class Unclear(Exception):
    """Why a text is no date. Carries the reason code only, never the text."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


@dataclass(frozen=True)
class Period:
    """First and last day, and how precisely the text says them: day, week, month, quarter, half, year, range."""

    start: date
    end: date
    precision: str


def read_period(text: str, reason: str) -> Period:
    """What a text says. Raises Unclear, with `reason` for what is no period at all."""
    plain = plain_digits(text)
    if len(plain) > LONGEST:
        raise Unclear(reason)
    one = _single(plain, reason)
    return one if one is not None else _range(plain, reason)


def _single(plain: str, reason: str) -> Period | None:
    """One period in one spelling, None where no spelling fits."""
    for pattern, make in PATTERNS:
        found = pattern.fullmatch(plain)
        if found:
            try:
                return make(*found.groups())
            except (ValueError, OverflowError):
                raise Unclear(reason) from None
    return None


def read_day(text: str) -> date:
    """The one day that a text names. Raises Unclear."""
    period = read_period(text, "BAD_DATE")
    if period.precision != "day":
        raise Unclear("IMPRECISE_DATE")
    return period.start


def plain_digits(text: str) -> str:
    """Half-width, without blanks, Chinese numerals as digits, years of the Republic as years of the era."""
    plain = "".join(text[: 4 * LONGEST].translate(WIDE).translate(DASHES).split()).lstrip("'\ufeff")
    for short, long in TWENTIES.items():
        plain = plain.replace(short, long)
    plain = RUN.sub(lambda run: _number(run.group()), plain)
    return REPUBLIC.sub(lambda year: f"{1911 + (1 if year.group(1) == '元' else int(year.group(1)))}年", plain)


def _number(run: str) -> str:
    """二〇二三 → 2023, 二十三 → 23, 一百一十二 → 112."""
    if not any(c in TENS for c in run):
        return "".join(str(NUMERALS[c]) for c in run)
    total, digit = 0, 0
    for character in run:
        if character in TENS:
            total += (digit or 1) * TENS[character]
            digit = 0
        else:
            digit = NUMERALS[character]
    return str(total + digit)


def _day(year: str, month: str, day: str) -> Period:
    one = date(int(year), int(month), int(day))
    return Period(one, one, "day")


def _serial(number: str) -> Period:
    one = EXCEL + timedelta(days=int(number))
    return Period(one, one, "day")


def _months(year: str, first: int, count: int, precision: str) -> Period:
    number, last = int(year), first + count - 1
    return Period(date(number, first, 1), date(number, last, monthrange(number, last)[1]), precision)


def _week(year: str, week: str) -> Period:
    start = date.fromisocalendar(int(year), int(week), 1)
    return Period(start, start + timedelta(days=6), "week")


def _span(year: str, first: str, last: str) -> Period:
    """2023年1-6月."""
    if int(first) > int(last):
        raise ValueError
    months = _months(year, int(first), int(last) - int(first) + 1, "range")
    return months if first != last else _months(year, int(first), 1, "month")


def _unclear(reason: str) -> Callable[..., Period]:
    def refuse(*_groups: str) -> Period:
        raise Unclear(reason)

    return refuse


YEAR, SEPARATOR = r"(\d{4})", r"[-/.]"
PATTERNS: tuple[tuple[re.Pattern[str], Callable[..., Period]], ...] = tuple(
    (re.compile(pattern, re.ASCII), make)
    for pattern, make in (
        (rf"{YEAR}{SEPARATOR}(\d{{1,2}}){SEPARATOR}(\d{{1,2}})(?:[T]?0?0:00(?::00(?:\.0+)?)?)?", _day),
        (rf"{YEAR}年(\d{{1,2}})月(\d{{1,2}})[日号]?(?:0?0[:时]00(?::00|分(?:00秒)?)?)?", _day),
        (r"(\d{4})(\d{2})(\d{2})", _day),
        (r"([1-9]\d{4})(?:\.0)?", _serial),
        (rf"{YEAR}{SEPARATOR}?(\d{{2}})", lambda y, m: _months(y, int(m), 1, "month")),
        (rf"{YEAR}{SEPARATOR}(\d)", lambda y, m: _months(y, int(m), 1, "month")),
        (rf"{YEAR}年(\d{{1,2}})月份?", lambda y, m: _months(y, int(m), 1, "month")),
        (rf"{YEAR}年第?([1-4])季度?", lambda y, q: _months(y, 3 * int(q) - 2, 3, "quarter")),
        (rf"{YEAR}-?[Qq]([1-4])", lambda y, q: _months(y, 3 * int(q) - 2, 3, "quarter")),
        (rf"{YEAR}年?(上|下)半年", lambda y, half: _months(y, 1 if half == "上" else 7, 6, "half")),
        (rf"{YEAR}-?[HhSs]([12])", lambda y, half: _months(y, 6 * int(half) - 5, 6, "half")),
        (rf"{YEAR}-?[Ww](\d{{1,2}})", _week),
        (rf"{YEAR}年第?(\d{{1,2}})周", _week),
        (rf"{YEAR}(?:年度?)?", lambda y: _months(y, 1, 12, "year")),
        (rf"{YEAR}年(\d{{1,2}})月?[-~至到](\d{{1,2}})月份?", _span),
        (r"\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{1,2})", _unclear("AMBIGUOUS_DATE")),
        (r"\d{4}[-/~]\d{4}(?:学年)?", _unclear("AMBIGUOUS_DATE")),  # two years, or a school year
    )
)


def _range(plain: str, reason: str) -> Period:
    """Two periods with a word or a sign between: from the start of the first to the end of the second."""
    for left, right in _halves(plain):
        first, last = _single(left, reason), _single(right, reason)
        if first is not None and last is not None and first.start <= last.end:
            return Period(first.start, last.end, "range")
    raise Unclear(reason)


def _halves(plain: str) -> Iterator[tuple[str, str]]:
    for sign in ("--", "~", "至", "到", "/", "-"):
        left, found, right = plain.partition(sign)
        if found and left and right and (sign not in "/-" or plain.count(sign) == 1):
            yield left, right
    middle = len(plain) // 2
    if plain[middle : middle + 1] in ("/", "-"):  # 2023-01-01-2023-06-30
        yield plain[:middle], plain[middle + 1 :]


MOMENT = re.compile(
    r"(?P<day>.+?)(?:[Tt]|(?<=[日号]))(?P<half>上午|下午)?(?P<hour>\d{1,2})[:时点](?P<minute>\d{1,2})分?"
    r"(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,6}))?秒?)?(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
BETWEEN = re.compile(r"(?<=[\d日号])\s+(?=[\d上下])")  # the blank between day and time


@dataclass(frozen=True)
class Moment:
    """A day and a time of day; `offset` is how far the text says that its clock is ahead of UTC."""

    day: date
    time: timedelta
    offset: timedelta | None


def read_moment(text: str) -> Moment:
    """What a text says. Raises Unclear."""
    found = MOMENT.fullmatch(plain_digits(BETWEEN.sub("T", text[: 4 * LONGEST].strip())))
    if found is None:
        raise Unclear("BAD_TIMESTAMP")
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        if not 1 <= hour <= 12:
            raise Unclear("BAD_TIMESTAMP")
        hour = hour % 12 + (12 if found["half"] == "下午" else 0)
    if hour > 23 or minute > 59 or second > 59:
        raise Unclear("BAD_TIMESTAMP")
    micros = int((found["fraction"] or "0").ljust(6, "0"))
    time = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micros)
    return Moment(read_day(found["day"]), time, _offset(found["zone"]))


def _offset(zone: str | None) -> timedelta | None:
    if zone is None:
        return None
    if zone in "Zz":
        return timedelta(0)
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    if minutes > 14 * 60 or int(zone[-2:]) > 59:
        raise Unclear("BAD_TIMESTAMP")
    return timedelta(minutes=-minutes if zone[0] == "-" else minutes)
