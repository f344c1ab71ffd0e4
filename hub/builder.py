"""From a connector's file to a task: schema registered, topic ensured, mapping and source ready."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from connectors import KINDS, SINKS
from connectors.context import SinkContext, SourceContext
from connectors.outbound import Outbound
from hub.avro.types import Enum, Record, Type, Union
from hub.catalogue.bindings import Bindings, User, read_bindings
from hub.catalogue.bindings import references as references_in
from hub.catalogue.load import Catalogue
from hub.catalogue.notify import EmailChannel, NotifySpec, WebhookChannel
from hub.catalogue.specs import ConnectorSpec, SubscriptionSpec
from hub.errors import ConfigurationInvalid, DatongError, NotFound, SchemaIncompatible
from hub.mapping.codelists import CodeLists
from hub.mapping.program import columns_used
from hub.model import Finding, Mode, Report
from hub.pipeline.plan import TaskLimits, TaskPlan, mapping_version
from hub.pipeline.schedule import Schedule
from hub.ports import Away, Intake, LogWriter, Remembered, Sink, Source
from hub.secrets import Secrets
from hub.settings import Settings, is_everywhere

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from connectors.channels import Hook, Mail
    from hub.registry import Schemas

PUSH_EVERY = timedelta(seconds=1)
SQLITE = "sqlite:///"
FARTHEST_AHEAD = timedelta(hours=14)  # of UTC: where on earth a day begins first


class ConnectorBuilder:
    """Implements `hub.pipeline.jobs.Builder` over a catalogue that may be read again while the hub runs."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, registry: Schemas, log: LogWriter, intake: Intake
    ) -> None:
        self._settings, self.catalogue, self._registry, self._log = settings, catalogue, registry, log
        self._intake = intake

    def plan(self, name: str) -> TaskPlan:
        """Register the schema (BACKWARD enforced), ensure the topic, and put the plan together."""
        spec = self._spec(name)
        text = self.catalogue.schemas[spec.publish.schema_file].text
        try:
            schema_id = self._registry.register(f"{spec.publish.topic}-value", text).id
        except SchemaIncompatible as error:
            from hub.catalogue.uses import refusal  # which loads the store; a look at a project needs none

            raise refusal(error, spec.publish.topic, self.catalogue.access_grants) from error
        made = draft(spec, self.catalogue, self._settings, schema_id=schema_id)
        self._log.ensure(made.topic)
        return made

    def source(self, name: str, plan: TaskPlan, remembered: Remembered, away: Away) -> Source:
        """Open the connector's source, reading only the columns that the mapping uses."""
        spec, columns = self._spec(name), frozenset(columns_used(plan.mapping))
        context = context_of(self._settings, name, spec.source, spec.publish.mode, columns)
        running = replace(context, remembered=remembered, away=away, intake=self._intake)
        return KINDS[spec.kind].build(spec.source, running)

    def _spec(self, name: str) -> ConnectorSpec:
        spec = self.catalogue.connectors.get(name)
        if spec is None:
            raise NotFound(f"there is no valid connector {name}", remedy="`datong validate` shows what is wrong")
        return spec


def draft(spec: ConnectorSpec, catalogue: Catalogue, settings: Settings, *, schema_id: int = 0) -> TaskPlan:
    """The plan of a connector, registering nothing: for previews, with schema id 0."""
    publish = spec.publish
    topic = catalogue.topics.get(publish.topic)
    if topic is None:
        raise ConfigurationInvalid(f"topic {publish.topic} is not declared", remedy="declare it in topics.d/")
    schema = catalogue.schemas[publish.schema_file]
    record = schema.record
    keyed = publish.mode != "append"
    return TaskPlan(
        connector=spec.connector,
        agency=spec.agency,
        topic=topic.to_log_topic(compacted=keyed),
        mode=publish.mode,
        key=publish.key,
        scope=topic.scope if keyed else (),
        event_time=topic.event_time,
        mapping=publish.mapping,
        codes=references(catalogue, settings, spec.connector),
        record=record,
        target=schema.columns,
        symbols=symbols_of(record),
        schema_id=schema_id,
        mapping_version=mapping_version(publish.mapping, schema.text, catalogue.codes.versions),
        limits=limits_of(spec, settings),
    )


