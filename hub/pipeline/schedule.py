"""When a task is due. Pure: times are arguments, aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cronsim import CronSim, CronSimError


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Cron (five fields, in UTC), an interval, once, always (for sources that wait by themselves), or only by hand."""

    kind: Literal["cron", "interval", "once", "continuous", "manual"]
    cron: str = ""
    every: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.kind == "cron":
            check_cron(self.cron)
        if self.kind == "interval" and self.every < timedelta(seconds=1):
            raise ValueError("an interval is at least one second")

    def due(self, *, last_start: datetime | None, watched_since: datetime) -> datetime | None:
        """The next time the task should start; in the past when it is late. None: not by itself.

        A cron task that never ran counts from `watched_since`, when this hub began to watch it."""
        if self.kind == "manual" or (self.kind == "once" and last_start is not None):
            return None
        if self.kind in ("once", "continuous"):
            return watched_since
        if self.kind == "interval":
            return watched_since if last_start is None else last_start + self.every
        return next(CronSim(self.cron, last_start or watched_since))


def check_cron(text: str) -> None:
    """Raise ValueError unless `text` is a cron expression of five fields that can ever be due."""
    from datetime import UTC

    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as exc:
        raise ValueError(f"{text!r} is not a cron expression of five fields that is ever due") from exc
