"""The catalogue of a project: everything its files declare, and every mistake in them at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import BaseModel

from hub.access.grants import Grant
from hub.access.plan import Contract
from hub.avro.types import Record
from hub.catalogue.bindings import User, Users, check_secrets, check_unbound, check_users, read_bindings
from hub.catalogue.checks import (
    Context,
    Discover,
    check_connector,
    check_grant,
    check_same,
    check_topic,
    with_source,
)
from hub.catalogue.codes import load_codes
from hub.catalogue.declared import Declared, read_agencies, read_folder
from hub.catalogue.maps import Boundaries, Map, check_map, read_boundaries
from hub.catalogue.mistakes import Mistake, Place, did_you_mean
from hub.catalogue.notify import NotifySpec, with_channel
from hub.catalogue.pushed import check_granted, with_sink
from hub.catalogue.remains import besides, remains
from hub.catalogue.schema_files import SchemaFile, SchemaFiles
from hub.catalogue.specs import AgencySpec, ConnectorSpec, GrantSpec, MapSpec, SubscriptionSpec, TopicSpec
from hub.errors import NotFound
from hub.mapping.codelists import CodeLists


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """What is declared and sound. A file with a mistake is left out whole; the others stay."""

    agencies: Mapping[str, AgencySpec] = field(default_factory=dict)
    connectors: Mapping[str, ConnectorSpec] = field(default_factory=dict)  # `source` is its kind's value
    topics: Mapping[str, TopicSpec] = field(default_factory=dict)
    grants: Mapping[str, GrantSpec] = field(default_factory=dict)
    subscriptions: Mapping[str, SubscriptionSpec] = field(default_factory=dict)  # `sink` is its kind's value
    maps: Mapping[str, Map] = field(default_factory=dict)
    notify: Mapping[str, NotifySpec] = field(default_factory=dict)  # `channel` is its kind's value
    access_grants: Sequence[Grant] = ()  # the grants, as access decides by them
    schemas: Mapping[str, SchemaFile] = field(default_factory=dict)  # of the connectors, by the name they use
    codes: CodeLists = field(default_factory=CodeLists)
    mistakes: Sequence[Mistake] = ()  # by file and line
    warnings: Sequence[Mistake] = ()  # worth saying, but nothing is left out for them

    @classmethod
    def load(
        cls,
        project: Path,
        kinds: Mapping[str, type[BaseModel]],
        *,
        sinks: Mapping[str, type[BaseModel]] | None = None,
        schema_dirs: Sequence[Path] | None = None,
        discover: Discover | None = None,
        today: date | None = None,
        instead: Mapping[str, bytes] | None = None,
    ) -> Catalogue:
        """Read a project. Never raises for what a file says.

        `kinds` has the settings model of each kind of source, `sinks` of each kind of sink. `schema_dirs` come in the order
        they are looked through, the project's own by default. `discover` gives a connector's source columns, or None where
        they are not known; without it expressions are checked for everything but their columns. `today` (UTC) warns of
        grants that ended. `instead` has texts of connectors by file, which count as what stands there.
        """
        folders = list(schema_dirs) if schema_dirs is not None else [project / "schemas"]
        return _Loader(project, kinds, sinks or {}, folders, discover, instead or {}).catalogue(today)

    def schema_text(self, name: str) -> str:
        """A connector's Avro schema as written. Raises NotFound."""
        if name not in self.schemas:
            raise NotFound(f"there is no schema {name}", remedy=did_you_mean(name, self.schemas))
        return self.schemas[name].text

    def publisher(self, topic: str) -> ConnectorSpec | None:
        """A connector that publishes a topic. All of one topic share schema, mode and key."""
        return next((c for c in self.connectors.values() if c.publish.topic == topic), None)

    def contract(self, topic: str, schema: Record) -> Contract | None:
        """What access must know of a topic whose newest schema is this one.

        None when it is not declared or nothing sound publishes it: without its key nobody can say what a deletion may
        show, so nothing is delivered."""
        spec, publisher = self.topics.get(topic), self.publisher(topic)
        if spec is None or publisher is None:
            return None
        key = publisher.publish.key if publisher.publish.mode != "append" else ()
        return Contract(topic=topic, schema=schema, key=key, scope=spec.scope, sharing=spec.sharing)


