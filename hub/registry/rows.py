"""The registry's queries about schemas and versions. Every function works inside the transaction of its connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from hub.errors import Fatal
from hub.registry.identity import Prepared, load_references
from hub.registry.model import MAX_INT, Reference, SchemaVersion, StoredSchema
from hub.store.engine import insert
from hub.store.tables import counters, schema_references, schemas, subject_versions, subjects

VERSIONS = subject_versions.c
JOINED = sa.select(VERSIONS.subject, VERSIONS.version, VERSIONS.deleted, VERSIONS.created_at, schemas).join(
    schemas, schemas.c.id == VERSIONS.schema_id
)
LIVE = VERSIONS.deleted.is_(False)
SHORT_TEXT = 16_384  # characters
FAR_ID = MAX_INT - 1_000_000  # ids given from outside above this do not move the counter: there must be some left


def in_order(column: sa.ColumnElement[str], connection: Connection) -> sa.ColumnElement[str]:
    """Sorted by code points, in every database, whatever its language."""
    return sa.collate(column, "C") if connection.dialect.name == "postgresql" else column


def lock(connection: Connection, engine: Engine, subject: str, others: Iterable[str] = ()) -> None:
    """Make sure the subject has a row and hold it, and hold others that exist: changes of one subject go one by one.

    SQLite has one writer anyhow. Always in one order, so that two never wait for each other."""
    connection.execute(insert(engine, subjects).values(subject=subject).on_conflict_do_nothing())
    held = sa.select(subjects.c.subject).where(subjects.c.subject.in_({subject, *others}))
    connection.execute(held.order_by(subjects.c.subject).with_for_update())


# -- schemas


def put_schema(connection: Connection, new: Prepared) -> int:
    """The id of this schema, given on first sight: the next number that is free. The database's constraints on id and
    fingerprint are what makes it true; the counter's row only keeps two writers from the same number."""
    known = schema_id(connection, new.fingerprint)
    if known is not None:
        return known
    last = _locked_counter(connection, "schema_id")
    known = schema_id(connection, new.fingerprint)  # somebody else may have had the counter before
    if known is not None:
        return known
    free = last + 1
    while connection.scalar(sa.select(schemas.c.id).where(schemas.c.id == free)) is not None:
        free += 1
    if free > MAX_INT:
        raise Fatal("there is no schema id left")
    _set_counter(connection, "schema_id", free)
    _insert_schema(connection, free, 0, new)
    return free


def put_schema_as(connection: Connection, wanted_id: int, new: Prepared) -> bool:
    """Store a schema under an id from elsewhere. False when another schema has that id. May be repeated."""
    last = _locked_counter(connection, "schema_id")
    taken = connection.scalar(sa.select(schemas.c.fingerprint).where(schemas.c.id == wanted_id))
    if taken is not None:
        return bool(taken == new.fingerprint)
    twin = 0 if schema_id(connection, new.fingerprint) is None else wanted_id
    _insert_schema(connection, wanted_id, twin, new)
    if last < wanted_id < FAR_ID:
        _set_counter(connection, "schema_id", wanted_id)
    return True


def schema_id(connection: Connection, fingerprint: str) -> int | None:
    """The id under which new versions get this schema."""
    found: int | None = connection.scalar(
        sa.select(schemas.c.id).where(schemas.c.fingerprint == fingerprint, schemas.c.twin == 0)
    )
    return found


def schema_by_id(connection: Connection, wanted: int) -> StoredSchema | None:
    """Also when no subject has it any more: what was written with it must stay readable."""
    row = connection.execute(sa.select(schemas).where(schemas.c.id == wanted)).one_or_none()
    return None if row is None else _schema(row)


