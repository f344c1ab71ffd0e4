"""Every subscriber as an operator sees it: those that pull and those that the hub pushes to, how far each is, and how to
let one read again."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from hub.access.decide import Request
from hub.access.grants import Grant
from hub.catalogue.load import Catalogue
from hub.deliveries import Deliveries
from hub.delivery.groups import Member
from hub.delivery.places import offset_at
from hub.errors import Conflict, NotFound, NotGranted, OffsetOutOfRange
from hub.logs import audit_logger
from hub.model import Range
from hub.moments import iso
from hub.ports import LogReader
from hub.store.groups import Cursor, GroupCursors, GroupKey
from hub.subscriptions import SubscriptionDesk

Target = Literal["earliest", "latest"] | Mapping[int, int] | datetime
HALTED = ("PAUSED", "STOPPED")


@dataclass(frozen=True, kw_only=True)
class Rewind:
    """Where to move a group, and why. `to`: a place, offsets by partition, or a moment (aware): then of each partition the
    first block that was appended at it or later."""

    to: Target
    reason: str
    by: str  # who asked
    accept_skip: bool = False  # what lies between may be left out, when it moves forward

    def __post_init__(self) -> None:
        if isinstance(self.to, datetime) and self.to.tzinfo is None:
            raise ValueError("a moment has a time zone")


@dataclass(frozen=True, kw_only=True)
class _Group:
    """A cursor, or a declared push that has none yet."""

    key: GroupKey
    cursors: dict[int, Cursor] = field(default_factory=dict)
    push: Mapping[str, Any] | None = None  # the subscription that reads so, as its own desk shows it

    @property
    def id(self) -> str:
        """As lag tools and metrics name it."""
        return f"{self.key.agency}.{self.key.grant}.{self.key.group}"


class SubscriberDesk:
    """Reads the hub's parts; moves cursors only."""

    def __init__(
        self,
        log: LogReader,
        cursors: GroupCursors,
        deliveries: Deliveries,
        subscriptions: SubscriptionDesk,
        catalogue: Callable[[], Catalogue],
        own_place: Callable[[str], bool],  # of a kind of sink
    ) -> None:
        self._log, self._cursors, self._deliveries = log, cursors, deliveries
        self._subscriptions, self._catalogue, self._own_place = subscriptions, catalogue, own_place

    def all(
        self, *, topic: str | None = None, agency: str | None = None, partitions: bool = False
    ) -> list[dict[str, Any]]:
        """Every group of every agency, those of subscriptions that are pushed included, by topic and name."""
        look = _Look(self._log, self._cursors.readers(), self._catalogue())
        found = [
            g
            for g in self._groups()
            if (topic is None or g.key.topic == topic) and (agency is None or g.key.agency == agency)
        ]
        return [look.shown(g, partitions=partitions) for g in sorted(found, key=lambda g: (g.key.topic, g.id))]

    def one(self, group: str, topic: str) -> dict[str, Any]:
        """One, with its partitions and receipts. `group` is its name, or `agency.grant.name`. Raises NotFound, and Conflict
        for a name that several agencies use."""
        found = self._find(group, topic)
        look = _Look(self._log, self._cursors.readers(), self._catalogue())
        return {**look.shown(found, partitions=True), "receipts": _receipts(found)}

    def rewind(self, group: str, topic: str, wanted: Rewind) -> dict[str, Any]:
        """Let a group read again from somewhere else. It is on record who asked, and why.

        Raises Conflict when it is pushed and not paused, when its system keeps its own place, when nothing may be read under
        its grant now, and when records would be left out that nobody agreed to leave out; GroupBusy while a reader holds it;
        NotFound; OffsetOutOfRange."""
        found = self._find(group, topic)
        self._movable(found)
        request = Request(agency=found.key.agency, topic=topic, grant=found.key.grant)
        try:
            plan = self._deliveries.plan(request)
        except NotGranted as error:
            why = f"nothing is read under grant {found.key.grant} now: {error.message}"
            raise Conflict(why, remedy="mend the grant, then `datong reload`") from error
        member = Member(group=found.key.group, reader=f"rewind-{secrets.token_hex(8)}")
        self._deliveries.hold(request, member)
        try:
            return self._moved(found, plan.selection, request, member, wanted)
        finally:
            self._deliveries.leave(request, member)

    def _moved(self, found: _Group, selection: str, request: Request, member: Member, wanted: Rewind) -> dict[str, Any]:
        """Under the group's lease: nobody commits between the look at where it is and the move."""
        topic, spans = found.key.topic, self._log.ends(found.key.topic)
        cursors = self._cursors.cursors(found.key)
        before = {p: _position(cursors.get(p), span, selection) for p, span in spans.items()}
        targets = self._targets(topic, wanted.to, spans)
        skipped = sum(max(0, at - before[p]) for p, at in targets.items())
        if skipped and not wanted.accept_skip:
            raise Conflict(
                f"this moves forward over {skipped:,} offsets that the group has not read",
                remedy="say `accept_skip` (--accept-skip) if they are to be left out",
            )
        self._deliveries.seek(request, member, targets)
        after = {**before, **targets}
        places = {"before": _texts(before), "after": _texts(after)}
        said = {"group": found.id, "topic": topic, "by": wanted.by, "reason": wanted.reason}
        audit_logger("datong.subscribers").info("rewound", **said, **places)
        again = sum(max(0, before[p] - at) for p, at in targets.items())
        return {"id": found.id, "topic": topic, **places, "again": again, "skipped": skipped}

    def _movable(self, group: _Group) -> None:
        if group.push is None:
            return
        name, kind = group.push["name"], group.push["kind"]
        if self._own_place(kind):
            raise Conflict(
                f"subscription {name} goes on where its {kind} says it is; a cursor here would not be looked at",
                remedy=f"to have all written again, empty the {kind}",
            )
        if group.push["state"] not in HALTED:
            raise Conflict(
                f"subscription {name} pushes now",
                remedy=f"`datong subscription pause {name}` first, rewind, then `datong subscription resume {name}`",
            )
        if group.push["running"]:
            raise Conflict(f"subscription {name} still ends its last batch", remedy="try again in a moment")

    def _targets(self, topic: str, to: Target, spans: Mapping[int, Range]) -> Mapping[int, int]:
        if to == "earliest":
            return {p: span.earliest for p, span in spans.items()}
        if to == "latest":
            return {p: span.end for p, span in spans.items()}
        if isinstance(to, datetime):
            moment = int(to.timestamp() * 1000)
            return {p: offset_at(self._log, topic, p, span, moment) for p, span in spans.items()}
        assert isinstance(to, Mapping)
        for partition, position in to.items():
            span = spans.get(partition)
            if span is None:
                raise NotFound(f"topic {topic} has no partition {partition}")
            if not span.earliest <= position <= span.end:
                said = f"{topic}/{partition} has offsets {span.earliest} to {span.end}, not {position}"
                raise OffsetOutOfRange(said, earliest=span.earliest)
        return to

    def _find(self, group: str, topic: str) -> _Group:
        found = [g for g in self._groups() if g.key.topic == topic and group in (g.key.group, g.id)]
        if not found:
            raise NotFound(f"no group {group} reads {topic}", remedy="`datong subscribers list` names them")
        if len(found) > 1:
            names = ", ".join(sorted(g.id for g in found))
            raise Conflict(f"several groups of {topic} are called {group}: {names}", remedy="give one of these names")
        return found[0]

    def _groups(self) -> Sequence[_Group]:
        cursors: dict[GroupKey, dict[int, Cursor]] = defaultdict(dict)
        for key, partition, cursor in self._cursors.all():
            cursors[key][partition] = cursor
        pushes = {self._key_of(push): push for push in self._subscriptions.all()}
        keys = {**cursors, **{key: None for key in pushes if key is not None}}
        return [_Group(key=k, cursors=cursors.get(k, {}), push=pushes.get(k)) for k in keys]

    def _key_of(self, push: Mapping[str, Any]) -> GroupKey | None:
        """What a subscription reads as; None while no one grant lets it read."""
        grants = self._catalogue().grants.values()
        if push["grant"] is not None:
            fitting = [g for g in grants if g.grant == push["grant"]]
        else:
            fitting = [g for g in grants if (g.agency, g.topic) == (push["agency"], push["topic"])]
        if len(fitting) != 1:
            return None
        (grant,) = fitting
        return GroupKey(agency=grant.agency, grant=grant.grant, topic=grant.topic, group=push["group"])


