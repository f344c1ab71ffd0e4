"""The schema registry's core: ids that name one schema for ever, and no incompatible change (G10).

An id comes from a database constraint, never from an election or a cache: any number of processes may register at once.
Schemas that were seen once are kept in memory: an outage of the store does not stop what is already running.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy.engine import Connection

from hub.avro import compat
from hub.avro.schema import parse
from hub.avro.types import Schema, Type
from hub.errors import NotFound, SchemaIncompatible, SchemaInvalid
from hub.registry import rows
from hub.registry.model import Level, Reference, Registered, SchemaVersion, StoredSchema, check_subject, level_of
from hub.store import Store
from hub.store.engine import reading, writing
from hub.store.tables import GLOBAL_SUBJECT

CACHED_SCHEMAS = 1_000
MAX_REFERENCE_DEPTH = 32
T = TypeVar("T")


class Registry:
    """All subjects of a store. Safe from many threads; several processes may use one store."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine
        self._lock = threading.Lock()
        self._stored: OrderedDict[int, StoredSchema] = OrderedDict()
        self._parsed: OrderedDict[int, Schema] = OrderedDict()

    def register(self, subject: str, text: str, references: Sequence[Reference] = ()) -> Registered:
        """Give a schema an id and the subject a version of it; one that is live there already keeps both.

        Raises SchemaInvalid, or SchemaIncompatible with a sentence for each break; then nothing was stored.
        """
        check_subject(subject)
        new, marks = self._parse(text, references)
        with reading(self._engine) as connection:
            known = rows.live_version(connection, subject, rows.fingerprint(new.canonical, marks))
        if known is None:
            return self._register(subject, new, marks)
        return Registered(known.schema.id, known.version)

    def lookup(self, subject: str, text: str, references: Sequence[Reference] = ()) -> SchemaVersion:
        """The live version of a subject that is this schema. Never registers. Raises NotFound, SchemaInvalid."""
        schema, marks = self._parse(text, references, check_defaults=False)
        with reading(self._engine) as connection:
            found = rows.live_version(connection, subject, rows.fingerprint(schema.canonical, marks))
        if found is None:
            raise NotFound("this schema is not registered there", where=f"subject {subject}")
        return found

    def by_id(self, schema_id: int) -> str:
        """The canonical text of a schema. Raises NotFound."""
        return self.schema(schema_id).text

    def schema(self, schema_id: int) -> StoredSchema:
        """Text and references of a schema, from memory when seen before. Raises NotFound."""
        with self._lock:
            known = self._stored.get(schema_id)
        if known is not None:
            return known
        with reading(self._engine) as connection:
            found = rows.schema_by_id(connection, schema_id)
        if found is None:
            raise NotFound(f"there is no schema {schema_id}")
        with self._lock:
            _remember(self._stored, schema_id, found)
        return found

    def parsed(self, schema_id: int) -> Schema:
        """A schema as a tree, its references included. Raises NotFound."""
        with self._lock:
            known = self._parsed.get(schema_id)
        if known is not None:
            return known
        stored = self.schema(schema_id)
        with reading(self._engine) as connection:
            schema = _tree(connection, stored)
        with self._lock:
            _remember(self._parsed, schema_id, schema)
        return schema

    def subjects(self) -> list[str]:
        """Subjects with a live version, sorted."""
        with reading(self._engine) as connection:
            return rows.subject_names(connection)

    def versions(self, subject: str) -> list[int]:
        """Live versions, ascending. Raises NotFound for a subject without any."""
        return [version.version for version in self._live(subject)]

    def latest(self, subject: str) -> SchemaVersion:
        """The highest live version. Raises NotFound."""
        return self._live(subject)[-1]

    def version(self, subject: str, version: int) -> SchemaVersion:
        """One live version. Raises NotFound."""
        for found in self._live(subject):
            if found.version == version:
                return found
        raise NotFound(f"there is no version {version}", where=f"subject {subject}")

    def incompatibilities(self, subject: str, text: str, references: Sequence[Reference] = ()) -> list[str]:
        """Why `register` would refuse, one sentence each; empty when it would not. Raises SchemaInvalid."""
        new, _marks = self._parse(text, references)
        with reading(self._engine) as connection:
            return _breaks(connection, subject, new)

    def level(self, subject: str | None = None) -> Level:
        """The compatibility level in force for a subject, or the global one."""
        with reading(self._engine) as connection:
            return rows.effective_level(connection, GLOBAL_SUBJECT if subject is None else subject)

    def set_level(self, level: str | None, subject: str | None = None) -> None:
        """Set the level of a subject, or the global one; None goes back to the default. Counts from the next
        registration on. Raises ConfigurationInvalid, SchemaInvalid."""
        if subject is not None:
            check_subject(subject)
        checked = None if level is None else level_of(level)
        with writing(self._engine) as connection:
            rows.put_level(connection, self._engine, GLOBAL_SUBJECT if subject is None else subject, checked)

    def _register(self, subject: str, new: Schema, marks: str) -> Registered:
        with writing(self._engine) as connection:
            rows.lock_subject(connection, self._engine, subject)
            known = rows.live_version(connection, subject, rows.fingerprint(new.canonical, marks))
            if known is not None:  # another registration was first
                return Registered(known.schema.id, known.version)
            breaks = _breaks(connection, subject, new)
            if breaks:
                raise SchemaIncompatible(
                    f"the schema is not {rows.effective_level(connection, subject)} compatible with this subject",
                    where=f"subject {subject}",
                    incompatibilities=tuple(breaks),
                )
            schema_id = rows.put_schema(connection, self._engine, new.canonical, marks)
            return Registered(schema_id, rows.add_version(connection, subject, schema_id))

    def _parse(self, text: str, references: Sequence[Reference], *, check_defaults: bool = True) -> tuple[Schema, str]:
        """The schema and its references as stored. Raises SchemaInvalid."""
        if not references:
            return parse(text, check_defaults=check_defaults), rows.dump_references(())
        with reading(self._engine) as connection:
            known = _referenced(connection, references, 0)
        return parse(text, _names(known), check_defaults=check_defaults), rows.dump_references(references)

    def _live(self, subject: str) -> list[SchemaVersion]:
        with reading(self._engine) as connection:
            found = rows.live_versions(connection, subject)
        if not found:
            raise NotFound(f"there is no subject {subject}")
        return found