def schemas_in_use(connection: Connection, wanted: int, ids: range) -> list[StoredSchema]:
    """One schema and its neighbours that some version has; long neighbours are left out."""
    used = sa.select(sa.literal(1)).where(VERSIONS.schema_id == schemas.c.id).exists()
    near = schemas.c.id.between(max(ids.start, 1), min(ids.stop - 1, MAX_INT))
    short = sa.func.length(schemas.c.text) <= SHORT_TEXT
    query = sa.select(schemas).where(near, used, sa.or_(schemas.c.id == wanted, short))
    return [_schema(row) for row in connection.execute(query)]


def schema_by_guid(connection: Connection, fingerprint: str) -> StoredSchema | None:
    """By the first half of its fingerprint."""
    part = schemas.c.fingerprint.startswith(fingerprint, autoescape=True)
    row = connection.execute(sa.select(schemas).where(part, schemas.c.twin == 0)).one_or_none()
    return None if row is None else _schema(row)


def in_use(connection: Connection, wanted: int) -> bool:
    """Does a version have it, live or softly deleted?"""
    return connection.scalar(sa.select(VERSIONS.version).where(VERSIONS.schema_id == wanted).limit(1)) is not None


def highest_id(connection: Connection) -> int:
    """Of the schemas that some version has; 0 when there is none."""
    return int(connection.scalar(sa.select(sa.func.max(VERSIONS.schema_id))) or 0)


def _insert_schema(connection: Connection, new_id: int, twin: int, new: Prepared) -> None:
    values = {"text": new.text, "refs": new.refs, "metadata": new.metadata, "rule_set": new.rule_set}
    connection.execute(sa.insert(schemas).values(id=new_id, fingerprint=new.fingerprint, twin=twin, **values))
    targets = {(r.subject, r.version) for r in new.references}
    rows = [{"schema_id": new_id, "subject": subject, "version": version} for subject, version in sorted(targets)]
    if rows:
        connection.execute(sa.insert(schema_references), rows)


# -- versions


def next_version(connection: Connection, subject: str) -> int:
    """One above the highest there is, deleted ones included."""
    top = connection.scalar(sa.select(sa.func.max(VERSIONS.version)).where(VERSIONS.subject == subject))
    return int(top or 0) + 1


def add_version(connection: Connection, subject: str, version: int, new_id: int, now_ms: int | None) -> None:
    """A live version."""
    row = {"subject": subject, "version": version, "schema_id": new_id, "deleted": False, "created_at": now_ms}
    connection.execute(sa.insert(subject_versions).values(**row))


def versions(connection: Connection, subject: str) -> list[SchemaVersion]:
    """All of a subject, ascending, with their schemas."""
    query = JOINED.where(VERSIONS.subject == subject)
    return [version_of(row) for row in connection.execute(query.order_by(VERSIONS.version))]


def live_versions(connection: Connection, subject: str, *, newest: bool = False) -> list[SchemaVersion]:
    """Ascending, or the newest alone; softly deleted ones never count."""
    query = JOINED.where(VERSIONS.subject == subject, LIVE).order_by(VERSIONS.version.desc())
    found = [version_of(row) for row in connection.execute(query.limit(1) if newest else query)]
    return found[::-1]


def numbers(connection: Connection, subject: str) -> dict[int, bool]:
    """Version → softly deleted? Ascending."""
    query = sa.select(VERSIONS.version, VERSIONS.deleted).where(VERSIONS.subject == subject).order_by(VERSIONS.version)
    return {row.version: row.deleted for row in connection.execute(query)}


def matching_version(
    connection: Connection, subject: str, fingerprint: str, *, deleted: bool = False
) -> SchemaVersion | None:
    """The newest version of a subject that is this schema; with `deleted`, softly deleted ones as well."""
    query = JOINED.where(VERSIONS.subject == subject, schemas.c.fingerprint == fingerprint)
    if not deleted:
        query = query.where(LIVE)
    row = connection.execute(query.order_by(VERSIONS.version.desc()).limit(1)).one_or_none()
    return None if row is None else version_of(row)


