"""A connector's schedule in words, where it is a simple one: `every 15m`, or at a time of the day on all or some days of the
week. Pure."""

from __future__ import annotations

import re

from hub.console.texts import Texts

EVERY = re.compile(r"every ([1-9][0-9]{0,5})([smhdw])")
CLOCK = re.compile(r"([0-5]?[0-9]) ([01]?[0-9]|2[0-3]) \* \* (\*|[0-7](?:[-,][0-7])*)")


def in_words(schedule: str, t: Texts) -> str:
    """Empty for one that has none, such as a day of the month. Times are in UTC, and it says so."""
    if every := EVERY.fullmatch(schedule):
        return t.count(f"connectors.schedules.every.{every[2]}", int(every[1]))
    clock = CLOCK.fullmatch(schedule)
    if clock is None:
        return ""
    minute, hour, days = clock.groups()
    time = f"{hour:0>2}:{minute:0>2}"
    if days == "*":
        return t("connectors.schedules.daily", time=time)
    return t("connectors.schedules.weekly", time=time, days=_days(days, t))


def _days(text: str, t: Texts) -> str:
    parts = [part.split("-") for part in text.split(",")]
    to, sep = t("connectors.schedules.to"), t("connectors.schedules.and")
    return sep.join(to.join(t(f"connectors.schedules.days.d{int(day) % 7}") for day in part) for part in parts)
