"""Taking over another registry: ids, versions, soft deletions and settings as they were. May be repeated and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection, Engine

from hub.errors import Conflict, DatongError, Retry
from hub.registry import rows
from hub.registry.documents import Documents
from hub.registry.dump import Dump, DumpedSettings, DumpedVersion, Place, in_order, refused_target
from hub.registry.model import MAX_INT, Draft, check_subject
from hub.store.engine import insert, writing
from hub.store.tables import GLOBAL_SUBJECT, subject_versions, subjects

AT_ONCE = 100  # versions in one transaction


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A version that could not be taken over, and why."""

    subject: str
    version: int
    id: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did."""

    new: int
    present: int  # were there already, just so
    refused: tuple[Refused, ...]


class Importer:
    """Writes a dump into a store, past modes and compatibility: what was there is not judged again."""

    def __init__(self, engine: Engine, documents: Documents) -> None:
        self._engine, self._documents = engine, documents

    def take(self, dump: Dump) -> Imported:
        """Each version after those it refers to; a version that cannot be is left out and named."""
        new = 0
        refused: dict[Place, Refused] = {}
        ordered = in_order(dump.versions)
        for start in range(0, len(ordered), AT_ONCE):
            with writing(self._engine) as connection:
                for version in ordered[start : start + AT_ONCE]:
                    why = refused_target(version, refused)
                    if why is None:
                        done, why = self._tried(connection, version)
                        new += done
                    if why is not None:
                        refused[version.place] = Refused(
                            subject=version.subject, version=version.version, id=version.id, why=why
                        )
        self._settings(dump.settings)
        return Imported(new=new, present=len(ordered) - new - len(refused), refused=tuple(refused.values()))

    def _tried(self, connection: Connection, version: DumpedVersion) -> tuple[bool, str | None]:
        """Was it new, and why it could not be taken."""
        try:
            return self._version(connection, version), None
        except Retry:
            raise
        except DatongError as error:
            return False, f"{error.where}: {error.message}" if error.where else error.message

    def _version(self, connection: Connection, version: DumpedVersion) -> bool:
        """False when it was there, just so. Raises what speaks against it, before anything was written."""
        check_subject(version.subject)
        if not (1 <= version.version <= MAX_INT and 1 <= version.id <= MAX_INT):
            raise Conflict("ids and versions are between 1 and 2^31-1")
        draft = Draft(
            text=version.text,
            references=version.references,
            metadata=version.metadata,
            rule_set=version.rule_set,
        )
        new = self._documents.prepare(connection, draft, check_defaults=False)
        there = rows.any_version(connection, version.subject, version.version)
        if there is not None and there.schema.fingerprint != new.fingerprint:
            raise Conflict("this version is another schema here")
        if there is not None and there.schema.id != version.id:
            raise Conflict(f"this version has id {there.schema.id} here")
        known = rows.schema_by_id(connection, version.id)
        if known is not None and known.fingerprint != new.fingerprint:
            raise Conflict(f"id {version.id} is another schema here")
        if there is not None and there.deleted == version.deleted:
            return False
        rows.lock(connection, self._engine, version.subject)
        rows.put_schema_as(connection, version.id, new)
        self._put(connection, version)
        return True

    def _put(self, connection: Connection, version: DumpedVersion) -> None:
        values: dict[str, Any] = {"schema_id": version.id, "deleted": version.deleted, "created_at": version.created_ms}
        place = {"subject": version.subject, "version": version.version}
        made = insert(self._engine, subject_versions).values(**place, **values)
        connection.execute(made.on_conflict_do_update(index_elements=list(subject_versions.primary_key), set_=values))

    def _settings(self, settings: Sequence[DumpedSettings]) -> None:
        with writing(self._engine) as connection:
            for found in settings:
                if found.subject is not None:
                    check_subject(found.subject)
                values = {"level": found.level, "normalise": found.normalise, "mode": found.mode}
                values = {name: value for name, value in values.items() if value is not None}
                if values:
                    made = insert(self._engine, subjects).values(subject=found.subject or GLOBAL_SUBJECT, **values)
                    connection.execute(made.on_conflict_do_update(index_elements=[subjects.c.subject], set_=values))