def _breaks(connection: Connection, subject: str, new: Schema) -> list[str]:
    """What the new schema breaks at the subject's level."""
    level = rows.effective_level(connection, subject)
    live = rows.live_versions(connection, subject)
    if level == "NONE" or not live:
        return []
    against = live if level.endswith("_TRANSITIVE") else live[-1:]
    olds = [_tree(connection, version.schema) for version in against]
    return [str(found) for found in compat.check(level, new, olds)]


def _tree(connection: Connection, stored: StoredSchema, depth: int = 0) -> Schema:
    known = _referenced(connection, stored.references, depth)
    return parse(stored.text, _names(known), check_defaults=False)  # they were checked when it was registered


def _referenced(connection: Connection, references: Sequence[Reference], depth: int) -> list[Schema]:
    """The schemas behind references, theirs included. Raises SchemaInvalid when one is missing."""
    if depth > MAX_REFERENCE_DEPTH:
        raise SchemaInvalid(f"references go deeper than {MAX_REFERENCE_DEPTH} levels")
    found = []
    for reference in references:
        version = rows.any_version(connection, reference.subject, reference.version)
        if version is None:
            place = f"version {reference.version} of subject {reference.subject}"
            raise SchemaInvalid(f"the referenced {place} does not exist", where=reference.name)
        found.append(_tree(connection, version.schema, depth + 1))
    return found


def _names(schemas: Sequence[Schema]) -> dict[str, Type]:
    return {name: of for schema in schemas for name, of in schema.names.items()}


def _remember(cache: OrderedDict[int, T], key: int, value: T) -> None:
    cache[key] = value
    while len(cache) > CACHED_SCHEMAS:
        cache.popitem(last=False)