def limits_of(spec: ConnectorSpec, settings: Settings) -> TaskLimits:
    """When the connector pauses by itself: as it says, else as the settings do."""
    breaker = settings.breaker.model_dump() | spec.breaker.model_dump(exclude_none=True)
    return TaskLimits(
        breaker_share=breaker["share"],
        breaker_window=breaker["window"],
        breaker_in_a_row=breaker["in_a_row"],
        deletions_share=settings.deletions.max_share,
    )


def references(catalogue: Catalogue, settings: Settings, connector: str) -> CodeLists:
    """The code lists of a project, with the connector's keys and the day: what functions are given and never fetch (R14)."""
    secrets = _secrets(settings, read_bindings(settings.root), User(kind="connectors", name=connector))
    return replace(catalogue.codes, keys=lambda name: secrets.resolve(name).encode(), today=latest_day)


def latest_day() -> date:
    """The latest date that it is anywhere: a birth after it has not happened yet."""
    return (datetime.now(UTC) + FARTHEST_AHEAD).date()


def open_source(spec: ConnectorSpec, settings: Settings, *, columns: frozenset[str] | None = None) -> Source:
    """A connector's source. `columns` None: all."""
    return open_kind(spec.kind, spec.source, settings, task=spec.connector, mode=spec.publish.mode, columns=columns)


def open_kind(
    kind: str, source: Any, settings: Settings, *, task: str, mode: Mode, columns: frozenset[str] | None = None
) -> Source:
    """A source by its kind and that kind's own settings, to look at."""
    return KINDS[kind].build(source, context_of(settings, task, source, mode, columns))


def context_of(settings: Settings, task: str, source: Any, mode: Mode, columns: frozenset[str] | None) -> SourceContext:
    """What every source is given."""
    bindings = read_bindings(settings.root)
    return SourceContext(
        task=task,
        root=settings.files_path.resolve(),
        mode=mode,
        refused=_own(settings),
        columns=columns,
        outbound=_bound(settings, bindings, source),
        secret=_secrets(settings, bindings, User(kind="connectors", name=task)).fill,
    )


def open_sink(spec: SubscriptionSpec, settings: Settings) -> Sink:
    """A subscription's sink. Raises ConfigurationInvalid for a secret that is not there."""
    return SINKS[spec.kind].build(
        spec.sink, _outside(User(kind="subscriptions", name=spec.subscription), spec.sink, settings)
    )


def _outside(user: User, part: Any, settings: Settings) -> SinkContext:
    bindings = read_bindings(settings.root)
    return SinkContext(
        subscription=user.name,
        root=settings.files_path.resolve(),
        refused=_own(settings),
        outbound=_bound(settings, bindings, part),
        secret=_secrets(settings, bindings, user).fill,
    )


def _secrets(settings: Settings, bindings: Bindings, user: User) -> Secrets:
    """Those that this user may have."""
    return Secrets(settings.root, require=lambda name: bindings.require(name, user))


def _bound(settings: Settings, bindings: Bindings, part: BaseModel) -> Outbound:
    """Where a source, sink or channel may connect, and how: no farther than the secrets that it names may go."""
    named = {name for _path, name in references_in(part.model_dump())}
    return replace(outbound_of(settings), only=bindings.hosts(named), sealed=bindings.sealed(named))


def open_channel(spec: NotifySpec, settings: Settings) -> Hook | Mail:
    """How somebody is told of alerts. Raises ConfigurationInvalid for a secret or a file that is not there."""
    from connectors.channels import Hook, Mail  # commands start without mail

    made, context = spec.channel, _outside(User(kind="alerts", name=spec.notify), spec.channel, settings)
    ca_file = context.certificate(made.ca_file)
    if isinstance(made, WebhookChannel):
        secret = context.secret(made.secret)
        return Hook(outbound=context.outbound, url=made.url, secret=secret, reference=made.secret, ca_file=ca_file)
    assert isinstance(made, EmailChannel)
    return Mail(
        outbound=context.outbound,
        host=made.host,
        port=made.port,
        starttls=made.security == "starttls",
        username=made.username,
        password=context.secret(made.password),
        sender=made.sender,
        to=made.to,
        ca_file=ca_file,
    )


