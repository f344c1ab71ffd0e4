"""What may stand in the files of `connectors.d`, `topics.d`, `grants.d`, `subscriptions.d`,
`maps.d` and in `agencies.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from hub.access.grants import Grant
from hub.access.plan import Sharing
from hub.mapping.program import MappingSpec, columns_used
from hub.model import MAX_TOPIC_NAME, TOPIC_NAME, Mode, Topic

UNITS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
MAX_DURATION = timedelta(days=36_500)
MAX_DEPTH = 16  # of nested targets
NAME = r"^[a-z0-9][a-z0-9-]{0,99}$"
ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)  # where the search for a first due time begins


def parse_duration(text: object) -> timedelta:
    """`26h`, `15m`, `7d`, `1h30m`. Raises ValueError."""
    found = re.findall(r"([0-9]{1,9})([smhdw])", text) if isinstance(text, str) else []
    if not found or "".join(n + u for n, u in found) != text:
        raise ValueError("must be a duration | such as 90s, 15m, 26h, 7d or 1h30m")
    made = timedelta(seconds=sum(int(n) * UNITS[u] for n, u in found))
    if not timedelta(0) < made <= MAX_DURATION:
        raise ValueError("must be longer than nothing and at most a hundred years")
    return made


def _duration(value: object) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(value)


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]+[smhdw])+$", "examples": ["15m", "26h", "7d"]}),
]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When a connector runs; the arguments of a schedule."""

    kind: Literal["cron", "interval", "once", "continuous", "manual"]
    cron: str = ""  # five fields, in UTC
    every: timedelta = timedelta(0)


def parse_timing(text: str | None) -> Timing:
    """`0 3 * * *`, `every 15m`, `once`, `continuous`, or None for runs by hand only. Raises ValueError."""
    if text is None:
        return Timing(kind="manual")
    if text == "once":
        return Timing(kind="once")
    if text == "continuous":
        return Timing(kind="continuous")
    if text.startswith("every "):
        return Timing(kind="interval", every=parse_duration(text.removeprefix("every ").strip()))
    try:
        next(CronSim(text, ANY_DAY))
    except (CronSimError, StopIteration):
        raise ValueError(
            "is no schedule that is ever due | five cron fields such as `0 3 * * *`, `every 15m`, `once` or `continuous`"
        ) from None
    return Timing(kind="cron", cron=text)


def _flat(value: object, depth: int = 0) -> object:
    """Nested targets by dotted path; anything odd stays for the model to refuse."""
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return value
    made: dict[Any, Any] = {}
    for name, inner in value.items():
        below = _flat(inner, depth + 1)
        entries = {f"{name}.{k}": v for k, v in below.items()} if isinstance(below, dict) and below else {name: inner}
        if made.keys() & entries.keys():
            raise ValueError(f"gives `{next(iter(made.keys() & entries.keys()))}` twice")
        made |= entries
    return made


def _text(value: object) -> object:
    return {"en": value} if isinstance(value, str) else value


def _topic_name(value: str) -> str:
    if not TOPIC_NAME.fullmatch(value) or len(value) > MAX_TOPIC_NAME:
        raise ValueError("is not a topic name | agency.domain.entity.v1, in lower case")
    return value


class Spec(BaseModel):
    """A part of a file. Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Text(Spec):
    """Words for people, in English and Chinese."""

    en: str = Field(description="English.", min_length=1, max_length=4000)
    zh: str = Field("", description="Chinese.", max_length=4000)


Words = Annotated[Text, BeforeValidator(_text, json_schema_input_type=str | Text)]
Nested = dict[str, str | dict[str, Any]]
TopicName = Annotated[str, BeforeValidator(lambda v: _topic_name(v) if isinstance(v, str) else v)]
Name = Annotated[str, Field(pattern=NAME)]
Expression = Annotated[str, Field(min_length=1, max_length=2000)]


class AgencySpec(Spec):
    """A public body that publishes or subscribes."""

    id: Name = Field(description="First segment of the agency's topics: lower case, digits, hyphens.")
    name: Words = Field(description="Its name.")


class PublishSpec(Spec):
    """What becomes of the source's rows."""

    topic: TopicName = Field(description="The topic, declared in `topics.d`. Its first segment is the agency (R9).")
    schema_file: str = Field(
        alias="schema", description="Avro schema below `schemas/`, such as `education/school.avsc`.", max_length=300
    )
    key: tuple[str, ...] = Field((), description="Fields that identify a record; required for upsert and snapshot.")
    mode: Mode = Field(
        "append",
        description="`append`: every row is a record. `upsert`: keyed, changes are published, nothing is deleted. "
        "`snapshot`: keyed, each run is the whole; differences and deletions are published.",
    )
    where: Expression | None = Field(None, description="Condition over source columns; other rows are filtered out.")
    fields: Annotated[dict[str, Expression], BeforeValidator(_flat, json_schema_input_type=Nested)] = Field(
        description="An expression over source columns for each field of the schema; nested, or as `address.street`.",
        min_length=1,
    )
    checks: dict[str, Expression] = Field(
        {}, description="Conditions over the target's fields by name; a row for which one is false is quarantined."
    )
    optional: tuple[str, ...] = Field((), description="Source columns that may be missing; they are then NULL (R13).")

    @field_validator("key", "optional")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(value)

    @property
    def mapping(self) -> MappingSpec:
        """The mapping part, for `hub.mapping`."""
        return MappingSpec(fields=self.fields, where=self.where, checks=self.checks, optional=self.optional)


