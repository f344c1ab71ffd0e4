"""The hub's side of delivery: which grants and contracts hold now, and the groups that read under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from hub.access.decide import Refusal, Request, decide
from hub.access.grants import Grant
from hub.access.plan import Contract, Plan
from hub.avro.types import Record
from hub.catalogue.load import Catalogue
from hub.delivery.groups import GroupLag, GroupState, Member, Pulled, Subscriptions
from hub.delivery.push import within
from hub.delivery.read import Delivery, DeliveryReader, ReadLimits
from hub.errors import DatongError, NotFound
from hub.ports import LogReader
from hub.registry import Schemas
from hub.settings import Settings
from hub.store import Store
from hub.store.letters import Letter

security = structlog.get_logger("datong.security")


@dataclass(frozen=True)
class Place:
    """Where a subscriber without a group is: per partition the next offset, under the selection of a grant (R24)."""

    selection: str
    positions: Mapping[int, int]


@dataclass(frozen=True, kw_only=True)
class Read:
    """A batch from a place."""

    delivery: Delivery
    began: Mapping[int, int]  # positions before it; a partition that is not named was not read yet
    reset: bool  # the grant's fields or row filter are not those that the place was made under

    @property
    def place(self) -> Place:
        """Where to go on."""
        return Place(self.delivery.plan.selection, self.delivery.positions)


class Deliveries:
    """Decides on every call, so that a changed or ended grant works at once (G11, G12)."""

    def __init__(
        self,
        log: LogReader,
        registry: Schemas,
        store: Store,
        catalogue: Callable[[], Catalogue],
        clock: Callable[[], datetime],
        settings: Settings,
    ) -> None:
        self._registry, self._catalogue, self._clock = registry, catalogue, clock
        self._limits = settings.limits
        self._log = log
        self._reader = DeliveryReader(log, self.schema_of, cache_bytes=settings.limits.cache_bytes)
        self._groups = Subscriptions(log, registry, store.groups, self._reader, lambda: int(clock().timestamp() * 1000))

    def pull(self, request: Request, member: Member, max_records: int | None = None) -> Pulled:
        """The next batch of a group. Raises NotFound for what is not the caller's to see (S8)."""
        pulled = self._groups.pull(self._plan(request), member, self.bounds(max_records))
        released(pulled.delivery)
        return pulled

    def read(self, request: Request, place: Place | Literal["earliest", "latest"], max_records: int) -> Read:
        """The next batch from a place that the subscriber keeps itself; under another selection than it was made under,
        from the start. Raises NotFound, OffsetOutOfRange for a place behind the end."""
        plan = self._plan(request)
        reset = isinstance(place, Place) and place.selection != plan.selection
        positions: Mapping[int, int] = {}
        if isinstance(place, Place) and not reset:
            positions = place.positions
        elif place == "latest":
            positions = {partition: span.end for partition, span in self._log.ends(request.topic).items()}
        limits = ReadLimits(max_records=max_records, max_bytes=self._limits.read_bytes)
        delivery = self._reader.read(plan, positions, limits)
        if delivery.records.num_rows:
            released(delivery)
        began = {**positions, **{gap.partition: gap.earliest for gap in delivery.gaps}}
        return Read(delivery=delivery, began=began, reset=reset)

    def pushed(self, request: Callable[[], Request], member: Member) -> PushedGroup:
        """The same reading for a subscription that the hub pushes. `request` says at each moment who asks for what."""
        return PushedGroup(self, self._groups, request, member)

    def commit(self, request: Request, member: Member, positions: Mapping[int, int]) -> GroupState:
        """Move the group's cursor: the subscriber's receipt."""
        return self._groups.commit(self._plan(request), member, positions)

    def hold(self, request: Request, member: Member) -> None:
        """Keep other readers out until `leave`. Raises GroupBusy."""
        self._groups.hold(self._plan(request), member)

    def seek(
        self, request: Request, member: Member, to: Literal["earliest", "latest"] | Mapping[int, int]
    ) -> GroupState:
        """Move the group's cursor anywhere."""
        return self._groups.seek(self._plan(request), member, to)

    def state(self, request: Request, group: str) -> GroupState:
        """Where the group stands."""
        return self._groups.state(self._plan(request), group)

    def leave(self, request: Request, member: Member) -> None:
        """Let the next reader in."""
        self._groups.leave(self._plan(request), member)

    def lags(self) -> Sequence[tuple[str, str, int, int]]:
        """For metrics."""
        return self._groups.lags()

    def group_lags(self) -> Sequence[GroupLag]:
        """How far every group is from the end."""
        return self._groups.group_lags()

    def grants(self) -> list[Grant]:
        """Every grant that is declared and valid."""
        return list(self._catalogue().access_grants)

    def contract(self, topic: str) -> Contract | None:
        """What access must know of a topic; None while nothing was ever published on it."""
        schema = self.newest_schema(topic)
        return None if schema is None else self._catalogue().contract(topic, schema)

    def newest_schema(self, topic: str) -> Record | None:
        """The newest schema registered for a topic."""
        schema_id = self.schema_id(topic)
        return None if schema_id is None else self.schema_of(schema_id)

    def schema_id(self, topic: str) -> int | None:
        """Its id."""
        found = self._registry.newest(f"{topic}-value")
        return None if found is None else found.schema.id

    def schema_of(self, schema_id: int) -> Record:
        """A schema that records may have been written with. Raises NotFound."""
        parsed = self._registry.parsed(schema_id).type
        if not isinstance(parsed, Record):
            raise DatongError(f"schema {schema_id} is not a record")
        return parsed

    def plan(self, request: Request) -> Plan:
        """The decision of this moment, for the operator's own use. Every refusal is logged. Raises NotGranted."""
        decided = self._decided(request)
        if isinstance(decided, Refusal):
            raise decided.error()
        return decided

    def bounds(self, max_records: int | None) -> ReadLimits:
        """Of one batch, whoever asks for more."""
        most = min(max_records or self._limits.read_records, self._limits.read_records)
        return ReadLimits(max_records=most, max_bytes=self._limits.read_bytes)

    def _decided(self, request: Request) -> Plan | Refusal:
        decided = decide(request, self.grants(), self.contract(request.topic), self._clock())
        if isinstance(decided, Refusal):
            security.warning("denied", agency=request.agency, topic=request.topic, rule=decided.rule)
        return decided

    def _plan(self, request: Request) -> Plan:
        """The same for a caller at the edge: a refusal looks as if there were no such topic (S8)."""
        decided = self._decided(request)
        if isinstance(decided, Plan):
            return decided
        if decided.rule in ("expired", "several_grants", "other_purpose"):
            raise decided.error()
        raise NotFound(
            f"there is no topic {request.topic} for you to read",
            remedy="ask the publishing agency for a grant, and whether data was published yet",
        )


