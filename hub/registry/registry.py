"""The schema registry's core: ids that name one schema for ever, and no incompatible change (G10).

An id comes from a database constraint, never from an election or a cache: any number of processes may register at once.
Schemas that were seen once are kept in memory: an outage of the store does not stop what is already running.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence

from sqlalchemy.engine import Connection

from hub.avro import compat
from hub.avro.inline import written_out
from hub.avro.types import Schema
from hub.errors import SchemaInvalid
from hub.registry import rows
from hub.registry.browse import Browse
from hub.registry.documents import Bounded, Documents
from hub.registry.errors import (
    Break,
    EmptySchema,
    IncompatibleWithSubject,
    NotPermitted,
    SchemaNotFound,
    SubjectNotFound,
    VersionNotFound,
)
from hub.registry.identity import Prepared
from hub.registry.importing import Importer
from hub.registry.model import (
    LATEST,
    MAX_INT,
    Draft,
    Effective,
    Level,
    Reference,
    Registered,
    SchemaVersion,
    StoredSchema,
    Submitted,
    Wanted,
    check_subject,
    level_of,
    storable,
)
from hub.registry.removal import Removal
from hub.registry.settings import Settings, effective, read_only
from hub.store import Store
from hub.store.engine import reading, writing

STORED, STORED_CHARACTERS = 50_000, 32_000_000
NOTHING_WANTED = Wanted()
GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _now_ms() -> int:
    return int(time.time() * 1000)


class Registry:
    """All subjects of a store. Safe from many threads; several processes may use one store."""

    def __init__(self, store: Store, now_ms: Callable[[], int] = _now_ms) -> None:
        self._engine, self._now_ms = store.engine, now_ms
        self._documents = Documents()
        self._stored: Bounded[StoredSchema] = Bounded(STORED, STORED_CHARACTERS)
        self.browse = Browse(store.engine)
        self.settings = Settings(store.engine)
        self.removal = Removal(store.engine)
        self.importer = Importer(store.engine, self._documents)

    def close(self) -> None:
        """Nothing of its own is open: the store is its opener's to close."""

    # -- registering and looking up

    def register(self, subject: str, text: str, references: Sequence[Reference] = ()) -> Registered:
        """Give a schema an id and the subject a version of it; one that is live there already keeps both.

        Raises SchemaInvalid, NotPermitted by the mode, or SchemaIncompatible with a sentence for each break; then
        nothing was stored.
        """
        made = self.submit(subject, Draft(text=text, references=tuple(references)))
        return Registered(made.id, made.version)

    def register_freely(self, subject: str, text: str) -> Registered:
        """The same in a subject where nothing is compared: level NONE is set first where it is not (R23)."""
        if self.level(subject) != "NONE":
            self.set_level("NONE", subject)
        return self.register(subject, text)

    def submit(self, subject: str, draft: Draft, wanted: Wanted = NOTHING_WANTED) -> Submitted:
        """The same for anything that can be sent (registry-api §4, in its order)."""
        check_subject(subject)
        _check_text(draft)
        with reading(self._engine) as connection:
            new = self._prepare(connection, subject, draft)
            known = rows.matching_version(connection, subject, new.fingerprint)
        if known is None:
            return self._store(subject, new, wanted)
        return Submitted(known.schema.id, known.version, False)

    def lookup(self, subject: str, text: str, references: Sequence[Reference] = ()) -> SchemaVersion:
        """The live version of a subject that is this schema. Never registers. Raises NotFound, SchemaInvalid."""
        return self.find(subject, Draft(text=text, references=tuple(references)))

    def find(self, subject: str, draft: Draft, *, deleted: bool = False) -> SchemaVersion:
        """The same for anything that can be sent; with `deleted`, among softly deleted versions too."""
        with reading(self._engine) as connection:
            known = rows.numbers(connection, subject) if storable(subject) else {}
            if all(gone and not deleted for gone in known.values()):
                raise SubjectNotFound(subject)
            if not draft.text.strip():
                raise SchemaNotFound
            wanted = self._prepare(connection, subject, draft, check_defaults=False)
            found = rows.matching_version(connection, subject, wanted.fingerprint, deleted=deleted)
            if found is None and not draft.references:
                found = self._written_out(connection, subject, wanted, deleted)
        if found is None:
            raise SchemaNotFound
        return found

    def _written_out(
        self, connection: Connection, subject: str, wanted: Prepared, deleted: bool
    ) -> SchemaVersion | None:
        """The newest version that refers to others and is what was sent once they are written out (registry-api §4)."""
        for version in reversed(rows.versions(connection, subject)):
            if version.schema.references and (deleted or not version.deleted):
                others = self._documents.texts(connection, version.schema)
                if written_out(json.loads(version.schema.text), map(json.loads, others)) == wanted.text:
                    return version
        return None

    # -- by id

    def by_id(self, schema_id: int) -> str:
        """The canonical text of a schema. Raises NotFound."""
        return self.schema(schema_id).text

    def schema(self, schema_id: int) -> StoredSchema:
        """Text and references of a schema, from memory when seen before, and also when no version has it any more:
        what was written with it must stay readable. Raises NotFound."""
        known = self._stored.get(schema_id)
        if known is not None:
            return known
        with reading(self._engine) as connection:
            found = rows.schema_by_id(connection, schema_id)
        if found is None:
            raise SchemaNotFound(schema_id)
        self._stored.put(schema_id, found, len(found.text))
        return found

    def shown(self, schema_id: int) -> StoredSchema:
        """The same for those outside: only while some version has it, live or softly deleted. Raises SchemaNotFound."""
        with reading(self._engine) as connection:
            if not rows.in_use(connection, schema_id):
                raise SchemaNotFound(schema_id)
        return self.schema(schema_id)

    def shown_around(self, schema_id: int, ids: range) -> list[StoredSchema]:
        """The same for neighbours, in one question; long ones only when they are meant."""
        with reading(self._engine) as connection:
            return rows.schemas_in_use(connection, schema_id, ids)

    def by_guid(self, guid: str) -> StoredSchema:
        """By the name that is the same in every registry. Raises SchemaNotFound."""
        with reading(self._engine) as connection:
            found = rows.schema_by_guid(connection, guid.replace("-", "").lower()) if GUID.fullmatch(guid) else None
            if found is None or not rows.in_use(connection, found.id):
                raise SchemaNotFound(guid)
        return found

    def highest_id(self) -> int:
        """Of the schemas that some version has."""
        with reading(self._engine) as connection:
            return rows.highest_id(connection)

    def removals(self) -> int:
        """How often versions were deleted for good: what was seen before the number changed may be gone."""
        with reading(self._engine) as connection:
            return rows.counter(connection, "removals")

    def parsed(self, schema_id: int) -> Schema:
        """A schema as a tree, its references included. Raises NotFound."""
        known = self._documents.cached(schema_id)
        if known is not None:
            return known
        stored = self.schema(schema_id)
        with reading(self._engine) as connection:
            return self._documents.tree(connection, stored)

    # -- what there is

    def subjects(self) -> list[str]:
        """Subjects with a live version, sorted."""
        return self.browse.subjects()

    def versions(self, subject: str) -> list[int]:
        """Live versions, ascending. Raises NotFound for a subject without any."""
        return self.browse.versions(subject)

    def latest(self, subject: str) -> SchemaVersion:
        """The highest live version. Raises NotFound."""
        return self.browse.version(subject, LATEST)

    def version(self, subject: str, version: int) -> SchemaVersion:
        """One live version. Raises NotFound."""
        return self.browse.version(subject, version)

    def newest(self, subject: str) -> SchemaVersion | None:
        """The same, or None when there is none."""
        return self.browse.newest(subject)

    def any_version(self, subject: str, version: int) -> SchemaVersion:
        """A version, softly deleted or not; LATEST is the highest live one. Raises NotFound."""
        return self.browse.version(subject, version, deleted=True)

    # -- compatibility

    def level(self, subject: str | None = None) -> Level:
        """The compatibility level in force for a subject, or the global one."""
        return self.settings.effective(subject).level

    def set_level(self, level: str | None, subject: str | None = None) -> None:
        """Set the level of a subject, or the global one; None goes back to the default. Counts from the next
        registration on. Raises ConfigurationInvalid, SchemaInvalid, Conflict."""
        if level is not None:
            self.settings.set_level(subject, level_of(level))
        elif subject is None or self.settings.effective(subject).own.level is not None:
            self.settings.clear_level(subject)

    def incompatibilities(self, subject: str, text: str, references: Sequence[Reference] = ()) -> list[str]:
        """Why `register` would refuse, one sentence each; empty when it would not. Raises SchemaInvalid."""
        return [str(found) for found in self.compare(subject, Draft(text=text, references=tuple(references)))]

    def compare(self, subject: str, draft: Draft, version: int | None = None) -> list[Break]:
        """What speaks against a schema at the subject's level: by the versions that registering would look at, or by
        one version alone. Never registers. Raises SchemaInvalid, VersionNotFound for one that is not live."""
        known = storable(subject)
        with reading(self._engine) as connection:
            settings = effective(connection, subject)
            if version is None:
                against = _compared(connection, subject, settings.level) if known else []
            elif version == LATEST:
                against = rows.live_versions(connection, subject, newest=True) if known else []
            else:
                found = rows.any_version(connection, subject, version) if known else None
                if found is None or found.deleted:
                    raise VersionNotFound(version)
                against = [found]
            _check_text(draft)
            new = self._documents.prepare(connection, draft, normalise=settings.normalise)
            return self._breaks(connection, settings.level, new, against)

    def tree(self, draft: Draft) -> Schema:
        """Anything that can be sent, as a tree. Registers nothing. Raises SchemaInvalid."""
        _check_text(draft)
        with reading(self._engine) as connection:
            return self._documents.prepare(connection, draft).schema

    # -- inside

    def _prepare(self, connection: Connection, subject: str, draft: Draft, *, check_defaults: bool = True) -> Prepared:
        normalise = effective(connection, subject).normalise
        return self._documents.prepare(connection, draft, normalise=normalise, check_defaults=check_defaults)

    def _store(self, subject: str, new: Prepared, wanted: Wanted) -> Submitted:
        with writing(self._engine) as connection:
            rows.lock(connection, self._engine, subject, {r.subject for r in new.references})
            known = rows.matching_version(connection, subject, new.fingerprint)
            if known is not None:  # another registration was first
                return Submitted(known.schema.id, known.version, False)
            for reference in new.references:
                if rows.any_version(connection, reference.subject, reference.version) is None:
                    raise SchemaInvalid("a referenced version was deleted meanwhile", where=reference.name)
            settings = effective(connection, subject)
            if settings.mode == "IMPORT":
                return self._import(connection, subject, new, wanted)
            _permit(subject, settings, wanted)
            breaks = self._breaks(connection, settings.level, new, _compared(connection, subject, settings.level))
            if breaks:
                raise IncompatibleWithSubject(subject, settings.level, breaks)
            version = rows.next_version(connection, subject)
            if version > MAX_INT:
                raise NotPermitted(f"Subject {subject} in context . has no version number left")
            if wanted.version not in (None, version):
                raise SchemaInvalid(f"the next version of this subject is {version}, not {wanted.version}")
            schema_id = rows.put_schema(connection, new)
            rows.add_version(connection, subject, version, schema_id, self._now_ms())
            return Submitted(schema_id, version, True)

    def _import(self, connection: Connection, subject: str, new: Prepared, wanted: Wanted) -> Submitted:
        """Mode IMPORT: the numbers are given, nothing is compared (registry-api §6)."""
        if wanted.id is None:
            raise NotPermitted(f"Subject {subject} in context . is in import mode: a new schema needs an id")
        if not rows.put_schema_as(connection, wanted.id, new):
            raise NotPermitted(f"Overwrite new schema with id {wanted.id} is not permitted.")
        version = rows.next_version(connection, subject) if wanted.version is None else wanted.version
        if version > MAX_INT:
            raise NotPermitted(f"Subject {subject} in context . has no version number left")
        there = rows.any_version(connection, subject, version)
        if there is not None and there.schema.id != wanted.id:
            raise NotPermitted(f"Subject {subject} in context . has a version {version} that is another schema")
        if there is None:
            rows.add_version(connection, subject, version, wanted.id, self._now_ms())
        else:
            rows.mark_deleted(connection, subject, [version], deleted=False)
        return Submitted(wanted.id, version, True)

    def _breaks(
        self, connection: Connection, level: Level, new: Prepared, against: Sequence[SchemaVersion]
    ) -> list[Break]:
        if level == "NONE":
            return []
        found = []
        for old in against:
            tree = self._documents.tree(connection, old.schema)
            reasons = compat.check_pair(level, new.schema, tree, old.version)
            found += [Break(version=old.version, reason=reason) for reason in reasons]
        return found


def _compared(connection: Connection, subject: str, level: Level) -> list[SchemaVersion]:
    """The live versions that a new one is compared with."""
    if level == "NONE":
        return []
    return rows.live_versions(connection, subject, newest=not level.endswith("_TRANSITIVE"))


def _permit(subject: str, settings: Effective, wanted: Wanted) -> None:
    if settings.read_only:
        raise read_only(subject)
    if wanted.id is not None:
        raise NotPermitted(f"Subject {subject} in context . is not in import mode")


def _check_text(draft: Draft) -> None:
    if not draft.text.strip():
        raise EmptySchema