class _Loader:
    """Reads all files first, then checks them against each other, then leaves out what has mistakes."""

    def __init__(
        self,
        project: Path,
        kinds: Mapping[str, type[BaseModel]],
        sinks: Mapping[str, type[BaseModel]],
        folders: Sequence[Path],
        discover: Discover | None,
        instead: Mapping[str, bytes],
    ) -> None:
        self.project, self.bindings = project, read_bindings(project)
        agencies = read_agencies(project)
        shipped = [d for d in folders if not d.is_relative_to(project)]
        codes, code_mistakes = load_codes(folders, {d: _shown(d, project) for d in folders}, shipped=shipped)
        topics = read_folder(project, "topics.d", TopicSpec, "topic")
        connectors = read_folder(project, "connectors.d", ConnectorSpec, "connector", instead)
        grants = read_folder(project, "grants.d", GrantSpec, "grant")
        subscriptions = read_folder(project, "subscriptions.d", SubscriptionSpec, "subscription")
        maps = read_folder(project, "maps.d", MapSpec, "map")
        notify = read_folder(project, "alerts.d", NotifySpec, "notify")
        folder_mistakes = (f.mistakes for f in (topics, connectors, grants, subscriptions, maps, notify))
        self.mistakes = [
            *agencies.mistakes,
            *self.bindings.mistakes,
            *code_mistakes,
            *itertools.chain(*folder_mistakes),
        ]
        self.topics, self.grants, self.maps = topics.declared, grants.declared, maps.declared
        self.context = Context(
            agencies=agencies.declared,
            claimed_agencies=agencies.claimed,
            topics={t.spec.topic: t for t in reversed(topics.declared)},
            claimed_topics=topics.claimed,
            schemas=SchemaFiles(folders=folders),
            codes=codes,
            kinds=kinds,
            sinks=sinks,
            discover=discover,
        )
        self.connectors = [self._checked(c) for c in connectors.declared]
        for place in connectors.malformed:
            self._malformed_connector(place)
        self.malformed_grants = grants.malformed
        self.subscriptions = [self._with_sink(s) for s in subscriptions.declared]
        for place in subscriptions.malformed:
            self._malformed_subscription(place)
        self.notify = []
        for ready, found in map(with_channel, notify.declared):
            self.notify.append(ready)
            self.mistakes += found
        self.claimed: Mapping[Users, Mapping[str, str]] = {
            "connectors": connectors.claimed,
            "subscriptions": subscriptions.claimed,
            "alerts": notify.claimed,
        }
        self.users = [(User(kind="connectors", name=c.spec.connector), c.place) for c in connectors.declared]
        self.users += [(User(kind="subscriptions", name=s.spec.subscription), s.place) for s in subscriptions.declared]
        self.users += [(User(kind="alerts", name=n.spec.notify), n.place) for n in notify.declared]
        for user, place in self.users:
            self.mistakes += check_secrets(place, user, self.bindings)

    def _malformed_connector(self, place: Place) -> None:
        """Nobody wants to mend a file's form only to learn of its next mistakes."""
        left = remains(ConnectorSpec, place.document.data)
        if left is not None:
            ready, found = with_source(Declared(spec=left[0], place=place), self.context)
            found += check_connector(ready, self.context, look=False)
            self.mistakes += besides(iter(found), left[1])

    def _malformed_grant(self, place: Place, publishers: Mapping[str, ConnectorSpec]) -> None:
        left = remains(GrantSpec, place.document.data)
        if left is not None:
            one = Declared(spec=left[0], place=place)
            self.mistakes += besides(check_grant(one, publishers.get(one.spec.topic), self.context), left[1])

    def _with_sink(self, one: Declared[SubscriptionSpec]) -> Declared[SubscriptionSpec]:
        ready, found = with_sink(one, self.context)
        self.mistakes += found
        return ready

    def _malformed_subscription(self, place: Place) -> None:
        left = remains(SubscriptionSpec, place.document.data)
        if left is not None:
            self.mistakes += besides(iter(with_sink(Declared(spec=left[0], place=place), self.context)[1]), left[1])

    def _checked(self, one: Declared[ConnectorSpec]) -> Declared[ConnectorSpec]:
        """A connector with its source's own value. Columns are looked for only where the source is sound."""
        ready, found = with_source(one, self.context)
        self.mistakes += found
        self.mistakes += check_connector(ready, self.context, look=not found)
        return ready

    def catalogue(self, today: date | None) -> Catalogue:
        """What is sound, and all mistakes."""
        publishers = self._publishers()
        for topic in self.topics:
            self.mistakes += check_topic(topic, publishers.get(topic.spec.topic), self.context)
        for grant in self.grants:
            self.mistakes += check_grant(grant, publishers.get(grant.spec.topic), self.context)
        for place in self.malformed_grants:
            self._malformed_grant(place, publishers)
        maps = [self._map(one, publishers.get(one.spec.topic)) for one in self.maps]
        bad = {m.file for m in self.mistakes}
        topics = {t.spec.topic: t.spec for t in self.topics if t.file not in bad}
        connectors = [c.spec for c in self.connectors if c.file not in bad and c.spec.publish.topic in topics]
        grants = [g for g in self.grants if g.file not in bad and g.spec.topic in topics]
        subscriptions = [s for s in self.subscriptions if s.file not in bad]
        for one in subscriptions:  # without a grant it stays: it is refused for as long as it has none, and says so
            self.mistakes += check_granted(one, [g.spec for g in grants])
        return Catalogue(
            agencies=self.context.agencies,
            connectors={c.connector: c for c in connectors},
            topics=topics,
            grants={g.spec.grant: g.spec for g in grants},
            subscriptions={s.spec.subscription: s.spec for s in subscriptions},
            maps={m.spec.map: m for m in maps if m is not None and m.spec.topic in topics},
            notify={n.spec.notify: n.spec for n in self.notify if n.file not in bad},
            access_grants=tuple(g.spec.to_grant() for g in grants),
            schemas=self._schemas(connectors),
            codes=self.context.codes,
            mistakes=tuple(sorted(self.mistakes, key=lambda m: (m.file, m.line, m.path))),
            warnings=(*self._unbound(), *(_ended(g, today) for g in grants if today and g.spec.ended(today))),
        )

    def _unbound(self) -> Iterator[Mistake]:
        """What `bindings.yaml` says of nobody, or does not say."""
        yield from check_users(self.bindings, self.claimed)
        yield from check_unbound([place for _user, place in self.users], self.bindings)

    def _map(self, one: Declared[MapSpec], publisher: ConnectorSpec | None) -> Map | None:
        """The map with its regions, unless something is wrong with it."""
        found = read_boundaries(self.project, one)
        mistakes = [*check_map(one, publisher, self.context), *(found if isinstance(found, list) else ())]
        if isinstance(found, Boundaries):
            made, wrong = found.joined(one, self.context.codes)
            if not mistakes and not wrong:
                return made
            mistakes += wrong
        self.mistakes += mistakes
        return None

    def _publishers(self) -> dict[str, ConnectorSpec]:
        """The first connector of each topic, sound ones before others; a later one must agree with it."""
        bad = {m.file for m in self.mistakes}
        first: dict[str, Declared[ConnectorSpec]] = {}
        for one in sorted(self.connectors, key=lambda c: c.file in bad):
            before = first.setdefault(one.spec.publish.topic, one)
            if before is not one:
                self.mistakes += check_same(one, before)
        return {topic: one.spec for topic, one in first.items()}

    def _schemas(self, connectors: Sequence[ConnectorSpec]) -> dict[str, SchemaFile]:
        found = ((c.publish.schema_file, self.context.schemas.get(c.publish.schema_file)) for c in connectors)
        return {name: schema for name, schema in found if isinstance(schema, SchemaFile)}


def _ended(one: Declared[GrantSpec], today: date) -> Mistake:
    return one.place.mistake(("until",), f"the grant ended on {one.spec.until}, before {today}", "extend or remove it")


def _shown(folder: Path, project: Path) -> str:
    """A schema folder in mistakes: relative to the project where it is the project's."""
    if folder.is_relative_to(project):
        return folder.relative_to(project).as_posix()
    return f"shipped {folder.name}"
