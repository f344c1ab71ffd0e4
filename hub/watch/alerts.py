"""What a person should be told of: from what is known of a hub to alerts. Pure: what is known and what time it is are
arguments.

`causes` says what is wrong at one moment. `Alerts` makes alerts of that: a cause that holds for a while becomes one, and
one whose cause is gone stays for a while, so that what comes and goes is one alert and not many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from hub.model import Finding, RunTotals
from hub.pipeline.manifest import RunRecord
from hub.watch.sample import ConnectorSample, Sample, SubscriptionSample

Severity = Literal["critical", "warning", "info"]
About = Literal["topic", "connector", "subscription", "group", "node", "hub"]
GROWING_MS = 300_000  # a lag that grew all this time is told
STEPS = 5  # looks at it in that time
BLIP_MS = 1_000  # a cause that is gone sooner is none
LINGER_MS = 10_000  # an alert whose cause is gone stays so long


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one kind of alert is."""

    severity: Severity
    about: About
    hold_ms: int = BLIP_MS  # so long must the cause hold


KINDS: Mapping[str, Kind] = {
    "topic_late": Kind(severity="warning", about="topic"),
    "connector_failed": Kind(severity="critical", about="connector"),
    "connector_paused": Kind(severity="warning", about="connector"),
    "breaker_tripped": Kind(severity="critical", about="connector"),
    "source_unreachable": Kind(severity="warning", about="connector"),
    "reconciliation_difference": Kind(severity="critical", about="connector"),
    "quarantine_rows": Kind(severity="info", about="connector"),
    "quarantine_share": Kind(severity="warning", about="connector"),
    "quarantine_orphaned": Kind(severity="info", about="connector"),
    "lag_high": Kind(severity="warning", about="group"),
    "lag_growing": Kind(severity="warning", about="group"),
    "subscription_failed": Kind(severity="critical", about="subscription"),
    "subscription_paused": Kind(severity="warning", about="subscription"),
    "sink_unreachable": Kind(severity="warning", about="subscription"),
    "dead_letters": Kind(severity="warning", about="subscription"),
    "notice_failed": Kind(severity="warning", about="hub"),
    "node_silent": Kind(severity="warning", about="node"),
    "configuration_mistake": Kind(severity="warning", about="hub"),
    "disk_low": Kind(severity="critical", about="hub"),
    "log_stuck": Kind(severity="critical", about="hub"),
    "part_unhealthy": Kind(severity="critical", about="hub"),
}


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From where on it is worth telling."""

    quarantine_share: float = 0.05  # of the rows of a run: the breaker's share
    lag: int = 0  # offsets that a group may be behind; 0 = any
    disk_free: float = 0.10  # share of the disk


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is known at one moment."""

    samples: Sequence[Sample]  # of the last minutes, the oldest first
    last: Mapping[str, RunRecord] = field(default_factory=dict)  # newest run of each connector
    last_read: Mapping[str, RunTotals] = field(default_factory=dict)  # of its newest run that read anything
    open: Mapping[str, int] = field(default_factory=dict)  # rows in quarantine by connector, whichever run they are of
    disk_free: float | None = None  # share of the disk that the data directory is on
    healthy: Mapping[str, bool] = field(default_factory=dict)  # log, store
    notices: Sequence[Finding] = ()  # of the log
    mistakes: Sequence[tuple[str, str]] = ()  # of the configuration: where, what
    silent: Mapping[str, float] = field(default_factory=dict)  # nodes that give no sign of life: for how long, s
    untold: Mapping[str, str] = field(default_factory=dict)  # who could not be told of alerts: why


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Something that is wrong now."""

    kind: str  # of KINDS
    subject: str
    values: Mapping[str, Any] = field(default_factory=dict)  # for the text; never data of anybody

    @property
    def id(self) -> str:
        """The same as long as it is the same trouble."""
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What a person is told."""

    id: str
    kind: str
    severity: Severity
    about: About
    subject: str  # a topic, connector, subscription, group, node, or part of the hub
    since_ms: int  # when its cause was first seen, ms since 1970 UTC
    values: Mapping[str, Any]


def causes(facts: Facts, thresholds: Thresholds) -> list[Cause]:
    """All that is wrong, each once."""
    found: dict[str, Cause] = {}
    rules = [_of_the_hub(facts, thresholds)]
    if facts.samples:
        now = facts.samples[-1]
        rules += [_of_topics(now), _of_subscriptions(now), _of_lags(facts.samples, thresholds)]
        rules += [_of_connector(name, one, facts, thresholds) for name, one in now.connectors.items()]
        rules += [_of_orphans(now, facts)]
    for rule in rules:
        for cause in rule:
            found.setdefault(cause.id, cause)
    return list(found.values())


def _of_topics(now: Sample) -> Iterator[Cause]:
    for name, topic in now.topics.items():
        if topic.fresh.late(now.at_ms):
            values = {"age_s": topic.fresh.age_s(now.at_ms), "target_s": topic.fresh.target_s}
            yield Cause(kind="topic_late", subject=name, values=values)


