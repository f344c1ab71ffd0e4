"""How fresh a topic is, and since when that counts. Pure: what is known and what time it is are arguments.

| a topic | is as fresh as |
|---|---|
| that declares `event_time` | the newest event time published on it, as far as any was |
| fed by whole passes (mode `snapshot`) | the last pass that completed, also when nothing had changed |
| else | the newest append |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from hub.pipeline.followers import Published

By = Literal["event", "pass", "append"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """From when on a topic grows old, and how old it may be."""

    since_ms: int | None  # ms since 1970 UTC; None: nothing was published yet
    by: By
    target_s: float | None  # its declared `freshness`

    def age_s(self, now_ms: int) -> float | None:
        """How old it is."""
        return None if self.since_ms is None else max(0.0, (now_ms - self.since_ms) / 1000)

    def late(self, now_ms: int) -> bool:
        """Is it older than it may be? A topic on which nothing was published yet is not late."""
        age_s = self.age_s(now_ms)
        return age_s is not None and self.target_s is not None and age_s > self.target_s


def freshness(
    published: Published, *, event_time: bool, target: timedelta | None, completed_ms: int | None
) -> Freshness:
    """Of one topic. `completed_ms`: when a connector last read its source whole; None: none does."""
    target_s = None if target is None else target.total_seconds()
    if event_time and published.event_ms is not None:
        return Freshness(since_ms=published.event_ms, by="event", target_s=target_s)
    if not event_time and completed_ms is not None:  # what a broken pass or a replay appends makes no topic whole
        return Freshness(since_ms=completed_ms, by="pass", target_s=target_s)
    return Freshness(since_ms=published.newest_ms, by="append", target_s=target_s)