class _Look:
    """Groups as of one moment; each topic's ends are asked for once."""

    def __init__(self, log: LogReader, readers: Mapping[GroupKey, str], catalogue: Catalogue) -> None:
        self._log, self._readers, self._catalogue = log, readers, catalogue
        self._grants: dict[str, Grant] = {g.name: g for g in catalogue.access_grants}
        self._spans: dict[str, Mapping[int, Range]] = {}

    def shown(self, group: _Group, *, partitions: bool) -> dict[str, Any]:
        """As JSON."""
        key = group.key
        grant = self._grants.get(key.grant)
        selection = grant.selection if grant else None
        spans = self._ends(key.topic)
        places = [_place(p, group.cursors.get(p), span, selection) for p, span in sorted(spans.items())]
        times = [c.committed_ms for c in group.cursors.values() if c.committed_ms is not None]
        committed = [c for c in group.cursors.values() if c.committed is not None]
        agency = self._catalogue.agencies.get(key.agency)
        made = {
            "id": group.id,
            "agency": key.agency,
            "agency_name": agency.name.model_dump() if agency else {},
            "grant": key.grant,
            "grant_state": _grant_state(grant),
            "topic": key.topic,
            "group": key.group,
            **self._reads(group),
            "lag": sum(place["lag"] for place in places),
            "committed": {str(p): c.committed for p, c in sorted(group.cursors.items()) if c.committed is not None},
            "committed_at": _iso(max(times)) if times else None,
            "reset": any(c.selection != selection for c in committed),
        }
        return {**made, "partitions": places} if partitions else made

    def _reads(self, group: _Group) -> dict[str, Any]:
        push = group.push
        if push is None:
            state = "reading" if group.key in self._readers else "idle"
            return {"by": "pull", "subscription": None, "kind": None, "state": state, "reason": "", "dead_letters": 0}
        named = {"by": "push", "subscription": push["name"]}
        return {**named, **{name: push[name] for name in ("kind", "state", "reason", "dead_letters")}}

    def _ends(self, topic: str) -> Mapping[int, Range]:
        if topic not in self._spans:
            try:
                self._spans[topic] = self._log.ends(topic)
            except NotFound:
                self._spans[topic] = {}
        return self._spans[topic]


