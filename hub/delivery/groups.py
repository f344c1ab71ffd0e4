"""Subscriptions = grant × topic × group: who reads where, and how far (R24).

The cursor of a group is its last commit: a batch that was not committed comes again. Each call is decided anew, so an
answer is never older than the grant (G12).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hub.access.plan import Plan
from hub.delivery.read import Delivery, DeliveryReader, ReadLimits
from hub.errors import GroupBusy, NotFound, OffsetOutOfRange
from hub.model import Range
from hub.ports import LogReader
from hub.registry import Schemas
from hub.store.groups import Cursor, GroupCursors, GroupKey

READER_TTL_MS = 60_000  # a reader that is silent for longer may be replaced
KNOWN_SCHEMAS = 1_000


@dataclass(frozen=True, kw_only=True)
class Member:
    """A reader of a group. `reader` is an id it chose for itself; one reader at a time holds a group."""

    group: str
    reader: str


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """An answer to a subscriber. Commit `delivery.positions` to go on."""

    delivery: Delivery
    schema_id: int  # of the plan's output schema, in subject `grant.<name>-value` (R23)
    reset: bool  # fields or row filter changed since the last commit: reading starts again from the earliest record

    @property
    def news(self) -> bool:
        """Is there anything to tell?"""
        return bool(self.delivery.records.num_rows or self.delivery.gaps or self.delivery.lag)


@dataclass(frozen=True, kw_only=True)
class GroupState:
    """Where a group stands. A partition without position was never committed: it starts at the earliest record."""

    positions: Mapping[int, int]
    ends: Mapping[int, int]
    lag: int  # offsets from the cursor to the end
    reset: bool


@dataclass(frozen=True, kw_only=True)
class GroupLag:
    """How far a group is from the end."""

    key: GroupKey
    partitions: Mapping[int, int]  # offsets, by partition

    @property
    def name(self) -> str:
        """As lag tools show it: agency.grant.group."""
        return _shown(self.key)

    @property
    def total(self) -> int:
        """Offsets of all partitions."""
        return sum(self.partitions.values())


class Subscriptions:
    """All groups of all grants. Thread-safe."""

    def __init__(
        self,
        log: LogReader,
        registry: Schemas,
        cursors: GroupCursors,
        reader: DeliveryReader,
        clock_ms: Callable[[], int],
    ) -> None:
        self._log, self._registry, self._cursors = log, registry, cursors
        self._reader, self._clock_ms = reader, clock_ms
        self._lock = threading.Lock()
        self._schema_ids: OrderedDict[tuple[str, str], int] = OrderedDict()

    def pull(self, plan: Plan, member: Member, limits: ReadLimits) -> Pulled:
        """The next batch after the last commit, which may be none. The plan is that of this moment. Raises GroupBusy, and
        what `DeliveryReader.read` raises."""
        key = self._take(plan, member)
        cursors = self._cursors.cursors(key)
        positions, reset = _positions(plan, cursors)
        schema_id = self._schema_id(plan)
        delivery = self._reader.read(plan, positions, limits)
        further = {p: at for p, at in delivery.positions.items() if not _delivered(cursors.get(p), at, plan.selection)}
        if further:
            self._cursors.deliver(key, further, plan.selection)  # before the bytes leave
        return Pulled(delivery=delivery, schema_id=schema_id, reset=reset)

    def commit(self, plan: Plan, member: Member, positions: Mapping[int, int]) -> GroupState:
        """Move the cursor to positions of an answer. Raises GroupBusy, Conflict for one that was not given."""
        key = _key(plan, member.group)
        self._cursors.commit(key, member.reader, positions, plan.selection, self._clock_ms())
        self._log.committed(_shown(key), plan.topic, positions)
        return self.state(plan, member.group)

    def hold(self, plan: Plan, member: Member) -> None:
        """Become the group's reader, or stay it: nobody else moves its cursor until `leave`. Raises GroupBusy."""
        self._take(plan, member)

    def seek(self, plan: Plan, member: Member, to: Literal["earliest", "latest"] | Mapping[int, int]) -> GroupState:
        """Move the cursor anywhere in the topic. Raises GroupBusy, OffsetOutOfRange, NotFound for a partition."""
        spans = self._log.ends(plan.topic)
        if to == "earliest":
            positions: Mapping[int, int] = {p: span.earliest for p, span in spans.items()}
        elif to == "latest":
            positions = {p: span.end for p, span in spans.items()}
        else:
            positions = to
            _check_positions(plan.topic, positions, spans)
        key = self._take(plan, member)
        self._cursors.seek(key, member.reader, positions, plan.selection, self._clock_ms())
        return self.state(plan, member.group)

    def resume(self, plan: Plan, member: Member, kept: Mapping[int, int] | None) -> bool:
        """Go on where a subscriber's own system stands; `kept` None: it cannot say, and the last commit counts.

        True: what it has was made under other fields or another filter, or nobody knows under which: all is read again, and
        replaces that (R24). Raises GroupBusy.
        """
        key = self._take(plan, member)
        committed, reset = _positions(plan, self._cursors.cursors(key))
        if kept is None or reset:
            return reset
        if kept and not committed:
            return True
        if not kept:  # it was emptied
            spans = self._log.ends(plan.topic)
            positions: Mapping[int, int] = {p: span.earliest for p, span in spans.items()}
        else:
            positions = {**committed, **kept}
        if committed and positions != committed:
            self._cursors.seek(key, member.reader, positions, plan.selection, self._clock_ms())
        return False

    def wait(self, plan: Plan, positions: Mapping[int, int], timeout_s: float) -> bool:
        """Is there anything behind these positions, within the time?"""
        return self._log.wait(plan.topic, positions, timeout_s)

    def again(self, plan: Plan, partition: int, offset: int, limits: ReadLimits) -> Pulled:
        """Records from an offset of one partition on, beside any group's cursor."""
        positions = {p: span.end for p, span in self._log.ends(plan.topic).items()}
        delivery = self._reader.read(plan, {**positions, partition: offset}, limits)
        return Pulled(delivery=delivery, schema_id=self._schema_id(plan), reset=False)

    def state(self, plan: Plan, group: str) -> GroupState:
        """Where a group stands; nobody needs to hold it."""
        spans = self._log.ends(plan.topic)
        positions, reset = _positions(plan, self._cursors.cursors(_key(plan, group)))
        return GroupState(
            positions=positions,
            ends={p: span.end for p, span in spans.items()},
            lag=sum(_lag(positions.get(p), span) for p, span in spans.items()),
            reset=reset,
        )

    def leave(self, plan: Plan, member: Member) -> None:
        """Let the next reader in at once. May be repeated."""
        self._cursors.leave(_key(plan, member.group), member.reader)

    def lags(self) -> Sequence[tuple[str, str, int, int]]:
        """For metrics: (agency.grant.group, topic, partition, offsets to the end) of every cursor."""
        return [
            (one.name, one.key.topic, partition, lag)
            for one in self.group_lags()
            for partition, lag in one.partitions.items()
        ]

    def group_lags(self) -> Sequence[GroupLag]:
        """Of every group that ever read, in one look at the store and one at the log."""
        committed = self._cursors.committed()
        ends = self._log.ends_of({key.topic for key in committed})
        found = {}
        for key, offsets in committed.items():
            spans = ends.get(key.topic, {})
            lags = {p: _lag(offset, spans[p]) for p, offset in sorted(offsets.items()) if p in spans}
            if lags:
                found[key] = lags
        return [GroupLag(key=key, partitions=partitions) for key, partitions in found.items()]

    def _take(self, plan: Plan, member: Member) -> GroupKey:
        key = _key(plan, member.group)
        if not self._cursors.take(key, member.reader, READER_TTL_MS):
            raise GroupBusy(
                f"another reader holds group {member.group} of {plan.topic}",
                remedy="stop it, wait until it is silent for a minute, or read with a group of another name",
            )
        return key

    def _schema_id(self, plan: Plan) -> int:
        """Register the output schema under the grant's own subject; a change is a new version there (R23)."""
        known = (plan.grant, plan.fingerprint)
        with self._lock:
            found = self._schema_ids.get(known)
        if found is not None:
            return found
        made = self._registry.register_freely(f"grant.{plan.grant}-value", plan.schema_text).id
        with self._lock:
            self._schema_ids[known] = made
            while len(self._schema_ids) > KNOWN_SCHEMAS:
                self._schema_ids.popitem(last=False)
        return made


