"""The catalogue of a project: everything its files declare, and every mistake in them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import BaseModel

from hub.access.grants import Grant
from hub.access.plan import Contract
from hub.avro.types import Record
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
from hub.catalogue.declared import Declared, Folder, read_agencies, read_folder
from hub.catalogue.mistakes import Mistake
from hub.catalogue.schemas import SchemaFile, SchemaFiles
from hub.catalogue.specs import AgencySpec, ConnectorSpec, GrantSpec, TopicSpec
from hub.mapping.codelists import CodeLists


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """What is declared and sound. A file with a mistake is left out whole; the others stay."""

    agencies: Mapping[str, AgencySpec] = field(default_factory=dict)
    connectors: Mapping[str, ConnectorSpec] = field(default_factory=dict)  # `source` is its kind's value
    topics: Mapping[str, TopicSpec] = field(default_factory=dict)
    grants: Mapping[str, GrantSpec] = field(default_factory=dict)
    access_grants: Sequence[Grant] = ()  # the same, as access decides by them
    schemas: Mapping[str, SchemaFile] = field(default_factory=dict)  # by the name connectors use
    codes: CodeLists = field(default_factory=CodeLists)
    mistakes: Sequence[Mistake] = ()  # by file and line
    warnings: Sequence[Mistake] = ()  # worth saying, but nothing is left out for them

    @classmethod
    def load(
        cls,
        project: Path,
        kinds: Mapping[str, type[BaseModel]],
        *,
        schema_dirs: Sequence[Path] | None = None,
        discover: Discover | None = None,
        today: date | None = None,
    ) -> Catalogue:
        """Read a project. Never raises for what a file says.

        `kinds` has the settings model of each kind of source. `schema_dirs` come in the order they are looked through,
        the project's own by default. `discover` gives a connector's source columns, or None where they are not known;
        without it expressions are checked for everything but their columns' types. `today` warns of grants that ended.
        """
        return _Loader(project, kinds, schema_dirs or [project / "schemas"], discover).catalogue(today)

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
        keyed = publisher.publish.mode != "append"
        key = publisher.publish.key if keyed else ()
        return Contract(topic=topic, schema=schema, key=key, scope=spec.scope, sharing=spec.sharing)


class _Loader:
    """Reads all files first, then checks them against each other, then leaves out what has mistakes."""

    def __init__(
        self,
        project: Path,
        kinds: Mapping[str, type[BaseModel]],
        schema_dirs: Sequence[Path],
        discover: Discover | None,
    ) -> None:
        self.mistakes: list[Mistake] = []
        self.agencies, found = read_agencies(project)
        self.mistakes += found
        codes, found = load_codes(schema_dirs, {d: _shown(d, project) for d in schema_dirs})
        self.mistakes += found
        topics = self._folder(read_folder(project, "topics.d", TopicSpec, "topic"))
        self.context = Context(
            agencies=self.agencies,
            topics=_first({t.spec.topic: t for t in reversed(topics.declared)}),
            claimed_topics=topics.claimed,
            schemas=SchemaFiles(folders=schema_dirs),
            codes=codes,
            kinds=kinds,
            discover=discover,
        )
        connectors = self._folder(read_folder(project, "connectors.d", ConnectorSpec, "connector"))
        self.connectors = [self._with_source(c) for c in connectors.declared]
        self.grants = self._folder(read_folder(project, "grants.d", GrantSpec, "grant")).declared
        self.topics = topics.declared

    def catalogue(self, today: date | None) -> Catalogue:
        for connector in self.connectors:
            if not self._source_broken(connector):
                self.mistakes += check_connector(connector, self.context)
        publishers = self._publishers()
        for topic in self.topics:
            self.mistakes += check_topic(topic, publishers.get(topic.spec.topic), self.context)
        for grant in self.grants:
            self.mistakes += check_grant(grant, publishers.get(grant.spec.topic), self.context)
        return self._sound(today)

    def _folder(self, folder: Folder[Of]) -> Folder[Of]:
        self.mistakes += folder.mistakes
        return folder