class PushedGroup:
    """Implements `hub.delivery.push.Reading`: the decisions and groups of every subscriber, refusals said in full."""

    def __init__(
        self, deliveries: Deliveries, groups: Subscriptions, request: Callable[[], Request], member: Member
    ) -> None:
        self._deliveries, self._groups, self._request, self._member = deliveries, groups, request, member
        self._last: Plan | None = None

    def published(self) -> bool:
        """Was a schema of the topic ever registered? Until then there is nothing to decide about."""
        return self._deliveries.schema_id(self._request().topic) is not None

    def resume(self, kept: Mapping[int, int] | None) -> bool:
        """Go on where the subscriber's system stands."""
        return self._groups.resume(self._plan(), self._member, kept)

    def restart(self) -> None:
        """Go back to the earliest record."""
        self._groups.seek(self._plan(), self._member, "earliest")

    def pull(self, max_records: int | None) -> Pulled:
        """The next batch."""
        pulled = self._groups.pull(self._plan(), self._member, self._deliveries.bounds(max_records))
        released(pulled.delivery)
        return pulled

    def wait(self, positions: Mapping[int, int], timeout_s: float) -> bool:
        """Is there news?"""
        return self._groups.wait(self._plan(), positions, timeout_s)

    def still(self, pulled: Pulled) -> bool:
        """May what was pulled leave now as it is?"""
        return self._plan().fingerprint == pulled.delivery.plan.fingerprint

    def commit(self, pulled: Pulled) -> None:
        """On record as the subscriber's receipt; whatever the grant says by now, it was given."""
        self._groups.commit(pulled.delivery.plan, self._member, pulled.delivery.positions)

    def span(self, letter: Letter, max_records: int | None) -> Iterator[Pulled]:
        """What there is today of a span of offsets, in batches."""
        offset = letter.first
        while offset < letter.end:
            pulled = self._groups.again(self._plan(), letter.partition, offset, self._deliveries.bounds(max_records))
            before, offset = offset, pulled.delivery.positions[letter.partition]
            cut = within(pulled, letter)
            if cut.delivery.records.num_rows:
                released(cut.delivery)
                yield cut
            if offset <= before:
                return

    def leave(self) -> None:
        """Let the next reader in."""
        if self._last is not None:
            self._groups.leave(self._last, self._member)

    def _plan(self) -> Plan:
        self._last = self._deliveries.plan(self._request())
        return self._last


def released(delivery: Delivery) -> None:
    """On record before it leaves; stands where the ledger's entry will (rules.md, Ledger)."""
    security.info(
        "released",
        agency=delivery.plan.agency,
        grant=delivery.plan.grant,
        purpose=delivery.plan.purpose,
        topic=delivery.plan.topic,
        records=delivery.records.num_rows,
        positions={str(p): n for p, n in delivery.positions.items()},
        fields=delivery.plan.fingerprint,
    )