class BreakerSpec(Spec):
    """When a connector pauses by itself (R21); what is not given is as the settings `breaker.*` say."""

    share: float | None = Field(
        None, description="Share of the last `window` rows that went to quarantine.", gt=0, le=1
    )
    window: int | None = Field(None, description="Rows over which the share counts.", ge=1, le=1_000_000)
    in_a_row: int | None = Field(None, description="Quarantined rows, one after the other.", ge=1, le=1_000_000)


class ConnectorSpec(Spec):
    """A connector: where rows come from, when, and what is published of them."""

    connector: Name = Field(description="Its name: lower case, digits, hyphens.")
    agency: Name = Field(description="The agency that publishes, declared in `agencies.yaml`.")
    description: Words | None = Field(None, description="What it is for.")
    source: Any = Field(description="`kind` and the settings of that kind of source.")
    schedule: str | None = Field(
        None,
        description="Cron in UTC (`0 3 * * *`), `every 15m`, `once`, or `continuous` for a source that waits for more by "
        "itself; without it runs are started by hand.",
    )
    publish: PublishSpec = Field(description="Topic, schema and mapping.")
    breaker: BreakerSpec = Field(
        BreakerSpec(), description="When it pauses because too many rows go to quarantine, in place of the settings."
    )

    @field_validator("schedule")
    @classmethod
    def _due(cls, value: str | None) -> str | None:
        parse_timing(value)
        return value

    @property
    def kind(self) -> str:
        """The kind of source."""
        found = self.source.get("kind") if isinstance(self.source, dict) else getattr(self.source, "kind", "")
        return found if isinstance(found, str) else ""

    @property
    def timing(self) -> Timing:
        """The schedule, parsed."""
        return parse_timing(self.schedule)


class RetentionSpec(Spec):
    """When records of an append topic may go (R8)."""

    age: Duration | None = Field(None, description="Age after which records may go.")
    bytes: int | None = Field(None, description="Bytes per partition after which the oldest may go.", ge=1024 * 1024)


class TopicSpec(Spec):
    """The contract of a topic."""

    topic: TopicName = Field(description="agency.domain.entity.vN.")
    title: Words = Field(description="Its title.")
    description: Words | None = Field(None, description="What a record is, and what is left out.")
    partitions: int = Field(1, description="Partitions; fixed for the life of a topic version (R9).", ge=1, le=1000)
    scope: tuple[str, ...] = Field((), description="The fields that row filters may use on a keyed topic (R19).")
    event_time: str | None = Field(
        None,
        description="Date or timestamp field that says when it happened: `ce_time`; freshness is then the age of the newest.",
    )
    freshness: Duration | None = Field(
        None,
        description="The topic is late when it is older than this: by its newest `event_time`, else by the last complete "
        "pass of a snapshot, else by the newest append.",
    )
    sharing: Sharing = Field("conditional", description="Sharing class: unconditional, by grant, or not at all.")
    retention: RetentionSpec | None = Field(None, description="For append topics. Keyed topics are compacted instead.")
    theme: str = Field("", description="Theme in the catalogue.", max_length=200)
    keywords: tuple[str, ...] = Field((), description="Keywords in the catalogue.")

    @field_validator("scope")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(value)

    @property
    def agency(self) -> str:
        """The agency that publishes it (R9)."""
        return self.topic.partition(".")[0]

    def to_log_topic(self, *, compacted: bool) -> Topic:
        """What the log must know. `compacted` for modes upsert and snapshot (R8)."""
        kept = None if compacted else self.retention
        age = kept.age if kept else None
        return Topic(
            name=self.topic,
            partitions=self.partitions,
            compacted=compacted,
            retention_ms=None if age is None else round(age.total_seconds() * 1000),
            retention_bytes=kept.bytes if kept else None,
        )