def _own(settings: Settings) -> tuple[Path, ...]:
    """Directories and files that are nobody's but the hub's, whatever they are called (`connectors.below` knows by name)."""
    key = settings.kafka.key_file
    own = [settings.data_path, settings.root / "secrets.d", *([settings.root / key] if key else [])]
    own += [Path(settings.store.url.removeprefix(SQLITE))] if settings.store.url.startswith(SQLITE) else []
    return tuple(path.resolve() for path in own)


def check_source(spec: ConnectorSpec, settings: Settings) -> Report:
    """Whether a connector's source is reachable and readable."""
    try:
        with closing(open_source(spec, settings)) as source:
            return source.check()
    except DatongError as error:
        finding = Finding(name=spec.connector, ok=False, detail=error.statement, remedy=error.remedy)
        return Report(findings=[finding])


def outbound_of(settings: Settings) -> Outbound:
    """Where sources may connect: never to this hub, its Kafka, its database or the registry it uses (R17)."""
    ports = {port for port in (settings.http.port, settings.registry.port, settings.connect.port) if port}
    own = {(host.lower(), port) for host in (settings.http.host, *settings.http.allowed_hosts) for port in ports}
    brokers = settings.log.url.removeprefix("kafka://").split(",") if settings.log.url else []
    own |= {(host.lower(), int(port)) for host, _, port in (b.rpartition(":") for b in brokers)}
    if settings.store.url.startswith("postgresql"):
        from sqlalchemy.engine import make_url

        store = make_url(settings.store.url)
        own |= _places(store)
    if settings.registry.url:
        import httpx

        registry = httpx.URL(settings.registry.url)
        own.add((registry.host.lower(), registry.port or (443 if registry.scheme == "https" else 80)))
    ports |= {port for host, port in own if host == "localhost" or host.startswith("127.") or host == "::1"}
    return Outbound(
        allowed=frozenset(a.lower() for a in settings.outbound.allow),
        own=frozenset(own),
        own_ports=frozenset(ports),
        everywhere=is_everywhere(settings.http.host),
    )


def _places(store: URL) -> set[tuple[str, int]]:
    """Every server of the store's URL: one in its usual place, or several as `?host=a:5432&host=b:5432`."""
    given = store.query.get("host", ())
    several = [place.rpartition(":") for place in ((given,) if isinstance(given, str) else given)]
    found = {(host.lower(), int(port)) for host, _, port in several if host and port.isdecimal()}
    return found or {((store.host or "localhost").lower(), store.port or 5432)}


def schedule_of(spec: ConnectorSpec) -> Schedule:
    """When a connector is due."""
    timing = spec.timing
    return Schedule(kind=timing.kind, cron=timing.cron, every=timing.every)


def push_schedule_of(spec: SubscriptionSpec) -> Schedule:
    """A subscription is pushed all the time; a run that ended is followed by the next."""
    return Schedule(kind="manual") if spec.paused else Schedule(kind="interval", every=PUSH_EVERY)


def symbols_of(record: Record, prefix: str = "") -> dict[str, tuple[str, ...]]:
    """Enum symbols by dotted path, so that the mapping can say UNKNOWN_SYMBOL with the field."""
    found: dict[str, tuple[str, ...]] = {}
    for field in record.fields:
        inner: Type | None = field.type.nullable if isinstance(field.type, Union) else field.type
        if isinstance(inner, Enum):
            found[prefix + field.name] = inner.symbols
        elif isinstance(inner, Record):
            found |= symbols_of(inner, f"{prefix}{field.name}.")
    return found
