"""The registry's queries. Every function works inside the transaction of its connection."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from hub.registry.model import DEFAULT_LEVEL, Level, Reference, SchemaVersion, StoredSchema, level_of
from hub.store.engine import insert
from hub.store.tables import GLOBAL_SUBJECT, schemas, subject_versions, subjects

JOINED = sa.select(subject_versions.c.subject, subject_versions.c.version, schemas).join(
    schemas, schemas.c.id == subject_versions.c.schema_id
)


def dump_references(references: Sequence[Reference]) -> str:
    """As stored: a JSON array in the order given."""
    return json.dumps([[r.name, r.subject, r.version] for r in references], separators=(",", ":"), ensure_ascii=False)


def fingerprint(text: str, references: str) -> str:
    """The identity of a schema: canonical text and references (registry-api §2)."""
    return hashlib.sha256(f"{text}\n{references}".encode()).hexdigest()


def lock_subject(connection: Connection, engine: Engine, subject: str) -> None:
    """Make sure the subject has a row and hold it: registrations of one subject go one by one."""
    connection.execute(insert(engine, subjects).values(subject=subject).on_conflict_do_nothing())
    connection.execute(sa.select(subjects.c.subject).where(subjects.c.subject == subject).with_for_update())


def put_schema(connection: Connection, engine: Engine, text: str, references: str) -> int:
    """The id of this schema, given by the database on first sight."""
    mark = fingerprint(text, references)
    found = sa.select(schemas.c.id).where(schemas.c.fingerprint == mark)
    known: int | None = connection.scalar(found)
    if known is not None:
        return known
    new = insert(engine, schemas).values(fingerprint=mark, text=text, refs=references)
    connection.execute(new.on_conflict_do_nothing(index_elements=[schemas.c.fingerprint]))
    given: int = connection.execute(found).scalar_one()
    return given


def add_version(connection: Connection, subject: str, schema_id: int) -> int:
    """The next version of a subject: one above the highest there is, deleted ones included."""
    top = connection.scalar(
        sa.select(sa.func.max(subject_versions.c.version)).where(subject_versions.c.subject == subject)
    )
    version = int(top or 0) + 1
    row = {"subject": subject, "version": version, "schema_id": schema_id, "deleted": False}
    connection.execute(sa.insert(subject_versions).values(**row))
    return version


def live_versions(connection: Connection, subject: str) -> list[SchemaVersion]:
    """Ascending; soft-deleted ones never count."""
    query = JOINED.where(subject_versions.c.subject == subject, subject_versions.c.deleted.is_(False))
    return [_version(row) for row in connection.execute(query.order_by(subject_versions.c.version))]


def live_version(connection: Connection, subject: str, mark: str) -> SchemaVersion | None:
    """The newest live version of a subject that is this schema."""
    query = JOINED.where(
        subject_versions.c.subject == subject, subject_versions.c.deleted.is_(False), schemas.c.fingerprint == mark
    )
    row = connection.execute(query.order_by(subject_versions.c.version.desc()).limit(1)).one_or_none()
    return None if row is None else _version(row)


def any_version(connection: Connection, subject: str, version: int) -> SchemaVersion | None:
    """A version of a subject, soft-deleted or not: references hold on to it."""
    query = JOINED.where(subject_versions.c.subject == subject, subject_versions.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else _version(row)


def schema_by_id(connection: Connection, schema_id: int) -> StoredSchema | None:
    """Also when no subject has it any more."""
    row = connection.execute(sa.select(schemas).where(schemas.c.id == schema_id)).one_or_none()
    return None if row is None else _schema(row)


def subject_names(connection: Connection) -> list[str]:
    """Subjects with a live version, sorted."""
    query = sa.select(subject_versions.c.subject).where(subject_versions.c.deleted.is_(False)).distinct()
    return sorted(connection.scalars(query))


def own_level(connection: Connection, subject: str) -> Level | None:
    """The level set for a subject, if any."""
    text = connection.scalar(sa.select(subjects.c.level).where(subjects.c.subject == subject))
    return None if text is None else level_of(text)


def effective_level(connection: Connection, subject: str) -> Level:
    """The subject's own level, else the global one, else BACKWARD."""
    return own_level(connection, subject) or own_level(connection, GLOBAL_SUBJECT) or DEFAULT_LEVEL


def put_level(connection: Connection, engine: Engine, subject: str, level: Level | None) -> None:
    """Set or clear a level. Does not make a subject exist."""
    new = insert(engine, subjects).values(subject=subject, level=level)
    connection.execute(new.on_conflict_do_update(index_elements=[subjects.c.subject], set_={"level": level}))


def _version(row: Row[tuple[object, ...]]) -> SchemaVersion:
    return SchemaVersion(subject=row.subject, version=row.version, schema=_schema(row))


def _schema(row: Row[tuple[object, ...]]) -> StoredSchema:
    references = tuple(Reference(name=n, subject=s, version=v) for n, s, v in json.loads(row.refs))
    return StoredSchema(id=row.id, text=row.text, references=references)