class GrantSpec(Spec):
    """What an agency may read of a topic, for which purpose, until when."""

    grant: Name = Field(description="Its name: lower case, digits, hyphens.")
    agency: Name = Field(description="The agency that may read, declared in `agencies.yaml`.")
    topic: TopicName = Field(description="The topic, declared in `topics.d`.")
    purpose: str = Field(description="What the data may be used for.", min_length=1, max_length=1000)
    fields: tuple[str, ...] = Field(
        description="Fields that are delivered; `address.street` is one field of a record.", min_length=1
    )
    where: Expression | None = Field(None, description="Condition over topic fields; only such rows are delivered.")
    until: date | None = Field(None, description="Last day on which it holds, in UTC.")

    @field_validator("fields")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(value)

    def ended(self, today: date) -> bool:
        """Is its last day over?"""
        return self.until is not None and self.until < today

    @property
    def filter_fields(self) -> tuple[str, ...]:
        """Top-level topic fields that `where` names. Raises ExpressionInvalid."""
        if self.where is None:
            return ()
        used = columns_used(MappingSpec(fields={}, where=self.where))
        return tuple(sorted({name.partition(".")[0] for name in used}))

    def to_grant(self) -> Grant:
        """The value that access decides by. Raises ExpressionInvalid."""
        return Grant(
            name=self.grant,
            agency=self.agency,
            topic=self.topic,
            purpose=self.purpose,
            fields=self.fields,
            where=self.where,
            filter_fields=self.filter_fields,
            until=self.until,
        )


class SubscriptionSpec(Spec):
    """A subscription that the hub pushes: what a grant lets an agency read, carried to a system of the agency's own."""

    subscription: Name = Field(description="Its name: lower case, digits, hyphens.")
    grant: Name | None = Field(None, description="The grant under which it reads; or give `agency` and `topic`.")
    agency: Name | None = Field(
        None, description="The agency that reads, in place of `grant` where it has one on `topic`."
    )
    topic: TopicName | None = Field(None, description="The topic that it reads, in place of `grant`.")
    group: Name | None = Field(None, description="The group whose offsets it commits; by default its own name.")
    description: Words | None = Field(None, description="What it is for.")
    sink: Any = Field(description="`kind` and the settings of that kind of sink.")
    paused: bool = Field(False, description="Push nothing until this is taken away.")

    @property
    def kind(self) -> str:
        """The kind of sink."""
        found = self.sink.get("kind") if isinstance(self.sink, dict) else getattr(self.sink, "kind", "")
        return found if isinstance(found, str) else ""

    @property
    def reads_as(self) -> str:
        """The group."""
        return self.group or self.subscription


class MapSpec(Spec):
    """A map: what a topic has of each region."""

    map: Name = Field(description="Its name: lower case, digits, hyphens.")
    title: Words = Field(description="Its title.")
    boundaries: str = Field(
        description="GeoJSON file of the project with a Polygon or MultiPolygon for each region.",
        min_length=1,
        max_length=300,
    )
    key: str = Field(description="Property of the regions that is their code.", min_length=1, max_length=100)
    label: str | None = Field(None, description="Property that is their name; the key without it.", max_length=100)
    topic: TopicName = Field(description="The topic, declared in `topics.d`.")
    field: str = Field(description="Plain field of the topic that says the region.", min_length=1, max_length=200)
    code_list: str | None = Field(
        None,
        description="Code list that both are codes of: then `3`, `03` and the region's name are the same. Without it they "
        "are compared letter by letter.",
        max_length=100,
    )
    measure: Literal["records", "freshness", "quarantine"] = Field(
        "records",
        description="`records`: how many there are now. `freshness`: seconds since the newest one came. `quarantine`: the "
        "share of rows that are in quarantine.",
    )


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    again = [v for i, v in enumerate(value) if v in value[:i]]
    if again:
        raise ValueError(f"names `{again[0]}` twice")
    return value