def _position(cursor: Cursor | None, span: Range, selection: str | None) -> int:
    """Where it would go on: behind its last commit, or at the start when that was made under other fields or rows (R24)."""
    kept = cursor.committed if cursor is not None and cursor.selection == selection else None
    return span.earliest if kept is None else max(kept, span.earliest)


def _place(partition: int, cursor: Cursor | None, span: Range, selection: str | None) -> dict[str, Any]:
    return {
        "partition": partition,
        "earliest": span.earliest,
        "end": span.end,
        "committed": cursor.committed if cursor else None,
        "committed_at": _iso(cursor.committed_ms) if cursor else None,
        "lag": max(0, span.end - _position(cursor, span, selection)),
    }


def _receipts(group: _Group) -> dict[str, Any]:
    """What is on record of commits: the last one of each partition, and no more until there is a ledger."""
    known = [
        {"partition": p, "to": c.committed, "at": _iso(c.committed_ms)}
        for p, c in sorted(group.cursors.items())
        if c.committed is not None
    ]
    return {"kept": "the last commit of each partition", "commits": known}


def _grant_state(grant: Grant | None) -> str:
    if grant is None:
        return "withdrawn"
    return "expired" if grant.until is not None and datetime.now(UTC).date() > grant.until else "holds"


def _texts(positions: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): at for partition, at in sorted(positions.items())}


def _iso(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)
