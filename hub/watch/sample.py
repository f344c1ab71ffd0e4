"""What is seen of a hub at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.pipeline.freshness import Freshness
from hub.store.states import State


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicSample:
    """One topic. It is the same object in the next sample as long as nothing of it changes."""

    rate: float  # records a second, over the last seconds
    records: int  # ever appended, deletions included
    newest_ms: int | None  # of the newest append, ms since 1970 UTC; None: nothing was published yet
    fresh: Freshness
    lag: int | None  # offsets that the furthest behind of its groups has to go; None: nobody reads it


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectorSample:
    """One connector."""

    topic: str
    state: State
    reason: str  # why it is not RUNNING
    by_itself: bool  # a run brought it there, not a person
    running: bool  # a run is under way
    rows: int  # read by that run so far, or by the last one
    failures: int  # passing faults in a row: it is tried again
    error: str  # of the last run, code and message; empty when it had none
    away: str  # why its source does not answer the run under way, code and message; empty when it does


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionSample:
    """One subscription that the hub pushes."""

    topic: str
    state: State
    reason: str  # why it is not RUNNING
    by_itself: bool  # a run brought it there, not a person
    running: bool
    lag: int | None  # offsets to the end; None: it has not begun
    dead_letters: int  # that nobody has dealt with
    failures: int  # passing faults in a row: it is tried again
    error: str  # of the last run, code and message; empty when it had none


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """All of one moment."""

    number: int  # grows by one with each sample of a process, and goes on growing over restarts
    at_ms: int  # ms since 1970 UTC
    rate: float  # records a second of all topics
    records_today: int  # appended since midnight UTC
    topics: Mapping[str, TopicSample]  # by name
    connectors: Mapping[str, ConnectorSample]
    subscriptions: Mapping[str, SubscriptionSample]
    groups: Mapping[tuple[str, str], int]  # lag by group (agency.grant.group) and topic

    @property
    def late(self) -> int:
        """Topics that are late."""
        return sum(1 for topic in self.topics.values() if topic.fresh.late(self.at_ms))

    @property
    def lag(self) -> int:
        """The largest of all groups."""
        return max(self.groups.values(), default=0)

    @property
    def running(self) -> int:
        """Connectors with a run under way."""
        return sum(1 for one in self.connectors.values() if one.running)

    def to_json(self) -> dict[str, Any]:
        """For the API and pages."""
        return {
            "number": self.number,
            "at_ms": self.at_ms,
            "rate": self.rate,
            "records_today": self.records_today,
            "topics": {name: _topic(topic, self.at_ms) for name, topic in self.topics.items()},
            "connectors": {name: _fields(one) for name, one in self.connectors.items()},
            "subscriptions": {name: _fields(one) for name, one in self.subscriptions.items()},
            "groups": [{"group": group, "topic": topic, "lag": lag} for (group, topic), lag in self.groups.items()],
        }


def _topic(topic: TopicSample, at_ms: int) -> dict[str, Any]:
    return {
        "rate": topic.rate,
        "records": topic.records,
        "newest_ms": topic.newest_ms,
        "freshness_s": topic.fresh.age_s(at_ms),
        "by": topic.fresh.by,
        "target_s": topic.fresh.target_s,
        "late": topic.fresh.late(at_ms),
        "lag": topic.lag,
    }


def _fields(one: ConnectorSample | SubscriptionSample) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}