def _of_connector(name: str, one: ConnectorSample, facts: Facts, thresholds: Thresholds) -> Iterator[Cause]:
    run = facts.last.get(name)
    code = (run.error if run and run.error else one.error).partition(":")[0]  # a replay since then ended as it did
    values = {"reason": one.reason or one.error, "topic": one.topic}
    if one.state == "FAILED" and code == "ReconciliationFailed":
        yield Cause(kind="reconciliation_difference", subject=name, values=values)
    elif one.state == "FAILED":
        yield Cause(kind="connector_failed", subject=name, values=values)
    elif _by_itself(one):
        kind = "breaker_tripped" if code == "BreakerTripped" else "connector_paused"
        yield Cause(kind=kind, subject=name, values=values)
        if kind == "breaker_tripped":  # which says that there are such rows
            return
    elif one.state == "RUNNING" and (one.away or one.failures):
        tried = {"reason": one.away or one.error, "tries": one.failures, "topic": one.topic}
        yield Cause(kind="source_unreachable", subject=name, values=tried)
    if left := facts.open.get(name, 0):
        met = facts.last_read.get(name, RunTotals())
        share = met.quarantined / max(met.read, 1)
        kind = "quarantine_share" if share > thresholds.quarantine_share else "quarantine_rows"
        counts = {"rows": met.quarantined, "share": share, "open": left, "topic": one.topic}
        yield Cause(kind=kind, subject=name, values=counts)


def _of_orphans(now: Sample, facts: Facts) -> Iterator[Cause]:
    for name, left in facts.open.items():
        if name not in now.connectors:
            yield Cause(kind="quarantine_orphaned", subject=name, values={"open": left})


def _by_itself(one: ConnectorSample | SubscriptionSample) -> bool:
    """Did a run pause it? A person's pause is no trouble."""
    return one.state == "PAUSED" and one.by_itself


def _of_subscriptions(now: Sample) -> Iterator[Cause]:
    for name, one in now.subscriptions.items():
        values = {"reason": one.reason or one.error, "topic": one.topic}
        if one.state == "FAILED":
            yield Cause(kind="subscription_failed", subject=name, values=values)
        elif _by_itself(one):
            yield Cause(kind="subscription_paused", subject=name, values=values)
        elif one.state == "RUNNING" and one.failures:
            yield Cause(kind="sink_unreachable", subject=name, values={"reason": one.error, "tries": one.failures})
        if one.dead_letters:
            yield Cause(kind="dead_letters", subject=name, values={"letters": one.dead_letters})


def _of_lags(samples: Sequence[Sample], thresholds: Thresholds) -> Iterator[Cause]:
    now = samples[-1]
    steps = _spread(samples)
    for key, lag in now.groups.items():
        values = {"group": key[0], "topic": key[1], "lag": lag}
        if thresholds.lag and lag > thresholds.lag:
            yield Cause(kind="lag_high", subject="/".join(key), values={**values, "most": thresholds.lag})
        elif steps and _grew([step.groups.get(key) for step in steps]):
            yield Cause(kind="lag_growing", subject="/".join(key), values=values)


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    """Samples that are evenly apart over the time in which a lag must grow; none when they do not reach back so far."""
    now, step = samples[-1].at_ms, GROWING_MS // STEPS
    wanted = [now - step * number for number in range(STEPS, -1, -1)]
    if samples[0].at_ms > wanted[0]:
        return []
    found, rest = [], iter(samples)
    last = next(rest)
    following = next(rest, None)
    for at_ms in wanted:
        while following is not None and following.at_ms <= at_ms:
            last, following = following, next(rest, None)
        found.append(last)
    return found


def _grew(lags: Sequence[int | None]) -> bool:
    known = [lag for lag in lags if lag is not None]
    return len(known) == len(lags) and all(a < b for a, b in pairwise(known))


def _of_the_hub(facts: Facts, thresholds: Thresholds) -> Iterator[Cause]:
    for name, seconds in facts.silent.items():
        yield Cause(kind="node_silent", subject=name, values={"silent_s": seconds})
    for name, why in facts.untold.items():
        yield Cause(kind="notice_failed", subject=name, values={"reason": why})
    for where, what in facts.mistakes:
        yield Cause(kind="configuration_mistake", subject=where, values={"mistake": what})
    if facts.disk_free is not None and facts.disk_free < thresholds.disk_free:
        yield Cause(kind="disk_low", subject="data directory", values={"free": facts.disk_free})
    for notice in facts.notices:
        yield Cause(kind="log_stuck", subject=notice.name, values={"detail": notice.detail, "remedy": notice.remedy})
    for part, healthy in facts.healthy.items():
        if not healthy:
            yield Cause(kind="part_unhealthy", subject=part)


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A cause over time."""

    cause: Cause
    first_ms: int
    last_ms: int  # when it was last there
    told: bool


class Alerts:
    """Causes over time. One thread uses it; a clock that goes back stands still."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._now_ms = 0

    def look(self, found: Iterable[Cause], at_ms: int) -> list[Alert]:
        """What is to be told now, the oldest first, after these causes were found."""
        self._now_ms = now = max(at_ms, self._now_ms)
        causes = {cause.id: cause for cause in found}
        held: dict[str, _Held] = {}
        for name, cause in causes.items():
            known = self._held.get(name)
            first_ms = known.first_ms if known else now
            told = (known is not None and known.told) or now - first_ms >= KINDS[cause.kind].hold_ms
            held[name] = _Held(cause=cause, first_ms=first_ms, last_ms=now, told=told)
        for name, known in self._held.items():
            if name not in causes and known.told and now - known.last_ms < LINGER_MS:
                held[name] = known
        self._held = held
        shown = [one for one in held.values() if one.told]
        return [_alert(one) for one in sorted(shown, key=lambda one: (one.first_ms, one.cause.id))]


def at_once(found: Iterable[Cause], at_ms: int) -> list[Alert]:
    """Every cause as an alert that begins now, for who looks only once."""
    return [_alert(_Held(cause=cause, first_ms=at_ms, last_ms=at_ms, told=True)) for cause in found]


def _alert(held: _Held) -> Alert:
    cause = held.cause
    kind = KINDS[cause.kind]
    return Alert(
        id=cause.id,
        kind=cause.kind,
        severity=kind.severity,
        about=kind.about,
        subject=cause.subject,
        since_ms=held.first_ms,
        values=cause.values,
    )
