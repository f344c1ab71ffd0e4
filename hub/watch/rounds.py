"""When somebody is told of alerts, and of which. Pure: the clock is an argument.

News is gathered before it is told, and notices have a distance, so a storm of alerts is a few notices; what lasts is told
again, and what was told and is over is told once more, as resolved. A notice that did not arrive is made anew, with what holds
then, after waits that double.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hub.watch.alerts import Alert

RETRY_FIRST_MS, RETRY_MOST_MS = 10_000, 900_000


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often."""

    collect_ms: int  # news is gathered so long; notices are as far apart
    repeat_ms: int  # what lasts is told again


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What is told at once."""

    new: Sequence[Alert] = ()
    lasting: Sequence[Alert] = ()  # told before, and still so
    resolved: Sequence[Alert] = ()  # told before, and over; as they last were


@dataclass
class Rounds:
    """What one channel was told. One thread uses it."""

    pace: Pace
    _told: Mapping[str, Alert] = field(default_factory=dict)
    _news_ms: int | None = None  # since when there is something to tell
    _sent_ms: int | None = None
    _failures: int = 0
    _failed_ms: int = 0

    def due(self, alerts: Sequence[Alert], now_ms: int) -> Notice | None:
        """What to tell now; nothing when it can wait. Say `sent` or `failed` after it."""
        here = {alert.id: alert for alert in alerts}
        notice = Notice(
            new=[alert for name, alert in here.items() if name not in self._told],
            lasting=[alert for name, alert in here.items() if name in self._told],
            resolved=[alert for name, alert in self._told.items() if name not in here],
        )
        if not notice.new and not notice.resolved:
            self._news_ms = None
            again = bool(self._told) and self._since(self._sent_ms, now_ms, self.pace.repeat_ms)
            return notice if again and self._may(now_ms) else None
        if self._news_ms is None:
            self._news_ms = now_ms
        ripe = now_ms - self._news_ms >= self.pace.collect_ms
        apart = self._since(self._sent_ms, now_ms, self.pace.collect_ms)
        return notice if ripe and apart and self._may(now_ms) else None

    def sent(self, notice: Notice, now_ms: int) -> None:
        """It arrived."""
        self._told = {alert.id: alert for alert in (*notice.new, *notice.lasting)}
        self._news_ms, self._sent_ms, self._failures = None, now_ms, 0

    def failed(self, now_ms: int) -> None:
        """It did not."""
        self._failures, self._failed_ms = self._failures + 1, now_ms

    def _may(self, now_ms: int) -> bool:
        wait_ms = min(RETRY_FIRST_MS * 2 ** min(self._failures - 1, 20), RETRY_MOST_MS) if self._failures else 0
        return now_ms - self._failed_ms >= wait_ms or not self._failures

    @staticmethod
    def _since(then_ms: int | None, now_ms: int, wait_ms: int) -> bool:
        return then_ms is None or now_ms - then_ms >= wait_ms