def _shown(key: GroupKey) -> str:
    """A group's name for lag tools."""
    return f"{key.agency}.{key.grant}.{key.group}"


def _key(plan: Plan, group: str) -> GroupKey:
    return GroupKey(agency=plan.agency, grant=plan.grant, topic=plan.topic, group=group)


def _positions(plan: Plan, cursors: Mapping[int, Cursor]) -> tuple[Mapping[int, int], bool]:
    """Committed positions under this plan's selection, and whether some were made under another one."""
    committed = {p: c for p, c in cursors.items() if c.committed is not None}
    kept = {p: c.committed for p, c in committed.items() if c.committed is not None and c.selection == plan.selection}
    return kept, len(kept) < len(committed)


def _delivered(cursor: Cursor | None, position: int, selection: str) -> bool:
    """Has the group been given so far already?"""
    if cursor is None or cursor.delivered is None or cursor.delivered_selection != selection:
        return False
    return cursor.delivered >= position


def _lag(position: int | None, span: Range) -> int:
    return span.end - max(span.earliest if position is None else position, span.earliest)


def _check_positions(topic: str, positions: Mapping[int, int], spans: Mapping[int, Range]) -> None:
    for partition, position in positions.items():
        span = spans.get(partition)
        if span is None:
            raise NotFound(f"topic {topic} has no partition {partition}")
        if not span.earliest <= position <= span.end:
            raise OffsetOutOfRange(
                f"{topic}/{partition} has offsets {span.earliest} to {span.end}, not {position}", earliest=span.earliest
            )