def any_version(connection: Connection, subject: str, version: int) -> SchemaVersion | None:
    """A version of a subject, softly deleted or not: references hold on to it."""
    query = JOINED.where(VERSIONS.subject == subject, VERSIONS.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else version_of(row)


def mark_deleted(connection: Connection, subject: str, those: Sequence[int], *, deleted: bool = True) -> None:
    """Hide versions, or show them again."""
    which = (VERSIONS.subject == subject, VERSIONS.version.in_(those))
    connection.execute(sa.update(subject_versions).where(*which).values(deleted=deleted))


def remove(connection: Connection, subject: str, those: Sequence[int]) -> None:
    """Versions for good; with the last one, the subject's settings. Its row stays: others may wait for it."""
    connection.execute(sa.delete(subject_versions).where(VERSIONS.subject == subject, VERSIONS.version.in_(those)))
    if connection.scalar(sa.select(VERSIONS.version).where(VERSIONS.subject == subject).limit(1)) is None:
        nothing = {"level": None, "mode": None, "normalise": None}
        connection.execute(sa.update(subjects).where(subjects.c.subject == subject).values(**nothing))
    bump(connection, "removals")


def any_live(connection: Connection, subject: str | None = None) -> bool:
    """Has the subject, or any, a live version?"""
    query = sa.select(VERSIONS.version).where(LIVE)
    if subject is not None:
        query = query.where(VERSIONS.subject == subject)
    return connection.scalar(query.limit(1)) is not None


# -- references


def referring_ids(connection: Connection, subject: str, version: int, *, deleted: bool = False) -> list[int]:
    """Ids of schemas that refer to a version and are live somewhere; with `deleted`, or softly deleted. Ascending."""
    query = (
        sa.select(schema_references.c.schema_id)
        .join(subject_versions, VERSIONS.schema_id == schema_references.c.schema_id)
        .where(schema_references.c.subject == subject, schema_references.c.version == version)
    )
    if not deleted:
        query = query.where(LIVE)
    return list(connection.scalars(query.distinct().order_by(schema_references.c.schema_id)))


def referred_versions(connection: Connection, subject: str, *, deleted: bool = False) -> list[int]:
    """Versions of a subject that schemas of other subjects refer to, live ones or any."""
    query = (
        sa.select(schema_references.c.version)
        .join(subject_versions, VERSIONS.schema_id == schema_references.c.schema_id)
        .where(schema_references.c.subject == subject, VERSIONS.subject != subject)
    )
    if not deleted:
        query = query.where(LIVE)
    return list(connection.scalars(query.distinct().order_by(schema_references.c.version)))


# -- counters


def counter(connection: Connection, name: str) -> int:
    """Its value."""
    return int(connection.scalar(sa.select(counters.c.value).where(counters.c.name == name)) or 0)


def bump(connection: Connection, name: str) -> None:
    """One more."""
    connection.execute(sa.update(counters).where(counters.c.name == name).values(value=counters.c.value + 1))


def _locked_counter(connection: Connection, name: str) -> int:
    query = sa.select(counters.c.value).where(counters.c.name == name).with_for_update()
    return int(connection.execute(query).scalar_one())


def _set_counter(connection: Connection, name: str, value: int) -> None:
    connection.execute(sa.update(counters).where(counters.c.name == name).values(value=value))


def version_of(row: Row[tuple[Any, ...]]) -> SchemaVersion:
    """A row of JOINED."""
    return SchemaVersion(
        subject=row.subject,
        version=row.version,
        schema=_schema(row),
        deleted=row.deleted,
        created_ms=row.created_at,
    )


def _schema(row: Row[tuple[Any, ...]]) -> StoredSchema:
    return StoredSchema(
        id=row.id,
        text=row.text,
        references=_references(row.refs),
        metadata=None if row.metadata is None else json.loads(row.metadata),
        rule_set=None if row.rule_set is None else json.loads(row.rule_set),
        fingerprint=row.fingerprint,
    )


def _references(refs: str) -> tuple[Reference, ...]:
    return () if refs == "[]" else load_references(refs)
